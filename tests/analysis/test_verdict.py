"""Comparisons held against margins: what passes, fails and stays open, and what it is told then."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.config.settings import Gate, Margin
from evalsuite.errors import BadInput
from tests.support.cells import Answer, Made, answers, repeated, write


def margins(**points: float) -> Gate:
    return Gate({task: Margin(value, "us", "why not") for task, value in points.items()})


def judged(folder: Path, gate: Gate, *cells: Made, allow: float | None = None) -> dict[str, Any]:
    return compare_all(load_run(write(folder, *cells)), gate=gate, allow_incomplete=allow).to_json()


def flipped(n: int, lost: int, gained: int) -> tuple[dict[str, list[Answer]], dict[str, list[Answer]]]:
    base = [1] * lost + [0] * gained + [1] * (n - lost - gained)
    cand = [0] * lost + [1] * gained + [1] * (n - lost - gained)
    return answers(base), answers(cand)


def one(folder: Path, lost: int, gained: int, points: float = 1.0, n: int = 3_000) -> Mapping[str, Any]:
    base, cand = flipped(n, lost, gained)
    found = judged(folder, margins(mmlu_pro=points), Made("a", base), Made("b", cand))
    verdict: Mapping[str, Any] = found["rows"][0]["verdict"]
    return verdict


def test_pass_fail_and_undecided(tmp_path: Path) -> None:
    passed = one(tmp_path / "r1", 20, 20)
    assert (passed["call"], passed["label"], passed["wanted"]) == ("pass", "pass", None)
    assert passed["lower"] > -0.01
    failed = one(tmp_path / "r2", 60, 10)
    assert (failed["call"], failed["rule"]) == ("fail", "inferior")
    assert failed["upper"] < -0.01
    lossy = one(tmp_path / "r3", 22, 7)
    assert (lossy["call"], lossy["label"]) == ("pass", "pass, with a detectable loss")
    significant = one(tmp_path / "r4", 30, 5)
    assert (significant["call"], significant["rule"]) == ("fail", "significant loss")


def test_undecided_says_what_would_decide(tmp_path: Path) -> None:
    found = one(tmp_path / "r", 12, 11, n=400)
    assert found["call"] == "undecided"
    assert found["wanted"]["towards"] == "pass"
    assert found["wanted"]["items"] > 400
    assert "items of this kind" in found["wanted"]["text"]
    assert "assumed, not measured" in found["wanted"]["text"]
    edge = one(tmp_path / "edge", 10, 6, n=400)
    assert edge["wanted"] == {
        "towards": "fail",
        "repeats": None,
        "items": None,
        "text": "no number of items or repeats would: the estimate lies on the margin",
    }


def test_a_second_look_is_priced_and_nothing_varied_is_stated(tmp_path: Path) -> None:
    base = {str(item): [Answer(1.0), Answer(float(item % 4 > 0))] for item in range(60)}
    cand = {str(item): [Answer(1.0), Answer(float(item % 5 > 0))] for item in range(60)}
    gate = margins(mmlu_pro=3)
    wanted = judged(tmp_path / "r", gate, Made("a", base), Made("b", cand))["rows"][0]["verdict"]["wanted"]
    assert "a second look is paid for by half the error" in wanted["text"]
    assert "gate.alpha=0.025" in wanted["text"]
    same = {str(item): [Answer(1.0)] * 4 for item in range(60)}
    verdict = judged(tmp_path / "same", gate, Made("a", same), Made("b", same))["rows"][0]["verdict"]
    assert verdict["call"] == "undecided"
    assert (verdict["wanted"]["repeats"], verdict["wanted"]["items"]) == (None, None)
    assert verdict["wanted"]["text"].startswith("nothing varied: ")


def test_few_sources_cannot_pass_a_small_margin(tmp_path: Path) -> None:
    """Whole sources may break unseen: 30 of them without a change exclude 8.7 points at alpha 0.045."""
    arm = {str(item): [Answer(float(item % 3 > 0), cluster=f"set {item % 30}")] * 4 for item in range(120)}
    gate = margins(mmlu_pro=8)
    gate.alpha = 0.045
    row = judged(tmp_path / "r", gate, Made("a", arm), Made("b", arm))["rows"][0]
    assert row["verdict"]["call"] == "undecided"
    assert "so few sources cannot exclude a loss of 8.7 pt" in row["verdict"]["reason"]
    assert row["recovery_ci95"] == pytest.approx([1 + end / row["baseline_score"] for end in row["ci95"]])
    gate.margins["mmlu_pro"].points = 9
    row = judged(tmp_path / "wider", gate, Made("a", arm), Made("b", arm))["rows"][0]
    assert row["verdict"]["call"] == "pass"


def test_stars_are_one_family_per_candidate(tmp_path: Path) -> None:
    subjects = {str(item): f"subject {item % 10}" for item in range(400)}
    base = {item: [Answer(1.0)] for item in subjects}
    cand = {item: [Answer(float(not (name == "subject 3" and int(item) < 90)))] for item, name in subjects.items()}
    cells = [
        Made(model, arm, task, subjects) for task in ("mmlu_pro", "gsm8k") for model, arm in (("a", base), ("b", cand))
    ]
    rows = judged(tmp_path / "r", margins(mmlu_pro=1, gsm8k=1), *cells)["rows"]
    parts = [row["groups"]["subject"][3] for row in rows]
    assert [part["p_holm"] for part in parts] == pytest.approx([10 * part["p_value"] for part in parts])
    assert parts[0]["p_page"] == pytest.approx(20 * parts[0]["p_value"])
    assert all(part["p_page"] >= part["p_holm"] for row in rows for part in row["groups"]["subject"])
    named = {part["value"] for row in rows for part in row["verdict"]["where"]}
    assert named == {part["value"] for part in parts if part["p_page"] < 0.05}


def test_a_task_without_a_margin_is_shown_against_what_it_could_have_seen(tmp_path: Path) -> None:
    base, cand = flipped(400, 12, 12)
    row = judged(tmp_path / "r", margins(gsm8k=1), Made("a", base), Made("b", cand))["rows"][0]
    assert row["margin"] == row["mde"]
    assert row["tier"] == row["verdict"]["tier"] == "advisory"


def test_a_margin_of_the_gate_decides_whoever_owns_it(tmp_path: Path) -> None:
    base, cand = flipped(3_000, 60, 10)
    gate = Gate({task: Margin(1, "nobody", "why not") for task in ("mmlu_pro", "gsm8k")})
    release = judged(tmp_path / "r", gate, Made("a", base), Made("b", cand))["releases"]["b"]
    assert (release["call"], release["missing"]) == ("fail", ["gsm8k"])


def test_measured_benchmarks_without_an_interval_are_not_called_unmeasured(tmp_path: Path) -> None:
    base, cand = repeated([[1, 0]]), repeated([[1, 1]])
    cells = [
        Made(name, given, task, repeats=2)
        for task in ("mmlu_pro", "gsm8k")
        for name, given in (("a", base), ("b", cand))
    ]
    found = judged(tmp_path / "r", margins(mmlu_pro=2, gsm8k=2), *cells)
    assert [row["delta"] for row in found["rows"]] == [0.5, 0.5]
    assert found["releases"]["b"]["call"] == "undecided"
    assert "not measured" not in found["releases"]["b"]["reason"]
    assert found["releases"]["b"]["reason"].count("too little varies for an interval around +50") == 2


def test_no_margins_no_verdict(tmp_path: Path) -> None:
    base, cand = flipped(50, 2, 2)
    found = compare_all(load_run(write(tmp_path / "r", Made("a", base), Made("b", cand)))).to_json()
    assert (found["rows"][0]["margin"], found["rows"][0]["verdict"], found["releases"]) == (None, None, {})
    assert found["gate"] is None


def suite(lost: Mapping[str, tuple[int, int]]) -> list[Made]:
    cells: list[Made] = []
    for task, flips in lost.items():
        base, cand = flipped(1000, *flips)
        cells += [Made("a", base, task), Made("b", cand, task)]
    return cells


def test_a_release_needs_every_critical_benchmark_and_the_mean(tmp_path: Path) -> None:
    gate = margins(mmlu_pro=2, gsm8k=2, gpqa_diamond=2)
    gate.suite_points = 1.0
    even = {task: (4, 4) for task in gate.margins}
    found = judged(tmp_path / "r1", gate, *suite(even))["releases"]["b"]
    assert (found["call"], found["missing"]) == ("pass", [])
    assert found["suite_mean"]["call"] == "pass"
    lacking = judged(tmp_path / "r2", gate, *suite({task: even[task] for task in ("mmlu_pro", "gsm8k")}))
    assert lacking["releases"]["b"]["call"] == "undecided"
    assert lacking["releases"]["b"]["missing"] == ["gpqa_diamond"]
    assert lacking["releases"]["b"]["reason"] == "not measured: GPQA Diamond, suite mean"
    gate.margins["gpqa_diamond"].tier = "supporting"
    assert (
        judged(tmp_path / "r3", gate, *suite({task: even[task] for task in ("mmlu_pro", "gsm8k")}))["releases"]["b"][
            "call"
        ]
        == "pass"
    )
    broken = judged(tmp_path / "r4", gate, *suite(even | {"gpqa_diamond": (75, 15)}))["releases"]["b"]
    assert broken["call"] == "fail"
    assert broken["reason"].startswith("GPQA Diamond fails: ")
    drained = judged(tmp_path / "r5", gate, *suite({task: (18, 3) for task in gate.margins}))["releases"]["b"]
    assert drained["suite_mean"]["call"] == "fail"


def test_more_tokens_than_allowed_fail(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(800, 1200, 400)
    base = {str(item): [Answer(1.0, tokens=int(length))] for item, length in enumerate(lengths)}
    cand = {str(item): [Answer(1.0, tokens=int(length * 1.15))] for item, length in enumerate(lengths)}
    gate = margins(mmlu_pro=2)
    cells = [Made("a", base), Made("b", cand)]
    assert judged(tmp_path / "r1", gate, *cells)["releases"]["b"]["call"] == "pass"
    gate.tokens_ratio_max = 1.1
    found = judged(tmp_path / "r2", gate, *cells)["releases"]["b"]
    assert found["call"] == "fail"
    assert "generates x1.150 tokens, shown to be above x1.1" in found["reason"]
    gate.tokens_ratio_max = 1.2
    assert judged(tmp_path / "r3", gate, *cells)["releases"]["b"]["call"] == "pass"


@pytest.mark.parametrize(
    ("points", "tier", "words"),
    [(0.0, "critical", "points=0.0: must be above 0"), (1.0, "vital", "tier=vital: must be critical")],
)
def test_wrong_margins_are_refused(tmp_path: Path, points: float, tier: str, words: str) -> None:
    base, cand = flipped(50, 2, 2)
    gate = Gate({"mmlu_pro": Margin(points, "us", "why", tier)})
    with pytest.raises(BadInput, match=words):
        judged(tmp_path / "r", gate, Made("a", base), Made("b", cand))
    gate = Gate({"mmlu_pro": Margin(1.0, "us", "why")}, suite_points=0.0)
    with pytest.raises(BadInput, match="suite_points=0"):
        compare_all(load_run(tmp_path / "r"), gate=gate)


def test_missing_answers_never_change_a_verdict_silently(tmp_path: Path) -> None:
    """A clear pass, a clear fail, and a tenth of the answers lost to the server in one arm."""
    rng = np.random.default_rng(2)

    def without(arm: dict[str, list[Answer]], share: float) -> dict[str, list[Answer]]:
        return {item: [Answer(None)] if rng.random() < share else row for item, row in arm.items()}

    gate = margins(mmlu_pro=2)
    for number, (flips, whole) in enumerate([((15, 15), "pass"), ((175, 15), "fail")]):
        base, cand = flipped(1000, *flips)
        assert (
            judged(tmp_path / f"w{number}", gate, Made("a", base), Made("b", cand))["rows"][0]["verdict"]["call"]
            == whole
        )
        cells = [Made("a", base), Made("b", without(cand, 0.05))]
        lost = judged(tmp_path / f"l{number}", gate, *cells)
        assert lost["rows"][0]["delta"] is None
        assert lost["rows"][0]["verdict"]["rule"] == "no evidence"
        assert lost["releases"]["b"]["call"] == "undecided"
        bounded = compare_all(load_run(tmp_path / f"l{number}"), gate=gate, allow_incomplete=0.1).to_json()["rows"][0]
        assert bounded["verdict"]["call"] == ("undecided" if whole == "pass" else "fail")
        assert bounded["verdict"]["lower"] < bounded["delta"] < bounded["verdict"]["upper"]
    assert (
        "missing answers come first"
        in compare_all(load_run(tmp_path / "l0"), gate=gate, allow_incomplete=0.1).to_json()["rows"][0]["verdict"][
            "wanted"
        ]["text"]
    )
    base, cand = flipped(1000, 4, 4)
    few = judged(tmp_path / "few", gate, Made("a", base), Made("b", without(cand, 0.003)), allow=0.01)["rows"][0]
    assert few["verdict"]["call"] == "pass"


def test_the_lossy_stratum_is_named(tmp_path: Path) -> None:
    subjects = {str(item): ("law", "math", "physics")[item % 3] for item in range(3000)}
    base = {item: [Answer(1.0)] for item in subjects}
    cand = {item: [Answer(float(not (name == "law" and int(item) % 30 == 0)))] for item, name in subjects.items()}
    found = judged(
        tmp_path / "r", margins(mmlu_pro=1), Made("a", base, subjects=subjects), Made("b", cand, subjects=subjects)
    )
    verdict = found["rows"][0]["verdict"]
    assert verdict["call"] == "fail"
    assert [(part["group"], part["value"], part["delta"]) for part in verdict["where"]] == [("subject", "law", -0.1)]
    law = found["rows"][0]["groups"]["subject"][0]
    assert law["delta"] < law["shrunken"] < 0
    assert found["rows"][0]["heterogeneity"]["subject"]["p_value"] < 1e-6


def test_a_model_asked_twice_gets_no_verdict(tmp_path: Path) -> None:
    base, cand = flipped(400, 2, 2)
    cells = [Made("a", base), Made("a__aa", cand, server={"same_as": "a"}), Made("b", cand, baseline="a")]
    found = judged(tmp_path / "r", margins(mmlu_pro=5), *cells)
    assert {row["candidate"]: row["verdict"] and row["verdict"]["call"] for row in found["rows"]} == {
        "a__aa": None,
        "b": "pass",
    }
    assert list(found["releases"]) == ["b"]


def test_a_named_baseline_leaves_second_arms_beside_their_own_model(tmp_path: Path) -> None:
    base, cand = flipped(40, 2, 2)
    cells = [Made("a", base), Made("b", cand), Made("b__aa", cand, server={"same_as": "b"})]
    pairs = compare_all(load_run(write(tmp_path / "r", *cells)), "a").pairs
    assert [(pair.baseline, pair.candidate, pair.aa) for pair in pairs] == [("a", "b", False), ("b", "b__aa", True)]


def test_a_baseline_of_another_run_gets_no_more_repeats(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    chance = rng.beta(8, 1, 500)

    def arm() -> dict[str, list[Answer]]:
        return {str(i): [Answer(float(rng.random() < chance[i])) for _ in range(3)] for i in range(500)}

    runs = [write(tmp_path / "old", Made("a", arm())), write(tmp_path / "new", Made("b", arm()))]
    found = compare_all(load_run(*runs), "a", gate=margins(mmlu_pro=1)).to_json()["rows"][0]["verdict"]
    assert found["call"] == "undecided"
    assert "both arms" not in found["wanted"]["text"]
