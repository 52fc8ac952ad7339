"""Every shipped vector, all 48, to its tolerance (1e-9 relative; Tango 1e-7)."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evalsuite.stats.delta import mean_delta, paired_delta
from evalsuite.stats.design import Design
from evalsuite.stats.grim import grim
from evalsuite.stats.heterogeneity import heterogeneity
from evalsuite.stats.intervals import Mean, mean_of, sign_flip, t_interval, wilson
from evalsuite.stats.multiplicity import adjust
from evalsuite.stats.paired import mcnemar, t_test, tango_interval
from evalsuite.stats.power import detectable, would_decide
from evalsuite.stats.variance import repeated, variance_parts
from tests.support.e_values import log_e
from tests.support.shared import shared_data


@cache
def vectors() -> list[dict[str, Any]]:
    path = shared_data() / "statistics" / "vectors.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["vectors"]
    return found


def of_kind(kind: str, count: int) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    found = [(v["id"], v["input"], v["expected"]) for v in vectors() if v["kind"] == kind]
    assert len(found) == count
    return found


def close(value: Any, tolerance: float = 1e-9) -> Any:
    return pytest.approx(value, rel=tolerance, abs=1e-12)


def test_wilson() -> None:
    for name, given, expected in of_kind("wilson", 8):
        assert wilson(given["x"], given["n"], 1 - given["alpha"]) == close(tuple(expected["wilson"])), name


def test_nothing_is_left_out() -> None:
    kinds = ("wilson", 8), ("mcnemar", 10), ("tango_ci", 4), ("multiplicity", 4), ("paired_mean", 9)
    others = ("real_mmlu_pro", 4), ("grim", 4), ("evalue", 3), ("mde", 2)
    assert sum(len(of_kind(*kind)) for kind in (*kinds, *others)) == len(vectors()) == 48


def test_mcnemar() -> None:
    for name, given, expected in of_kind("mcnemar", 10):
        got = mcnemar(given["base_only"], given["cand_only"])
        assert got.p_exact == close(expected["p_exact_two_sided"]), name
        assert got.p_mid == close(expected["p_mid_two_sided"]), name
        assert got.p_exact_loss == close(expected["p_exact_one_sided_loss"]), name
        assert got.p_mid_loss == close(expected["p_mid_one_sided_loss"]), name


def test_tango() -> None:
    for name, given, expected in of_kind("tango_ci", 4):
        got = tango_interval(given["base_only"], given["cand_only"], given["n"], 1 - given["alpha"])
        assert got == pytest.approx((expected["lo"], expected["hi"]), rel=1e-7, abs=1e-9), name


def test_multiplicity() -> None:
    for name, given, expected in of_kind("multiplicity", 4):
        got = adjust(given["p"])
        assert got.holm == close(tuple(expected["holm"])), name
        assert got.bh == close(tuple(expected["bh"])), name


def test_paired_means() -> None:
    for name, given, expected in of_kind("paired_mean", 9):
        base, cand = (
            np.array([np.mean([float(value) for value in row]) for row in given[arm]]) for arm in ("base", "cand")
        )
        difference = cand - base
        estimate = mean_of(difference)
        assert (estimate.n, estimate.mean) == close((expected["n"], expected["delta"])), name
        assert (base.mean(), cand.mean()) == close((expected["base_mean"], expected["cand_mean"])), name
        interval = t_interval(estimate)
        if expected["se_item"] is None:
            assert estimate.stderr is None, name
            assert interval is None, name
        else:
            assert estimate.stderr == close(expected["se_item"]), name
            assert estimate.df == expected["df"], name
            assert interval == close((expected["ci_lo"], expected["ci_hi"])), name
        p_value = t_test(estimate)
        assert p_value == (close(expected["p_t_two_sided"]) if "p_t_two_sided" in expected else None), name
        if "p_tost" in expected:
            assert estimate.stderr is not None
            lower, upper = (
                bounds_at(estimate, expected["p_noninferior_margin"]),
                bounds_at(estimate, expected["p_tost"]),
            )
            assert lower[0] == close(-given["margin"]), name
            assert upper[0] == close(-given["margin"]) or upper[1] == close(given["margin"]), name
        if "se_fixed_items" in expected:
            arms = [answers_of(given[arm]) for arm in ("base", "cand")]
            parts = variance_parts(*(repeated(values, items, estimate.n) for values, items in arms))
            found = (parts.stderr, parts.stderr_exact, parts.tau2)
            wanted = (expected["se_item"], expected["se_fixed_items"], expected["tau2_item_effect"])
            assert found == close(wanted), name
        if "p_signflip_exact_two_sided" in expected:
            assert sign_flip(difference) == close(expected["p_signflip_exact_two_sided"]), name
            assert sign_flip(difference, "less") == close(expected["p_signflip_exact_one_sided_loss"]), name
        if "se_cluster" in expected:
            clusters = np.array(given["clusters"])
            robust = mean_of(difference, clusters=clusters)
            assert (robust.stderr, robust.units, robust.df) == close(
                (expected["se_cluster"], expected["G"], expected["df_cluster"])
            ), name
            assert t_interval(robust) == close((expected["ci_cluster_lo"], expected["ci_cluster_hi"])), name
            chosen = paired_delta(base, cand, single=False, clusters=clusters)
            assert chosen.ci95 is not None
            assert chosen.ci95[0] <= expected["ci_cluster_lo"] <= expected["ci_cluster_hi"] <= chosen.ci95[1], name
        if name == "paired_single_cluster":
            assert mean_of(difference, clusters=np.array(given["clusters"])).stderr is None


def bounds_at(estimate: Mean, p_value: float) -> tuple[float, float]:
    """One-sided bounds at level 1 - p; the lower one lies at -margin where p is of "a loss of the margin or more"."""
    found = t_interval(estimate, 1 - 2 * p_value)
    assert found is not None
    return found


def answers_of(rows: Any) -> tuple[Any, Any]:
    """(values, item codes), one entry per answer."""
    items = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return np.array([float(value) for row in rows for value in row]), items


def test_real_pairs_subject_by_subject() -> None:
    for name, _, expected in of_kind("real_mmlu_pro", 4):
        rows = expected["rows"]
        deltas = []
        for row in rows:
            n, lost, gained = row["n"], row["base_only"], row["cand_only"]
            both = row["base_correct"] - lost
            base, cand = np.zeros(n), np.zeros(n)
            base[: both + lost] = 1
            cand[:both] = 1
            cand[both + lost : both + lost + gained] = 1
            deltas.append(paired_delta(base, cand, single=True))
        assert [d.delta for d in deltas] == close([row["delta"] for row in rows]), name
        assert [d.p_value for d in deltas] == close([row["p_exact"] for row in rows]), name
        subjects = [row for row in rows if row["subject"] != "TOTAL"]
        adjusted = adjust([d.p_value for d in deltas[: len(subjects)]])
        assert list(adjusted.holm) == close([row["p_holm"] for row in subjects]), name
        assert list(adjusted.bh) == close([row["p_bh"] for row in subjects]), name
        assert deltas[-1].stderr == close(rows[-1]["se"]), name
        errors = [d.stderr for d in deltas[: len(subjects)]]
        found = heterogeneity([d.delta for d in deltas[: len(subjects)]], errors)
        assert found is not None
        numbers = (found.q, found.p_value, found.tau2, found.pooled)
        assert numbers == close(tuple(expected[key] for key in ("Q", "Q_p", "tau2_DL", "pooled_random"))), name
        assert list(found.shrunk) == close([row["shrunk_delta"] for row in subjects]), name
        stratified = mean_delta(deltas[: len(subjects)], [row["n"] for row in subjects])
        assert stratified.delta == close(expected["stratified_delta"]), name
        assert stratified.stderr == close(expected["stratified_se"]), name


def test_grim() -> None:
    for name, given, expected in of_kind("grim", 4):
        found = grim(given["value"], given["n"], given["k"], given["decimals"])
        assert list(found) == expected["counts"], name
        assert bool(found) == expected["consistent"], name


def test_mde() -> None:
    for name, given, expected in of_kind("mde", 2):
        n, repeats = given["n"], (given["kA"], given["kB"])
        design = Design(n, n, given["mu"], given["phi"], given["tau"], *repeats)
        assert (design.within, design.stderr) == close((expected["v_within"], expected["se"])), name
        sides = detectable(design.stderr), detectable(design.stderr, sides=1)
        assert sides == close((expected["mde_two_sided"], expected["mde_one_sided"])), name
        wrong_side = stats.norm.sf(stats.norm.isf(0.025) + 0.01 / design.stderr)  # significant in the other direction
        power = expected["power_at_1pt_two_sided"] - wrong_side
        assert detectable(design.stderr, power=power) == close(0.01), name
        needed = would_decide(design, 0.01, 0.0).items
        assert needed == expected["n_items_for_NI_margin_1pt_power80_one_sided05"], name


def test_e_values() -> None:
    bets = np.geomspace(0.002, 0.999, 40)
    for name, given, expected in of_kind("evalue", 3):
        counts = {"lost": given["base_only"], "gained": given["cand_only"], "n": given["n"]}
        found = [log_e(bets, given["margin"], **counts, inferior=inferior) for inferior in (False, True)]
        assert found == close([expected["log_e_noninferior"], expected["log_e_inferior"]]), name
