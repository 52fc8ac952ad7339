"""A cell that is being written: the attempts on record, and the journal of this process.

    results/<run_id>/<model>/<task>/
        manifest.json      what is asked, of which model, with which settings (``manifest``)
        journal-*.jsonl    every reply and score, one file per writer, only appended to (``journal``, ``writer``,
                           ``attempts``)
        samples.parquet    one row per item x repeat, made from the journals (``samples``)
        lock               the process that writes here now (``lock``)

Everything can be rebuilt from the manifest and the journals.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput, CellInUse, StorageFailed
from evalsuite.records import JudgeVerdict, Reply, Sample
from evalsuite.store import extents, journal, lock
from evalsuite.store.attempts import (
    MODEL,
    AttemptKey,
    CutRequest,
    JournalPlace,
    StoredAttempt,
    Turn,
    Verdicts,
    answered,
    checked_reply,
    has_results,
    reply_fields,
    reply_from,
    scan,
    score_event,
)
from evalsuite.store.manifest import MANIFEST, differences, read_manifest, sync_folder, write_json
from evalsuite.store.runs import archive
from evalsuite.store.writer import JournalWriter
from evalsuite.version import __version__


@dataclass(slots=True)
class Cell:
    """One model x one task. Made by ``planned_cell``, which only reads; ``open`` it to write, then close it."""

    folder: Path
    manifest: dict[str, Any]
    _index: dict[AttemptKey, StoredAttempt]
    _writer: JournalWriter
    _seen: "_State"
    _redo: str | None = None
    """Why the cell that is there is archived when this one is opened; None: it is continued."""
    _lock: Path | None = None
    """None: not opened, and nothing is written."""
    _file: journal.JournalFile | None = None
    _shown_alive: float = 0.0

    @property
    def label(self) -> str:
        """The name of the model's folder: its key, with ``-nothink`` where thinking is off."""
        return self.folder.parts[-2]

    def outcome(self, key: AttemptKey) -> str:
        """The outcome on record for the attempt ``key`` (item id, repeat); empty if it has no score."""
        attempt = self._index.get(key)
        return attempt.outcome if attempt else ""

    def needs_attempt(self, key: AttemptKey, *, judged: bool = False) -> bool:
        """Whether the attempt ``key`` is still to be made: it has no score, or is ``failed``, or, with ``judged`` (a
        judge is there), ``ungraded``."""
        return self.outcome(key) in ("", "failed", *(["ungraded"] if judged else []))

    def reply_counts(self) -> dict[AttemptKey, int]:
        """(item id, repeat) -> number of whole replies on record, of every role, for attempts that have any."""
        return {key: len(attempt.replies) for key, attempt in self._index.items() if attempt.replies}

    def verdicts(self, key: AttemptKey) -> Verdicts:
        """(hash of what was judged, judge) -> verdict on record for an attempt; empty if there is none."""
        attempt = self._index.get(key)
        return attempt.verdicts if attempt else {}

    async def record_verdict(
        self, key: AttemptKey, answer_sha: str, judge: str, verdict: JudgeVerdict, words: str
    ) -> None:
        """Record the verdict of ``judge`` (its identity) and its reply (``words``) on an answer with hash
        ``answer_sha``; returns once it is durable.

        Raises ``StorageFailed``.
        """
        event = {"event": "judged", "item": key[0], "repeat": key[1], "answer_sha": answer_sha, "judge": judge}
        event |= {"right": verdict.right, "words": words}
        if verdict.confidence is not None:
            event["confidence"] = verdict.confidence
        await self._writer.write(self._journal(), event, sync=True)
        self._index.setdefault(key, StoredAttempt()).verdicts[answer_sha, judge] = verdict

    def rerolled(self, key: AttemptKey) -> bool:
        """Whether a request of this attempt was sent and no reply to it is on record: it is lost, or not there yet.

        Also where its earlier replies were invalidated, and where one turn was sent twice though it was answered in the
        end. False for an attempt of which nothing is on record.
        """
        attempt = self._index.get(key)
        if attempt is None:
            return False
        return attempt.spoiled or attempt.sent_twice or any(turn not in attempt.replies for turn in attempt.sent)

    def stored_reply(self, key: AttemptKey, turn: Turn, prompt_sha: str) -> tuple[Reply, int] | None:
        """(the reply on disk to ``turn`` (role, number) of the attempt ``key`` (item id, repeat), number of requests
        sent for it); None if there is no reply yet.

        Raises ``BadInput`` if the prompt that was answered has another hash than ``prompt_sha``: the task has changed
        since.
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
        return reply_from(event["reply"]), event["attempts"]

    async def record_request(self, key: AttemptKey, turn: Turn) -> None:
        """Record that the request of ``turn`` (role, number) of the attempt ``key`` (item id, repeat) is about to be
        sent; returns once the line is written (not synced), so that a second sending shows after a crash. Raises
        ``StorageFailed``."""
        self._index.setdefault(key, StoredAttempt()).record_request(turn)
        await self._writer.write(self._journal(), _event("sent", key, turn), sync=False)

    async def record_reply(self, key: AttemptKey, turn: Turn, prompt_sha: str, reply: Reply, attempts: int) -> None:
        """Record the whole reply to ``turn`` (role, number) of the attempt ``key`` (item id, repeat), the hash of its
        prompt and the number of requests sent for it (``attempts``); returns once it is durable.

        Raises ``StorageFailed``.
        """
        now = time.time()
        span = [round(now - reply.seconds, 3), round(now, 3)]  # when it was sent and answered, for the timeline
        event = _event("reply", key, turn) | {"span": span, "prompt_sha": prompt_sha, "attempts": attempts}
        event["reply"] = reply_fields(reply)
        file = self._journal()
        offset = await self._writer.write(file, event, sync=True)
        attempt = self._index.setdefault(key, StoredAttempt())
        attempt.replies[turn] = JournalPlace(file.path, offset)
        attempt.tokens[turn] = reply.usage.completion_tokens or 0

    def record_cut(self, key: AttemptKey, turn: Turn, cut: CutRequest, why: str) -> None:
        """Record, without waiting until it is written, that the answer to ``turn`` was cut while it arrived (``why``:
        the reason in words).

        Asking again favours answers that happen to be shorter, so cuts are counted. Raises ``StorageFailed`` after a
        write fault.
        """
        self._writer.append(self._journal(), _event("cut", key, turn) | asdict(cut) | {"why": why})
        self._index.setdefault(key, StoredAttempt()).cuts.append(cut)

    def lengths(self) -> dict[AttemptKey, float]:
        """(item id, repeat) -> generated tokens of all the model's replies in it, for attempts with a score other than
        ``failed``.

        A reply with an unknown number counts 0, and attempts with a sum of 0 are left out. Replies that this process
        did not write are read from the journals once. Raises ``BadInput`` for one that no version writes.
        """
        sums: dict[AttemptKey, float] = {}
        with journal.reading() as event_at:
            for key, attempt in self._index.items():
                if attempt.outcome in ("", "failed"):
                    continue
                for turn in attempt.replies.keys() - attempt.tokens.keys():
                    place = attempt.replies[turn]
                    reply = checked_reply(event_at(place.path, place.offset), place)
                    attempt.tokens[turn] = reply["usage"].get("completion_tokens") or 0
                sums[key] = float(sum(tokens for (role, _), tokens in attempt.tokens.items() if role == MODEL))
        return {key: tokens for key, tokens in sums.items() if tokens}

    def cuts(self) -> dict[AttemptKey, list[CutRequest]]:
        """(item id, repeat) -> its requests that were cut while the answer arrived, for attempts that have any."""
        return {key: attempt.cuts for key, attempt in self._index.items() if attempt.cuts}

    def record_score(self, sample: Sample) -> None:
        """Record a sample's score without waiting until it is written: it can be computed again from the reply.

        Raises ``StorageFailed`` if an earlier line could not be written, or the journal not be created.
        """
        self._writer.append(self._journal(), score_event(sample))
        attempt = self._index.setdefault((sample.item_id, sample.repeat), StoredAttempt())
        attempt.outcome = sample.score.outcome

    def invalidate(self, key: AttemptKey) -> None:
        """Discard the replies, verdicts and score of an attempt, so that it starts from the first turn and counts as
        rerolled.

        Its lines stay in the journal, and an event there invalidates them; cuts still count. Does not wait until the
        event is written; raises ``StorageFailed`` if an earlier line could not be written, or the journal not be
        created.
        """
        self._writer.append(self._journal(), {"event": "spoiled", "item": key[0], "repeat": key[1]})
        self._index[key] = StoredAttempt(spoiled=True, cuts=self._index[key].cuts if key in self._index else [])

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set the keys of the manifest that are in ``changes`` (facts, never the identity) to the values there; written
        to disk if the cell is open (raises ``StorageFailed``), else in memory only."""
        self.manifest |= changes
        if self._lock is not None:
            write_json(self.folder / MANIFEST, self.manifest)

    def open(self) -> None:
        """Create the cell's folder, lock it for writing and write its manifest, unless an equal one is on disk. A
        run calls it once the model's server is accepted.

        With a reason to redo, the cell that is there is archived first.

        Raises:
            BadInput: The manifest on disk is damaged.
            CellInUse: A process holds its lock (this one, too, if it is open), or has written it since it was read.
            StorageFailed: The disk refuses.
        """
        if self._redo is not None and (self.folder / MANIFEST).exists():
            archive(self.folder, self._redo)
            self._seen = _State(None, {})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"cannot create {self.folder}: {error.strerror or error}"
            raise StorageFailed(f"{problem}; another folder that can be written: results_dir=DIR") from None
        self._lock = lock.acquire(self.folder)
        try:
            if _state(self.folder) != self._seen:
                raise CellInUse(f"{self.folder} was written by another process just now: give the command again")
            if self._seen.manifest != self.manifest:
                write_json(self.folder / MANIFEST, self.manifest)
                _sync_names(self.folder)
        except BaseException:
            lock.release(self._lock)
            self._lock = None
            raise

    @property
    def is_new(self) -> bool:
        """Whether this cell begins from nothing: there was no manifest on disk, or the old cell is archived when it is
        opened (``redo``)."""
        return self._seen.manifest is None or self._redo is not None

    @property
    def set_aside(self) -> int:
        """Number of items with a reply or score on record that the manifest found on disk plans and this command does
        not ask for; 0 for a new cell."""
        before = self._seen.manifest
        if before is None or self._redo:
            return 0
        answered = {item for (item, _), attempt in self._index.items() if attempt.replies or attempt.outcome}
        return len(answered.intersection(before["items"]).difference(self.manifest["items"]))

    @property
    def is_open(self) -> bool:
        """Whether this process holds the cell's lock and may write."""
        return self._lock is not None

    def show_alive(self) -> None:
        """Touch the lock file in a thread, at most every ``lock.BEAT_SECONDS``, so that other hosts see that the holder
        is alive.

        Does nothing for a cell that is not open; needs a running event loop.
        """
        now = time.monotonic()
        if self._lock is not None and now - self._shown_alive > lock.BEAT_SECONDS:
            self._shown_alive = now
            asyncio.get_running_loop().run_in_executor(None, lock.show_alive, self._lock)  # the disk may hang

    async def flush(self) -> None:
        """Return when everything recorded so far is durable (synced to disk), for which a line ``flush`` is added to
        the journal; at once, without it, if nothing was recorded since the cell was opened, or it is closed. Raises
        ``StorageFailed``."""
        if self._file is not None:
            await self._writer.write(self._file, {"event": "flush"}, sync=True)

    def close(self) -> None:
        """Sync and close the journal and release the lock, also where the sync fails; does nothing if the cell is not
        open.

        The manifest of a new cell without any reply or score is removed, and then its folder, its model's and its run's
        as far as they are empty (the journal of requests without a reply stays). Raises ``StorageFailed`` if the sync
        fails, and as ``scan``.
        """
        if self._lock is None:
            return
        file, self._file = self._file, None
        empty = False
        try:
            if file is not None:
                self._writer.wait_until_idle()
                journal.close(file)
            empty = self._seen.manifest is None and not has_results(self._index) and not has_results(scan(self.folder))
            if empty:
                (self.folder / MANIFEST).unlink(missing_ok=True)
        finally:
            lock.release(self._lock)
            self._lock = None
        if empty:
            _remove_empty(self.folder)

    def _journal(self) -> journal.JournalFile:
        if self._file is None:
            number = journal.next_number(self.folder)
            self._file = journal.create(self.folder)
            cell = journal.cell_hash(self.manifest["identity"])
            opened = {"schema": journal.SCHEMA, "number": number, "cell": cell, "event": "open"}
            self._writer.append(self._file, opened | {"evalsuite": __version__})
        return self._file


