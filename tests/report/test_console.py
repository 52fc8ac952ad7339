"""Tables on wide, narrow and piped terminals, and in Markdown."""

import io

import pytest
from rich.console import Console

from evalsuite.report.console import Column, Table, show, standard_output
from evalsuite.report.markdown import document

TABLE = Table(
    "Change",
    (Column("task", number=False), Column("delta pt [95 %]"), Column("items", essential=False)),
    (("a_long_task_name", "-3.10 [-4.2, -2.0] *", "1,043"), ("b", "refused", "7")),
    ("A note.",),
)


def printed(width: int, *, terminal: bool = False) -> str:
    file = io.StringIO()
    show([TABLE], "Headline", Console(file=file, width=width, force_terminal=terminal, highlight=False))
    return file.getvalue()


def test_wide_shows_everything_plainly() -> None:
    text = printed(120)
    assert "\x1b" not in text
    assert "a_long_task_name   -3.10 [-4.2, -2.0] *   1,043" in text
    assert "A note." in text


def test_narrow_keeps_the_essential_columns_and_says_so() -> None:
    text = printed(42)
    assert "-3.10 [-4.2, -2.0] *" in text
    assert "1,043" not in text
    assert "Not shown on a terminal of 42 columns: items." in " ".join(text.split())
    assert all(len(line) <= 42 for line in text.splitlines())


def test_very_narrow_drops_intervals_and_says_so() -> None:
    text = printed(34)
    assert "-3.10 *" in text
    assert "Intervals are left out" in text
    assert all(len(line) <= 34 for line in text.splitlines())


def test_colours_only_on_terminals() -> None:
    assert "\x1b[" in printed(120, terminal=True)


def test_piped_output_is_wide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert standard_output().width == 220
    monkeypatch.setenv("COLUMNS", "70")
    assert standard_output().width == 70
    standard_output().print("x")
    assert capsys.readouterr().out == "x\n"


def test_markdown() -> None:
    text = document("Run a|b", ["one fact"], [TABLE], [("Plot", "plots/p.png", "")])
    assert "# Run a\\|b\n\n- one fact\n\n![Plot](plots/p.png)\n\n## Change\n" in text
    assert "| task | delta pt [95 %] | items |\n| --- | ---: | ---: |\n" in text
    assert "| a_long_task_name | -3.10 [-4.2, -2.0] \\* | 1,043 |" in text
    assert text.endswith("A note.\n")
