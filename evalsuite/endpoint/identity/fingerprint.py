"""Which checkpoint a server runs, by its answers: five prompts, four times each, greedy, with log-probabilities.

The name that a server states does not identify its weights; log-probabilities do. The four repeats are sent alone,
all five at once and ten at once, so that their own differences (the *spread*) include what batching does on this
server. Two servers are *the same* if they differ by no more than the larger of their spreads, *different* beyond
three times that, and otherwise undecided (``cannot tell``). Servers that give no log-probabilities are compared by 20
longer greedy texts. Everything here is pure; ``capture`` sends the requests.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeVar

PROMPTS = (
    "Write the first two sentences of a story about a lighthouse keeper.",
    "Name three rivers and say one surprising thing about each of them.",
    "What is 347 + 285? Work it out step by step.",
    "Why might a bridge hum in the wind? Give the likeliest reason first.",
    "Write a Python function that returns the second largest of some numbers.",
)
"""Sent to every server: open questions, because certain answers are alike at every precision."""
REPEATS = 4
FLOORS: Mapping[str, float] = {"logprobs": 0.006, "texts": 0.02}
"""Smallest spread that is assumed: a deterministic server has none, another driver, library or number format of the
same weights gives it some. Measured on llama.cpp (demo model): F32 against BF16 0.011 nats, against Q8_0 0.051."""
DIFFERENT = 3.0
"""Spreads beyond which two servers are different."""
TWO_SERVERS = 0.06
"""Nats beyond which repeats that fall into two groups come from two servers; batching alone does less."""
CLIP = 2.0
"""Most that one token's log-probability counts, nats."""
DISTINCTIVE_LENGTH = 60
"""Characters below which an answer does not identify its model."""
BLOCK = 4
"""Characters of a text that are kept as one byte of a checksum: manifests hold no answers."""

