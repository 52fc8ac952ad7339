"""Lengths, token budgets and the timeline: their numbers, and that the plots draw just these."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import RunTable, load_run
from evalsuite.records import Reply
from evalsuite.report.data_files import comparison_content
from evalsuite.report.plots.answers import budget_curve, length_distribution, slot_timeline
from evalsuite.report.plots.data import IDLE_SECONDS, QUANTILES, lengths, slot_use, token_budgets
from evalsuite.report.plots.save import length_figure
from evalsuite.store.cell import open_cell
from evalsuite.store.runs import TableCell
from evalsuite.store.writer import JournalWriter
from tests.support.cells import Answer, Made, write
from tests.support.journals import manifest
from tests.support.made_runs import demo_run


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> RunTable:
    return load_run(demo_run(tmp_path_factory.mktemp("series")))


def axes() -> Axes:
    return Figure().add_subplot()


def test_lengths_count_every_answer_once(table: RunTable) -> None:
    found = lengths(table, "word_problems")
    assert found is not None
    for model, parts in found.counts.items():
        rows = table.samples[table.samples["model"] == model]
        for outcome, counts in parts.items():
            tokens = rows.loc[rows["outcome"] == outcome, "completion_tokens"].to_numpy(dtype=float)
            assert sum(counts) == len(tokens)
            assert counts == tuple(np.histogram(tokens, found.edges)[0])
            assert found.quantiles[model][outcome] == pytest.approx(np.quantile(tokens, QUANTILES))
        assert sum(map(sum, parts.values())) == 150


def test_length_plot_draws_the_counts_of_comparison_json(table: RunTable) -> None:
    content = comparison_content(compare_all(table))["series"]["word_problems"]["lengths"]
    for outcome in ("correct", "truncated"):
        ax = axes()
        length_distribution(table, "word_problems", outcome, ax)
        drawn = [patch.get_data() for patch in ax.patches]  # type: ignore[attr-defined]
        assert [list(one.values) for one in drawn] == [
            content["counts"][model][outcome] for model in table.models if outcome in content["counts"][model]
        ]
        assert all(list(one.edges) == pytest.approx(content["edges"]) for one in drawn)
    found = lengths(table, "word_problems")
    assert found is not None
    assert len(length_figure(table, found).axes) == 4  # correct, wrong, truncated, no answer


def test_budgets(tmp_path: Path) -> None:
    one = {"a": [Answer(1.0, tokens=10)], "b": [Answer(1.0, tokens=100)], "c": [Answer(0.0, tokens=5)]}
    two = {"a": [Answer(1.0, tokens=1000, weight=3.0)], "b": [Answer(1.0, tokens=20)], "c": [Answer(1.0, tokens=20)]}
    table = load_run(write(tmp_path / "r", Made("one", one), Made("two", two)))
    found = token_budgets(table, "mmlu_pro", [1, 10, 64, 2048])
    assert found is not None
    assert found.scores["one"] == pytest.approx((0, 1 / 3, 1 / 3, 2 / 3))
    assert found.scores["two"] == pytest.approx((0, 0, 2 / 5, 1))


def test_budgets_end_at_the_score_itself_and_the_plot_draws_them(table: RunTable) -> None:
    content = comparison_content(compare_all(table))
    found = content["series"]["word_problems"]["budgets"]
    for cell in content["cells"]:
        assert found["scores"][cell["model"]][-1] == pytest.approx(cell["score"])
    ax = axes()
    budget_curve(table, "word_problems", ax)
    for line, model in zip(ax.lines, table.models, strict=True):
        assert list(map(float, line.get_xdata())) == [float(budget) for budget in found["budgets"]]  # type: ignore[arg-type]
        assert list(map(float, line.get_ydata())) == pytest.approx([100 * one for one in found["scores"][model]])  # type: ignore[arg-type]


def test_unknown_lengths_and_several_replies_give_no_series(tmp_path: Path) -> None:
    silent = {"a": [Answer(1.0, tokens=None)]}
    table = load_run(write(tmp_path / "r", Made("one", silent)))
    assert lengths(table, "mmlu_pro") is None
    assert token_budgets(table, "mmlu_pro") is None
    dialogue = Made("one", {"a": [Answer(1.0)]}, "tau2_telecom", identity={"adapter": "tau2_telecom"})
    assert token_budgets(load_run(write(tmp_path / "s", dialogue)), "tau2_telecom") is None


def cell_of(folder: Path, spans: list[tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> TableCell:
    """A cell whose replies ended and lasted so, written by the store itself."""
    from evalsuite.store import cell as module

    async def work() -> None:
        with JournalWriter() as commits:
            cell = open_cell(folder, manifest(len(spans)), commits)
            for number, (end, seconds) in enumerate(spans):
                monkeypatch.setattr(module.time, "time", lambda end=end: end)
                key = (str(number), 0)
                await cell.record_request(key, ("model", 0))
                await cell.record_reply(
                    key, ("model", 0), "p", Reply('{"span":[1,2]}', "why", "stop", seconds=seconds), 1
                )
            cell.close()

    asyncio.run(work())
    return TableCell("r", folder, manifest(len(spans)))


def test_timeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = 1_790_000_000.0
    late = began + 20 + IDLE_SECONDS + 5000  # a second window, long after the first
    spans = [(began + 10, 10.0), (began + 20, 15.0), (late + 10, 10.0)]
    uses = slot_use([cell_of(tmp_path / "r" / "fp8" / "toy", spans, monkeypatch)])
    (use,) = uses
    assert (use.model, len(use.windows)) == ("fp8", 2)
    assert use.windows == pytest.approx((0.0, 20.0))
    step = use.seconds[1] - use.seconds[0]
    assert step * len(use.seconds) == pytest.approx(30.0)
    assert sum(use.in_flight) * step == pytest.approx(35.0)  # seconds of requests, pauses not counted
    assert max(use.in_flight) == pytest.approx(2.0)
    ax = axes()
    slot_timeline(uses, ax)
    minutes: Any = ax.lines[0].get_xdata()
    assert list(minutes) == pytest.approx([second / 60 for second in use.seconds])
    flying: Any = ax.lines[0].get_ydata()
    assert list(flying) == pytest.approx(list(use.in_flight))


def test_no_timeline_without_times_or_of_huge_journals(
    table: RunTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slot_use(table.cells) == ()
    cell = cell_of(tmp_path / "r" / "fp8" / "toy", [(1_790_000_000.0, 1.0)], monkeypatch)
    assert slot_use([cell]) != ()
    assert slot_use([cell], limit=10) == ()
