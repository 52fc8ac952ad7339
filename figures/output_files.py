"""``output*.jsonl`` of NeMo-Skills and sgl-eval, written and graded by their own code, imported: verdicts compared.

The answers are the real ones of ``shared/data``. As they stand they end in "The answer is (X)" (MMLU-Pro) and "A: 18"
(GSM8K), which neither grader reads; so each is also asked with that line as the prompts of both want it: ``Answer: X``
and ``\\boxed{18}``. sgl-eval's files are written by its ``PredictionsWriter`` and graded by the code it has from
NeMo-Skills; NeMo-Skills' lines are laid out here by its ``generate.py`` and graded by its evaluators.
"""

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evalsuite.engine.stored.output_files import Questions, output_rows
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build, load
from figures import upstream, upstream_script
from figures.line import Line
from figures.replay import MODELS, SOLVERS
from tests.support.shared import shared_data

Rows = list[dict[str, Any]]
_PART = 2_000
"""Questions whose answers sgl-eval grades: it writes a file for each letter that it reads."""
_NEMO = """
import json, logging, sys, types
logging.disable(logging.CRITICAL)
for name in ("nemo_skills", "nemo_skills.evaluation.evaluator"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
utils = sys.modules["nemo_skills.utils"] = types.ModuleType("nemo_skills.utils")
utils.get_logger_name, utils.unroll_files = (lambda file: "nemo"), (lambda files: files)
from nemo_skills.evaluation.evaluator.mcq import eval_mcq
from nemo_skills.evaluation.math_grader import evaluate_result
kind, path = json.load(sys.stdin)
if kind == "multichoice":
    eval_mcq(types.SimpleNamespace(input_files=[path]))
else:
    rows = [json.loads(line) for line in open(path)]
    graded = [json.dumps(evaluate_result(row)) for row in rows]
    open(path, "w").write("".join(line + "\\n" for line in graded))
print("\\n=====\\n" + "null")
"""
_SGL = """
import json, random, sys, types
from pathlib import Path
sys.modules["editdistance"] = types.ModuleType("editdistance")  # of a benchmark that is not asked
from sgl_eval.evals import _math, _multichoice
from sgl_eval.predictions import PredictionsWriter
from sgl_eval.types import Example, Sample
kind, folder, repeats = json.load(sys.stdin)
if kind == "multichoice":
    score = _multichoice.make_score_one_fn()
else:
    score = _math.make_score_one_fn(_math.MathEvaluator(config={}))
with PredictionsWriter(Path(folder), len(repeats)) as writer:
    for number, rows in enumerate(repeats):
        random.Random(number).shuffle(rows)  # it writes answers as they come
        for row in rows:
            example = Example(row["id"], {"problem": row["problem"]}, row["expected_answer"])
            sample = Sample(row["generation"], 100, 50, 0, "stop", reasoning_content=None)
            writer(example, number, sample, *score(example, sample))
print("\\n=====\\n" + "null")
"""


@dataclass(frozen=True, slots=True)
class ComparedVerdicts:
    """One import: the verdicts of the file beside ours."""

    answers: int
    same: int
    right: int
    """Answers that we take for right."""
    differences: Mapping[str, int]
    """What they read and what we read -> number of answers with another verdict."""


def lines(folder: Path, size: int | None = None) -> list[Line]:
    """The rows of the page of figures; ``size`` takes the first questions of each benchmark only."""
    measured = []
    sizes = {"NeMo-Skills": size, "sgl-eval": min(size or _PART, _PART)}
    for checkout in sizes:
        if why := upstream_script.missing(checkout) or upstream_script.missing("NeMo-Skills"):
            measured.append(Line(f"{checkout}'s files: verdicts equal theirs", "all, or explained", why))
            continue
        for what, found in compared(folder / checkout, checkout, sizes[checkout]).items():
            shown = "; ".join(f"{kind}: {count}" for kind, count in sorted(found.differences.items()))
            text = f"{found.same:,} ({found.right:,} right){f'; others: {shown}' if shown else ''}"
            measured.append(Line(f"{checkout}, {what}: verdicts equal theirs", f"{found.answers:,}", text))
    if size is None and not upstream_script.missing("NeMo-Skills"):
        asked = "a verdict, no server"
        measured.append(Line("two files of NeMo-Skills, gated at one point", asked, gated(folder / "NeMo-Skills")))
    return measured


