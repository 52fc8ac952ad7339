"""All comparisons of a table: who is compared with whom, the mean over the suite, and the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.analysis.comparison import Comparison, compare_scored
from evalsuite.analysis.release import ReleaseVerdict, release_of, with_verdicts
from evalsuite.analysis.scores import CellScore, planned_rows, score_rows
from evalsuite.analysis.table import RunTable
from evalsuite.config.settings import Gate
from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.stats.delta import MeanDelta, mean_delta
from evalsuite.store.manifest import MANIFEST, MUST_AGREE, read_manifest
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES

NO_THINKING = "-nothink"


@dataclass(frozen=True, slots=True)
class ModelPair:
    """A candidate with the baseline chosen for it."""

    baseline: str
    candidate: str
    why: str
    aa: bool = False
    """Whether both are declared to be the same model: such a pair measures noise and gets no verdict."""


@dataclass(frozen=True, slots=True)
class SuiteMean:
    """Equal-weight mean delta of a candidate over its tasks."""

    pair: ModelPair
    tasks: tuple[str, ...]
    mean: MeanDelta

    def to_json(self) -> dict[str, Any]:
        """As in ``comparison.json``."""
        return {
            "baseline": self.pair.baseline,
            "tasks": list(self.tasks),
            "delta": self.mean.delta,
            "stderr": self.mean.stderr,
            "ci95": None if self.mean.ci95 is None else list(self.mean.ci95),
            "p_value": self.mean.p_value,
        }


@dataclass(frozen=True, slots=True)
class SuiteComparison:
    """Everything that a report shows."""

    table: RunTable
    scores: tuple[CellScore, ...]
    pairs: tuple[ModelPair, ...]
    comparisons: tuple[Comparison, ...]
    suite: tuple[SuiteMean, ...]
    """Of candidates with more than one compared task."""
    gate: Gate | None = None
    """The margins that the verdicts were given against."""
    releases: tuple[ReleaseVerdict, ...] = ()
    """One per candidate, where margins were given."""

    @property
    def demo(self) -> bool:
        """Whether any cell is of a demo model."""
        return any(cell.demo for cell in self.table.cells)

    @property
    def refused(self) -> tuple[str, ...]:
        """Why comparisons were refused."""
        return tuple(row.reason for row in self.comparisons if not row.comparable.ok)

    @property
    def complete(self) -> bool:
        """Whether every cell has a value for every planned sample."""
        return all(score.complete for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        """The content of ``comparison.json``."""
        rows = self.comparisons
        where = [(f"{row.task} {row.candidate.cell.model}", row.comparable) for row in rows]
        return {
            "schema": SCHEMA,
            "runs": list(dict.fromkeys(cell.run for cell in self.table.cells)),
            "demo": self.demo,
            "rows": [row.to_json() for row in rows],
            "suite": {mean.pair.candidate: mean.to_json() for mean in self.suite},
            "gate": None if self.gate is None else gate_json(self.gate),
            "releases": {found.candidate: found.to_json() for found in self.releases},
            "comparable": {
                "ok": all(found.ok for _, found in where),
                "differences": [f"{name}: {line}" for name, found in where for line in found.differences],
                "unknown": [f"{name}: {line}" for name, found in where for line in found.unknown],
            },
        }


def gate_json(gate: Gate) -> dict[str, Any]:
    """A gate's contents with their SHA-256: what was promised before the run."""
    contents = asdict(gate)
    return {"contents": contents, "sha256": canonical_sha(contents)}


def compare_all(
    table: RunTable,
    baseline: str | None = None,
    *,
    first_serves: bool = True,
    gate: Gate | None = None,
    allow_incomplete: float | None = None,
    alpha: float = 0.05,
) -> SuiteComparison:
    """Compare every model with its baseline on every task that both hold.

    ``baseline`` names one model for all; else each cell's own declared baseline serves where it is in the table,
    else, if ``first_serves``, the first model. ``gate`` gives verdicts against its margins and at its ``alpha``;
    ``allow_incomplete`` and ``alpha`` as in ``compare_scored``. Raises ``BadInput`` for an unknown ``baseline`` and
    for a wrong margin.
    """
    rows = {(cell.model, cell.task): planned_rows(table, cell) for cell in table.cells}
    scores = {(cell.model, cell.task): score_rows(table, cell, rows[cell.model, cell.task]) for cell in table.cells}
    pairs = choose_pairs(table, baseline, first_serves=first_serves)
    comparisons: list[Comparison] = []
    for task in table.tasks:
        for pair in pairs:
            old, new = (pair.baseline, task), (pair.candidate, task)
            if old in scores and new in scores:
                row = compare_scored(
                    table,
                    scores[old],
                    scores[new],
                    rows[old],
                    rows[new],
                    again={
                        other.candidate: rows[other.candidate, task]
                        for other in pairs
                        if _again(other, pair, task, rows)
                    },
                    allow_incomplete=allow_incomplete,
                    alpha=gate.alpha if gate else alpha,
                )
                comparisons.append(row)
    suite = tuple(mean for pair in pairs if (mean := _suite_mean(pair, comparisons)) is not None)
    found = SuiteComparison(table, tuple(scores.values()), pairs, tuple(comparisons), suite)
    return found if gate is None else judged(found, gate)


