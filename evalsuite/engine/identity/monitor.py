"""The identity of a server while a run asks it: checked again and again, and once more at the end.

A restart may bring other weights. Where that is found, the endpoint stops, and the answers since the last check that
was good are invalidated, because it is not known which of the two models wrote them. They stay in the journal, and are
asked for again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from evalsuite.config.settings import Engine, Model
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.identity.differences import differing_facts, learnable, other_model
from evalsuite.endpoint.identity.fingerprint import Fingerprint, compare, from_json
from evalsuite.endpoint.identity.identify import ServerUnreachable, identify
from evalsuite.endpoint.pool import connect_all
from evalsuite.engine.identity.preflight import context_of, take_fingerprints, utc_now
from evalsuite.engine.stopping import Stop
from evalsuite.errors import EndpointUnusable, EvalsuiteError
from evalsuite.store.attempts import AttemptKey
from evalsuite.store.cell import Cell

LAST_SECONDS = 120.0
"""Longest that the check at the end of a run may take."""


@dataclass(slots=True)
class IdentityMonitor:
    """Checks the identity of one model of a run. ``check`` may be called at any time, from several tasks."""

    name: str
    model: Model
    served_name: str
    engine: Engine
    cells: Sequence[Cell]
    entry: dict[str, Any]
    """Its entry in the manifests of ``cells``; the result of every check is added to it (``probes``)."""
    changed: str = ""
    """Why it is another model than before; empty as long as it is not."""
    _since: str = ""
    """Time of the last good check."""
    _replies: dict[str, dict[AttemptKey, int]] = field(default_factory=dict)
    """Task -> attempt -> replies on record at the last good check."""
    _facts: dict[str, Any] = field(default_factory=dict)
    """What the server states now."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._facts = dict(self.entry["facts"])
        self._set_good(self.entry["at"])

    async def check(self, client: Client | None = None) -> None:
        """Check the identity of all replicas, or only of that of ``client`` (when it is back after an outage).

        Notes the result, and changed settings, in the manifests, unless it raises. A server that cannot be reached is
        noted, too, and raises nothing. Raises ``EndpointUnusable``, at this and every later call, when a replica is
        another model than before, or refuses what it accepted before (the key, say); ``changed`` is set then. Raises
        ``StorageFailed`` where a manifest cannot be written.
        """
        async with self._lock:
            if self.changed:
                raise EndpointUnusable(self.changed)
            at = utc_now()
            try:
                facts, prints, notes = await self._identify(None if client is None else client.address)
            except ServerUnreachable as error:
                self._note({"at": at, "verdict": "not reached", "why": str(error)})
                return
            except EndpointUnusable as error:
                self._refuse(str(error))
            if identity := other_model({"facts": self._facts}, {"facts": {**self._facts, **facts}}):
                self._refuse(f"it states another model ({'; '.join(identity)})")
            old = from_json(self.entry["fingerprint"])
            if old is None or not prints:
                self._note({"at": at, "verdict": "no fingerprint", "why": "; ".join(notes)})
                self._set_good(at)  # it states the same identity, and there is nothing else to compare
                self._record_settings(facts, same=False)
                return
            distances = [compare(old, print_) for print_ in prints]
            comparison = max(distances, key=lambda distance: distance.distance or 0.0)
            if comparison.verdict == "different":
                self._refuse(f"it answers as another model than at {self._since} ({comparison.summary()})")
            self._note({"at": at, "verdict": comparison.verdict, "distance": round(comparison.distance or 0.0, 6)})
            if comparison.verdict == "same" and client is None:
                self._set_good(at)
            self._record_settings(facts, same=comparison.verdict == "same")

    async def final_check(self) -> None:
        """Check once more at the end of a run, for at most 120 seconds; for a changed server it raises nothing, but
        sets ``changed``. A server that does not answer in time is noted in the manifests and counts as unchanged.
        """
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.check()
        except EndpointUnusable as error:
            self.changed = self.changed or str(error)
        except TimeoutError:
            self._note({"at": utc_now(), "verdict": "not reached", "why": f"no answer within {LAST_SECONDS:.0f} s"})

    def invalidate(self) -> int:
        """Invalidate the attempts that got replies since the last good check; call it when nothing is in flight any
        more.

        Returns the number of attempts, which is noted in the manifests. The same command asks for them again.
        """
        count = 0
        for cell in self.cells:
            before = self._replies[cell.folder.name]
            late = [key for key, replies in cell.reply_counts().items() if replies != before.get(key, 0)]
            for key in late:
                cell.invalidate(key)
            count += len(late)
        probe = {"at": utc_now(), "verdict": "changed", "why": self.changed, "since": self._since}
        self._note({**probe, "put_aside": count})
        return count

    async def _identify(self, url: str | None) -> tuple[dict[str, Any], list[Fingerprint], list[str]]:
        """(facts of the first, fingerprints of all, notes) of the replicas, or of that at ``url`` alone, by new
        connections.

        Without an earlier fingerprint none is taken; where one differs, all are taken a second time, which counts.
        Raises ``EndpointUnusable`` as ``identify`` and ``take_fingerprints``.
        """
        async with AsyncExitStack() as stack:
            model = replace(self.model, served_name=self.served_name, base_url=url or self.model.base_url)
            clients = connect_all(model, self.engine)
            for client in clients:
                stack.push_async_callback(client.close)
            identities = [await identify(client) for client in clients]
            facts = dict(identities[0].facts)
            old = from_json(self.entry["fingerprint"])
            if old is None:
                return facts, [], []
            context = context_of(facts)
            prints, notes, _ = await take_fingerprints(clients, context)
            if any(compare(old, print_).verdict == "different" for print_ in prints):
                prints, notes, _ = await take_fingerprints(clients, context)  # a busy server may differ once
            return facts, prints, notes

    def _record_settings(self, facts: dict[str, Any], *, same: bool) -> None:
        """Take ``facts``, of a server that is not another model, for the present ones, and add a ``server`` entry to
        the manifests if they differ from those before: it was started again with other settings.

        ``same``: it answers as before. Then changed facts that are in no table are idle from now on.
        """
        stated = {**self._facts, **facts}
        idle = learnable({"facts": self._facts}, {"facts": stated}) if same else []
        for cell in self.cells if idle else ():
            cell.update({"idle": sorted({*idle, *(cell.manifest.get("idle") or ())})})
        ignored = [fact for cell in self.cells for fact in cell.manifest.get("idle") or ()]
        before = {"server": [{"facts": self._facts}], "idle": ignored}
        changes = differing_facts(before, {"server": [{"facts": stated}]})
        self._facts = stated
        if not changes:
            return
        words = "; ".join(f"{change.name}: {change.baseline} -> {change.candidate}" for change in changes)
        note = f"restarted with other settings: {words}"
        entry = {"at": utc_now(), "facts": stated, "fingerprint": None, "notes": [note]}
        for cell in self.cells:
            cell.update({"server": [*cell.manifest["server"], entry]})

    def _refuse(self, why: str) -> NoReturn:
        self.changed = f"{self.name} is no longer the server that it was: {why}"
        raise EndpointUnusable(self.changed)

    def _note(self, probe: dict[str, Any]) -> None:
        """Add the result of a check to the server's entry in the manifests of all cells, and write them."""
        self.entry.setdefault("probes", []).append(probe)
        for cell in self.cells:
            cell.update({})

    def _set_good(self, at: str) -> None:
        """Take the time ``at`` for that of the last good check, and the present replies for those of the right
        model."""
        self._since = at
        self._replies = {cell.folder.name: cell.reply_counts() for cell in self.cells}


async def final_checks(
    monitors: Mapping[str, IdentityMonitor], faults: Mapping[str, EvalsuiteError], stop: Stop
) -> dict[str, EvalsuiteError]:
    """Check all servers a last time, and invalidate the answers of changed ones since their last good check.

    A run that was stopped does not wait for this check; servers that are known to have changed are not checked again.

    Args:
        monitors: Model -> its monitor.
        faults: Endpoint (its models joined by `` + ``) -> why it was given up; those are not checked.
        stop: Whether the run was stopped.

    Returns:
        Model -> the fault, for models that have changed.
    """
    if not stop.requested:
        gone = {name for endpoint in faults for name in endpoint.split(" + ")}
        checked = [monitor for monitor in monitors.values() if not monitor.changed and monitor.name not in gone]
        await asyncio.gather(*(monitor.final_check() for monitor in checked))
    changed: dict[str, EvalsuiteError] = {}
    for name, monitor in monitors.items():
        if monitor.changed:
            count = monitor.invalidate()
            changed[name] = EndpointUnusable(
                f"{monitor.changed}. What it answered since its last good check does not count ({count} attempts): "
                "serve the right checkpoint, and the same command asks them again"
            )
    return changed
