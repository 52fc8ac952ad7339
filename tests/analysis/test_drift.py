"""Series of nights against a frozen baseline: quiet, lossy, confirmed, dismissed, unfinished."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from evalsuite.cli.baseline import save
from evalsuite.cli.gate import gate
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import BadInput, Exit
from tests.support.cells import Answer, Made, write

ITEMS = 400
CHANCE = np.random.default_rng(1).beta(1.3, 0.2, ITEMS)


def arm(seed: int, repeats: int, loss: float = 0.0, missing: int = 0) -> dict[str, list[Answer]]:
    rng = np.random.default_rng(seed)
    right = rng.random((ITEMS, repeats)) < (CHANCE * (1 - loss))[:, None]
    values = [[float(one) for one in row] for row in right]
    return {str(item): [Answer(None if item < missing else value) for value in row] for item, row in enumerate(values)}


def night(home: Path, name: str, seed: int, *, repeats: int = 1, loss: float = 0.0, missing: int = 0) -> None:
    write(home / name, Made("nvfp4", arm(seed, repeats, loss, missing), baseline="fp8"))


def own(seed: int, repeats: int, loss: float = 0.0) -> Made:
    """The watched checkpoint itself, as frozen at its release."""
    return Made("nvfp4", arm(seed, repeats, loss))


def judged(
    home: Path, baseline_repeats: int = 8, accepted: str | None = None, baseline_run: str | None = None
) -> tuple[Exit, dict[str, object]]:
    if not (home / "frozen").exists():
        write(home / "frozen", own(0, baseline_repeats))
    settings = Report(run=[str(home / "nightly-*")], results_dir=str(home), gate=Gate(drift=True))
    settings.baseline_run, settings.out = baseline_run or str(home / "frozen"), str(home / "out")
    settings.accepted = accepted
    return gate(settings), json.loads((home / "out" / "drift.json").read_text())


def test_a_quiet_series_passes_with_its_trend(tmp_path: Path) -> None:
    for number in range(6):
        night(tmp_path, f"nightly-2026110{number}", seed=10 + number)
    code, found = judged(tmp_path)
    assert (code, found["verdict"]) == (Exit.DONE, "pass")
    (chart,) = found["charts"]  # type: ignore[misc]
    assert [point["alarm"] for point in chart["points"]] == [None] * 6
    assert chart["baseline_stderr"] > 0
    assert [delay["points"] for delay in chart["delays"]] == [0.0, 1.0, 2.0, 3.0]
    assert (tmp_path / "out" / "plots" / "trend.png").stat().st_size > 10_000
    assert ET.parse(tmp_path / "out" / "junit.xml").getroot().get("failures") == "0"


def test_only_a_confirmed_alarm_fails(tmp_path: Path) -> None:
    night(tmp_path, "nightly-20261101", seed=20)
    night(tmp_path, "nightly-20261102", seed=21, loss=0.25)
    code, found = judged(tmp_path)
    assert (code, found["verdict"]) == (Exit.UNDECIDED, "undecided")
    (command,) = found["confirm"]  # type: ignore[misc]
    assert "run_id=nightly-20261102-confirm" in command
    assert "tasks.mmlu_pro.repeats=8" in command
    night(tmp_path, "nightly-20261102-confirm", seed=22, repeats=8, loss=0.25)
    assert judged(tmp_path)[0] == Exit.FAIL
    assert ET.parse(tmp_path / "out" / "junit.xml").getroot().get("failures") == "1"


def test_an_alarm_that_fresh_answers_do_not_bear_out_is_dismissed(tmp_path: Path) -> None:
    night(tmp_path, "nightly-20261101", seed=30, loss=0.25)
    night(tmp_path, "nightly-20261101-confirm", seed=31, repeats=8)
    code, found = judged(tmp_path)
    assert code == Exit.DONE
    assert found["charts"][0]["state"] == "dismissed"  # type: ignore[index]


def test_another_checkpoint_needs_the_offset_that_its_release_accepted(tmp_path: Path) -> None:
    """A loss that a release accepted is no alarm: `baseline save` records it, and the charts start from it."""
    write(tmp_path / "frozen", Made("fp8", arm(0, 8)))
    write(tmp_path / "release", Made("fp8", arm(60, 8)), Made("nvfp4", arm(61, 8, 0.06), baseline="fp8"))
    for number in range(4):
        night(tmp_path, f"nightly-2026110{number}", seed=70 + number, loss=0.06)
    with pytest.raises(BadInput, match=r"another checkpoint.*baseline_run=nvfp4.baseline.*accepted=nvfp4.baseline"):
        judged(tmp_path)
    released = Report(run=["release"], results_dir=str(tmp_path), gate=Gate({"mmlu_pro": Margin(15, "us", "why not")}))
    assert gate(released) == Exit.DONE
    saved = Report(run=["release"], results_dir=str(tmp_path), model="nvfp4", to=str(tmp_path / "nvfp4.baseline"))
    assert save(saved) == Exit.DONE
    for settings in ({"accepted": saved.to}, {"baseline_run": saved.to}):
        code, found = judged(tmp_path, **settings)
        assert code == Exit.DONE
        (chart,) = found["charts"]  # type: ignore[misc]
        assert all(point["alarm"] is None for point in chart["points"])
        assert (chart["offset"]["delta"] < -0.03) == ("accepted" in settings)
    assert found["assumptions"]["night_correlation"] == 0.8  # type: ignore[index]
    unaccepted = Report(run=["frozen"], results_dir=str(tmp_path), model="fp8", to=str(tmp_path / "fp8.baseline"))
    assert save(unaccepted) == Exit.DONE
    with pytest.raises(BadInput, match="no release accepted it"):
        judged(tmp_path, accepted=unaccepted.to)


def test_an_unfinished_night_is_undecided_and_no_point(tmp_path: Path) -> None:
    night(tmp_path, "nightly-20261101", seed=40)
    night(tmp_path, "nightly-20261102", seed=41, missing=30)
    code, found = judged(tmp_path)
    assert code == Exit.UNDECIDED
    assert len(found["charts"][0]["points"]) == 1  # type: ignore[index]
    assert found["nights"][1]["problem"]  # type: ignore[index]


def test_a_baseline_with_few_repeats_cannot_be_frozen(tmp_path: Path) -> None:
    night(tmp_path, "nightly-20261101", seed=50)
    with pytest.raises(BadInput, match="nights like these need at least 8"):
        judged(tmp_path, baseline_repeats=4)


def test_drift_needs_a_frozen_baseline_and_runs(tmp_path: Path) -> None:
    settings = Report(run=[str(tmp_path / "nightly-*")], results_dir=str(tmp_path), gate=Gate(drift=True))
    with pytest.raises(BadInput, match="baseline_run=FILE"):
        gate(settings)
    settings.baseline_run = str(tmp_path)
    with pytest.raises(BadInput, match="means no run"):
        gate(settings)


def test_a_report_over_nights_is_their_trend(tmp_path: Path) -> None:
    for number in range(2):
        night(tmp_path, f"nightly-2026110{number}", seed=10 + number)
    write(tmp_path / "frozen", own(0, 8))
    settings = Report(run=[str(tmp_path / "nightly-*")], results_dir=str(tmp_path))
    settings.baseline_run, settings.out = str(tmp_path / "frozen"), str(tmp_path / "trend")
    assert report(settings) == Exit.DONE
    assert json.loads((tmp_path / "trend" / "drift.json").read_text())["verdict"] == "pass"
    plots = tmp_path / "trend" / "plots"
    assert [path.name for path in plots.iterdir()] == ["trend.png"]
    settings.svg = True
    assert report(settings) == Exit.DONE
    assert {path.name for path in plots.iterdir()} == {"trend.png", "trend.svg"}
