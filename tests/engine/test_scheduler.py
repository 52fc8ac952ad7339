import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.scheduler import Attempt, AttemptQueue, ordered
from evalsuite.records import Item


def items(count: int, clusters: int = 0) -> list[Item]:
    return [Item(f"i{n}", {}, cluster=f"c{n % clusters}" if clusters else "") for n in range(count)]


def names(todos: list[Attempt]) -> list[tuple[str, int]]:
    return [(todo.item.id, todo.repeat) for todo in todos]


def drained(queue: AttemptQueue) -> list[Attempt]:
    taken = []
    while (todo := queue.take()) is not None:
        taken.append(todo)
        queue.done(todo)
    return taken


def test_without_lengths_every_question_comes_once_before_any_comes_twice() -> None:
    assert names(ordered(0, items(2), 2)) == [("i0", 0), ("i1", 0), ("i0", 1), ("i1", 1)]


def test_the_expected_longest_go_first_with_all_their_repeats() -> None:
    lengths = {"i0": 5.0, "i1": 900.0, "i2": 40.0}
    assert names(ordered(0, items(3), 2, expected=lengths.get)) == [
        ("i1", 0), ("i1", 1), ("i2", 0), ("i2", 1), ("i0", 0), ("i0", 1),
    ]  # fmt: skip


def test_questions_on_one_long_text_stay_together_the_longest_text_first() -> None:
    lengths = {"i0": 1.0, "i1": 2.0, "i2": 3.0, "i3": 50.0}
    planned = ordered(0, items(4, clusters=2), 2, expected=lengths.get, together=True)
    assert [todo.item.cluster for todo in planned] == ["c1"] * 4 + ["c0"] * 4
    assert names(planned)[:2] == [("i3", 0), ("i3", 1)]


def test_a_random_order_depends_on_nothing_but_seed_and_ids() -> None:
    lengths = {"i3": 1e6}
    whole = names(ordered(0, items(50), 2, shuffle_seed=1, expected=lengths.get, together=True))
    part = names(ordered(3, items(50)[10:20], 2, shuffle_seed=1))
    assert [pair for pair in whole if pair in part] == part
    assert whole != names(ordered(0, items(50), 2, shuffle_seed=2))
    assert [item for item, _ in whole[::2]] == [item for item, _ in whole[1::2]]  # all repeats of an item at once
    assert [item for item, _ in whole[::2]] != sorted(item for item, _ in whole[::2])


def test_arms_take_turns_item_by_item() -> None:
    queue = AttemptQueue([9, 9], ["a", "b"])
    lengths = {"i0": 1.0, "i1": 5.0, "i2": 3.0}
    queue.fill([ordered(cell, items(3), 1, expected=lengths.get) for cell in (0, 1)])
    assert [(todo.cell, todo.item.id) for todo in drained(queue)] == [
        (0, "i1"), (1, "i1"), (0, "i2"), (1, "i2"), (0, "i0"), (1, "i0"),
    ]  # fmt: skip


def test_the_first_question_of_every_task_goes_ahead_and_then_the_longest_of_all() -> None:
    queue = AttemptQueue([9, 9])
    queue.fill([
        ordered(0, items(3), 1, expected=lambda _: 10.0),
        ordered(1, items(2), 1, expected=lambda _: 500.0),
    ])  # fmt: skip
    assert [todo.cell for todo in drained(queue)] == [1, 0, 1, 0, 0]


def test_caps_hold_and_free_slots_go_to_others() -> None:
    queue = AttemptQueue([1, 2])
    queue.fill([ordered(0, items(5), 1, expected=lambda _: 9.0), ordered(1, items(5), 1, expected=lambda _: 1.0)])
    taken = [queue.take() for _ in range(4)]
    assert [todo.cell if todo else None for todo in taken] == [0, 1, 1, None]
    assert taken[0] is not None
    queue.done(taken[0])
    again = queue.take()
    assert again is not None
    assert again.cell == 0


def test_a_finished_repeat_says_how_long_the_others_are() -> None:
    queue = AttemptQueue([9])
    queue.fill([ordered(0, items(4), 2)])
    first = queue.take()
    assert first is not None
    queue.learn(0, "i3", 2, 700.0)
    queue.done(first)
    order = names(drained(queue))
    assert order[:2] == [("i3", 0), ("i3", 1)]
    assert len(order) == len(set(order)) == 7


def test_what_does_not_fit_waits_and_shorter_ones_go() -> None:
    lengths = {"i0": 5.0, "i1": 900.0, "i2": 40.0}
    queue = AttemptQueue([9])
    queue.fill([ordered(0, items(3), 1, expected=lengths.get)])
    limit = 100.0
    first = queue.take(lambda todo: (todo.expected or 0) < limit)
    assert first is not None
    assert first.item.id == "i2"
    assert queue.left == 2
    queue.done(first)  # and the one set aside is looked at again
    limit = 1000.0
    second = queue.take(lambda todo: (todo.expected or 0) < limit)
    assert second is not None
    assert second.item.id == "i1"


def test_a_strict_queue_never_passes_over_an_attempt() -> None:
    queue = AttemptQueue([9], strict=True)
    planned = ordered(0, items(3), 1, shuffle_seed=0)
    queue.fill([planned])
    assert queue.take(lambda todo: todo is not planned[0]) is None
    assert queue.take() is planned[0]


@given(
    st.lists(st.floats(0, 1e5), min_size=1, max_size=30),
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 29), st.floats(0, 1e5)), max_size=10),
)
def test_every_attempt_is_taken_exactly_once(
    lengths: list[float], repeats: int, cap: int, learned: list[tuple[int, float]]
) -> None:
    known = {f"i{n}": length for n, length in enumerate(lengths) if n % 3}
    planned = [ordered(cell, items(len(lengths)), repeats, expected=known.get) for cell in (0, 1)]
    queue = AttemptQueue([cap, cap], ["a", "b"])
    queue.fill(planned)
    dice, running, taken = random.Random(0), [], []
    for number, tokens in learned:
        queue.learn(0, f"i{number}", repeats, tokens)
    while queue.left or running:
        todo = queue.take(lambda _: dice.random() < 0.9)
        if todo is not None:
            running.append(todo)
            taken.append((todo.cell, todo.item.id, todo.repeat))
        elif running:
            queue.done(running.pop())
        else:
            queue.reconsider()
    assert sorted(taken) == sorted((one.cell, one.item.id, one.repeat) for cell in planned for one in cell)


@pytest.mark.parametrize(("known", "most"), [(True, 1.005), (False, 1.40)])
def test_longest_first_is_near_the_bound(known: bool, most: float) -> None:
    """1,319 items twice, lognormal lengths with median 0.2 and p99 5, on 128 slots, simulated without a clock."""
    dice = random.Random(1)
    lengths = {f"i{n}": dice.lognormvariate(-1.609, 1.384) for n in range(1319)}
    lengths["i1300"] = 32.5  # one that comes late in the order of the dataset
    queue = AttemptQueue([256, 256])
    expected = lengths.get if known else (lambda _: None)
    queue.fill([ordered(cell, items(1319), 1, expected=expected) for cell in (0, 1)])
    slots = [0.0] * 128
    while (todo := queue.take()) is not None:
        queue.done(todo)
        slot = min(range(128), key=slots.__getitem__)
        slots[slot] += lengths[todo.item.id]
    bound = max(32.5, 2 * sum(lengths.values()) / 128)
    assert max(slots) <= most * bound
