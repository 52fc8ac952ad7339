from pathlib import Path

from figures.makespan import makespan


def test_recorded_lengths_keep_the_slots_full(tmp_path: Path) -> None:
    found = makespan(tmp_path, 60, 3, p99=1.5, slots=8, concurrency=16)
    assert found.recorded >= 0.9  # 0.97 at full size, where the start is a smaller part
    assert found.recorded > found.fifo
