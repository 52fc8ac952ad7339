"""Text of others, made safe for each place where it is shown."""

import ast
import csv
import html
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import escape

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.table import Table
from rich.text import Text

from evalsuite.report.console import SafeConsole
from evalsuite.sandbox import safe_text
from tests.support import hostile_text

PIECES = [
    *hostile_text.KINDS.values(),
    "\ufffe\uffff",
    "](",
    "[x]:",
    "<",
    "&#60;",
    "&lt;",
    "\\",
    "|",
    "*",
    "_",
    "`",
    "@a.b",
    "://",
    "www.",
    "\n",
    "# ",
]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=6).map("".join)
ROOT = Path(safe_text.__file__).parents[1]


@given(TEXTS)
def test_a_terminal_gets_no_command(text: str) -> None:
    shown = safe_text.terminal(text)
    assert len(shown) == len(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert safe_text.terminal(shown) == shown
    shown.encode()


@given(TEXTS)
def test_markdown_stays_text(text: str) -> None:
    line = safe_text.markdown(text)
    assert "\n" not in line
    for document in (f"- {line}", f"| a |\n| --- |\n| {line} |", f"# {line}", f"x {line}"):
        for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(document):
            kinds = {child.type for child in token.children or ()}
            assert kinds <= {"text", "text_special", "softbreak"}, (document, kinds)
            assert token.type not in ("html_block", "fence", "code_block", "blockquote_open")


@given(TEXTS)
def test_html_and_json_keep_the_text(text: str) -> None:
    escaped = safe_text.html(text)
    assert not re.search("[<>\"']", escaped)
    assert html.unescape(escaped) == safe_text.terminal(text)
    stored = safe_text.json(json.dumps(text, ensure_ascii=False))
    assert json.loads(stored) == text
    assert safe_text.terminal(stored) == stored


@given(TEXTS)
def test_xml_can_be_parsed(text: str) -> None:
    assert ET.fromstring(f"<a>{escape(safe_text.xml(text))}</a>").text == (safe_text.terminal(text) or None)


@given(TEXTS)
def test_a_cell_of_csv_is_no_formula(text: str) -> None:
    written = io.StringIO()
    csv.writer(written).writerow([safe_text.csv(text), safe_text.csv(-1.5)])
    (cell, number), *_ = csv.reader(io.StringIO(written.getvalue()))
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert number == "-1.5"


@given(TEXTS)
def test_the_console_prints_no_command_of_others(text: str) -> None:
    written = io.StringIO()
    console = SafeConsole(file=written, width=60)
    table = Table(text)
    table.add_row(text, Text(text))
    for renderable in (text, Text(text), table):
        console.print(renderable)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written.getvalue())


def test_markup_of_others_is_no_style() -> None:
    written = io.StringIO()
    SafeConsole(file=written, width=60, force_terminal=True).print("[link=https://evil.example]x[/link] [red]y :smile:")
    assert "[link=https://evil.example]x[/link] [red]y :smile:" in written.getvalue()


def test_nothing_is_printed_past_the_gate() -> None:
    """Consoles are made in report/console.py, and plain ``print`` only with text of our own or through the gate."""
    paths = sorted(ROOT.rglob("*.py"))
    assert len(paths) > 200
    for path in paths:
        _check_prints(str(path.relative_to(ROOT)), path)


def _check_prints(name: str, path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    called = [(ast.unparse(call.func), ast.unparse(call)) for call in calls]
    assert name == "report/console.py" or "Console" not in {function for function, _ in called}
    printed = [text for function, text in called if function in ("print", "sys.stdout.write", "sys.stderr.write")]
    own = {"cli/main.py": 4, "cli/sweep.py": 1, "cli/gate.py": 1, "cli/doctor.py": 1, "cli/json_output.py": 2}
    assert len(printed) <= own.get(name, 0) or name.startswith(("demo/", "sandbox/")) or name.endswith("_worker.py"), (
        printed
    )


def test_everything_that_others_write_is_safe_in_every_output(tmp_path: Path) -> None:
    text = " ".join(hostile_text.KINDS.values())
    shown = hostile_text.outputs(tmp_path, text)
    assert set(hostile_text.OUTPUTS) <= set(shown)
    assert all("evil" in shown[name] for name in ("show", "show item", "report.md", "card.md"))  # it is really there
    assert hostile_text.leaks(shown) == []
