"""What is drawn of a run's progress, at any width, and what is said where there is no terminal."""

import io

import pytest
from rich.console import Console

from evalsuite.cli import progress
from evalsuite.cli.progress import Meter, ProgressLine, log_line, pause_after, progress_display, time_left, view
from evalsuite.engine.progress import Progress

LINES = [
    ProgressLine(
        "fp8", Progress(planned=12_032, done=1_204, truncated=13, in_flight=61, limit=64, recorded=300), 1830.2, 15e3
    ),
    ProgressLine("nvfp4_v2", Progress(planned=12_032, done=900, failed=3, state="paused: down for 133 s"), 0.0, None),
    ProgressLine("nvfp4", Progress(planned=12_032, done=900, cut=2, in_flight=12, limit=12), 900.0, 50_000.0),
]


def seen(lines: list[ProgressLine], width: int, height: int = 30) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height)
    console.print(view(lines, 83.0, console))
    return file.getvalue().splitlines()


def test_tokens_per_second_are_those_of_the_last_minute() -> None:
    meter = Meter()
    rates = [meter.rate(float(second), 10.0 * second if second <= 100 else 1000.0 + 50.0 * (second - 100))
             for second in range(200)]  # fmt: skip
    assert rates[50] == pytest.approx(10.0)
    assert rates[199] == pytest.approx(50.0)


def test_tokens_per_second_of_replies_that_come_whole_and_seldom() -> None:
    meter = Meter()
    rates = [meter.rate(float(second), 6000.0 if second >= 100 else 0.0) for second in range(300)]
    assert rates[299] == pytest.approx(6000 / 299)  # nothing came in the last minute: the mean of the whole time


def test_time_left_is_what_is_open_at_the_present_rate() -> None:
    half = Progress(planned=100, done=50, running=10, tokens_left=5000.0)
    assert time_left(half, 100.0, 60.0) == pytest.approx(50.0)


def test_time_left_is_never_less_than_the_longest_answer_needs() -> None:
    tail = Progress(planned=100, done=98, running=2, tokens_left=5000.0, longest_left=4800.0)
    assert time_left(tail, 100.0, 60.0) == pytest.approx(4800 / 50)  # one of two streams


def test_time_left_without_known_lengths_goes_by_samples() -> None:
    assert time_left(Progress(planned=100, done=25), 0.0, 60.0) == pytest.approx(180.0)
    assert time_left(Progress(planned=100), 0.0, 60.0) is None
    assert time_left(Progress(planned=100, done=100), 0.0, 60.0) == 0.0
    assert time_left(Progress(planned=100, done=1, tokens_left=9.0), 9.0, 1.0) is None  # too early to tell


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_width_shows_what_matters_and_folds_nothing(width: int) -> None:
    lines = seen(LINES, width)
    text = "\n".join(lines)
    assert all(len(line) <= width for line in lines)
    (own,) = [line for line in lines if line.startswith("fp8 ") and "61/64" in line]
    assert "1,504/12,332" in own  # with the 300 that were on record before
    assert "1,830" in own
    assert "4:10:00" in own
    assert "paused: down for 133 s" in text
    (total,) = [line for line in lines if line.startswith("all")]
    assert "3,304/36,396" in total
    assert ("13 truncated" in text) == (width < 100)  # in words where there is no column
    assert "0:01:23 so far" in text


def test_more_endpoints_than_lines() -> None:
    many = [ProgressLine(f"replica{n:02}", Progress(planned=10, done=1), 1.0, float(n)) for n in range(99)]
    lines = seen([*many, LINES[1]], 160, height=20)
    assert len(lines) <= 20
    assert any(line.startswith("nvfp4_v2") for line in lines)  # what is wrong comes first
    assert any(line.startswith("replica98") for line in lines)  # then what takes longest
    assert not any(line.startswith("replica01") for line in lines)
    assert "more endpoints are only in the sum" in lines[-1]


def test_names_are_no_markup() -> None:
    assert "[red]x[/red]" in "".join(seen([ProgressLine("[red]x[/red]", Progress(planned=1), 0.0, None)], 80))


def test_a_line_of_a_log() -> None:
    assert log_line(LINES, 83.0) == (
        "0:01:23: 3,304 of 36,396 done, 3 failed, 13 truncated, 2 cut, 2,730 tokens/s; nvfp4_v2 paused: down for 133 s"
    )
    assert log_line(LINES[::2], 83.0).endswith("2,730 tokens/s, 13:53:20 left")


def test_no_more_than_one_line_in_thirty_seconds() -> None:
    said, due = 0, pause_after(0)
    for second in range(4 * 3600):
        if second >= due:
            said, due = said + 1, second + pause_after(second)
    assert pause_after(0) == 30
    assert 60 < said < 100  # of a window of four hours


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    with progress_display(Console(file=file)) as draw:
        draw({"fp8": LINES[0].progress})
    assert file.getvalue() == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress_display(Console(file=file, soft_wrap=True)) as draw:
        draw({"fp8": LINES[0].progress})
    assert file.getvalue() == "0:00:00: 1,504 of 12,332 done, 13 truncated, 0 tokens/s\n"


def test_ci_is_no_terminal_even_if_it_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    file = io.StringIO()
    with progress_display(Console(file=file, force_terminal=True)) as draw:
        draw({"fp8": LINES[0].progress})
    assert file.getvalue() == ""