Verdict = Literal["same", "different", "cannot tell"]
Answer = tuple["TokenLogprobs", ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """One generated token and the alternatives that the server lists."""

    text: str
    top: Mapping[str, float]
    """Token -> natural log-probability, the chosen one included."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the answers to five prompts show of one server."""

    kind: Literal["logprobs", "texts"]
    thinking: bool
    """Only servers that were asked with the same thinking switch can be compared."""
    spread: float
    """Largest distance between two of its own repeats (nats, or share of a text)."""
    answers: tuple[Answer, ...] = ()
    """``logprobs``: for each prompt the mean over the repeats."""
    texts: tuple[tuple[str, ...], ...] = ()
    """``texts``: for each prompt the repeats, as ``_sketch`` keeps them."""
    divided: bool = False
    """Whether its repeats fall into two groups, as behind a load balancer in front of different servers."""
    prompt_tokens: tuple[int | None, ...] = ()
    """For each prompt as the server counts it: unequal counts show another chat template or tokenizer."""

    def to_json(self) -> dict[str, Any]:
        """The fingerprint as JSON types for a manifest, about 5 KB, numbers rounded; ``from_json`` reads it."""
        answers = [[[token.text, _rounded(token.top)] for token in answer] for answer in self.answers]
        found = {"kind": self.kind, "thinking": self.thinking, "spread": round(self.spread, 6), "divided": self.divided}
        content: dict[str, Any] = {"answers": answers} if answers else {"texts": [list(texts) for texts in self.texts]}
        return found | content | {"prompt_tokens": list(self.prompt_tokens)}


@dataclass(frozen=True, slots=True)
class FingerprintDistance:
    """How far two servers are apart."""

    verdict: Verdict
    distance: float | None = None
    """Nats or share of a text; None where they cannot be compared."""
    spread: float | None = None
    """The larger of their own spreads, or the floor."""
    why: str = ""
    """Where it is undecided: why."""

    def summary(self) -> str:
        """One line for terminals and reports: the verdict with distance and spread, or with the reason why there is
        none."""
        if self.distance is None or self.spread is None:
            return f"{self.verdict}: {self.why}"
        return f"{self.verdict}: distance {self.distance:.4f}, own spread {self.spread:.4f}"


def from_json(value: Any) -> Fingerprint | None:
    """The fingerprint from its form in a manifest; None where ``value`` has not the form that this version reads.
    Single log-probabilities and token counts are not checked."""
    if not isinstance(value, Mapping) or value.get("kind") not in tuple(FLOORS):
        return None
    try:
        answers = tuple(
            tuple(TokenLogprobs(text, dict(top)) for text, top in answer) for answer in value.get("answers", ())
        )
        texts = tuple(tuple(answer) for answer in value.get("texts", ()))
        counts = tuple(value.get("prompt_tokens", ()))
        thinking, spread, divided = bool(value["thinking"]), float(value["spread"]), bool(value.get("divided"))
    except (KeyError, TypeError, ValueError):
        return None
    return Fingerprint(value["kind"], thinking, spread, answers, texts, divided, counts)


def compare(one: Fingerprint, other: Fingerprint) -> FingerprintDistance:
    """Compare two fingerprints; the order does not matter.

    ``same``: within the larger spread of the two (at least 0.006 nats, or 0.02 of a text); ``different``: beyond three
    times that; ``cannot tell``: between, or they are of different kinds or thinking switches, or within it but too
    little distinctive.
    """
    if one.thinking != other.thinking:
        return FingerprintDistance("cannot tell", why="one was asked with thinking, the other without")
    if one.kind != other.kind:
        return FingerprintDistance("cannot tell", why="only one of them gives log-probabilities")
    spread = max(one.spread, other.spread, FLOORS[one.kind])
    if one.kind == "logprobs":
        distance = _mean([answer_distance(a, b) for a, b in zip(one.answers, other.answers, strict=False)])
    else:
        distance = _mean([_texts_distance(a, b) for a, b in zip(one.texts, other.texts, strict=False)])
    if distance > DIFFERENT * spread:
        return FingerprintDistance("different", distance, spread)
    if distance > spread:
        return FingerprintDistance(
            "cannot tell", distance, spread, "they differ by one to three times the spread of each"
        )
    if not (is_distinctive(one) and is_distinctive(other)):
        return FingerprintDistance("cannot tell", distance, spread, "their answers are too short or too certain")
    return FingerprintDistance("same", distance, spread)


def is_distinctive(fingerprint: Fingerprint) -> bool:
    """Whether equal answers to this fingerprint's prompts prove anything; fixed and empty answers do not.

    Log-probabilities must have at least 20 different values (three decimals); of texts, the first answers to the five
    prompts must all differ and have about 60 characters or more.
    """
    if fingerprint.kind == "texts":
        first = [texts[0] for texts in fingerprint.texts if texts]
        return len(set(first)) == len(PROMPTS) and all(len(text) >= 2 * DISTINCTIVE_LENGTH / BLOCK for text in first)
    values = {round(value, 3) for answer in fingerprint.answers for token in answer for value in token.top.values()}
    return len(values) >= 4 * len(PROMPTS)


def from_answers(
    answers: Sequence[Sequence[Answer]], *, thinking: bool, prompt_tokens: Sequence[int | None]
) -> Fingerprint:
    """The fingerprint of ``answers[prompt][repeat]``, which have log-probabilities.

    ``thinking``: whether they were requested with thinking; ``prompt_tokens``: the server's count for each prompt, or
    None.
    """
    spread = _spread(answers, answer_distance)
    means = tuple(mean_answer(repeats) for repeats in answers)
    parted = _divided(answers)
    return Fingerprint("logprobs", thinking, spread, means, divided=parted, prompt_tokens=tuple(prompt_tokens))


def from_texts(texts: Sequence[Sequence[str]], *, thinking: bool, prompt_tokens: Sequence[int | None]) -> Fingerprint:
    """The fingerprint of ``texts[prompt][repeat]``, of which only checksums are kept; other arguments as in
    ``from_answers``."""
    kept = tuple(tuple(_sketch(text) for text in repeats) for repeats in texts)
    spread = _spread(kept, text_distance)
    return Fingerprint("texts", thinking, spread, texts=kept, prompt_tokens=tuple(prompt_tokens))


def answer_distance(one: Answer, other: Answer) -> float:
    """Mean absolute difference of the log-probabilities of listed tokens (nats, each at most 2) up to the first place
    where the generated tokens differ, that place included, or to the end of the shorter answer.

    Behind it the two have been asked different questions. A token that only one side lists counts with the least
    difference that this allows. Without a place where both sides list tokens: 0 for equal texts, else 2.
    """
    found: list[float] = []
    for a, b in zip(one, other, strict=False):
        found += [min(abs(a.top[text] - b.top[text]), CLIP) for text in a.top.keys() & b.top.keys()]
        for this, that in ((a.top, b.top), (b.top, a.top)):
            if that:
                least = min(that.values())
                found += [min(max(this[text] - least, 0.0), CLIP) for text in this.keys() - that.keys()]
        if a.text != b.text:
            break
    if found:
        return _mean(found)
    return 0.0 if _texts(one) == _texts(other) else CLIP  # no place is known on both sides


def mean_answer(repeats: Sequence[Answer]) -> Answer:
    """The most central repeat of an answer, its log-probabilities averaged at each place over the repeats whose tokens
    before that place are the same; empty without repeats.
    """
    if not repeats:
        return ()
    centre = min(repeats, key=lambda one: math.fsum(answer_distance(one, other) for other in repeats))
    tokens = []
    for place, token in enumerate(centre):
        begun = [one for one in repeats if len(one) > place and _texts(one)[:place] == _texts(centre)[:place]]
        listed = token.top or next((one[place].top for one in begun if one[place].top), {})
        top = {text: _mean([one[place].top[text] for one in begun if text in one[place].top]) for text in listed}
        tokens.append(TokenLogprobs(token.text, top))
    return tuple(tokens)


def _sketch(text: str) -> str:
    """Checksums of a text, two hexadecimal digits for every four characters (the last may have fewer): they show where
    texts part without storing them."""
    blocks = (text[at : at + BLOCK].encode("utf-8", "surrogatepass") for at in range(0, len(text), BLOCK))
    return "".join(f"{zlib.crc32(block) & 0xFF:02x}" for block in blocks)


def text_distance(one: str, other: str) -> float:
    """Share (0 to 1) of the longer text that comes after the place where the two part; 0 for equal texts."""
    longest = max(len(one), len(other))
    common = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return 1.0 - common / longest if longest else 0.0


def _spread(repeats: Sequence[Sequence[T]], distance: Callable[[T, T], float]) -> float:
    """Largest distance between two repeats, each the mean over the prompts of ``distance``;
    ``repeats[prompt][repeat]``.

    0 for fewer than two repeats.
    """
    count = min((len(one) for one in repeats), default=0)
    pairs = combinations(range(count), 2)
    return max((_mean([distance(one[a], one[b]) for one in repeats]) for a, b in pairs), default=0.0)


def _divided(repeats: Sequence[Sequence[Answer]]) -> bool:
    """Whether the repeats fall into two groups: the largest distance of two repeats of one prompt is over 0.06 nats,
    and 20 to 80 % of all pairs of repeats of one prompt have at most a quarter of it.

    ``repeats[prompt][repeat]``. Noise makes all pairs differ about equally.
    """
    pairs = [answer_distance(a, b) for one in repeats for a, b in combinations(one, 2)]
    widest = max(pairs, default=0.0)
    near = sum(distance <= widest / 4 for distance in pairs)
    return widest > TWO_SERVERS and 0.2 <= near / len(pairs) <= 0.8


def _texts_distance(one: Sequence[str], other: Sequence[str]) -> float:
    return _mean([text_distance(a, b) for a in one for b in other])


def _texts(answer: Answer) -> tuple[str, ...]:
    return tuple(token.text for token in answer)


def _rounded(top: Mapping[str, float]) -> dict[str, float]:
    return {text: round(max(value, -1e4), 4) for text, value in top.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
