"""``launch=slurm``: one job per command line through submitit, requeued window after window.

Before a window ends, SLURM sends a signal (``signal_delay_s`` ahead); submitit then calls ``checkpoint``, which lets
the run drain and end, and puts the job back into the queue. The next window may be on another host.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from evalsuite.cli.launch.processes import exit_of
from evalsuite.cli.launch.words import Words
from evalsuite.config.scale import Scale
from evalsuite.errors import BadInput, Exit

FOLDER = ".slurm"
"""Below ``results_dir``: submitit's job files and logs, one folder per run."""
POLL_SECONDS = 0.2


@dataclass(slots=True)
class SlurmJob:
    """One job, as submitit pickles and calls it: ``evalsuite run`` as a process of its own."""

    words: Words
    grace: float
    """Seconds that the run has to drain after the signal to stop."""
    pid: int = 0

    def __call__(self) -> int:
        """Run ``evalsuite run`` with the words and return its return code.

        A run that ended as ``STOPPED`` (deadline, budget, outage, or killed by a signal) goes back into the queue
        instead: the process sends itself submitit's signal.
        """
        process = subprocess.Popen([sys.executable, "-m", "evalsuite", "run", *self.words])
        self.pid = process.pid
        while process.poll() is None:  # not wait(): submitit's signal handler must get its turn
            time.sleep(POLL_SECONDS)
        if exit_of(process.returncode) is Exit.STOPPED:
            from submitit.core.job_environment import JobEnvironment

            signal.raise_signal(JobEnvironment._usr_sig())
        return process.returncode

    def checkpoint(self) -> Any:
        """Called by submitit before the window closes: stop the run (by SIGTERM, after ``grace`` seconds by SIGKILL),
        and return the submission of the job that continues it.
        """
        from submitit.helpers import DelayedSubmission

        _end(self.pid, self.grace)
        return DelayedSubmission(SlurmJob(self.words, self.grace))


def _end(pid: int, grace: float) -> None:
    """Stop a child process by SIGTERM, after ``grace`` seconds by SIGKILL, and wait for its end; 0 as ``pid``: nothing.

    The child is not reaped here, ``__call__`` does that.
    """
    if not pid:
        return
    until = time.monotonic() + grace
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        while time.monotonic() < until or number == signal.SIGKILL:
            try:
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                    return
            except ChildProcessError:
                return
            time.sleep(POLL_SECONDS)


def submit_jobs(jobs: Mapping[str, Words], scale: Scale, folder: Path, console: Console) -> Exit:
    """Submit every command line (job's name -> words), wait for all, and return the highest exit code (a job without a
    result counts as ``STOPPED``).

    ``folder`` gets submitit's job files and logs; ``console`` the jobs' ids and results. Raises ``BadInput`` if
    submitit is missing or refuses the options.
    """
    try:
        import submitit
    except ImportError:
        raise BadInput('launch=slurm needs submitit: pip install "evalsuite[slurm]"') from None

    grace = max(1.0, scale.signal_delay_s - 10.0)
    try:
        executor = _executor(submitit, folder, scale, f"evalsuite-{folder.name}")
        submitted = {name: executor.submit(SlurmJob(words, grace)) for name, words in jobs.items()}
    except (RuntimeError, NameError, TypeError, ValueError, submitit.core.utils.FailedJobError) as error:
        raise BadInput(f"launch=slurm cannot submit: {str(error).strip().splitlines()[0]}") from None
    for name, job in submitted.items():
        console.print(f"{name}: job {job.job_id}, log {job.paths.stdout}", markup=False)
    return max(_result(name, job, console) for name, job in submitted.items())


def _executor(submitit: Any, folder: Path, scale: Scale, name: str) -> Any:
    """SLURM's executor of the module ``submitit``, or its local one (``cluster=local``), which runs
    jobs on this machine.

    ``folder`` holds job files and logs, ``name`` is the jobs' name.
    """
    if scale.cluster == "local":
        local = submitit.LocalExecutor(folder, max_num_timeout=scale.max_num_timeout)
        local.update_parameters(timeout_min=scale.timeout_min, signal_delay_s=scale.signal_delay_s, **scale.options)
        return local
    executor = submitit.SlurmExecutor(folder, max_num_timeout=scale.max_num_timeout)
    window = {"time": round(scale.timeout_min), "signal_delay_s": scale.signal_delay_s}
    executor.update_parameters(job_name=name, **window, **scale.options)
    return executor


def _result(name: str, job: Any, console: Console) -> Exit:
    from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

    try:
        code = exit_of(int(job.result()))
    except (FailedJobError, FailedSubmissionError, UncompletedJobError) as error:
        reason = str(error).strip().splitlines()[-1]
        console.print(f"{name}: ended without a result ({reason}); the same command goes on", markup=False)
        return Exit.STOPPED
    console.print(f"{name}: ended with {int(code)} ({code.name.lower().replace('_', ' ')})", markup=False)
    return code
