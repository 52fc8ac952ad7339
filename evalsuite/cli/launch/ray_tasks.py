"""``launch=ray``: shards of every cell as Ray tasks, at least once each, merged exactly once.

Ray starts a task again when its node dies. Nothing but the words of a command line travels through Ray; the work and
its files stay in ``results_dir``, which every node must see. The limit of an endpoint is divided among the tasks that
may work for it at the same time, so that a dying node cannot take any of it along.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from evalsuite.cli.launch import shards
from evalsuite.cli.launch.shards import Shard
from evalsuite.config.settings import Model, Run
from evalsuite.errors import BadInput, EvalsuiteError, Exit

FOLDER = ".ray"
"""Below ``results_dir``: the shards in flight, one folder per run."""
TRIES = 10
"""How often Ray may start a shard again after a node or worker has died."""
WAIT_SECONDS = 300.0
"""How long a shard waits for the lock of a worker that has died on another host."""


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard reports."""

    code: int
    said: str


def run(words: Sequence[str], config_dir: str | None, settings: Run, console: Console) -> Exit:
    """Run all cells of ``settings`` (composed from ``words``) on a cluster; returns the worst exit code.

    Raises ``BadInput`` if Ray is missing, no cluster answers at ``launch.address``, or a word holds a secret.
    """
    try:
        import ray
    except ImportError:
        raise BadInput('launch=ray needs Ray: pip install "evalsuite[ray]"') from None
    from evalsuite.cli.launch.words import secret_words

    if secrets := secret_words(words):
        raise BadInput(f"{', '.join(secrets)} would travel through Ray: put it into a file as ${{oc.env:NAME}}")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(
            address=settings.launch.address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        told = str(error).strip().splitlines()[0]
        raise BadInput(f"launch.address={settings.launch.address}: no Ray cluster: {told}") from None
    try:
        with ExitStack() as stack:
            return _run(ray, words, config_dir, settings, stack, console)
    finally:
        ray.shutdown()


def _run(
    ray: Any, words: Sequence[str], config_dir: str | None, settings: Run, stack: ExitStack, console: Console
) -> Exit:
    from evalsuite.analysis.summary import summarize
    from evalsuite.config.settings import DEMO
    from evalsuite.engine.manifests import manifest
    from evalsuite.store import runs as run_folder
    from evalsuite.store.cell import open_cell
    from evalsuite.store.samples import seal
    from evalsuite.store.writer import JournalWriter
    from evalsuite.tasks.loading import load_task

    tasks = {name: load_task(name, task, settings) for name, task in settings.tasks.items()}
    models = settings.models
    asked = {
        (run_folder.label(name, model.thinking), task.name): manifest(name, model, task, settings)
        for name, model in models.items()
        for task in tasks.values()
    }
    results = Path(settings.results_dir).resolve()
    choice = run_folder.choose(results, settings.run_id, settings.suite, asked)
    root = results / FOLDER / choice.run_id
    console.print(f"run {choice.run_id} ({choice.why})")
    places = {place: results / choice.run_id / place[0] / place[1] for place in asked}
    demos = [name for name, model in models.items() if model.base_url == DEMO]
    urls = _demo_urls(demos, stack)
    commits = stack.enter_context(JournalWriter())
    waiting: dict[str, deque[Shard]] = {}
    opened = []
    for place in asked:
        places[place].mkdir(parents=True, exist_ok=True)
    shards.leftovers(root, places)
    for name, model in models.items():
        label = run_folder.label(name, model.thinking)
        for task in tasks.values():
            cell = open_cell(places[label, task.name], asked[label, task.name], commits)
            stack.callback(cell.close)
            opened.append(cell)
            repeats = task.settings.repeats
            judged = settings.judge is not None and "judge" in getattr(task.adapter, "needs", ())
            groups = shards.cut(cell, task.items, repeats, settings.launch.shard, judged=judged)
            for number, items in enumerate(groups):
                folder = root / label / task.name / f"{number:05}"
                line = _words(words, name, task.name, folder, model, settings, urls)
                shard = Shard(name, task.name, cell.folder, folder, line)
                shards.prepare(shard, label, items, cell, repeats)
                waiting.setdefault(str(model.base_url), deque()).append(shard)
    shared_conf = str(Path(config_dir).resolve()) if config_dir else None
    codes = _work(ray, waiting, settings, shared_conf, console)
    for cell in opened:
        seal(cell.folder)
        if not summarize(cell.folder)["complete"]:
            codes.append(Exit.INCOMPLETE)
    return max(codes, default=Exit.DONE)


def _demo_urls(names: Sequence[str], stack: ExitStack) -> dict[str, str]:
    if not names:
        return {}
    from evalsuite.demo.process import serving

    return stack.enter_context(serving(names))


def _words(
    words: Sequence[str],
    model: str,
    task: str,
    folder: Path,
    served: Model,
    settings: Run,
    urls: Mapping[str, str],
) -> tuple[str, ...]:
    """The command line of one shard."""
    from evalsuite.cli.launch.words import per_model

    ours = ("task", "limit", "run_id", "results_dir", "report", f"tasks.{task}.select.ids")
    others = tuple(f"tasks.{name}." for name in settings.tasks if name != task)
    kept = [
        word
        for word in per_model(words, list(settings.models))[model]
        if word.partition("=")[0] not in ours and not word.startswith(others)
    ]
    limit = _share(served.concurrency, settings)
    kept += [f"task={task}", f"tasks.{task}.select.ids='{folder / 'items.txt'}'", f"results_dir='{folder}'"]
    kept += [f"run_id={shards.RUN_ID}", "report=false", f"models.{model}.concurrency={limit}"]
    if settings.judge is not None:
        kept.append(f"judge.concurrency={_share(settings.judge.concurrency, settings)}")
    if model in urls:
        kept.append(f"models.{model}.base_url={urls[model]}")
    return tuple(kept)


def at_once(settings: Run) -> int:
    """Shards of one endpoint that may run at the same time."""
    endpoints = len({str(model.base_url) for model in settings.models.values()})
    return max(1, settings.launch.tasks // endpoints)


def _share(limit: int, settings: Run) -> int:
    return max(1, limit // at_once(settings))


def _work(
    ray: Any, waiting: Mapping[str, deque[Shard]], settings: Run, config_dir: str | None, console: Console
) -> list[Exit]:
    """Run all shards, at most ``at_once`` per endpoint; an endpoint that cannot be used gets no more of them."""
    task = ray.remote(max_retries=TRIES, num_cpus=1)(work)
    running: dict[Any, tuple[str, Shard]] = {}
    codes: list[Exit] = []
    total, done = sum(len(queue) for queue in waiting.values()), 0
    while True:
        for url, queue in waiting.items():
            while queue and sum(one == url for one, _ in running.values()) < at_once(settings):
                shard = queue.popleft()
                running[task.remote(shard.words, config_dir, str(shard.folder))] = (url, shard)
        if not running:
            return codes
        ended, _ = ray.wait(list(running), num_returns=1)
        url, shard = running.pop(ended[0])
        told = _told(ray, ended[0])
        code = Exit(told.code)
        done += 1
        if (shard.folder / shards.RUN_ID).exists():
            shards.absorb(shard.folder, shard.cell)
        if code is not Exit.DONE:
            console.print(f"{shard.model}/{shard.task}, {shard.folder.name}: {told.said}", markup=False)
            codes.append(code)
        if code in (Exit.ENDPOINT, Exit.STORAGE, Exit.BAD_INPUT, Exit.BUG):
            waiting[url].clear()
        if done % max(1, total // 20) == 0 or done == total:
            console.print(f"{done} of {total} shards")


def _told(ray: Any, reference: Any) -> ShardResult:
    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise  # a bug of ours, on another machine
    except ray.exceptions.RayError as error:
        return ShardResult(int(Exit.STOPPED), f"was lost {TRIES + 1} times: {str(error).splitlines()[0]}")
    return result


def work(words: Sequence[str], config_dir: str | None, folder: str) -> ShardResult:
    """One shard, on whatever node Ray chose: ``evalsuite run`` inside this worker, which dies with it."""
    from evalsuite.cli.run import run as ask
    from evalsuite.config import compose as config

    if not (Path(folder) / "items.txt").exists():
        return ShardResult(
            int(Exit.BAD_INPUT), f"{os.uname().nodename} does not see {folder}: results_dir must be shared"
        )
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return ShardResult(int(ask(config.load_settings(words, config_dir))), "ended incomplete")
        except EvalsuiteError as error:
            if error.exit_code is not Exit.IN_USE or time.monotonic() > until:
                return ShardResult(int(error.exit_code), str(error))
        time.sleep(5.0)
