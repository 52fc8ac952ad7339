"""Made questions for every benchmark at its full number of items, in the columns and files of the hub.

``publish`` fills the hub's cache, as if each pinned file had been downloaded before. A question carries its answer in
its own text (an option that reads "right ..."), so that ``informed_server`` needs no list of keys. Nothing here is a
benchmark's item.
"""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from evalsuite.engine.conversation import request_seed
from evalsuite.store.attempts import MODEL
from tests.support import ifbench_texts as made_ifbench
from tests.support.mmmu_items import picture
from tests.support.scripted_endpoint import Answer
from tests.support.tau2_dialogues import SEED, TALK, Script, answer_of, gold_script, own_number

Rows = list[dict[str, Any]]
REPEATS = 24
"""Most repeats that a suite asks."""
_LETTERS = "ABCDEFGHIJ"
_MADE = re.compile(r"What is made, (\d+)\?")
_REPORT = re.compile(r"What is the number of report (\d+)\?")
SCICODE_STEPS = 338
"""Scored steps of SciCode's 80 problems."""


def publish(tasks: Path, cache_folder: Path, url: str, files: Path) -> None:
    """Fill the hub's cache for the cards below ``tasks``, and free those cards of the real files' hashes.

    Downloads that do not come from the hub are laid below ``files``, which is served at ``url``.
    """
    for name, made in _SPLITS.items():
        path = tasks / name / "card.yaml"
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        dataset = card["dataset"]
        base = cache_folder / f"datasets--{dataset['hub'].replace('/', '--')}" / "snapshots" / dataset["revision"]
        for split, stated in dataset["splits"].items():
            stated["sha256"] = None
            rows = made(split, int(stated["n"]), card)
            parts = stated.get("parts", [""])
            for number, part in enumerate(parts):
                _write(base / stated["file"].replace("*", part), rows[number :: len(parts)])
        for extra in dataset.get("extra", ()):
            _archive(base / extra)
        for item in dataset.get("downloads", ()):
            if "variable" not in item:
                _download(files / item["file"])
                item |= {"url": f"{url}/{item['file']}", "sha256": None}
        path.write_text(yaml.safe_dump(card), encoding="utf-8")


def free_answer(prompt: str) -> str:
    """The right answer to a question without options."""
    if found := _MADE.search(prompt):
        return made_ifbench.right(str(int(found[1]) % made_ifbench.COUNT))
    if found := _REPORT.search(prompt):
        return f"It is {found[1]}."
    return "No idea, none."


def dialogue_line(who: str, body: Mapping[str, Any], *, right: bool) -> Answer:
    """The next line of a Tau2 dialogue; a wrong agent only talks."""
    number = own_number(who, body)
    if who == MODEL and not right:
        return Answer(TALK)
    return answer_of(_dialogues()[int(body["seed"])].line(who, number), who, number)


def targets(path: Path) -> None:
    """SciCode's targets, which a user downloads by hand: n + step for n = 2."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for problem, count in _scicode_sizes().items():
            for step in range(1, count + 1):
                file[f"{problem}.{step}/test1/var1"] = 2 + step


def lm_eval_log(path: Path, count: int) -> None:
    """Answers to GSM8K's made questions as lm-eval's ``--log_samples`` writes them; one of eleven is wrong."""
    lines = []
    for number, row in enumerate(_gsm8k("test", count, {})):
        right = number % 11 > 0
        text = rf"They are $\boxed{{{number + (5 if right else 4)}}}$."
        line = {"doc_id": number, "doc": row, "resps": [[text]], "filter": "boxed", "metrics": ["exact_match"]}
        lines.append(orjson.dumps(line | {"exact_match": float(right)}) + b"\n")
    path.write_bytes(b"".join(lines))


def nemo_skills_outputs(folder: Path, count: int) -> None:
    """The same questions as NeMo-Skills answers and grades them, two repeats; one of ``bf16``'s answers is lost."""
    for model, lost in {"bf16": 11, "nvfp4": 12}.items():
        for repeat in range(2):
            rows = []
            for number, row in enumerate(_gsm8k("test", count, {})):
                right = number % 11 > 0 and number != lost
                text = rf"They are $\boxed{{{number + (5 if right else 4)}}}$."
                about = {"problem": row["question"], "expected_answer": number + 5, "symbolic_correct": right}
                rows.append({"generation": text, "num_generated_tokens": 9, "finish_reason": "stop", **about})
            _write(folder / model / "eval-results" / "gsm8k" / f"output-rs{repeat}.jsonl", rows)


@cache
def _dialogues() -> dict[int, Script]:
    """Request seed -> both sides' lines, for every task and repeat."""
    from evalsuite.tasks.tau2_telecom.adapter import Tau2Telecom

    scripts = {item.id: gold_script(item) for item in Tau2Telecom().items()}
    return {request_seed(SEED, name, repeat): script for name, script in scripts.items() for repeat in range(REPEATS)}


