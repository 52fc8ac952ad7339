"""One reply to one request, sent again after transient faults."""

import asyncio
import math
import time

from evalsuite.endpoint.faults import Busy, Empty, TooSlow, Transient, pause
from evalsuite.endpoint.pool import Pool
from evalsuite.endpoint.stream import PartialReply
from evalsuite.engine.stopping import Stop
from evalsuite.errors import SampleFailed
from evalsuite.records import Reply, Request


async def ask_again(
    pool: Pool, request: Request, stop: Stop, progress: PartialReply | None = None
) -> tuple[Reply, int]:
    """Send a request until there is a reply, as the pool's engine settings allow.

    A fault costs one of ``engine.retries``; faults of a kind with a limit of its own (``Transient.retries``) are also
    retried at most that often. Waiting for a busy endpoint, or for one that was down, costs no retry. A busy one is
    waited for until it refuses more than ``engine.outage_seconds`` after its first refusal in a row; one that is down
    as ``Pool.send`` states, but ``engine.retries`` + 1 times at most for one request. After the retries an empty reply
    counts as the answer.

    Args:
        pool: The model to ask.
        request: What is sent.
        stop: Looked at only when the request fails: if it is requested then, the request is not sent again. A stop
            during the pause or outage after a failure does not prevent the next sending.
        progress: Shows the reply while it arrives; None: nothing does.

    Returns:
        (reply, number of requests sent).

    Raises:
        SampleFailed: With the last fault, when there are no retries left, or ``stop`` is requested at a fault; at once
            for a request that the server refuses (``Rejected``) or that took too long.
        ContextOverflow: The prompt does not fit the context of the model.
        EndpointUnusable: The endpoint was given up.
    """
    engine = pool.engine
    sent = spent = 0
    outages = busy = 0
    since = math.inf
    kinds: dict[tuple[type[Transient], int | None], int] = {}
    while True:
        sent += 1
        try:
            return await pool.send(request, progress), sent
        except TooSlow as fault:
            await pool.gave_up(fault)
            raise SampleFailed(str(fault), sent) from None
        except Transient as fault:
            if isinstance(fault, Busy):
                busy, since = busy + 1, min(since, time.monotonic())
                over = time.monotonic() - since > engine.outage_seconds
            else:
                busy, since = 0, math.inf
                outages, spent = outages + fault.outage, spent + (not fault.outage)
                kind = (type(fault), fault.retries)
                kinds[kind] = kinds.get(kind, 0) + (not fault.outage)
                often = fault.retries is not None and kinds[kind] > fault.retries
                over = often or spent > engine.retries or outages > engine.retries + 1
            if isinstance(fault, Empty) and over:
                pool.tally.empty += 1
                return fault.reply, sent
            if over or stop.requested:
                if not stop.requested:
                    await pool.gave_up(fault)
                raise SampleFailed(f"{fault} (asked {sent} times)", sent) from None
            if not fault.outage:
                await asyncio.sleep(pause(busy or spent, fault, engine))
