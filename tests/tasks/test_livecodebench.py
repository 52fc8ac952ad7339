"""LiveCodeBench: its window, its tests without unpickling, the checker's rules, and a run over HTTP."""

import asyncio
import base64
import contextlib
import json
import os
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.errors import BadInput, Exit
from evalsuite.records import Reply, Request
from evalsuite.sandbox.client import Sandbox, open_sandbox
from evalsuite.store.samples import read_samples
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.livecodebench import compare, problems, prompts, running
from evalsuite.tasks.registry import build
from evalsuite.tasks.scicode import grading
from tests.support import livecodebench_problems as made
from tests.support.scripted_endpoint import Answer, scripted_endpoint

QUICK = ("imported stdin", "wrong in the second test", "divides by zero", "method, tuple", "method, tuples inside")


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    opened = open_sandbox()
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return made.lay_out(tmp_path)


def test_items_are_the_windows(source: Source) -> None:
    items = list(problems.items(source))
    assert [(item.id, item.groups["month"], item.groups["difficulty"]) for item in items] == [
        ("sum", "2024-09", "easy"),
        ("double", "2025-01", "hard"),
    ]
    assert problems.tests(source, "sum") == made.SUM
    assert problems.tests(source, "double") == made.DOUBLE


def test_the_hash_of_an_item_covers_its_tests(tmp_path: Path) -> None:
    first = next(iter(problems.items(made.lay_out(tmp_path / "a"))))
    other = made.lay_out(tmp_path / "b")
    path = tmp_path / "b" / "livecodebench" / "test.jsonl"
    changed = json.dumps([{"input": "1 2\n", "output": "4\n", "testtype": "stdin"}])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["public_test_cases"] = changed
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    second = next(iter(problems.items(other)))
    assert (first.id, first.inputs) == (second.id, second.inputs)
    assert first.target != second.target


def test_an_incomplete_copy_is_refused(source: Source) -> None:
    folder = Path(str(source.root)) / "livecodebench"
    (folder / "test3.jsonl").write_bytes((folder / "test.jsonl").read_bytes())
    with pytest.raises(BadInput, match=r"lacks test2.jsonl, test4.jsonl, test5.jsonl, test6.jsonl"):
        list(problems.items(Source("local", f"{source.root}/.")))
    for number in (2, 4, 5, 6):
        (folder / f"test{number}.jsonl").write_text("")
    with pytest.raises(BadInput, match=r"has 6 problems, 2 of them .* its card states 1,055 and 454"):
        list(problems.items(Source("local", f"{source.root}/./.")))


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@given(st.text(max_size=300), st.sampled_from(range(pickle.HIGHEST_PROTOCOL + 1)))
def test_a_pickled_text_is_read_without_unpickling(text: str, protocol: int) -> None:
    assert problems.pickled_text(pickle.dumps(text, protocol)) == text


@pytest.mark.parametrize("content", [("a", "b"), 3, b"x", ["a"], {"a": "b"}, None])
def test_any_other_pickle_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="the pickle holds"):
        problems.pickled_text(pickle.dumps(content))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_pickle_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(problems.pickled_text(data), str)


def test_a_pickle_that_would_run_code_is_refused(source: Source, tmp_path: Path) -> None:
    path = Path(str(source.root)) / "livecodebench" / "test.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    data = pickle.dumps(Trap(tmp_path / "trap"))
    rows[0]["private_test_cases"] = base64.b64encode(zlib.compress(data)).decode()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInput, match=r"the tests of sum in .* the pickle holds"):
        problems.tests(Source("local", f"{source.root}/././."), "sum")
    assert not (tmp_path / "trap").exists()


def test_comparisons_are_the_checkers() -> None:
    assert compare.same_output("1.50  2\n x \n\n", "1.5 2.0\nx")
    assert not compare.same_output("1.5 2", "1.5 2 3")
    assert not compare.same_output("a 1.0", "a 1")
    assert not compare.same_output("nan", "NaN")
    assert not compare.same_output(["3"], "3")
    assert compare.same_value(("json", "[1, 2.0]"), "[1.0, 2]")
    assert compare.same_value(("json", "true"), "1")
    assert not compare.same_value(("value", [(1, 2)]), "[[1, 2]]")
    assert not compare.same_value(("json", "["), "[]")
    assert not compare.same_value("[]", "[]")


