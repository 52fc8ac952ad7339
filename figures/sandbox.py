"""The sandbox against snippets that are honest, clumsy or hostile; harm is looked for from outside.

``python -m figures.sandbox WALL FOLDER WARM HONEST [NAME ...]`` runs the snippets of ``FOLDER/snippets`` as whoever
calls it and prints one JSON object; ``attacked`` calls it as root or as an ordinary user.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.sandbox.client import Job, Sandbox
from evalsuite.sandbox.containers import COMMANDS
from evalsuite.sandbox.split_tests import Halves, split
from evalsuite.sandbox.supervisor import descendants
from figures import traces
from figures.attacks import ATTACKS

ROOT = Path(__file__).parents[1]
STRANGER = 61_234
"""An ordinary user without a home, an entry in passwd or a right to anything."""
TESTS = (
    "x = np.arange(5.0); assert np.allclose(f(x), target)",
    "a, b = g(3); assert np.allclose(a, target[0]) and np.allclose(b, target[1])",
)
IMPORTS = "import numpy as np\nimport io, sys\nprinted = sys.stdout = io.StringIO()"
"""What an answer prints is looked at, though the sandbox throws it away."""
LEAKS = ("CANARY", "NEWUSERNS-GOT")
TARGETS = (np.arange(5.0) ** 2, np.array([9.0, 27.0]))
MEMORY, DISK = 512 << 20, 64 << 20
SLACK = 400 << 20
"""Of memory: what the zygote has loaded, and how far a process comes between two looks."""
_GOOD = "def f(x): return x * x\ndef g(n): return n**2, n**3\n"
_ASK = "x = np.arange(5.0); assert np.allclose(f(x), target)"
HONEST: Sequence[tuple[str, str, Any]] = (
    (_GOOD, _ASK, TARGETS[0]),
    (f"import tempfile\n{_GOOD}with tempfile.TemporaryFile() as t: t.write(b'x' * (1 << 20))", _ASK, TARGETS[0]),
    (
        "import threading\nr = []\nt = threading.Thread(target=lambda: r.append(3))\nt.start(); t.join()",
        "assert r == target",
        [3],
    ),
    ("def f(): return np.random.rand()", "assert f() == target", np.random.RandomState(0).rand()),
    (
        "import os\ndef f(): return os.listdir('.'), os.getcwd() == os.environ['HOME']",
        "assert f() == target",
        ([], True),
    ),
)
"""(answer, test, target) of jobs that pass before and after any other."""


@dataclass(slots=True)
class Attacked:
    """One wall under all snippets."""

    wall: str
    facts: str
    uid: int
    endings: dict[str, str] = field(default_factory=dict)
    """Snippet -> how the sandbox reports its end."""
    wrong: dict[str, str] = field(default_factory=dict)
    """Snippets whose verdict is not the one that their header states."""
    harm: dict[str, list[str]] = field(default_factory=dict)
    """Snippets that did what must not happen."""
    honest: int = 0
    """Honest jobs that passed."""
    median_ms: float = 0.0
    """Wall time of a warm test: job sent, run, judged."""


def attacked(
    snippets: Path, wall: str, *, ordinary: bool, names: Sequence[str] = (), warm: int = 20, honest: int = 5
) -> Attacked:
    """Those of ``snippets`` and of ``ATTACKS`` (or of both those ``names``) in one wall, each before ``honest`` jobs.

    As this user, or as an ordinary one (needs root).
    """
    folder = Path(tempfile.mkdtemp(prefix="es-", dir="/var/tmp"))  # short: podman has sockets below it
    try:
        shutil.copytree(snippets, folder / "snippets")
        for name, code in ATTACKS.items():
            (folder / "snippets" / f"own_{name}.py").write_text(code)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        folder.chmod(0o777)
        words = [sys.executable, "-B", "-m", "figures.sandbox", wall, str(folder), str(warm), str(honest), *names]
        words = as_ordinary_user(words, folder, containers=wall in COMMANDS) if ordinary else words
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "user"), "API_KEY": "SECRETENV" + "CANARY"}
        environment["XDG_RUNTIME_DIR"] = str(folder / "user")
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-2000:])
        return Attacked(**json.loads(done.stdout))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_ordinary_user(words: Sequence[str], folder: Path, *, containers: bool = False) -> list[str]:
    """A command line that runs ``words`` as an ordinary user; an interpreter in root's home is made reachable.

    The latter in a mount namespace of its own: nothing of it is seen outside. ``containers``: the user has an entry in
    passwd and numbers for container users there, and no cgroup2 beside cgroup1, which crun refuses.
    """
    lines = []
    for number, place in enumerate((Path(sys.base_prefix), Path(sys.prefix))):
        closed = [parent for parent in place.parents if not parent.stat().st_mode & 0o001]
        if closed:
            stage, outermost = folder / f"stage{number}", closed[-1]
            lines += [f"mkdir {stage}", f"mount --bind {place} {stage}"]
            lines += [
                f"mount -t tmpfs -o mode=755 none {outermost}",
                f"mkdir -p {place}",
                f"mount --move {stage} {place}",
            ]
    rights = "--no-new-privs"
    if containers:
        files = {"passwd": f"stranger:x:{STRANGER}:{STRANGER}::{folder}/user:/bin/sh"}
        files |= dict.fromkeys(("subuid", "subgid"), f"stranger:{1 << 20}:65536")
        for name, text in files.items():
            (folder / name).write_text(f"{Path('/etc', name).read_text()}{text}\n")
            lines.append(f"mount --bind {folder}/{name} /etc/{name}")
        lines.append("{ umount /sys/fs/cgroup/unified 2>/dev/null || true; }")
        rights = ""  # newuidmap has some of its own
    script = " && ".join([*lines, f'exec setpriv --reuid "$0" --regid "$0" --clear-groups {rights} "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, str(STRANGER), *words]


def main(wall: str, folder: Path, warm: int, honest: int, names: Sequence[str]) -> None:
    """Run and print."""
    os.umask(0)
    if wall not in COMMANDS:  # podman waits for a process of its own that only init would reap
        traces.adopt_orphans()
    home, scratch = folder / "home", folder / "outside"
    (home / ".ssh").mkdir(parents=True)
    scratch.mkdir()
    (folder / "user").mkdir(mode=0o700)
    for path in (home / ".ssh" / "id_rsa", home / ".netrc"):
        path.write_text("HOME" + "CANARY")
    _targets(folder / "targets.h5")
    box = Sandbox(wall, wall == "bubblewrap", MEMORY, DISK, warm=("numpy",))
    found = Attacked(box.wall, "", os.geteuid())
    try:
        _honest(box, 1)
        for path in sorted((folder / "snippets").glob("*.py")):
            if not names or path.stem in names:
                _attack(box, path, folder, found)
                passed = _honest(box, honest)
                found.honest += passed
                if passed < honest:
                    found.harm.setdefault(path.stem, []).append("an honest answer fails after it")
        found.median_ms = _warm(box, warm)
        found.facts = box.facts
    finally:
        box.close()
    left = [traces.command(pid) for pid in traces.left(set())]
    if wall in COMMANDS:
        left += subprocess.run([wall, "ps", "-aq"], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run([wall, "system", "migrate"], capture_output=True, check=False)  # ends what podman leaves running
    if left:
        found.harm["at the end"] = [f"survivor {what}" for what in left]
    sys.stdout.write(json.dumps(asdict(found)))


def _attack(box: Sandbox, path: Path, folder: Path, found: Attacked) -> None:
    code, mark = path.read_text(), f"evalsuite-mark-{uuid.uuid4().hex}"
    places = {"@H5@": "targets.h5", "@SCRATCH@": "outside", "@HOME@": "home"}
    for word, place in places.items():
        code = code.replace(word, str(folder / place))
    code = code.replace("@MARK@", mark)
    expected = code.splitlines()[0].removeprefix("# expect: ")
    hangs = "# harm: hang" in code
    leaked = Halves(
        "__emit__(-1, lambda: printed.getvalue())",
        f"text = __take__(-1)\nassert any(word in text for word in {LEAKS})",
    )
    job = Job(IMPORTS, code, (*split(TESTS, IMPORTS), leaked), 1.5 if hangs else 12.0)
    before, files, state = set(descendants(os.getpid())), traces.files(folder), traces.own_state()
    with traces.listeners() as reached, traces.watched() as peak:
        began = time.monotonic()
        result = box.run(job, [*TARGETS, None])
        seconds = time.monotonic() - began
    harm = [f"reached {what}" for what in reached]
    harm += [f"survivor {traces.command(pid)}" for pid in traces.left(before | traces.trees(box))]
    harm += [f"changed {name}" for name in {name for name, _ in traces.files(folder) ^ files}]
    harm += [f"left {name}" for name in traces.marked(mark, folder)]
    harm += ["changed limits, priority or processors of evalsuite"] if traces.own_state() != state else []
    harm += ["leaked into its output"] if result.passed[2] else []
    harm += [f"memory {peak[0] >> 20} MiB"] if peak[0] > MEMORY + SLACK else []
    harm += ["hung"] if seconds > job.timeout + 60 else []
    found.endings[path.stem] = result.ending
    ran = result.why.startswith("test 3: ") or result.ending == "pass"
    verdict = "pass" if all(result.passed[:2]) and ran else "fail"
    if verdict != expected:
        found.wrong[path.stem] = f"{verdict}: {result.why}"
    if harm:
        found.harm[path.stem] = harm


def _honest(box: Sandbox, count: int) -> int:
    """How many of the first ``count`` honest jobs pass."""
    imports = "import numpy as np"
    return sum(
        box.run(Job(imports, answer, split([test], imports), 30.0), [target]).ok
        for answer, test, target in HONEST[:count]
    )


def _warm(box: Sandbox, count: int) -> float:
    job = Job("import numpy as np", _GOOD, split(TESTS, IMPORTS), 20.0)
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        box.run(job, TARGETS)
        spent.append(time.perf_counter() - began)
    return 1000 * statistics.median(spent)


def _targets(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for number, target in enumerate(TARGETS):
            file[f"test{number}"] = target
    path.chmod(0o644)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
