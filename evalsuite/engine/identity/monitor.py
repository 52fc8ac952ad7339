"""A server that is asked again, while it works and at the end, who it is.

A restart may bring other weights. Where that is found, the endpoint stops, and what it answered since it was last
known to be itself is put aside: nobody can say which of the two wrote it. It stays in the journal, and is asked again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity import fingerprint
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.identity.differences import differing_facts
from evalsuite.endpoint.identity.fingerprint import Fingerprint
from evalsuite.endpoint.pool import connect_all
from evalsuite.engine.identity.preflight import now, take_fingerprints
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.store.cell import Cell

LAST_SECONDS = 120.0
"""Longest that the look at the end of a run may take."""


@dataclass(slots=True)
class IdentityMonitor:
    """One model of a run. ``check`` may be called at any time, from several places."""

    name: str
    model: Model
    served_name: str
    engine: Engine
    cells: Sequence[Cell]
    entry: dict[str, Any]
    """Its entry in the manifests of ``cells``; probes are added to it."""
    changed: str = ""
    """Why it is no longer who it was; empty as long as it is."""
    _since: str = ""
    """When it was last known to be itself."""
    _replies: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    """Task -> attempt -> replies on record then."""
    _facts: dict[str, Any] = field(default_factory=dict)
    """What it states of itself now."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._facts = dict(self.entry["facts"])
        self._good(self.entry["at"])

    async def check(self, client: Client | None = None) -> None:
        """Ask who is there: all replicas, or only the one of ``client`` (it is back after an outage).

        Raises ``EndpointUnusable`` when one is no longer who it was.
        A server that cannot be reached is no other server: that is noted, and left to those who ask it questions.
        """
        async with self._lock:
            if self.changed:
                raise EndpointUnusable(self.changed)
            at = now()
            try:
                facts, prints, notes = await self._ask(None if client is None else client.address)
            except identity.ServerUnreachable as error:
                self._note({"at": at, "verdict": "not reached", "why": str(error)})
                return
            except EndpointUnusable as error:
                self._changed(str(error))
            old = fingerprint.from_json(self.entry["fingerprint"])
            if old is None or not prints:
                self._note({"at": at, "verdict": "no fingerprint", "why": "; ".join(notes)})
                self._good(at)  # it says that it is the same, and there is nothing else to go by
                self._settings(facts)
                return
            likeness = max((fingerprint.compare(old, one) for one in prints), key=lambda one: one.distance or 0.0)
            if likeness.verdict == "different":
                self._changed(f"it answers as another model than at {self._since} ({likeness.words()})")
            self._note({"at": at, "verdict": likeness.verdict, "distance": round(likeness.distance or 0.0, 6)})
            if likeness.verdict == "same" and client is None:
                self._good(at)
            self._settings(facts)

    async def final_check(self) -> None:
        """The look at the end: like ``check``, but what is found is told by ``changed``, and time is limited."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.check()
        except EndpointUnusable as error:
            self.changed = self.changed or str(error)
        except TimeoutError:
            self._note({"at": now(), "verdict": "not reached", "why": f"no answer within {LAST_SECONDS:.0f} s"})

    def invalidate(self) -> int:
        """Put aside what arrived since the last good look; to be called when nothing is in flight any more.

        Returns the number of attempts. They are missing from then on, and are asked again by the same command.
        """
        count = 0
        for cell in self.cells:
            before = self._replies[cell.folder.name]
            late = [key for key, replies in cell.replies().items() if replies != before.get(key, 0)]
            for key in late:
                cell.invalidate(key)
            count += len(late)
        said = {"at": now(), "verdict": "changed", "why": self.changed, "since": self._since, "put_aside": count}
        self._note(said)
        return count

    async def _ask(self, only: str | None) -> tuple[dict[str, Any], list[Fingerprint], list[str]]:
        """(facts, fingerprints, notes) of the replicas; one that differs is asked a second time."""
        async with AsyncExitStack() as stack:
            model = replace(self.model, served_name=self.served_name, base_url=only or self.model.base_url)
            clients = connect_all(model, self.engine)
            for client in clients:
                stack.push_async_callback(client.close)
            found = [await identity.identify(client) for client in clients]
            old = fingerprint.from_json(self.entry["fingerprint"])
            if old is None:
                return dict(found[0].facts), [], []
            prints, notes, _ = await take_fingerprints(clients)
            if any(fingerprint.compare(old, one).verdict == "different" for one in prints):
                prints, notes, _ = await take_fingerprints(clients)  # a busy server may stray once
            return dict(found[0].facts), prints, notes

    def _settings(self, facts: dict[str, Any]) -> None:
        """Another start of the same checkpoint: its settings stand in the manifests from now on."""
        stated = {**self._facts, **facts}
        found = differing_facts({"server": [{"facts": self._facts}]}, {"server": [{"facts": stated}]})
        if not found:
            return
        what = "; ".join(f"{one.name}: {one.baseline} -> {one.candidate}" for one in found)
        said = f"served anew with other settings: {what}"
        anew = {"at": now(), "facts": stated, "fingerprint": None, "notes": [said]}
        for cell in self.cells:
            cell.update({"server": [*cell.manifest["server"], anew]})
        self._facts = stated

    def _changed(self, why: str) -> None:
        self.changed = f"{self.name} is no longer the server that it was: {why}"
        raise EndpointUnusable(self.changed)

    def _note(self, probe: dict[str, Any]) -> None:
        self.entry.setdefault("probes", []).append(probe)
        for cell in self.cells:
            cell.update({})

    def _good(self, at: str) -> None:
        self._since = at
        self._replies = {cell.folder.name: cell.replies() for cell in self.cells}


async def final_checks(
    guards: Mapping[str, IdentityMonitor], faults: Mapping[str, EvalsuiteError], stop: Stop
) -> dict[str, EvalsuiteError]:
    """Look a last time at all servers that are still believed in, and put aside what strangers may have answered.

    Returns the faults of those that have changed. A run that was told to stop does not wait for the look.
    """
    if not stop.requested:
        gone = {name for lane in faults for name in lane.split(" + ")}
        asked = [guard for guard in guards.values() if not guard.changed and guard.name not in gone]
        await asyncio.gather(*(guard.final_check() for guard in asked))
    found: dict[str, EvalsuiteError] = {}
    for name, guard in guards.items():
        if guard.changed:
            count = guard.invalidate()
            found[name] = EndpointUnusable(
                f"{guard.changed}. What it answered since it was last known to be itself is put aside ({count} "
                "attempts): serve the right checkpoint, and the same command asks them again"
            )
    return found
