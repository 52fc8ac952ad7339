"""Questions of one's own from a JSONL file: every variant, fields of other names, mistakes with their line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.tasks_new import tasks_new
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput
from evalsuite.records import Reply
from evalsuite.tasks.datasets import HUB
from evalsuite.tasks.jsonl import JSONLTask
from evalsuite.tasks.registry import build
from tests.support.command import evalsuite
from tests.support.scripted_endpoint import scripted_endpoint

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def task(folder: Path, rows: list[Any], variant: str, **options: Any) -> JSONLTask:
    file = folder / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    made = build("jsonl", variant=variant, options={"file": str(file), **options}, source=HUB, seed=1)
    assert isinstance(made, JSONLTask)
    return made


@pytest.mark.parametrize(
    ("variant", "key", "reply", "outcome", "options"),
    [
        ("exact", "Paris", " Paris\n", "correct", {}),
        ("exact", "Paris", "It is Paris", "wrong", {}),
        ("exact", "Paris", "", "no_answer", {}),
        ("contains", "Paris", "it is PARIS!", "correct", {}),
        ("contains", "Paris", "Rome", "wrong", {}),
        ("number", "-1,234.5", "so \\boxed{-1234.50}", "correct", {}),
        ("number", "18", "first 17, then 18.", "correct", {}),
        ("number", "1/2", "it is 0.5", "correct", {}),
        ("number", "18", "18, no: 17", "wrong", {}),
        ("number", "18", "I do not know", "no_answer", {}),
        ("regex", "b", "Answer: a ... Answer: b", "correct", {"pattern": "Answer: (\\w)"}),
        ("regex", "b", "Answer: b ... Answer: a", "wrong", {"pattern": "Answer: (\\w)"}),
        ("regex", "b", "nothing", "no_answer", {"pattern": "Answer: (\\w)"}),
    ],
)
def test_replies_are_graded_as_the_variant_says(
    tmp_path: Path, variant: str, key: str, reply: str, outcome: str, options: dict[str, Any]
) -> None:
    made = task(tmp_path, [{"question": "q", "answer": key}], variant, **options)
    (item,) = made.items()
    assert made.score(item, 0, Reply(reply, finish_reason="stop")).outcome == outcome


@pytest.mark.parametrize("variant", ["exact", "contains", "regex", "number", "judge"])
@pytest.mark.parametrize("value", [True, [], {}, ["Paris"], float("nan"), float("inf"), "", " \n"])
def test_a_field_that_is_no_text_is_refused_with_its_line(tmp_path: Path, variant: str, value: Any) -> None:
    for row in ({"question": "q", "answer": value}, {"question": value, "answer": "1"}):
        with pytest.raises(BadInput, match=r"questions.jsonl, line 1: (question|answer)"):
            list(task(tmp_path, [row], variant, pattern="(.)").items())


def test_an_exact_key_matches_without_surrounding_space(tmp_path: Path) -> None:
    (item,) = (made := task(tmp_path, [{"question": "q", "answer": "Paris\n"}], "exact")).items()
    assert made.score(item, 0, Reply("Paris", finish_reason="stop")).value == 1


@pytest.mark.parametrize("key", ["B", "b", 1, "green"])
def test_a_letter_is_a_letter_an_index_or_a_choice(tmp_path: Path, key: Any) -> None:
    made = task(tmp_path, [{"question": "q", "choices": ["red", "green", "blue"], "answer": key}], "letter")
    (item,) = made.items()
    text = made.prompt(item, 0).messages[0]["content"]
    assert "A. red\nB. green\nC. blue" in text
    assert made.score(item, 0, Reply("\\boxed{B}", finish_reason="stop")).outcome == "correct"
    assert made.score(item, 0, Reply("\\boxed{C}", finish_reason="stop")).outcome == "wrong"
    assert made.score(item, 0, Reply("\\boxed{D}", finish_reason="stop")).outcome != "correct"


def test_fields_templates_groups_and_pictures(tmp_path: Path) -> None:
    rows = [{"q": "how many?", "a": "3", "subject": "law", "key": "x1", "doc": "d", "picture": PIXEL}]
    options = {"question": "q", "answer": "a", "id": "key", "groups": ["subject"], "cluster": "doc", "image": "picture"}
    made = task(tmp_path, rows, "exact", prompt_template="Q: {question}", **options)
    (item,) = made.items()
    assert (item.id, item.groups, item.cluster) == ("x1", {"subject": "law"}, "d")
    picture, text = made.prompt(item, 0).messages[0]["content"]
    assert (picture["image_url"]["url"], text["text"]) == (PIXEL, "Q: how many?")
    assert made.images == 1
    for name in ("missing.png", "null\0.png"):
        with pytest.raises(BadInput, match="cannot be read"):
            made.prompt(replace(item, inputs={**item.inputs, "image": name}), 0)


@pytest.mark.parametrize(
    ("row", "variant", "options", "named"),
    [
        ({"question": "q"}, "exact", {}, "line 1"),
        ({"question": "q", "answr": "a"}, "exact", {}, "did you mean 'answr'"),
        ({"question": "q", "answer": "many"}, "number", {}, "is no number"),
        ({"question": "q", "answer": "A", "choices": "ab"}, "letter", {}, "must be a list"),
        ({"question": "q", "answer": "E", "choices": ["a", "b"]}, "letter", {}, "no letter up to B"),
        ({"question": "q", "answer": "a"}, "regex", {"pattern": "("}, "options.pattern"),
        ({"question": "q", "answer": "a"}, "regex", {"pattern": "a{9999999999}"}, "options.pattern"),
        ({"question": "q", "answer": "a"}, "regex", {}, "options.pattern"),
        ({"question": "q", "answer": "a"}, "exact", {"prompt_template": "{nothing}"}, "question, choices"),
        ({"question": "q", "answer": "a"}, "exact", {"prompt_template": "{question.text}"}, "question, choices"),
        ({"question": "q", "answer": "a"}, "exact", {"prompt_template": "{question[text]}"}, "question, choices"),
        ({"question": "q", "answer": "a"}, "exact", {"prompt_template": "{question:>9999999999}"}, "question, choices"),
        ({"question": "q", "answer": "a"}, "exact", {"judge_prompt": "{response!r}"}, "question, answer, response"),
    ],
)
def test_mistakes_name_the_line_or_the_option(
    tmp_path: Path, row: dict[str, Any], variant: str, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadInput) as caught:
        list(task(tmp_path, [row], variant, **options).items())
    assert named in str(caught.value)


def test_a_task_of_ones_own_in_two_commands(tmp_path: Path) -> None:
    """``tasks new`` finds the names of the fields; the next line that it prints runs."""
    rows = [{"problem": f"{n} + 1?", "expected_answer": n + 1, "subject": "sum"} for n in range(6)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = evalsuite(tmp_path, "tasks", "new", "sums", "file=q.jsonl")
    assert made.returncode == 0, made.stderr
    assert "evalsuite run --config-dir mine task=sums model=NAME" in made.stdout
    again = evalsuite(tmp_path, "tasks", "new", "sums", "file=q.jsonl")
    assert again.returncode == 64
    assert "is there already" in again.stderr
    with scripted_endpoint(lambda prompt: f"\\boxed{{{int(prompt.split()[0]) + 1}}}") as server:
        done = evalsuite(
            tmp_path, "run", "--config-dir", "mine", "task=sums", "model=fp8", "server@models.fp8.server=openai",
            f"models.fp8.base_url={server.base_url}", "run_id=r", "engine.probe=false", "models.fp8.thinking=false",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout
    assert "sum" in done.stdout


@pytest.mark.parametrize("content", [b"[" * 5000, b"\xff\xfe", b"", b"[1]"], ids=["depth", "bytes", "nothing", "list"])
def test_a_first_line_that_is_no_object_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "q.jsonl"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=f"file={file}"):
        tasks_new(Run(name="odd", file=[str(file)], config_dir=str(tmp_path)))
