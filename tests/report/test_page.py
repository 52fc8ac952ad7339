"""The page in a real browser: it opens from disk, filters, opens items, obeys keys, and runs only its own scripts."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evalsuite.cli.report import report
from evalsuite.config.report_settings import Report
from evalsuite.report import formats
from evalsuite.stats import rounding
from figures.page import READY, listen
from figures.page_layout import FAULTS
from tests.report.test_html import HOSTILE, hostile_run
from tests.support.browser import chromium
from tests.support.cells import Answer, Made, write
from tests.support.made_runs import SUBJECT_OF, arm, demo_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


HANG_MS = 200_000
"""A page that is not ready by then hangs: no bound on how fast it is."""


pytestmark = pytest.mark.slow


def open_row(page: "Page", number: int) -> None:
    """Click a row until its item is open: a click on a row that is being drawn again is lost."""
    for _ in range(10):
        page.click(f"{READY} >> nth={number}")
        from playwright.sync_api import TimeoutError as NotThere

        with contextlib.suppress(NotThere):
            page.wait_for_selector("#detail:not([hidden])", timeout=HANG_MS / 10)
            return
    raise AssertionError("the row does not open")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms, two repeats; the candidate's answers part from the baseline's after some words."""

    def repeated(seed: int, loss: float, words: str) -> dict[str, list[Answer]]:
        first, second = arm(seed, loss), arm(seed + 10, loss)
        return {
            item: [
                Answer(one.value, one.outcome, one.tokens, text=f"we add the numbers and get {words} {item}")
                for one in (*first[item], *second[item])
            ]
            for item in first
        }

    folder = tmp_path_factory.mktemp("page")
    made = write(
        folder / "r",
        Made("a", repeated(1, 0.0, "seven"), "mmlu_pro", SUBJECT_OF, title="Old", demo=True),
        Made("b", repeated(3, 0.4, "nine"), "mmlu_pro", SUBJECT_OF, title="New", baseline="a", demo=True),
    )
    report(Report(run=[str(made)]))
    return made


@pytest.fixture
def page(browser: "Browser", run: Path) -> "Iterator[Page]":
    """The page, opened; at the end nothing may have complained."""
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(HANG_MS)
    opened = context.new_page()
    said = listen(opened)
    opened.goto((run / "report" / "report.html").as_uri())
    opened.wait_for_selector(READY)
    yield opened
    assert said == []
    context.close()


def ids(page: "Page") -> list[str]:
    found: list[str] = page.evaluate("page.items.rows().map((row) => row.id)")
    return found


def means(run: Path) -> dict[str, tuple[float, float]]:
    """Item -> mean value in both arms, from the cells themselves."""
    from evalsuite.store.samples import read_samples

    sums: dict[str, list[float]] = {}
    for at, model in enumerate(("a", "b")):
        for row in read_samples(run / model / "mmlu_pro", ["item_id", "value"]).to_pylist():
            sums.setdefault(row["item_id"], [0.0, 0.0])[at] += row["value"] / 2
    return {item: (old, new) for item, (old, new) in sums.items()}


def test_filters_show_just_the_items_that_they_name(page: "Page", run: Path) -> None:
    truth = means(run)
    lost = {item for item, (old, new) in truth.items() if new < old}
    gained = {item for item, (old, new) in truth.items() if new > old}
    assert set(ids(page)) == lost | gained
    page.select_option("select[name=direction]", "lost")
    assert set(ids(page)) == lost
    assert page.text_content("#count") == f"{len(lost)} of 150 items"
    page.select_option("select[name=subject]", "physics")
    physics = {item for item in lost if SUBJECT_OF[item] == "physics"}
    assert set(ids(page)) == physics
    page.select_option("select[name=subject]", "")
    page.select_option("select[name=direction]", "gained")
    assert set(ids(page)) == gained
    page.select_option("select[name=direction]", "all")
    page.fill("input[name=search]", "14")
    assert set(ids(page)) == {item for item in truth if "14" in item}
    page.fill("input[name=search]", "no such item")
    assert page.text_content("#list .tabulator-placeholder") == "no item passes these filters"


def test_an_item_opens_beside_its_baseline_with_the_difference_marked(page: "Page", run: Path) -> None:
    open_row(page, 0)
    page.wait_for_selector("#detail:not([hidden]) .arm pre")
    item = page.evaluate("page.items.rows()[0].id")
    assert page.locator("#detail .arm h4").all_text_contents() == ["Old ", "New "]
    texts = page.locator("#detail .arm pre").all_text_contents()
    assert [text for text in texts if "numbers" in text] == [
        f"we add the numbers and get {words} {item}" for words in ("seven", "nine")
    ]
    assert page.locator("#detail mark").all_text_contents() == ["nine"]
    assert page.locator("#detail .arm >> nth=0 >> .dot").count() == 2
    assert page.text_content("#detail code") == f"evalsuite show run=r task=mmlu_pro item={item}"
    page.click("#detail button:has-text('copy')")
    page.wait_for_selector("#detail button:has-text('copied')")
    assert page.evaluate("navigator.clipboard.readText()") == f"evalsuite show run=r task=mmlu_pro item={item}"
    page.click("#detail button:text-is('2')")
    page.wait_for_selector("#detail button[disabled]:text-is('2')")
    page.click("#detail [aria-label=close]")
    assert page.locator("#detail").is_hidden()


