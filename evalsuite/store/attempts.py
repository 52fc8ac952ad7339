"""The state of a cell's attempts, read from its journals: sent, answered, judged, scored, cut, invalidated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import OUTCOMES, JudgeVerdict, Reply, Sample, Usage
from evalsuite.store import journal
from evalsuite.store.manifest import MANIFEST, read_manifest

AttemptKey = tuple[str, int]
"""(item id, repeat)"""
Turn = tuple[str, int]
"""(role of the model that was asked; index of the request among those of the attempt to this role)"""
Verdicts = Mapping[tuple[str, str], JudgeVerdict]
"""(hash of what was judged, judge) -> its verdict."""
MODEL = "model"
"""Role of the model under test in a ``Turn``."""
SIMULATOR = "simulator"
"""Role of the simulated user in a ``Turn``."""
_IDS = ("prompt_ids", "token_ids")
"""Fields of a reply that are stored only where a server gave them."""


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """The place of an event: a journal and an offset in bytes."""

    path: Path
    offset: int


@dataclass(frozen=True, slots=True)
class CutRequest:
    """A request whose answer was still arriving when the window closed or the run was stopped."""

    tokens: float | None
    """Generated tokens that had arrived, estimated from their text; None: the server did not stream."""
    seconds: float


@dataclass(slots=True)
class StoredAttempt:
    """The state of one attempt; texts stay on disk."""

    sent: set[Turn] = field(default_factory=set)
    """Turns whose request was sent."""
    replies: dict[Turn, JournalPlace] = field(default_factory=dict)
    """Turn -> its whole reply."""
    score: JournalPlace | None = None
    """The latest score."""
    outcome: str = ""
    sign: str | None = None
    """Sign of a degenerate answer, stated with the latest score; None: it states none."""
    verdicts: dict[tuple[str, str], JudgeVerdict] = field(default_factory=dict)
    """(hash of what was judged, judge) -> its verdict."""
    spoiled: bool = False
    """Whether earlier turns were invalidated."""
    tokens: dict[Turn, int] = field(default_factory=dict)
    """Generated tokens of the replies of this process, as the server counted them."""
    cuts: list[CutRequest] = field(default_factory=list)
    """The model's answers that were cut."""
    sent_twice: bool = False
    """Whether a turn was sent a second time: the first reply to it is lost, even where a later process got one."""

    def record_request(self, turn: Turn) -> None:
        """Note in memory that the request of ``turn`` was sent, and set ``sent_twice`` if it had been sent before."""
        self.sent_twice = self.sent_twice or turn in self.sent
        self.sent.add(turn)

    @property
    def last(self) -> JournalPlace | None:
        """The place (journal, offset in bytes) of the reply with the highest turn of the model under test; None if it
        has not replied.
        """
        turns = [number for role, number in self.replies if role == MODEL]
        return self.replies[MODEL, max(turns)] if turns else None


def scan(folder: Path) -> dict[AttemptKey, StoredAttempt]:
    """(item id, repeat) -> state of the attempt, from the journals in a cell's folder, in the order of their first
    events.

    Only reads. Damaged lines are left out; their number is logged, without what a crash leaves (see ``journal.read``).
    Without a manifest the journals may be of any cell. Raises ``BadInput`` for the journal of another cell or a later
    version, and for a damaged manifest; ``StorageFailed`` or ``OSError`` for a file that cannot be read.
    """
    cell = journal.cell_hash(read_manifest(folder)["identity"]) if (folder / MANIFEST).exists() else ""
    index: dict[AttemptKey, StoredAttempt] = {}
    for path in journal.ordered(folder):
        damaged = 0
        for offset, event in journal.read(path, cell, brief=True):
            try:
                if event.get("event") in _KINDS:
                    _add(index, event, JournalPlace(path, offset))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                damaged += 1
        journal.log_damage(path, damaged)
    return index


def answered(index: Mapping[AttemptKey, StoredAttempt]) -> set[AttemptKey]:
    """Keys (item id, repeat) of the attempts with a reply on record, or with a score other than ``failed``."""
    return {key for key, attempt in index.items() if attempt.replies or attempt.outcome not in ("", "failed")}


def has_results(index: Mapping[AttemptKey, StoredAttempt]) -> bool:
    """Whether any attempt has a reply or a score, a ``failed`` one included."""
    return any(attempt.replies or attempt.outcome for attempt in index.values())


_KINDS = frozenset(("sent", "reply", "score", "judged", "spoiled", "cut"))


