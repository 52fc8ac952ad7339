"""Headless Chromium for the tests of the page; they skip, and say so, where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
"""``--no-sandbox`` because continuous integration runs as root; the pages are our own."""


def chromium_path() -> str | None:
    """The browser that ``EVALSUITE_CHROMIUM`` names, or the system's."""
    given = os.environ.get("EVALSUITE_CHROMIUM")
    return given or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A running browser, or a skip that says what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = chromium_path()
    if path is None or not Path(path).exists():
        pytest.skip("no Chromium found (Debian: apt-get install chromium; or set EVALSUITE_CHROMIUM)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
