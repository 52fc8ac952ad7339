"""One run from its specification to sealed cells: connect, ask everything, close and seal."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from evalsuite.config.aa import draw_seed
from evalsuite.config.settings import SEQUENTIAL, Engine, Gate, Model
from evalsuite.endpoint.environment import base_urls
from evalsuite.endpoint.pool import Pool
from evalsuite.engine.auxiliary import Auxiliaries, connect_auxiliaries
from evalsuite.engine.embedded import serve_demo
from evalsuite.engine.identity.known_servers import EarlierServers
from evalsuite.engine.identity.monitor import IdentityMonitor, final_checks
from evalsuite.engine.identity.preflight import Examined, accept_model, examine_models
from evalsuite.engine.lengths import ExpectedLengths, expected_lengths
from evalsuite.engine.loop import LoopResult, run_workloads
from evalsuite.engine.manifests import RunSpec
from evalsuite.engine.progress import Draw
from evalsuite.engine.stopping import RunLimits, stop_on_signals
from evalsuite.engine.stored.other_variants import unread
from evalsuite.engine.workload import CellWork, Workload, has_open_attempts, planned_items
from evalsuite.errors import BadInput, EndpointUnusable, EvalsuiteError
from evalsuite.store.artefact import MAX_GB, baseline_cells
from evalsuite.store.cell import Cell, close_cells, planned_cell
from evalsuite.store.manifest import MANIFEST, accept, read_manifest
from evalsuite.store.runs import CellName, model_label
from evalsuite.store.samples import seal
from evalsuite.store.writer import JournalWriter
from evalsuite.tasks.loading import LoadedTask

if TYPE_CHECKING:
    from evalsuite.engine.early_stopping.controller import EarlyStopping


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a run did, for the command that turns it into text and an exit code."""

    cells: tuple[Cell, ...]
    """The sealed cells; empty if every model was refused before its first question."""
    ended: LoopResult
    """With the models that were refused among its faults."""
    skipped: bool
    """Whether a task could not be asked because its simulator was missing."""


