"""The sandbox against snippets that are honest, clumsy or hostile; harm is looked for from outside.

``python -m figures.sandbox TIER FOLDER [NAME ...]`` runs the snippets of ``FOLDER/snippets`` as whoever calls it
and prints one JSON object; ``attacked`` calls it as root or as an ordinary user.
"""

import ctypes
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.sandbox.client import Job, Sandbox, open_sandbox
from evalsuite.sandbox.isolation import NOBODY
from evalsuite.sandbox.split_tests import Halves, split

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


@dataclass(slots=True)
class Attacked:
    """One tier under all snippets."""

    tier: str
    facts: str
    uid: int
    endings: dict[str, str] = field(default_factory=dict)
    """Snippet -> how the sandbox says it ended."""
    wrong: dict[str, str] = field(default_factory=dict)
    """Snippets whose verdict is not the one that their header states."""
    harm: dict[str, list[str]] = field(default_factory=dict)
    """Snippets that did what must not happen."""
    median_ms: float = 0.0
    """Wall time of a warm test: job sent, run, judged."""


def attacked(snippets: Path, tier: str, *, ordinary: bool, names: Sequence[str] = (), warm: int = 20) -> Attacked:
    """All snippets (or those ``names``) on one tier, as this user or as an ordinary one (needs root)."""
    folder = Path(tempfile.mkdtemp(prefix="evalsuite-attacks-", dir="/var/tmp"))
    try:
        shutil.copytree(snippets, folder / "snippets")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        folder.chmod(0o777)
        words = [sys.executable, "-B", "-m", "figures.sandbox", tier, str(folder), str(warm), *names]
        words = as_ordinary_user(words, folder) if ordinary else words
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "API_KEY": "SECRETENV" + "CANARY"}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-2000:])
        return Attacked(**json.loads(done.stdout))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_ordinary_user(words: Sequence[str], folder: Path) -> list[str]:
    """A command line that runs ``words`` as an ordinary user; an interpreter in root's home is made reachable.

    The latter in a mount namespace of its own: nothing of it is seen outside.
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
    script = " && ".join([*lines, 'exec setpriv --reuid "$0" --regid "$0" --clear-groups --no-new-privs "$@"'])
    return ["unshare", "--mount", "sh", "-c", script, str(STRANGER), *words]


def main(tier: str, folder: Path, warm: int, names: Sequence[str]) -> None:
    """Run and print."""
    os.umask(0)
    _adopt_orphans()
    home, scratch = folder / "home", folder / "outside"
    (home / ".ssh").mkdir(parents=True)
    scratch.mkdir()
    for path in (home / ".ssh" / "id_rsa", home / ".netrc"):
        path.write_text("HOME" + "CANARY")
    _targets(folder / "targets.h5")
    box = open_sandbox(tier, memory=MEMORY, disk=DISK)
    found = Attacked(box.tier, box.facts, os.geteuid())
    try:
        for path in sorted((folder / "snippets").glob("*.py")):
            if not names or path.stem in names:
                _attack(box, path, folder, found)
        found.median_ms = _warm(box, warm)
    finally:
        box.close()
    sys.stdout.write(json.dumps(asdict(found)))


def _attack(box: Sandbox, path: Path, folder: Path, found: Attacked) -> None:
    code = path.read_text()
    for word, place in (("@H5@", "targets.h5"), ("@SCRATCH@", "outside"), ("@HOME@", "home")):
        code = code.replace(word, str(folder / place))
    said = code.splitlines()[0].removeprefix("# expect: ")
    hangs = "# harm: hang" in code
    leaked = Halves(
        "__emit__(-1, lambda: printed.getvalue())",
        f"text = __take__(-1)\nassert any(word in text for word in {LEAKS})",
    )
    job = Job(IMPORTS, code, (*split(TESTS, IMPORTS), leaked), 1.5 if hangs else 20.0)
    before, files = _processes(), _files(folder)
    with _listeners() as reached, _watched(box) as peak:
        began = time.monotonic()
        result = box.run(job, [*TARGETS, None])
        seconds = time.monotonic() - began
    harm = [f"reached {what}" for what in reached]
    harm += [f"survivor {pid}" for pid in _survivors(before)]
    harm += [f"wrote {name}" for name in _files(folder) ^ files]
    harm += ["leaked into its output"] if result.passed[2] else []
    harm += [f"memory {peak['memory'] >> 20} MiB"] if peak["memory"] > MEMORY + SLACK else []
    harm += [f"disk {peak['disk'] >> 20} MiB"] if peak["disk"] > 4 * DISK else []
    harm += ["hung"] if seconds > job.timeout + 10 else []
    if not box.run(Job("import numpy as np", _HONEST, split(TESTS, IMPORTS), 20.0), TARGETS).ok:
        harm.append("an honest answer fails after it")
    found.endings[path.stem] = result.ending
    verdict = "pass" if all(result.passed[:2]) and result.why.startswith("test 3: ") else "fail"
    if verdict != said:
        found.wrong[path.stem] = f"{verdict}: {result.why}"
    if harm:
        found.harm[path.stem] = harm


_HONEST = "def f(x): return x * x\ndef g(n): return n**2, n**3"


def _warm(box: Sandbox, count: int) -> float:
    job = Job("import numpy as np", _HONEST, split(TESTS, IMPORTS), 20.0)
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


def _survivors(before: set[int]) -> set[int]:
    """Processes that were not there before and are alive; the job's supervisor has a moment to leave."""
    deadline = time.monotonic() + 2
    while left := {pid for pid in _processes() - before if _state(pid) not in ("", "Z")}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return left


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def _processes() -> set[int]:
    """Descendants of this process that run untrusted code; those of other sandboxes on this machine do not count."""
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    below, queue = set(), [os.getpid()]
    while queue:
        queue.extend(started := children.pop(queue.pop(), []))
        below.update(started)
    return {pid for pid in below if _owner(pid) == uid}


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def _owner(pid: int) -> int:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return -1


