"""Why a score moved: parts that add up, smaller budgets, stable loss, faults."""

from pathlib import Path

import numpy as np
import pytest

from evalsuite.analysis.causes import CAUSES, FAULTS
from evalsuite.analysis.comparison import Comparison, compare
from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from tests.support.cells import SAMPLING, Answer, Made, repeated, write


def compared(folder: Path, base: Made, cand: Made) -> Comparison:
    return compare(load_run(write(folder, base, cand)), cand.task, base.model, cand.model)


def test_a_smaller_budget_cuts_longer_answers(tmp_path: Path) -> None:
    lengths = [5_000, 9_000, 20_000, 40_000]
    base = {str(item): [Answer(1.0, tokens=length)] for item, length in enumerate(lengths)}
    cand = {str(item): [Answer(float(item > 0), tokens=2 * length)] for item, length in enumerate(lengths)}
    row = compared(tmp_path / "r", Made("a", base), Made("b", cand)).to_json()
    found = {one["tokens"]: one for one in row["budgets"]}
    assert list(found) == [8_000, 16_000, 32_000]  # the cells' own cap is 64,000
    assert [found[tokens]["baseline_score"] for tokens in found] == [0.25, 0.5, 0.75]
    assert [found[tokens]["candidate_score"] for tokens in found] == [0.0, 0.0, 0.25]
    assert [found[tokens]["candidate_cut"] for tokens in found] == [1.0, 0.75, 0.5]
    assert found[32_000]["delta"] == -0.5


def test_lengths_of_dialogues_and_unknown_lengths_say_nothing(tmp_path: Path) -> None:
    long = {"0": [Answer(1.0, tokens=50_000)], "1": [Answer(0.0, tokens=9_000)]}
    cells = [Made(model, long, "tau2_telecom") for model in "ab"]
    assert compared(tmp_path / "r1", *cells).to_json()["budgets"] == []
    unknown = {"0": [Answer(1.0, tokens=None)], "1": [Answer(0.0, tokens=9_000)]}
    assert compared(tmp_path / "r2", Made("a", long), Made("b", unknown)).to_json()["budgets"] == []


def test_without_a_known_cap_the_longest_answer_counts(tmp_path: Path) -> None:
    cells = [
        Made(model, {"0": [Answer(1.0, tokens=9_000)], "1": [Answer(1.0, tokens=100)]}, imported=True) for model in "ab"
    ]
    assert [one["tokens"] for one in compared(tmp_path / "r", *cells).to_json()["budgets"]] == [8_000]


def test_stable_loss_is_told_from_coin_flips(tmp_path: Path) -> None:
    base = [[1, 1, 1], [1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1]]
    cand = [[0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 1, 1], [1, 1, 0]]
    row = compared(tmp_path / "r", Made("a", repeated(base)), Made("b", repeated(cand))).to_json()
    found = row["stability"]
    assert (found["lost"], found["gained"], found["fluctuating"]) == (1, 1, 2)
    assert found["delta_stable"] + found["delta_fluctuating"] == pytest.approx(row["delta"])
    assert found["delta_stable"] == pytest.approx(0.0)
    single = compared(tmp_path / "s", Made("a", repeated([[1], [0]])), Made("b", repeated([[0], [1]])))
    assert single.to_json()["stability"] is None


def test_faults_are_parts_of_the_extremes(tmp_path: Path) -> None:
    notes = {"1": "asked 6 times: 503", "2": "simulator: no reply", "3": "the judge said neither"}
    base = {str(item): [Answer(1.0)] for item in range(20)}
    cand = base | {item: [Answer(None, note=note)] for item, note in notes.items()} | {"4": [Answer(0.0)]}
    cand["5"] = [Answer(None, "ungraded")]
    table = load_run(write(tmp_path / "r", Made("a", base), Made("b", cand)))
    assert compare_all(table).to_json()["rows"][0]["delta"] is None
    row = compare_all(table, allow_incomplete=0.2).to_json()["rows"][0]
    worst, best = row["bounded"]["worst"], row["bounded"]["best"]
    assert row["bounded"]["missing"] == [0, 4]
    assert row["bounded"]["share"] == pytest.approx(0.2)
    assert worst["causes"] == pytest.approx(
        {"wrong": -0.05, "truncated": 0, "no_answer": 0, "refused": 0}
        | {"server_fault": -0.05, "judge_fault": -0.1, "simulator_fault": -0.05, "sandbox_fault": 0}
    )
    assert sum(worst["causes"].values()) == pytest.approx(worst["delta"])
    assert best["delta"] == pytest.approx(-0.05)
    assert row["delta"] == pytest.approx(-1 / 16)  # of the items that both have an answer to
    assert row["partial"] == "16 of 20 items, 4 answers missing"
    assert sum(row["causes"].values()) == pytest.approx(row["delta"])
    assert (
        compare_all(table, allow_incomplete=0.1)
        .comparisons[0]
        .reason.endswith("20 % missing, at most 10 % are allowed")
    )


