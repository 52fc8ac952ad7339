"""Jobs in a real sandbox of each tier: verdicts, limits, walls, faults."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.errors import BadInput
from evalsuite.sandbox.checker_process import SandboxFault
from evalsuite.sandbox.client import Job, Result, Sandbox, open_sandbox
from evalsuite.sandbox.isolation import ISOLATING, missing, room
from evalsuite.sandbox.split_tests import split

NUMPY = "import numpy as np"
SECRET = "CANARY-IN-THE-ENVIRONMENT"
DRAWN = random.Random(0).random()
STRONGEST = next((name for name in ISOLATING if not missing(name)), ISOLATING[0])
TIERS = [pytest.param(name, marks=() if name == STRONGEST else pytest.mark.slow) for name in ISOLATING]
"""Every tier holds the same tests; the first tier of the suite runs those of the tier that would be chosen here."""


@pytest.fixture(scope="module", params=TIERS)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if missing(request.param):
        pytest.skip(missing(request.param))
    os.environ["EVALSUITE_TEST_SECRET"] = SECRET
    opened = open_sandbox(request.param, memory=512 << 20, disk=32 << 20)
    yield opened
    opened.close()
    del os.environ["EVALSUITE_TEST_SECRET"]


def run(
    box: Sandbox,
    code: str,
    test: str = "assert f() == target",
    target: Any = 1,
    timeout: float = 20.0,
    imports: str = NUMPY,
) -> Result:
    return box.run(Job(imports, code, split([test], imports), timeout), [target])


def test_verdicts(box: Sandbox) -> None:
    assert run(box, "def f(): return 1").ok
    assert run(box, "def f(): return np.float64(1)").ok
    assert run(box, "def f(): return 2").ending == "wrong"
    assert run(box, "def f(): return 1 / 0").ending == "exception"
    assert run(box, "x = ").ending == "exception"
    assert run(box, "import os; os._exit(0)").ending == "no_result"
    assert run(box, "import ctypes; ctypes.string_at(0)").ending == "no_result"
    assert run(box, "def f(): return np.zeros(3)", "assert np.allclose(f(), target)", np.zeros(2)).ending == "wrong"


def test_limits(box: Sandbox) -> None:
    assert run(box, "while True: pass", timeout=0.5).ending == "timeout"
    many = "import os, time\nfor _ in range(8):\n    if os.fork() == 0: break\nkeep = np.ones(14 << 20); time.sleep(9)"
    assert run(box, many).ending == "memory"
    assert run(box, "def f(): return np.ones(9 << 20)").ending in ("output", "exception")
    files = (
        "import time\nfor i in range(4): open(str(i), 'wb').write(b'x' * (20 << 20))\ntime.sleep(9)\ndef f(): return 1"
    )
    assert run(box, files).ending in ("disk", "exception")


def test_a_comparison_that_would_take_all_memory_costs_the_answer_alone(box: Sandbox) -> None:
    column = run(box, "def f(): return np.ones((60000, 1))", "assert np.allclose(f(), target)", np.ones(60_000))
    assert column.ending == "wrong"
    assert run(box, "def f(): return 1").ok


LOOKS = """
import ctypes, os, socket
def tried(action):
    try:
        action()
    except (OSError, KeyError):
        return False
    return True
libc = ctypes.CDLL(None, use_errno=True)
def called(name, *values):
    return getattr(libc, name)(*values) >= 0
def f():
    return dict(
        passwd=tried(lambda: open('/etc/passwd').read()),
        home=tried(lambda: os.listdir(HOME)),
        tests=tried(lambda: os.listdir(TESTS)),
        parent=tried(lambda: open(f'/proc/{os.getppid()}/environ').read()),
        processes=tried(lambda: os.listdir('/proc/1')),
        secret=any(SECRET in text for text in os.environ.values()),
        root=os.getuid() == 0,
        inet=tried(lambda: socket.socket()),
        unix=tried(lambda: socket.socket(socket.AF_UNIX)),
        write_usr=tried(lambda: open('/usr/x', 'w')),
        write_tmp=tried(lambda: open('/tmp/x', 'w')),
        write_library=tried(lambda: open(np.__file__, 'a')),
        shared_memory=tried(lambda: open('/dev/shm/x', 'w')),
        unshare=called('unshare', 0x10000000),
        ptrace=called('ptrace', 16, os.getppid(), 0, 0),
        mount=called('mount', b'none', b'/tmp', b'tmpfs', 0, 0),
        memfd=called('memfd_create', b'x', 0),
        shmget=called('shmget', 0, 4096, 0o1600),
        signal=os.getppid() > 1 and tried(lambda: os.kill(os.getppid(), 0)),
        chroot=called('chroot', b'.'),
        setuid=called('setuid', 0),
        inherited=[n for n in range(3, 64) if tried(lambda: os.fstat(n)) and n not in keep],
    )
