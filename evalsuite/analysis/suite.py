"""Compares all models of a table: the choice of each baseline, the comparisons, the suite's mean and the verdicts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalsuite.analysis.comparison import Comparison, compare_scored, scored_rows
from evalsuite.analysis.effects import Effects, effects_of
from evalsuite.analysis.groups import adjusted_together
from evalsuite.analysis.recipes import RecipeChoice, choose_recipes
from evalsuite.analysis.release import ReleaseVerdict, release_verdict, with_verdicts
from evalsuite.analysis.scores import CellScore
from evalsuite.analysis.table import RunTable
from evalsuite.config.settings import Gate
from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import SCHEMA, canonical_sha
from evalsuite.stats.delta import MeanDelta, mean_delta
from evalsuite.store.manifest import MANIFEST, MUST_AGREE, read_manifest
from evalsuite.store.runs import TableCell
from evalsuite.store.samples import SAMPLES

NO_THINKING = "-nothink"
"""Ending of the name of a model whose thinking is switched off."""


@dataclass(frozen=True, slots=True)
class ModelPair:
    """A candidate with the baseline that was chosen for it."""

    baseline: str
    """Name of the baseline model."""
    candidate: str
    """Name of the candidate model."""
    reason: str
    """Why this baseline, for reports."""
    aa: bool = False
    """Whether both are declared to be the same model. Such a pair measures noise and gets no verdict."""


@dataclass(frozen=True, slots=True)
class SuiteMean:
    """Equal-weight mean delta of a candidate over its tasks."""

    pair: ModelPair
    """The candidate and its baseline."""
    tasks: tuple[str, ...]
    """Names of the tasks."""
    mean: MeanDelta
    """The mean delta with its interval."""

    def to_json(self) -> dict[str, Any]:
        """Return the candidate's entry in ``suite`` of ``comparison.json``: baseline, tasks, mean delta, standard
        error, 95 % interval and p value; the last three null without a standard error.
        """
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
    """All comparisons of a table with their verdicts: the content of a report."""

    table: RunTable
    """Samples and cells."""
    scores: tuple[CellScore, ...]
    """Numbers of every cell."""
    pairs: tuple[ModelPair, ...]
    """Candidates with their baselines."""
    comparisons: tuple[Comparison, ...]
    """One for each task and pair that both hold."""
    means: tuple[SuiteMean, ...]
    """Mean deltas of the candidates with more than one compared task."""
    recipes: tuple[RecipeChoice, ...] = ()
    """The choice among the candidates of each baseline that has more than two."""
    gate: Gate | None = None
    """The margins of the verdicts; None without verdicts."""
    releases: tuple[ReleaseVerdict, ...] = ()
    """One verdict per candidate; empty without a gate."""
    no_verdicts: str = ""
    """Why there are no verdicts although a gate was asked for; empty otherwise."""
    effects: tuple[Effects, ...] = ()
    """Effects of checkpoints and servers, where arms declare that they differ on purpose (``varies``)."""
    no_effects: str = ""
    """Why there are no such effects although arms declare it; empty when there are, or none does."""

    @property
    def demo(self) -> bool:
        """Whether any cell is of a demo model."""
        return any(cell.demo for cell in self.table.cells)

    @property
    def refused(self) -> tuple[str, ...]:
        """The reasons of all comparisons that were refused because their cells are known to differ; empty
        without any.
        """
        return tuple(row.reason for row in self.comparisons if not row.comparable.ok)

    @property
    def complete(self) -> bool:
        """Whether every cell has a score: a value for every planned sample, and nothing that withholds it."""
        return all(score.complete for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``comparison.json``: runs, one row per comparison, suite means, effects, recipes, gate,
        release verdicts and comparability.
        """
        rows = self.comparisons
        checks = [(f"{row.task} {row.candidate.cell.model}", row.comparable) for row in rows]
        return {
            "schema": SCHEMA,
            "runs": list(dict.fromkeys(cell.run for cell in self.table.cells)),
            "demo": self.demo,
            "rows": [row.to_json() for row in rows],
            "suite": {mean.pair.candidate: mean.to_json() for mean in self.means},
            "effects": [effects.to_json() for effects in self.effects],
            "recipes": [choice.to_json() for choice in self.recipes],
            "gate": None if self.gate is None else gate_json(self.gate),
            "releases": {release.candidate: release.to_json() for release in self.releases},
            "comparable": {
                "ok": all(check.ok for _, check in checks),
                "differences": [f"{name}: {line}" for name, check in checks for line in check.differences],
                "unknown": [f"{name}: {line}" for name, check in checks for line in check.unknown],
            },
        }


