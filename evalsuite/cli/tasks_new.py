"""The ``tasks new`` command: the configuration of a task of your own, over a file of questions."""

import json
from pathlib import Path

from evalsuite.config.paths import expanded
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.report import console

_TEXT = """\
# @package tasks.{name}
# Questions of your own, without code: `evalsuite run --config-dir {folder} task={name} model=NAME`.
adapter: jsonl
variant: {variant} # exact | letter | number | regex | contains | judge: how a reply is graded
repeats: 1 # attempts at each question
concurrency: null # most requests of this task in flight, inside the model's own limit
select: {{groups: {{}}, ids: null}} # such as groups: {{subject: [law]}}
sampling: {{}} # such as max_tokens: 2048
options:
  file: {file}
  question: {question} # names of fields
  answer: {answer}
  choices: {choices} # of variant=letter: a list; the key is a letter, an index from 0, or a choice's text
  id: {id}
  groups: {groups} # scores by the values of these fields
  cluster: "" # field that questions of one source share
  image: "" # field with a data URL, an address, or a file beside the questions
  prompt_template: "" # with {{question}} and {{choices}}; empty: question, choices and one line on the form
  pattern: "" # of variant=regex: the first group of the last match is the answer
  judge_prompt: "" # of variant=judge: with {{question}}, {{answer}} and {{response}}
"""
_KNOWN = {
    "question": ("question", "problem", "prompt", "input", "query"),
    "answer": ("answer", "expected_answer", "target", "solution", "label", "gold"),
    "choices": ("choices", "options"),
    "id": ("id", "item_id", "question_id", "uid"),
}
"""Field of the task -> names that files use for it; the first that the file has is taken."""
_GROUPS = ("subject", "category", "domain", "difficulty", "language")


def tasks_new(settings: Run) -> Exit:
    """Write ``DIR/task/NAME.yaml`` with comments (DIR is ``config_dir``, else ``mine``) and print how to run it.

    Names of fields and the way of grading are guessed from the first line of ``file=`` that is not blank. Raises
    ``BadInput`` where the name is missing or ``file=`` is not one file, where that line is no JSON object or cannot be
    read, and where the configuration is there already; ``StorageFailed`` where it cannot be written. Returns ``DONE``.
    """
    name, files = settings.name, settings.file
    if name is None or not files or len(files) != 1:
        raise BadInput("write evalsuite tasks new NAME file=questions.jsonl [--config-dir DIR]")
    file = files[0]
    row = _first_row(Path(file))
    fields = {key: next((known for known in names if known in row), key) for key, names in _KNOWN.items()}
    variant = "letter" if isinstance(row.get(fields["choices"]), list) else _variant(row.get(fields["answer"]))
    folder = expanded(settings.config_dir or "mine")
    path = folder / "task" / f"{name}.yaml"
    if path.exists():
        raise BadInput(f"{path} is there already: edit it, or choose another name")
    groups = json.dumps([group for group in _GROUPS if group in row])
    text = _TEXT.format(name=name, folder=folder, variant=variant, file=json.dumps(file), groups=groups, **fields)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None
    output = console.standard_output()
    lines = [f"{path}: variant {variant}, fields {', '.join(fields.values())}"]
    lacking = [key for key in ("question", "answer") if fields[key] not in row]
    if lacking:
        lines.append(f"name the fields for {' and '.join(lacking)} in it; the file has {', '.join(row)}")
    lines.append(f"evalsuite run --config-dir {folder} task={name} model=NAME")
    for line in lines:
        output.print(line, soft_wrap=True, markup=False)
    return Exit.DONE


def _first_row(path: Path) -> dict[str, object]:
    try:
        with path.open(encoding="utf-8") as file:
            line = next((line for line in file if line.strip()), "")
        row = json.loads(line)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"file={path}: its first line cannot be read as JSON ({error})") from None
    if not isinstance(row, dict):
        raise BadInput(f'file={path}: each line must be a JSON object such as {{"question": ..., "answer": ...}}')
    return row


def _variant(answer: object) -> str:
    text = str(answer).replace(",", "").removeprefix("-")
    return "number" if text.replace(".", "", 1).isdigit() else "exact"
