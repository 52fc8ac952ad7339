"""A reader's shell for one page: a folder of its own, the page's servers, and stand-ins for what is not evalsuite's.

``evalsuite`` is the real command and ``python3`` the real Python. ``sglang``, ``vllm``, ``sbatch``, ``ray`` and what
installs or logs in are programs of ``shims`` in front of PATH; host names lead to servers of this process.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import yaml

from evalsuite.config.compose import load_settings
from evalsuite.config.settings import DEMO
from tests.support import made_hub, shims
from tests.support.informed_server import informed
from tests.support.pages import Command, PageFile, Step

ROOT = Path(__file__).parents[2]
SHIMS = Path(shims.__file__).parent
COLUMNS = 120
SECONDS = 3000
"""Most that one command may take."""
ASIDE = ("pip", "huggingface-cli", "jupyter", "docker", "make")
"""Programs that are noted and end with 0."""
_URL = re.compile(r"\b(EVALSUITE_(\w+)_URL)=https?://([\w.-]+:\d+)/v1")
_GIVEN = re.compile(r"base_url=https?://([\w.-]+:\d+)/v1")
"""The address of a server that a page's command names, and no file of the page."""
_CHECKPOINTS = ("fp8", "nvfp4_v2", "nvfp4", "bf16")
_END = "page-command-ended"


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages share: a checkout whose cards pin made data, and the hub's cache with that data."""

    checkout: Path
    cache: Path
    targets: Path
    """SciCode's file that is downloaded by hand."""
    kept: Path
    """What commands of ``suite=demo``, which need no server, left: another page that gives one in the same state, byte
    by byte, gets this instead of a minute's computation."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One command that was given."""

    command: Command
    code: int
    shown: str
    """Standard output, then standard error."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Lines that the page shows and the command did not print; runs of blanks are one."""
        printed = {" ".join(line.split()) for line in self.shown.splitlines()}
        return tuple(line for line in self.command.output if " ".join(line.split()) not in printed)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Lay the checkout and the data below ``folder``, and serve what does not come from the hub."""
    checkout, files = folder / "checkout", folder / "files"
    for name in ("evalsuite", "conf", "tasks", "examples", "notebooks"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    files.mkdir()
    handler = partial(_Quiet, directory=str(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made_hub.publish(checkout / "tasks", folder / "hub", f"http://127.0.0.1:{server.server_address[1]}", files)
        made_hub.targets(folder / "test_data.h5")
        yield Site(checkout, folder / "hub", folder / "test_data.h5", folder / "kept")
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def execute(steps: Sequence[Step], folder: Path, shared: Site) -> Iterator[Ended]:
    """Write the page's files and give its commands, one after the other, in one shell in ``folder``."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copy(shared.targets, home / "test_data.h5")
    work = folder / "work"
    work.mkdir()
    for name in ("examples", "notebooks"):
        (work / name).symlink_to(shared.checkout / name)
    made_hub.lm_eval_log(work / "samples_gsm8k_2026-11-20.jsonl", 1319)
    made_hub.nemo_skills_outputs(work, 1319)
    with ExitStack() as stack:
        environment = _environment(folder, shared, steps, stack)
        shell = stack.enter_context(_bash(work, environment, folder / "shell.log"))
        for number, step in enumerate(steps):
            if isinstance(step, PageFile):
                (work / step.path).parent.mkdir(parents=True, exist_ok=True)
                (work / step.path).write_text(step.text, encoding="utf-8")
            elif "suite=demo" in step.text:
                yield _once(shell, step, folder, shared.kept)
            else:
                yield _give(shell, step, folder / f"{number}.out")


def _once(shell: "_Talk", command: Command, folder: Path, kept: Path) -> Ended:
    """Give a command, or lay down what it left when a page gave it before with the same files in place."""
    place = kept / hashlib.sha256(f"{command.text}\n{_digest(folder)}".encode()).hexdigest()
    if not place.exists():
        ended = _give(shell, command, folder / "once.out")
        for name in ("home", "work"):
            shutil.copytree(folder / name, place / name, ignore=_links)
        (place / "ended.json").write_text(json.dumps([ended.code, ended.shown, _digest(folder)]), encoding="utf-8")
        return ended
    for name in ("home", "work"):
        shutil.copytree(place / name, folder / name, dirs_exist_ok=True)
    code, shown, left = json.loads((place / "ended.json").read_text(encoding="utf-8"))
    assert _digest(folder) == left
    return Ended(command, code, shown)


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_symlink()]


