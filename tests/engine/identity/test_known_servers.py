from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.fingerprint import PROMPTS, REPEATS, Fingerprint, TokenLogprobs, from_answers
from evalsuite.engine.identity.known_servers import (
    KnownServer,
    cells_of,
    known_servers,
    refuse_change,
    refuse_duplicate,
)
from evalsuite.errors import EndpointUnusable
from evalsuite.store.baseline import write_artefact
from evalsuite.store.cell import Cell, open_cell
from evalsuite.store.manifest import read_manifest, write_json
from evalsuite.store.runs import run_cells
from evalsuite.store.writer import JournalWriter
from tests.support import cells
from tests.support.cells import Made

V2 = {"checkpoint": "org/v2", "revision": None}


def made_print(seed: int, *, thinking: bool = True, tokens: int = 40, near: float = 0.0) -> Fingerprint:
    """A deterministic server's fingerprint; ``near`` moves it by so many nats."""
    answer = [
        tuple(
            TokenLogprobs(
                "a", {"a": -0.1 * seed - 0.03 * (prompt + place) - near, "b": -2.0 - 0.07 * (prompt * place) - near}
            )
            for place in range(12)
        )
        for prompt in range(len(PROMPTS))
    ]
    return from_answers([[one] * REPEATS for one in answer], thinking=thinking, prompt_tokens=[tokens] * len(PROMPTS))


def known(model: str, checkpoint: str, found: Fingerprint, same_as: str | None = None) -> KnownServer:
    return KnownServer(model, f"r/{model}/gsm8k", checkpoint, None, same_as, found)


def written(results: Path, run: str, model: str, checkpoint: str, *servers: Mapping[str, Any]) -> Path:
    folder = cells.write(results / run, Made(model, cells.answers([1.0]), identity={"checkpoint": checkpoint}))
    cell = folder / model / "mmlu_pro"
    manifest = read_manifest(cell)
    write_json(cell / "manifest.json", {**manifest, "server": list(servers)})
    return cell


def entry(found: Fingerprint | None, **facts: Any) -> dict[str, Any]:
    return {"at": "2026-11-20T19:00:00Z", "facts": facts, "fingerprint": None if found is None else found.to_json()}


def test_a_model_that_answers_like_another_is_refused_naming_its_cell() -> None:
    others = [known("bf16", "org/bf16", made_print(9)), known("fp8", "org/fp8", made_print(1))]
    with pytest.raises(EndpointUnusable, match=r"v2 answers exactly like r/fp8/gsm8k .* is fp8 still on this port"):
        refuse_duplicate("v2", V2, made_print(1), others, [])
    assert refuse_duplicate("v2", V2, made_print(3), others, []) == []


@pytest.mark.parametrize("declared", [[("v2", "fp8")], [("fp8", "v2")], [("v2", "x"), ("x", "fp8")]])
def test_models_declared_to_be_one_are_not_refused(declared: list[tuple[str, str]]) -> None:
    others = [known("fp8", "org/fp8", made_print(1))]
    assert refuse_duplicate("v2", V2, made_print(1), others, declared) == []


def test_what_a_stored_cell_declares_counts_too() -> None:
    others = [known("fp8", "org/fp8", made_print(1), same_as="v2")]
    assert refuse_duplicate("v2", V2, made_print(1), others, []) == []


def test_the_same_model_elsewhere_is_no_double_and_the_same_checkpoint_is_said() -> None:
    assert refuse_duplicate("v2", V2, made_print(1), [known("v2", "org/v2", made_print(1))], []) == []
    notes = refuse_duplicate("v2", V2, made_print(1), [known("v2_again", "org/v2", made_print(1))], [])
    assert notes == ["answers like v2_again, which is the same checkpoint"]


def test_what_cannot_be_told_is_said_and_what_contradicts_itself_too() -> None:
    near = refuse_duplicate("v2", V2, made_print(1, near=0.012), [known("fp8", "org/fp8", made_print(1))], [])
    assert len(near) == 1
    assert near[0].startswith("is not distinguishable from fp8 by its answers")
    odd = refuse_duplicate("v2", V2, made_print(1), [known("fp8", "org/fp8", made_print(7))], [("v2", "fp8")])
    assert "is declared to be fp8 (same_as), but answers differently" in odd[0]


def test_other_prompt_tokens_are_said_before_a_question_is_asked() -> None:
    notes = refuse_duplicate("v2", V2, made_print(1, tokens=42), [known("fp8", "org/fp8", made_print(7))], [])
    assert notes == ["counts other prompt tokens than fp8: " + ", ".join(["42 for 40"] * 5)]


def test_answers_with_and_without_thinking_are_not_held_against_each_other() -> None:
    others = [known("fp8", "org/fp8", made_print(1, thinking=False))]
    assert refuse_duplicate("v2", V2, made_print(1), others, []) == []


