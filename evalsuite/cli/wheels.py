"""A folder of wheels from which evalsuite installs without an index: its own, and those of all that it needs."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalsuite.config import paths
from evalsuite.errors import BadInput
from evalsuite.version import __version__


def requirement(extras: Sequence[str]) -> str:
    """``evalsuite[ifbench,tau2]``."""
    return f"evalsuite[{','.join(extras)}]" if extras else "evalsuite"


def identity(extras: Sequence[str]) -> dict[str, Any]:
    """What a folder of wheels was made for, and from."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "extras": sorted(extras),
        "python": python,
        "platform": sysconfig.get_platform(),
        "evalsuite": __version__,
        "checkout": _content(),
    }


def collect(folder: Path, extras: Sequence[str]) -> list[str]:
    """Fill ``folder`` for this Python and platform; names of all wheels in it, evalsuite's first.

    Packages without a wheel are built into one here: without a network nothing could be built. Raises ``BadInput``
    with pip's own last words when a package cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evalsuite-wheels-") as scratch:
        _pip(own(Path(scratch)))
        (built,) = Path(scratch).glob("evalsuite-*.whl")
        _check_extras(built, extras)
        _pip(closure(built, folder, extras, Path(scratch) / "all"))
        found = sorted((Path(scratch) / "all").glob("*.whl"), key=lambda path: (path.name != built.name, path.name))
        for path in found:
            shutil.copyfile(path, folder / f".{path.name}.part")
            (folder / f".{path.name}.part").replace(folder / path.name)
    return [path.name for path in found]


def own(folder: Path) -> list[str]:
    """The pip arguments that put evalsuite's own wheel into ``folder``: built from a checkout, else downloaded."""
    checkout = _checkout()
    if checkout is not None:
        return ["wheel", "--no-deps", "-w", str(folder), str(checkout)]
    return ["download", "--no-deps", "--only-binary", ":all:", "-d", str(folder), f"evalsuite=={__version__}"]


def closure(wheel: Path, known: Path, extras: Sequence[str], folder: Path) -> list[str]:
    """The pip arguments that put ``wheel`` and all that it needs into ``folder``; ``known`` has some from before."""
    asked = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
    return ["wheel", "--prefer-binary", "--find-links", str(known), "-w", str(folder), asked]


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise BadInput(
            f"wheels=true needs pip in this environment: {sys.executable} -m ensurepip, or uv pip install pip"
        )
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
    words = " ".join(" ".join(said[-2:]).split())[:400]
    raise BadInput(f"pip {arguments[0]} failed: {words}; check the network and pip's index (pip config list)")


def _check_extras(wheel: Path, extras: Sequence[str]) -> None:
    """pip only warns of an extra that is not there, and would leave its packages out."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode("utf-8")
    known = set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE))
    lacking = sorted(set(extras) - known)
    if lacking:
        raise BadInput(f"{wheel.name} has no extra {', '.join(lacking)}. It has: {', '.join(sorted(known)) or 'none'}.")


def _checkout() -> Path | None:
    """The folder that evalsuite is run from, where that is a checkout and not an installed wheel."""
    folder = paths.shipped("tasks").parent
    return folder if (folder / "pyproject.toml").is_file() else None


def _content() -> str | None:
    """Hash of what a checkout puts into its wheel, so that wheels of older code are not taken for these."""
    checkout = _checkout()
    if checkout is None:
        return None
    digest = hashlib.sha256((checkout / "pyproject.toml").read_bytes())
    for name in ("conf", "evalsuite", "tasks"):
        for folder, folders, files in os.walk(checkout / name):
            folders[:] = sorted(one for one in folders if one != "__pycache__")
            for file in sorted(files):
                path = Path(folder) / file
                digest.update(f"{path.relative_to(checkout)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