def _digest(folder: Path) -> str:
    """A hash of all files of the reader's, by name and content."""
    digest = hashlib.sha256()
    for name in ("home", "work"):
        for path in sorted(path for path in (folder / name).rglob("*") if path.is_file() and not path.is_symlink()):
            digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _environment(folder: Path, shared: Site, steps: Sequence[Step], stack: ExitStack) -> dict[str, str]:
    """The shell's environment; starts the servers that the page needs."""
    servers = stack.enter_context(informed(_checkpoints(steps)))
    ports = {name: int(server.base_url.split(":")[2].partition("/")[0]) for name, server in servers.items()}
    hosts = {place: ports[checkpoint] for place, checkpoint in _places(steps).items()}
    (folder / "hosts.json").write_text(json.dumps(hosts), encoding="utf-8")
    (folder / "servers.json").write_text(json.dumps(ports), encoding="utf-8")
    (folder / "jobs").mkdir()
    tools = _tools(folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVALSUITE_", "HF_", "SLURM_"))}
    return kept | {
        "HOME": str(folder / "home"),
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{SHIMS}:{shared.checkout}",
        "PAGE_HOSTS": str(folder / "hosts.json"),
        "PAGE_SERVERS": str(folder / "servers.json"),
        "PAGE_JOBS": str(folder / "jobs"),
        "HF_HUB_CACHE": str(shared.cache),
        "HF_HOME": str(folder / "home" / "hf"),
        "RAY_ADDRESS": f"127.0.0.1:{_free_port()}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "COLUMNS": str(COLUMNS),
        "CI": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _tools(folder: Path) -> Path:
    tools = folder / "bin"
    tools.mkdir()
    python = f'exec "{sys.executable}"'
    lines = {
        "evalsuite": f'{python} -m evalsuite "$@"',
        "python3": f'if [ "$2" = sglang.launch_server ]; then shift 2; {python} "{SHIMS}/model_server.py" "$@"; fi\n'
        f'{python} "$@"',
        "vllm": f'shift; {python} "{SHIMS}/model_server.py" "$@"',
        "curl": f"{python} -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[-1])' \"$@\"",
        "ray": f'{python} "{SHIMS}/ray_node.py" "$@"',
        **{name: f'{python} "{SHIMS}/slurm.py" {name} "$@"' for name in ("sbatch", "srun", "sacct")},
        **{name: f'echo "{name} $*" >> "$PAGE_JOBS/aside.log"' for name in ASIDE},
    }
    for name, text in lines.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    return tools


def _checkpoints(steps: Sequence[Step]) -> dict[str, dict[str, object]]:
    """Every checkpoint that a server of this page may have, with the facts that it states."""
    known = load_settings([f"model=[{','.join(_CHECKPOINTS)}]", "task=gsm8k"]).models
    found: dict[str, dict[str, object]] = {}
    for model in known.values():
        facts = {"model_path": model.checkpoint, **{k: v for k, v in model.expect.items() if k == "quantization"}}
        found[str(model.checkpoint)] = {"/server_info": facts}
    found["Qwen/Qwen3-235B-A22B-Instruct-2507"] = {}
    found |= {str(model["checkpoint"]): {} for model in _models(steps)}
    return found | {f"me/{place.partition(':')[2]}": {} for place in _given(steps)}


def _given(steps: Sequence[Step]) -> list[str]:
    """ "host:port" of the servers that commands name."""
    return [place for step in steps if isinstance(step, Command) for place in _GIVEN.findall(step.text)]


def _places(steps: Sequence[Step]) -> dict[str, str]:
    """ "host:port" -> checkpoint, for the addresses that a page names."""
    places = {place: f"me/{place.partition(':')[2]}" for place in _given(steps)}
    places |= {str(model["base_url"]).split("/")[2]: str(model["checkpoint"]) for model in _models(steps)}
    for step in steps:
        for _, name, place in _URL.findall(step.text):
            if not place.startswith("localhost"):
                places[place] = _checkpoint(name.lower())
    return places


def _checkpoint(name: str) -> str:
    if name in ("judge", "simulator"):
        return "Qwen/Qwen3-235B-A22B-Instruct-2507"
    return str(load_settings([f"model={name}", "task=gsm8k"]).models[name].checkpoint)


def _models(steps: Sequence[Step]) -> list[Mapping[str, object]]:
    """The models that the reader describes in files of their own."""
    files = [yaml.safe_load(step.text) for step in steps if isinstance(step, PageFile) and "/model/" in step.path]
    return [model for model in files if model["base_url"] != DEMO]


@contextmanager
def _bash(work: Path, environment: Mapping[str, str], log: Path) -> Iterator["_Talk"]:
    """A shell that takes commands; what still runs at the end is ended with it."""
    with log.open("w") as said:
        shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=work, env=dict(environment), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True,
        )  # fmt: skip
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write("set -m\n")
        try:
            yield _Talk(shell.stdin, shell.stdout)
        finally:
            shell.stdin.write("kill $(jobs -p) 2>/dev/null; wait; exit\n")
            shell.stdin.close()
            shell.wait(60)


@dataclass(frozen=True, slots=True)
class _Talk:
    write: IO[str]
    read: IO[str]


def _give(shell: _Talk, command: Command, output: Path) -> Ended:
    error = output.with_suffix(".err")
    shell.write.write(f'{{\n{command.text}\n}} >{output} 2>{error} </dev/null\necho "{_END} $?"\n')
    shell.write.flush()
    answer = shell.read.readline()
    assert answer.startswith(_END), answer
    return Ended(command, int(answer.split()[1]), output.read_text() + error.read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
