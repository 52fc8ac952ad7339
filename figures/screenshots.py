"""The pictures of a report page in ``docs/images``, taken of a run of the embedded models.

    evalsuite run suite=demo run_id=demo
    python -m figures.screenshots results/demo/report

The page is opened from disk, as a reader opens it: first screen, items on which two precisions differ, a phone's width.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from figures.page import READY
from tests.support.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DESKTOP = {"width": 1180, "height": 860}
PHONE = {"width": 390, "height": 844}
SUBJECT = "mod"
"""The subject whose items are shown."""


def take(report: Path, images: Path) -> None:
    """Save ``report-desktop.png``, ``report-items.png`` and ``report-phone.png`` of ``report/report.html``."""
    images.mkdir(parents=True, exist_ok=True)
    page = (report / "report.html").absolute().as_uri()
    with chromium() as browser:
        _first_screen(browser, page, images / "report-desktop.png", DESKTOP, 1.5)
        _items(browser, page, images / "report-items.png")
        _first_screen(browser, page, images / "report-phone.png", PHONE, 2.0)


def _first_screen(browser: "Browser", page: str, path: Path, size: dict[str, int], scale: float) -> None:
    opened = browser.new_page(viewport=size, device_scale_factor=scale, color_scheme="light")  # type: ignore[arg-type]
    opened.goto(page)
    opened.wait_for_selector("figure[data-plot=forest] svg")
    opened.screenshot(path=path)
    opened.close()


def _items(browser: "Browser", page: str, path: Path) -> None:
    opened = browser.new_page(viewport=DESKTOP, device_scale_factor=1.5, color_scheme="dark")  # type: ignore[arg-type]
    opened.goto(page)
    opened.wait_for_selector(READY)
    opened.evaluate(f"page.items.choose({{ pair: 1, direction: 'changed', groups: {{ subject: '{SUBJECT}' }} }})")
    opened.locator("#list .tabulator-row").nth(2).click()
    opened.wait_for_selector("#detail .arm pre, #detail .arm .text")
    opened.evaluate("document.querySelector('#items').scrollIntoView()")
    opened.screenshot(path=path)
    opened.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m figures.screenshots", description=__doc__)
    parser.add_argument("report", type=Path, help="the report folder of a run of suite=demo")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the pictures go")
    given = parser.parse_args()
    take(given.report, given.images)
