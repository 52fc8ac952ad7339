"""The window of a run from what SLURM's commands print."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evalsuite.config.deadline import open_window


def test_the_end_of_a_job_is_read_beside_text_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = tmp_path / "scontrol"
    command.write_bytes(b"#!/bin/sh\nprintf 'JobName=caf\\351 EndTime=2026-01-01T04:00:00 Comment=\\377\\n'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    end = datetime.fromisoformat("2026-01-01T04:00:00").astimezone()
    window = open_window("slurm", datetime(2025, 12, 31, 12, tzinfo=UTC), {"SLURM_JOB_ID": "7"}, clock=100.0)
    assert window.closes == 100.0 + (end - datetime(2025, 12, 31, 12, tzinfo=UTC)).total_seconds() - 60
    assert window.seconds is None
