"""What holds for every adapter and every variant of it."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from evalsuite.records import Reply, Request, canonical_sha
from evalsuite.tasks.base import SLOW_TEXT, Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import ADAPTERS, load
from tests.support import questions as made
from tests.support.shared import shared_data

each = pytest.mark.parametrize(("task", "variant"), made.VARIANTS)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return made.lay_out(tmp_path_factory.mktemp("data"))


def test_every_variant_is_tested() -> None:
    single = [task for task in ADAPTERS if task not in ("lm_eval", "jsonl") and hasattr(load(task), "score")]
    known = {(task, variant) for task in single for variant in load(task).variants}
    assert known == set(made.VARIANTS)


@each
def test_ids_are_unique_and_the_same_again(task: str, variant: str, source: Source) -> None:
    adapter = made.adapter(task, variant, source)
    items = list(adapter.items())
    assert len({item.id for item in items}) == len(items) == made.COUNTS[task]
    assert list(made.adapter(task, variant, source).items()) == items
    assert all(item.id and item.weight == 1 for item in items)


@pytest.mark.parametrize(("task", "count"), [("mmlu_pro", 12_032), ("gsm8k", 1_319)])
def test_the_real_data_has_the_expected_size(task: str, count: int) -> None:
    adapter = made.adapter(task, load(task).variants[0], Source("local", str(shared_data())))
    items = list(adapter.items())
    assert len({item.id for item in items}) == len(items) == count


@each
def test_the_prompt_is_what_it_was(task: str, variant: str, source: Source, snapshot: SnapshotAssertion) -> None:
    adapter = made.adapter(task, variant, source)
    first, second = list(adapter.items())[:2]
    assert [_plain(adapter.prompt(first, 0)), _plain(adapter.prompt(second, 1))] == snapshot


def test_prompts_are_the_same_in_another_process(source: Source) -> None:
    words = [sys.executable, "-c", _PRINT_SHAS, str(source.root)]
    shas = [
        subprocess.run(words, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}).stdout.split()
        for seed in ("1", "2")
    ]
    assert shas[0] == shas[1] == prompt_shas(source)
    assert len(shas[0]) >= 80


@each
def test_gold_scores_one_and_garbage_nothing(task: str, variant: str, source: Source) -> None:
    adapter = made.adapter(task, variant, source)
    for item in list(adapter.items())[:10]:
        for repeat in range(3):
            gold = made.right(task, variant, adapter, item, repeat)
            assert adapter.score(item, repeat, made.reply(gold)).outcome == "correct"
            assert adapter.score(item, repeat, made.reply(gold, "length")).value == 1
            garbage = adapter.score(item, repeat, made.reply(made.WRONG[task]))
            assert garbage.value == 0
            assert garbage.outcome in ("wrong", "no_answer")


@each
def test_silence_truncation_and_refusal_are_told_apart(task: str, variant: str, source: Source) -> None:
    adapter = made.adapter(task, variant, source)
    item = next(iter(adapter.items()))
    outcomes = {
        "no_answer": made.reply(""),
        "truncated": made.reply("", "length"),
        "refused": made.reply("", "content_filter"),
    }
    for outcome, reply in outcomes.items():
        score = adapter.score(item, 0, reply)
        assert (score.value, score.outcome, score.answer) == (0, outcome, None)
    reasoned = Reply("", reasoning=made.right(task, variant, adapter, item, 0), finish_reason="stop")
    assert adapter.score(item, 0, reasoned).outcome == "no_answer", "thinking is never graded"


@each
def test_an_attempt_asks_its_prompt_once_and_grades_the_reply(task: str, variant: str, source: Source) -> None:
    adapter = made.adapter(task, variant, source)
    item = list(adapter.items())[1]
    asked: list[Request] = []
    filler = "" if task == "word_problems" else "step by step. " * (SLOW_TEXT // 14 + 1)

    async def chat(request: Request) -> Reply:
        asked.append(request)
        return made.reply(filler + made.right(task, variant, adapter, item, 1))

    score = asyncio.run(adapter.attempt(item, 1, Tools(chat)))
    assert score.outcome == "correct"
    assert asked == [adapter.prompt(item, 1)]


def prompt_shas(source: Source) -> list[str]:
    """Of the first five items at two repeats, for every variant of every task."""
    shas = []
    for task, variant in made.VARIANTS:
        adapter = made.adapter(task, variant, source)
        items = list(adapter.items())[:5]
        shas += [canonical_sha(_plain(adapter.prompt(item, repeat))) for item in items for repeat in range(2)]
    return shas


def _plain(request: Request) -> dict[str, Any]:
    return {"messages": [dict(one) for one in request.messages], "stop": list(request.stop), "raw": request.raw}


_PRINT_SHAS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from evalsuite.tasks.datasets import Source
from tests.tasks.test_contract import prompt_shas
print(*prompt_shas(Source("local", sys.argv[1])))
"""
