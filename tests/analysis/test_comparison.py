"""Two cells compared: known truths, refusals, and what must not change the result."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import evalsuite
from evalsuite.analysis.comparison import CAUSES, FAULTS, Comparison, compare
from evalsuite.analysis.suite import choose_pairs, compare_all, find_baselines
from evalsuite.analysis.table import load_run
from evalsuite.errors import BadInput
from evalsuite.store.runs import run_cells
from tests.support.cells import SAMPLING, Answer, Made, answers, repeated, write
from tests.support.shared import shared_data

LOST, GAINED, BOTH, NEITHER = 12, 3, 80, 19
BASE = [1] * LOST + [0] * GAINED + [1] * BOTH + [0] * NEITHER
CAND = [0] * LOST + [1] * GAINED + [1] * BOTH + [0] * NEITHER


def compared(folder: Path, base: Made, cand: Made) -> Comparison:
    table = load_run(write(folder, base, cand))
    return compare(table, cand.task, base.model, cand.model)


def test_single_answers_with_known_truth(tmp_path: Path) -> None:
    subjects = {str(item): "law" if item < LOST else "math" for item in range(len(BASE))}
    got = compared(
        tmp_path / "r", Made("fp8", answers(BASE), subjects=subjects), Made("v2", answers(CAND), subjects=subjects)
    )
    row = got.to_json()
    n = len(BASE)
    assert (row["items"], row["repeats"], row["lost"], row["gained"]) == (n, [1, 1], LOST, GAINED)
    assert row["delta"] == pytest.approx((GAINED - LOST) / n)
    assert row["ci95"] == pytest.approx([-0.15338527066594837, -0.014045957192845559], rel=1e-7)
    assert row["p_value"] == pytest.approx(0.03515625)
    assert row["mde"] == pytest.approx(2.801585218 * row["stderr"])
    assert row["recovery"] == pytest.approx((BOTH + GAINED) / (BOTH + LOST))
    assert row["tokens_ratio"] == 1.0
    assert row["comparable"] == {"ok": True, "differences": [], "unknown": [], "confounders": []}
    assert (row["margin"], row["verdict"], row["reason"], row["partial"]) == (None, None, "", "")
    law, math = row["groups"]["subject"]
    assert (law["value"], law["n"], law["delta"]) == ("law", LOST, -1.0)
    assert law["p_value"] == pytest.approx(2 / 2**LOST)
    assert law["p_holm"] == pytest.approx(4 / 2**LOST)
    assert math["p_value"] == pytest.approx(0.25)
    assert math["q_bh"] == pytest.approx(0.25)
    assert sum(part["n"] * part["delta"] for part in (law, math)) == pytest.approx(n * row["delta"])
    json.dumps(row, allow_nan=False)


def test_swapping_the_arms_mirrors_everything(tmp_path: Path) -> None:
    table = load_run(write(tmp_path / "r", Made("a", answers(BASE)), Made("b", answers(CAND))))
    there, back = compare(table, "mmlu_pro", "a", "b").to_json(), compare(table, "mmlu_pro", "b", "a").to_json()
    assert back["delta"] == -there["delta"]
    assert back["ci95"] == pytest.approx([-there["ci95"][1], -there["ci95"][0]])
    assert (back["lost"], back["gained"]) == (there["gained"], there["lost"])
    assert back["p_value"] == there["p_value"]
    assert back["causes"] == pytest.approx({cause: -part for cause, part in there["causes"].items()})


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base, cand = repeated(rng.integers(0, 2, (30, 2)).tolist()), repeated(rng.integers(0, 2, (30, 3)).tolist())
    shuffled = {item: cand[item] for item in rng.permutation(list(cand)).tolist()}
    first = compared(tmp_path / "r1", Made("a", base), Made("b", cand))
    second = compared(tmp_path / "r2", Made("a", base), Made("b", shuffled, planned=list(cand)))
    assert first.to_json() == second.to_json()


def test_unequal_repeats_are_compared_on_item_means(tmp_path: Path) -> None:
    base = [[1, 1], [1, 0], [0, 0], [1, 1]] * 20
    cand = [[1, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]] * 20
    got = compared(tmp_path / "r", Made("a", repeated(base)), Made("b", repeated(cand)))
    row = got.to_json()
    assert row["repeats"] == [2, 4]
    assert row["method"] == "paired t on item means"
    assert row["delta"] == pytest.approx((-0.25 - 0.25) / 4)
    assert row["lost"] == pytest.approx(20 * (0.25 + 0.5 * 0.75))
    assert row["gained"] == pytest.approx(20 * 0.5 * 0.25)
    difference = np.array([-0.25, -0.25, 0.0, 0.0] * 20)
    assert row["stderr"] == pytest.approx(difference.std(ddof=1) / np.sqrt(80))


def test_fractional_scores(tmp_path: Path) -> None:
    base, cand = [0.5, 1.0, 0.25, 0.0] * 15, [0.25, 1.0, 0.5, 0.0] * 15
    row = compared(tmp_path / "r", Made("a", answers(base)), Made("b", answers(cand))).to_json()
    assert (row["delta"], row["lost"], row["gained"]) == (0.0, 15, 15)
    assert row["method"] == "paired t on item means"


def test_option_orders_use_only_common_repeats(tmp_path: Path) -> None:
    def arm(values: list[list[float]]) -> dict[str, list[Answer]]:
        return {
            str(item): [Answer(value, prompt=f"{item}-{repeat}") for repeat, value in enumerate(row)]
            for item, row in enumerate(values)
        }

    base, cand = arm([[1], [1], [0]] * 20), arm([[1, 0, 0], [1, 0, 0], [1, 0, 0]] * 20)
    row = compared(tmp_path / "r", Made("a", base), Made("b", cand)).to_json()
    assert (row["candidate_score"], row["baseline_score"]) == (1.0, pytest.approx(2 / 3))


def test_causes_add_up_to_the_delta(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    kinds = ("correct", "wrong", "truncated", "no_answer", "refused")

    def arm(seed_shift: float) -> dict[str, list[Answer]]:
        chances = np.array([0.6 - seed_shift, 0.2, 0.1 + seed_shift, 0.05, 0.05])
        return {
            str(item): [
                Answer(1.0 if kind == "correct" else 0.0, kind, weight=1 + item % 3)
                for kind in rng.choice(kinds, 2, p=chances)
            ]
            for item in range(100)
        }

    row = compared(tmp_path / "r", Made("a", arm(0.0)), Made("b", arm(0.2))).to_json()
    assert tuple(row["causes"]) == (*CAUSES, *FAULTS)
    assert sum(row["causes"].values()) == pytest.approx(row["delta"])
    assert row["causes"]["truncated"] < -0.1
    assert sum(row["outcomes"]["candidate"].values()) == 200


def test_tokens_ratio_needs_tokens(tmp_path: Path) -> None:
    short, long = ({str(item): [Answer(1, tokens=count + 2 * item)] for item in range(3)} for count in (50, 76))
    assert compared(tmp_path / "r1", Made("a", short), Made("b", long)).to_json()["tokens_ratio"] == 1.5
    none = {str(item): [Answer(1, tokens=None)] for item in range(3)}
    assert compared(tmp_path / "r2", Made("a", short), Made("b", none)).to_json()["tokens_ratio"] is None


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ({"protocol": "2"}, "protocol: 1 -> 2"),
        ({"variant": "official"}, "variant: nvidia -> official"),
        ({"options": {"shots": 5}}, "options.shots: None -> 5"),
        ({"thinking": False}, "thinking: True -> False"),
        ({"sampling": SAMPLING | {"temperature": 1.0}}, r"sampling.temperature: 0.6 -> 1.0"),
        ({"data_sha": "beef"}, "data_sha: d0d0 -> beef"),
    ],
)
def test_what_is_known_to_differ_is_refused(tmp_path: Path, identity: dict[str, object], key: str) -> None:
    table = load_run(write(tmp_path / "r", Made("a", answers([1, 0])), Made("b", answers([1, 1]), identity=identity)))
    with pytest.raises(BadInput, match=key):
        compare(table, "mmlu_pro", "a", "b")
    row = compare_all(table, "a").to_json()
    assert row["comparable"]["ok"] is False
    assert row["rows"][0]["delta"] is None
    assert row["rows"][0]["comparable"]["differences"]


def test_another_grading_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    table = load_run(write(tmp_path / "r", Made("a", answers([1, 0])), Made("b", answers([1, 1]), version="1.1")))
    with pytest.raises(BadInput, match=r"version: 1\.0 -> 1\.1 .*evalsuite rescore"):
        compare(table, "mmlu_pro", "a", "b")


def test_another_prompt_for_an_equal_item_is_refused(tmp_path: Path) -> None:
    edited = answers([1, 1]) | {"1": [Answer(1, prompt="edited")]}
    table = load_run(write(tmp_path / "r", Made("a", answers([1, 0])), Made("b", edited)))
    with pytest.raises(BadInput, match="prompt: another one in 1 item, such as 1"):
        compare(table, "mmlu_pro", "a", "b")


def test_unknown_settings_of_imports_are_a_warning(tmp_path: Path) -> None:
    got = compared(tmp_path / "r", Made("a", answers([1, 0])), Made("b", answers([1, 1]), imported=True))
    assert got.delta == 0.5
    assert got.comparable.unknown == ("thinking (b)", "sampling (b)", "prompts (b)")


def test_undeclared_missing_items_give_no_delta(tmp_path: Path) -> None:
    got = compared(tmp_path / "r", Made("a", answers([1, 0, 1])), Made("b", answers([1, None, 1])))
    row = got.to_json()
    assert row["delta"] is None
    assert row["groups"] == {}
    assert row["reason"] == "incomplete: b: 2 of 3 samples measured (1 failed)"
    assert row["outcomes"]["candidate"]["failed"] == 1


def test_declared_selections_are_compared_and_labelled(tmp_path: Path) -> None:
    part = Made("b", answers([1, 0]), total_items=4)
    got = compared(tmp_path / "r", Made("a", answers([1, 1, 0, 0])), part)
    assert (got.delta, got.partial) == (-0.5, "2 of 4 items")


def test_nothing_in_common(tmp_path: Path) -> None:
    other = Made("b", {"7": [Answer(1)]}, total_items=3)
    got = compared(tmp_path / "r", Made("a", answers([1, 0]), total_items=3), other)
    assert (got.delta, got.reason) == (None, "MMLU-Pro: b with a have no item in common")


def test_a_model_is_not_its_own_baseline(tmp_path: Path) -> None:
    table = load_run(write(tmp_path / "r", Made("a", answers([1, 0]))))
    with pytest.raises(BadInput, match="cannot be compared with itself"):
        compare(table, "mmlu_pro", "a", "a")


def pairs(folder: Path, asked: str | None, *cells: Made) -> dict[str, tuple[str, str]]:
    table = load_run(write(folder, *cells))
    return {pair.candidate: (pair.baseline, pair.reason) for pair in choose_pairs(table, asked)}


def test_baselines_are_declared_or_the_first(tmp_path: Path) -> None:
    one = answers([1, 0])
    declared = pairs(
        tmp_path / "r1", None, Made("a_v2", one, baseline="fp8"), Made("fp8", one, baseline="bf16"), Made("other", one)
    )
    assert declared["a_v2"] == ("fp8", "declared")
    assert declared["other"][0] == "fp8"
    assert "fp8" not in declared
    none = pairs(tmp_path / "r2", None, Made("a", one), Made("b", one, baseline="absent"))
    assert none == {"b": ("a", "the first model here, as no declared baseline is")}
    asked = pairs(tmp_path / "r3", "b", Made("a", one, baseline="c"), Made("b", one), Made("c", one))
    assert asked == {"a": ("b", "requested"), "c": ("b", "requested")}
    with pytest.raises(BadInput, match="unknown baseline 'd'"):
        pairs(tmp_path / "r4", "d", Made("a", one))


def test_a_model_without_thinking_has_its_like_as_baseline(tmp_path: Path) -> None:
    one = answers([1, 0])
    cells = [Made("fp8", one), Made("fp8-nothink", one), Made("v2-nothink", one, baseline="fp8")]
    found = pairs(tmp_path / "r", None, *cells)
    assert found["v2-nothink"] == ("fp8-nothink", "declared")
    assert "fp8" not in found
    asked = choose_pairs(load_run(tmp_path / "r"), "fp8")
    assert [(pair.baseline, pair.candidate) for pair in asked] == [("fp8-nothink", "v2-nothink")]


def test_a_baseline_in_another_run_is_found(tmp_path: Path) -> None:
    one = answers([1, 0])
    write(tmp_path / "old", Made("fp8", one))
    write(tmp_path / "other", Made("fp8", one, identity={"sampling": SAMPLING | {"top_p": 1.0}}))
    write(tmp_path / "new", Made("v2", one, baseline="fp8"))
    found = find_baselines(run_cells(tmp_path / "new"), tmp_path, None)
    assert [cell.run for cell in found] == ["old"]
    write(tmp_path / "torn", Made("fp8", one))
    (tmp_path / "torn" / "fp8" / "mmlu_pro" / "manifest.json").write_text("{")
    assert find_baselines(run_cells(tmp_path / "new"), tmp_path, None) == found
    assert find_baselines(run_cells(tmp_path / "old"), tmp_path, None) == ()


def test_the_suite_mean_weighs_tasks_equally(tmp_path: Path) -> None:
    cells = [
        Made(model, answers(values * repeat), task=task)
        for task, repeat in (("mmlu_pro", 1), ("gsm8k", 3))
        for model, values in (("a", BASE), ("b", CAND if task == "gsm8k" else BASE))
    ]
    overview = compare_all(load_run(write(tmp_path / "r", *cells)))
    mean = overview.to_json()["suite"]["b"]
    deltas = {row.task: row.to_json() for row in overview.comparisons}
    assert mean["delta"] == pytest.approx((GAINED - LOST) / len(BASE) / 2)
    errors = [deltas[task]["stderr"] for task in ("mmlu_pro", "gsm8k")]
    assert mean["stderr"] == pytest.approx(np.hypot(*errors) / 2)
    single = compare_all(load_run(tmp_path / "r")).means
    assert len(single) == 1


def recorded(model: str) -> Iterator[dict[str, str]]:
    with gzip.open(shared_data() / "mmlu_pro" / f"outputs_{model}.jsonl.gz", "rt") as file:
        yield from map(json.loads, file)


def test_real_near_twins(tmp_path: Path) -> None:
    """The recorded verdicts of two real models: overall alike, some subjects not (computed apart, with scipy alone)."""
    with gzip.open(shared_data() / "mmlu_pro" / "test.jsonl.gz", "rt") as file:
        subjects = {str(row["question_id"]): row["category"] for row in map(json.loads, file)}
    cells = []
    for model in ("Meta-Llama-3-70B", "Meta-Llama-3_1-70B"):
        verdicts = {
            str(row["question_id"]): [Answer(float(row["pred"] == row["answer"]), tokens=None)]
            for row in recorded(model)
        }
        cells.append(Made(model, verdicts, subjects=subjects, imported=True))
    row = compared(tmp_path / "r", *cells).to_json()
    assert (row["items"], row["lost"], row["gained"]) == (12032, 1012, 1067)
    assert row["delta"] == pytest.approx(0.00457, abs=1e-5)
    assert row["p_value"] == pytest.approx(0.236, abs=5e-4)
    strata = row["groups"]["subject"]
    hits = [sum(part[key] < 0.05 for part in strata) for key in ("p_value", "q_bh", "p_holm")]
    assert (len(strata), hits) == (14, [4, 2, 1])
    assert sum(part["lost"] for part in strata) == 1012
    assert row["comparable"]["unknown"][0].startswith("thinking")


def test_the_public_names(tmp_path: Path) -> None:
    run = write(tmp_path / "r", Made("a", answers(BASE)), Made("b", answers(CAND)))
    table = evalsuite.load_run(run)
    assert isinstance(table, evalsuite.RunTable)
    result = evalsuite.compare(table, task="mmlu_pro", baseline="a", candidate="b")
    assert isinstance(result, evalsuite.Comparison)
    assert callable(evalsuite.compare)
    assert set(evalsuite.__all__) <= set(dir(evalsuite))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        evalsuite.nothing  # noqa: B018
