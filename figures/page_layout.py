"""Whether report pages show everything: nothing is cut, at three widths, in light and dark, for few and many cells.

Pages of 1 to 8 tasks and 1 to 4 models are made, one of them with Chinese and Japanese titles, and measured in headless
Chromium: places of all texts and boxes, not pictures. ``card.md`` is laid beside the table of the release card.
"""

import argparse
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from evalsuite.tasks.published import card_named
from figures.line import Line
from figures.page import READY, listen
from tests.support.browser import chromium
from tests.support.cells import SAMPLING, Made, answers, write
from tests.support.made_runs import arm

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (390, 1280, 1920)
SCHEMES = ("light", "dark")
TASKS = ("mmmu_pro", "gpqa_diamond", "scicode", "aa_lcr", "ifbench", "tau2_telecom", "mmlu_pro", "gsm8k")
CHECKPOINTS = {
    "fp8": ("Qwen/Qwen3.5-397B-A17B-FP8", "Qwen3.5-397B-A17B FP8"),
    "nvfp4_v2": ("nvidia/Qwen3.5-397B-A17B-NVFP4-V2", "Qwen3.5-397B-A17B NVFP4 V2 (nvidia)"),
    "nvfp4": ("nvidia/Qwen3.5-397B-A17B-NVFP4", "Qwen3.5-397B-A17B NVFP4 (nvidia)"),
    "mine": ("me/mine", "mine"),
}
CJK_TITLES = ("通义千问 FP8 基线", "通义千问 NVFP4 第二版·量化", "千問 NVFP4 量子化モデル", "큐원 3.5 양자화")
SUBJECTS = (
    "abstract_algebra", "business", "chemistry", "computer science", "economics", "engineering", "health", "history",
    "jurisprudence_and_international_law", "math", "philosophy", "physics", "psychology", "other",
)  # fmt: skip
CJK_SUBJECTS = ("法律", "数学", "物理学", "計算機科学", "経済", "心理学", "철학")
CARD = "nvidia_qwen3_5_397b_nvfp4_v2"

FAULTS = (Path(__file__).parent / "page_layout.js").read_text(encoding="utf-8")
"""A function for the browser: everything that is cut, overlaps or leaves the screen."""


@dataclass(frozen=True, slots=True)
class PageShape:
    """What a made page shows."""

    tasks: int
    models: int
    cjk: bool = False


SHAPES = (
    PageShape(1, 1),
    PageShape(1, 2),
    PageShape(2, 3),
    PageShape(3, 4, cjk=True),
    PageShape(6, 2),
    PageShape(8, 4),
)


def made_run(folder: Path, shape: PageShape) -> Path:
    """A run of that many tasks and models; the first model is the baseline."""
    subjects = CJK_SUBJECTS if shape.cjk else SUBJECTS
    titles = CJK_TITLES if shape.cjk else [title for _, title in CHECKPOINTS.values()]
    subject_of = {str(item): subjects[item % len(subjects)] for item in range(200)}
    made = [
        Made(model, arm(10 * place + number, 0.15 * number, items=200), task, subject_of, title=titles[number],
             baseline="fp8" if number else None, identity={"checkpoint": checkpoint, "sampling": SAMPLING})
        for place, task in enumerate(TASKS[: shape.tasks])
        for number, (model, (checkpoint, _)) in enumerate(list(CHECKPOINTS.items())[: shape.models])
    ]  # fmt: skip
    run = write(folder / f"{shape.tasks}x{shape.models}", *made)
    gate = Gate({task: Margin(2.0, "figures", "fixed") for task in TASKS}) if shape.models > 1 else None
    with contextlib.redirect_stdout(io.StringIO()):
        report(Report(run=[str(run)], gate=gate, baseline_waiver="made answers"))
    return run


