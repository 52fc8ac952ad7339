"""Process that evaluates constant arithmetic in LaTeX with math-verify: a JSON line in, a JSON line out.

SymPy can need hours and all memory for a short text (``9^{9^{9^9}}``). Each line therefore gets ``CPU_SECONDS`` of
processor time, after which the kernel ends the process; math-verify's own limits are alarm signals, which work in a
main thread only, and are switched off.
"""

import json
import resource
import sys
from fractions import Fraction

CPU_SECONDS = 5
"""Processor time for one text, in seconds; not wall-clock time, so that a busy machine changes no verdict."""
MEMORY_BYTES = 2 << 30
"""Address space of the process."""
LARGEST_BITS = 660
"""Size of the largest numerator and denominator that are returned: about 200 digits."""
READY = "ready\n"
"""First line of output, after math-verify was loaded."""


def main() -> None:
    """Serve as the worker process: print ``ready``, then for each line of standard input (a
    LaTeX text as JSON) one JSON line.

    It is the exact value as ``"37/2"``, or null when math-verify reads no rational number (of at most 660 bits above
    and below the line). Limits of the process: 2 GiB of memory, and 5 to 6 s of processor time for each line, after
    which the kernel ends it. Returns at the end of the input.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    from math_verify import LatexExtractionConfig, parse  # 0.5 s

    _write(READY)
    for line in sys.stdin:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(usage.ru_utime + usage.ru_stime) + 1 + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit if hard < 0 else min(limit, hard), hard))
        values = parse(
            f"${json.loads(line)}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None
        )
        _write(json.dumps(_value(values[0]) if values else None) + "\n")


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _value(value: object) -> str | None:
    """Return a SymPy value as exact text for ``fractions.Fraction`` (``37/2``).

    None when it is no constant, is irrational, or has a numerator or denominator of more than 660 bits.
    """
    import sympy

    if not isinstance(value, sympy.Expr) or value.free_symbols:
        return None
    exact = sympy.nsimplify(value, rational=True) if value.has(sympy.Float) else sympy.simplify(value)
    if not isinstance(exact, sympy.Rational):
        return None
    fraction = Fraction(int(exact.p), int(exact.q))
    return str(fraction) if max(abs(fraction.numerator), fraction.denominator).bit_length() <= LARGEST_BITS else None


if __name__ == "__main__":
    main()
