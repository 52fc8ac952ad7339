"""What differs between servers, as the first screen of the page states it."""

from evalsuite.report.confounders import Confounder, first_confounders


def test_models_that_are_left_out_are_counted() -> None:
    names = [*"ABCDEFG", "G2"]
    lines = first_confounders([Confounder("engine", "confounder", name, "GPQA", "1", name[0]) for name in names])
    assert len(lines) == 6
    assert lines[-1] == "3 further candidates: see there."
