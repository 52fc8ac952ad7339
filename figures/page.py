"""How fast the report's page opens and filters in headless Chromium: one function for the test and the full size.

The import of four models' recorded MMLU-Pro answers is reported and opened from disk, as a person would.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from figures.line import Line
from figures.replay import MODELS, mmlu_pro_imports
from tests.support.browser import chromium
from tests.support.shared import shared_data

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 5
READY = "#list .tabulator-row"
_FILTERS = """async () => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const asked = {
    "all items": { direction: "all" }, lost: { direction: "lost" }, "a subject": { groups: { subject: "law" } },
    "no answer": { groups: {}, cause: "n" }, "all again": { direction: "all", cause: "" },
    "part of an id": { search: "12" }, "back": { search: "", direction: "changed" },
  };
  const took = {};
  for (const [name, changes] of Object.entries(asked)) {
    const began = performance.now();
    await page.items.apply(changes);
    await painted();
    took[name] = { ms: performance.now() - began, shown: page.items.rows().length };
  }
  const began = performance.now();
  page.items.choose({ pair: 1 - page.items.state.pair });
  await painted();
  took["another comparison"] = { ms: performance.now() - began, shown: page.items.rows().length };
  return took;
}"""


@dataclass(frozen=True, slots=True)
class PageCost:
    """What opening and filtering cost."""

    samples: int
    open_seconds: float
    """From the request to the first row of items on screen, the slowest of several."""
    filter_ms: Mapping[str, float]
    """Filter -> milliseconds until the list was painted, median of five."""
    shown: Mapping[str, int]
    """Filter -> items that passed it."""
    page_mb: float
    texts_mb: float
    complaints: tuple[str, ...]
    """Everything that the console said."""


def page_cost(folder: Path, size: int | None = None, opens: int = 3) -> PageCost:
    """Import, report and open ``size`` questions (None: all 12,032) of four models below ``folder``."""
    found = mmlu_pro_imports(shared_data(), folder, size)
    report(Report(run=["replay"], results_dir=str(folder / "results"), baseline=MODELS[0]))
    home = folder / "results" / "replay" / "report"
    with chromium() as browser:
        page = browser.new_page()
        complaints = listen(page)
        times = [_open(page, home / "report.html") for _ in range(opens)]
        rounds: list[dict[str, dict[str, Any]]] = [page.evaluate(_FILTERS) for _ in range(ROUNDS)]
    return PageCost(
        samples=found.items * len(MODELS),
        open_seconds=max(times),
        filter_ms={name: median(float(took[name]["ms"]) for took in rounds) for name in rounds[0]},
        shown={name: int(one["shown"]) for name, one in rounds[0].items()},
        page_mb=(home / "report.html").stat().st_size / 1e6,
        texts_mb=sum(path.stat().st_size for path in home.glob("texts/*/*.js")) / 1e6,
        complaints=tuple(complaints),
    )


def listen(page: "Page") -> list[str]:
    """A list that fills with everything the page's console and its errors say."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    return said


def _open(page: "Page", path: Path) -> float:
    began = time.perf_counter()
    page.goto(path.resolve().as_uri())
    page.wait_for_selector(READY)
    return time.perf_counter() - began


def page_lines(folder: Path) -> list[Line]:
    """The asked figures of the page."""
    found = page_cost(folder)
    slowest = max(found.filter_ms, key=lambda name: found.filter_ms[name])
    return [
        Line(f"page of {found.samples:,} samples opens", "under 3 s", f"{found.open_seconds:.2f} s"),
        Line(
            "slowest filter, until painted, median of five",
            "under 200 ms",
            f"{found.filter_ms[slowest]:.0f} ms ({slowest}, {found.shown[slowest]:,} items)",
        ),
        Line("console messages", "none", "; ".join(found.complaints) or "none"),
        Line("size of the page, and of its texts", "stated", f"{found.page_mb:.1f} MB, {found.texts_mb:.0f} MB"),
    ]
