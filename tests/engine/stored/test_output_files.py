"""``output*.jsonl`` of NeMo-Skills and sgl-eval become cells, each verdict of theirs held against ours."""

import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.cli.import_answers import import_answers
from evalsuite.config.settings import Data, Run, Task
from evalsuite.engine.stored.output_files import Questions, output_harness, output_rows, repeats, shown
from evalsuite.errors import BadInput, Exit
from evalsuite.records import Item
from evalsuite.store.samples import read_samples
from tests.support import questions as made
from tests.support.command import evalsuite


def problem(question: str, options: list[str]) -> str:
    """A problem as both harnesses show it (NeMo-Skills ``dataset/utils.py``)."""
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip("ABCDEFGHIJ", options, strict=False))
    return question.strip("\n") + "\n\n" + listed


def nemo(text: str, **columns: Any) -> dict[str, Any]:
    """A line of NeMo-Skills after its evaluation."""
    return {"generation": text, "num_generated_tokens": 7, "finish_reason": "stop", "generation_time": 0.5, **columns}


def sgl(text: str, place: int, question: str, key: str, right: bool, **changes: Any) -> dict[str, Any]:
    """A line of sgl-eval 0.1.3."""
    tokens = {"num_generated_tokens": 9, "num_reasoning_tokens": 4, "num_answer_tokens": 5}
    graded = {"predicted_answer": key if right else None, "symbolic_correct": right}
    about = {"id": f"x-{place}", "expected_answer": key, "problem": question, "finish_reason": "stop"}
    return {"generation": text, "reasoning_content": "Hm.", **about, **tokens, **graded, **changes}


def gsm8k(right: str, place: int = 0) -> list[dict[str, Any]]:
    """Seven answers of sgl-eval to the made questions; ``right`` has a mark for each: ``+`` or ``-``."""
    rows = []
    for number, mark in enumerate(right):
        key = str(1000 + number if number % 3 == 0 else number)
        text = f"So \\boxed{{{key if mark == '+' else 99999}}}."
        rows.append(sgl(text, place + number, f"How many, {number}?", key, mark == "+"))
    return rows


def run(tmp_path: Path, task: str, file: Path | list[Path], variant: str, **others: Any) -> Exit:
    if not (tmp_path / "data").exists():
        made.lay_out(tmp_path / "data")
    files = [str(path) for path in ([file] if isinstance(file, Path) else file)]
    data = Data("local", str(tmp_path / "data"))
    values: dict[str, Any] = {"results_dir": str(tmp_path / "results"), "name": "theirs", "run_id": "R", **others}
    return import_answers(Run(tasks={task: Task(adapter=task, variant=variant)}, data=data, file=files, **values))


def samples(tmp_path: Path, task: str, name: str = "theirs") -> dict[tuple[str, int], dict[str, Any]]:
    table = read_samples(tmp_path / "results" / "R" / name / task)
    return {(row["item_id"], row["repeat"]): row for row in table.to_pylist()}


def test_files_are_repeats_in_the_order_of_their_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sgl_eval_gsm8k_20261126"
    made.write(folder / "output-rs10.jsonl", gsm8k("+++++++")[::-1])
    made.write(folder / "output-rs9.jsonl", gsm8k("+++----"))
    (folder / "metrics.json").write_text("{}")
    assert run(tmp_path, "gsm8k", folder, "boxed") == Exit.DONE
    rows = samples(tmp_path, "gsm8k")
    assert [sum(rows[str(item), repeat]["value"] for item in range(7)) for repeat in (0, 1)] == [3, 7]
    first = rows["2", 1]
    assert (first["reasoning"], first["completion_tokens"], first["reasoning_tokens"]) == ("Hm.", 9, 4)
    assert "written by sgl-eval: 14 of 14 verdicts are the same as in the log" in capsys.readouterr().out
    assert run(tmp_path, "gsm8k", folder / "output-rs10.jsonl", "boxed", name="one") == Exit.DONE
    assert {repeat for _, repeat in samples(tmp_path, "gsm8k", "one")} == {0}