def compared(folder: Path, checkout: str, size: int | None) -> dict[str, ComparedVerdicts]:
    """What was imported -> how its verdicts compare."""
    data, found = shared_data(), {}
    for place, model in enumerate(MODELS):
        for asked in (False, True) if place == 0 else (True,):
            rows = _mmlu_pro(data, model, size, asked=asked)
            files = folder / f"mmlu_pro-{place}-{'asked' if asked else 'recorded'}"
            _write(checkout, "multichoice", files, [rows])
            found[f"MMLU-Pro, {model}, {'with `Answer: X`' if asked else 'as recorded'}"] = imported(files, "mmlu_pro")
    for asked in (False, True):
        files = folder / f"gsm8k-{'asked' if asked else 'recorded'}"
        _write(checkout, "math", files, [_gsm8k(data, model, size, asked=asked) for model in SOLVERS])
        what = r"with `\boxed{}`" if asked else "as recorded"
        found[f"GSM8K, two files as repeats, {what}"] = imported(files, "gsm8k")
    if checkout == "NeMo-Skills":
        _lay_down(folder / "ifbench" / "output.jsonl", islice(_ifbench(data), size))
        found["IFBench, the authors' sample, graded by their code"] = imported(folder / "ifbench", "ifbench")
    return found


def imported(files: Path, task: str) -> ComparedVerdicts:
    """Import a folder with the command and compare each verdict with that in the files."""
    name, home = files.name, files.parent
    _command("import", f"task={task}", f"file={files}", f"name={name}", "run_id=R", f"results_dir={home / 'results'}")
    table = read_samples(home / "results" / "R" / name / task, ["item_id", "repeat", "value", "answer"]).to_pylist()
    ours = {(row["item_id"], row["repeat"]): row for row in table}
    adapter = build(
        task, variant=load(task).variants[0], options={}, source=Source("local", str(shared_data())), seed=42
    )
    questions = Questions(adapter.items(), "id")
    answers, right, differences = 0, 0, Counter[str]()
    for repeat, path in enumerate(sorted(files.glob("output*.jsonl"))):
        read = [json.loads(line).get("predicted_answer") for line in path.read_text(encoding="utf-8").splitlines()]
        for theirs, (_, row) in zip(read, output_rows(path, repeat, questions), strict=True):
            sample = ours[row["id"], repeat]
            answers, right = answers + 1, right + (sample["value"] == 1)
            if row["verdict"] != sample["value"]:
                boxed = len(theirs or "") > 1 and len(sample["answer"] or "") == 1
                other = f"theirs {theirs!r}, ours {sample['answer']!r}"
                differences["a box without a letter is their answer, the letter after it ours" if boxed else other] += 1
    return ComparedVerdicts(answers, answers - differences.total(), right, differences)


def gated(folder: Path) -> str:
    """The verdict of ``gate`` on two of the imported files, with one point of margin."""
    (folder / "conf" / "gate").mkdir(parents=True)
    margin = "margins: {mmlu_pro: {points: 1, owner: figures, reason: as in a release}}\n"
    (folder / "conf" / "gate" / "one.yaml").write_text(margin, encoding="utf-8")
    names = ["mmlu_pro-0-asked", "mmlu_pro-1-asked"]
    words = [f"--config-dir={folder / 'conf'}", "run=R", "gate=one", f"baseline={names[0]}", f"model={names[1]}"]
    code = _command("gate", *words, f"results_dir={folder / 'results'}", codes=(0, 1, 2))
    verdict = next((folder / "results" / "R").rglob("verdict.json"))
    row = json.loads(verdict.read_text(encoding="utf-8"))
    return f"exit {code}: {row['verdict']}"


