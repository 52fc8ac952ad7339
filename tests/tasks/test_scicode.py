"""SciCode on a small data set of our own: real code in the real sandbox, judged against real HDF5 targets."""

import asyncio
import dataclasses
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.cli.rescore import rescore
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Data, Run, Task
from evalsuite.errors import BadInput, ContextOverflow, Exit, SampleFailed
from evalsuite.records import Item, Reply, Request, Score, data_sha
from evalsuite.sandbox.isolation import missing
from evalsuite.store.samples import read_samples
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from evalsuite.tasks.scicode import grading, prompts, targets
from evalsuite.tasks.scicode.adapter import SciCode
from tests.support import scicode_problems as small
from tests.support import toy
from tests.support.machine_speed import cpu_budget
from tests.support.scripted_endpoint import Answer, scripted_endpoint

pytestmark = pytest.mark.skipif(bool(missing("bubblewrap")), reason=missing("bubblewrap") or "-")
Answers = dict[str, str | Reply | BaseException]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    made = small.lay_out(tmp_path)
    monkeypatch.setenv(targets.VARIABLE, str(small.targets(tmp_path)))
    return made


def task(source: Source, variant: str = "nvidia", **options: Any) -> SciCode:
    made = build("scicode", variant=variant, options=options, source=source, seed=1)
    assert isinstance(made, SciCode)
    return made


def item(made: SciCode, name: str) -> Item:
    return next(one for one in made.items() if one.id == name)


def attempt(made: SciCode, problem: str, answers: Answers) -> tuple[Score, list[str]]:
    """The score of one attempt and the prompts that were sent; unnamed steps are answered with gold."""
    asked: list[str] = []

    async def chat(request: Request) -> Reply:
        asked.append(str(request.messages[-1]["content"]))
        step = next(name for name in small.TESTS if f"'''Step {name}.'''" in asked[-1].split("NEXT STEP")[-1])
        answer = answers.get(step, small.fenced(small.GOLD[step]))
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(answer, finish_reason="stop")

    return asyncio.run(made.attempt(item(made, problem), 0, Tools(chat))), asked


def test_items_are_problems_weighted_by_their_scored_steps(source: Source) -> None:
    items = list(task(source).items())
    assert [(one.id, one.weight, one.groups["split"]) for one in items] == [
        ("901", 4.0, "validation"),
        ("902", 2.0, "test"),
        ("62", 1.0, "test"),
    ]
    assert list(task(source).items()) == items
    assert [one.id for one in task(source, "official").items()] == ["902", "62"]
    assert data_sha(tuple(items)) == data_sha(tuple(task(source).items()))
    left = {one.id: one.weight for one in task(source, leave_out=["901.2", "62.2"]).items()}
    assert left == {"901": 3.0, "902": 2.0}


def test_other_targets_are_other_questions(source: Source, tmp_path: Path) -> None:
    before = data_sha(tuple(task(source).items()))
    import h5py

    with h5py.File(small.targets(tmp_path), "a") as file:
        file["901.1/test2/var1"][...] = 5.0
    assert data_sha(tuple(task(source).items())) != before


@pytest.mark.parametrize("variant", ["nvidia", "official"])
def test_gold_passes_every_kind_of_target(source: Source, variant: str) -> None:
    made = task(source, variant)
    for one in made.items():
        score, asked = attempt(made, one.id, {})
        assert (score.value, score.outcome) == (1.0, "correct"), score.note
        assert score.answer == f"{one.weight:.0f}/{one.weight:.0f}"
        steps = [step for step in small.TESTS if step.startswith(f"{one.id}.") and step != "62.1"]
        assert score.parts == dict.fromkeys(steps, 1.0) | {"main_problem": 1.0, "timeouts": 0.0}
        assert len(asked) == len(steps), "given steps are never asked"
        assert "sandbox " in score.note