def _adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent ends (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _files(folder: Path) -> set[str]:
    site_packages = Path(np.__file__).parents[1]
    poisoned = [path for path in (site_packages / "pwned.pth",) if path.exists()]
    return {str(path) for place in (folder / "home", folder / "outside") for path in place.rglob("*")} | {
        str(path) for path in poisoned
    }


@contextmanager
def _listeners() -> Iterator[set[str]]:
    """Names of the listening sockets that somebody reached."""
    reached: set[str] = set()
    stream, datagram = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    abstract = socket.socket(socket.AF_UNIX)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with stream, datagram, abstract:
        stream.bind(("127.0.0.1", 45871))
        datagram.bind(("127.0.0.1", 45872))
        abstract.bind("\0relcanary")
        stream.listen()
        abstract.listen()
        yield reached
        for name, one in (("TCP", stream), ("UDP", datagram), ("an abstract socket", abstract)):
            one.setblocking(False)
            try:
                one.recv(1) if one is datagram else one.accept()[0].close()
                reached.add(name)
            except BlockingIOError:
                continue


@contextmanager
def _watched(box: Sandbox) -> Iterator[dict[str, int]]:
    """Peaks of the memory and, where it can be seen, of the files of untrusted processes."""
    peak = {"memory": 0, "disk": 0}
    over = threading.Event()
    zygote = _processes()

    def look() -> None:
        while not over.wait(0.02):
            peak["memory"] = max(peak["memory"], sum(_resident(pid) for pid in _processes() - zygote))
            if box._scratch is not None:
                done = subprocess.run(["du", "-sk", box._scratch], capture_output=True, text=True, check=False)
                peak["disk"] = max(peak["disk"], int((done.stdout.split() or ["0"])[0]) << 10)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


def _resident(pid: int) -> int:
    """Bytes of memory of its own (what it shares with the zygote is not counted twice)."""
    try:
        parts: list[Any] = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(parts[1]) - int(parts[2])) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