def test_multiple_choice_of_nemo_skills_is_graded_in_the_order_shown(tmp_path: Path) -> None:
    made.lay_out(tmp_path / "data")
    stored = [json.loads(line) for line in (tmp_path / "data/gpqa_diamond/train.jsonl").read_text().splitlines()]
    rows = []
    for row in stored[:3]:  # the fourth has two equal choices
        texts = [row[f"Incorrect Answer {number}"] for number in (1, 2, 3)] + [row["Correct Answer"]]
        options = [text.strip().replace(" [title]", ". ") for text in texts]
        columns = {"problem": problem(row["Question"], options), "expected_answer": "D", "symbolic_correct": True}
        rows.append(nemo("Answer: D", **columns, **dict(zip("ABCD", options, strict=True))))
    made.write(tmp_path / "eval-results" / "gpqa" / "output.jsonl", rows)
    assert run(tmp_path, "gpqa_diamond", tmp_path / "eval-results", "nvidia") == Exit.INCOMPLETE
    assert [row["value"] for row in samples(tmp_path, "gpqa_diamond").values()] == [1, 1, 1, None]


def test_equal_questions_are_told_apart_by_their_choices_and_then_by_their_order(tmp_path: Path) -> None:
    options = {"a": ["x", "y"], "b": ["x", "z"], "c": ["x", "y"], "d": ["line one\n\nB) is this", "y"]}
    items = [Item(name, {"question": "Which one is it?", "options": shown}, "A") for name, shown in options.items()]
    rows = [nemo("Answer: A", problem=problem("Which one is it?\n", options[name])) for name in "bacd"]
    path = tmp_path / "output.jsonl"
    made.write(path, [*rows, {}])
    questions = Questions(items, "question_id")
    assert [row["id"] for _, row in output_rows(path, 0, questions)][:3] == ["b", "a", "c"]
    assert [row["id"] for _, row in output_rows(path, 0, questions)][:3] == ["b", "a", "c"]


def test_a_copy_of_a_question_with_other_latex_is_found_by_its_letters_or_place_and_answer(tmp_path: Path) -> None:
    items = [Item(str(n), {"problem": f"Find $\\frac{{1}}{{{n}}} + x$ in case {n}."}, str(n)) for n in range(3)]
    rows = [
        nemo("a", problem="Find  $\\frac 1 {2}+x$ in  case 2", id="aime25-0", expected_answer="2"),
        nemo("b", problem="Quite another text", id="aime25-1", expected_answer="1"),
        nemo("c", problem="Quite another text", id="aime25-0", expected_answer="5"),
    ]
    made.write(tmp_path / "output.jsonl", rows)
    found = [row["id"] for _, row in output_rows(tmp_path / "output.jsonl", 0, Questions(items, "id"))]
    assert found == ["2", "1", "aime25-0"]


def test_what_no_server_answered_is_not_measured_and_thinking_is_kept(tmp_path: Path) -> None:
    rows = gsm8k("+++++++")
    rows[0] |= {"generation": "", "reasoning_content": None, "finish_reason": "error", "symbolic_correct": False}
    rows[1] = nemo("", problem="How many, 1?", error="context window", symbolic_correct=False)
    rows[2] = nemo("", problem="How many, 2?", symbolic_correct=False, _full_generation="<think>\nOn and on")
    rows[2]["finish_reason"] = "incomplete"
    cut = "So \\boxed{1003}."
    rows[3] = nemo(cut, problem="How many, 3?", symbolic_correct=True, _full_generation=f"<think>Well.</think>\n{cut}")
    made.write(tmp_path / "output.jsonl", rows)
    assert run(tmp_path, "gsm8k", tmp_path / "output.jsonl", "boxed") == Exit.INCOMPLETE
    found = {item: row for (item, _), row in samples(tmp_path, "gsm8k").items()}
    assert [(found[item]["outcome"], found[item]["value"]) for item in "0123"] == [
        ("failed", None),
        ("failed", None),
        ("truncated", 0),
        ("correct", 1),
    ]
    assert [found[item]["reasoning"] for item in "23"] == ["On and on", "Well."]


