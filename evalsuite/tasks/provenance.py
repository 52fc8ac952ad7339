"""Whether the questions that were read are those that a benchmark's card pins: their number, hashes and commit."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.config.paths import expanded
from evalsuite.errors import BadInput
from evalsuite.tasks import hub
from evalsuite.tasks.datasets import Source, card
from evalsuite.tasks.downloads import has_card

FETCHED = "fetched.json"
"""The list of files that ``fetch`` writes into the folder it fills."""
LARGEST_HASHED = 100_000_000
"""Bytes up to which a fetched file is hashed before a run; of larger ones the size is compared."""


def declared_items(adapter: str, variant: str) -> int | None:
    """Return the number of items of a variant that the benchmark's card states.

    It is the card's number of items where the card states none for the variant. None for an adapter without a card, and
    for a card whose dataset is not on the Hugging Face hub.
    """
    if not has_card(adapter) or "hub" not in card(adapter)["dataset"]:
        return None
    content = card(adapter)
    return int((content.get("design") or {}).get("variant_items", {}).get(variant, content["items"]))


def data_facts(adapter: str, source: Source) -> dict[str, Any]:
    """Return where a task's questions come from, for the manifest: a dictionary with
    ``kind``, ``root`` and ``revision``.

    ``kind`` is ``hub`` or ``local``, ``root`` the absolute folder (None for the hub), ``revision`` the pinned commit;
    it is None for an adapter whose card pins none (or that has no card), and for a local folder unless the folder's
    ``fetched.json`` and the files' hashes (over 100 MB: sizes) prove it. Where a commit is pinned, raises ``BadInput``
    for a local folder with a fetched file that has changed or a damaged ``fetched.json``.
    """
    dataset = card(adapter)["dataset"] if has_card(adapter) else {}
    pinned = dataset.get("revision") if "hub" in dataset else None
    if source.kind == "hub":
        return {"kind": "hub", "root": None, "revision": pinned}
    root = expanded(str(source.root)).absolute()
    pins = {pinned, *(split.get("revision", pinned) for split in dataset.get("splits", {}).values())}
    others = {str(item["file"]) for item in dataset.get("downloads", ())}
    fetched = set() if pinned is None else _fetched_revisions(root, adapter, others)
    verified = bool(fetched) and fetched <= pins
    return {"kind": "local", "root": str(root), "revision": pinned if verified else None}


def _fetched_revisions(root: Path, task: str, others: Collection[str]) -> set[str]:
    """Return the commits that ``root/fetched.json`` states for a task's files; it has one entry per fetched file.

    ``others`` are paths of files that do not come from the task's dataset; they are checked, but their commits are left
    out. Empty without ``fetched.json``, when it lists no file of the task's dataset, when a listed file is missing, or
    when a ``*.jsonl*`` file of the task is not listed. Raises ``BadInput`` when ``fetched.json`` is damaged or a listed
    file has changed.
    """
    try:
        listed = json.loads((root / FETCHED).read_text(encoding="utf-8"))["files"]
        entries = [entry for entry in listed if entry["task"] == task]
        checked = [_check(root, entry) for entry in entries]
        files = {str(entry["file"]) for entry in entries}
        revisions = {str(entry["revision"]) for entry in entries if str(entry["file"]) not in others}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{root / FETCHED} is damaged ({error}): remove it, and the questions count as unverified"
        ) from None
    tables = {path.relative_to(root).as_posix() for path in (root / task).glob("*.jsonl*")}
    return revisions if all(checked) and tables <= files else set()


def _check(root: Path, entry: Mapping[str, Any]) -> bool:
    """Return whether a file of ``fetched.json`` (``entry``: ``file`` below ``root``, ``bytes``, ``sha256``) exists.

    Raises ``BadInput`` when its size, or up to 100 MB its SHA-256, is not the stated one.
    """
    path = root / str(entry["file"])
    if not path.is_file():
        return False
    status = path.stat()
    same = status.st_size == entry["bytes"]
    if same and status.st_size <= LARGEST_HASHED:
        same = _sha256(path, status.st_mtime_ns) == entry["sha256"]
    if not same:
        raise BadInput(f"{path} has changed since it was fetched ({FETCHED}): fetch it again, or remove {FETCHED}")
    return True


@cache
def _sha256(path: Path, changed: int) -> str:
    return hub.sha256(path)