@dataclass(frozen=True, slots=True)
class _State:
    """What is on disk of a cell: its manifest (None: there is none), and the size of every journal."""

    manifest: dict[str, Any] | None
    journals: dict[str, int]


def _state(folder: Path) -> _State:
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else None
    return _State(manifest, {path.name: path.stat().st_size for path in folder.glob(journal.PATTERN)})


def planned_cell(folder: Path, manifest: Mapping[str, Any], writer: JournalWriter, redo: str | None = None) -> Cell:
    """The cell in ``folder`` as a command would continue it, not yet open; only reads.

    Args:
        folder: The cell's folder.
        manifest: The manifest as it is asked for now; its extent becomes that of the cell.
        writer: Writes the journals of this process.
        redo: Why a cell that is there is archived instead of continued, when the new one is opened; None: it is
            continued.

    Raises:
        BadInput: The cell there has another identity (names the keys; not with ``redo``), its manifest is damaged, or
            it holds another's journal (not with ``redo``).
        CellInUse: A process writes it, be it this one.
        StorageFailed: Its manifest cannot be read.
        OSError: Its lock or a journal cannot be read.
    """
    if holder := lock.holder_of(folder):
        raise CellInUse(f"{folder} is being written by {holder}; wait for it or stop it")
    seen = _state(folder)
    if redo is not None:
        return Cell(folder, dict(manifest), {}, writer, seen, redo)
    index = scan(folder)
    merged = dict(manifest) if seen.manifest is None else _extended(folder, seen.manifest, manifest, index)
    return Cell(folder, merged, index, writer, seen)