def _add(index: dict[AttemptKey, StoredAttempt], event: Mapping[str, Any], place: JournalPlace) -> None:
    """Add one journal event (of ``_KINDS``), which stands at ``place``, to its attempt in ``index``; ``spoiled`` resets
    the attempt but keeps its cuts.

    Raises ``KeyError`` for an event without a field that is read here, ``TypeError`` or ``OverflowError`` for a key, a
    turn, a number or an outcome that no version writes; an attempt without events may then have been added.
    """
    key = item, repeat = event["item"], event["repeat"]
    if type(item) is not str or type(repeat) is not int:
        raise TypeError
    kind = event["event"]
    attempt = index.get(key)
    if attempt is None:
        attempt = index[key] = StoredAttempt()
    if kind == "sent":
        attempt.record_request(_turn(event))
    elif kind == "reply":
        attempt.replies[_turn(event)] = place
    elif kind == "cut":
        attempt.cuts.append(CutRequest(_number(event["tokens"]), _number(event["seconds"]) or 0.0))
    elif kind == "spoiled":
        index[key] = StoredAttempt(spoiled=True, cuts=attempt.cuts)
    elif kind == "judged":
        verdict = JudgeVerdict(event["right"], _number(event.get("confidence")))
        attempt.verdicts[event["answer_sha"], event["judge"]] = verdict
    else:
        _number(event["value"])
        if event["outcome"] not in OUTCOMES:
            raise TypeError
        attempt.score, attempt.outcome = place, event["outcome"]
        attempt.sign = sign if isinstance(sign := event.get("degenerate"), str) else None


def _turn(event: Mapping[str, Any]) -> Turn:
    who, turn = event["who"], event["turn"]
    if type(who) is not str or type(turn) is not int:
        raise TypeError
    return who, turn


def _number(value: Any) -> Any:
    if value is None or (isinstance(value, int | float) and isfinite(value)):
        return value
    raise TypeError


def checked_reply(event: Mapping[str, Any], place: JournalPlace) -> dict[str, Any]:
    """The ``reply`` object of a journal event, once the types of its texts, counts and seconds have been checked.

    Raises ``BadInput``, naming ``place``, for one that is missing or of another form.
    """
    reply = event.get("reply")
    if isinstance(reply, dict) and isinstance(reply.get("usage"), dict):
        texts = {type(reply.get("text")), type(reply.get("reasoning")), type(reply.get("finish_reason") or "")}
        counts = {type(reply.get("seconds")), *map(type, map(reply["usage"].get, _TOKENS))}
        if texts == {str} and counts <= _NUMBER:
            return reply
    raise BadInput(f"{place.path} holds a reply at byte {place.offset} that no version writes; move the journal away")


_TOKENS = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
_NUMBER = {int, float, bool, type(None)}


def score_event(sample: Sample) -> dict[str, Any]:
    """The journal event (``"event": "score"``) of a sample's score: the fields of its table row that come neither from
    the reply nor from the cell's identity, and the sign of a degenerate answer."""
    score = sample.score
    return {
        "event": "score",
        "item": sample.item_id,
        "repeat": sample.repeat,
        "version": sample.version,
        "cluster": sample.cluster,
        "weight": sample.weight,
        "groups": dict(sample.groups),
        "outcome": score.outcome,
        "value": score.value,
        "answer": score.answer,
        "stage": score.stage,
        "parts": dict(score.parts),
        "note": score.note,
        "prompt_sha": sample.prompt_sha,
        "attempts": sample.attempts,
        "rerolled": sample.rerolled,
        "degenerate": sample.degenerate,
    }


def reply_fields(reply: Reply) -> dict[str, Any]:
    """Field -> value of a reply, for its journal line (``usage`` as a ``Usage``); ``prompt_ids`` and ``token_ids`` only
    where they are not empty."""
    return {
        name: getattr(reply, name) for name in Reply.__dataclass_fields__ if name not in _IDS or getattr(reply, name)
    }


def reply_from(data: Mapping[str, Any]) -> Reply:
    """The ``Reply`` of the ``reply`` object in a journal; fields that this version does not know are ignored, those
    that are missing get their defaults. Raises ``TypeError`` without ``text``, ``KeyError`` without ``usage``.
    """
    known = {name: data[name] for name in Reply.__dataclass_fields__ if name in data}
    usage = {name: data["usage"].get(name) for name in Usage.__dataclass_fields__}
    sequences = {name: tuple(data.get(name, ())) for name in ("tool_calls", *_IDS)}
    return Reply(**{**known, **sequences, "usage": Usage(**usage)})
