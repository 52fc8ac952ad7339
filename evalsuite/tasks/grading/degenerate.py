"""Signs of a sick server or checkpoint in one reply: empty, only thinking, a loop, a tool call as text, garbled. Pure.

Each sign keeps its outcome and value, because a checkpoint that loops has lost accuracy; it is counted, because an
answer that the server swallowed says nothing about the checkpoint. Causes: a reasoning parser that files every answer
as thinking (vllm-project/vllm#53284), kernels that yield NaN and so one token for ever (vllm-project/vllm#17154), stop
strings that end the thinking (EleutherAI/lm-evaluation-harness#3700). All checks take time linear in the reply.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalsuite.records import Item, Reply, call_in_text

KINDS: tuple[str, ...] = ("empty", "thought_only", "loop", "call_as_text", "garbled")
"""``empty``: neither text nor thinking nor a tool call. ``thought_only``: it ended by itself with thinking and without
a text. ``loop``: its end repeats one cycle, to the token cap or over most of its length. ``call_as_text``: a tool call
that no parser took out of the text. ``garbled``: replacement characters, or a script that the item does not use."""
_REPLACEMENT = "\ufffd"
_ANCHOR = 24
"""Characters at the end of a text whose earlier occurrence gives the length of its cycle."""
_LONGEST_CYCLE = 2_000
_LOOP, _SHORT_LOOP = 256, 64
"""Characters from which a repeated end counts: up to the token cap, and where the reply ended by itself."""
_FEWEST_FOREIGN, _FOREIGN_SHARE = 20, 0.05
"""Letters of a foreign script from which a text is garbled, and their share of its characters."""
_SCRIPTS: Mapping[str, tuple[str, str]] = {
    "Han": ("\u3400-\u4dbf\u4e00-\u9fff", "chinese|mandarin|cantonese|japanese|kanji|hanzi|hanja"),
    "Kana": ("\u3041-\u30ff", "japanese|kana"),
    "Hangul": ("\u1100-\u11ff\uac00-\ud7af", "korean|hangul"),
    "Cyrillic": (
        "\u0400-\u052f",
        "russian|ukrainian|bulgarian|serbian|macedonian|belarusian|kazakh|mongolian|cyrillic",
    ),
    "Arabic": ("\u0600-\u06ff\u0750-\u077f", "arabic|persian|farsi|urdu|pashto|kurdish"),
    "Hebrew": ("\u0590-\u05ff", "hebrew|yiddish"),
    "Devanagari": ("\u0900-\u097f", "hindi|marathi|nepali|sanskrit|devanagari"),
    "Bengali": ("\u0980-\u09ff", "bengali|bangla|assamese"),
    "Gurmukhi": ("\u0a00-\u0a7f", "punjabi|gurmukhi"),
    "Gujarati": ("\u0a80-\u0aff", "gujarati"),
    "Tamil": ("\u0b80-\u0bff", "tamil"),
    "Telugu": ("\u0c00-\u0c7f", "telugu"),
    "Kannada": ("\u0c80-\u0cff", "kannada"),
    "Malayalam": ("\u0d00-\u0d7f", "malayalam"),
    "Thai": ("\u0e00-\u0e7f", "thai"),
    "Georgian": ("\u10a0-\u10ff", "georgian"),
    "Armenian": ("\u0530-\u058f", "armenian"),
    "Ethiopic": ("\u1200-\u137f", "amharic|tigrinya|ge'ez"),
}
"""Script -> (its letters, as in a class of a regular expression, languages that are written in it). Latin is the tasks'
own, Greek that of formulas."""
_ANY_SCRIPT = re.compile(f"[{''.join(letters for letters, _ in _SCRIPTS.values())}]")


def degenerate(reply: Reply, item: Item | None = None, *, call_as_text: bool = False) -> str:
    """Return the sign of a faulty reply, the first that is found; an empty text if there is none.

    Looked for in this order: ``call_as_text`` if the argument states it; in a reply without tool calls ``loop`` (see
    ``loops``), ``empty`` (neither text nor reasoning), ``thought_only`` (reasoning and no text, ended neither by the
    token limit nor by a content filter) and ``call_as_text`` (a tool call left in the text); then ``garbled``:
    replacement characters in text or reasoning (not those at the end, where the token limit cut the reply), or letters
    of foreign scripts (``_SCRIPTS``: Han, Cyrillic and others, not Latin or Greek) in the text, else the reasoning, at
    least 20 and 5 % of its characters.

    Args:
        reply: The last reply of an attempt, as it is graded.
        item: The question; replacement characters and scripts that it has, and scripts of languages that it names, are
            no sign. None: only replacement characters count as garbled.
        call_as_text: Whether the task found a tool call in the text of any reply of the attempt.
    """
    if call_as_text:
        return "call_as_text"
    text, ended = reply.text, reply.finish_reason != "length"
    if not reply.tool_calls:
        if loops(reply):
            return "loop"
        if not text.strip() and not reply.reasoning.strip():
            return "empty"
        if not text.strip() and ended and reply.finish_reason != "content_filter":
            return "thought_only"
        if call_in_text(text):
            return "call_as_text"
    return "garbled" if _garbled(reply, item) else ""


def loops(reply: Reply) -> bool:
    """Return whether a reply ends in a repetition of one cycle of at most 2,000 characters: its text, or, if that is
    empty or white space and there is reasoning, its reasoning.

    A reply cut at the token limit must repeat it at least three times, in at least 256 characters or half of the reply;
    one that ended by itself at least four times, in at least 64 characters (fewer of one repeated character) and four
    fifths of the reply. Under 16 repeated characters never count; the length of the reply is that of text and reasoning
    together. Replacement characters at the end are passed over, in a reply that ended by itself also white space.
    """
    capped = reply.finish_reason == "length"
    end = (reply.text if reply.text.strip() or not reply.reasoning else reply.reasoning).rstrip(_REPLACEMENT)
    if not capped:
        end = end.rstrip()
    total = len(reply.text) + len(reply.reasoning)
    run, cycle = repeated_end(end, 3 if capped else 4)
    if run < 16:
        return False
    if capped:
        return run >= _LOOP or 2 * run >= total
    return 5 * run >= 4 * total and (run >= _SHORT_LOOP or cycle == 1)


def repeated_end(text: str, times: int) -> tuple[int, int]:
    """Return (length of the longest end of ``text`` that repeats one cycle at least ``times`` times, length of that
    cycle), in characters.

    The length includes the first cycle and a part of one at the beginning: (7, 3) for "abcabca" and 2 times. The cycle
    has at most 2,000 characters. The end counts only if it is longer than its cycle by at least 24 characters (by a
    third of the text, rounded down, for a text of 3 to 71). (0, 0) without such an end, and for a shorter text.
    """
    size = len(text)
    anchor = min(_ANCHOR, size // 3)
    if not anchor:
        return 0, 0
    last, longest, cycle, period = text[-anchor:], 0, 0, 1
    while (at := text.rfind(last, max(0, size - anchor - _LONGEST_CYCLE), size - period)) >= 0:
        period = size - anchor - at
        run = _run(text, period)
        if run > longest and run >= times * period:  # an early copy of the cycle makes a longer run, with one cycle
            longest, cycle = run, period
        period = max(period, run - period) + 1  # a shorter one would have gone on where this one ended (Fine and Wilf)
    return longest, cycle


def _run(text: str, period: int) -> int:
    """Return the length of the longest end of ``text`` in which every character equals the
    one ``period`` places before it.

    At least ``period``: the characters of the last cycle have nothing behind them to compare.
    """
    size, known = len(text), period
    step = min(period, size - known)

    def equal(more: int) -> bool:
        high, low = size - known, size - known - more
        return text[low:high] == text[low + period : high + period]

    while step and equal(step):
        known += step
        step = min(2 * step, size - known)
    while step > 1:  # fewer than ``step`` further characters are equal
        step = (step + 1) // 2
        if step <= size - known and equal(step):
            known += step
    return known


def _garbled(reply: Reply, item: Item | None) -> bool:
    texts = (reply.text, reply.reasoning)
    if all(text.isascii() for text in texts):
        return False
    cut = reply.finish_reason == "length"  # a character of several tokens may be cut in two
    broken = any(_REPLACEMENT in (text.rstrip(_REPLACEMENT) if cut else text) for text in texts)
    if broken and not (item is not None and any(_REPLACEMENT in part for part in _strings(_content(item)))):
        return True
    text = reply.text if reply.text.strip() else reply.reasoning
    if item is None or text.isascii():
        return False
    letters, fewest = "".join(_ANY_SCRIPT.findall(text)), max(_FEWEST_FOREIGN, _FOREIGN_SHARE * len(text))
    if len(letters) < fewest:
        return False
    own = "\n".join(_strings(_content(item)))
    known = [f"[{script}]" for script, names in _SCRIPTS.values() if re.search(f"[{script}]|{names}", own, re.I)]
    return len(re.sub("|".join(known), "", letters) if known else letters) >= fewest


def _content(item: Item) -> list[Any]:
    return [item.inputs, item.target, *item.groups.values()]


def _strings(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value in order, at every depth; of a mapping the values only, not the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _strings(inner)