def open_cell(folder: Path, manifest: Mapping[str, Any], writer: JournalWriter) -> Cell:
    """``planned_cell`` and ``Cell.open`` in one, for a cell that needs no server any more (judging, grading).

    ``manifest`` is the cell's own. The cell is locked for writing until the caller closes it (``Cell.close``). Raises
    ``BadInput``, ``CellInUse`` and ``StorageFailed`` as both do.
    """
    cell = planned_cell(folder, manifest, writer)
    cell.open()
    return cell


def _remove_empty(folder: Path) -> None:
    """Remove the folders of a cell, its model and its run, in this order, up to the first that is not empty or cannot
    be removed."""
    with contextlib.suppress(OSError):
        for place in folder, *folder.parents[:2]:
            place.rmdir()


async def close_cells(cells: Iterable[Cell], writer: JournalWriter) -> None:
    """Flush and close cells; all are closed even where the disk fails. After a failure of ``writer`` they are only
    closed.

    Raises ``StorageFailed`` if the disk fails now, not for the earlier failure.
    """
    closing = list(cells)
    with contextlib.ExitStack() as stack:
        for cell in reversed(closing):
            stack.callback(cell.close)
        if writer.failure is None:
            for cell in closing:
                await cell.flush()


def _sync_names(folder: Path) -> None:
    """Make the new folder of a cell, and those of its model and run, durable by syncing their parents. Raises
    ``StorageFailed``."""
    try:
        for parent in folder.parents[:3]:
            sync_folder(parent)
    except OSError as error:
        raise StorageFailed(f"cannot write {folder}: {error.strerror or error}") from None


def _extended(
    folder: Path,
    known: Mapping[str, Any],
    manifest: Mapping[str, Any],
    index: Mapping[AttemptKey, StoredAttempt],
) -> dict[str, Any]:
    """The manifest of a continued cell: ``known`` (on disk) updated by ``manifest`` (asked for now), its extents
    extended.

    The ``server`` entries on disk stay, and ``stopped`` becomes None where ``manifest`` asks for items that ``known``
    does not have. ``index`` holds the attempts on record. Raises ``BadInput`` naming the keys for another identity.
    """
    lines = differences(known["identity"], manifest["identity"])
    if lines:
        raise BadInput(
            f"{folder} was made with other settings ({'; '.join(lines)}). "
            "Use another run_id, or redo=TASK reason=... to archive the old cell and ask again"
        )
    extended = {**known, **manifest, "server": known["server"]}
    extended[extents.EXTENTS] = extents.extended(known, manifest, answered(index))
    if known.get("stopped") and set(manifest["items"]) - set(known["items"]):
        extended["stopped"] = None  # it goes on
    return extended


def _event(kind: str, key: AttemptKey, turn: Turn) -> dict[str, Any]:
    return {"event": kind, "item": key[0], "repeat": key[1], "who": turn[0], "turn": turn[1]}
