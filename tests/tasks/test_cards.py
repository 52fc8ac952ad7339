"""What a benchmark is (tasks/), what runs it (evalsuite/tasks/) and how a run wants it (conf/task/) agree."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import HUB, card, chance_level, pin
from evalsuite.tasks.registry import ADAPTERS, COMMON, build, load

GUESTS = {"lm_eval", "jsonl"}
"""Adapters of questions that are not ours: no benchmark, no card."""
NAMES = sorted(set(ADAPTERS) - GUESTS)


def conf(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((shipped("conf") / "task" / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def test_the_same_names_everywhere() -> None:
    tasks = {path.parent.name for path in shipped("tasks").glob("*/card.yaml")}
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert tasks == set(NAMES) == {path.stem for path in (shipped("conf") / "task").glob("*.yaml")} - GUESTS
    assert set(NAMES) <= tests
    assert {path.parent.name for path in shipped("tasks").glob("*/README.md")} == tasks


@pytest.mark.parametrize("name", NAMES)
def test_card_class_and_configuration_agree(name: str) -> None:
    stated, kind, wanted = card(name), load(name), conf(name)
    assert stated["version"] == kind.version
    assert tuple(stated["variants"]) == kind.variants
    assert all(set(variant) == {"what", "source"} for variant in stated["variants"].values())
    assert (wanted["adapter"], wanted["variant"]) == (name, kind.variants[0])
    own = {field.name for field in dataclasses.fields(kind)} - set(COMMON)
    assert set(wanted["options"]) == own, "each option stands in conf/task with its default"
    made = build(name, variant=wanted["variant"], options=wanted["options"], source=HUB, seed=42)
    assert made == kind(wanted["variant"], 42, HUB)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_all_that_others_read(name: str) -> None:
    stated = card(name)
    keys = {"title", "paper", "version", "items", "groups", "gated", "license", "needs", "dataset", "variants"}
    assert set(stated) - {"chance"} == keys | {"typical_tokens", "design"}
    assert all(0 < (chance_level(name, variant) or 0.5) <= 0.5 for variant in stated["variants"])
    typical, design = stated["typical_tokens"], stated["design"]
    spent = ("thinking_off", "thinking_on", "prompt")
    assert set(typical) == {*spent, "judge", "simulator", "assumed", "source"}
    assert all(typical[key] > 0 for key in spent)
    assert set(typical["assumed"]) <= set(typical) - {"assumed", "source"}
    assert all((typical[aide] is not None) == (aide in stated["needs"]) for aide in ("judge", "simulator"))
    known = {"score", "phi", "tau", "answers", "units", "scored", "variant_items", "strata", "source"}
    assert set(design) - {"clustered"} == known
    assert set(design["variant_items"]) <= set(stated["variants"])
    assert set(design["strata"]) <= set(stated["groups"])
    assert all(sum(parts.values()) == stated["items"] for parts in design["strata"].values())
    sizes = [split["n"] for split in stated["dataset"]["splits"].values()]
    chosen = "window" in stated["dataset"] or any("picture" in one for one in stated["dataset"]["splits"].values())
    assert stated["items"] in (*sizes, sum(sizes)) or chosen


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"word_problems", "tau2_telecom", "tool_calls"}))
def test_hub_data_is_pinned_to_a_commit(name: str) -> None:
    pinned = pin(name)
    assert len(pinned.revision) == 40
    assert int(pinned.revision, 16)
    assert all(
        split.columns and Path(split.file).suffix in (".parquet", ".csv", ".jsonl") for split in pinned.splits.values()
    )


@pytest.mark.parametrize("name", NAMES)
def test_further_files_are_pinned_too(name: str) -> None:
    """By the dataset's commit, or by their content; what only the user can bring names its variable."""
    stated = card(name)["dataset"]
    assert "hub" in stated or "extra" not in stated
    for file in stated.get("downloads", ()):
        assert file["url"].startswith("https://")
        assert ("variable" in file and set(file) == {"file", "url", "variable"}) or len(file["sha256"]) == 64


def test_a_card_that_does_not_exist_and_data_that_has_no_pin() -> None:
    with pytest.raises(BadInput, match="unknown task card 'gsm9k'; did you mean 'gsm8k'"):
        card("gsm9k")
    with pytest.raises(BadInput, match="the questions of word_problems do not come from the hub"):
        pin("word_problems")
