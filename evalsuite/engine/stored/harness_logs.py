"""Logs of other harnesses as plain rows of answers, for ``import``: lm-eval, inspect, evalscope, NeMo-Skills, sgl-eval.

A row has the fields of the JSONL that ``import`` documents (``id``, ``output``, ``finish_reason``, ``repeat``), and
where the log holds them ``reasoning``, ``prompt_tokens``, ``completion_tokens``, ``reasoning_tokens`` and ``verdict``
(the score that the other harness gave, a fraction of 1), and what may show the choices as the model saw them:
``choices``, ``prompt`` and ``document`` (the log's own copy of the question). Items are found by the dataset's own id
where the log holds it, else by the text of the question, which must be equal.

Sources: lm-eval 0.4.13 ``loggers/evaluation_tracker.py`` (``samples_*.jsonl``), inspect 0.3.285 ``log/_log.py``
(``.eval``, ``.json``; read with inspect's own reader), evalscope 1.14.1 ``reviews/<model>/*.jsonl`` and
``predictions/`` in the same folder.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from evalsuite.engine.stored.output_files import HARNESSES, Questions, output_harness, output_rows
from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.sandbox.archives import check_ratio
from evalsuite.tasks.datasets import read_jsonl

_T = TypeVar("_T")
Rows = Iterator[tuple[int, Mapping[str, Any]]]
"""(line or sample number from 1, row)"""
FINISH = {"stop": "stop", "max_tokens": "length", "model_length": "length", "content_filter": "content_filter"}
"""Stop reason of inspect and evalscope -> OpenAI's finish reason."""
ID, TEXT = "id", "output"
"""Names of the id and text fields in rows of a log."""


def harness_of(path: Path) -> str:
    """The harness that wrote a file: ``lm_eval``, ``inspect``, ``evalscope``, ``nemo_skills``, ``sgl_eval``, or ``""``.

    An empty text stands for plain answers. Files ``*.eval`` and ``*.json`` count as inspect's and are not opened,
    others are known by the keys of their first JSON object that is not empty. Raises ``BadInput`` if the file cannot be
    read, or that line or one before it is no JSON object.
    """
    if path.suffix in (".eval", ".json"):
        return "inspect"
    first = next((row for _, row in read_jsonl(path) if row), {})
    if "doc_id" in first and "resps" in first:
        return "lm_eval"
    if "sample_score" in first and "messages" in first:
        return "evalscope"
    return output_harness(first)


def reader(path: Path, items: Iterable[Item], id_field: str, repeat: int = 0) -> Callable[[], Rows]:
    """A function that reads the answers in ``path`` again at each call and yields (line or sample from 1, row).

    Rows of plain answers are yielded as they are. Those of a log have the item's id in ``id``, or where the item is not
    known a name from the log, so that the error message can show it.

    Args:
        path: A log, or plain answers.
        items: The items of the task.
        id_field: Name under which the log's own copy of a question may hold the item's id.
        repeat: Number of the repeat, from 0, whose answers the file holds, where a harness writes one file for each.

    Raises:
        BadInput: The file cannot be read (one of inspect is not opened here). Iterating over what the returned function
            returns raises it, too, for a damaged log, or where the package that reads it is not installed.
    """
    harness = harness_of(path)
    if not harness:
        return lambda: read_jsonl(path)
    if harness in HARNESSES:
        questions = Questions(items, id_field)
        return lambda: output_rows(path, repeat, questions)
    read = {"lm_eval": _lm_eval, "inspect": _inspect, "evalscope": _evalscope}[harness]
    known = _Items(items, id_field)
    return lambda: read(path, known)


