"""What the README and the documentation state that can be checked without executing them."""

import json
import re
from math import prod
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from figures.topics import TOPICS
from tests.support.page_shell import Ended
from tests.support.pages import ROOT, TEXTS, Command, PageFile, steps


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_the_demo_model_has_the_parameters_that_pages_state() -> None:
    with safe_open(ROOT / "evalsuite" / "demo" / "weights" / "model.safetensors", "numpy") as weights:
        sizes = [prod(weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118  (no mapping)
    assert round(sum(sizes) / 1e6, 2) == 0.64
    stated = re.compile(r"(\d\.\d+) (?:million|M) parameters")
    places = [path for path in ROOT.glob("**/*") if path.suffix in (".md", ".yaml", ".py") and _ours(path)]
    found = {number for path in places for number in stated.findall(" ".join(path.read_text("utf-8").split()))}
    assert found == {"0.64"}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_is_there(page: Path) -> None:
    """Those of the site are checked by mkdocs; a reader on a forge follows the same links."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    places = [place for place in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in place]
    made = {page.parent / place for place in places if place.startswith(("tasks/index", "../reference/tasks"))}
    assert [place for place in places if not (page.parent / place).exists() and page.parent / place not in made] == []


@pytest.mark.parametrize("name", ["docs/extend/flow.md", "docs/images/flow.svg", "CONTRIBUTING.md"])
def test_the_modules_that_the_map_names_exist(name: str) -> None:
    """``engine/worker.py`` is a module of evalsuite; ``cli/`` a package; ``tests/report/test_build.py`` a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.])((?:[a-z_]+/)+(?:[a-z_]+\.py)?)(?![\w*<])", text))
    assert named
    assert [place for place in named if not ((ROOT / place).exists() or (ROOT / "evalsuite" / place).exists())] == []


def test_how_we_know_names_ten_claims_and_topics_that_exist() -> None:
    page = (ROOT / "docs" / "guide" / "how_we_know.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.+?) \| `make figures FIGURES=\"?([\w ]+)\"?` \|$", page, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 11))
    assert {topic for _, _, named in rows for topic in named.split()} <= set(TOPICS)


def test_every_page_of_the_documentation_is_in_its_navigation() -> None:
    listed = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.SafeLoader)["nav"]
    pages = re.findall(r"[\w/]+\.md", json.dumps(listed))
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("**/*.md")}
    assert there - {"figures.md"} == set(pages) - {"reference/tasks/index.md"}


def test_a_page_is_read_as_its_reader_reads_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`a/b.yaml`:\n\n```yaml\nx: 1\n```\n\n1. Do:\n\n"
        "   <!-- exit: 3 -->\n   ```console\n   $ one\n   said  by one\n\n"
        "   $ two 'a b'\n   ```\n\n```\n$ not a command\n```\n",
        encoding="utf-8",
    )
    assert steps(page) == (
        PageFile("a/b.yaml", "x: 1\n"),
        Command(11, "one", 0, ("said  by one",)),
        Command(14, "two 'a b'", 3),
    )


def test_a_wrong_exit_code_and_a_missing_line_are_found(tmp_path: Path) -> None:
    """The mechanism itself: what it must not overlook."""
    wrong, lacking = Ended(Command(1, "false", 0), 1, ""), Ended(Command(1, "echo", 0, ("a  b", "c")), 0, "a b\n")
    assert wrong.code != wrong.command.code
    assert lacking.lacking == ("c",)


def _ours(path: Path) -> bool:
    return not {".git", ".venv", "results", "build", "tests"} & set(path.relative_to(ROOT).parts)