def judged(overview: SuiteComparison, gate: Gate) -> SuiteComparison:
    """The same comparisons with verdicts against the margins of ``gate``. Raises ``BadInput`` for a wrong margin."""
    releases: list[ReleaseVerdict] = []
    done: dict[int, Comparison] = {}
    for pair in overview.pairs:
        rows = [(place, row) for place, row in enumerate(overview.comparisons) if _of(pair, row)]
        if pair.aa or not rows:
            continue
        release, verdicts = release_of(pair.baseline, pair.candidate, [row for _, row in rows], gate)
        releases.append(release)
        done |= zip((place for place, _ in rows), with_verdicts([row for _, row in rows], verdicts), strict=True)
    comparisons = tuple(done.get(place, row) for place, row in enumerate(overview.comparisons))
    return replace(overview, comparisons=comparisons, gate=gate, releases=tuple(releases))


def choose_pairs(table: RunTable, asked: str | None = None, *, first_serves: bool = True) -> tuple[ModelPair, ...]:
    """Who is compared with whom, and why; models without any baseline are left out. As ``compare_all``."""
    models = table.models
    if asked is not None:
        if asked not in models:
            raise unknown_name("baseline", asked, models, "It must be a model of these runs.")
        chosen = {model: name if (name := like(asked, model)) in models else asked for model in models}
        twins = _twins(table)
        return tuple(
            _aa(twins[model], model) if model in twins else ModelPair(name, model, "asked for")
            for model, name in chosen.items()
            if model in twins or model not in (name, asked)
        )
    twins = _twins(table)
    declared = {model: found for model in models if (found := _declared(table, model)) is not None}
    baselines = set(declared.values())
    first = next((model for model in models if model in baselines), models[0])
    pairs: list[ModelPair] = []
    for model in models:
        if model in twins:
            pairs.append(_aa(twins[model], model))
        elif model in declared:
            pairs.append(ModelPair(declared[model], model, "declared"))
        elif not first_serves or model in baselines or model == first:
            continue
        elif _thinks(table, model) == _thinks(table, first):
            pairs.append(ModelPair(first, model, "the first model here, as no declared baseline is"))
    return tuple(pairs)


def baselines_elsewhere(cells: Sequence[TableCell], results_dir: Path, asked: str | None) -> tuple[TableCell, ...]:
    """Baseline cells that ``cells`` lack, from the other runs in ``results_dir``.

    Of several the best: asked alike before asked otherwise, sealed before unfinished, then the newest.
    """
    here = {(cell.model, cell.task) for cell in cells}
    runs = {cell.folder.parents[1] for cell in cells}
    found: dict[tuple[str, str], TableCell] = {}
    for cell in cells:
        name = asked or cell.manifest["baseline"]
        place = (like(name, cell.model), cell.task) if name else None
        if place is None or place in here or place in found:
            continue
        manifests = (path / MANIFEST for path in results_dir.glob(f"*/{place[0]}/{place[1]}"))
        others = [path.parent for path in manifests if path.is_file() and path.parents[2] not in runs]
        rivals = [rival for path in others if (rival := _readable(path)) is not None]
        if rivals:
            found[place] = max(rivals, key=lambda rival: _fitness(rival, cell))
    return tuple(found.values())


def _readable(folder: Path) -> TableCell | None:
    """A cell of another run; one that is damaged is no reason to fail this run's report."""
    try:
        return TableCell(folder.parents[1].name, folder, read_manifest(folder))
    except BadInput:
        return None


def _fitness(rival: TableCell, cell: TableCell) -> tuple[bool, bool, float]:
    alike = all(rival.identity.get(key) == cell.identity.get(key) for key in MUST_AGREE)
    samples = rival.folder / SAMPLES
    return alike, samples.exists(), (samples if samples.exists() else rival.folder).stat().st_mtime


def like(baseline: str, model: str) -> str:
    """The baseline's name with the model's thinking switch."""
    off = model.endswith(NO_THINKING) and not baseline.endswith(NO_THINKING)
    return baseline + NO_THINKING if off else baseline


def _declared(table: RunTable, model: str) -> str | None:
    """The baseline that a model's cells declare, if it is in the table."""
    name = next((cell.manifest["baseline"] for cell in table.cells if cell.model == model), None)
    wanted = like(name, model) if name else model
    return wanted if wanted in table.models and wanted != model else None


def _twins(table: RunTable) -> dict[str, str]:
    """A/A arm -> the model of the table that it is declared to equal."""
    found: dict[str, str] = {}
    for model in table.models:
        manifests = [cell.manifest for cell in table.cells if cell.model == model]
        served = [entry for manifest in manifests for entry in manifest.get("server") or ()]
        name = next((known["same_as"] for known in (*manifests, *reversed(served)) if known.get("same_as")), None)
        if name and (twin := like(str(name), model)) in table.models and twin != model:
            found[model] = twin
    return found


def _aa(twin: str, model: str) -> ModelPair:
    return ModelPair(twin, model, "the same model, asked twice", aa=True)


def _again(other: ModelPair, pair: ModelPair, task: str, rows: Mapping[tuple[str, str], Any]) -> bool:
    """Whether ``other`` asked the baseline of ``pair`` a second time."""
    return other.aa and other is not pair and other.baseline == pair.baseline and (other.candidate, task) in rows


def _of(pair: ModelPair, row: Comparison) -> bool:
    return (row.baseline.cell.model, row.candidate.cell.model) == (pair.baseline, pair.candidate)


def _thinks(table: RunTable, model: str) -> bool:
    return all(cell.identity.get("thinking") is not False for cell in table.cells if cell.model == model)


def _suite_mean(pair: ModelPair, comparisons: Sequence[Comparison]) -> SuiteMean | None:
    rows = [row for row in comparisons if _of(pair, row)]
    changes = [row.paired.change for row in rows if row.paired is not None]
    if len(changes) < 2 or len(changes) < len(rows) or any(row.stopped for row in rows):
        return None
    return SuiteMean(pair, tuple(row.task for row in rows), mean_delta(changes))
