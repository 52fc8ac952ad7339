"""What a run would lack on this machine, all of it at once: models, data, packages, servers, keys, sandbox, disk.

No request is sent to a model: servers are only connected to, each for ``CONNECT_SECONDS`` at most. Nothing is
downloaded, except that ``check_complete`` loads the questions.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from evalsuite.config.address import shown_urls
from evalsuite.config.files import config_source
from evalsuite.config.sampling import effective
from evalsuite.config.settings import DEMO, Model, Run
from evalsuite.endpoint import environment
from evalsuite.errors import BadInput
from evalsuite.report import console
from evalsuite.report.console import Column, Table
from evalsuite.tasks import datasets
from evalsuite.tasks.availability import AvailableTasks, load_available
from evalsuite.tasks.downloads import has_card
from evalsuite.tasks.hub import accepts_connections
from evalsuite.tasks.loading import LoadedTask

NOT_STARTED = "the run does not start"
_DEFAULT_KEYS = ("EVALSUITE_API_KEY", "EVALSUITE_JUDGE_KEY", "EVALSUITE_SIMULATOR_API_KEY")
"""Variables that need not be set: most servers of one's own take any key."""


@dataclass(frozen=True, slots=True)
class MissingPiece:
    """One thing that a run lacks."""

    owner: str
    """The task, model or role that needs it."""
    what: str
    remedy: str
    effect: str = NOT_STARTED
    """What happens without it."""
    blocks: bool = False
    """Whether the run is refused for it, before any server is asked."""

    @property
    def line(self) -> str:
        """What is missing and its remedy as one message, ``what: remedy``; only ``what`` where there is no remedy."""
        return f"{self.what}: {self.remedy}" if self.remedy else self.what


def check_complete(settings: Run) -> dict[str, LoadedTask]:
    """The tasks of a run by name, with their questions loaded, if neither a model nor anything of a task is missing.

    Else raises ``BadInput``: with one line where a single piece is missing, else with the table of all that is,
    including pieces that are no reason to raise by themselves (servers, which are connected to for it, keys, judge,
    sandbox, disk). Also raises as ``load_available``, which loads the questions.
    """
    available = load_available(settings)
    blocking = [*_chosen(settings), *_task_pieces(settings, available)]
    if not blocking:
        return dict(available.tasks)
    pieces = [*blocking, *_others(settings, available)]
    if len(pieces) == 1:
        raise BadInput(pieces[0].line)
    text = StringIO()
    width = None if os.isatty(2) else console.standard_output().width
    console.show([missing_table(pieces)], "", console.SafeConsole(file=text, width=width))
    raise BadInput(f"{len(pieces)} things are missing; nothing was sent or written\n{text.getvalue().strip()}")


def missing_pieces(settings: Run, available: AvailableTasks, *, servers: bool = True) -> list[MissingPiece]:
    """All that a run lacks on this machine, first models and tasks, without which it is refused before a server is
    asked; nothing is downloaded.

    ``available`` holds the tasks that could be loaded and the problems of the others; ``servers``: whether the models'
    servers are connected to and their API keys looked for (the judge's and simulator's always, if a task needs them).
    """
    return [*_chosen(settings), *_task_pieces(settings, available), *_others(settings, available, servers=servers)]


def _others(settings: Run, available: AvailableTasks, *, servers: bool = True) -> list[MissingPiece]:
    """What a run lacks besides models and tasks: judge and simulator, servers, keys, sandbox, disk.

    Connects to the judge, the simulator (where a task needs them) and, with ``servers``, the models, side by side, and
    looks for the API keys of those alone.
    """
    roles = {role for task in available.tasks.values() for role in task.needs}
    auxiliaries = {"judge": settings.judge, "simulator": settings.simulator}
    needed = {role: model for role, model in auxiliaries.items() if role in roles}
    served = {**(settings.models if servers else {}), **{role: model for role, model in needed.items() if model}}
    with ThreadPoolExecutor(max_workers=max(len(served), 1)) as pool:
        states = list(pool.map(_server_state, served.items()))
    return [
        *(_unfilled(role, available) for role, model in needed.items() if model is None),
        *(piece for found in states for piece in found),
        *(piece for name, model in served.items() for piece in _key(name, model)),
        *_sandbox(available),
        *_disk(settings, available),
    ]


def missing_table(pieces: Sequence[MissingPiece]) -> Table:
    """The table for people, one row a piece: task, model or role that needs it, what is missing, remedy, effect.

    A note names the ``fetch`` command for data that is missing in the hub's cache.
    """
    titles = ("for", "missing", "what to do", "without it")
    rows = tuple((piece.owner, piece.what, piece.remedy, piece.effect) for piece in pieces)
    tasks = ",".join(dict.fromkeys(piece.owner for piece in pieces if "hub's cache" in piece.what))
    fetch = f"evalsuite fetch 'task=[{tasks}]' to=evalsuite-data"
    notes = (f"All data: `{fetch}` where there is a network; then the same command with data.root=evalsuite-data.",)
    return Table("Missing here", tuple(Column(title, number=False) for title in titles), rows, notes if tasks else ())


def to_json(pieces: Sequence[MissingPiece]) -> list[dict[str, str]]:
    """The pieces as JSON objects with ``for``, ``missing``, ``remedy`` and ``without`` (the effect),
    in the same order.
    """
    return [
        {"for": piece.owner, "missing": piece.what, "remedy": piece.remedy, "without": piece.effect} for piece in pieces
    ]


