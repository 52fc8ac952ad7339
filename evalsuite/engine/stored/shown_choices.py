"""Leads letters of choices that were shown in another order back to the item's own order.

A harness that shuffles choices logs the letters of the shuffled order. Where its log holds the choices as they were
shown, or the prompt that shows them, an answer is graded by that order and reported in the item's own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase as LETTERS
from typing import Any

from evalsuite.records import Item, Reply, Score
from evalsuite.tasks.base import SingleTurn

Order = tuple[int, ...]
"""For each place at which a choice was shown, its index among the item's choices."""
_NOTE = re.compile(r"choices shown in the order ([0-9]+(?: [0-9]+)*)")
_LABELLED = re.compile(r"^\s*\(?([A-Z])[).:]\s+(.*\S)\s*$", re.MULTILINE)


def order_shown(item: Item, row: Mapping[str, Any]) -> Order | None:
    """The order in which a row of a log (its ``choices``, ``prompt`` or ``document``) shows an item's choices: for each
    place shown, the index of the item's own choice. Choices ``N/A`` are left out of both.

    None where the row holds no permutation of them, or the item has no list of 2 to 26 texts as choices.
    """
    own = _own(item)
    if own is None:
        return None
    lists = [row.get("choices"), _labelled(row.get("prompt")), *_lists(row.get("document"))]
    for shown in lists:
        texts = _texts(shown)
        if texts is not None and sorted(texts) == sorted(own):
            places: dict[str, list[int]] = {}
            for index, text in enumerate(own):
                places.setdefault(text, []).append(index)
            return tuple(places[text].pop(0) for text in texts)
    return None


def score_shown(single: SingleTurn, item: Item, repeat: int, reply: Reply, order: Order | None) -> Score:
    """Grade an answer whose letters are those of ``order``; None: of the order in which this task shows the choices.

    For another order than the task's, an answer of one letter becomes the letter in the task's own order, and the
    score's note names ``order``.
    """
    own_order: Order = getattr(single, "order", lambda item, repeat: tuple(range(len(_own(item) or ()))))(item, repeat)
    if order is None or order == own_order:
        return single.score(item, repeat, reply)
    score = single.score(_as_shown(item, own_order, order), repeat, reply)
    answer = score.answer
    if answer is not None and len(answer) == 1 and answer in LETTERS[: len(order)]:
        answer = LETTERS[own_order.index(order[LETTERS.index(answer)])]
    note = f"choices shown in the order {' '.join(map(str, order))}"
    return replace(score, answer=answer, note=f"{score.note}; {note}" if score.note else note)


def plain(text: str) -> str:
    """A text for comparison: single spaces, none at the ends, and ``. `` for GPQA's mark of a heading (`` [title]``),
    as harnesses show it."""
    return " ".join(text.replace(" [title]", ". ").split())


def noted_order(note: str | None) -> Order | None:
    """The order of choices that ``score_shown`` has written into a score's note; None where it has not."""
    found = _NOTE.search(note or "")
    return tuple(int(index) for index in found[1].split()) if found else None


def _as_shown(item: Item, own_order: Order, order: Order) -> Item:
    """A copy of the item for grading as if its choices stood in ``order``; ``own_order`` is the one in which the task
    shows them. Of an item without ``options`` only the target changes."""
    if "options" in item.inputs:
        right = order.index(LETTERS.index(item.target))
        shown = [item.inputs["options"][index] for index in order]
        return replace(item, inputs={**item.inputs, "options": shown}, target=LETTERS[right])
    return replace(
        item, target=own_order[order.index(item.target)]
    )  # the adapter asks where it stands in its own order


def _own(item: Item) -> list[str] | None:
    return _texts(item.inputs.get("options") or item.inputs.get("choices"))


def _texts(choices: Any) -> list[str] | None:
    if not isinstance(choices, list | tuple) or not 2 <= len(choices) <= len(LETTERS):
        return None
    texts = [plain(choice) for choice in choices if isinstance(choice, str) and choice != "N/A"]
    return texts if len(texts) + choices.count("N/A") == len(choices) else None


def _lists(document: Any) -> Iterable[Sequence[Any]]:
    """Yields the lists in a log's own copy of a question, at any depth of objects (``choices: {text: [...]}``), not of
    lists; none where it is no object."""
    values = list(document.values()) if isinstance(document, Mapping) else []
    for value in values:
        yield from ([value] if isinstance(value, list) else _lists(value) if isinstance(value, Mapping) else [])


def _labelled(prompt: Any) -> list[str] | None:
    """The texts of the last run of lines with the labels A, B, C ... (``A. text``) in a prompt; None without any, or if
    it is no text."""
    run: list[str] = []
    last: list[str] = []
    for label, text in _LABELLED.findall(prompt) if isinstance(prompt, str) else ():
        run = [*run, text] if label == LETTERS[len(run) % len(LETTERS)] else [text] if label == "A" else []
        last = run or last
    return last or None
