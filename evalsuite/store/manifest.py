"""``manifest.json``: the identity of a cell, what is planned in it, and the facts that its servers stated."""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import SCHEMA
from evalsuite.sandbox import safe_text
from evalsuite.store.extents import check as check_extents

MANIFEST = "manifest.json"


def cell_folders(run: Path) -> list[Path]:
    """Folders of all cells (with a manifest) in a run's folder, sorted by model and task.

    Archived cells (``superseded``) and folders whose model's name begins with a dot are left out.
    """
    folders = (path.parent for path in run.glob(f"*/*/{MANIFEST}"))
    return sorted(folder for folder in folders if not folder.parent.name.startswith("."))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The checked manifest of the cell in ``folder``.

    Raises ``BadInput`` when it is missing, damaged or of a later schema, ``StorageFailed`` when it cannot be read.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise BadInput(f"{folder} is not a cell: it has no {MANIFEST}") from None
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is damaged ({error}); restore it from a copy, or move the folder away") from None
    schema = manifest.get("schema", 0) if isinstance(manifest, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise BadInput(f"{path} has schema {schema}; this evalsuite reads up to {SCHEMA}: upgrade it")
    try:
        check_manifest(manifest)
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}); restore it from a copy, or move the folder away") from None
    return manifest  # type: ignore[no-any-return]


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


MAX_SAMPLES = 10_000_000
"""Most items x repeats of a cell."""
_NAME, _OBJECT = (str, type(None)), (dict, type(None))
_TYPES: Mapping[str, tuple[type, ...]] = {
    "schema": (int,), "identity": (dict,), "version": (str,), "title": _NAME, "baseline": _NAME, "items": (list,),
    "total_items": (int,), "repeats": (int,), "imported": _OBJECT, "server": (list,), "selection": _OBJECT,
}  # fmt: skip
"""Key of a manifest -> its types."""
_OPTIONAL_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("extents", "idle", "flags", "varies"), (list, type(None))),
    **dict.fromkeys(("accepted", "log_agreement", "data", "quantized", "sampling_origin"), _OBJECT),
    **dict.fromkeys(("demo", "gated", "part_declared"), (bool, type(None))),
    **dict.fromkeys(("precision", "same_as", "unread"), _NAME),
}
"""Key that a manifest may lack -> its types."""
_IDENTITY_TYPES: Mapping[str, tuple[type, ...]] = {
    "model": (str,), "checkpoint": _NAME, "revision": _NAME, "thinking": (bool, type(None)), "task": (str,),
    "adapter": (str,), "protocol": (str,), "variant": (str,), "options": (dict,), "sampling": _OBJECT,
    "seed": (int, type(None)), "data_sha": (str,),
}  # fmt: skip


def check_manifest(manifest: Any) -> None:
    """Raise ``ValueError`` with the reason unless a manifest has the keys and types that all of evalsuite relies on.

    Values must be plausible, too: different item ids, bounded repeats and samples, a version, extents, server dates.
    """
    if not isinstance(manifest, dict):
        raise ValueError("it is no JSON object")
    _check_types("", manifest, _TYPES)
    _check_types("identity.", manifest["identity"], _IDENTITY_TYPES)
    _check_types("", manifest, {key: kinds for key, kinds in _OPTIONAL_TYPES.items() if key in manifest})
    texts = [(key, value) for key in ("idle", "flags", "varies") for value in manifest.get(key) or ()]
    texts += [(f"accepted.{what}", reason) for what, reason in (manifest.get("accepted") or {}).items()]
    counts = (manifest.get("log_agreement") or {}).items()
    wrong = [key for key, value in texts if not isinstance(value, str)]
    wrong += [f"log_agreement.{key}" for key, value in counts if type(value) is not int or value > MAX_SAMPLES]
    if wrong:
        raise ValueError(f"{wrong[0]} holds a value of another type")
    items, repeats = manifest["items"], manifest["repeats"]
    if set(map(type, items)) - {str} or len(set(items)) < len(items):
        raise ValueError("items is no list of different ids")
    if repeats < 1 or len(items) * repeats > MAX_SAMPLES or not 0 <= manifest["total_items"] < 1 << 40:
        raise ValueError(f"it plans {len(items):,} items x {repeats} repeats of {manifest['total_items']}")
    if not re.fullmatch(r"\d{1,6}\.\d{1,6}", manifest["version"]):
        raise ValueError(f"version {manifest['version'][:100]!r} is none")
    check_extents(manifest)
    for entry in manifest["server"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("facts", {}), dict):
            raise ValueError("an entry of server is no JSON object")
        datetime.fromisoformat(str(entry.get("at")))


def _check_types(where: str, values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    for key, kinds in types.items():
        if key not in values:
            raise ValueError(f"{where}{key} is missing")
        value = values[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{where}{key} is {type(value).__name__}")


def differences(known: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Lines ``key: known -> asked`` for the keys in which two identities differ, sorted by key; a key of a nested
    object reads ``key.inner``. A missing key counts as None; empty if they are equal."""
    lines: list[str] = []
    for key in sorted({*known, *asked}):
        old, new = known.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            lines.append(f"{key}: {old} -> {new}")
    return lines


def accept(folder: Path, reasons: Mapping[str, str]) -> None:
    """Add what a person accepts in a cell (what -> reason, which replaces an earlier one) to ``accepted`` in its
    manifest on disk. Raises ``BadInput`` for a missing or damaged manifest, ``StorageFailed`` if it cannot be read or
    written."""
    manifest = read_manifest(folder)
    write_json(folder / MANIFEST, {**manifest, "accepted": {**(manifest.get("accepted") or {}), **reasons}})


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` in an existing folder, durably and atomically; characters that a
    terminal obeys or hides are escaped. Raises ``StorageFailed``; ``ValueError`` for NaN or infinity, ``TypeError`` for
    no JSON type."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    replace_text(path, safe_text.json(text) + "\n", durable=True)


def replace_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write ``text`` as the whole file ``path`` in an existing folder, atomically: readers get the old content or the
    new. Raises ``StorageFailed``.

    UTF-8; lone surrogates are kept. ``durable``: returns once the file survives the death of the machine.
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
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that files created or replaced in it survive a power loss. Raises ``OSError``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


MUST_AGREE: tuple[str, ...] = ("adapter", "protocol", "variant", "options", "thinking", "sampling", "data_sha")
"""Keys of a cell's identity that define what was asked and how; cells that are compared must agree in them."""
