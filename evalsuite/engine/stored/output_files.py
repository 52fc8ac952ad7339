"""``output*.jsonl`` of NeMo-Skills and sgl-eval as plain rows of answers, for ``import``.

Both write one line per answer with ``generation``, ``problem``, ``expected_answer`` and, once graded,
``symbolic_correct``; NeMo-Skills adds the dataset's own columns. ``output-rs0.jsonl``, ``output-rs1.jsonl`` ... are
repeats, ``..._chunk_0.jsonl`` are parts of a file. Sources: NVIDIA/NeMo-Skills 8b18f399
(``inference/generate.py``, ``inference/model/base.py``, ``evaluation/evaluator/``); sgl-eval 0.1.3
(``predictions.py``).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

from evalsuite.engine.stored.shown_choices import plain
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks.datasets import read_jsonl

HARNESSES = {"nemo_skills": "NeMo-Skills", "sgl_eval": "sgl-eval"}
_NAME = re.compile(r"output(?:-rs(?P<seed>[0-9]+))?(?P<chunk>_chunk_[0-9]+)?\.jsonl(?:\.gz)?")
_SIGNS = ("num_generated_tokens", "expected_answer", "predicted_answer", "symbolic_correct", "loose_eval")
_STATUS = {"completed": "stop", "incomplete": "length"}
"""Status of OpenAI's Responses API, which NeMo-Skills stores -> finish reason."""


def output_harness(row: Mapping[str, Any]) -> str:
    """The harness that wrote a line, ``nemo_skills`` or ``sgl_eval``, by its keys; empty if neither did."""
    if not isinstance(row.get("generation"), str) or not any(sign in row for sign in _SIGNS):
        return ""
    own = {"num_reasoning_tokens", "num_answer_tokens"} <= row.keys()  # NeMo-Skills writes a time beside them
    return "sgl_eval" if own and "generation_time" not in row else "nemo_skills"


def output_files(folder: Path) -> list[Path]:
    """The output files (``output.jsonl``, ``output-rs0.jsonl``, ``..._chunk_0.jsonl``, also ``.gz``) anywhere below a
    folder, sorted; parts whose whole file is in their folder are left out.

    Raises ``BadInput`` for a folder with ``output.jsonl`` next to ``output-rs*.jsonl``, which are different runs.
    """
    found = [path for path in sorted(folder.rglob("output*.jsonl*")) if _NAME.fullmatch(path.name)]
    whole = {(path.parent, _part(path, "seed")) for path in found if not _part(path, "chunk")}
    for parent in {path.parent for path in found}:
        seeds = {_part(path, "seed") for path in found if path.parent == parent}
        if "" in seeds and len(seeds) > 1:
            raise BadInput(
                f"{parent} holds output.jsonl and output-rs*.jsonl, answers of two runs; import them one by one: "
                f"file={parent}/output.jsonl, or 'file={parent}/output-rs*.jsonl'"
            )
    return [path for path in found if not _part(path, "chunk") or (path.parent, _part(path, "seed")) not in whole]


def repeats(paths: Sequence[Path]) -> dict[Path, int]:
    """File -> number of its repeat: the place, from 0, of the seed in its name (none, or another name: 0) among the
    different seeds in ascending order."""
    seeds = sorted({int(_part(path, "seed") or 0) for path in paths})
    return {path: seeds.index(int(_part(path, "seed") or 0)) for path in paths}


def _part(path: Path, name: str) -> str:
    match = _NAME.fullmatch(path.name)
    return (match[name] or "") if match else ""


class Questions:
    """Finds the item of a line: by its question and choices, by the dataset's id, or by its place and answer."""

    def __init__(self, items: Iterable[Item], id_field: str) -> None:
        self.id_field = id_field
        self.items = tuple(items)
        self.ids = {item.id for item in self.items}
        self.same: dict[tuple[str, ...], list[str]] = {}
        self.similar: dict[str, str | None] = {}
        for item in self.items:
            choices = item.inputs.get("options") or item.inputs.get("choices") or ()
            for text in {value for value in item.inputs.values() if isinstance(value, str) and len(value) > 8}:
                self.same.setdefault(_key(text, choices), []).append(item.id)
                letters = _letters(text)
                self.similar[letters] = None if letters in self.similar else item.id

    def find(self, row: Mapping[str, Any], seen: Counter[tuple[str, ...]]) -> str:
        """Id of the item that a line is about; where none is found, the line's own id, else the first 60 characters of
        its question.

        ``seen`` counts the questions that the file has asked and is updated: of items with equal questions and choices
        the next one is taken for each line, and the last one for any further line.
        """
        question, choices = shown(row)
        key = _key(question, choices)
        if equal := self.same.get(key):
            seen[key] += 1
            return equal[min(seen[key], len(equal)) - 1]
        stated = row.get(self.id_field)
        if isinstance(stated, int | str) and str(stated) in self.ids:
            return str(stated)
        similar = self.similar.get(_letters(question))
        return similar or self._placed(row) or str(row.get("id") or " ".join(question.split())[:60])

    def _placed(self, row: Mapping[str, Any]) -> str:
        """Id of the item at the place (from 0) that ends the line's id (``aime25-7``), if it has the line's expected
        answer; else empty."""
        place = re.fullmatch(r".*-([0-9]{1,9})", str(row.get("id")))
        item = self.items[int(place[1])] if place and int(place[1]) < len(self.items) else None
        return item.id if item and str(item.target) == str(row.get("expected_answer")) else ""


