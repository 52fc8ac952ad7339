from pathlib import Path

from figures.identity import previous_checkpoint, swapped, told_apart


def test_the_four_demo_models_are_told_apart_and_known_again() -> None:
    told = told_apart()
    assert {one.verdict for one in told.pairs.values()} == {"different"}
    assert len(told.pairs) == 6
    assert {one.verdict for one in told.again.values()} == {"same"}
    assert told.tokens <= 240


def test_the_previous_checkpoint_on_the_port_is_refused_naming_its_cell(tmp_path: Path) -> None:
    named, hidden = previous_checkpoint(tmp_path, limit=5)
    assert (named.code, hidden.code) == (69, 69)
    assert "serves evalsuite/demo_fp8, but evalsuite/demo_nvfp4_v2 was asked" in named.said
    assert "named/demo_fp8/word_problems" in named.said
    assert "demo_nvfp4_v2 answers exactly like hidden/demo_fp8/word_problems" in hidden.said
    assert (named.questions, hidden.questions) == (0, 0)


def test_a_swap_in_mid_run_is_found_and_the_strangers_answers_do_not_count(tmp_path: Path) -> None:
    found = swapped(tmp_path, limit=150, after=60)
    assert found.code == 69
    assert "demo_fp8 is no longer the server that it was" in found.said
    assert found.put_aside > 0  # what was still on its way when the stranger was found was never recorded
    assert found.questions_of_stranger > 0
    assert found.resumed_code == 0
    assert found.equal_rows
