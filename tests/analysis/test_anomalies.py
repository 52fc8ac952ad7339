"""Gains above the margin: found, explained, and without effect on the call."""

import json
from pathlib import Path

import numpy as np
import pytest

from evalsuite.cli.gate import gate
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import Exit
from tests.support.cells import Answer, Made, answers, write

N = 1000


def judged(
    home: Path, base: list[Answer], cand: list[Answer], candidate_server: dict[str, object] | None = None
) -> dict:  # type: ignore[type-arg]
    arms = [{str(item): [answer] for item, answer in enumerate(arm)} for arm in (base, cand)]
    servers = [{"facts": {"kv_cache_dtype": "auto"}}, {"facts": candidate_server or {"kv_cache_dtype": "auto"}}]
    made = [Made(name, arm, server=server) for name, arm, server in zip("ab", arms, servers, strict=True)]
    write(home / "r", *made, *(Made(name, answers([1] * 300), task="gsm8k") for name in "ab"))
    margins = {task: Margin(2, "us", "why not") for task in ("mmlu_pro", "gsm8k")}
    assert gate(Report(run=["r"], results_dir=str(home), baseline="a", gate=Gate(margins))) == Exit.DONE
    return dict(json.loads((home / "r" / "report" / "verdict.json").read_text()))


def test_a_gain_above_the_margin_is_anomalous_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [Answer(0.0, "truncated" if item % 2 else "wrong") if item < 100 else Answer(1.0) for item in range(N)]
    content = judged(tmp_path, base, [Answer(1.0)] * N, {"kv_cache_dtype": "fp8_e4m3"})
    (anomaly,) = content["anomalies"]
    assert (anomaly["status"], anomaly["task"], content["verdict"]) == ("anomalous", "mmlu_pro", "pass")
    assert anomaly["delta"] == pytest.approx(0.1)
    assert any(
        cause.startswith("fewer truncated answers than the baseline: +5.00 of +10.00 pt") for cause in anomaly["causes"]
    )
    assert any("kv_cache_dtype" in cause for cause in anomaly["causes"])
    assert not any("readable" in cause for cause in anomaly["causes"])
    assert "ANOMALOUS" in capsys.readouterr().out
    assert content["candidates"]["b"]["bare_threshold"]["threshold"] == 0.01


def test_small_or_chance_gains_are_none(tmp_path: Path) -> None:
    within = [Answer(float(item >= 15)) for item in range(N)]  # significant, below the margin of 2 points
    assert judged(tmp_path / "small", within, [Answer(1.0)] * N)["anomalies"] == []
    rng = np.random.default_rng(2)
    arms = [[Answer(float(value)) for value in rng.random(N) < 0.99] for _ in "ab"]
    assert judged(tmp_path / "chance", *arms)["anomalies"] == []
