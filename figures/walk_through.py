"""The walk-through of the documentation on one port, with scripted servers, to its verdict and its page.

``lines`` gives every command of ``docs/guide/four_precisions.md`` in a reader's shell; ``EVALSUITE_PICTURE`` names a
PNG file for a picture of the page.
"""

import json
import os
from pathlib import Path

from figures.line import Line
from figures.page import listen
from tests.support.browser import chromium
from tests.support.page_shell import execute, site
from tests.support.pages import ROOT, steps

PAGE = ROOT / "docs" / "guide" / "four_precisions.md"
PICTURE = "EVALSUITE_PICTURE"


def lines(folder: Path) -> list[Line]:
    """The page's rows."""
    with site(folder / "site") as made:
        ended = list(execute(steps(PAGE), folder / "reader", made))
    astray = [one.command.text for one in ended if one.code != one.command.code]
    report = folder / "reader" / "work" / "results" / "release" / "report"
    verdict = json.loads((report / "verdict.json").read_text(encoding="utf-8"))
    calls = {
        name: (found["call"], {row["task"]: (row["verdict"] or {}).get("call") for row in found["rows"]})
        for name, found in verdict["candidates"].items()
    }
    shown, complaints = _seen(report / "report.html")
    return [
        Line(
            f"{PAGE.name}: every command ends as the page states",
            f"{len(ended)} of {len(ended)}",
            f"{len(ended) - len(astray)} of {len(ended)}" + (f"; not: {'; '.join(astray)}" if astray else ""),
        ),
        Line("its end", "a verdict", f"{verdict['verdict']}: {json.dumps(calls)}"),
        Line(
            "its page in Chromium: badges of the first screen; console messages",
            "the verdict is on the page that is looked at; 0",
            f"{', '.join(shown)}; {complaints}",
        ),
    ]


def _seen(page: Path) -> tuple[list[str], int]:
    """Return the badges that the page shows and the number of messages on its console."""
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        complaints = listen(tab)
        tab.goto(page.as_uri())
        tab.wait_for_selector("#verdict svg")
        badges = [badge.inner_text() for badge in tab.query_selector_all("#verdict .badge") if badge.is_visible()]
        if picture := os.environ.get(PICTURE):
            tab.screenshot(path=picture, full_page=True)
        tab.close()
    return badges, len(complaints)
