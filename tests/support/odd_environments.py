"""Shells in which a run starts now and then: proxies, certificates, keys, locales, limits, clocks, homes.

Each is tried with a real ``evalsuite run`` in a process of its own against a real server. The values of secrets are
made up, and none of them may appear in what the command prints or writes.
"""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from evalsuite.errors import Exit
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

ELSEWHERE = "http://models.example:8000/v1"
"""An endpoint that is not this machine; no name server knows it."""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""Debian's package ``libfaketime``, which gives one process another clock."""
SECRET = "made-up-secret-1f4c"
ITEMS = 6


@dataclass(frozen=True, slots=True)
class Place:
    """What an environment may refer to."""

    folder: Path
    server: Server
    closed_port: int
    """Where nothing listens."""


@dataclass(frozen=True, slots=True)
class OddEnvironment:
    """One shell and what a run in it must come to."""

    what: str
    change: Callable[[Place], Mapping[str, str | None]]
    """Variables to set; None: to remove."""
    code: Exit = Exit.DONE
    line: str = ""
    """Part of the one line that names the cause; empty: the run is normal and says nothing of it."""
    words: tuple[str, ...] = ()
    """Further arguments of the command."""
    elsewhere: bool = False
    """The endpoint is not on this machine."""
    files: int | None = None
    """Hard limit of open files."""
    items: int = ITEMS

    @property
    def possible(self) -> bool:
        """Whether it can be made on this machine."""
        return "clock" not in self.what or FAKETIME is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run in an odd shell came to."""

    code: int
    lines: tuple[str, ...]
    """Of standard error."""
    output: str
    """Standard output and error, and every file that was written."""
    key: str
    """The authorization that the server saw last."""


def _clock(when: str) -> Callable[[Place], Mapping[str, str | None]]:
    return lambda _: {"LD_PRELOAD": str(FAKETIME), "FAKETIME": when, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def _certificate(place: Place) -> Mapping[str, str | None]:
    path = place.folder / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}


def _no_certificate(place: Place) -> Mapping[str, str | None]:
    path = place.folder / "torn.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n", encoding="utf-8")
    return {"SSL_CERT_FILE": str(path)}


ENVIRONMENTS: tuple[OddEnvironment, ...] = (
    OddEnvironment("SOCKS proxy, endpoint here", lambda _: {"ALL_PROXY": "socks://127.0.0.1:7891/"}),
    OddEnvironment(
        "SOCKS proxy, endpoint elsewhere",
        lambda _: {"ALL_PROXY": f"socks5://user:{SECRET}@127.0.0.1:7891/"},
        Exit.BAD_INPUT,
        "ALL_PROXY=socks5://***@127.0.0.1:7891/ cannot be used on the way to models.example",
        elsewhere=True,
    ),
    OddEnvironment("dead proxy, endpoint here", lambda place: {"http_proxy": f"http://127.0.0.1:{place.closed_port}"}),
    OddEnvironment(
        "dead proxy, endpoint elsewhere",
        lambda place: {"HTTP_PROXY": f"http://user:{SECRET}@127.0.0.1:{place.closed_port}"},
        Exit.ENDPOINT,
        "the proxy HTTP_PROXY=http://***@127.0.0.1:",
        elsewhere=True,
    ),
    OddEnvironment(
        "proxy that works, endpoint elsewhere",
        lambda place: {"HTTP_PROXY": place.server.base_url.removesuffix("/v1"), "NO_PROXY": "localhost,other.example"},
        elsewhere=True,
    ),
    OddEnvironment(
        "proxy without a scheme", lambda place: {"HTTP_PROXY": f"localhost:{place.closed_port}", "NO_PROXY": "*"}
    ),
    OddEnvironment("certificate file that is gone", lambda _: {"SSL_CERT_FILE": "/nowhere/gone.pem"}),
    OddEnvironment(
        "certificate file that is gone, https",
        lambda _: {"SSL_CERT_FILE": "/nowhere/gone.pem", "SSL_CERT_DIR": "/nowhere"},
        Exit.ENDPOINT,
        "SSL_CERT_FILE=/nowhere/gone.pem does not exist and is ignored",
        ("models.fp8.base_url=https://127.0.0.1:1/v1",),
    ),
    OddEnvironment(
        "certificate file that is torn, https",
        _no_certificate,
        Exit.BAD_INPUT,
        "cannot be read as certificates",
        ("models.fp8.base_url=https://127.0.0.1:1/v1",),
    ),
    OddEnvironment(
        "own authority, https on a plain port",
        _certificate,
        Exit.ENDPOINT,
        "",
        ("models.fp8.base_url=https://127.0.0.1:1/v1",),
    ),
    OddEnvironment("key with a line break", lambda _: {"EVALSUITE_API_KEY": f" {SECRET}\r\n"}),
    OddEnvironment(
        "key with a typographic hyphen",
        lambda _: {"EVALSUITE_API_KEY": SECRET.replace("-", "\u2011")},
        Exit.BAD_INPUT,
        "$EVALSUITE_API_KEY holds NON-BREAKING HYPHEN inside the key",
    ),
    OddEnvironment(
        "two keys in one variable",
        lambda _: {"EVALSUITE_API_KEY": f"{SECRET}\n{SECRET}"},
        Exit.BAD_INPUT,
        "$EVALSUITE_API_KEY holds a line break inside the key",
    ),
    OddEnvironment(
        "ASCII output",
        lambda _: {"PYTHONIOENCODING": "ascii"},
        words=('models.fp8.title="Pr\u00e4zision \u7cbe\u5ea6"', "report=true"),
    ),
    OddEnvironment(
        "ASCII locale",
        lambda _: {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        words=("report=true",),
    ),
    OddEnvironment(
        "64 open files, 128 requests at a time",
        lambda _: {},
        Exit.DONE,
        "this shell allows 64 open files (ulimit -n)",
        ("models.fp8.concurrency=128",),
        files=64,
        items=150,
    ),
    OddEnvironment("clock in 1990", _clock("@1990-01-01 00:00:00")),
    OddEnvironment("clock in 2090", _clock("@2090-01-01 00:00:00")),
    OddEnvironment("HOME unset", lambda _: {"HOME": None}),
    OddEnvironment("HOME that cannot be written", lambda _: {"HOME": "/proc"}, words=("report=true",)),
    OddEnvironment("HOME and TMPDIR that do not exist", lambda _: {"HOME": "/nowhere", "TMPDIR": "/nowhere"}),
    OddEnvironment(
        "results on what is no folder", lambda _: {}, Exit.STORAGE, "/dev/null", ("results_dir=/dev/null/results",)
    ),
)


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """A server that answers everything, and a port where none does."""
    with scripted_endpoint(lambda _: Answer("The answer is 4", reasoning="2 + 2", delay=0.2)) as server:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        yield Place(folder, server, port)


def outcome(odd: OddEnvironment, here: Place) -> Outcome:
    """Run once in the shell ``odd``."""
    names = ("PROXY", "SSL_CERT", "EVALSUITE_")
    environment = {name: value for name, value in os.environ.items() if not any(part in name.upper() for part in names)}
    for name, value in odd.change(here).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    results = here.folder / "results"
    words = _words(odd, ELSEWHERE if odd.elsewhere else here.server.base_url, results)
    seen = len(here.server.requests)
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite", "run", *words],
        cwd=here.folder,
        env=environment,
        capture_output=True,
        check=False,
        timeout=200,
        preexec_fn=None if odd.files is None else _limit(odd.files),
    )
    printed = (done.stdout + done.stderr).decode("utf-8", "replace")
    written = "".join(path.read_text("utf-8", "replace") for path in results.rglob("*") if path.is_file())
    last = here.server.requests[-1].headers if len(here.server.requests) > seen else {}
    lines = tuple(done.stderr.decode("utf-8", "replace").splitlines())
    return Outcome(done.returncode, lines, printed + written, last.get("Authorization", ""))


def as_promised(odd: OddEnvironment, found: Outcome) -> str:
    """Why a run did not come to what it must; empty if it did."""
    if found.code != odd.code:
        return f"exit {found.code}, not {int(odd.code)}: {' | '.join(found.lines[-3:])}"
    if "Traceback" in found.output or "internal error" in found.output:
        return "a traceback"
    if SECRET in found.output or SECRET.replace("-", "\u2011") in found.output:
        return "a secret was shown"
    naming = [line for line in found.lines if odd.line and odd.line in line]
    if odd.line and len(naming) != 1:
        return f"{len(naming)} lines name the cause: {' | '.join(found.lines[-3:])}"
    return ""


def _words(odd: OddEnvironment, url: str, results: Path) -> Sequence[str]:
    words = ["model=fp8", "task=word_problems", "sampling=greedy", f"limit={odd.items}", f"models.fp8.base_url={url}"]
    words += ["models.fp8.expect={}", "run_id=r", "report=false", "engine.fingerprint=false", f"results_dir={results}"]
    words += ["engine.connect_seconds=2", "engine.outage_seconds=1", "engine.retries=1", "engine.backoff_seconds=0.05"]
    given = {word.partition("=")[0] for word in odd.words}
    return [*(word for word in words if word.partition("=")[0] not in given), *odd.words]


def _limit(files: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
