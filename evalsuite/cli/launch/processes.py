"""``launch=joblib``: jobs as processes of this machine."""

import subprocess
import sys
from collections.abc import Mapping

from rich.console import Console

from evalsuite.cli.launch.words import Words
from evalsuite.config.scale import Scale
from evalsuite.errors import BadInput, Exit


def run_jobs(jobs: Mapping[str, Words], scale: Scale, console: Console) -> Exit:
    """Run each command line (job's name -> words) as a process, ``scale.jobs`` at a time, and return the highest exit
    code.

    Their output is printed on ``console``. A job that fails does not end the others; Ctrl-C reaches all of them, as
    they are of one process group. Raises ``BadInput`` without joblib.
    """
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise BadInput('launch=joblib needs joblib: pip install "evalsuite[joblib]"') from None

    def run_job(name: str, words: Words) -> Exit:
        return _run_job(name, words, console)

    tasks = (delayed(run_job)(name, words) for name, words in jobs.items())  # threads: each waits for a process
    codes: list[Exit] = Parallel(n_jobs=scale.jobs, backend="threading")(tasks)
    return max(codes)


def _run_job(name: str, words: Words, console: Console) -> Exit:
    """Run ``evalsuite run`` with ``words`` as a process and return its exit code; what it writes to standard output and
    standard error is printed on ``console`` line by line, each with the job's name.
    """
    command = [sys.executable, "-m", "evalsuite", "run", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout is not None
    for line in process.stdout:
        console.print(f"{name}: {line.rstrip()}", markup=False)
    return exit_of(process.wait())


def exit_of(code: int) -> Exit:
    """A process's return code as an ``Exit``.

    Ended by a signal (negative, or a shell's 128 + number) is ``STOPPED``, as it can be continued, except a code that
    ``Exit`` has itself; any other code that ``Exit`` has not is ``BUG``.
    """
    if code in set(Exit):
        return Exit(code)
    return Exit.STOPPED if code < 0 or code > 128 else Exit.BUG
