"""From divergences of tokens to alarms: which sizes alarm, and what is never claimed."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evalsuite.analysis.fidelity import CLAIM, Probe, evaluate
from evalsuite.endpoint.logprobs import TokenScores
from evalsuite.engine.probe.answers import StoredAnswer, TokenizedAnswer
from evalsuite.engine.probe.passes import LONGEST_PREFIX, WINDOW, AnswerDivergence, windows
from evalsuite.engine.probe.reference import Reference, load, save
from evalsuite.errors import BadInput
from evalsuite.records import Request
from evalsuite.report.probe import verdict_line
from evalsuite.stats.fidelity import Divergence
from tests.support.damages import damage

LENGTH = 20


def answer(number: int, *, right: bool = True) -> TokenizedAnswer:
    stored = StoredAnswer("t", str(number), 0, f"t: {'ab'[number % 2]}", right, False, Request(()), ("x",), 3, LENGTH)
    return TokenizedAnswer(stored, (1, 2, 3), tuple(range(LENGTH)))


ANSWERS = tuple(answer(number, right=number % 4 > 0) for number in range(40))


def divergences(nats: float, flips: float, seed: int) -> list[AnswerDivergence]:
    rng = np.random.default_rng(seed)
    parts = []
    for _ in ANSWERS:
        flipped: NDArray[np.bool_] = rng.random(LENGTH) < flips
        parts.append(
            AnswerDivergence(
                Divergence(rng.random(LENGTH), rng.gamma(0.5, 2 * nats, LENGTH), flipped), np.arange(LENGTH)
            )
        )
    return parts


def reference(nats: float = 1e-6, decode: float = 0.0) -> Reference:
    rng = np.random.default_rng(0)
    scores = TokenScores(np.arange(LENGTH), -np.ones(LENGTH), np.arange(LENGTH)[:, None], -np.ones((LENGTH, 1), "f4"))
    floor = tuple(float(value) for value in rng.gamma(LENGTH / 2, 2 * nats, len(ANSWERS)))
    flips, variation = (0,) * len(ANSWERS), (0.0,) * len(ANSWERS)
    return Reference(ANSWERS, (scores,) * len(ANSWERS), floor, variation, flips, decode)


def probe(nats: float, flips: float = 0.0, accepted: Probe | None = None, seed: int = 1, **more: float) -> Probe:
    passes = (divergences(nats, flips, seed), divergences(nats, flips, seed + 1))
    known = None if accepted is None else json.loads(json.dumps(accepted.to_json()))
    return evaluate(("base", "cand"), reference(**more), passes, greedy=True, accepted=known)


def test_without_an_accepted_candidate_there_are_numbers_only() -> None:
    huge = probe(5.0, flips=0.5)
    assert huge.alarms == ()
    assert "no alarm here" in verdict_line(huge.to_json()) or "no size" in verdict_line(huge.to_json())
    assert huge.greedy_bounds is None  # more than half of the answers diverge


def test_sizes_of_the_accepted_candidate_decide() -> None:
    accepted = probe(1e-3, flips=0.02)
    assert probe(1e-3, flips=0.02, accepted=accepted, seed=9).alarms == ()
    (divergence, *strata) = probe(3e-2, flips=0.02, accepted=accepted, seed=9).alarms
    assert divergence.startswith("divergence")
    assert len(strata) == 2
    (flips,) = probe(1e-3, flips=0.08, accepted=accepted, seed=9).alarms
    assert flips.startswith("likeliest tokens differ")


def test_a_baseline_that_differs_from_itself_hides_the_candidate() -> None:
    hidden = probe(1e-3, decode=5e-3)
    assert "cannot see here" in verdict_line(hidden.to_json())
    assert probe(1e-1, decode=5e-3).blind == ""


def test_the_baseline_again_is_no_difference() -> None:
    assert "no difference from the baseline served again" in verdict_line(probe(1e-6).to_json())


def test_bounds_count_right_and_wrong_answers_that_diverge() -> None:
    few = probe(1e-3, flips=0.01)
    changed = [stratum.right_diverging + stratum.wrong_diverging for stratum in few.strata]
    assert sum(changed) == few.diverging
    assert few.greedy_bounds is not None
    least, most = few.greedy_bounds
    assert least == pytest.approx(-sum(stratum.right_diverging for stratum in few.strata) / len(ANSWERS))
    assert most == pytest.approx(sum(stratum.wrong_diverging for stratum in few.strata) / len(ANSWERS))


def test_nothing_is_claimed_about_accuracy() -> None:
    words = " ".join(str(value) for value in probe(0.5).to_json().values()).lower()
    assert CLAIM.lower() in words
    assert "accura" not in words.replace(CLAIM.lower(), "")


def test_a_reference_survives_the_disk(tmp_path: Path) -> None:
    file = tmp_path / ".probe" / "x.npz"
    assert load(file, []) is None
    save(file, known := reference(decode=0.25))
    again = load(file, [part.stored for part in ANSWERS])
    assert again is not None
    assert again.answers == known.answers
    assert (again.floor_nats, again.floor_flips, again.decode_nats) == (known.floor_nats, known.floor_flips, 0.25)
    assert all(
        (one.top_tokens == other.top_tokens).all() for one, other in zip(again.scores, known.scores, strict=True)
    )


def test_a_damaged_reference_is_named(tmp_path: Path) -> None:
    file, chosen = tmp_path / "x.npz", [part.stored for part in ANSWERS]
    save(file, known := reference())
    whole, generator = file.read_bytes(), random.Random(0)
    for length in (0, 1, len(whole) // 2):
        file.write_bytes(whole[:length])
        with pytest.raises(BadInput, match="is damaged"):
            load(file, chosen)
    for _ in range(200):
        damaged, _ = damage(generator, [whole])
        file.write_bytes(damaged)
        try:
            read = load(file, chosen)
        except BadInput:
            continue
        assert read is not None
        assert read.answers == known.answers  # what was hit is a field of the archive that nothing needs


@pytest.mark.parametrize(("length", "prompt", "spans"), [
    (10, 5, [(0, 10)]),
    (2 * WINDOW, 5, [(0, 2 * WINDOW)]),
    (2 * WINDOW + 1, 5, [(0, WINDOW), (WINDOW + 1, 2 * WINDOW + 1)]),
    (LONGEST_PREFIX, 1, [(0, WINDOW)]),
])  # fmt: skip
def test_long_answers_are_read_at_both_ends(length: int, prompt: int, spans: list[tuple[int, int]]) -> None:
    assert windows(length, prompt) == spans