def gate_json(gate: Gate) -> dict[str, Any]:
    """Return a dict of the ``contents`` of a gate and their ``sha256``, which can prove that the gate was fixed before
    the run.
    """
    contents = asdict(gate)
    return {"contents": contents, "sha256": canonical_sha(contents)}


def compare_all(
    table: RunTable,
    baseline: str | None = None,
    *,
    fallback_to_first: bool = True,
    gate: Gate | None = None,
    allow_incomplete: float | None = None,
    alpha: float = 0.05,
) -> SuiteComparison:
    """Compare every model with its baseline on every task that both hold, with suite means and effects of varied
    servers or, where there are none, the choice among three or more candidates of a baseline.

    ``baseline`` names one model for all, with the exceptions of ``choose_pairs``. Without it each model's own declared
    baseline is used when it is in the table, and else, if ``fallback_to_first``, one that ``choose_pairs`` chooses.
    ``gate`` gives verdicts against its margins at its ``alpha``, None gives none. ``allow_incomplete``: largest
    fraction of missing samples that is bounded instead of refused, None for none; ``alpha``: error of each one-sided
    bound without a gate. Comparisons that are refused, or lack more answers than that, are in the result without
    numbers. Raises ``BadInput`` for an unknown ``baseline``, a margin that is not above 0 or an unknown tier.
    """
    cells = {(cell.model, cell.task): scored_rows(table, cell) for cell in table.cells}
    pairs = choose_pairs(table, baseline, fallback_to_first=fallback_to_first)
    comparisons: list[Comparison] = []
    for task in table.tasks:
        for pair in pairs:
            old, new = (pair.baseline, task), (pair.candidate, task)
            if old in cells and new in cells:
                others = [other.candidate for other in pairs if _is_second_run(other, pair)]
                row = compare_scored(
                    table,
                    cells[old],
                    cells[new],
                    aa_rows={model: cells[model, task].rows for model in others if (model, task) in cells},
                    allow_incomplete=allow_incomplete,
                    alpha=gate.alpha if gate else alpha,
                )
                comparisons.append(row)
    for pair in pairs:
        _adjust_groups(pair, comparisons)
    means = tuple(mean for pair in pairs if (mean := _suite_mean(pair, comparisons)) is not None)
    scored = tuple(cell.score for cell in cells.values())
    baselines = dict.fromkeys(pair.baseline for pair in pairs if not pair.aa)
    effects, problem = effects_of(list(cells.values()), list(baselines))
    candidates = [(pair.baseline, pair.candidate) for pair in pairs if not pair.aa]
    recipes = () if effects else choose_recipes(candidates, comparisons, cells)  # arms that vary are no recipes
    suite = SuiteComparison(
        table, scored, pairs, tuple(comparisons), means, recipes, effects=effects, no_effects=problem
    )
    return suite if gate is None else apply_gate(suite, gate)