def drawn(browser: "Browser", page: Path, width: int, scheme: str) -> "Iterator[Page]":
    """The page with every plot drawn and every fold open."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    opened = context.new_page()
    opened.set_default_timeout(200_000)
    opened.goto(page.as_uri())
    opened.wait_for_selector(READY)
    opened.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    opened.evaluate(
        "async () => { for (const one of document.querySelectorAll('figure.plot')) { one.scrollIntoView();"
        " await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20))); } scrollTo(0, 0); }"
    )
    opened.wait_for_function("[...document.querySelectorAll('figure.plot')].every((one) => one.querySelector('svg'))")
    yield opened
    context.close()


def faults_of(browser: "Browser", page: Path, width: int, scheme: str, picture: Path | None = None) -> list[str]:
    """Everything that is cut, overlaps or leaves the screen; ``picture`` keeps what was seen."""
    for opened in drawn(browser, page, width, scheme):
        complaints = listen(opened)
        found: list[str] = opened.evaluate(FAULTS)
        if picture is not None:
            opened.screenshot(path=picture, full_page=True)
        return found + complaints
    return []


def layout_lines(folder: Path, pictures: Path | None = None) -> list[Line]:
    """The asked figures; ``pictures`` is a folder for a picture of every page that is measured."""
    lines, widths = [], ", ".join(f"{width:,}" for width in WIDTHS)
    with chromium() as browser:
        for shape in SHAPES:
            page = made_run(folder, shape) / "report" / "report.html"
            found: list[str] = []
            for width in WIDTHS:
                for scheme in SCHEMES:
                    picture = pictures / f"{shape.tasks}x{shape.models}-{width}-{scheme}.png" if pictures else None
                    found += [
                        f"{width} {scheme}: {fault}" for fault in faults_of(browser, page, width, scheme, picture)
                    ]
            kind = f"{shape.tasks} tasks, {shape.models} models{', CJK titles and groups' if shape.cjk else ''}"
            measured = f"{len(found)}: {'; '.join(found[:3])}" if found else "none"
            lines.append(
                Line(f"{kind}: cut, overlapping or off the screen at {widths} px, light, dark", "none", measured)
            )
    return [*lines, card_line(folder), rounding_line(folder)]


def card_line(folder: Path) -> Line:
    """``card.md`` of the release suite beside the release card."""
    card = card_named(CARD)
    made = made_run(folder / "card", PageShape(6, 2))
    table = (made / "report" / "card.md").read_text(encoding="utf-8").split("\n\n")[2].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    wanted = ["Precision", *(str(row["title"]) for row in card.data["rows"])]
    rows = [str(column["title"]) for column in card.data["columns"]]
    same = cells[0] == wanted and [cell[0] for cell in cells[2:]] == rows
    shown = f"{', '.join(cells[0])}; rows {', '.join(cell[0] for cell in cells[2:])}"
    return Line("card.md beside the NVFP4 V2 card: columns, titles, order", "the same", "the same" if same else shown)


def rounding_line(folder: Path) -> Line:
    """A score of 1,849 of 2,000 in all texts of one report."""
    right = [1.0] * 1849 + [0.0] * 151
    run = write(folder / "rounding", Made("a", answers(right)), Made("b", answers(right), baseline="a"))
    terminal = io.StringIO()
    with contextlib.redirect_stdout(terminal):
        report(Report(run=[str(run)], svg=True))
    home = run / "report"
    places = {"terminal": terminal.getvalue()}
    places |= {name: (home / name).read_text(encoding="utf-8") for name in ("report.html", "report.md", "card.md")}
    texts = {"terminal": "92.5 [", "report.html": "92.5 [", "report.md": "| 92.5 \\[", "card.md": "| 0.925 |"}
    wrong = [
        place for place, text in places.items() if texts[place].replace("\\[", "[") not in text.replace("\\[", "[")
    ]
    return Line(
        "1,849 of 2,000 right: its text on terminal, page, report.md, card.md",
        "the same, 92.5 % (0.925)",
        f"another in {', '.join(wrong)}" if wrong else "the same, 92.5 % (0.925)",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m figures.page_layout", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the made runs and the pictures of their pages go")
    given = parser.parse_args()
    for line in layout_lines(given.folder / "runs", given.folder):
        print(f"{line.what} | {line.asked} | {line.measured}")
