"""Gated items are known by their dataset, whatever the task, its folder or its class is called."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from evalsuite.config.compose import load_settings
from evalsuite.engine.manifests import run_spec
from evalsuite.records import Item
from evalsuite.tasks import gating
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.gating import is_gated_dataset
from evalsuite.tasks.gpqa_diamond import GPQADiamond
from tests.support.toy import Additions


@dataclass(frozen=True)
class Hard(Additions):
    """A class of the user's that reads a gated dataset under a name of its own."""

    source: Source = HUB

    def items(self) -> Iterable[Item]:
        for row in rows("gpqa_diamond", pin("gpqa_diamond"), "train", self.source):
            yield Item(row["Record ID"], {"a": row["Question"]}, "1")


@dataclass(frozen=True)
class Declared(Additions):
    """A class that states itself that its items must not be shown."""

    gated: ClassVar[bool] = True


def identity(adapter: str, task: str = "mine", **options: Any) -> dict[str, Any]:
    return {"identity": {"adapter": adapter, "task": task, "options": options}}


@pytest.mark.parametrize(
    ("manifest", "gated"),
    [
        (identity("gpqa_diamond"), True),
        (identity("evalsuite.tasks.gpqa_diamond:GPQADiamond"), True),
        (identity("lm_eval", task="leaderboard_gpqa_main"), True),
        (identity("lm_eval", include_path="x", group="GPQA_diamond_zeroshot"), True),
        (identity("my.tasks:Hard") | {"gated": True}, True),
        (identity("my.tasks:Hard"), False),
        (identity("mmlu_pro"), False),
        (identity("lm_eval", task="gsm8k"), False),
    ],
)
def test_a_manifest_tells_gated_items(manifest: dict[str, Any], gated: bool) -> None:
    assert gating.is_gated(manifest) == gated
    assert gating.is_gated(manifest, "gpqa_diamond")


@pytest.mark.parametrize(("name", "gated"), [("Hard", True), ("Declared", True), ("Plain", False)])
def test_a_run_notes_that_its_dataset_is_gated(tmp_path: Path, name: str, gated: bool) -> None:
    folder = tmp_path / "gpqa_diamond"
    folder.mkdir()
    row = dict.fromkeys(pin("gpqa_diamond").splits["train"].columns, "x")
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n")
    config = tmp_path / "conf" / "task"
    config.mkdir(parents=True)
    adapter = "tests.support.toy:Additions" if name == "Plain" else f"tests.tasks.test_gating:{name}"
    text = f"# @package tasks.mine\nadapter: {adapter}\nvariant: plain\n"
    (config / "mine.yaml").write_text(text)
    words = ["model=demo_bf16", "task=mine", "data=local", f"data.root={tmp_path}"]
    spec = run_spec(load_settings(words, str(tmp_path / "conf")))
    (manifest,) = spec.manifests.values()
    assert bool(manifest.get("gated")) == spec.tasks["mine"].gated == gated
    assert GPQADiamond.version


def test_a_short_name_is_gated_only_as_a_word_of_its_own() -> None:
    assert all(is_gated_dataset(name) for name in ("hle", "cais/hle", "my_hle_text", "HLE2"))
    assert not any(is_gated_dataset(name) for name in ("mathlete", "athlete_quiz", "hles"))