def _write(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


def _archive(path: Path) -> None:
    """AA-LCR's documents: thirty sets of two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(30):
            for name in ("one.txt", "two.txt"):
                archive.writestr(f"lcr/reports/set{number}/{name}", f"Document {name} of set {number}. " * 20)


def _download(path: Path) -> None:
    """One of NLTK's resources as a zip, or SciCode's given code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".zip":
        path.write_text("def given(n):\n    return n\n", encoding="utf-8")
        return
    folder = made_ifbench.models(path.parents[2] / "models")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in sorted((folder / path.parent.name / path.stem).rglob("*")):
            archive.write(file, file.relative_to(folder / path.parent.name))
    path.write_bytes(buffer.getvalue())


def _options(number: int, count: int) -> tuple[list[str], str]:
    """Options of which one is right, and its letter."""
    key = number % count
    return [f"{'right' if place == key else 'wrong'} {number}-{place}" for place in range(count)], _LETTERS[key]


def _strata(card: Mapping[str, Any], count: int) -> Iterator[str]:
    """The subject of each item, in the numbers that the card states."""
    subjects = [name for name, size in card["design"]["strata"]["subject"].items() for _ in range(size)]
    return (subjects[number % len(subjects)] for number in range(count))


def _mmlu_pro(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    rows: Rows = []
    for number, subject in enumerate(_strata(card, count)):
        options, key = _options(number, 10)
        row = {"question_id": number, "question": f"Which is right, {number}?", "options": options, "answer": key}
        rows.append(row | {"category": subject, "cot_content": f"A: Let's think step by step. The answer is ({key})."})
    return rows


def _gpqa(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    return [
        {
            "Record ID": f"recMADE{number}",
            "Question": f"Which claim of set {number} holds?",
            "Correct Answer": f"right claim {number}",
            **{f"Incorrect Answer {place}": f"wrong claim {number}-{place}" for place in (1, 2, 3)},
            "High-level domain": ("Physics", "Biology", "Chemistry")[number % 3],
            "Subdomain": "Made",
        }
        for number in range(count)
    ]


def _gsm8k(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    return [
        {"question": f"How many are {number} and 5 boxes?", "answer": f"They are.\n#### {number + 5}"}
        for number in range(count)
    ]


def _mmmu(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    column = "image" if split == "vision" else "image_1"
    rows: Rows = []
    for number, subject in enumerate(_strata(card, count)):
        options, key = _options(number, 4 if split in ("standard4", "validation") else 10)
        row = {"id": f"test_{subject}_{number}", "options": str(options), "answer": key, "subject": subject}
        row |= {"question": "Which is <image 1>?", "question_type": "multiple-choice"}
        rows.append(row | {column: {"bytes": picture(number % 256), "path": None}})
    return rows


def _ifbench(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    kinds = made_ifbench.rows()
    rows: Rows = []
    for number in range(count):
        row = dict(kinds[number % len(kinds)])
        prompt = row["prompt"].replace(f"What is made, {row['key']}?", f"What is made, {number}?")
        rows.append(row | {"key": str(number), "prompt": prompt})
    return rows


def _aa_lcr(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    return [
        {
            "document_category": "reports",
            "document_set_id": f"set{number % 30}",
            "question_id": number,
            "question": f"What is the number of report {number}?",
            "answer": f"It is {number}.",
            "data_source_filenames": "one.txt;two.txt",
            "input_tokens": 400,
        }
        for number in range(count)
    ]


def _scicode_sizes() -> dict[int, int]:
    """Problem -> steps: four each, five of the last ones, so that they add up."""
    return {101 + number: 4 + (number >= 80 - (SCICODE_STEPS - 320)) for number in range(80)}


def _scicode(split: str, count: int, card: Mapping[str, Any]) -> Rows:
    sizes = list(_scicode_sizes().items())
    chosen = sizes[:15] if split == "validation" else sizes[15:]
    return [_problem(problem, steps) for problem, steps in chosen[:count]]


def _problem(problem: int, steps: int) -> dict[str, Any]:
    return {
        "problem_name": f"made_{problem}",
        "problem_id": str(problem),
        "problem_description_main": "Made.",
        "problem_background_main": "",
        "problem_io": "",
        "required_dependencies": "import numpy as np",
        "sub_steps": [
            {
                "step_number": f"{problem}.{step}",
                "step_description_prompt": f"Add {step}.",
                "step_background": "",
                "ground_truth_code": "",
                "function_header": f"def add_{step}(n):\n    '''Step {problem}.{step}.'''",
                "test_cases": [f"assert add_{step}(2) == target"],
                "return_line": "    return it",
            }
            for step in range(1, steps + 1)
        ],
        "general_tests": [],
    }


_SPLITS: Mapping[str, Callable[[str, int, Mapping[str, Any]], Rows]] = {
    "aa_lcr": _aa_lcr,
    "gpqa_diamond": _gpqa,
    "gsm8k": _gsm8k,
    "ifbench": _ifbench,
    "mmlu_pro": _mmlu_pro,
    "mmmu_pro": _mmmu,
    "mmmu_val": _mmmu,
    "scicode": _scicode,
}
"""Task -> the rows of one of its splits."""
