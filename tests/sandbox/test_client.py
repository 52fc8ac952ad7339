"""Jobs in real sandboxes: verdicts, limits, walls, faults."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalsuite.errors import BadInput
from evalsuite.sandbox.checker_process import SandboxFault
from evalsuite.sandbox.client import Job, Result, Sandbox, open_sandbox
from evalsuite.sandbox.isolation import Wall, missing, room
from evalsuite.sandbox.split_tests import split
from evalsuite.sandbox.zygote_process import NotStarted, start

NUMPY = "import numpy as np"
SECRET = "CANARY-IN-THE-ENVIRONMENT"
DRAWN = random.Random(0).random()
pytestmark = pytest.mark.skipif(bool(missing("bubblewrap")), reason=missing("bubblewrap") or "-")
MODES = [pytest.param(True, id="nested"), pytest.param(False, id="single", marks=pytest.mark.slow)]
"""Jobs that share a zygote in namespaces of their own, and jobs with a zygote each."""


@pytest.fixture(scope="module", params=MODES)
def each(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with opened(request.param) as box:
        yield box


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with opened(nested=True, warm=("numpy", "sympy")) as made:
        yield made


@contextlib.contextmanager
def opened(nested: bool, warm: Sequence[str] = ("numpy",)) -> Iterator[Sandbox]:
    os.environ["EVALSUITE_TEST_SECRET"] = SECRET
    made = Sandbox("bubblewrap", nested, memory=512 << 20, disk=32 << 20, warm=warm)
    try:
        yield made
    finally:
        made.close()
        os.environ.pop("EVALSUITE_TEST_SECRET", None)


def run(
    box: Sandbox,
    code: str,
    test: str = "assert f() == target",
    target: Any = 1,
    timeout: float = 20.0,
    imports: str = NUMPY,
) -> Result:
    return box.run(Job(imports, code, split([test], imports), timeout), [target])


def test_verdicts(each: Sandbox) -> None:
    assert run(each, "def f(): return 1").ok
    assert run(each, "def f(): return np.float64(1)").ok
    assert run(each, "def f(): return 2").ending == "wrong"
    assert run(each, "def f(): return 1 / 0").ending == "exception"
    assert run(each, "x = ").ending == "exception"
    assert run(each, "import os; os._exit(0)").ending == "no_result"
    assert run(each, "import ctypes; ctypes.string_at(0)").ending == "no_result"
    assert run(each, "def f(): return np.zeros(3)", "assert np.allclose(f(), target)", np.zeros(2)).ending == "wrong"


def test_limits(each: Sandbox) -> None:
    assert run(each, "while True: pass", timeout=0.5).ending == "timeout"
    many = "import os, time\nfor _ in range(8):\n    if os.fork() == 0: break\nkeep = np.ones(14 << 20); time.sleep(9)"
    assert run(each, many).ending == "memory"
    assert run(each, "def f(): return np.ones(9 << 20)").ending in ("output", "exception")
    files = (
        "import time\nfor i in range(4): open(str(i), 'wb').write(b'x' * (20 << 20))\ntime.sleep(9)\ndef f(): return 1"
    )
    assert run(each, files).ending == "exception"
    unnamed = """
import os
held = []
for i in range(4):
    held.append(open('x', 'wb', 0))
    os.unlink('x')
    held[-1].write(b'x' * (20 << 20))
    os.fsync(held[-1])
