"""Container commands as a wall: an empty image, the interpreter's folders bound read-only, no network, no rights."""

import os
import resource
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMANDS = ("podman", "docker", "apptainer")
IMAGE = "localhost/evalsuite-empty"
ANSWER_SECONDS = 60.0
"""Longest that a container program may take to answer before a job."""
_USER = "65534:65534"
_EMPTY_TAR = bytes(10240)


def command(
    name: str, path: str, readable: Sequence[Path], place: str, disk: int, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """The command line of a container up to the interpreter's own words.

    For podman and docker it makes the empty image, if need be, for apptainer an empty folder. Raises ``OSError`` if
    that fails, ``subprocess.TimeoutExpired`` if the container program hangs.

    Args:
        name: One of ``COMMANDS``.
        path: The container program.
        readable: Folders and files of this machine, bound read-only to the same paths; missing ones are left out.
        place: Path inside of the writable temporary folder, which holds at most ``disk`` bytes.
        disk: Bytes.
        environment: Variables that are set inside.
    """
    folders = [folder for folder in readable if folder.exists()]
    if name == "apptainer":
        return _apptainer(path, folders, place, disk, environment)
    _import_empty(path)
    words = [path, "run", "--rm", "--interactive", "--pull=never", "--network=none", "--ipc=none", "--read-only"]
    words += ["--cap-drop=ALL", "--security-opt=no-new-privileges", f"--user={_USER}", "--workdir=/"]
    words += ["--log-driver=none", f"--tmpfs={place}:rw,nosuid,nodev,size={disk},mode=1777", *_limits()]
    words += ["--read-only-tmpfs=false", "--http-proxy=false"] if name == "podman" else []  # no proxy of the host
    words += [f"--env={key}={value}" for key, value in environment.items()]
    words += [f"--volume={folder}:{folder}:ro" for folder in folders]
    return (*words, IMAGE)


def _apptainer(
    path: str, folders: Sequence[Path], place: str, disk: int, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """The words for apptainer, run by this user in a user namespace; arguments as in ``command``.

    Its root is the empty folder ``evalsuite-empty-<uid>`` among the temporary files, which is made if need be. Raises
    ``OSError`` if that folder cannot be made, is another user's or not empty.
    """
    root = Path(tempfile.gettempdir()) / f"evalsuite-empty-{os.getuid()}"
    root.mkdir(mode=0o755, exist_ok=True)
    if root.stat().st_uid != os.getuid() or any(root.iterdir()):
        raise OSError(f"{root} is not an empty folder of this user")
    words = [
        path,
        "exec",
        "--userns",
        "--containall",
        "--no-home",
        "--no-privs",
        "--no-eval",
        "--net",
        "--network=none",
    ]
    words += ["--ipc", "--pid", "--uts", "--pwd=/", f"--mount=type=tmpfs,destination={place},size={disk}"]
    words += [f"--env={key}={value}" for key, value in environment.items()]
    words += [f"--bind={folder}:{folder}:ro" for folder in folders]
    return (*words, str(root))


def _limits() -> list[str]:
    """The ``--ulimit`` words (files, processes, no core), at most the hard limits of this user, which
    it may not raise.
    """
    words = []
    for name, limit, most in (("nofile", resource.RLIMIT_NOFILE, 1024), ("nproc", resource.RLIMIT_NPROC, 4096)):
        hard = resource.getrlimit(limit)[1]
        count = most if hard == resource.RLIM_INFINITY else min(most, hard)
        words.append(f"--ulimit={name}={count}:{count}")
    return [*words, "--ulimit=core=0:0"]


def _import_empty(path: str) -> None:
    """Make the image ``IMAGE``, without any file, by the container program ``path``, unless it is there; nothing is
    downloaded.

    Raises ``OSError`` if the import fails, ``subprocess.TimeoutExpired`` if the program hangs.
    """
    there = subprocess.run([path, "image", "inspect", IMAGE], capture_output=True, check=False, timeout=ANSWER_SECONDS)
    if there.returncode == 0:
        return
    make = [path, "import", "-", IMAGE]
    made = subprocess.run(make, input=_EMPTY_TAR, capture_output=True, check=False, timeout=2 * ANSWER_SECONDS)
    if made.returncode != 0:
        lines = made.stderr.decode(errors="replace").strip().splitlines()
        raise OSError(f"{path} import: {lines[-1][:300] if lines else made.returncode}")
