"""Faults of the machine itself under a real run: its clock jumps, its resolver fails for a while."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import Exit
from evalsuite.store.samples import read_samples
from tests.end_to_end.faults.machine import environment, start
from tests.store.io_faults import compiler
from tests.support.fault_server import Close, Send, Steps, Wait, error, events, fault_server, good, head, streamed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        compiler() is None, reason="needs Linux and a C compiler for the shim between process and machine"
    ),
]

DAY = 86_400


def answer(prompt: str) -> str:
    return str(int(prompt.split(" ")[0]) + 1)


def rows(results: Path) -> list[dict[str, Any]]:
    return list(read_samples(results / "r" / "bf16" / "additions").to_pylist())


def test_a_jumping_wall_clock_changes_nothing(tmp_path: Path) -> None:
    """Row 36: it is a day ahead every other third of a second; silence, Retry-After and the window go by another."""

    def script(prompt: str, number: int) -> Steps | None:
        faults: dict[str, Steps] = {
            "1": streamed(events("12"), done=False, then=[Wait()]),
            "2": error(429, Retry_After="1"),
            "3": error(500),
        }
        fault = faults.get(prompt.split(" ")[0]) if number == 0 else None
        return fault or [Wait(0.2), *good(answer(prompt))]

    found = {}
    for name, jumps in (("right", "0:0"), ("jumping", f"{DAY}:0.3"), ("ahead", f"{DAY}:0")):
        with fault_server(answer, script) as server:
            faulty = environment(tmp_path, "CLOCK", jumps)
            process = start(tmp_path / name, server.base_url, 12, faulty)
            said, _ = process.communicate(timeout=600)
            assert process.returncode == Exit.DONE, said
            assert {prompt: count for prompt, count in server.counts.items() if count > 1} == {
                f"{number} + 1 = ?": 2 for number in (1, 2, 3)
            }
        found[name] = rows(tmp_path / name)
        assert all(0.2 <= row.pop("seconds") < 30 for row in found[name])
    assert found["right"] == found["jumping"] == found["ahead"]


def test_a_lock_is_judged_by_the_clock_of_its_file_system(tmp_path: Path) -> None:
    """Row 36: a host whose clock is a day ahead takes no lock from one that lives, but that of a dead one."""
    cell = tmp_path / "results" / "r" / "bf16" / "additions"
    cell.mkdir(parents=True)
    lock = cell / "lock"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "boot": "other", "started": "1"}))
    faulty = environment(tmp_path, "CLOCK", f"{DAY}:0")
    with fault_server(answer) as server:
        process = start(tmp_path / "results", server.base_url, 2, faulty)
        assert "is being written by process 1 on elsewhere" in " ".join(process.communicate(timeout=600)[0].split())
        assert process.returncode != Exit.DONE
        assert server.prompts == []
        subprocess.run(["touch", "-d", "5 minutes ago", str(lock)], check=True)
        process = start(tmp_path / "results", server.base_url, 2, faulty)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == Exit.DONE, said


def test_a_name_that_stops_resolving_is_an_outage(tmp_path: Path) -> None:
    """Row 29, in the middle of a run: nothing is lost, nothing asked twice, and no attempt spent on it."""
    gone = tmp_path / "gone"

    def script(prompt: str, number: int) -> Steps:
        body = b"".join([*events(answer(prompt)), b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'])
        closing = head(200, "text/event-stream", Connection="close")
        return [Wait(0.5), Send(closing + body + b"data: [DONE]\n\n"), Close()]

    with fault_server(answer, script) as server:
        url = server.base_url.replace("127.0.0.1", "localhost")
        process = start(tmp_path / "results", url, 60, environment(tmp_path, "NAMES", str(gone)))
        seen, since = 0, time.monotonic()
        while process.poll() is None and (seen < 3 or time.monotonic() - since < 4):  # the answers take half a second
            if len(server.prompts) != seen:
                seen, since = len(server.prompts), time.monotonic()
            if seen >= 3 and not gone.exists():
                gone.touch()  # noticed in ten seconds, which is how long addresses are remembered
            time.sleep(0.02)
        assert 3 <= seen < 60
        gone.unlink()
        said, _ = process.communicate(timeout=600)
        assert process.returncode == Exit.DONE, said
        assert "the endpoint was away 1 times" in " ".join(said.split())
        assert set(server.counts.values()) == {1}
    assert {(row["outcome"], row["attempts"]) for row in rows(tmp_path / "results")} == {("correct", 1), ("correct", 2)}
