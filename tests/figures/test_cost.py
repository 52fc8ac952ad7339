"""The benchmarks run and say what they measured; what it may cost is held at full size, on a quiet machine."""

import re
from pathlib import Path

import pytest

from benchmarks.memory import memory_cost
from benchmarks.mock_server import MockAnswers, Shape, events, whole_answer
from figures import cost
from figures.unchanged import BEFORE


def test_the_mock_server_answers_the_shape_that_was_asked_for() -> None:
    found = events(Shape(text=40, reasoning=100, event=10))
    assert len(found) == 1 + 10 + 4 + 3  # role, reasoning, text, then finish, usage and [DONE]
    assert b"The answer is 42." in whole_answer(Shape())


def test_a_stream_is_written_as_often_as_was_asked_for() -> None:
    shape = Shape(text=4 * 196, event=4, writes=16)
    paced = MockAnswers(shape).paced
    assert len(events(shape)) == 200
    assert len(paced) == 16 + 1
    assert b"".join(part.split(b"\r\n", 1)[1][:-2] for part in paced) == b"".join(events(shape))


def test_every_client_is_measured_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BEFORE, raising=False)
    (together, alone, whole, _) = cost.streams(answers=4, length=200, concurrency=4, seconds=0.4, rounds=1)
    assert whole.measured.endswith(f" ms (before: set {BEFORE})")
    for line in (together, alone):
        assert line.measured.count(" us, ") == 1
        assert all(name in line.measured for name in ("aiohttp", "openai-raw", "openai-objects"))


def test_a_sample_costs_less_than_a_few_bare_loops() -> None:
    (line,) = cost.samples(count=600, rounds=1, lm_eval=False, levels=(32,))
    ours, _, _, openai = (float(number) for number in re.findall(r"([0-9.]+) ms", line.measured))
    assert ours < 4 * openai  # noise of a short run on a busy machine included


def test_the_first_request_is_there_soon() -> None:
    for line in cost.start(rounds=1):
        assert float(line.measured.partition(" s")[0]) < 3  # asked at full size: 1.5


def test_memory_of_long_answers(tmp_path: Path) -> None:
    found = memory_cost(16, concurrency=8, where=tmp_path)
    assert max(found.run, found.again, found.report) < 600
    assert found.disk_gb > 0.003
