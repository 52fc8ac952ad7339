"""What a ``make`` command did is measured whatever became of it; the house is counted as it stands."""

from pathlib import Path

from figures.tiers import busy, house, make

MAKEFILE = """good:
	@echo '......'
	@echo '12 passed, 3 skipped in 4.56s'
bad:
	@echo '1 failed, 11 passed in 62.00s (0:01:02)'; exit 1
none:
	@exit 3
"""


def test_a_command_is_measured_whatever_becomes_of_it(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    with busy(1):
        good = make(tmp_path, "good")
    assert (good.code, good.summary) == (0, "12 passed, 3 skipped in 4.56s")
    assert (make(tmp_path, "bad").code, make(tmp_path, "bad").summary[:8]) == (2, "1 failed")
    assert make(tmp_path, "none").summary == "no tests, exit code 2"
    assert good.cpu_minutes > 0
    assert good.minutes > 0


def test_the_house_is_counted(tmp_path: Path) -> None:
    entries, lines = house(tmp_path)
    assert entries.measured.count("KEPT") == 2
    assert "BROKEN" not in entries.measured
    assert int(entries.measured.partition(";")[0]) <= 15
    assert int(lines.measured.replace(",", "")) > 10_000
