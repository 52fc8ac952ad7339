"""Arms that differ in server facts on purpose: each effect by itself, and none put down to the other."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.analysis.suite import SuiteComparison, compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.errors import BadInput
from evalsuite.stats.delta import paired_delta
from tests.support.cells import Answer, Made, write

FACTS = {"dialect": "sglang", "speculative_algorithm": None, "speculative_num_draft_tokens": None, "tp_size": 4}
MTP = {"speculative_algorithm": "NEXTN", "speculative_num_draft_tokens": 6}
ITEMS = 400
ARMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "bf16": ("m/bf16", {}),
    "bf16_mtp": ("m/bf16", MTP),
    "fp8": ("m/fp8", {}),
    "fp8_mtp": ("m/fp8", MTP),
}


def values(lost: Mapping[str, int], items: int = ITEMS) -> dict[str, list[float]]:
    """Answers of every arm: the same ones right, but for the last ``lost`` of them."""
    return {arm: [float(item % 10 > 0 and item < items - gone) for item in range(items)] for arm, gone in lost.items()}


def made(
    folder: Path, lost: Mapping[str, int], changed: Mapping[str, dict[str, Any]] | None = None, **cell: Any
) -> Path:
    """A run with an arm for each key of ``lost``; ``changed``: arm -> further facts of its server."""
    return write(
        folder / "run",
        *(
            Made(
                arm, {str(item): [Answer(value)] for item, value in enumerate(right)}, "gsm8k", title=arm.upper(),
                baseline=None if arm == "bf16" else "bf16", identity={"checkpoint": ARMS[arm][0]},
                server={"facts": {**FACTS, **ARMS[arm][1], **(changed or {}).get(arm, {})}}, **cell,
            )
            for arm, right in values(lost).items()
        ),
    )  # fmt: skip


def compared(run: Path, *varies: str) -> SuiteComparison:
    for path in run.glob("*/*/manifest.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"varies": varies}))
    return compare_all(load_run(run))


def numbers(suite: SuiteComparison) -> dict[tuple[str, str], float]:
    (table,) = suite.effects
    return {(effect.kind, effect.at): round(effect.change.delta * ITEMS, 6) for effect in table.effects}


def test_four_arms_give_three_effects_each_with_its_interval(tmp_path: Path) -> None:
    lost = {"bf16": 0, "bf16_mtp": 20, "fp8": 40, "fp8_mtp": 90}
    suite = compared(made(tmp_path, lost), "speculative")
    assert numbers(suite) == {
        ("checkpoint", ""): -49.5,
        ("checkpoint", "speculative off"): -36,
        ("checkpoint", "speculative NEXTN"): -63,
        ("server", ""): -31.5,
        ("server", "BF16"): -18,
        ("server", "FP8"): -45,
        ("interaction", ""): -27,
    }
    (table,) = suite.effects
    assert table.missing == ""
    right = {arm: np.array(row) for arm, row in values(lost).items()}
    for effect in table.effects:
        assert effect.besides == ()
        assert effect.change.ci95 is not None
        assert effect.change.ci95[0] < effect.change.delta < effect.change.ci95[1] < 0
    alone = next(effect.change for effect in table.effects if effect.at == "FP8")
    assert alone == paired_delta(right["fp8"], right["fp8_mtp"], single=True)
    row = next(row for row in suite.comparisons if row.candidate.cell.model == "bf16_mtp")
    assert row.cautions == (
        "server effect, not the checkpoint's: both arms are one checkpoint, and speculative off → NEXTN differ on "
        "purpose (varies)",
    )
    diagonal = next(row for row in suite.comparisons if row.candidate.cell.model == "fp8_mtp")
    assert diagonal.cautions[0].startswith("checkpoint or server: speculative off → NEXTN differ, too, on purpose")
    assert next(row for row in suite.comparisons if row.candidate.cell.model == "fp8").cautions == ()


@pytest.mark.parametrize(
    ("arms", "shown", "missing"),
    [
        (
            ("bf16", "bf16_mtp", "fp8"),
            {"checkpoint": "speculative off", "server": "BF16"},
            "FP8 with speculative NEXTN",
        ),
        (("bf16", "bf16_mtp", "fp8_mtp"), {"checkpoint": "speculative NEXTN", "server": "BF16"}, "speculative off"),
        (("bf16", "fp8", "fp8_mtp"), {"checkpoint": "speculative off", "server": "FP8"}, "BF16 with speculative NEXTN"),
        (("bf16", "bf16_mtp"), {"server": "BF16"}, ""),
    ],
)
def test_fewer_arms_give_what_they_show_and_name_the_missing_one(
    tmp_path: Path, arms: tuple[str, ...], shown: dict[str, str], missing: str
) -> None:
    lost = {"bf16": 0, "bf16_mtp": 10, "fp8": 30, "fp8_mtp": 40}
    (table,) = compared(made(tmp_path, {arm: lost[arm] for arm in arms}), "speculative").effects
    assert {effect.kind: effect.at for effect in table.effects} == shown
    assert (missing in table.missing) if missing else table.missing == ""


def test_what_differs_besides_stands_with_the_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = {"bf16": 0, "bf16_mtp": 10, "fp8": 30, "fp8_mtp": 40}
    run = made(tmp_path, lost, {"fp8": {"tp_size": 8}})
    report(Report(run=[str(run)], varies=["speculative"], out=str(tmp_path / "out")))
    (table,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["effects"]
    besides = {(effect["effect"], effect["at"]): effect["besides"] for effect in table["effects"]}
    assert besides["checkpoint", "speculative off"] == ["tensor_parallel 4 → 8"]
    assert besides["checkpoint", "speculative NEXTN"] == besides["server", "BF16"] == []
    printed = capsys.readouterr().out
    for text in (printed, *((tmp_path / "out" / name).read_text("utf-8") for name in ("report.md", "report.html"))):
        assert "Checkpoint and server effects" in text
        assert "checkpoint or tensor_parallel" in text
        assert "mean of both servers" in text
    assert "speculative (on purpose)" in printed
    assert (tmp_path / "out" / "tables" / "effects.csv").read_text().count("\n") == 8


@pytest.mark.parametrize(
    ("arms", "varies", "words"),
    [
        (("bf16", "bf16_mtp"), ["speculativ"], "did you mean 'speculative'?"),
        (("bf16", "fp8"), ["quantization"], "unknown server fact in varies 'quantization'"),
        (("bf16", "fp8"), ["speculative"], "speculative off in all arms (bf16, fp8); nothing differs"),
        (
            ("bf16", "fp8_mtp"),
            ["speculative"],
            "of different checkpoints, so that checkpoint and server change together",
        ),
        (("bf16", "bf16_mtp"), ["moe_backend"], "the servers of bf16, bf16_mtp do not state it"),
    ],
)
def test_bad_use_is_one_message(tmp_path: Path, arms: tuple[str, ...], varies: list[str], words: str) -> None:
    run = made(tmp_path, dict.fromkeys(arms, 0))
    with pytest.raises(BadInput) as error:
        report(Report(run=[str(run)], varies=varies, out=str(tmp_path / "out")))
    assert words in str(error.value)
    assert not (tmp_path / "out").exists()


def test_declared_by_the_arms_it_is_no_error_while_arms_are_missing(tmp_path: Path) -> None:
    suite = compared(made(tmp_path, {"bf16": 0, "fp8": 3}), "speculative")
    assert suite.effects == ()
    assert suite.no_effects.startswith("varies=[speculative]: speculative off in all arms")
    alone = compared(made(tmp_path / "alone", {"bf16": 0}), "speculative")
    assert alone.no_effects.startswith("varies=[speculative]: speculative off in all arms (bf16); nothing differs")


def test_an_incomplete_arm_gives_no_numbers(tmp_path: Path) -> None:
    run = made(tmp_path, {"bf16": 0, "bf16_mtp": 3}, planned=[str(item) for item in range(ITEMS + 1)])
    (table,) = compared(run, "speculative").effects
    assert table.effects == ()
    assert "400 of 401 samples measured" in table.reason


def test_without_varies_a_loss_of_one_checkpoint_is_the_servers(tmp_path: Path) -> None:
    (row,) = compare_all(load_run(made(tmp_path, {"bf16": 0, "bf16_mtp": 60}))).comparisons
    assert row.cautions == (
        "server effect, not the checkpoint's: both arms are one checkpoint, and speculative off → NEXTN differ "
        "(speculative not declared in varies)",
    )
