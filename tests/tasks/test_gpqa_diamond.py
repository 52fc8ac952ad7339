"""GPQA Diamond beyond the contract, on invented records."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalsuite.records import Item
from evalsuite.tasks.gpqa_diamond import GPQADiamond
from tests.support import questions as made


def record(name: str) -> Item:
    return Item(name, {"question": "Which?", "choices": ["right", "w1", "w2", "w3"]}, 0)


@pytest.mark.parametrize("variant", GPQADiamond.variants)
def test_the_order_depends_on_record_and_seed_and_only_simple_evals_on_the_repeat(variant: str) -> None:
    names = [f"rec{number}" for number in range(200)]
    orders = {name: [GPQADiamond(variant).order(record(name), repeat) for repeat in range(8)] for name in names}
    assert all(sorted(order) == [0, 1, 2, 3] for some in orders.values() for order in some)
    distinct = [len(set(some)) for some in orders.values()]
    assert max(distinct) == 1 if variant == "nvidia" else min(distinct) > 1
    assert any(GPQADiamond(variant, seed=1).order(record(name), 0) != orders[name][0] for name in names)
    places = Counter(some[0].index(0) for some in orders.values())
    assert all(30 <= places[place] <= 70 for place in range(4)), "the right choice stands everywhere alike"


def test_the_order_is_this_one_for_ever() -> None:
    assert GPQADiamond("nvidia", seed=42).order(record("recX"), 5) == GPQADiamond("nvidia", seed=42).order(
        record("recX"), 0
    )
    assert [GPQADiamond("simple_evals", seed=42).order(record("recX"), repeat) for repeat in range(3)] == ORDERS


def test_a_wrong_choice_that_reads_like_the_right_one_is_wrong(tmp_path: Path) -> None:
    adapter: Any = made.adapter("gpqa_diamond", "nvidia", made.lay_out(tmp_path))
    item = list(adapter.items())[3]
    assert item.inputs["choices"][0] == item.inputs["choices"][2]
    order = adapter.order(item, 0)
    letters = {index: "ABCD"[order.index(index)] for index in range(4)}
    assert adapter.score(item, 0, made.reply(f"Answer: {letters[0]}")).outcome == "correct"
    assert adapter.score(item, 0, made.reply(f"Answer: {letters[2]}")).outcome == "wrong"
    note = adapter.score(item, 0, made.reply("")).note
    assert note == f"order {''.join(map(str, order))}, right is {letters[0]}"


def test_texts_are_cleaned_for_nvidia_only(tmp_path: Path) -> None:
    source = made.lay_out(tmp_path)
    nvidia, simple = (made.adapter("gpqa_diamond", variant, source) for variant in GPQADiamond.variants)
    item = next(iter(nvidia.items()))
    assert ") claim 0-0. end" in str(nvidia.prompt(item, 0).messages[0]["content"])
    assert ")  claim 0-0 [title]end" in str(simple.prompt(item, 0).messages[0]["content"])
    assert item.groups == {"domain": "Physics", "subdomain": "Made"}


ORDERS = [(0, 3, 1, 2), (3, 2, 0, 1), (2, 0, 1, 3)]