def apply_gate(suite: SuiteComparison, gate: Gate) -> SuiteComparison:
    """Return a copy of ``suite`` with verdicts on its comparisons against the margins of ``gate``, and one release
    verdict per candidate that has a comparison; A/A pairs (a model against itself) get none.

    A task without a margin in ``gate`` is judged against its detectable difference, and gets no verdict without
    numbers or with a standard error of 0. Raises ``BadInput`` for a margin that is not above 0 or an unknown tier,
    once there is a candidate to decide on.
    """
    releases: list[ReleaseVerdict] = []
    with_verdict: dict[int, Comparison] = {}
    for pair in suite.pairs:
        rows = [(index, row) for index, row in enumerate(suite.comparisons) if _belongs_to(pair, row)]
        if pair.aa or not rows:
            continue
        release, verdicts = release_verdict(pair.baseline, pair.candidate, [row for _, row in rows], gate)
        releases.append(release)
        with_verdict |= zip(
            (index for index, _ in rows), with_verdicts([row for _, row in rows], verdicts), strict=True
        )
    comparisons = tuple(with_verdict.get(index, row) for index, row in enumerate(suite.comparisons))
    return replace(suite, comparisons=comparisons, gate=gate, releases=tuple(releases))


def choose_pairs(
    table: RunTable, requested: str | None = None, *, fallback_to_first: bool = True
) -> tuple[ModelPair, ...]:
    """Choose a baseline for every model of the table; models without one, such as the baseline itself, are left out.

    ``requested`` names one baseline for all models; a model that ends in ``-nothink`` gets the baseline's ``-nothink``
    model if there is one. None takes the baseline that a model's first cell declares (with ``-nothink`` for a model
    that ends so), if it is in the table. Else, with ``fallback_to_first``, a model that no other declares as its
    baseline gets the first model that others declare as baseline (without any, the first of the table), when both think
    or both do not. A declared second run of a model (A/A) is always paired with that model where the table has it.
    Raises ``BadInput`` for an unknown ``requested``.
    """
    models = table.models
    if requested is not None:
        if requested not in models:
            raise unknown_name("baseline", requested, models, "It must be a model of these runs.")
        baseline_of = {
            model: name if (name := with_same_thinking(requested, model)) in models else requested for model in models
        }
        second_runs = _second_runs(table)
        return tuple(
            _aa_pair(second_runs[model], model) if model in second_runs else ModelPair(name, model, "requested")
            for model, name in baseline_of.items()
            if model in second_runs or model not in (name, requested)
        )
    second_runs = _second_runs(table)
    declared = {model: base for model in models if (base := _declared(table, model)) is not None}
    baselines = set(declared.values())
    first = next((model for model in models if model in baselines), models[0])
    pairs: list[ModelPair] = []
    for model in models:
        if model in second_runs:
            pairs.append(_aa_pair(second_runs[model], model))
        elif model in declared:
            pairs.append(ModelPair(declared[model], model, "declared"))
        elif not fallback_to_first or model in baselines or model == first:
            continue
        elif _uses_thinking(table, model) == _uses_thinking(table, first):
            pairs.append(ModelPair(first, model, "the first model here, as no declared baseline is"))
    return tuple(pairs)


def find_baselines(cells: Sequence[TableCell], results_dir: Path, requested: str | None) -> tuple[TableCell, ...]:
    """Find, in the other runs of ``results_dir``, the baseline cells that are not among ``cells``: at most one per
    model and task. Cells with a damaged manifest are ignored, baselines that are nowhere left out.

    ``requested`` names one baseline for all cells; None takes the one that each cell declares, if any; ``-nothink`` is
    added for a model whose name ends so. Of several cells the best is returned: one with the same protocol before
    others, one with a samples file before unfinished ones, then the newest.
    """
    here = {(cell.model, cell.task) for cell in cells}
    runs = {cell.folder.parents[1] for cell in cells}
    baselines: dict[tuple[str, str], TableCell] = {}
    for cell in cells:
        name = requested or cell.manifest["baseline"]
        key = (with_same_thinking(name, cell.model), cell.task) if name else None
        if key is None or key in here or key in baselines:
            continue
        manifests = (path / MANIFEST for path in results_dir.glob(f"*/{key[0]}/{key[1]}"))
        others = [path.parent for path in manifests if path.is_file() and path.parents[2] not in runs]
        choices = [choice for path in others if (choice := _read_cell(path)) is not None]
        if choices:
            baselines[key] = max(choices, key=lambda choice: _preference(choice, cell))
    return tuple(baselines.values())


