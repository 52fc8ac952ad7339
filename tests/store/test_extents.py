"""Which part of a cell counts, which parts a report can show, and which of them a gate takes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.settings import Select
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.store.extents import EXTENTS, check, extended, narrowed, new_extent, undeclared
from evalsuite.tasks.selection import selected_items

ITEMS = [Item(f"q{number}", {}, "", {"subject": "abc"[number % 3]}) for number in range(30)]
ORDER = [item.id for item in selected_items(ITEMS, Select(), None, 7)]


def asked(limit: int | None, repeats: int = 1, order: list[str] = ORDER) -> dict[str, Any]:
    """The manifest of a command that asks for the first ``limit`` items."""
    chosen = order[:limit]
    part = None if len(chosen) == len(ITEMS) else {"limit": limit, "groups": {}, "ids": None}
    plan = {"items": chosen, "repeats": repeats, "selection": part, "total_items": len(ITEMS)}
    identity = {"model": "fp8", "task": "toy"}
    return {"identity": identity, **plan, EXTENTS: [new_extent(chosen, part, repeats)]}


def accepted(known: dict[str, Any], limit: int | None, answered: int, repeats: int = 1) -> dict[str, Any]:
    """The manifest after one more command; the first ``answered`` items have an answer by then."""
    new = asked(limit, repeats)
    return {**new, EXTENTS: extended(known, new, {(item, 0) for item in ORDER[:answered]})}


@given(first=st.integers(1, 30), second=st.integers(1, 30))
def test_a_smaller_limit_is_nested(first: int, second: int) -> None:
    small, large = sorted((first, second))
    chosen = [{item.id for item in selected_items(ITEMS, Select(), limit, 7)} for limit in (small, large)]
    assert chosen[0] <= chosen[1]
    shown = narrowed(asked(large), small)
    assert set(shown["items"]) == chosen[0]
    assert bool(undeclared(shown)) == (small < large)  # a part that was never asked for decides nothing


def test_the_last_command_counts_and_an_old_extent_stays_declared() -> None:
    known = accepted(asked(10), 20, answered=10)
    assert not undeclared(known)
    back = accepted(known, 10, answered=13)
    assert len(back["items"]) == 10
    assert not undeclared(back)
    assert [len(entry["items"]) for entry in back[EXTENTS]] == [10, 20, 10]
    again = accepted(back, 10, answered=13)
    assert again[EXTENTS] == back[EXTENTS]
    assert len(narrowed(back, 20)["items"]) == 20
    assert not undeclared(narrowed(back, 20))


def test_a_part_that_is_chosen_after_its_answers_decides_nothing() -> None:
    known = accepted(asked(20), 15, answered=20)
    assert "Asked for in time: limit=20" in undeclared(known)
    assert undeclared(narrowed(known, 15))
    assert undeclared(narrowed(known, 12))
    assert not undeclared(narrowed(known, 20))
    picked = asked(6, order=ORDER[4:])  # ids with answers, and one without
    manifest = {**picked, EXTENTS: extended(known, picked, {(item, 0) for item in ORDER[:20]})}
    assert undeclared(manifest)


def test_a_part_without_any_answer_may_be_asked_for_later() -> None:
    other = asked(5, order=ORDER[20:])
    manifest = {**other, EXTENTS: extended(asked(20), other, {(item, 0) for item in ORDER[:20]})}
    assert not undeclared(manifest)


def test_more_repeats_extend_and_fewer_go_back() -> None:
    more = accepted(asked(10), 10, answered=10, repeats=3)
    assert not undeclared(more)
    less = accepted(more, 10, answered=10, repeats=2)
    assert [entry["repeats"] for entry in less[EXTENTS]] == [1, 3, 2]


def test_a_cell_of_an_earlier_version_gets_its_order_from_the_same_command() -> None:
    old = {key: value for key, value in asked(20).items() if key != EXTENTS} | {"items": sorted(ORDER[:20])}
    assert not undeclared(old)
    with pytest.raises(BadInput, match="asked by an earlier version"):
        narrowed(old, 5)
    assert narrowed(old, 20)["items"] == old["items"]
    now = accepted(old, 20, answered=20)
    assert narrowed(now, 5)["items"]
    with pytest.raises(BadInput, match=r"limit=25: fp8/toy was asked for at most 20 items"):
        narrowed(now, 25)


def test_a_limit_is_not_met_by_as_many_chosen_items() -> None:
    known = asked(20)
    known[EXTENTS][0]["ids"] = "chosen.txt"
    assert len(narrowed(known, 19)["items"]) == 19
    with pytest.raises(BadInput, match=r"asked for at most 20 items, which groups or ids chose"):
        narrowed(known, 20)


@pytest.mark.parametrize(
    "entry", [None, {}, {"items": [1]}, {"items": [], "repeats": True}, {"items": [], "repeats": 1}]
)
def test_a_history_of_another_form_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match="an entry of extents"):
        check({EXTENTS: [entry]})
