"""Settings of the allocator and the garbage collector: long answers are freed, imported modules stay."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_MMAP_THRESHOLD = -3
"""``mallopt(3)``, glibc."""
LARGE = 64 * 1024
"""Bytes from which a block gets pages of its own, which go back to the system when it is freed."""
OBJECTS = 20_000
"""New objects after which the garbage collector looks for unreachable cycles; Python's own number is 700."""


YOUNG = 50
"""Such collections after which the objects that survived one are looked at, too: most runs end before."""


def give_back_large_blocks() -> None:
    """Make glibc's allocator return the memory of long answers to the system when they are freed; elsewhere do nothing.

    Sets a fixed ``M_MMAP_THRESHOLD``. glibc raises it by itself with the first such block that is freed; from
    then on they come out of its heaps, which hundreds of answers leave full of holes (measured: 35 KB for
    every sample ever asked).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)


@contextmanager
def importing() -> Iterator[None]:
    """For a ``with`` block that imports modules: no garbage collection in it; afterwards collection is on, rare, and
    leaves out all objects that existed at the end of the block.

    Collecting costs a tenth of the start-up time, and again whenever a run has made a quarter more objects. Of a run's
    time it took an eighth: attempts make no cycles, so that all of an attempt is freed without it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(OBJECTS, YOUNG)
        gc.enable()
