from pathlib import Path

from figures.nightly import nights


def test_the_example_of_a_nightly_job_confirms_an_alarm_by_itself(tmp_path: Path) -> None:
    (broken,) = nights(tmp_path, 120, ["20261103"])
    assert broken.code == 1, broken.said
    assert broken.junit == {"additions": "failure", "nightly-20261103": "passed"}
    assert broken.confirmed_by >= 8 * 120 - 20
