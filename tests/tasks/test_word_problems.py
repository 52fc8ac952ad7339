"""The demo's task beyond the contract."""

from collections import Counter

import pytest

from evalsuite.tasks.datasets import HUB
from tests.support import questions as made


def test_five_subjects_of_four_hundred_without_any_data() -> None:
    items = list(made.adapter("word_problems", "plain", HUB).items())
    counts = Counter(item.groups["subject"] for item in items)
    assert counts == {"add": 400, "sub": 400, "mul": 400, "mod": 400, "pick": 400}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("{}", "correct"), (" {}\n", "correct"), ("{}.", "wrong"), ("it is {}", "wrong"), (" ", "no_answer")],
)
def test_the_whole_reply_is_the_answer(text: str, outcome: str) -> None:
    adapter = made.adapter("word_problems", "plain", HUB)
    item = next(iter(adapter.items()))
    assert adapter.score(item, 0, made.reply(text.format(item.target))).outcome == outcome