def _write(checkout: str, kind: str, folder: Path, repeats: list[Rows]) -> None:
    """Write and grade the files of one benchmark by the harness's own code."""
    if checkout == "sgl-eval":
        upstream_script.answered(checkout, _SGL, [kind, str(folder), repeats])
        return
    for number, rows in enumerate(repeats):
        path = folder / (f"output-rs{number}.jsonl" if len(repeats) > 1 else "output.jsonl")
        _lay_down(path, rows)
        upstream_script.answered(checkout, _NEMO, [kind, str(path)])


def _lay_down(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _mmlu_pro(data: Path, model: str, size: int | None, *, asked: bool) -> Rows:
    """Lines as NeMo-Skills' ``dataset/mmlu-pro/prepare.py`` and ``dump_outputs`` write them, before grading."""
    path = upstream.checkout("NeMo-Skills") / "nemo_skills" / "dataset" / "utils.py"
    fields = upstream.functions(path, "get_mcq_fields")["get_mcq_fields"]
    answers = {row["question_id"]: row["output"] for row in _read(data / "mmlu_pro" / f"outputs_{model}.jsonl.gz")}
    rows = []
    for number, row in enumerate(islice(_read(data / "mmlu_pro" / "test.jsonl.gz"), size)):
        text = answers[row["question_id"]]
        if asked:
            text = re.sub(r"[Tt]he answer is \(?([A-J])\)?", r"\n\nAnswer: \1", text)
        category = row["category"].replace(" ", "_")
        made = {"expected_answer": row["answer"], "subset_for_metrics": category}
        rows.append(_line(f"mmlu_pro-{number}", text) | made | fields(row["question"], row["options"]))
    return rows


def _gsm8k(data: Path, model: str, size: int | None, *, asked: bool) -> Rows:
    """Lines as NeMo-Skills' ``dataset/gsm8k/prepare.py`` and ``dump_outputs`` write them, before grading."""
    rows = []
    files = (data / "gsm8k" / "test.jsonl.gz", data / "gsm8k" / f"outputs_{model}.jsonl.gz")
    for number, (row, answer) in enumerate(zip(*(islice(_read(file), size) for file in files), strict=True)):
        text = re.sub(r"\nA: (.*)\Z", r"\n\\boxed{\1}", answer["output"]) if asked else answer["output"]
        key = float(row["answer"].split("####")[1].replace(",", ""))
        made = {"problem": row["question"], "expected_answer": int(key) if key == int(key) else key}
        rows.append(_line(f"gsm8k-{number}", text) | made)
    return rows


def _ifbench(data: Path) -> Iterator[dict[str, Any]]:
    """Lines as NeMo-Skills' ``evaluator/ifbench.py`` leaves them, with the recorded verdicts of IFBench's own code."""
    verdicts = {row["key"]: row for row in _read(data / "ifbench" / "official_verdicts.jsonl")}
    answers = {row["prompt"]: row["response"] for row in _read(data / "ifbench" / "sample_output.jsonl")}
    for row in _read(data / "ifbench" / "test.jsonl"):
        if row["prompt"] in answers:
            official = verdicts[str(row["key"])]
            graded = {f"{kind}_eval": {"follow_all_instructions": official[kind]} for kind in ("loose", "strict")}
            yield _line("", answers[row["prompt"]]) | row | {"question": row["prompt"]} | graded


def _line(name: str, text: str) -> dict[str, Any]:
    stats = {"num_generated_tokens": 100, "finish_reason": "stop", "generation_time": 1.5}
    return {"generation": text, **stats, **({"id": name} if name else {})}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def _command(command: str, *words: str, codes: tuple[int, ...] = (0, 3)) -> int:
    """Run a command of evalsuite on the shared data; returns its exit code."""
    data = ["data=local", f"data.root={shared_data()}"] if command == "import" else []
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite", command, *words, *data],
        env={**os.environ, "NLTK_DATA": str(shared_data() / "nltk_data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.returncode