@dataclass(slots=True)
class Session:
    """One run in one process. Call ``prepare`` once, then ``run`` once inside an event loop."""

    folder: Path
    """The run's folder, below the folder of all runs."""
    spec: RunSpec
    engine: Engine
    limits: RunLimits
    console: Console
    gate: Gate | None = None
    """The margins that ``engine.stop=sequential`` decides."""
    baseline_run: str | None = None
    baseline_max_gb: float = MAX_GB
    """A baseline artefact or run that the command names."""
    redo: tuple[str, str] | None = None
    """(task whose cells are archived when their server is accepted, and asked again; the reason)."""
    early_stopping: "EarlyStopping | None" = None
    """The comparisons that ``engine.stop=sequential`` decides."""
    models: dict[str, Model] = field(default_factory=dict)
    """The models with real base URLs."""
    tasks: dict[str, LoadedTask] = field(default_factory=dict)
    """The tasks that can be asked."""
    cells: dict[CellName, Cell] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    """Model -> its replicas, for models that have work left."""
    monitors: dict[str, IdentityMonitor] = field(default_factory=dict)
    auxiliaries: Auxiliaries = field(default_factory=Auxiliaries)

    def prepare(self) -> None:
        """With ``engine.stop=sequential`` plan the comparisons that may stop early (``early_stopping``), and print
        notes on them; raises ``BadInput`` where that is not possible. Nothing is sent, and no cell is written.

        Without that setting only check the cells that are there and not redone: raises ``BadInput`` for one that was
        begun with ``engine.stop=sequential``, or whose manifest is damaged.
        """
        if self.engine.stop == SEQUENTIAL:
            from evalsuite.engine.early_stopping.rules import planned_comparisons  # numpy and scipy: only here

            redone = None if self.redo is None else self.redo[0]
            self.early_stopping = planned_comparisons(
                self.folder, self.spec, self.gate, self.baseline_run, self.baseline_max_gb, redone
            )
            for note in self.early_stopping.notes:
                self.console.print(note, markup=False)
            return
        for label, task in self.spec.manifests:
            cell = self.folder / label / task
            if not self._is_redone(task) and (cell / MANIFEST).exists() and read_manifest(cell).get("sequential"):
                raise BadInput(
                    f"{cell} was begun with engine.stop=sequential, and its verdict is the sequential one: go on with "
                    f'engine.stop=sequential, or redo={task} reason="..." to ask again'
                )

    async def run(self, draw: Draw) -> SessionResult:
        """Open cells and endpoints, ask everything, close the cells and write their tables.

        ``draw`` is called with the progress of all endpoints. While questions are asked, Ctrl-C and SIGTERM stop the
        run as ``stop_on_signals`` states. Returns the cells that were opened (sealed, except for new ones without a
        reply or score, whose manifest is removed; none if every model was refused), how the endpoints ended, with the
        faults of refused and lost models, and whether a task was skipped. Raises ``EvalsuiteError`` for what stops the
        whole run (disk, a cell in use or of other settings).
        """
        with ExitStack() as stack:
            writer = stack.enter_context(JournalWriter())
            self.models = serve_demo(self.spec.models, stack)
            try:
                result = await self._ask_all(writer, draw)
            finally:
                for pool in self.pools.values():
                    await pool.close()
                await self.auxiliaries.close()
                await close_cells(self.cells.values(), writer)
        for cell in result.cells:
            if (cell.folder / MANIFEST).exists():  # a new cell without an answer is none
                seal(cell.folder)
                task = self.tasks[cell.folder.name]
                unread(cell.folder, task.adapter, {item.id: item for item in task.items})
                if self.spec.accepted:  # of a finished cell, too, which was not opened
                    accept(cell.folder, self.spec.accepted)
        return result

    async def _ask_all(self, writer: JournalWriter, draw: Draw) -> SessionResult:
        await self._connect_auxiliaries()
        self._plan_cells(writer)
        refused = await self._connect_models()
        skipped = len(self.tasks) < len(self.spec.tasks)
        if len(refused) == len(self.models):
            return SessionResult((), LoopResult(refused, {}), skipped)
        await self._check_grading()
        workloads = self._workloads()
        stop = self.limits.stop
        stop_on_signals(stop, self.engine.drain_seconds, self.console)
        ended = await run_workloads(workloads, self.engine, self.limits, draw, self.early_stopping)
        changed = await final_checks(self.monitors, ended.faults, stop)
        if self.early_stopping is not None:
            self.early_stopping.finish(self.console)
        self._record_flags()
        faults = {**refused, **ended.faults, **changed}
        opened = tuple(cell for cell in self.cells.values() if cell.is_open)
        return SessionResult(opened, LoopResult(faults, ended.progress), skipped)

    async def _connect_auxiliaries(self) -> None:
        """Connect to the judge and the simulator where a task needs them, set ``tasks`` to those that can be asked, and
        print which are skipped, and of which the answers are stored ungraded.

        A dialogue needs its simulator now, while answers can be judged later.
        """
        spec = self.spec
        needed = {role for task in spec.tasks.values() for role in task.needs}
        self.auxiliaries = await connect_auxiliaries(spec.judge, spec.simulator, needed, self.engine)
        missing = self.auxiliaries.missing or {}
        for name, task in spec.tasks.items():
            if "simulator" in missing and "simulator" in task.needs:
                why = f"{missing['simulator']} (simulator=NAME; the same command adds it later)"
                self.console.print(f"{name} is skipped: {why}")
            else:
                self.tasks[name] = task
        if "judge" in missing:
            judged = ", ".join(name for name, task in self.tasks.items() if "judge" in task.needs)
            later = f"{missing['judge']}. Later: evalsuite judge run=..."
            self.console.print(f"answers of {judged} are stored ungraded: {later}")

    def _is_redone(self, task: str) -> bool:
        return self.redo is not None and self.redo[0] == task

    def _plan_cells(self, writer: JournalWriter) -> None:
        """Set ``cells`` to those of all tasks that can be asked; nothing is written before their server is accepted.

        Raises ``BadInput`` for a cell that does not fit or was judged by another judge, ``CellInUse`` for one that
        another process writes.
        """
        for name, manifest in self.spec.manifests.items():
            label, task = name
            if task not in self.tasks:
                continue
            folder = self.folder / label / task
            reason = self.redo[1] if self.redo is not None and self._is_redone(task) else None
            if reason is None:
                self._check_judge(folder)
            self.cells[name] = planned_cell(folder, manifest, writer, reason)
        if self.early_stopping is not None:
            self.early_stopping.attach(self.cells)

    def _check_judge(self, folder: Path) -> None:
        """Raise ``BadInput`` if the run has a connected judge and the manifest in ``folder`` names another one:
        verdicts of two judges must not be mixed. A missing manifest passes, and one that names no judge."""
        if self.auxiliaries.judge is None or not (folder / MANIFEST).exists():
            return
        before, now = read_manifest(folder).get("judge"), self.auxiliaries.judge.identity
        if before not in (None, now):
            raise BadInput(f"{folder} was judged by {before}, now it is {now}: judge all of it with evalsuite judge")

    async def _connect_models(self) -> dict[str, EvalsuiteError]:
        """Connect to every model that has work left, and record its server. Returns the refused models (by key), each
        with the error.

        The cells of accepted models are opened, and those of models that have nothing left to ask.
        """
        unfinished = {name: model for name, model in self.models.items() if self._has_work(name)}
        tasks = list(self.tasks.values())
        examined = await examine_models(unfinished, tasks, self.engine, self._print)
        refused: dict[str, EvalsuiteError] = {}
        for name, found in examined.items():
            try:
                await self._accept_model(name, found)
            except EndpointUnusable as error:
                refused[name] = error
        for name in self.models.keys() - unfinished.keys():
            for cell in self._model_cells(name).values():
                self._open(cell)
        return refused

    def _open(self, cell: Cell) -> None:
        cell.open()
        if count := cell.set_aside:
            items = len(cell.manifest["items"])
            self._print(
                f"{cell.label}/{cell.folder.name}: {items:,} items count now, as this command asks for them; "
                f"the answers to {count:,} more stay on disk, and the command that asked for them counts them again"
            )

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False)

    def _model_cells(self, name: str) -> dict[str, Cell]:
        """Task -> cell of the model with key ``name``, for all tasks that can be asked."""
        label = model_label(name, self.models[name].thinking)
        return {task: self.cells[label, task] for task in self.tasks}

    def _has_work(self, name: str) -> bool:
        cells = self._model_cells(name)
        return any(has_open_attempts(cell, self.tasks[task], self.auxiliaries) for task, cell in cells.items())

    async def _accept_model(self, name: str, examined: Examined | EndpointUnusable) -> None:
        """Take an examined model into the run: open its cells, add its server to their manifests and, with
        ``engine.probe``, watch its identity.

        Raises ``EndpointUnusable`` if it cannot be used or is another model, and as ``Cell.open``.
        """
        model, tasks, cells = self.models[name], self.tasks, self._model_cells(name)
        declared = [(other, spec.same_as) for other, spec in self.models.items() if spec.same_as]
        earlier = EarlierServers(self.folder.parent, self.baseline_run, declared)
        opened = await accept_model(name, model, examined, list(cells.values()), self.engine, earlier)
        self.pools[name] = opened.pool
        for note in opened.notes:
            self._print(f"{name}: {note}")
        identities = self.auxiliaries.identities
        for task, cell in cells.items():
            self._open(cell)
            used = {role: identity for role, identity in identities.items() if role in tasks[task].needs}
            cell.update({"server": [*cell.manifest["server"], opened.entry], **used})
        if self.engine.probe:
            served_name = opened.pool.served_name
            monitor = IdentityMonitor(name, model, served_name, self.engine, list(cells.values()), opened.entry)
            self.monitors[name] = monitor
            opened.pool.on_reconnect = monitor.check

    def _workloads(self) -> list[Workload]:
        """One workload per endpoint, with the cells of all accepted models there, which share its slots: as many as the
        model with the fewest has. Models are at one endpoint if they have the same base URLs in the same order."""
        endpoints: dict[tuple[str, ...], list[str]] = {}
        for name in self.pools:
            endpoints.setdefault(base_urls(self.models[name]), []).append(name)
        workloads = []
        with baseline_cells(self.baseline_run, self.baseline_max_gb) as baselines:
            for names in endpoints.values():
                limit = min(self.models[name].concurrency for name in names)
                cells = tuple(
                    self._cell_work(name, task, limit, baselines.get(task.name))
                    for name in names
                    for task in self.tasks.values()
                )
                checks = tuple(self.monitors[name].check for name in names if name in self.monitors)
                workloads.append(Workload(" + ".join(names), limit, cells, checks))
        return workloads

    def _cell_work(self, name: str, task: LoadedTask, limit: int, baseline: Path | None) -> CellWork:
        """The work in the cell of one model and task.

        ``limit``: most requests in flight of the endpoint; ``baseline``: folder of the baseline's cell of this task,
        None without one.
        """
        cell = self.cells[model_label(name, self.models[name].thinking), task.name]
        uses = task.needs
        return CellWork(
            cell=cell,
            adapter=task.adapter,
            pool=self.pools[name],
            items=planned_items(cell, task),
            repeats=task.settings.repeats,
            sampling=task.for_model(self.models[name]).sampling,
            seed=draw_seed(task.seed, cell.manifest["identity"]),
            limit=min(limit, task.settings.concurrency or limit),
            judge=self.auxiliaries.judge if "judge" in uses else None,
            simulator=self.auxiliaries.simulator if "simulator" in uses else None,
            lengths=self._expected_lengths(cell, baseline),
        )

    def _expected_lengths(self, cell: Cell, baseline: Path | None) -> ExpectedLengths:
        results = self.folder.parent
        return expected_lengths(results, cell.folder, cell.manifest, cell.lengths(), baseline=baseline)

    async def _check_grading(self) -> None:
        """Print which answers, of tasks that have attempts left, this machine cannot grade (no sandbox, say): they are
        stored, and ``evalsuite rescore`` grades them on another.
        """
        for name, task in self.tasks.items():
            cells = [cell for (_, other), cell in self.cells.items() if other == name]
            if any(has_open_attempts(cell, task, self.auxiliaries) for cell in cells):
                reason = await asyncio.to_thread(task.cannot_grade)
                if reason:
                    later = (
                        f"evalsuite rescore run={self.folder.name} task={name} grades them on a machine that has one"
                    )
                    self._print(f"answers of {name} are stored ungraded: {reason}. Later: {later}")

    def _record_flags(self) -> None:
        """Print the warnings about each accepted model's replies, and add them, each once, to ``flags`` in the
        manifests of its cells."""
        for name, pool in self.pools.items():
            flags = pool.tally.flags()
            for flag in flags:
                self.console.print(f"{name}: {flag}", markup=False)
            label = model_label(name, pool.model.thinking)
            for (cell_label, _), cell in self.cells.items():
                if flags and cell_label == label:
                    cell.update({"flags": list(dict.fromkeys([*cell.manifest.get("flags", []), *flags]))})
