"""The time window of a run, from ``engine.deadline``: a duration, a point in time, or the end of the SLURM job."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evalsuite.errors import BadInput

SLURM = "slurm"
SLURM_RESERVE_SECONDS = 60.0
"""Before the end of a SLURM job: time to seal the cells, report and requeue."""
_DURATION = re.compile(r"(?:(\d{1,5})d)?(?:(\d{1,7})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
"""A duration; so few digits that now and the longest one add up to a date that Python can hold."""
_TIME_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time that a run may use."""

    closes: float
    """``time.monotonic()`` at which running requests are cut; a change of the wall clock does not move it."""
    seconds: float | None
    """Length of the whole window; None: not known (a deadline given as a time)."""

    def left(self) -> float:
        """Seconds until the window closes, negative afterwards."""
        return self.closes - time.monotonic()


def duration(text: str) -> float | None:
    """Seconds of a duration: whole numbers before ``d``, ``h``, ``m``, ``s`` in this order, each at most once, such as
    ``3h50m`` or ``90m``.

    None for any other text (blanks around it do not matter), and for a part of more than 5 (``d``), 7 (``h``) or 9
    digits. ``0s`` is 0.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def point_in_time(text: str) -> datetime | None:
    """The time that a text such as ``2026-11-21T04:00Z`` states (as ``datetime.fromisoformat`` reads it), in UTC.

    Without an offset it is taken as UTC, a date alone as its midnight. None where the text states none, or one outside
    the years 1 to 9999.
    """
    try:
        time_ = datetime.fromisoformat(text.strip())
        return time_.replace(tzinfo=UTC) if time_.tzinfo is None else time_.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def open_window(
    deadline: str,
    now: datetime | None = None,
    environ: Mapping[str, str] | None = None,
    clock: float | None = None,
) -> Window:
    """The window that ``engine.deadline`` describes.

    Args:
        deadline: A duration from ``now``, a point in time (``point_in_time``), or ``slurm``: a minute before the end of
            this SLURM job.
        now: The present time, with a time zone; None: that of the machine's clock.
        environ: The environment variables; None: those of the process.
        clock: The present ``time.monotonic()``; None: read here.

    Returns:
        When the window closes, and its whole length where that is known: not for a point in time; of a SLURM job from
        the job's start, if ``environ`` states that.

    Raises:
        BadInput: ``deadline`` is none of the three, does not end after ``now``, or is ``slurm`` outside a SLURM job or
            where nothing states the job's end.
    """
    now = now or datetime.now(UTC)
    clock = time.monotonic() if clock is None else clock
    length: float | None = None
    if deadline == SLURM:
        ends, length = _slurm(now, os.environ if environ is None else environ)
    elif (seconds := duration(deadline)) is not None:
        ends, length = now + timedelta(seconds=seconds), seconds
    elif (stated := point_in_time(deadline)) is not None:
        ends = stated
    else:
        raise BadInput(unreadable(deadline))
    if ends <= now:
        raise BadInput(
            f"engine.deadline={deadline} is {ends:%Y-%m-%d %H:%M:%S} UTC, which has passed; give a later time, "
            "or a duration such as 3h50m"
        )
    return Window(clock + (ends - now).total_seconds(), length)


def unreadable(deadline: str) -> str:
    """The text of the error for an ``engine.deadline`` that is neither a duration nor a time nor ``slurm``."""
    return f"engine.deadline={deadline}: must be a duration (3h50m, 90m, 30s), a UTC time (2026-11-21T04:00Z), or slurm"


def _slurm(now: datetime, environ: Mapping[str, str]) -> tuple[datetime, float | None]:
    """(end, seconds from the job's start to it) of the window of this SLURM job; the end is 60 s before the job's own.

    The job's end is read from ``environ`` (SLURM 22.05 and later states it there), else from SLURM's commands; its
    start only from ``environ``: where that is not stated, the seconds are None. Raises ``BadInput`` outside a SLURM
    job, and where nothing states its end.
    """
    job = environ.get("SLURM_JOB_ID", "")
    if not job:
        raise BadInput(
            "engine.deadline=slurm: this is no SLURM job (SLURM_JOB_ID is not set); give a duration or a time"
        )
    ends = _epoch(environ.get("SLURM_JOB_END_TIME"))
    if ends is None:
        ends = _scontrol(job) or _squeue(job, now)
    if ends is None:
        raise BadInput(
            f"engine.deadline=slurm: neither SLURM_JOB_END_TIME nor scontrol nor squeue says when job {job} ends; give "
            "its length as a duration, such as engine.deadline=3h50m"
        )
    starts = _epoch(environ.get("SLURM_JOB_START_TIME"))
    reserve = timedelta(seconds=SLURM_RESERVE_SECONDS)
    return ends - reserve, None if starts is None else (ends - reserve - starts).total_seconds()


def _epoch(text: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text), UTC) if text and text.isdigit() else None
    except (ValueError, OverflowError, OSError):
        return None


def _scontrol(job: str) -> datetime | None:
    """The end of a job by ``scontrol show job`` (read as this machine's local time) in UTC; None where it states none
    or cannot be called.
    """
    match = re.search(r"\bEndTime=(\S+)", _output("scontrol", "show", "job", "-o", job))
    try:
        return datetime.fromisoformat(match[1]).astimezone(UTC) if match else None
    except ValueError:  # Unknown, N/A
        return None


def _squeue(job: str, now: datetime) -> datetime | None:
    """The end of a job: ``now`` and the time left by ``squeue -o %L``; None where it states none or
    cannot be called.
    """
    match = _TIME_LEFT.fullmatch(_output("squeue", "-h", "-j", job, "-o", "%L").strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return now + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _output(*command: str) -> str:
    """The standard output of a command, which is ended after 20 seconds; empty where it is missing, fails or hangs.

    Characters that are not UTF-8 (or of the locale's encoding) are replaced.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True, timeout=20)
        return done.stdout
    except (OSError, subprocess.SubprocessError):
        return ""
