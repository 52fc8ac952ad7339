"""Records a small run as this version writes it: ``python -m tests.end_to_end.histories.record NAME``.

Into ``tests/end_to_end/histories/NAME/``: the ``interrupted`` run, killed while it asked, the same run ``finished`` by
the same command, its baseline as a file of its own (``baseline save``), and the verdict of ``gate`` against that
file. All of it is made up: toy questions, drawn answers. Later versions must take all of it up
(``test_histories.py``).
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from evalsuite.store import journal
from tests.store import proving
from tests.support.command import Finished, evalsuite
from tests.support.scripted_endpoint import Server

HOME = Path(__file__).parent
ITEMS, REPEATS = 6, 2
BASELINE, VERDICT = "toy_a.baseline", "verdict.json"
GATE = """margins:
  additions: {points: 5, owner: the tests, reason: made up}
  dialogue: {points: 5, owner: the tests, reason: made up}
"""


def record(name: str) -> None:
    """Make both runs and put them into ``tests/end_to_end/histories/NAME``."""
    target = HOME / name
    target.mkdir()
    with tempfile.TemporaryDirectory() as folder, proving.endpoints(0.05) as servers:
        home = Path(folder)
        conf = proving.configure(home / "conf", items=ITEMS, repeats=REPEATS)
        command = proving.command(conf, home / "results", servers)
        _kill_midway(command, home, servers)
        _anonymous(home / "results" / "r", 1)
        _keep(home / "results" / "r", target / "interrupted")
        for number in (2, 3):  # the third time nothing is left to ask: the tables then name the renamed journals
            subprocess.run(command, check=True, capture_output=True, env=proving.environment(home / "acks"))
            _anonymous(home / "results" / "r", number)
        subprocess.run(command, check=True, capture_output=True, env=proving.environment(home / "acks"))
        _keep(home / "results" / "r", target / "finished")
        saved = evalsuite(home, "baseline", "save", "run=r", f"model={proving.MODELS[0]}", f"to={home / BASELINE}")
        assert saved.returncode == 0, saved
        gate(home, home / BASELINE)
        shutil.copyfile(home / BASELINE, target / BASELINE)
        shutil.copyfile(home / "results" / "r" / "report" / VERDICT, target / VERDICT)


def gate(home: Path, baseline: Path) -> Finished:
    """``evalsuite gate`` on the second model of ``home/results/r`` against the saved baseline."""
    (home / "conf" / "gate").mkdir(parents=True, exist_ok=True)
    (home / "conf" / "gate" / "toys.yaml").write_text(GATE)
    words = ["run=r", "gate=toys", f"model={proving.MODELS[1]}", f"baseline_run={baseline}"]
    done = evalsuite(home, "gate", *words, "--config-dir", str(home / "conf"))
    assert done.returncode in (0, 1, 2), done
    return done


def _kill_midway(command: Sequence[str], home: Path, servers: Sequence[Server]) -> None:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=proving.environment(home / "acks"))
    while min(len(server.written) for server in servers) < ITEMS * REPEATS // 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    process.kill()
    process.communicate()


def _anonymous(run: Path, number: int) -> None:
    """Journals are named after machine and process, which nobody needs to know."""
    for path in sorted(run.glob(f"*/*/{journal.PATTERN}")):
        if not path.name.startswith("journal-host-"):
            path.rename(path.with_name(f"journal-host-{number}-{number:08x}.jsonl"))


def _keep(run: Path, target: Path) -> None:
    """The cells and ``comparison.json``; locks, pictures and pages are not part of a history."""
    for path in sorted(run.rglob("*")):
        kept = path.name.endswith((".jsonl", ".parquet")) or path.name in ("manifest.json", "summary.json")
        if kept or path.name == "comparison.json":
            to = target / path.relative_to(run)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


if __name__ == "__main__":
    record(sys.argv[1])
