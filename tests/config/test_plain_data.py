"""The plain data of ``conf/``: published tables and machines, held to a strict shape and to their sources' sums."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.config.files import config_source
from evalsuite.config.paths import shipped
from evalsuite.config.settings import Run

CARDS = sorted((shipped("conf") / "card").glob("*.yaml"))
MACHINES = sorted((shipped("conf") / "hardware").glob("*.yaml"))
MODELS = config_source("run", Run, (), None).options("model")
NOT_STATED = "not stated"
WEIGHTS_GB = {"bf16": 800, "fp8": 400, "fp4": 250}
"""Weights of Qwen3.5-397B-A17B (SGLang cookbook)."""
TABLE = {
    "H100": (80, 16, 8, None),
    "H200": (141, 8, 4, None),
    "B200": (183, 8, 4, 4),
    "B300": (275, 4, 2, 2),
    "MI300X": (192, 8, 4, None),
    "MI325X": (256, 4, 2, None),
    "MI355X": (288, 4, 2, None),
    "RTX Pro 6000 Blackwell": (96, None, None, 4),
}
"""Device -> memory in GB, tensor parallel at BF16, FP8, FP4 (the cookbook's table; last row: lukealonso's card)."""


def read(file: Path) -> dict[str, Any]:
    """The file's content."""
    content = yaml.safe_load(file.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.stem)
def test_every_card_has_the_shape_that_reports_read(file: Path) -> None:
    card = read(file)
    assert card.keys() - {"groups"} == {"title", "source", "model", "date", "settings", "columns", "rows", "errata"}
    assert {"temperature", "top_p", "max_tokens", "repeats", "prompts", "thinking"} <= card["settings"].keys()
    assert all(isinstance(value, int | float | str) for value in card["settings"].values())
    keys = [column["key"] for column in card["columns"]]
    for column in card["columns"]:
        assert column.keys() == {"key", "title", "checkpoint", "role"}
        assert column["role"] in ("baseline", "candidate")
        assert column["key"] in MODELS
    assert len(set(keys)) == len(keys)
    for row in card["rows"]:
        assert row.keys() == {"task", "title", "scores", "n", "note"}
        assert list(row["scores"]) == keys
        assert all(isinstance(score, float) and 0 < score < 1 for score in row["scores"].values())
        assert row["n"] == NOT_STATED or row["n"] > 0
    for group in card.get("groups", []):
        assert group.keys() == {"task", "group", "column", "values"}
        assert group["column"] in keys
        assert all(0 <= value["correct"] <= value["n"] for value in group["values"].values())
    assert card["errata"]
    assert all(isinstance(text, str) for text in card["errata"])


@pytest.mark.parametrize("file", CARDS, ids=lambda file: file.stem)
def test_cards_name_the_checkpoints_of_our_models(file: Path) -> None:
    for column in read(file)["columns"]:
        model = read(shipped("conf") / "model" / f"{column['key']}.yaml")
        assert model["checkpoint"] == column["checkpoint"]


def test_counts_of_a_card_add_up_to_its_total() -> None:
    card = read(shipped("conf") / "card" / "lukealonso_qwen3_5_397b_nvfp4.yaml")
    (group,) = card["groups"]
    correct = sum(value["correct"] for value in group["values"].values())
    items = sum(value["n"] for value in group["values"].values())
    assert (len(group["values"]), correct, items) == (14, 10594, 12032)
    (row,) = card["rows"]
    assert row["n"] == items
    assert row["scores"]["nvfp4_community"] == round(correct / items, 4)


def test_the_release_card_is_copied_right() -> None:
    card = read(shipped("conf") / "card" / "nvidia_qwen3_5_397b_nvfp4_v2.yaml")
    assert {row["task"]: tuple(row["scores"].values()) for row in card["rows"]} == {
        "mmmu_pro": (0.787, 0.784),
        "gpqa_diamond": (0.872, 0.877),
        "scicode": (0.467, 0.481),
        "aa_lcr": (0.688, 0.678),
        "ifbench": (0.761, 0.765),
        "tau2_telecom": (0.954, 0.952),
    }
    assert [column["role"] for column in card["columns"]] == ["baseline", "candidate"]
    sampling = read(shipped("conf") / "sampling" / "card.yaml")
    assert {name: card["settings"][name] for name in ("temperature", "top_p", "max_tokens")} == sampling["origin"][
        "card"
    ]


@pytest.mark.parametrize("file", MACHINES, ids=lambda file: file.stem)
def test_every_machine_is_a_row_of_the_table(file: Path) -> None:
    machine = read(file)
    keys = {"title", "gpu", "memory_gb", "gpus", "model", "tensor_parallel", "source", "notes"}
    assert machine.keys() == keys | {"launch_flags", "devices_variable"}
    assert machine["launch_flags"].keys() <= {"bf16", "fp8", "fp4"}
    assert machine["devices_variable"] == ("HIP" if machine["gpu"].startswith("MI") else "CUDA") + "_VISIBLE_DEVICES"
    parallel = machine["tensor_parallel"]
    assert TABLE[machine["gpu"]] == (machine["memory_gb"], parallel["bf16"], parallel["fp8"], parallel["fp4"])
    for precision, devices in parallel.items():
        assert devices is None or WEIGHTS_GB[precision] / devices < machine["memory_gb"]
    assert file.stem.endswith(f"x{machine['gpus']}")


def test_the_table_is_whole() -> None:
    assert {read(file)["gpu"] for file in MACHINES} == TABLE.keys()


def test_every_task_has_its_three_rooms() -> None:
    """``conf/task``, ``tasks`` and the adapters have the same names (``lm_eval`` and ``jsonl`` are no benchmarks)."""
    from evalsuite.tasks.registry import ADAPTERS

    configured = {file.stem for file in (shipped("conf") / "task").glob("*.yaml")}
    described = {file.parent.name for file in shipped("tasks").glob("*/card.yaml")}
    assert configured == set(ADAPTERS) == described | {"lm_eval", "jsonl"}