def test_all_cells_below_results_and_the_baseline_artefact_are_known(tmp_path: Path) -> None:
    results = tmp_path / "results"
    written(results, "one", "fp8", "org/fp8", entry(made_print(1)), entry(made_print(1)))
    written(results, "two", "bf16", "org/bf16", entry(None), entry(made_print(2)))
    torn = written(results, "three", "nvfp4", "org/nvfp4", entry(made_print(3)))
    (torn / "manifest.json").write_text("{")
    artefact = tmp_path / "baseline.zip"
    written(tmp_path, "saved", "old", "org/old", entry(made_print(5)))
    write_artefact(run_cells(tmp_path / "saved"), artefact)
    found = known_servers(results, str(artefact))
    assert [(one.model, one.cell) for one in found] == [
        ("fp8", "one/fp8/mmlu_pro"),
        ("bf16", "two/bf16/mmlu_pro"),
        ("old", "baseline.zip:mmlu_pro"),
    ]
    assert cells_of(results, "org/fp8") == ["one/fp8/mmlu_pro"]
    assert known_servers(tmp_path / "nowhere") == []


def opened(tmp_path: Path, *servers: Mapping[str, Any], answered: bool = True) -> Cell:
    folder = written(tmp_path, "r", "fp8", "org/fp8", *servers)
    if answered:
        (folder / "journal-host-1-abcdef12.jsonl").write_text("")
    manifest = {**read_manifest(folder), "server": []}  # as a new command plans it
    with JournalWriter() as commits:
        cell = open_cell(folder, manifest, commits)
        cell.close()
    return cell


def test_another_model_in_a_cell_that_has_answers_is_refused_saying_what_differs(tmp_path: Path) -> None:
    cell = opened(tmp_path, entry(made_print(1), quantization="fp8", tp_size=4))
    now = entry(made_print(3), quantization="modelopt_mixed", tp_size=4)
    with pytest.raises(
        EndpointUnusable, match=r"fp8/mmlu_pro: this is not the server .* quantization: fp8 -> modelopt"
    ):
        refuse_change(cell, now, made_print(3))


def test_another_start_of_the_same_model_is_said(tmp_path: Path) -> None:
    cell = opened(tmp_path, entry(made_print(1), tp_size=4))
    assert refuse_change(cell, entry(made_print(1), tp_size=4), made_print(1)) == ([], [])
    notes, idle = refuse_change(cell, entry(made_print(1), tp_size=8), made_print(1))
    assert notes == ["fp8/mmlu_pro: the server has changed since it answered before: tensor_parallel: 4 -> 8"]
    assert idle == []


LLAMA_CPP = {
    "dialect": "llama_cpp",
    "meta.n_params": 641_472,
    "meta.ftype": "all F32",
    "model_ftype": "all F32",
    "meta.size": 2_565_888,
    "media_marker": "<__media_A__>",
    "total_slots": 8,
    "unknown": "a",
}


@pytest.mark.parametrize(("near", "learnt"), [(0.0, ["unknown"]), (0.012, [])])
def test_only_a_fact_in_no_table_is_learnt_as_idle_and_only_where_the_answers_are_the_same(
    tmp_path: Path, near: float, learnt: list[str]
) -> None:
    cell = opened(tmp_path, entry(made_print(1), **LLAMA_CPP))
    again = {**LLAMA_CPP, "media_marker": "<__media_B__>", "total_slots": 2, "unknown": "b", "model_ftype": "Q8_0"}
    found = made_print(1, near=near)
    notes, idle = refuse_change(cell, entry(found, **again), found)
    assert idle == learnt
    assert "concurrent_requests: 8 -> 2" in notes[0]
    assert "model_ftype" in notes[0]
    assert ("unknown" in notes[0]) == (not learnt)
    assert "media_marker" not in notes[0]


def test_what_was_learnt_is_no_difference_any_more(tmp_path: Path) -> None:
    cell = opened(tmp_path, entry(made_print(1), **LLAMA_CPP))
    cell.manifest["idle"] = ["unknown"]
    notes, _ = refuse_change(cell, entry(made_print(1), **{**LLAMA_CPP, "unknown": "b"}), made_print(1))
    assert notes == []
    manifest = {"server": [entry(None, **LLAMA_CPP)], "idle": ["unknown"]}
    assert differing_facts(manifest, {"server": [entry(None, **{**LLAMA_CPP, "unknown": "c"})]}) == ()


def test_other_facts_about_the_model_are_refused_whatever_the_answers(tmp_path: Path) -> None:
    cell = opened(tmp_path, entry(made_print(1), **LLAMA_CPP))
    for found in (made_print(1), None):
        with pytest.raises(EndpointUnusable, match=r"meta\.n_params: 641472 -> 135000000"):
            refuse_change(cell, entry(found, **{**LLAMA_CPP, "meta.n_params": 135_000_000}), found)


def test_a_cell_without_answers_may_be_asked_of_anyone(tmp_path: Path) -> None:
    cell = opened(tmp_path, entry(made_print(1)), answered=False)
    assert refuse_change(cell, entry(made_print(3)), made_print(3)) == ([], [])