def test_keys(page: "Page") -> None:
    order = page.evaluate("page.items.rows().map((row) => row.item)")
    page.keyboard.press("j")
    assert page.evaluate("page.items.state.item") == order[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("page.items.state.item") == order[1]
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail:not([hidden])")
    assert page.evaluate("page.items.state.item") == order[2]
    page.keyboard.press("j")
    page.wait_for_function("document.querySelector('#detail strong').textContent.startsWith(page.items.rows()[3].id)")
    page.keyboard.press("Escape")
    assert page.locator("#detail").is_hidden()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"


def test_the_address_brings_one_back(page: "Page") -> None:
    page.select_option("select[name=direction]", "gained")
    open_row(page, 1)
    page.wait_for_selector("#detail:not([hidden])")
    shown = page.text_content("#detail strong")
    page.reload()
    page.wait_for_selector("#detail:not([hidden]) .arm")
    assert page.text_content("#detail strong") == shown
    assert page.input_value("select[name=direction]") == "gained"


def test_plots_are_drawn_from_the_rows_and_tables_sort(page: "Page") -> None:
    for name in ("forest", "outcomes", "lengths", "budgets"):
        page.locator(f"figure[data-plot={name}]").first.scroll_into_view_if_needed()
        page.wait_for_selector(f"figure[data-plot={name}] svg")
    assert page.locator("figure[data-plot=heat]").count() == 0  # one candidate only
    titles = page.locator("figure[data-plot=outcomes] svg title").all_text_contents()
    causes = page.evaluate(
        "Object.values(page.content.rows[0].causes).filter((part) => part !== 0).map((part) => page.points(part))"
    )
    assert [one.split(": ")[1] for one in titles if ": " in one] == [f"{part} pt" for part in causes]
    first = "#strata-1 tbody tr:first-child th"
    page.click("#strata-1 thead th:first-child")
    once = page.text_content(first)
    page.click("#strata-1 thead th:first-child")
    assert {once, page.text_content(first)} == {"law", "physics"}


def test_forest_dots_stand_at_the_deltas(page: "Page") -> None:
    """Places on the drawn axis, turned back into percentage points."""
    page.wait_for_selector("figure[data-plot=forest] svg")
    places: dict[str, Any] = page.evaluate("""() => {
      const chart = document.querySelector("figure[data-plot=forest] svg");
      const scale = chart.scale("x");
      const at = (mark) => Number(mark.getAttribute("transform").match(/translate\\(([-\\d.]+)/)[1]);
      const dots = [...chart.querySelectorAll('[aria-label="dot"] path')].map((mark) => scale.invert(at(mark)));
      const rules = [...chart.querySelectorAll('[aria-label="rule"] line')]
        .filter((mark) => mark.getAttribute("y1") === mark.getAttribute("y2"))
        .map((mark) => [scale.invert(Number(mark.getAttribute("x1"))), scale.invert(Number(mark.getAttribute("x2")))]);
      const row = page.content.rows[0];
      return { dots, rules, delta: row.delta, ci95: row.ci95, ci90: row.ci90 };
    }""")
    assert places["dots"] == pytest.approx([100 * places["delta"]], abs=0.05)
    drawn = sorted(end for rule in places["rules"] for end in rule)
    assert drawn == pytest.approx(sorted(100 * end for end in (*places["ci95"], *places["ci90"])), abs=0.05)


def test_narrow_wide_dark_and_print(browser: "Browser", run: Path) -> None:
    for width in (360, 390, 1280):
        for scheme in ("light", "dark"):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
            context.set_default_timeout(HANG_MS)
            page = context.new_page()
            page.goto((run / "report" / "report.html").as_uri())
            page.wait_for_selector(READY)
            assert page.evaluate(FAULTS) == []
            page.add_style_tag(content="nav { flex-wrap: nowrap; width: 2000px }")
            assert ("leaves the screen" in str(page.evaluate(FAULTS))) == (width < 1000)
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
            page.emulate_media(media="print")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert page.locator("#items").is_hidden()
            context.close()


def test_missing_and_foreign_texts_are_said(browser: "Browser", run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "report.html"
    shutil.copy(run / "report" / "report.html", alone)
    page = browser.new_page()
    page.set_default_timeout(HANG_MS)
    page.goto(alone.as_uri())
    open_row(page, 0)
    page.wait_for_selector("#detail .warning")
    assert "texts are missing" in str(page.text_content("#detail .warning"))
    folder = tmp_path / "texts" / "mmlu_pro"
    folder.mkdir(parents=True)
    for model, arm_number in (("a", 0), ("b", 1)):
        (folder / f"{model}-0.js").write_text(f'evalsuiteTexts("mmlu_pro",{arm_number},"other",0,{{}});')
    page.reload()
    page.wait_for_selector("#detail .warning")
    assert "another report" in str(page.text_content("#detail .warning"))
    page.close()


def test_hostile_texts_do_nothing(browser: "Browser", tmp_path: Path) -> None:
    run = hostile_run(tmp_path)
    report(Report(run=[str(run)]))
    page = browser.new_page()
    page.set_default_timeout(HANG_MS)
    said = listen(page)
    page.goto((run / "report" / "report.html").as_uri())
    page.wait_for_selector(READY)
    open_row(page, 0)
    page.wait_for_selector("#detail:not([hidden]) .arm pre")
    assert HOSTILE in page.locator("#detail .arm pre").all_text_contents()
    for figure in page.locator("figure.plot").all():
        figure.scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('figure.plot')].every((one) => one.querySelector('svg'))")
    assert page.evaluate("window.hurt") is None
    assert page.locator("img").count() == 0
    assert said == []
    page.close()


def test_injected_scripts_are_refused_by_the_policy(browser: "Browser", run: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(HANG_MS)
    page.goto((run / "report" / "report.html").as_uri())
    page.evaluate("""() => {
      window.refused = 0;
      document.addEventListener("securitypolicyviolation", () => { window.refused += 1; });
      const script = document.createElement("script");
      script.textContent = "window.hurt = 1";
      document.body.append(script);
      const image = document.createElement("img");
      image.setAttribute("onerror", "window.hurt = 1");
      image.src = "data:,";
      document.body.append(image);
    }""")
    page.wait_for_function("window.refused >= 2")
    assert page.evaluate("window.hurt") is None
    page.close()


def test_a_page_without_comparisons_opens(browser: "Browser", tmp_path: Path) -> None:
    run = write(tmp_path / "r", Made("fp8", arm(1), "mmlu_pro", SUBJECT_OF, title="FP8"))
    report(Report(run=[str(run)]))
    page = browser.new_page()
    page.set_default_timeout(HANG_MS)
    said = listen(page)
    page.goto((run / "report" / "report.html").as_uri())
    page.wait_for_selector(READY)
    page.wait_for_selector("figure[data-plot=scores] svg")
    assert page.text_content("#count") == "150 of 150 items"
    open_row(page, 0)
    page.wait_for_selector("#detail:not([hidden]) .arm pre")
    assert said == []
    page.close()


def test_another_comparison_shows_its_own_changes(browser: "Browser", tmp_path: Path) -> None:
    run = demo_run(tmp_path)
    report(Report(run=[str(run)]))
    page = browser.new_page()
    page.set_default_timeout(HANG_MS)
    page.goto((run / "report" / "report.html").as_uri())
    page.wait_for_selector(READY)
    page.select_option("select[name=pair]", "1")
    page.select_option("select[name=direction]", "lost")
    old, new = arm(1), arm(3, 0.4)
    lost = [item for item in old if (new[item][0].value or 0) < (old[item][0].value or 0)]
    assert ids(page) == lost
    first = page.locator(f"{READY} >> nth=0 >> .tabulator-cell").all_text_contents()
    assert first[0] == lost[0]
    assert "-1" in first
    more = f"{(new[lost[0]][0].tokens or 0) - (old[lost[0]][0].tokens or 0):+d}"
    assert first[-1] == ("0" if more == "+0" else more)
    page.locator("figure[data-plot=heat]").scroll_into_view_if_needed()
    page.wait_for_selector("figure[data-plot=heat] svg")
    drawn = page.locator("figure[data-plot=heat] svg [aria-label=text] text").all_text_contents()
    parts = [part for row in page.evaluate("page.content.rows") for part in row["groups"]["subject"]]
    assert sorted(drawn) == sorted(formats.standard_errors(part["delta"] / (part["stderr"] or 1)) for part in parts)
    page.close()


def test_the_browser_rounds_as_python_does(page: "Page") -> None:
    fractions = [part / whole for whole in (2000, 1319, 198, 8) for part in range(-whole, whole + 1, 7)]
    fractions += [(2 * part + 1) / 2000 for part in range(-1000, 1000)]  # all ties of one decimal
    shown = page.evaluate(
        "all => all.map((one) => [page.percent(one), page.percent(one, 0), page.points(one)])", fractions
    )
    assert shown == [[rounding.percent(one), rounding.percent(one, 0), rounding.points(one)] for one in fractions]
