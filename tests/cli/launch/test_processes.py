from evalsuite.cli.launch.processes import exit_of
from evalsuite.errors import Exit


def test_every_code_of_a_process_is_an_exit_code() -> None:
    codes = {code: exit_of(code) for code in range(-64, 256)}
    assert all(codes[code] == code for code in Exit)
    assert {codes[-9], codes[137], codes[129]} == {Exit.STOPPED}
    assert {codes[120], codes[4], codes[127]} == {Exit.BUG}