def test_code_is_taken_as_each_protocol_does() -> None:
    reply = "First:\n```\na\n```\nthen\n```python\nb\n```\nand\n```py\nc\n```"
    assert prompts.nvidia_code(reply) == "b"
    assert prompts.official_code(reply) == "c"
    assert prompts.nvidia_code("```python\nx = 1") == "x = 1"
    assert prompts.official_code("```python\nx = 1") == ""
    assert prompts.nvidia_code("print(1)\r\n") == "print(1)"


@pytest.mark.parametrize("case", [case for case in made.CASES if case.name in QUICK], ids=lambda case: case.name)
def test_verdicts_are_the_official_checkers(case: made.Case, box: Sandbox) -> None:
    assert verdict(case, box) == (case.passes, case.name == "runs for ever")


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in made.CASES if case.name not in QUICK], ids=lambda case: case.name)
def test_further_verdicts_are_the_official_checkers(case: made.Case, box: Sandbox) -> None:
    assert verdict(case, box) == (case.passes, case.name == "runs for ever")


def verdict(case: made.Case, box: Sandbox) -> tuple[bool, bool]:
    """(whether the code passes, whether it ran out of time)."""
    result = box.run(running.job(case.tests, case.code, made.SECONDS), case.tests.outputs)
    return result.ok, running.ending(result) == "timeout"


def test_without_a_wall_answers_stay_ungraded(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter: Any = build("livecodebench", variant="official", options={}, source=source, seed=0)

    async def chat(request: Request) -> Reply:
        return Reply("```python\nprint(1)\n```", finish_reason="stop")

    grading.close()
    monkeypatch.setenv("PATH", "")
    score = asyncio.run(adapter.attempt(next(iter(adapter.items())), 0, Tools(chat)))
    grading.close()
    assert (score.value, score.outcome, score.answer) == (None, "ungraded", "print(1)")
    assert "apt-get install bubblewrap" in score.note


def test_the_job_holds_no_expected_output() -> None:
    secret = "expected-output-4711"
    job = running.job(problems.Tests(None, ("1\n",), (secret,)), "print(1)", 1)
    assert secret not in job.code + "".join(test.inside + test.outside for test in job.tests)


def test_a_run_is_asked_graded_and_resumed(source: Source) -> None:
    root = Path(str(source.root))
    adapter: Any = build("livecodebench", variant="official", options={}, source=source, seed=0)
    asked = [adapter.prompt(item, 0).messages for item in adapter.items()]
    assert [len(messages) for messages in asked] == [2, 2]
    right = {"sum": "```python\nprint(sum(map(int, input().split())))\n```", "double": "```\nreturn\n```"}

    def model(prompt: str) -> Answer | str:
        name = "sum" if "problem: sum" in prompt else "double"
        return right[name]

    with scripted_endpoint(model) as server:
        words = ["model=fp8", f"models.fp8.base_url={server.base_url}", "task=livecodebench", "data=local"]
        words += [f"data.root={root}", f"results_dir={root}/results", "run_id=r", "report=false", "engine.probe=false"]
        settings = load_settings([*words, "tasks.livecodebench.repeats=1", "tasks.livecodebench.options.timeout=2"])
        assert run(settings) == Exit.DONE
        assert run(settings) == Exit.DONE
        assert len(server.requests) == 2
    rows = {row["item_id"]: row for row in read_samples(root / "results/r/fp8/livecodebench").to_pylist()}
    assert (rows["sum"]["outcome"], rows["sum"]["stage"], rows["sum"]["note"]) == ("correct", "tests", "")
    assert rows["double"]["outcome"] == "wrong"
    assert rows["double"]["note"].startswith("exception")
