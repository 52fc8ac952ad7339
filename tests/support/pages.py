"""What a page of the documentation tells its reader to do: files to write, commands to give, and how each ends.

A command stands in a ``console`` block after ``$ ``. The lines below it are its output, which the command must print.
It ends with 0, but for the last one of a block below ``<!-- exit: N -->``. A block of another language that directly
follows a line that holds nothing but a path in backticks and a colon is the content of that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_EXIT = re.compile(r"^ *<!-- exit: (\d+) -->$")
_FILE = re.compile(r"^ *`([\w./-]+)`:$")
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Command:
    """One command line."""

    line: int
    """Its number in the page, from 1."""
    text: str
    code: int
    """The exit code that the page states."""
    output: tuple[str, ...] = ()
    """Lines that it must print, among others."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file that the reader has to write."""

    path: str
    text: str


Step = Command | PageFile


@dataclass(frozen=True, slots=True)
class _Block:
    line: int
    """Of its first line of content."""
    language: str
    lines: tuple[str, ...]
    before: tuple[str, ...]
    """The lines above it, the nearest last, without empty ones."""


def steps(page: Path) -> tuple[Step, ...]:
    """Files and commands of a page, in order."""
    found: list[Step] = []
    for block in _blocks(page.read_text(encoding="utf-8").splitlines()):
        above = block.before[-1] if block.before else ""
        if block.language == "console":
            stated = _EXIT.match(above)
            found += _commands(block, int(stated[1]) if stated else 0)
        elif named := _FILE.match(above):
            found.append(PageFile(named[1], "\n".join(block.lines) + "\n"))
    return tuple(found)


def commands(page: Path) -> tuple[Command, ...]:
    """The commands of a page."""
    return tuple(step for step in steps(page) if isinstance(step, Command))


def _blocks(lines: list[str]) -> Iterator[_Block]:
    inside: list[str] | None = None
    before: list[str] = []
    indent, language, start = "", "", 0
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if inside is None:
            if fence is None:
                before += [line] if line.strip() else []
                continue
            inside, indent, language, start = [], fence["indent"], fence["language"], number + 1
        elif line == f"{indent}```":
            yield _Block(start, language, tuple(inside), tuple(before[-2:]))
            inside, before = None, []
        else:
            inside.append(line.removeprefix(indent))


def _commands(block: _Block, code: int) -> list[Command]:
    starts = [place for place, line in enumerate(block.lines) if line.startswith(_PROMPT)]
    found = []
    for place, following in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        output = tuple(line for line in block.lines[place + 1 : following] if line.strip())
        text = block.lines[place].removeprefix(_PROMPT)
        found.append(Command(block.line + place, text, code if place == starts[-1] else 0, output))
    return found


TEXTS = (
    *(ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("skills/*/SKILL.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
)
"""What a reader reads."""
PAGES = tuple(path for path in TEXTS if path.name != "CONTRIBUTING.md" and commands(path))
"""Those with commands; ``make test`` is what executes CONTRIBUTING.md's."""