import resource
keep = [n for n in range(3, 64) if tried(lambda: os.write(n, b''))]
"""


def test_walls(box: Sandbox) -> None:
    home, tests = Path.home(), Path(__file__).parent
    code = f"HOME, TESTS, SECRET = {str(home)!r}, {str(tests)!r}, {SECRET!r}\n{LOOKS}"
    seen = run(box, code, "assert [name for name, found in f().items() if found] == target", [])
    assert seen.ok, run(box, f"{code}\ng = f\ndef f(): raise OSError(str(g()))").why


def test_one_job_leaves_nothing_for_the_next(box: Sandbox) -> None:
    run(box, "np.allclose = lambda *_: True\nimport builtins; builtins.len = lambda _: 7\nopen('left', 'w').write('x')")
    fresh = "import os\ndef f(): return [len([]), np.allclose(1, 2), os.listdir('.')]"
    assert run(box, fresh, target=[0, False, []]).ok


def test_files_are_gone_after_a_job(box: Sandbox) -> None:
    files = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w')\nos.symlink('/', 'l')\n"
    run(box, files + "os.chmod('a/b', 0)\nos.chmod('a', 0)")
    if box._scratch is not None:
        assert list(box._scratch.iterdir()) == []
    assert run(box, "import os\ndef f(): return os.listdir('.')", target=[]).ok


def test_jobs_run_side_by_side(box: Sandbox) -> None:
    """Seven that would never end do not keep the others waiting."""
    cancelled = threading.Event()
    endless = Job(NUMPY, "import time\ndef f():\n    time.sleep(10_000)", split(["assert f()"], NUMPY), 10_000.0)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(box.run, endless, [1], cancelled) for _ in range(7)]
        try:
            jobs = [pool.submit(run, box, f"def f(): return {number}", target=number) for number in range(8)]
            assert all(job.result().ok for job in jobs)
            assert not any(job.done() for job in waiting)
        finally:
            cancelled.set()
        for job in waiting:
            with pytest.raises(SandboxFault, match="given up"):
                job.result()


def test_faults_are_ours(box: Sandbox) -> None:
    with pytest.raises(SandboxFault, match="No module named 'no_such_library'"):
        run(box, "def f(): return 1", imports="import no_such_library")
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(SandboxFault, match="given up"):
        box.run(Job(NUMPY, "while True: pass", split(["assert f()"], NUMPY)), [1], cancelled)
    assert box._zygote is not None
    os.kill(box._zygote.pid, signal.SIGKILL)
    box._zygote.wait()
    assert run(box, "def f(): return 1").ok, "a new zygote takes the place of a dead one"


def test_a_lost_judge_is_replaced_and_never_a_verdict(box: Sandbox) -> None:
    assert run(box, "def f(): return 1").ok
    judge = box._judge._process
    assert judge is not None
    assert os.getsid(judge.pid) != os.getsid(0), "a Ctrl-C at the terminal does not reach it"
    judge.kill()
    assert run(box, "def f(): return 1").ok


def test_the_same_code_draws_the_same_numbers(box: Sandbox) -> None:
    seeded = np.random.RandomState(0).rand()
    assert run(box, "import random\ndef f(): return [random.random(), np.random.rand()]", target=[DRAWN, seeded]).ok


def test_old_names_of_the_libraries_are_there(box: Sandbox) -> None:
    imports = "import numpy as np\nfrom scipy.integrate import simps, trapz, cumtrapz"
    code = "def f(): return simps(np.ones(3)), trapz(np.ones(3)), cumtrapz(np.ones(3))[-1], np.trapz(np.ones(3))"
    assert run(box, code, "assert np.allclose(f(), target)", (2, 2, 2, 2), imports=imports).ok


def test_closing_ends_everything() -> None:
    if missing(STRONGEST):
        pytest.skip(missing(STRONGEST))
    opened = open_sandbox(STRONGEST)
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(run, opened, "while True: pass", timeout=100.0)
        time.sleep(0.5)
        opened.close()
        with pytest.raises(SandboxFault):
            endless.result(300)
    with pytest.raises(SandboxFault, match="closed"):
        run(opened, "def f(): return 1")


def test_no_isolation_is_never_chosen_for_anybody() -> None:
    """A child without bwrap in its PATH, and with no room for another Landlock layer (the kernel allows 16)."""
    if missing("landlock"):
        pytest.skip(missing("landlock"))
    script = """
