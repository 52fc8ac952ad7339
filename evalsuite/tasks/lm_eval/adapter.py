"""Adapter for ``generate_until`` tasks of lm-eval (EleutherAI/lm-evaluation-harness), run and recorded by evalsuite.

lm-eval supplies the questions, the rendered prompt with its examples, the filters and the metrics. The engine sends the
requests with the run's sampling; of a task's own ``generation_kwargs`` only the stop strings are used. Prompts equal
those of ``lm_eval --apply_chat_template --fewshot_as_multiturn false --seed S,S,S,S``.
"""

import copy
import functools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Literal

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import Item, Reply, Request, Score, canonical_sha
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.lm_eval.build import build, refuse_unsupported, reproducible

MAX_STOPS = 4
"""Number of stop strings that OpenAI's API accepts; lm-eval's chat client sends the first four as well."""
MAX_ANSWER = 200
"""Characters of a filtered reply that are kept as the answer."""
UNANSWERED = ("", "[invalid]")
"""Results of filters that found nothing."""


@dataclass(frozen=True, slots=True)
class LMEvalTask:
    """Adapter of a task, group or tag of lm-eval; the mean over a group gives every item the same weight."""

    variant: str = "task"
    """Always ``task``: the protocol is that of the task."""
    seed: int = 42
    """Determines the examples, and random draws of the task while it prepares its data."""
    source: Source = HUB
    """With kind ``local``: ``<split>.jsonl[.gz]`` in ``root/<task>/`` or ``root/<folder of the task's YAML>/``."""
    task: str = ""
    """Name of a task, group or tag."""
    include_path: str | None = None
    """Folder with further task YAML files; None takes the shipped ``tasks/``."""
    num_fewshot: int | None = None
    """Number of examples before the question; None takes the task's own number."""
    stops: Literal["task", "none"] = "task"
    """Whether the task's first four stop strings end an answer; they are not sent to a model that thinks."""
    filter: str | None = None
    """Filter of the headline; None takes the first that the task lists."""
    metric: str | None = None
    """Metric of the headline; None takes the first one that is averaged and better when higher."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("task",)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The name of the lm-eval task, then for each single task in it the repository of its dataset, as its YAML
        names it.

        Gated items are recognised by these names. Loads the task; raises ``BadInput`` as ``items``.
        """
        configs = [member.task.config for member in _loaded(self).members.values()]
        return self.task, *(str((one.metadata or {}).get("dataset") or one.dataset_path) for one in configs)

    def items(self) -> Iterable[Item]:
        """Load the lm-eval task and return one item per document of the test split (else validation), in order.

        Its id is ``<task>/<lm-eval's doc_id>``; inputs hold the rendered messages and stop strings. Cached. Raises
        ``BadInput`` when the task is unknown, cannot be asked as one chat request or has no data, and for options that
        it does not allow.
        """
        return _loaded(self).items

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: the messages that lm-eval would send, and its first four stop
        strings unless the option ``stops`` is ``none``.

        ``repeat`` is not used.
        """
        stop = item.inputs["until"][:MAX_STOPS] if self.stops == "task" else ()
        return Request(messages=tuple(item.inputs["messages"]), stop=tuple(stop))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade the text of a reply with the task's filters and metrics; value is the headline metric, a fraction of 1.

        ``parts`` holds every finite number as ``metric,filter``. Only value 1 has the outcome ``correct``. A headline
        that is missing or outside of 0 to 1 gives value None and outcome ``failed``. ``repeat`` is not used.
        """
        member = _loaded(self).members[item.inputs["task"]]
        filtered, parts = _grade(member, item.inputs["doc_id"], reply.text)
        value, answer = parts.get(f"{member.metric},{member.filter}"), _answer_text(filtered[member.filter])
        if value is None or not 0 <= value <= 1:
            problem = "no number" if value is None else f"{value:g}, not a fraction of 1"
            note = f"{member.name}: {member.metric},{member.filter} is {problem}; the option metric= chooses another"
            return Score(None, "failed", answer, member.filter, parts, note)
        outcome = graded(reply, right=value == 1, answer=answer).outcome
        return Score(value, outcome, answer, member.filter, parts)

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the question once and grade the reply as ``score``.

        Raises what ``tools.chat`` raises: ``SampleFailed`` without a whole reply, ``ContextOverflow`` for a prompt that
        is too long. Grading runs in the event loop's own thread: lm-eval's slow scorers use SIGALRM as a timeout, which
        Python allows in the main thread only; in other threads they treat the error as "not equal".
        """
        return self.score(item, repeat, await tools.chat(self.prompt(item, repeat)))


@dataclass(frozen=True, slots=True)
class _Member:
    """One built task of lm-eval."""

    name: str
    task: Any
    """``lm_eval.api.task.Task``."""
    docs: Sequence[Any]
    filter: str
    metric: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    members: Mapping[str, _Member]
    items: tuple[Item, ...]


@functools.cache
def _loaded(adapter: LMEvalTask) -> _Loaded:
    """Build the lm-eval tasks of an adapter; return them by name, with all items. Cached per process and options.

    Raises ``BadInput`` without a task name, and when the task cannot be built.
    """
    if not adapter.task:
        raise BadInput(
            "adapter lm_eval has no task; name one: task=lm_eval:gsm8k; `lm_eval ls tasks` lists their names"
        )
    folder = Path(adapter.include_path) if adapter.include_path else shipped("tasks")
    with reproducible(adapter.seed):
        built = build(adapter.task, folder, adapter.source)
        members = {task.task_name: _member(task, adapter) for task in built}
        grouped = len(members) > 1 or adapter.task not in members
        items = [item for member in members.values() for item in _items(member, adapter.seed, grouped)]
    return _Loaded(members, tuple(items))


def _member(task: Any, adapter: LMEvalTask) -> _Member:
    """Return a built lm-eval task with its documents, headline filter and metric; its number of examples is set.

    ``task`` is changed: its ``num_fewshot`` is set. Raises ``BadInput`` for a task that is not ``generate_until``, for
    options (examples, filter, metric) that the task does not allow, and where no metric is suitable.
    """
    name = task.task_name
    refuse_unsupported(name, {"output_type": task.OUTPUT_TYPE})
    own_shots = task.get_config("num_fewshot")
    if adapter.num_fewshot and own_shots == 0:
        raise BadInput(f"lm-eval task '{name}' is 0-shot by its own definition; leave num_fewshot out")
    task.set_config(key="num_fewshot", value=(own_shots or 0) if adapter.num_fewshot is None else adapter.num_fewshot)
    filters = [ensemble.name for ensemble in task._filters]
    if adapter.filter not in (None, *filters):
        raise unknown_name(f"filter of lm-eval task '{name}'", str(adapter.filter), filters)
    return _Member(name, task, list(task.eval_docs), adapter.filter or filters[0], _headline(task, adapter.metric))


def _headline(task: Any, requested: str | None) -> str:
    """Return the name of the metric of the score: the requested one, or the first that is
    averaged and better when higher.

    ``task`` is lm-eval's task, ``requested`` the option ``metric`` (None: choose). A requested metric need not be
    averaged, nor better when higher. Raises ``BadInput`` when the task has no such metric.
    """
    from lm_eval.api.metrics import mean, nanmean

    averaged = {name: function in (mean, nanmean) for name, function in task.aggregation().items()}
    better = task.higher_is_better()
    if requested is not None:
        if requested not in averaged:
            raise unknown_name(f"metric of lm-eval task '{task.task_name}'", requested, averaged)
        return requested
    for name in averaged:
        if averaged[name] and better.get(name):
            return str(name)
    raise BadInput(
        f"lm-eval task '{task.task_name}' has no metric that is averaged over items and better when higher"
        f" (it has {', '.join(averaged)}); the option metric= takes one all the same"
    )


def _items(member: _Member, seed: int, grouped: bool) -> Iterator[Item]:
    """Yield the items of all documents of a task, with the prompt that lm-eval renders for each.

    Examples are drawn as lm-eval does, in order from a generator seeded with ``seed``. ``grouped``: each item gets the
    name of its task as group ``task``.
    """
    task = member.task
    task.set_fewshot_seed(seed=seed)
    for doc_id, doc in enumerate(member.docs):
        context = task.fewshot_context(
            doc,
            num_fewshot=task.get_config("num_fewshot"),
            apply_chat_template=True,
            fewshot_as_multiturn=False,
            chat_template=_as_messages,
            gen_prefix=task.doc_to_prefix(doc),
        )
        inputs = {
            "task": member.name,
            "doc_id": doc_id,
            "messages": [{"role": "user", "content": context}] if isinstance(context, str) else context,
            "until": _until(member, doc_id, doc, context),
            "doc": canonical_sha(_json(doc)),
            "task_version": str(task.VERSION),
        }
        yield Item(
            id=f"{member.name}/{doc_id}",
            inputs=inputs,
            target=_json(task.doc_to_target(doc)),
            groups={"task": member.name} if grouped else {},
        )


def _as_messages(history: list[dict[str, str]], add_generation_prompt: bool = True) -> list[dict[str, str]]:
    """Return the messages unchanged, in place of lm-eval's chat template: the server
    applies one. The flag is not used.
    """
    return history


def _until(member: _Member, doc_id: int, doc: Any, context: Any) -> list[str]:
    """Return the stop strings of the one request that lm-eval makes of a document (``context``: its rendered prompt).

    Raises ``BadInput`` where lm-eval makes a list of requests of it, or one of another type than ``generate_until``.
    """
    request = member.task.construct_requests(
        doc=doc, ctx=context, metadata=(member.name, doc_id, 1), apply_chat_template=True, chat_template=_as_messages
    )
    if isinstance(request, list):
        raise BadInput(f"lm-eval task '{member.name}' makes {len(request)} requests of one document; one can be sent")
    refuse_unsupported(member.name, {"output_type": request.request_type})
    until = request.arguments[1].get("until") or []
    return [until] if isinstance(until, str) else list(until)


def _grade(member: _Member, doc_id: int, text: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Return (filter -> the reply as it leaves that filter, ``metric,filter`` -> number) for a reply ``text``.

    The document is that of number ``doc_id``, from 0, in the task. Metrics that give this reply no finite number are
    left out. What the task's filters and metrics raise is passed on.
    """
    import numpy as np
    from lm_eval.api.instance import Instance

    doc = copy.deepcopy(member.docs[doc_id])
    instance = Instance("generate_until", doc, ("", {}), 0, (member.name, doc_id, 1), [text])
    numbers: dict[str, float] = {}
    for ensemble in member.task._filters:
        ensemble.apply([instance])
        metrics = member.task.process_results(doc, [instance.filtered_resps[ensemble.name]])
        for metric, value in metrics.items():
            # Metrics of a whole corpus give tuples and lists: they have no number for one reply.
            if isinstance(value, (Real, np.bool_)) and math.isfinite(value):
                numbers[f"{metric},{ensemble.name}"] = float(value)
    return instance.filtered_resps, numbers


def _answer_text(filtered: Any) -> str | None:
    """Return a filtered reply as text of at most 200 characters; for a list of one element, that element's text.

    None when the filter found nothing: it gave None, blank text or lm-eval's ``[invalid]``.
    """
    if isinstance(filtered, list) and len(filtered) == 1:
        filtered = filtered[0]
    text = "" if filtered is None else str(filtered)
    return None if text.strip() in UNANSWERED else text[:MAX_ANSWER]


def _json(value: Any) -> Any:
    """Convert a value to JSON types: mappings (with keys as text), lists and tuples recursively; None, texts, ints,
    floats and booleans stay, any other object becomes its text.
    """
    if isinstance(value, Mapping):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