def test_answers_that_lack_outside_the_common_items_bound_nothing(tmp_path: Path) -> None:
    base = {str(item): [Answer(None if item == 19 else 1.0)] for item in range(20)}
    cand = {str(item): [Answer(1.0)] for item in range(10)}
    table = load_run(write(tmp_path / "r", Made("a", base), Made("b", cand, total_items=20)))
    assert "19 of 20 samples measured" in compare_all(table).comparisons[0].reason
    (row,) = compare_all(table, allow_incomplete=0.05).comparisons
    assert (row.delta, row.bounded, row.partial) == (0.0, None, "10 of 20 items")


def test_parts_add_up_with_weights_repeats_and_fractions(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    kinds = ("correct", "wrong", "truncated", "no_answer", "refused", "failed")

    def arm() -> dict[str, list[Answer]]:
        def one(item: int) -> Answer:
            kind = str(rng.choice(kinds))
            value = None if kind == "failed" else 1.0 if kind == "correct" else float(rng.choice([0.0, 0.25, 0.5]))
            return Answer(value, kind, weight=1 + item % 3)

        return {str(item): [one(item) for _ in range(3)] for item in range(60)}

    table = load_run(write(tmp_path / "r", Made("a", arm()), Made("b", arm())))
    row = compare_all(table, allow_incomplete=0.9).to_json()["rows"][0]
    for part in (row, row["bounded"]["worst"], row["bounded"]["best"]):
        assert tuple(part["causes"]) == (*CAUSES, *FAULTS)
        assert sum(part["causes"].values()) == pytest.approx(part["delta"])
    assert row["bounded"]["worst"]["delta"] <= row["delta"] <= row["bounded"]["best"]["delta"]


def test_an_item_that_nobody_was_asked_counts_as_missing(tmp_path: Path) -> None:
    half = {str(item): [Answer(1.0)] for item in range(3)}
    cells = [Made(model, half, planned=["0", "1", "2", "3"]) for model in "ab"]
    row = compare_all(load_run(write(tmp_path / "r", *cells)), allow_incomplete=0.5).to_json()["rows"][0]
    assert row["bounded"]["missing"] == [1, 1]
    assert (row["bounded"]["worst"]["delta"], row["bounded"]["best"]["delta"]) == (-0.25, 0.25)


def test_truncation_and_tokens_are_tested_in_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    short = {str(item): [Answer(1.0, tokens=int(rng.integers(500, 1500)))] for item in range(200)}
    long = {
        item: [
            Answer(0.0, "truncated", tokens=64_000) if int(item) < 12 else Answer(1.0, tokens=round(one.tokens * 1.2))
        ]
        for item, (one,) in short.items()
        if one.tokens
    }
    row = compared(tmp_path / "r", Made("a", short), Made("b", long)).to_json()
    assert (row["truncation"]["baseline"], row["truncation"]["candidate"]) == (0.0, 0.06)
    assert row["truncation"]["p_value"] == pytest.approx(2 / 2**12)
    typical = row["tokens"]["completion"]["typical"]
    assert typical["ratio"] > 1.2
    assert typical["ci95"][0] < typical["ratio"] < typical["ci95"][1]
    assert row["tokens"]["completion"]["total"]["ratio"] == row["tokens_ratio"]
    assert "reasoning" not in row["tokens"]


def test_the_noise_floor_comes_from_repeats_or_a_second_arm(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    chance = rng.beta(3, 1, 150)

    def arm(repeats: int) -> dict[str, list[Answer]]:
        return repeated((rng.random((150, repeats)) < chance[:, None]).astype(float).tolist())

    row = compared(tmp_path / "r", Made("a", arm(4)), Made("b", arm(4))).to_json()
    assert row["noise"]["source"] == "repeats"
    assert row["noise"]["ci95"][0] < 0 < row["noise"]["ci95"][1]
    assert row["noise"]["flips"] == pytest.approx(row["noise"]["floor"] + row["noise"]["excess"])
    assert row["variance"]["phi"][0] == pytest.approx(float((chance * (1 - chance)).mean() / (0.75 * 0.25)), abs=0.15)
    exact = row["estimands"]["exactly_these_questions"]
    assert exact["stderr"] < row["estimands"]["questions_like_these"]["stderr"] * 1.2
    twin = {"same_as": "a"}
    cells = [Made("a", arm(1)), Made("a__aa", arm(1), server=twin), Made("b", arm(1), baseline="a")]
    overview = compare_all(load_run(write(tmp_path / "aa", *cells)))
    rows = {found["candidate"]: found for found in overview.to_json()["rows"]}
    assert rows["b"]["noise"]["source"] == "a__aa"
    assert rows["b"]["noise"]["floor"] == pytest.approx((rows["a__aa"]["lost"] + rows["a__aa"]["gained"]) / 150)
    assert {pair.candidate: pair.aa for pair in overview.pairs} == {"a__aa": True, "b": False}
    alone = compared(tmp_path / "alone", Made("a", arm(1)), Made("b", arm(1))).to_json()
    assert alone["noise"] is None


def test_caps_of_both_arms_are_known(tmp_path: Path) -> None:
    small = {"sampling": SAMPLING | {"max_tokens": 16_000}}
    cells = [Made(model, {"0": [Answer(1.0, tokens=12_000)], "1": [Answer(1.0)]}, identity=small) for model in "ab"]
    assert [one["tokens"] for one in compared(tmp_path / "r", *cells).to_json()["budgets"]] == [8_000]
