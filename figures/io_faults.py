"""EIO and ENOSPC at the k-th write, fsync, rename ..., for every k of a real run."""

import errno
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from figures.line import Line
from tests.store import proving
from tests.store.io_faults import failing_disk

FAULTS = (("EIO", False), ("ENOSPC", True))
"""One call fails and the next works again; or nothing works from the k-th call on, as on a full disk."""
STALE = ("ESTALE", True)
"""A network file system that the server no longer knows."""
CODES = (0, 3, 74)
"""What a run may end with when its disk fails: the fault did no harm, or it is said to be the disk's."""


@dataclass(slots=True)
class Faults:
    """What happened over all k."""

    calls: int = 0
    """Calls of the uninterrupted run, and so the number of different k."""
    runs: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    """Exit codes of the runs that met the fault."""
    acknowledged: int = 0
    """Replies that a benchmark had been given and that were asked again."""
    unequal: int = 0
    """Continued runs that differ from the uninterrupted one."""
    bad: list[str] = field(default_factory=list)
    """What must not be: k, fault and what was said."""


def io_faults(folder: Path, *, step: int = 1, first: int = 1, faults: Sequence[tuple[str, bool]] = FAULTS) -> Faults:
    """Every ``step``-th k from ``first`` on, with each fault; then the same command again on a sound disk."""
    conf = proving.configure(folder / "conf", items=3, repeats=1)
    acks = folder / "acks"
    found = Faults()
    with proving.endpoints(0.0) as servers, failing_disk(folder, proving.environment(acks)) as disk:
        words = proving.command(conf, folder / "whole", servers)[3:]
        done = disk.run(words, folder / "whole", folder / "said")
        assert done.code == 0, done.said
        whole, found.calls = proving.outcome(folder / "whole"), done.calls
        for k in range(first, found.calls + 1, step):
            for name, onwards in faults:
                start = [len(server.requests) for server in servers]
                acks.unlink(missing_ok=True)
                results = folder / f"{name}-{k}"
                words = proving.command(conf, results, servers)[3:]
                fault = disk.run(words, results, folder / "said", at=k, error=getattr(errno, name), onwards=onwards)
                again = disk.run(words, results, folder / "said")
                found.runs += 1
                found.codes[fault.code] += 1
                if fault.code not in CODES or "Traceback" in fault.said:
                    found.bad.append(f"{name} at call {k}: exit {fault.code}: {fault.said[-600:]}")
                if again.code != 0:
                    found.bad.append(f"after {name} at call {k}: exit {again.code}: {again.said[-600:]}")
                    continue
                log = proving.requests(servers, start)
                found.acknowledged += len(proving.asked_after(log, proving.acknowledged(acks)))
                ended = proving.outcome(results)
                found.unequal += (ended.rows, ended.comparison) != (whole.rows, whole.comparison)
    return found


def measure(folder: Path) -> list[Line]:
    """The figure at full size: every k."""
    found = io_faults(folder)
    codes = ", ".join(f"{count} x {code}" for code, count in sorted(found.codes.items()))
    return [
        Line("calls of a small run that change something on disk", "stated", str(found.calls)),
        Line("runs with EIO at call k, or ENOSPC from call k on, for every k", "all", str(found.runs)),
        Line("their exit codes", "74, or 0 and 3 where the fault did no harm", codes),
        Line("replies acknowledged and asked again", "0", str(found.acknowledged)),
        Line("continued runs that differ from the uninterrupted one", "0", str(found.unequal)),
        Line("other exit codes, tracebacks, runs that cannot be continued", "0", str(len(found.bad))),
    ]
