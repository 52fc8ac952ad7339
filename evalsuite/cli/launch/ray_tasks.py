"""``launch=ray``: shards of every cell as Ray tasks, at least once each, merged exactly once.

Ray starts a task again when its node dies. Only the words of a command line travel through Ray; the work and its files
stay in ``results_dir``, which every node must see. The limit of an endpoint is divided among the tasks that may work
for it at the same time, so that a dying node cannot take any of it along.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from evalsuite.cli.launch import shards
from evalsuite.cli.launch.shards import Shard
from evalsuite.cli.launch.words import per_model, secret_words
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, EvalsuiteError, Exit

if TYPE_CHECKING:
    from evalsuite.store.cell import Cell

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
    message: str


def run_on_ray(words: Sequence[str], config_dir: str | None, settings: Run, console: Console) -> Exit:
    """Run all cells of ``settings`` (composed from ``words`` and ``config_dir``) on a Ray cluster; returns the highest
    exit code of the shards, at least ``INCOMPLETE`` where a cell lacks samples or its score is withheld.

    Writes cells, not the report. Raises ``BadInput`` if Ray is missing, no cluster answers at ``launch.address``, or a
    word holds a secret.
    """
    try:
        import ray
    except ImportError:
        raise BadInput('launch=ray needs Ray: pip install "evalsuite[ray]"') from None
    if secrets := secret_words(words):
        raise BadInput(f"{', '.join(secrets)} would travel through Ray: put it into a file as ${{oc.env:NAME}}")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    address = settings.launch.address
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BadInput(f"launch.address={address}: no Ray cluster: {str(error).strip().splitlines()[0]}") from None
    try:
        with ExitStack() as stack:
            driver = _Driver(words, config_dir, settings, console)
            return driver.run(ray, stack)
    finally:
        ray.shutdown()


@dataclass(slots=True)
class _Driver:
    """The process that cuts cells into shards and takes in what they have written."""

    words: Sequence[str]
    """Of the command line, after ``evalsuite run``."""
    config_dir: str | None
    settings: Run
    console: Console

    def run(self, ray: Any, stack: ExitStack) -> Exit:
        """Cut the cells into shards, run them as Ray tasks, merge their journals, seal and summarize each cell to which
        a shard brought a journal or that has nothing left to ask.

        ``ray`` is the imported module; ``stack`` closes cells and demo servers. Returns the highest exit code of the
        shards, at least ``INCOMPLETE`` where a cell lacks samples or its score is withheld.
        """
        from evalsuite.analysis.summary import summarize
        from evalsuite.store.samples import seal

        waiting, cells = self._shards(stack)
        codes = self._work(ray, waiting, {cell.folder: cell for cell in cells})
        for cell in cells:
            if not cell.is_open:  # no server of its shards was accepted
                continue
            seal(cell.folder)
            if not summarize(cell.folder)["complete"]:
                codes.append(Exit.INCOMPLETE)
        return max(codes, default=Exit.DONE)

    def _shards(self, stack: ExitStack) -> "tuple[dict[str, deque[Shard]], list[Cell]]":
        """Choose the run, cut its cells and write the folders of all shards.

        Returns (base URL -> its shards, all cells of this run, also those without a shard). Demo servers and cells stay
        open until ``stack`` is closed; journals of shards that an earlier driver left are taken into their cells first.
        """
        from evalsuite.engine.embedded import serve_demo
        from evalsuite.engine.manifests import run_spec
        from evalsuite.store.cell import planned_cell
        from evalsuite.store.runs import choose_run, model_label
        from evalsuite.store.writer import JournalWriter

        settings = self.settings
        spec = run_spec(settings)
        results = Path(settings.results_dir).resolve()
        choice = choose_run(results, settings.run_id, settings.suite, spec.manifests)
        root = results / FOLDER / choice.run_id
        self.console.print(f"run {choice.run_id} ({choice.why})")
        folders = {name: results / choice.run_id / name[0] / name[1] for name in spec.manifests}
        served = serve_demo(spec.models, stack)
        writer = stack.enter_context(JournalWriter())
        shards.absorb_leftovers(root, folders)
        waiting: dict[str, deque[Shard]] = {}
        cells = []
        for name, model in spec.models.items():
            label = model_label(name, model.thinking)
            for task in spec.tasks.values():
                cell = planned_cell(folders[label, task.name], spec.manifests[label, task.name], writer)
                stack.callback(cell.close)
                cells.append(cell)
                repeats = task.settings.repeats
                judged = settings.judge is not None and "judge" in task.needs
                groups = list(shards.cut(cell, task.items, repeats, settings.launch.shard, judged=judged))
                if not groups:
                    cell.open()
                for number, items in enumerate(groups):
                    folder = root / label / task.name / f"{number:05}"
                    line = self._line(name, task.name, folder, served[name].base_url)
                    shard = Shard(name, task.name, cell.folder, folder, line)
                    shards.prepare(shard, label, items, cell, repeats)
                    waiting.setdefault(str(model.base_url), deque()).append(shard)
        return waiting, cells

    def _line(self, model: str, task: str, folder: Path, base_url: Any) -> tuple[str, ...]:
        """The words after ``evalsuite run`` for one shard: this command's, with the shard's items,
        folder and share of limits.

        ``base_url``: that of the model as served (a demo server has one of its own).
        """
        settings = self.settings
        ours = ("task", "limit", "run_id", "results_dir", "report", f"tasks.{task}.select.ids")
        others = tuple(f"tasks.{name}." for name in settings.tasks if name != task)
        kept = [
            word
            for word in per_model(self.words, list(settings.models))[model]
            if word.partition("=")[0] not in ours and not word.startswith(others)
        ]
        limit = self._share(settings.models[model].concurrency)
        kept += [f"task={task}", f"tasks.{task}.select.ids='{folder / 'items.txt'}'", f"results_dir='{folder}'"]
        kept += [f"run_id={shards.RUN_ID}", "report=false", f"models.{model}.concurrency={limit}"]
        if settings.judge is not None:
            kept.append(f"judge.concurrency={self._share(settings.judge.concurrency)}")
        if base_url != settings.models[model].base_url:
            kept.append(f"models.{model}.base_url={base_url}")
        return tuple(kept)

    def _share(self, limit: int) -> int:
        """The part of an endpoint's limit of concurrent requests that one shard may use, at least 1."""
        return max(1, limit // at_once(self.settings))

    def _work(self, ray: Any, waiting: Mapping[str, deque[Shard]], cells: "Mapping[Path, Cell]") -> list[Exit]:
        """Run all shards (base URL -> queue, which is emptied) and move the journals of each into its cell as it ends.

        At most ``at_once`` run per endpoint; after one that ends with ``ENDPOINT``, ``STORAGE``, ``BAD_INPUT`` or
        ``BUG`` its endpoint gets no more of them. ``cells``: folder -> cell, opened with the first journal. Returns the
        exit codes other than 0.
        """
        task = ray.remote(max_retries=TRIES, num_cpus=1)(work)
        config_dir = str(Path(self.config_dir).resolve()) if self.config_dir else None
        running: dict[Any, tuple[str, Shard]] = {}
        codes: list[Exit] = []
        total, done = sum(len(queue) for queue in waiting.values()), 0
        while True:
            for url, queue in waiting.items():
                while queue and sum(busy == url for busy, _ in running.values()) < at_once(self.settings):
                    shard = queue.popleft()
                    running[task.remote(shard.words, config_dir, str(shard.folder))] = (url, shard)
            if not running:
                return codes
            ended, _ = ray.wait(list(running), num_returns=1)
            url, shard = running.pop(ended[0])
            result = _result(ray, ended[0])
            code = Exit(result.code)
            done += 1
            if any(shard.folder.glob(f"{shards.RUN_ID}/*/*/{shards.JOURNALS}")):
                if not cells[shard.cell].is_open:
                    cells[shard.cell].open()
                shards.absorb(shard.folder, shard.cell)
            if code is not Exit.DONE:
                where = f"{shard.model}/{shard.task}, {shard.folder.name}"
                self.console.print(f"{where}: {result.message}", markup=False)
                codes.append(code)
            if code in (Exit.ENDPOINT, Exit.STORAGE, Exit.BAD_INPUT, Exit.BUG):
                waiting[url].clear()
            if done % max(1, total // 20) == 0 or done == total:
                self.console.print(f"{done} of {total} shards")


def at_once(settings: Run) -> int:
    """How many shards of one endpoint may run at the same time: ``launch.tasks`` divided among the
    endpoints, at least 1.
    """
    endpoints = len({str(model.base_url) for model in settings.models.values()})
    return max(1, settings.launch.tasks // endpoints)


def _result(ray: Any, reference: Any) -> ShardResult:
    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise  # a bug of ours, on another machine
    except ray.exceptions.RayError as error:
        return ShardResult(int(Exit.STOPPED), f"was lost {TRIES + 1} times: {str(error).splitlines()[0]}")
    return result


def work(words: Sequence[str], config_dir: str | None, folder: str) -> ShardResult:
    """Run one shard on the node that Ray chose: what ``evalsuite run`` does, in this worker's process.

    ``folder`` is the shard's. Waits about ``WAIT_SECONDS`` (300) for the lock of another worker. Returns exit code and
    message (of no meaning for code 0); every ``EvalsuiteError`` is returned so, not raised.
    """
    from evalsuite.cli.run import run
    from evalsuite.config.compose import load_settings

    if not (Path(folder) / "items.txt").exists():
        host = os.uname().nodename
        return ShardResult(int(Exit.BAD_INPUT), f"{host} does not see {folder}: results_dir must be shared")
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return ShardResult(int(run(load_settings(words, config_dir))), "ended incomplete")
        except EvalsuiteError as error:
            if error.exit_code is not Exit.IN_USE or time.monotonic() > until:
                return ShardResult(int(error.exit_code), str(error))
        time.sleep(5.0)
