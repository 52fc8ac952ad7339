"""The topic ``sick`` small: what a run makes of sick servers."""

from pathlib import Path

from figures.sick import NOISE, SWALLOWED, looping, sick_run, stop_in_thought


def test_a_sick_server_is_found_before_the_run_or_at_its_end(tmp_path: Path) -> None:
    flagged = sick_run(tmp_path / "a", looping(5))
    assert (flagged.text, flagged.silent) == ("score 0.95, exit 0, 5 degenerate, flagged", False)
    assert sick_run(tmp_path / "b", lambda _, __: NOISE).text == "refused before the run, exit 69"
    waived = sick_run(tmp_path / "c", lambda _, __: SWALLOWED, read=False)
    assert waived.text == "no score, exit 3, 100 degenerate, flagged"


def test_stop_strings_never_end_the_thinking(tmp_path: Path) -> None:
    found = sick_run(tmp_path / "a", stop_in_thought, adapter="tests.support.toy:Stopped")
    assert found.text == "score 1.00, exit 0, 0 degenerate, unflagged"