def _read_cell(folder: Path) -> TableCell | None:
    """Read the cell in ``folder``, in another run; None when its manifest is damaged, because that must not stop this
    run's report.
    """
    try:
        return TableCell(folder.parents[1].name, folder, read_manifest(folder))
    except BadInput:
        return None


def _preference(choice: TableCell, cell: TableCell) -> tuple[bool, bool, float]:
    """Return a sort key of a possible baseline of ``cell``: (same protocol, has a samples file, modification time); the
    largest one is the best.
    """
    same_protocol = all(choice.identity.get(key) == cell.identity.get(key) for key in MUST_AGREE)
    samples = choice.folder / SAMPLES
    return same_protocol, samples.exists(), (samples if samples.exists() else choice.folder).stat().st_mtime


def with_same_thinking(baseline: str, model: str) -> str:
    """Return the baseline's name, with ``-nothink`` added where the model's name ends in it and the baseline's does
    not.
    """
    off = model.endswith(NO_THINKING) and not baseline.endswith(NO_THINKING)
    return baseline + NO_THINKING if off else baseline


def _declared(table: RunTable, model: str) -> str | None:
    """Return the name of the baseline that a model's first cell declares, with ``-nothink`` added for a model whose
    name ends so; None if it declares none, or one that is not in the table or is the model itself.
    """
    name = next((cell.manifest["baseline"] for cell in table.cells if cell.model == model), None)
    baseline = with_same_thinking(name, model) if name else model
    return baseline if baseline in table.models and baseline != model else None


def _second_runs(table: RunTable) -> dict[str, str]:
    """Return a map from each second run (A/A) to the model of the table that its manifest, or a server's entry in it,
    declares it to equal (``same_as``, with ``-nothink`` added for a second run whose name ends so).
    """
    second_runs: dict[str, str] = {}
    for model in table.models:
        manifests = [cell.manifest for cell in table.cells if cell.model == model]
        served = [entry for manifest in manifests for entry in manifest.get("server") or ()]
        name = next((known["same_as"] for known in (*manifests, *reversed(served)) if known.get("same_as")), None)
        if name and (original := with_same_thinking(str(name), model)) in table.models and original != model:
            second_runs[model] = original
    return second_runs


def _aa_pair(original: str, model: str) -> ModelPair:
    return ModelPair(original, model, "the same model, run twice", aa=True)


def _is_second_run(other: ModelPair, pair: ModelPair) -> bool:
    """Return whether the candidate of ``other``, another pair than ``pair``, is a declared second run (A/A) of the
    baseline of ``pair``."""
    return other.aa and other is not pair and other.baseline == pair.baseline


def _belongs_to(pair: ModelPair, row: Comparison) -> bool:
    return (row.baseline.cell.model, row.candidate.cell.model) == (pair.baseline, pair.candidate)


def _adjust_groups(pair: ModelPair, comparisons: list[Comparison]) -> None:
    """Set ``p_page`` of all group values of one candidate, adjusted together over its tasks, by replacing its rows in
    the list ``comparisons`` in place.
    """
    rows = [(place, row, row.paired) for place, row in enumerate(comparisons) if _belongs_to(pair, row) and row.paired]
    adjusted = adjusted_together([paired.groups for _, _, paired in rows])
    for (place, row, paired), groups in zip(rows, adjusted, strict=True):
        comparisons[place] = replace(row, paired=replace(paired, groups=groups))


def _uses_thinking(table: RunTable, model: str) -> bool:
    return all(cell.identity.get("thinking") is not False for cell in table.cells if cell.model == model)


def _suite_mean(pair: ModelPair, comparisons: Sequence[Comparison]) -> SuiteMean | None:
    rows = [row for row in comparisons if _belongs_to(pair, row)]
    changes = [row.paired.change for row in rows if row.paired is not None]
    if len(changes) < 2 or len(changes) < len(rows) or any(row.stopped for row in rows):
        return None
    return SuiteMean(pair, tuple(row.task for row in rows), mean_delta(changes))
