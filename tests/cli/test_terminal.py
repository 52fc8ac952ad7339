"""Real commands on real terminals of several widths."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.support.scripted_endpoint import Answer, scripted_endpoint

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def on_a_terminal(width: int, *arguments: str, stop_at: str = "", cwd: Path | None = None) -> tuple[int, str]:
    """Exit code and everything that a terminal of ``width`` columns was sent; Ctrl-C is typed at ``stop_at``."""
    own, other = pty.openpty()
    ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    hidden = ("CI", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, *arguments],
        stdin=other, stdout=other, stderr=other, start_new_session=True, cwd=cwd,
        env={**environment, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    os.close(other)
    sent, typed = b"", False
    while True:
        try:
            data = os.read(own, 65536)
        except OSError:  # the other end is closed: the command has ended
            break
        if not data:
            break
        sent += data
        if stop_at and not typed and re.search(stop_at, _CONTROL.sub("", sent.decode(errors="replace"))):
            os.write(own, b"\x03")
            typed = True
    os.close(own)
    return process.wait(), sent.decode()


_CHILD = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it
from evalsuite.cli.main import main
sys.exit(main())
"""


def asked(url: str, results: Path) -> list[str]:
    return [
        "run", "model=demo_bf16", "task=word_problems", "limit=20", "sampling=greedy", "run_id=r", "report=false",
        f"models.demo_bf16.base_url={url}", "models.demo_bf16.concurrency=4", f"results_dir={results}",
        "engine.probe=false",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 140])
def test_a_run_is_watched_live_and_stopped(width: int, tmp_path: Path) -> None:
    def answer(prompt: str) -> Answer:
        return Answer("0", reasoning="think " * 200, pace=0.05)

    with scripted_endpoint(answer, model="evalsuite/demo_bf16") as server:
        code, sent = on_a_terminal(width, *asked(server.base_url, tmp_path), stop_at=r"\b[1-9]\d*/20 ")
    text = _CONTROL.sub("", sent)
    assert code == 130
    assert re.search(r"^demo_bf16 +4/4 +[1-9]\d*/20 ", text, re.MULTILINE)  # slots in use, samples done
    assert re.search(r"tokens/s +left", text)
    assert "draining (SIGINT, " in text
    assert "The same command goes on" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if "demo_bf16 " in line) <= width
    assert "\x1b[?25l" in sent  # the cursor was hidden and is there again
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    assert "━" in text or width < 110


def test_a_pipe_is_told_nothing_for_a_short_run(tmp_path: Path) -> None:
    with scripted_endpoint(lambda _: "0", model="evalsuite/demo_bf16") as server:
        command = [sys.executable, "-m", "evalsuite", *asked(server.base_url, tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert "\x1b" not in done.stderr + done.stdout
    assert "tokens/s" not in done.stderr
    width, shown = 70, ["show", f"results_dir={tmp_path}"]
    code, sent = on_a_terminal(width, *shown)
    assert code == 0
    text = _CONTROL.sub("", sent)
    assert re.search(r"^demo_bf16 +word_problems +sealed +", text, re.MULTILINE)
    assert all(len(line) <= width for line in text.splitlines())