from pathlib import Path
from evalsuite.errors import BadInput
from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.client import open_sandbox
lockdown.no_new_privileges()
for _ in range(16):
    lockdown.landlock([Path("/")], [Path("/")])
try:
    open_sandbox()
except BadInput as error:
    print(error)
box = open_sandbox("plain")
print(box.facts)
box.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PATH": ""})
    refused, plain = done.stdout.splitlines()
    assert refused.startswith("no sandbox for code that a model wrote works here (bubblewrap: bwrap is not installed")
    assert "landlock: " in refused
    assert "sandbox=plain runs such code without isolation" in refused
    assert plain == "plain: limits only"


ENDLESS = """
from evalsuite.sandbox.client import Job, open_sandbox
from evalsuite.sandbox.split_tests import split
box = open_sandbox(TIER)
job = Job("import numpy", "import os, time; os.fork(); time.sleep(1000)", split(["assert f()"], ""))
print("open", flush=True)
box.run(job, [1])
"""


@pytest.mark.parametrize("tier", TIERS)
def test_nothing_outlives_a_killed_run(tier: str) -> None:
    if missing(tier):
        pytest.skip(missing(tier))
    script = ENDLESS.replace("TIER", repr(tier))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "open\n"
            deadline = time.monotonic() + 300
            while len(family := below(running.pid)) < 5 and time.monotonic() < deadline:  # with two of the job
                time.sleep(0.05)
        finally:
            running.kill()
    assert len(family) >= 5
    while (left := [pid for pid in family if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert list(Path(tempfile.gettempdir()).glob(f"evalsuite-sandbox-{running.pid}-*")) == []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    except OSError:
        return False


def below(pid: int) -> set[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(entry.read_text().rpartition(")")[2].split()[1]), []).append(int(entry.parent.name))
    found, rest = set[int](), [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        found |= set(children)
        rest += children
    return found


@pytest.mark.parametrize(("namespaces", "chosen"), [(None, "bubblewrap"), (0, "landlock")])
def test_the_strongest_tier_that_works_is_chosen(namespaces: int | None, chosen: str) -> None:
    """In a user namespace of our own, with and without room for further ones."""
    if missing(chosen):
        pytest.skip(missing(chosen))
    script = "from evalsuite.sandbox.client import open_sandbox as o; b = o(); print(b.tier, b.facts); b.close()"
    limit = "" if namespaces is None else f"echo {namespaces} > /proc/sys/user/max_user_namespaces && "
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", f'{limit}exec "$0" "$@"']
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace of our own can be had here")
    done = subprocess.run([*words, sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{chosen} {chosen}: ")


def test_a_wrong_tier_is_named() -> None:
    with pytest.raises(BadInput, match="unknown sandbox tier 'bublewrap'; did you mean 'bubblewrap'"):
        open_sandbox("bublewrap")


def test_verdict_arrays_survive_the_way(box: Sandbox) -> None:
    target = np.random.default_rng(1).normal(size=(200, 300))
    code = "def f(): return np.random.default_rng(1).normal(size=(200, 300))"
    assert run(box, code, "assert (f() == target).all()", target).ok


def test_temporary_files_never_cover_the_libraries() -> None:
    assert room([Path("/usr"), Path("/home/me/venv/lib")]) == "/tmp"
    assert room([Path("/usr"), Path("/tmp/clone/.venv/lib")]) == "/evalsuite-jobs"