def f(): return sum(os.fstat(file.fileno()).st_size for file in held)
"""
    assert not run(each, unnamed, target=80 << 20).ok, "files without a name count as well"


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
        home=tried(lambda: open(OUTSIDE)),
        tests=tried(lambda: os.listdir(TESTS)),
        parent=tried(lambda: open(f'/proc/{os.getppid()}/environ').read()),
        first=tried(lambda: open('/proc/1/mem', 'rb')),
        parent_memory=tried(lambda: open(f'/proc/{os.getppid()}/mem', 'rb')),
        limits=libc.prlimit(os.getppid(), 7, None, ctypes.create_string_buffer(16)) >= 0 and os.getppid() > 1,
        priority=tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, 5)),
        scheduling=tried(lambda: os.sched_setaffinity(os.getppid() or 1, {0})),
        secret=any(SECRET in text for text in os.environ.values()),
        root=os.getuid() == 0,
        inet=tried(lambda: socket.socket()),
        unix=tried(lambda: socket.socket(socket.AF_UNIX)),
        write_usr=tried(lambda: open('/usr/x', 'w')),
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


def test_walls(each: Sandbox, tmp_path: Path) -> None:
    outside, tests = tmp_path / "file", Path(__file__).parent
    outside.write_text("private")
    code = f"OUTSIDE, TESTS, SECRET = {str(outside)!r}, {str(tests)!r}, {SECRET!r}\n{LOOKS}"
    seen = run(each, code, "assert [name for name, found in f().items() if found] == target", [])
    assert seen.ok, run(each, f"{code}\ng = f\ndef f(): raise OSError(str(g()))").why


def test_one_job_leaves_nothing_for_the_next(each: Sandbox) -> None:
    run(
        each, "np.allclose = lambda *_: True\nimport builtins; builtins.len = lambda _: 7\nopen('left', 'w').write('x')"
    )
    fresh = "import os\ndef f(): return [len([]), np.allclose(1, 2), os.listdir('.')]"
    assert run(each, fresh, target=[0, False, []]).ok


def test_files_are_gone_after_a_job(box: Sandbox) -> None:
    files = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w')\nos.symlink('/', 'l')\n"
    run(box, files + "os.chmod('a/b', 0)\nos.chmod('a', 0)")
    assert run(box, "import os\ndef f(): return os.listdir('.')", target=[]).ok


def test_a_zygote_whose_job_was_killed_is_not_used_again() -> None:
    with opened(nested=True) as box:
        run(box, "def f(): return 1")
        before = box._next
        assert run(box, "def f(): return 2").ending == "wrong"
        assert box._next is before, "a wrong answer is no reason"
        endings = []
        for code in ("import ctypes; ctypes.string_at(0)", "import os; os._exit(3)", "while True: pass"):
            run(box, "def f(): return 1")
            used = box._next
            assert used is not None
            endings.append(run(box, code, timeout=0.5).ending)
            assert box._next is None
            assert not used.alive
        assert endings == ["no_result", "no_result", "timeout"]
        assert run(box, "def f(): return 1").ok


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


def test_faults_are_ours(each: Sandbox) -> None:
    with pytest.raises(SandboxFault, match="No module named 'no_such_library'"):
        run(each, "def f(): return 1", imports="import no_such_library")
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(SandboxFault, match="given up"):
        each.run(Job(NUMPY, "while True: pass", split(["assert f()"], NUMPY)), [1], cancelled)
    assert run(each, "def f(): return 1").ok
    assert each._next is not None
    each._next.process.kill()
    each._next.process.wait()
    assert run(each, "def f(): return 1").ok, "a new zygote takes the place of a dead one"


def test_a_lost_judge_is_replaced_and_never_a_verdict(box: Sandbox) -> None:
    assert run(box, "def f(): return 1").ok
    judge = box._checker._process
    assert judge is not None
    assert os.getsid(judge.pid) != os.getsid(0), "a Ctrl-C at the terminal does not reach it"
    judge.kill()
    assert run(box, "def f(): return 1").ok


SYMPY = "import numpy as np\nimport sympy as sp"


def test_no_text_of_an_answer_is_parsed_outside(box: Sandbox) -> None:
    """The checker would end, were it run."""
    evil = "def f(n): return '__import__(\"os\")._exit(3)'"
    for test in ("sp.simplify(f(3)) == target", "sp.Matrix([f(3)]) == target", "sp.N(f(3)) == target"):
        assert run(box, evil, f"assert {test}", 9, imports=SYMPY).ending == "wrong"
    square = "x = sp.Symbol('x')\ndef f(n): return x**n + 1"
    for test in ("sp.expand(f(2)) == sp.sympify('x**2 + 1')", "sp.sympify(target) == f(2)", "f(2).subs('x', 2) == 5"):
        assert run(box, square, f"assert {test}", "x**2 + 1", imports=SYMPY).ok, test
    text = "def f(n): return 'x**2 + 1'"
    assert run(box, text, "assert sp.sympify(f(3)) == sp.sympify(target)", "x**2 + 1", imports=SYMPY).ok
    assert run(box, square, "assert sp.lambdify(x, f(2))(3) == target", 10, imports=SYMPY).ok


@pytest.mark.parametrize(
    ("value", "test", "target", "passes"),
    [
        ("np.empty((0, 1))", "np.allclose(f(), target)", np.ones(3), False),
        ("[]", "np.allclose(f(), target)", 3.0, False),
        ("[]", "all(np.allclose(p, q) for p, q in zip(f(), target))", [1.0], False),
        ("(np.empty((0, 1)), 2.0)", "same(f(), target)", (np.ones(2), 2.0), False),
        ("(np.ones(2), np.empty((0, 1)))", "same(f(), target)", (np.empty(0), np.ones(2)), False),
        ("''", "f() in target", "text", False),
        ("np.empty((0, 1))", "np.allclose(f(), 3)", 3, False),
        ("np.empty(0)", "np.allclose(f(), target)", np.empty(0), True),
        ("([], 1.0)", "f() == target", ([], 1.0), True),
        ("[]", "len(f()) == target", 0, True),
        ("[]", "f() == []", 1, True),
    ],
)
def test_an_empty_value_is_wrong_where_the_target_is_not_empty(
    box: Sandbox, value: str, test: str, target: Any, passes: bool
) -> None:
    imports = "from scicode.compare.cmp import cmp_tuple_or_list as same\n"
    assert run(box, f"def f(): return {value}", f"{imports}assert {test}", target).ok == passes


def test_the_same_code_draws_the_same_numbers(box: Sandbox) -> None:
    seeded = np.random.RandomState(0).rand()
    assert run(box, "import random\ndef f(): return [random.random(), np.random.rand()]", target=[DRAWN, seeded]).ok


def test_old_names_of_the_libraries_are_there(box: Sandbox) -> None:
    imports = "import numpy as np\nfrom scipy.integrate import simps, trapz, cumtrapz"
    code = "def f(): return simps(np.ones(3)), trapz(np.ones(3)), cumtrapz(np.ones(3))[-1], np.trapz(np.ones(3))"
    assert run(box, code, "assert np.allclose(f(), target)", (2, 2, 2, 2), imports=imports).ok


def test_closing_ends_everything() -> None:
    opened = open_sandbox("bubblewrap")
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(run, opened, "while True: pass", timeout=100.0)
        time.sleep(0.5)
        opened.close()
        with pytest.raises(SandboxFault):
            endless.result(300)
    with pytest.raises(SandboxFault, match="closed"):
        run(opened, "def f(): return 1")


def test_a_zygote_that_was_ended_before_it_was_ready_has_not_started() -> None:
    zygote = start(Wall("bubblewrap", "", ("/bin/true",), {}, nested=True))
    zygote.end()
    with pytest.raises(NotStarted, match="it was ended"):
        zygote.wait_ready()


def test_without_a_wall_the_package_is_named() -> None:
    """A child whose PATH holds neither bwrap nor a container command."""
    script = """
