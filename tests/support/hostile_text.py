"""Text that a model, a manifest or a file of others may hold, in every place where evalsuite shows text."""

import contextlib
import io
import re
from collections.abc import Mapping
from pathlib import Path

from markdown_it import MarkdownIt

from evalsuite.cli import gate, report, show
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Gate, Margin
from tests.support.cells import Answer, Made, write

KINDS: Mapping[str, str] = {
    "colour": "\x1b[31mred\x1b[0m",
    "clear screen": "\x1b[2J\x1b[H",
    "link of a terminal": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "C1 control": "\x9b31mred\x9d52;c;eA==\x9c",
    "overwriting": "wrong\rright\x08\x08\x7f",
    "bidi override": "abc \u202egnorw\u202c \u2066isolated\u2069 \u200f",
    "invisible": "A\u200b\u2060\ufeff\U000e0041\U000e007f",
    "script": "</script><script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)> <a href="javascript:alert(1)">x</a>',
    "Markdown": "[pay](https://evil.example) ![x](http://evil.example/p.png) https://evil.example www.evil.example `|",
    "formula": '=HYPERLINK("http://evil.example","x")',
}
"""Kind -> an example."""
OUTPUTS = ("show", "show item", "report", "gate", "report.md", "card.md", "report.html", "tables", "junit.xml")
"""The outputs for people; the JSON files and the hub's metadata are read as well."""
_FOLD = re.compile(r"<details><summary>[^<]*</summary>\n|</details>\n")
"""The HTML of our own in ``card.md``."""
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def run_with(folder: Path, text: str) -> None:
    """A run of two models in which everything that others may write is ``text``."""

    def made(model: str, value: float) -> Made:
        answers = {str(n): [Answer(value if n else 1.0, text=text, note=text)] for n in range(4)}
        subjects = dict.fromkeys(answers, text)
        identity = {"checkpoint": text, "revision": text}
        server = {"facts": {"quantization": text, "version": text}}
        baseline = "a" if model == "b" else None
        return Made(model, answers, subjects=subjects, title=text, identity=identity, server=server, baseline=baseline)

    write(folder / "r", made("a", 1.0), made("b", 0.0))


def outputs(folder: Path, text: str) -> dict[str, str]:
    """What each output shows of a run with ``text`` in it."""
    run_with(folder, text)
    run, out = folder / "r", folder / "r" / "report"
    asked = {"run": ["r"], "results_dir": str(folder)}
    margins = Gate(margins={"mmlu_pro": Margin(points=1.0, owner=text, reason=text)})

    def printed(command: object, settings: Report) -> str:
        written = io.StringIO()
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            assert callable(command)
            command(settings)
        return written.getvalue()

    shown = {
        "show": printed(show.show, Report(**asked)),  # type: ignore[arg-type]
        "show item": printed(show.show, Report(**asked, task="mmlu_pro", item="1")),  # type: ignore[arg-type]
        "report": printed(report.report, Report(**asked)),  # type: ignore[arg-type]
        "gate": printed(gate.gate, Report(**asked, gate=margins)),  # type: ignore[arg-type]
    }
    for name in ("report.md", "card.md", "junit.xml", "comparison.json", "verdict.json"):
        shown[name] = (out / name).read_text(encoding="utf-8")
    page = re.sub(r"<(script|style)>.*?</\1>", "", (out / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    texts = [path.read_text(encoding="utf-8") for path in sorted(out.glob("texts/**/*.js"))]
    shown["report.html"] = "".join([page, *texts])  # without the libraries, which are part of the page
    shown["tables"] = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("tables/*.csv")))
    shown["hub"] = "".join(path.read_text(encoding="utf-8") for path in sorted(out.glob("hub/**/*.yaml")))
    assert (run / "report" / "plots").is_dir()
    return shown


def leaks(shown: Mapping[str, str]) -> list[str]:
    """The outputs that hold controls, scripts, links or formulas of others."""
    found = [f"{name}: control {match[0]!r}" for name, text in shown.items() if (match := _CONTROLS.search(text))]
    for name in ("report.md", "card.md"):
        tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(shown[name])
        parts = [part for token in tokens for part in (token, *(token.children or ()))]
        for part in parts:
            own = part.type == "image" and str(part.attrs["src"]).startswith("plots/")
            own |= part.type == "html_block" and bool(_FOLD.fullmatch(part.content))
            if part.type in ("html_inline", "html_block", "link_open", "image", "code_inline", "fence") and not own:
                found.append(f"{name}: {part.type} {part.content[:50]!r}")
        if re.search(r"(?i)://|<script|<img|\bwww\.", shown[name]):
            found.append(f"{name}: an address or HTML")
    if re.search(r"<script>alert|<img src=x|href=\"javascript", shown["report.html"]):
        found.append("report.html: a script")
    cells = re.split(r"[,\n]", shown["tables"])
    found += [f"tables: {cell[:30]}" for cell in cells if re.match(r"\"?[=@]|\"?[+-](?![\d.])", cell)]
    if re.search(r"<script|<img", shown["junit.xml"]):
        found.append("junit.xml: HTML")
    return found
