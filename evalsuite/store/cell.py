"""A cell that is being written: what it already holds, and the journal of this process.

    results/<run_id>/<model>/<task>/
        manifest.json      what was asked, of whom, with which settings (``manifest``)
        journal-*.jsonl    every reply and verdict, one file per writer, only appended to (``journal``, ``writer``,
                           ``attempts``)
        samples.parquet    one row per item x repeat, made from the journals (``samples``)
        lock               which process writes here now (``lock``)

Everything can be rebuilt from the manifest and the journals.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.records import SCHEMA, Reply, Sample, Usage
from evalsuite.store import journal, lock
from evalsuite.store.attempts import (
    MODEL,
    AttemptKey,
    CutRequest,
    JournalPlace,
    StoredAttempt,
    Turn,
    Verdicts,
    scan,
    score_event,
)
from evalsuite.store.manifest import MANIFEST, differences, read_manifest, sync_folder, write_json
from evalsuite.store.writer import JournalWriter
from evalsuite.version import __version__


@dataclass(slots=True)
class Cell:
    """One model x one task, open for writing by this process. Made by ``open_cell``; close it."""

    folder: Path
    manifest: dict[str, Any]
    _index: dict[AttemptKey, StoredAttempt]
    _commits: JournalWriter
    _lock: Path
    _file: journal.JournalFile | None = None
    _beaten: float = 0.0

    @property
    def label(self) -> str:
        """The model as folders and tables name it."""
        return self.folder.parent.name

    def outcome(self, key: AttemptKey) -> str:
        """The outcome on record, empty if there is none."""
        attempt = self._index.get(key)
        return attempt.outcome if attempt else ""

    def needs(self, key: AttemptKey, *, judged: bool = False) -> bool:
        """Whether an attempt is still to be made: never asked, or failed; with a judge also if it is ``ungraded``."""
        return self.outcome(key) in ("", "failed", *(["ungraded"] if judged else []))

    def replies(self) -> dict[AttemptKey, int]:
        """Attempt -> replies on record, for every attempt that has any."""
        return {key: len(attempt.replies) for key, attempt in self._index.items() if attempt.replies}

    def verdicts(self, key: AttemptKey) -> Verdicts:
        """The verdicts on record for an attempt."""
        attempt = self._index.get(key)
        return attempt.verdicts if attempt else {}

    async def judged(self, key: AttemptKey, answer_sha: str, judge: str, *, right: bool, words: str) -> None:
        """Keep a judge's verdict with its words; returns once it is durable. Raises ``StorageFailed``."""
        event = {"event": "judged", "item": key[0], "repeat": key[1], "answer_sha": answer_sha, "judge": judge}
        await self._commits.write(self._journal(), event | {"right": right, "words": words}, sync=True)
        self._index.setdefault(key, StoredAttempt()).verdicts[answer_sha, judge] = right

    def rerolled(self, key: AttemptKey) -> bool:
        """Whether a request of this attempt was sent earlier and its reply is lost."""
        attempt = self._index.get(key)
        if attempt is None:
            return False
        return attempt.spoiled or attempt.twice or any(turn not in attempt.replies for turn in attempt.sent)

    def recorded(self, key: AttemptKey, turn: Turn, prompt_sha: str) -> tuple[Reply, int] | None:
        """The reply on disk to this very request, with its number of requests; None if it must be asked.

        Raises ``BadInput`` if the turn was answered for another prompt: the task has changed under the cell.
        """
        attempt = self._index.get(key)
        place = attempt.replies.get(turn) if attempt else None
        if place is None:
            return None
        event = journal.read_at(place.path, place.offset)
        if event["prompt_sha"] != prompt_sha:
            raise BadInput(
                f"{self.folder}: item {key[0]} was asked with prompt {event['prompt_sha']}, now it is {prompt_sha}. "
                "The task has changed; use a new run_id, or redo=TASK reason=..."
            )
        return _reply_from(event["reply"]), event["attempts"]

    async def sent(self, key: AttemptKey, turn: Turn) -> None:
        """Note that a request goes out now; on record before it does, so that none is sent twice unmarked."""
        self._index.setdefault(key, StoredAttempt()).ask(turn)
        await self._commits.write(self._journal(), _event("sent", key, turn), sync=False)

    async def reply(self, key: AttemptKey, turn: Turn, prompt_sha: str, reply: Reply, attempts: int) -> None:
        """Keep a whole reply; returns once it is durable. Raises ``StorageFailed``."""
        now = time.time()
        span = [round(now - reply.seconds, 3), round(now, 3)]  # when it was asked and answered, for the timeline
        event = _event("reply", key, turn) | {"span": span, "prompt_sha": prompt_sha, "attempts": attempts}
        event["reply"] = reply
        file = self._journal()
        offset = await self._commits.write(file, event, sync=True)
        attempt = self._index.setdefault(key, StoredAttempt())
        attempt.replies[turn] = JournalPlace(file.path, offset)
        attempt.tokens[turn] = reply.usage.completion_tokens or 0

    def cut(self, key: AttemptKey, turn: Turn, cut: CutRequest, why: str) -> None:
        """Note that an answer was cut while it came: asking it again tends to keep shorter ones."""
        self._commits.note(self._journal(), _event("cut", key, turn) | asdict(cut) | {"why": why})
        self._index.setdefault(key, StoredAttempt()).cuts.append(cut)

    def lengths(self) -> dict[AttemptKey, float]:
        """(item, repeat) -> generated tokens of all the model's replies in it, for attempts with a verdict."""
        found = {
            key: float(sum(tokens for (who, _), tokens in attempt.tokens.items() if who == MODEL))
            for key, attempt in self._index.items()
            if attempt.outcome not in ("", "failed")
        }
        return {key: tokens for key, tokens in found.items() if tokens}

    def cuts(self) -> dict[AttemptKey, list[CutRequest]]:
        """(item, repeat) -> its answers that were cut."""
        return {key: attempt.cuts for key, attempt in self._index.items() if attempt.cuts}

    def score(self, sample: Sample) -> None:
        """Keep a verdict. Not waited for: it can be computed again from the reply."""
        self._commits.note(self._journal(), score_event(sample))
        attempt = self._index.setdefault((sample.item_id, sample.repeat), StoredAttempt())
        attempt.outcome = sample.score.outcome

    def invalidate(self, key: AttemptKey) -> None:
        """Put the turns of an attempt aside: it begins anew when it is made again. They stay in the journal."""
        self._commits.note(self._journal(), {"event": "spoiled", "item": key[0], "repeat": key[1]})
        self._index[key] = StoredAttempt(spoiled=True, cuts=self._index[key].cuts if key in self._index else [])

    def update(self, changes: Mapping[str, Any]) -> None:
        """Change facts of the manifest (never its identity)."""
        self.manifest |= changes
        write_json(self.folder / MANIFEST, self.manifest)

    def beat(self) -> None:
        """Show other processes that this one lives; does so every ``lock.BEAT_SECONDS`` however often it is called."""
        now = time.monotonic()
        if now - self._beaten > lock.BEAT_SECONDS:
            self._beaten = now
            asyncio.get_running_loop().run_in_executor(None, lock.beat, self._lock)  # the disk may stand still

    async def flush(self) -> None:
        """Return when everything noted so far is durable. Raises ``StorageFailed``."""
        if self._file is not None:
            await self._commits.write(self._file, {"event": "flush"}, sync=True)

    def close(self) -> None:
        """Sync the journal and let others write."""
        file, self._file = self._file, None
        try:
            if file is not None:
                self._commits.settle()
                journal.close(file)
        finally:
            lock.release(self._lock)

    def _journal(self) -> journal.JournalFile:
        if self._file is None:
            number = journal.next_number(self.folder)
            self._file = journal.create(self.folder)
            opened = {"event": "open", "schema": SCHEMA, "evalsuite": __version__, "number": number}
            self._commits.note(self._file, opened)
        return self._file


