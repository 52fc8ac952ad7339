import math
import random
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evalsuite.config.deadline import Window, duration, open_window, point_in_time
from evalsuite.engine.deadline_fit import CellFit, Fit
from evalsuite.engine.lengths import ExpectedLengths, expected_lengths, typical_tokens
from evalsuite.engine.scheduler import Attempt
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.stats.reply_lengths import longest, p99_seconds, p99_tokens, slow_rate
from evalsuite.store.attempts import CutRequest
from tests.support import cells

NOW = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


def opened(deadline: str, environ: Mapping[str, str] | None = None) -> Window:
    """A window from ``NOW`` on, by a clock that stood at 0 then."""
    return open_window(deadline, NOW, environ, 0.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3h50m", 13800),
        ("90m", 5400),
        ("30s", 30),
        ("1d", 86400),
        ("1h1s", 3601),
        ("", None),
        ("4", None),
        ("-1h", None),
        ("99999999999d", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


def test_a_time_is_utc_unless_it_says_otherwise() -> None:
    four = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)
    assert point_in_time("2026-11-21T04:00Z") == point_in_time("2026-11-21 04:00") == four
    assert point_in_time("2026-11-21T06:00+02:00") == four
    assert point_in_time("tomorrow") is None
    assert point_in_time("0001-01-01T00:00+23:00") is None  # before the first year
    assert opened("2026-11-21T04:00Z").closes == 6 * 3600
    assert open_window("90m").left() == pytest.approx(5400, abs=30)  # it has just been opened


def test_a_window_that_has_passed_or_cannot_be_read_is_refused() -> None:
    with pytest.raises(BadInput, match="which has passed"):
        open_window("2026-11-20T21:00Z", NOW)
    with pytest.raises(BadInput, match="must be a duration"):
        open_window("soon", NOW)
    with pytest.raises(BadInput, match="has passed"):
        open_window("0s", NOW)


def test_a_slurm_job_says_when_it_ends() -> None:
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": f"{NOW.timestamp() - 3600:.0f}"}
    known = opened("slurm", job | {"SLURM_JOB_END_TIME": f"{NOW.timestamp() + 3 * 3600:.0f}"})
    assert known.closes == 3 * 3600 - 60
    assert known.seconds == 4 * 3600 - 60
    with pytest.raises(BadInput, match="no SLURM job"):
        open_window("slurm", NOW, {})


def command(folder: Path, name: str, words: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_older_slurms_are_asked_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    job = {"SLURM_JOB_ID": "7"}
    with pytest.raises(BadInput, match="neither SLURM_JOB_END_TIME nor scontrol nor squeue"):
        open_window("slurm", NOW, job)
    command(tmp_path, "squeue", "1-02:03:04")
    left = timedelta(days=1, hours=2, minutes=3, seconds=4).total_seconds()
    assert opened("slurm", job).closes == left - 60
    local = (NOW + timedelta(hours=5)).astimezone().replace(tzinfo=None)
    command(tmp_path, "scontrol", f"JobId=7 JobName=x EndTime={local:%Y-%m-%dT%H:%M:%S} Deadline=N/A")
    assert opened("slurm", job).closes == 5 * 3600 - 60


def test_the_slow_rate_is_one_that_nearly_all_tokens_keep() -> None:
    assert slow_rate([]) is None
    assert slow_rate([(100, 0.0), (0, 5.0)]) is None
    paces = [(10.0, 10.0)] * 5 + [(1000.0, 25.0)] * 9 + [(1000.0, 50.0)]  # 1/s, 40/s, 20/s
    assert slow_rate(paces) == 20.0


def test_a_percentile_is_not_fooled_by_short_answers_that_finish_first() -> None:
    """Of answers that began together only the short ones have ended: those alone give a far too low percentile."""
    dice = random.Random(3)
    lengths = sorted(dice.lognormvariate(8.0, 1.0) for _ in range(4000))
    true = lengths[int(0.99 * len(lengths))]
    assert longest(lengths, ()) == pytest.approx(true, rel=0.02)
    reached = 2 * math.exp(8.0)
    finished = [length for length in lengths if length <= reached]
    naive, told = sorted(finished)[int(0.99 * len(finished))], longest(finished, [reached] * (4000 - len(finished)))
    assert naive < 0.5 * true
    assert told is None  # it lies beyond what anybody has seen
    staggered = [(length, dice.uniform(0, 4 * true)) for length in lengths]
    seen = [length for length, cut in staggered if length <= cut]
    running = [cut for length, cut in staggered if length > cut]
    found = longest(seen, running)
    assert found is not None
    assert found == pytest.approx(true, rel=0.15)


def test_few_answers_say_nothing_about_the_longest() -> None:
    assert longest([10.0] * 99, ()) is None
    assert p99_tokens(None, longest([10.0] * 99, ()), 64000) == 64000
    assert p99_tokens(None, 9000.0, 64000) == 9000
    assert p99_tokens(2000.0, 9000.0, 64000) == 6000  # what is known of this very item counts
    assert p99_tokens(40_000.0, 9000.0, 64000) == 64000
    assert p99_tokens(None, None, None) is None


def test_what_plan_asks_for() -> None:
    assert p99_seconds(40.0, 64000) == 1600
    assert p99_seconds(None, 64000) is None
    assert p99_seconds(40.0, 64000, [400.0] * 200) == 10
    assert p99_seconds(40.0, 64000, known=400.0) == 30


def todo(item: str = "a", cell: int = 0) -> Attempt:
    return Attempt(cell, Item(item, {}), 0)


def test_nothing_fits_whose_p99_exceeds_the_time_left() -> None:
    ends = 1e12
    fit = Fit(ends, [CellFit(ExpectedLengths(), 1000, True)])
    assert fit.seconds(todo()) is None  # no rate is known: let it begin
    assert fit.fits(todo())
    for _ in range(30):
        fit.learn(0, 100.0, 10.0)
    assert fit.seconds(todo()) == 100.0  # 1,000 tokens at 10 a second
    known = Fit(ends, [CellFit(ExpectedLengths({"a": 20.0}, paces=((100.0, 10.0),) * 30), 1000, True)])
    assert known.seconds(todo()) == 6.0
    assert known.seconds(todo("b")) == 100.0
    cut = {("a", 0): [CutRequest(300.0, 30.0)]}
    beyond = Fit(ends, [CellFit(ExpectedLengths({"a": 20.0}, paces=((100.0, 10.0),) * 30), 1000, True, cut)])
    assert beyond.seconds(todo()) == 90.0  # it had become longer than what was recorded elsewhere
    dialogue = Fit(ends, [CellFit(ExpectedLengths({"a": 20.0}, paces=((100.0, 10.0),) * 30), 1000, False)])
    assert dialogue.seconds(todo()) == 100.0  # 20 tokens are of all its requests
    stated = Fit(ends, [CellFit(ExpectedLengths(), 1000, True)], rate=50.0)
    assert stated.seconds(todo()) == 20.0
    assert not Fit(0.0, [CellFit(ExpectedLengths(), 1000, True)], rate=50.0).fits(todo())


def identity(**changes: object) -> dict[str, object]:
    known = {"task": "mmlu_pro", "adapter": "mmlu_pro", "variant": "nvidia", "data_sha": "d0d0", "thinking": True}
    return {"identity": known | changes, "baseline": "fp8"}


def lengths(*tokens: int) -> dict[str, list[cells.Answer]]:
    return {str(n): [cells.Answer(1.0, tokens=count)] for n, count in enumerate(tokens)}


def test_recorded_lengths_come_from_this_cell_then_from_others(tmp_path: Path) -> None:
    cells.write(tmp_path / "r1", cells.Made("fp8", lengths(100, 200, 300)), cells.Made("bf16", lengths(300, 400)))
    other = cells.Made("other", lengths(9000), identity={"data_sha": "other data"})
    nothink = cells.Made("bf16-nothink", lengths(1, 1, 1, 1))
    cells.write(tmp_path / "r2", other, nothink)
    (tmp_path / "r3" / "bf16" / "mmlu_pro").mkdir(parents=True)
    (tmp_path / "r3" / "bf16" / "mmlu_pro" / "samples.parquet").write_bytes(b"torn")
    found = expected_lengths(
        tmp_path, tmp_path / "r4" / "nvfp4" / "mmlu_pro", identity(), {("1", 0): 50.0, ("1", 1): 70.0}
    )
    assert found.items == {"0": 200.0, "1": 60.0, "2": 300.0}
    assert found.expected("9") == pytest.approx(560 / 3)
    assert sorted(found.replies) == [100, 200, 300, 300, 400]
    assert found.paces == ()


def test_a_named_baseline_among_the_runs_counts_once(tmp_path: Path) -> None:
    cells.write(tmp_path / "r1", cells.Made("fp8", lengths(100)), cells.Made("bf16", lengths(400)))
    named = tmp_path / "r1" / ".." / "r1" / "fp8" / "mmlu_pro"
    found = expected_lengths(tmp_path, tmp_path / "r4" / "nvfp4" / "mmlu_pro", identity(), {}, baseline=named)
    assert sorted(found.replies) == [100, 400]
    assert found.items == {"0": 250.0}


def test_rates_come_from_this_model_only(tmp_path: Path) -> None:
    cells.write(tmp_path / "r1", cells.Made("fp8", lengths(100)), cells.Made("nvfp4", lengths(70), task="gsm8k"))
    found = expected_lengths(tmp_path, tmp_path / "r4" / "nvfp4" / "mmlu_pro", identity(), {})
    assert found.paces == ((70.0, 1.0),)


def test_without_records_the_card_says_what_is_typical(tmp_path: Path) -> None:
    found = expected_lengths(tmp_path, tmp_path / "r" / "m" / "mmlu_pro", identity(thinking=False), {})
    assert found.expected("1") == typical_tokens("mmlu_pro", thinking=False) == 125
    assert typical_tokens("my_package:Mine", thinking=True) is None