class _Items:
    """Finds the item of a row in a log."""

    def __init__(self, items: Iterable[Item], id_field: str) -> None:
        self.id_field = id_field
        self.ids: set[str] = set()
        self.by_text: dict[str, str | None] = {}
        for item in items:
            self.ids.add(item.id)
            for text in {value.strip() for value in item.inputs.values() if isinstance(value, str) and len(value) > 8}:
                self.by_text[text] = None if text in self.by_text else item.id  # a text of two items identifies neither

    def find(self, document: Mapping[str, Any], texts: Iterable[str], name: object) -> str:
        """Id of the item by the id in the log's own copy of the question (``document``), else by ``texts`` or those in
        the copy; the log's ``name`` for it, as text, otherwise."""
        stated = document.get(self.id_field)
        if isinstance(stated, int | str) and str(stated) in self.ids:
            return str(stated)
        for text in (*texts, *(value for value in document.values() if isinstance(value, str))):
            item = self._by_text(text)
            if item is not None:
                return item
        return str(name)

    def _by_text(self, text: str) -> str | None:
        """Id of the only item that has ``text`` (over 8 characters), else of the first that alone has one of the lines
        of ``text``, whole or behind a label such as ``Question: ``; None: no item."""
        item = self.by_text.get(text.strip())
        for line in () if item else text.splitlines():
            item = self.by_text.get(line.strip()) or self.by_text.get(line.partition(": ")[2].strip())
            if item:
                break
        return item


def _lm_eval(path: Path, items: _Items) -> Rows:
    """Yields (line from 1, row), one for each answer in lm-eval's ``samples_*.jsonl``, which has one line per document
    and filter.

    The answers are the same under every filter, the first one's are taken. Raises ``BadInput``, naming file and line,
    for a line of another form, and for tasks of log-likelihoods, which have no generated answers.
    """
    seen: dict[object, object] = {}
    for number, line in read_jsonl(path):
        where = f"{path} line {number}"
        with _reading(where, "lm-eval's samples_*.jsonl"):
            if seen.setdefault(line["doc_id"], line.get("filter")) != line.get("filter"):
                continue
            document, answers = line["doc"], _typed(_typed(line["resps"], list, "resps")[0], list, "resps[0]")
            metrics = _typed(line.get("metrics") or [], list, "metrics")
            scores = [line[name] for name in metrics if isinstance(line.get(name), int | float)]
        if not answers or not all(isinstance(answer, str) for answer in answers):
            raise BadInput(f"{where}: only generated answers can be imported, this task has log-likelihoods")
        item = items.find(document if isinstance(document, dict) else {}, (), line["doc_id"])
        for repeat, text in enumerate(answers):
            verdict = scores[0] if scores and len(answers) == 1 else None
            shown = {"document": document, "prompt": _prompt_of(line.get("arguments"))}
            yield number, {ID: item, TEXT: text, "repeat": repeat, "verdict": verdict, **shown}


def _evalscope(path: Path, items: _Items) -> Rows:
    """Yields (line from 1, row) of a file of evalscope's ``reviews``, where verdicts stand; stop reasons and token
    counts come from the file of the same name below ``predictions``, if there is one. Raises ``BadInput`` naming file
    and line."""
    outputs = _evalscope_outputs(path)
    for number, line in read_jsonl(path):
        with _reading(f"{path} line {number}", "evalscope's reviews"):
            row = _evalscope_row(line, outputs.get(line.get("index"), {}), items)
        yield number, row


def _evalscope_outputs(path: Path) -> dict[object, Mapping[str, Any]]:
    """Index of a sample -> finish reason and token counts, of the file below ``predictions`` that belongs to a file of
    ``reviews``; empty where there is none. Raises ``BadInput``, naming file and line, for a damaged one."""
    folder = path.absolute().parent
    outputs: dict[object, Mapping[str, Any]] = {}
    predictions = folder.parent.parent / "predictions" / folder.name / path.name
    for number, line in read_jsonl(predictions) if predictions.is_file() else ():
        with _reading(f"{predictions} line {number}", "evalscope's predictions"):
            output = _typed(line.get("model_output") or {}, dict, "model_output")
            choices = _typed(output.get("choices") or [], list, "choices")
            stop = choices[0].get("stop_reason") if choices else None
            usage = _usage(_typed(output.get("usage") or {}, dict, "usage"))
            outputs[_typed(line["index"], int, "index")] = {"finish_reason": FINISH.get(stop or ""), **usage}
    return outputs