def shown(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """(question, choices) of a line as they were shown; where it lists none, (the whole text, no choices).

    Multiple-choice problems end in ``A) ...``, ``B) ...``, each on a new line, after an empty line.
    """
    problem = str(row.get("problem") or row.get("question") or row.get("prompt") or "")
    question, mark, rest = problem.rpartition("\n\nA) ")
    if not mark:
        return problem, []
    choices = []
    for letter in LETTERS[1:]:
        text, mark, rest = rest.partition(f"\n{letter}) ")
        choices.append(text)
        if not mark:
            return question, choices
    return problem, []


def output_rows(path: Path, repeat: int, questions: Questions) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields (line from 1, row) of one file, with the fields ``id``, ``output``, ``reasoning``, ``repeat``,
    ``finish_reason``, ``verdict`` and the three numbers of tokens (see ``harness_logs``), and ``choices`` where the
    line shows some; lines of unfinished answers (``{}``) are skipped.

    ``repeat``: of lines that state none; ``questions``: finds the item of a line. An answer that the harness stored as
    an error has no text (None). Raises ``BadInput``, naming file and line, for a line that is no JSON object or whose
    ``generation`` is no text.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    for number, row in read_jsonl(path):
        if not row:
            continue
        text = row.get("generation")
        if not isinstance(text, str):
            raise BadInput(f"{path} line {number}: generation is {type(text).__name__}, not text, so it has no answer")
        choices = shown(row)[1]
        finish, tokens = row.get("finish_reason"), row.get("num_generated_tokens")
        yield (
            number,
            {
                "id": questions.find(row, seen),
                "output": None if _is_error(row) else text,
                "reasoning": row.get("reasoning_content") or _thinking(row),
                "repeat": row.get("repeat", repeat),
                "finish_reason": _STATUS.get(finish, finish) if isinstance(finish, str) else finish,
                "prompt_tokens": _count(row.get("num_input_tokens")),
                "completion_tokens": _count(tokens),
                "reasoning_tokens": _count(row.get("num_reasoning_tokens")) if _count(tokens) else None,
                "verdict": _verdict(row),
                **({"choices": choices} if choices else {}),
            },
        )


def _is_error(row: Mapping[str, Any]) -> bool:
    """Whether a line, which has a ``generation``, holds no answer of the server: no text and no thinking, but an error,
    or neither a number of tokens nor a finish reason."""
    if row["generation"] or row.get("reasoning_content") or row.get("_full_generation"):
        return False
    stated = row.get("error") or row.get("finish_reason") == "error"
    return bool(stated) or not (row.get("num_generated_tokens") or row.get("finish_reason"))


def _thinking(row: Mapping[str, Any]) -> str:
    """What stands before the answer in ``_full_generation``, without the tags at its beginning and end; there
    NeMo-Skills keeps the text before it cuts the thinking off (``++remove_thinking``). The whole text if it does not
    end in the answer; empty where the field is missing or no text."""
    full = row.get("_full_generation")
    if not isinstance(full, str):
        return ""
    thought = full.rstrip().removesuffix(row["generation"]).strip()
    return re.sub(r"^<(\w+)>\s*|\s*</\w+>$", "", thought)


def _verdict(row: Mapping[str, Any]) -> float | None:
    """The harness's own grade of a line, 0 or 1: the first of ``symbolic_correct``, ``loose_eval``, ``graded_list``
    (its first) and ``is_correct`` that states a boolean. None before it has graded, and for errors.
    """
    graded = row.get("loose_eval")
    programs = row.get("graded_list")
    candidates = [
        row.get("symbolic_correct"),
        graded.get("follow_all_instructions") if isinstance(graded, Mapping) else None,
        programs[0] if isinstance(programs, list) and programs else None,
        row.get("is_correct"),
    ]
    verdict = next((value for value in candidates if isinstance(value, bool)), None)
    return None if verdict is None or _is_error(row) else float(verdict)


def _count(value: Any) -> int | None:
    """``value`` if it is a positive integer, as a number of tokens is; else None: by 0 and -1 both harnesses mean that
    the server stated none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _key(question: str, choices: Iterable[Any]) -> tuple[str, ...]:
    return (plain(question), *sorted(plain(str(choice)) for choice in choices if choice != "N/A"))


def _letters(text: str) -> str:
    """Only the letters and digits of a text, without regard to case: LaTeX of two copies of a dataset differs in the
    rest."""
    return re.sub(r"[\W_]+", "", text).casefold()