def open_cell(folder: Path, manifest: Mapping[str, Any], commits: JournalWriter) -> Cell:
    """Open a cell for writing, new or to be continued and _extended.

    Raises ``BadInput`` naming the differing keys if the cell there has another identity, ``CellInUse`` if another
    process writes it, ``StorageFailed`` if the disk does not let us.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"cannot create {folder}: {error.strerror or error}"
        raise StorageFailed(f"{why}; another folder that can be written: results_dir=DIR") from None
    held = lock.acquire(folder)
    try:
        merged = dict(manifest)
        if (folder / MANIFEST).exists():
            merged = _extended(folder, manifest)
        write_json(folder / MANIFEST, merged)
        _sync_names(folder)
        return Cell(folder, merged, scan(folder), commits, held)
    except BaseException:
        lock.release(held)
        raise


async def close_cells(cells: Iterable[Cell], commits: JournalWriter) -> None:
    """Close cells with all that was noted in them on disk. They are closed even where the disk has failed.

    Raises ``StorageFailed`` if it fails now.
    """
    closing = list(cells)
    try:
        if commits.failure is None:
            for cell in closing:
                await cell.flush()
    finally:
        for cell in closing:
            cell.close()


def _sync_names(folder: Path) -> None:
    """Make the names of a cell, its model and its run durable."""
    try:
        for parent in folder.parents[:3]:
            sync_folder(parent)
    except OSError as error:
        raise StorageFailed(f"cannot write {folder}: {error.strerror or error}") from None


def _extended(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a cell that is asked again: same identity, the wider plan of the two."""
    known = read_manifest(folder)
    lines = differences(known["identity"], manifest["identity"])
    if lines:
        raise BadInput(
            f"{folder} was made with other settings ({'; '.join(lines)}). "
            "Use another run_id, or redo=TASK reason=... to archive the old cell and ask again"
        )
    stopped = bool(known.get("stopped"))
    both = (manifest["items"], known["items"]) if stopped else (known["items"], manifest["items"])
    planned = dict.fromkeys(item for items in both for item in items)
    if stopped and len(planned) > len(known["items"]):
        known = {**known, "stopped": None}  # it is to go on
    whole = len(planned) == manifest["total_items"]
    selection = None if whole else manifest["selection"] or known["selection"]
    repeats = max(known["repeats"], manifest["repeats"])
    server = known["server"] + manifest["server"]
    return {**known, **manifest, "items": list(planned), "selection": selection, "repeats": repeats, "server": server}


def _event(kind: str, key: AttemptKey, turn: Turn) -> dict[str, Any]:
    return {"event": kind, "item": key[0], "repeat": key[1], "who": turn[0], "turn": turn[1]}


def _reply_from(data: Mapping[str, Any]) -> Reply:
    """A ``Reply`` from its JSON form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Reply.__dataclass_fields__ if name in data}
    usage = {name: data["usage"].get(name) for name in Usage.__dataclass_fields__}
    return Reply(**{**known, "usage": Usage(**usage), "tool_calls": tuple(data.get("tool_calls", ()))})