def test_other_verdicts_than_ours_give_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"symbolic_correct": False} for row in gsm8k("+++++++")]
    made.write(tmp_path / "output.jsonl", rows)
    assert run(tmp_path, "gsm8k", tmp_path / "output.jsonl", "boxed") == Exit.INCOMPLETE
    said = capsys.readouterr().out
    assert "0 of 7 verdicts are the same" in said
    assert "accept_log_disagreement=" in said


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ("output.jsonl", "output-rs0.jsonl"),
            r"answers of two runs; .*: file=.*/output.jsonl, or 'file=.*/output-rs\*",
        ),
        (
            ("other/output.jsonl",),
            r"'Whose\?' is not an item of gsm8k .*; file= takes the output files of one .*file=.*/o",
        ),
        (("output.jsonl-async",), "no such file, and no log in it"),
    ],
)
def test_a_folder_that_does_not_fit_names_the_line_that_works(
    tmp_path: Path, files: tuple[str, ...], message: str
) -> None:
    for name in files:
        row = nemo("x", problem="Whose?") if name.startswith("other") else nemo("x", problem="How many, 1?")
        made.write(tmp_path / "out" / name, [row])
    with pytest.raises(BadInput, match=message) as error:
        run(tmp_path, "gsm8k", tmp_path / "out", "boxed")
    assert "\n" not in str(error.value)


def test_parts_of_a_file_count_unless_the_whole_file_is_there(tmp_path: Path) -> None:
    rows = gsm8k("+++++++")
    made.write(tmp_path / "out" / "output-rs0_chunk_0.jsonl", rows[:3])
    made.write(tmp_path / "out" / "output-rs0_chunk_1.jsonl", rows[3:])
    assert run(tmp_path, "gsm8k", tmp_path / "out", "boxed") == Exit.DONE
    made.write(tmp_path / "out" / "output-rs0.jsonl", rows)
    assert run(tmp_path, "gsm8k", tmp_path / "out", "boxed", name="whole") == Exit.DONE
    assert repeats([Path("a/output-rs7_chunk_0.jsonl"), Path("answers.jsonl")]) == {
        Path("a/output-rs7_chunk_0.jsonl"): 1,
        Path("answers.jsonl"): 0,
    }


def test_plain_answers_with_a_generation_field_stay_plain() -> None:
    assert output_harness({"id": 1, "generation": "x"}) == ""
    assert output_harness({"generation": {"1.1": "code"}, "problem_id": "1", "num_generated_tokens": 3}) == ""
    assert output_harness(nemo("x", num_reasoning_tokens=1, num_answer_tokens=2)) == "nemo_skills"
    assert output_harness(sgl("x", 0, "How many?", "1", True)) == "sgl_eval"


options = st.lists(st.text("ab )\n", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=10)


@hypothesis.settings(max_examples=50)
@given(st.text("ab?\n", min_size=1), options)
def test_the_choices_of_a_problem_are_those_that_it_was_built_from(question: str, choices: list[str]) -> None:
    clean = [re.sub(r"\n[A-J]\) ", " ", choice) for choice in choices]
    assert shown({"problem": problem(question, clean)}) == (question.strip("\n"), clean)


def test_two_runs_made_elsewhere_get_a_verdict_without_a_server(tmp_path: Path) -> None:
    """Of 2,000 answers the candidate has three less right, which a margin of one point allows."""
    from evalsuite.demo.problems import held_out

    (tmp_path / "conf" / "gate").mkdir(parents=True)
    margin = "margins: {word_problems: {points: 1, owner: a test, reason: as in a release}}\n"
    (tmp_path / "conf" / "gate" / "mine.yaml").write_text(margin)
    asked = list(held_out())
    for name, lost in {"base": 100, "candidate": 103}.items():
        rows = []
        for place, one in enumerate(asked):
            columns = {"problem": one.question, "symbolic_correct": place >= lost}
            rows.append(nemo(one.answer if place >= lost else "none", **columns))
        made.write(tmp_path / name / "output.jsonl", rows)
        words = ["task=word_problems", f"file={tmp_path / name}", f"name={name}", "run_id=R"]
        assert evalsuite(tmp_path, "import", *words, f"results_dir={tmp_path / 'results'}").returncode == 0
    words = [f"--config-dir={tmp_path / 'conf'}", "run=R", "gate=mine", "baseline=base", "model=candidate"]
    done = evalsuite(tmp_path, "gate", *words, f"results_dir={tmp_path / 'results'}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout.upper()