def _chosen(settings: Run) -> Iterator[MissingPiece]:
    if not settings.models:
        known = ", ".join(config_source("run", Run, (), settings.config_dir).options("model"))
        yield MissingPiece("the run", "no model chosen", f"add model=NAME. Known: {known}.", blocks=True)


def _task_pieces(settings: Run, available: AvailableTasks) -> Iterator[MissingPiece]:
    """One piece for each problem of a task that cannot be loaded (its message, split at the first ``: ``).

    Where such a task has gated data of the hub, also one for the hub's token, if none is known and no problem names it.
    """
    for name, messages in available.problems.items():
        for message in messages:
            what, _, remedy = message.partition(": ")
            yield MissingPiece(name, what, remedy, blocks=True)
        adapter = settings.tasks[name].adapter
        gated = has_card(adapter) and datasets.card(adapter)["gated"]
        if gated and settings.data.kind == "hub" and not any("HF_TOKEN" in message for message in messages):
            from huggingface_hub import get_token

            if get_token() is None:
                page = datasets.card(adapter)["dataset"]["uri"]
                yield MissingPiece(name, "HF_TOKEN is not set", f"accept the terms at {page}, then export HF_TOKEN=...")


def _unfilled(role: str, available: AvailableTasks) -> MissingPiece:
    tasks = ", ".join(name for name, task in available.tasks.items() if role in task.needs)
    if role == "judge":
        remedy = "judge=qwen3_235b_instruct, or later `evalsuite judge run=ID judge=NAME`"
        return MissingPiece(tasks, "no judge is chosen", remedy, "its answers wait for a judge")
    return MissingPiece(tasks, "no simulator is chosen", "simulator=qwen3_235b_instruct", "is skipped")


def _server_state(served: tuple[str, Model]) -> list[MissingPiece]:
    """One piece for each address of a model at which no server (or no proxy) accepts connections, or whose proxy is
    stated wrongly; empty if all do.

    ``served`` is (name, model), where the name is a model's key, ``judge`` or ``simulator``. Demo
    addresses are skipped.
    """
    name, model = served
    key = name if name in ("judge", "simulator") else f"models.{name}"
    effect = {"judge": "answers wait for a judge", "simulator": "dialogues are skipped"}.get(name, NOT_STARTED)
    pieces = []
    for url in environment.base_urls(model):
        try:
            if url == DEMO:
                continue
            proxy = environment.proxy_of(model, url)
            if accepts_connections(url if proxy is None else proxy.url, direct=True):
                continue
            what = f"no server at {shown_urls(url)}" if proxy is None else f"the proxy {proxy.shown} does not answer"
            remedy = f"start it, or {key}.base_url=http://HOST:PORT/v1"
        except BadInput as error:
            what, _, remedy = str(error).partition(": ")
        pieces.append(MissingPiece(name, what, remedy, effect))
    return pieces


def _key(name: str, model: Model) -> Iterator[MissingPiece]:
    """A piece if the API key of model ``name`` is malformed, or is not set although it is needed; else nothing.

    A key is needed where the model names its own variable, or uses OpenAI's dialect at an ``https`` address or a list
    of addresses.
    """
    try:
        wanted = model.api_key_env not in _DEFAULT_KEYS or model.server.dialect == "openai"
        local = isinstance(model.base_url, str) and not model.base_url.startswith("https://")
        if not environment.key_of(model) and wanted and not (local and model.api_key_env in _DEFAULT_KEYS):
            yield MissingPiece(name, f"${model.api_key_env} is not set", f"export {model.api_key_env}=KEY", "no key")
    except BadInput as error:
        what, _, remedy = str(error).partition(": ")
        yield MissingPiece(name, what, remedy)


def _sandbox(available: AvailableTasks) -> Iterator[MissingPiece]:
    from evalsuite.sandbox import isolation  # as the imports of `_disk`: not on the way of a run that lacks nothing

    walls = [isolation.missing(wall) for wall in isolation.WALLS]
    if all(walls):
        for name, task in available.tasks.items():
            if has_card(task.settings.adapter) and "sandbox" in datasets.card(task.settings.adapter)["needs"]:
                yield MissingPiece(
                    name,
                    f"no sandbox for the code of answers ({walls[0]})",
                    "apt install bubblewrap, or podman; later `evalsuite rescore run=ID`",
                    "its answers stay ungraded",
                )


def _disk(settings: Run, available: AvailableTasks) -> Iterator[MissingPiece]:
    """A piece if the results folder (before it is there, the nearest folder above) cannot be written, and one if its
    disk has less room than the answers are expected to take by ``plan``'s estimate.
    """
    from evalsuite.plan import benchmarks, cost

    folder = Path(settings.results_dir).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK):
        yield MissingPiece("the run", f"{there} cannot be written", "results_dir=DIR")
    needed = 0.0
    for name, task in available.tasks.items():
        facts = benchmarks.task_facts(name, task.settings, settings.limit)
        most = effective(settings.sampling, task.settings.sampling).max_tokens
        for model in settings.models.values() if facts else ():
            assert facts is not None
            lengths = benchmarks.typical_lengths(facts, thinking=model.thinking)
            needed += cost.task_cost(facts, lengths, most, 1, cost.Speed()).disk
    free = shutil.disk_usage(there).free
    if free < needed:
        what = f"{free / 1e9:,.1f} GB are free in {there}, {needed / 1e9:,.1f} GB are expected"
        yield MissingPiece("the run", what, "free some, or results_dir=DIR", "the run stops, resumable")
