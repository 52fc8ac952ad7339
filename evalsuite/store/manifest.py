"""``manifest.json``: the identity of a cell, what is planned in it, and the facts that its servers stated."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import SCHEMA

MANIFEST = "manifest.json"


def cell_folders(run: Path) -> list[Path]:
    """Folders of all cells in a run's folder, sorted by model and task, without archived ones (``superseded``)."""
    folders = (path.parent for path in run.glob(f"*/*/{MANIFEST}"))
    return sorted(folder for folder in folders if not folder.parent.name.startswith("."))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a cell. Raises ``BadInput`` when it is missing, torn or of a later schema."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{folder} is not a cell: it has no {MANIFEST}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is damaged ({error}); restore it from a copy, or move the folder away") from None
    if not isinstance(manifest, dict) or manifest.get("schema", 0) > SCHEMA:
        raise BadInput(f"{path} has schema {manifest.get('schema')}; this evalsuite reads up to {SCHEMA}: upgrade it")
    return manifest


def differences(known: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Differing identity keys as ``key: known -> asked``, nested keys with dots."""
    lines: list[str] = []
    for key in sorted({*known, *asked}):
        old, new = known.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            lines.append(f"{key}: {old} -> {new}")
    return lines


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` durably and atomically. Raises ``StorageFailed``."""
    replace_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", durable=True)


def replace_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a whole file atomically: readers get the old content or the new. Raises ``StorageFailed``.

    ``durable``: returns once the file survives the death of the machine.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None


def sync_folder(folder: Path) -> None:
    """Make files that were created or replaced in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


MUST_AGREE: tuple[str, ...] = ("adapter", "protocol", "variant", "options", "thinking", "sampling", "data_sha")
"""Keys of a cell's identity that define what was asked and how; cells that are compared must agree in them."""
