"""IFBench's verifiers compared with verdicts of the official code, and on answers that never end."""

import gzip
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evalsuite.records import Item
from evalsuite.tasks.datasets import Source, read_jsonl
from evalsuite.tasks.ifbench.models import load
from evalsuite.tasks.ifbench.verify import VERIFIERS, followed, own
from evalsuite.tasks.registry import build
from tests.support.ifbench_texts import forget_decisions


@dataclass(frozen=True, slots=True)
class VerifierAgreement:
    """Our verdicts and the official ones."""

    prompts: int
    strict: int
    """Prompts whose instructions are all followed, as the answer stands."""
    loose: int
    same: int
    """Prompts with each strict and each loose verdict equal to the official one."""
    pairs: int
    """Prompts times pool texts."""
    same_pairs: int
    instructions: Mapping[str, tuple[int, int]]
    """Instruction id -> (pairs with it whose strict and loose verdicts are equal, all pairs with it)."""


def items(data: Path, **options: Any) -> list[Item]:
    """The 300 prompts of the shipped file."""
    options = {"nltk_data": str(data / "nltk_data"), **options}
    source = Source("local", str(data))
    return list(build("ifbench", variant="prompts300", options=options, source=source, seed=42).items())


def sample_answers(data: Path) -> dict[str, str]:
    """Stripped prompt -> the answer that the official sample output holds."""
    return {row["prompt"].strip(): row["response"] for _, row in read_jsonl(data / "ifbench" / "sample_output.jsonl")}


def agreement(data: Path, texts: int | None = None) -> VerifierAgreement:
    """Grade the sample output, and every prompt with the first ``texts`` (None: all 20) texts of the pool."""
    follows = own(load(str(data / "nltk_data")))
    known = {item.id: item for item in items(data)}
    answers = sample_answers(data)
    strict = loose = same = 0
    for _, row in read_jsonl(data / "ifbench" / "official_verdicts.jsonl"):
        item = known[row["key"]]
        verdict = followed(item.target, answers.get(item.inputs["prompt"].strip(), ""), follows)
        strict += all(verdict.strict)
        loose += all(verdict.loose)
        same += [list(verdict.strict), list(verdict.loose)] == [row["strict_list"], row["loose_list"]]
    with gzip.open(data / "ifbench" / "official_verdicts_pool.json.gz", "rt", encoding="utf-8") as file:
        pool = json.load(file)
    pairs = same_pairs = 0
    equal: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for row in pool["rows"]:
        target = known[row["key"]].target
        official = zip(pool["pool"], row["strict"], row["loose"], strict=True)
        for text, asked_strict, asked_loose in islice(official, texts):
            verdict = followed(target, text, follows)
            right = _equal(verdict.strict, asked_strict), _equal(verdict.loose, asked_loose)
            pairs += 1
            same_pairs += all(map(all, right))
            for one, *both in zip(target, *right, strict=True):
                seen[one["id"]] += 1
                equal[one["id"]] += all(both)
    table = {name: (equal[name], seen[name]) for name in sorted(seen)}
    return VerifierAgreement(len(known), strict, loose, same, pairs, same_pairs, table)


def _equal(verdicts: Sequence[bool], digits: str) -> list[bool]:
    return [verdict == (digit == "1") for verdict, digit in zip(verdicts, digits, strict=True)]


ARGUMENTS: Mapping[str, Any] = {
    "small_n": 2,
    "N": 12,
    "min_words": 5,
    "max_words": 9,
    "percentage": 50,
    "reference_text": "Wait, let me think again.",
    "sep": "-",
    "options": "yes/no/maybe",
    "prompt_to_repeat": "Wait, let me think again.",
    "n_start": 0,
    "n_end": 20_000,
    "word": "again",
    "keyword": "again",
    "n": 1,
    "m": 300_000,
    **{f"keyword{place}": word for place, word in enumerate(("wait", "let", "me", "think", "again"), 1)},
}
"""Values under which no verifier is done early on a looping answer."""

REPEATED = (
    *("Wait, let me think again. ", "Wait, let me think again.\n", "and so on and on ", "word\n", "a", "A ", "again "),
    *(".", ". ", ".\n", "?! ", "... ", "e.g. i.e. ", "A. B. C. ", "x.", "\n", " ", "  \n", "\t.", "\r", "\r\n"),
    *('"', "'", "''", "``", '.")', ".) ", "([{", "()", ")", "*", "* a. b\n", "- ", "--", ",", '",\n', '"";', ":"),
    *("1.2.3 ", "1,", "9", "Question 1. a\n", "Question ", "\n\nQuestion", "A) b\n", "1800-01-01,", "<i>", "<i>a</i>"),
    *(
        "日本。",
        "😀 ",
        "\ufe0f",
        "Zimbabwe\n",
        "eagle bald ",
        "Emma ",
        "kayak ",
        "can't ",
        "cannot ",
        "'tis ",
        "\u2028",
    ),
)
"""What a looping answer repeats."""


def answers(length: int) -> dict[str, str]:
    """Name -> one answer of ``length`` characters: a piece repeated, and shapes that patterns look back over."""
    half = length // 2
    shapes = {repr(piece): (piece * (length // len(piece) + 1))[:length] for piece in REPEATED}
    return shapes | {
        "a question, then empty lines": "Question 1. a" + "\n" * length,
        "a quoted field of marks": 'ProductID,Category,Brand,Price,Stock\n"' + "!" * length,
        "a field of quotes, then marks": "ProductID,Category,Brand,Price,Stock\n"
        + ("a," * 4 + "!a" * 50 + "\n") * 2900,
        "brackets opened and closed": "(" * half + ")" * half,
        "words, then spaces": "again " * (half // 6) + " " * half,
        "one long word, then a full stop": "a" * length + ". B",
        "a word a line, indented": "".join(" " * (place % 700) + "x\n" for place in range(850)),
    }


def looping(nltk_data: str, length: int = 300_000, only: Sequence[str] | None = None) -> dict[str, tuple[float, str]]:
    """Grade looping answers (None: all of ``answers``), strict and loose, each from nothing remembered.

    Instruction id -> (CPU seconds of its slowest answer, what that answer repeats).
    """
    follows = own(load(nltk_data))
    slowest: dict[str, tuple[float, str]] = {}
    for shape, text in answers(length).items():
        if only is not None and shape not in only:
            continue
        for name, (_, needed) in VERIFIERS.items():
            args = {key: ARGUMENTS[key] for key in needed}
            forget_decisions()
            began = time.process_time()
            followed([{"id": name, "args": args}], text, follows)
            slowest[name] = max(slowest.get(name, (0.0, "")), (time.process_time() - began, shape))
    return slowest