WRONG: dict[str, tuple[str, str, str]] = {
    "wrong values": (small.fenced("def grid(n):\n    return np.zeros(n)"), "wrong", "wrong (test 1: the values differ"),
    "no code block": ("I would square them.", "wrong", "no code block"),
    "sys.exit(0)": (small.fenced("def grid(n):\n    raise SystemExit(0)"), "wrong", "exception (test 1: SystemExit"),
    "exit": (small.fenced("def grid(n):\n    np.os._exit(0)"), "wrong", "901.1 "),
    "timeout": (small.fenced("def grid(n):\n    while True: pass"), "wrong", "timeout (timeout: 1 s)"),
    "always equal": (
        small.fenced("class E(float):\n    def __eq__(s, o): return True\ndef grid(n): return E(0)"),
        "wrong",
        "wrong (test 1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_first_step_fails_alone_or_with_those_that_call_it(source: Source, case: str) -> None:
    text, outcome, said = WRONG[case]
    score, _ = attempt(task(source, timeout=1), "901", {"901.1": text})
    assert (score.value, score.outcome, score.answer) == (0.5, outcome, "2/4")
    assert [score.parts[step] for step in ("901.1", "901.2", "901.3", "901.4")] == [0, 0, 1, 1]
    assert said in score.note
    assert (score.parts["main_problem"], score.parts["timeouts"]) == (0, 0.5 if case == "timeout" else 0)


def test_a_syntax_error_fails_every_step_that_is_run_with_it(source: Source) -> None:
    score, _ = attempt(task(source), "901", {"901.2": small.fenced("def ends(n)\n    return n")})
    assert (score.value, score.outcome, score.answer) == (0.25, "wrong", "1/4")
    assert "901.2 exception (test 1: SyntaxError" in score.note


def test_silence_truncation_refusal_and_a_full_context_are_told_apart(source: Source) -> None:
    made = task(source)
    silent, _ = attempt(made, "62", {"62.2": "no code here"})
    assert (silent.value, silent.outcome, silent.answer) == (0, "no_answer", None)
    cut, _ = attempt(made, "62", {"62.2": Reply("```python\ndef vol", finish_reason="length")})
    assert (cut.value, cut.outcome) == (0, "truncated")
    refused, _ = attempt(made, "62", {"62.2": Reply("", finish_reason="content_filter")})
    assert (refused.value, refused.outcome) == (0, "refused")
    full, asked = attempt(made, "901", {"901.3": ContextOverflow("too long")})
    assert (full.value, full.outcome, len(asked)) == (0.5, "truncated", 3)
    assert "901.4 not asked" in full.note
    with pytest.raises(ContextOverflow):
        attempt(made, "62", {"62.2": ContextOverflow("too long")})


def test_a_cut_answer_that_passes_is_right(source: Source) -> None:
    reply = Reply(small.fenced(small.GOLD["62.2"]), finish_reason="length")
    assert attempt(task(source), "62", {"62.2": reply})[0].outcome == "correct"


def test_each_step_sees_the_code_of_its_own_attempt(source: Source) -> None:
    own = "def grid(n):\n    return np.arange(n) * np.arange(n) * 1.0"
    _, asked = attempt(task(source), "901", {"901.1": small.fenced(own)})
    assert f"Write step 901.1.\nBackground of 901.1.\n\n\n{own}\n\n------\n\nWrite step 901.2." not in asked[1]
    assert all(own in prompt for prompt in asked[1:])
    assert own not in asked[0]
    assert "import os" not in asked[1]
    assert asked[1].count("------") == 0
    assert asked[2].count("------") == 1
    _, given = attempt(task(source), "62", {})
    assert small.GIVEN in given[0]


def test_prompts_of_both_variants(source: Source, snapshot: Any) -> None:
    kinds = [("nvidia", True), ("nvidia", False), ("official", True), ("official", False)]
    for variant, background in kinds:
        made = task(source, variant, background=background)
        request = made.step_prompt(item(made, "902"), 1, ["CODE"])
        assert [dict(one) for one in request.messages] == snapshot(name=f"{variant}-{background}")


@pytest.mark.parametrize(
    ("text", "python", "first"),
    [
        ("```python\nx = 1\n```", "x = 1", "\nx = 1\n"),
        ("a\n```python\nimport numpy as np\nx = 1\n  from a import b\n```\n```python\ny\n```", "x = 1", "\n\nx = 1\n"),
        ("```\nx = 1\n```", "", "\nx = 1\n"),
        ("```python\nx = 1", "", "\nx = 1"),
        ("x = 1", "", "x = 1"),
        ("```python x = 1\n```", "", " x = 1\n"),
        ("important = 1\nfrom_import = 2", "", "important = 1\nfrom_import = 2"),
    ],
)
def test_code_is_taken_as_the_harnesses_take_it(text: str, python: str, first: str) -> None:
    assert prompts.first_python_block(text).strip() == python
    assert prompts.first_block(text).split() == first.split()


def test_taking_code_from_a_looping_answer_takes_no_time() -> None:
    shapes = ["```python\n", "```", "\n", "import ", "from ", "from a import b\n", "\n```python\n", " \n"]
    began = time.process_time()
    for shape in (*(one * (300_000 // len(one)) for one in shapes), "from " + " " * 300_000, "\n" * 300_000 + "x"):
        prompts.first_python_block(shape)
        prompts.first_block(shape)
    assert time.process_time() - began < cpu_budget(2)


def test_targets_are_read_as_the_official_reader_does(source: Source, tmp_path: Path) -> None:
    path = small.targets(tmp_path)
    assert np.array_equal(targets.read_targets(path, "901.1", 2)[0], np.arange(4.0) ** 2)
    assert targets.read_targets(path, "901.2", 1) == [(0.0, 16.0, True)]
    text, mapping = targets.read_targets(path, "901.3", 2)
    assert text == "empty"
    assert list(mapping) == [0.5, 2.0]
    assert targets.read_targets(path, "901.4", 1) == [{"name": "y", "x": 3.0}]
    (csr, count), coo, bsr = targets.read_targets(path, "902.1", 3)
    assert ([csr.format, coo.format, bsr.format], count) == (["csr", "coo", "bsr"], 2)
    assert [one.toarray().trace() for one in (csr, coo, bsr)] == [4, 6, 8]
    assert [len(one) for one in targets.read_targets(path, "902.2", 2)] == [2, 2]


def break_targets(root: Path) -> None:
    small.targets(root).unlink()


def break_format(root: Path) -> None:
    small.targets(root).write_bytes(b"not HDF5")


def break_given(root: Path) -> None:
    (root / "62.1.txt").unlink()


def break_step(root: Path) -> None:
    import h5py

    with h5py.File(small.targets(root), "a") as file:
        del file["902.1/test2"]


def break_test(root: Path) -> None:
    path = root / "scicode" / "test.jsonl"
    path.write_text(path.read_text().replace("a == target[0]", "volume(target)"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            break_targets,
            "test_data.h5 does not exist. Download test_data.h5 (1 GB, by the benchmark's authors: https://",
        ),
        (break_format, "is no HDF5 file"),
        (break_given, "copy 62.1.txt from https://github.com/scicode-bench/SciCode"),
        (break_step, "has no target for test 2 of step 902.1: it belongs to other data"),
        (break_test, "leave them out by name: tasks.scicode.options.leave_out=[62.2]"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    source: Source, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tmp_path)
    with pytest.raises(BadInput) as caught:
        list(task(source).items())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_name_for_the_targets(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(targets.VARIABLE)
    with pytest.raises(BadInput, match="SCICODE_TARGETS is not set"):
        list(task(source).items())
    assert len(list(task(source, targets=str(small.targets(tmp_path))).items())) == 3


def test_a_fault_of_ours_is_never_a_wrong_answer(source: Source, tmp_path: Path) -> None:
    path = tmp_path / "scicode" / "test.jsonl"
    path.write_text(path.read_text().replace("import sympy", "import no_such_library"))
    with pytest.raises(SampleFailed, match="No module named 'no_such_library'"):
        attempt(task(source), "62", {})


def test_a_cancelled_attempt_ends_its_jobs(source: Source) -> None:
    made = task(source)
    endless = small.fenced("def volume(side):\n    while True: pass")

    async def chat(request: Request) -> Reply:
        return Reply(endless, finish_reason="stop")

    async def cancelled() -> float:
        running = asyncio.create_task(made.attempt(item(made, "62"), 0, Tools(chat)))
        await asyncio.wait([running], timeout=1)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(cancelled())
    assert attempt(made, "62", {})[0].value == 1, "the sandbox still works"


def test_options_are_the_fields() -> None:
    assert {field.name for field in dataclasses.fields(SciCode)} - {"variant", "seed", "source"} == {
        "background",
        "timeout",
        "targets",
        "sandbox",
        "leave_out",
    }


def scripted(prompt: str) -> Answer:
    """Gold, but for a wrong step and a cut one."""
    step = next(name for name in small.TESTS if f"'''Step {name}.'''" in prompt.split("NEXT STEP")[-1])
    if step == "902.2":
        return Answer("```python\ndef parts(n):\n    return", finish_reason="length")
    return Answer(small.fenced("def named(n): pass" if step == "901.3" else small.GOLD[step]))


def run_settings(root: Path, url: str, repeats: int) -> Run:
    settings = toy.settings(root / "results", ("bf16", url), task={"repeats": repeats})
    whole = Task(adapter="scicode", variant="nvidia", repeats=repeats)
    return dataclasses.replace(settings, tasks={"scicode": whole}, data=Data("local", str(root)))


def test_without_a_wall_answers_wait_for_a_machine_that_has_one(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, cell = os.environ["PATH"], tmp_path / "results" / "r" / "bf16" / "scicode"
    report = Report(run=("r",), results_dir=str(tmp_path / "results"), data=Data("local", str(tmp_path)))
    with scripted_endpoint(scripted) as server:
        settings = run_settings(tmp_path, server.base_url, 1)
        grading.close()
        monkeypatch.setenv("PATH", "")
        assert run(settings) == Exit.INCOMPLETE
        printed = " ".join("".join(capsys.readouterr()).split())
        assert "answers of scicode are stored ungraded: no sandbox for code that a model wrote works here" in printed
        assert "apt-get install bubblewrap" in printed
        assert "evalsuite rescore run=r task=scicode" in printed
        assert json.loads((cell / "summary.json").read_text())["outcomes"]["ungraded"] == 3
        with pytest.raises(BadInput, match="keeps its scores: no sandbox"):
            rescore(report)
        grading.close()
        monkeypatch.setenv("PATH", path)
        asked = len(server.requests)
        assert rescore(report) == Exit.DONE
        assert len(server.requests) == asked
    summary = json.loads((cell / "summary.json").read_text())
    assert (summary["complete"], summary["score"]) == (True, pytest.approx(5 / 7))


def test_a_run_records_the_wall_and_a_resumed_one_asks_nothing(source: Source, tmp_path: Path) -> None:
    with scripted_endpoint(scripted) as server:
        settings = run_settings(tmp_path, server.base_url, 2)
        assert run(settings) == Exit.DONE
        asked = len(server.requests)
        assert run(settings) == Exit.DONE
        assert len(server.requests) == asked == 14
    cell = tmp_path / "results" / "r" / "bf16" / "scicode"
    rows = {(row["item_id"], row["repeat"]): row for row in read_samples(cell).to_pylist()}
    found = {key: (row["value"], row["outcome"], row["weight"]) for key, row in rows.items()}
    assert found == {
        ("901", 0): (0.75, "wrong", 4.0),
        ("901", 1): (0.75, "wrong", 4.0),
        ("902", 0): (0.5, "truncated", 2.0),
        ("902", 1): (0.5, "truncated", 2.0),
        ("62", 0): (1.0, "correct", 1.0),
        ("62", 1): (1.0, "correct", 1.0),
    }
    assert all(re.search("sandbox bubblewrap", row["note"]) for row in rows.values())
    score = json.loads((cell / "summary.json").read_text())["score"]
    assert score == pytest.approx(5 / 7), "steps weigh alike, not problems"