from evalsuite.sandbox.client import NoWall, open_sandbox
try:
    open_sandbox()
except NoWall as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=_environment("")
    )
    assert done.stdout.startswith(
        "no sandbox for code that a model wrote works here (bubblewrap: bwrap is not installed"
    )
    assert "apt-get install bubblewrap, or conda install -c conda-forge bubblewrap" in done.stdout


def _environment(path: str) -> dict[str, str]:
    return {"PATH": path, **{name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}}


ENDLESS = """
from evalsuite.sandbox.client import Job, Sandbox
from evalsuite.sandbox.split_tests import split
box = Sandbox("bubblewrap", NESTED, warm=("numpy",))
job = Job("import numpy", "import os, time; os.fork(); time.sleep(1000)", split(["assert f()"], ""))
print("open", flush=True)
box.run(job, [1])
"""


@pytest.mark.parametrize("nested", MODES)
def test_nothing_outlives_a_killed_run(nested: bool) -> None:
    script = ENDLESS.replace("NESTED", repr(nested))
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


@pytest.mark.slow
@pytest.mark.parametrize("namespaces", [None, 0], ids=["further ones allowed", "no further ones"])
def test_bubblewrap_holds_with_and_without_further_namespaces(namespaces: int | None) -> None:
    """In a user namespace of our own: where jobs cannot have their own, each gets a zygote."""
    limit = "" if namespaces is None else "echo 1 > /proc/sys/user/max_pid_namespaces && "
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", f'{limit}exec "$0" "$@"']
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace of our own can be had here")
    script = "from evalsuite.sandbox.client import open_sandbox as o; b = o(); print(b.nested, b.facts); b.close()"
    done = subprocess.run([*words, sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{namespaces is None} bubblewrap: ")


@pytest.mark.slow
def test_an_interpreter_behind_symbolic_links_is_found(tmp_path: Path) -> None:
    """A virtual environment that is a link, whose interpreter is a link to a link, below another link."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "python").symlink_to(sys.executable)
    (tmp_path / "place").symlink_to(tmp_path / "hidden")
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(tmp_path / "place" / "python")
    (environment / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    library = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    (environment / library).mkdir(parents=True)
    (environment / library / "site-packages").symlink_to(sysconfig.get_path("purelib"))
    (tmp_path / ".venv").symlink_to(environment)
    script = "import sys; from evalsuite.sandbox.client import open_sandbox as o; b = o(); print(sys.prefix); b.close()"
    python = str(tmp_path / ".venv" / "bin" / "python")
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/.venv\n"


def test_a_wrong_name_and_a_former_one_are_named() -> None:
    with pytest.raises(BadInput, match="unknown sandbox 'bublewrap'; did you mean 'bubblewrap'"):
        open_sandbox("bublewrap")
    with pytest.raises(BadInput, match="sandbox=plain held too little and is gone: sandbox=auto"):
        open_sandbox("plain")


def test_verdict_arrays_survive_the_way(box: Sandbox) -> None:
    target = np.random.default_rng(1).normal(size=(200, 300))
    code = "def f(): return np.random.default_rng(1).normal(size=(200, 300))"
    assert run(box, code, "assert (f() == target).all()", target).ok


def test_temporary_files_never_cover_the_libraries() -> None:
    assert room([Path("/usr"), Path("/home/me/venv/lib")]) == "/tmp"
    assert room([Path("/usr"), Path("/tmp/clone/.venv/lib")]) == "/evalsuite-jobs"
