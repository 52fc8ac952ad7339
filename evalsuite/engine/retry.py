"""One reply, whatever it takes: transient faults are asked again; a judge's or simulator's are told apart."""

import asyncio
import math
import time
from collections import Counter

from evalsuite.endpoint.faults import Busy, Empty, TooSlow, Transient, pause
from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.stream import PartialReply
from evalsuite.engine.stopping import Stop
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request


async def ask_again(
    client: Pool, request: Request, stop: Stop, progress: PartialReply | None = None
) -> tuple[Reply, int]:
    """(reply, requests sent): transient faults are asked again, as the settings of the pool's engine say.

    Waiting for a busy endpoint, or for one that was down, costs no attempt; both end after ``engine.outage_seconds``,
    and a question that an endpoint went down over more often than it may be asked is given up. A fault with a limit of
    its own (``Transient.retries``) counts against it with its own kind only. Raises
    ``SampleFailed`` with the last fault, ``ContextOverflow`` and ``EndpointUnusable``.
    """
    engine = client.engine
    sent = spent = 0
    outages = busy = 0
    since = math.inf
    kinds: Counter[tuple[type[Transient], int | None]] = Counter()
    while True:
        sent += 1
        try:
            return await client.send(request, progress), sent
        except TooSlow as fault:
            await client.gave_up(fault)
            raise SampleFailed(str(fault), sent) from None
        except Transient as fault:
            if isinstance(fault, Busy):
                busy, since = busy + 1, min(since, time.monotonic())
                over = time.monotonic() - since > engine.outage_seconds
            else:
                busy, since = 0, math.inf
                outages, spent = outages + fault.outage, spent + (not fault.outage)
                kinds[type(fault), fault.retries] += not fault.outage
                often = fault.retries is not None and kinds[type(fault), fault.retries] > fault.retries
                over = often or spent > engine.retries or outages > engine.retries + 1
            if isinstance(fault, Empty) and over:
                client.tally.empty += 1
                return fault.reply, sent
            if over or stop.requested:
                if not stop.requested:
                    await client.gave_up(fault)
                raise SampleFailed(f"{fault} (asked {sent} times)", sent) from None
            if not fault.outage:
                await asyncio.sleep(pause(busy or spent, fault, engine))
