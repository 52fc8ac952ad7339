"""The two streams of one job, values and report, read until the report is whole."""

import os
import select
import time
from collections.abc import Callable

OUTPUT = 64 << 20
"""Most bytes of values from one job."""


def collect(
    values: int, report: int, seconds: float, given_up: Callable[[], bool], *, connection: int | None = None
) -> tuple[bytes, bytes]:
    """Read a job's values and report from these two descriptors until the report ends, then close both: (values,
    report).

    Waits for the report's end ``seconds`` at most, less when ``given_up()`` is true or the other side closes the
    descriptor ``connection``; the report is what came until then, empty if the connection was closed. Values beyond
    64 MiB (``OUTPUT``; at most 1 MiB more) are dropped. The supervisor ends a job whose report's descriptor is closed.
    """
    raw, text, deadline = bytearray(), bytearray(), time.monotonic() + seconds
    handles = {values, report} | ({connection} if connection is not None else set())
    try:
        while report in handles and time.monotonic() < deadline and not given_up():
            for handle in select.select(list(handles), [], [], 0.2)[0]:
                chunk = os.read(handle, 1 << 20)
                if not chunk and handle == connection:
                    return bytes(raw), b""
                if not chunk:
                    handles.discard(handle)
                elif handle == report:
                    text += chunk
                elif handle == values and len(raw) <= OUTPUT:  # the rest is read and dropped: the job is not held up
                    raw += chunk
        while values in handles and text and len(raw) <= OUTPUT:  # all writers have ended by now
            chunk = os.read(values, 1 << 20)
            if not chunk:
                break
            raw += chunk
    finally:
        os.close(values)
        os.close(report)
    return bytes(raw), bytes(text)