def _evalscope_row(line: Mapping[str, Any], output: Mapping[str, Any], items: _Items) -> dict[str, Any]:
    messages = _typed(line["messages"], list, "messages")
    questions = [_content(message["content"])[0] for message in messages if message["role"] == "user"]
    answers = [message["content"] for message in messages if message["role"] == "assistant"]
    scored = line["sample_score"]
    values = _typed(scored["score"]["value"], dict, "value").values()
    text, reasoning = _content(answers[-1]) if answers else (None, "")
    metadata = _typed(scored.get("sample_metadata") or {}, dict, "sample_metadata")
    return {
        ID: items.find(metadata, questions[-1:], line.get("index")),
        TEXT: text,
        "reasoning": reasoning,
        "repeat": 0 if (repeat := scored.get("generation_index")) is None else repeat,
        "document": metadata,
        "prompt": questions[-1] if questions else None,
        "verdict": next((value for value in values if isinstance(value, int | float)), None),
        **output,
    }


def _inspect(path: Path, items: _Items) -> Rows:
    """Yields (sample from 1, row) of a log of inspect, by inspect's own reader: the standard library cannot read its
    compressed archives.

    Raises ``BadInput`` for a log that this reader finds damaged, that would unpack to too much, or that holds a message
    of another form, and where inspect is not installed.
    """
    check_ratio(path)
    try:
        from inspect_ai.log import read_eval_log_samples
    except ImportError:
        raise BadInput(f'{path} is a log of inspect: pip install "evalsuite[inspect]" reads it') from None
    from zipfile import BadZipFile

    try:
        for number, sample in enumerate(read_eval_log_samples(str(path), all_samples_required=False), start=1):
            yield number, _inspect_row(sample, items)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, BadZipFile) as error:
        raise BadInput(f"{path} cannot be read as a log of inspect: {error}") from None


def _inspect_row(sample: Any, items: _Items) -> dict[str, Any]:
    question = sample.input if isinstance(sample.input, str) else _content(sample.input[-1].model_dump()["content"])[0]
    item = str(sample.id) if str(sample.id) in items.ids else items.find(sample.metadata or {}, [question], sample.id)
    text: str | None = None
    reasoning = ""
    if sample.error is None and sample.output.choices:
        text, reasoning = _content(sample.output.choices[0].message.model_dump()["content"])
    values = [score.value for score in (sample.scores or {}).values()]
    verdict = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}.get(str(values[0]), values[0]) if values else None
    usage = sample.output.usage.model_dump() if sample.output.usage else {}
    return {
        ID: item,
        TEXT: text,
        "reasoning": reasoning,
        "repeat": sample.epoch - 1,
        "choices": sample.choices,
        "prompt": question,
        "finish_reason": FINISH.get(str(sample.output.stop_reason)) if text is not None else None,
        "verdict": verdict,
        **_usage(usage),
    }


def _prompt_of(arguments: Any) -> str | None:
    """The prompt among lm-eval's arguments of a request: the first element of nested lists or mappings, at every level
    down to what is neither; None where that is no text."""
    while isinstance(arguments, list | Mapping):
        parts = list(arguments.values()) if isinstance(arguments, Mapping) else arguments
        arguments = parts[0] if parts else None
    return arguments if isinstance(arguments, str) else None


def _content(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a message whose content is a text, a list of parts (those of each kind are joined) or None
    or another empty value; empty texts where there is none. Raises ``TypeError`` or ``KeyError`` for another form."""
    if isinstance(content, str):
        return content, ""
    parts = [_typed(part, dict, "a part of content") for part in _typed(content or [], list, "content")]
    text, reasoning = (
        "".join(_typed(part[kind] or "", str, kind) for part in parts if part["type"] == kind)
        for kind in ("text", "reasoning")
    )
    return text, reasoning


@contextmanager
def _reading(where: str, form: str) -> Iterator[None]:
    """Turn a ``KeyError``, ``IndexError``, ``TypeError`` or ``AttributeError`` of the ``with`` block into ``BadInput``:
    the line ``where`` lacks a part that ``form`` has, or holds a value of another type."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise BadInput(f"{where} is not a line of {form}: {error} is missing") from None
    except (TypeError, AttributeError) as error:
        raise BadInput(f"{where} is not a line of {form}: {error}") from None


def _typed(value: object, kind: type[_T], name: str) -> _T:
    """``value``, which is of the type ``kind`` (a bool is no int); raises ``TypeError`` naming it by ``name`` where it
    is not."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def _usage(usage: Mapping[str, Any]) -> dict[str, int | None]:
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "reasoning_tokens": usage.get("reasoning_tokens"),
    }
