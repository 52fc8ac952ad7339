"""``sbatch``, ``srun`` and ``sacct`` of a cluster of one node: jobs are processes, noted in ``PAGE_JOBS``."""

import os
import re
import subprocess
import sys
from pathlib import Path


def sbatch(words: list[str]) -> int:
    jobs = Path(os.environ["PAGE_JOBS"])
    number = 1 + sum(1 for _ in jobs.glob("*.pid"))
    script = next(word for word in words if not word.startswith("-"))
    job = {
        "SLURM_JOB_ID": str(number),
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_NODELIST": "localhost",
    }
    job |= {"SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    with (jobs / f"{number}.log").open("wb") as log:
        started = subprocess.Popen(
            ["bash", script], env={**os.environ, **job}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    (jobs / f"{number}.pid").write_text(str(started.pid), encoding="utf-8")
    print(f"Submitted batch job {number}")
    return 0


def srun(words: list[str]) -> int:
    logs: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name = words.pop(0).removeprefix("--")
        if name in ("output", "error"):
            logs[name] = re.sub(r"%[A-Za-z]+", "0", words.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]))
    with Path(logs["output"]).open("wb") as output, Path(logs["error"]).open("wb") as error:
        return subprocess.run(words, stdout=output, stderr=error, check=False).returncode


def sacct(words: list[str]) -> int:
    print("JobID|State|NodeList")
    for path in sorted(Path(os.environ["PAGE_JOBS"]).glob("*.pid")):
        alive = Path(f"/proc/{path.read_text(encoding='utf-8')}").exists()
        print(f"{path.stem}|{'RUNNING' if alive else 'COMPLETED'}|localhost")
    return 0


if __name__ == "__main__":
    sys.exit({"sbatch": sbatch, "srun": srun, "sacct": sacct}[sys.argv[1]](sys.argv[2:]))
