"""Names that NumPy and SciPy have dropped and that the benchmark's import blocks and tests still use.

SciCode was written for SciPy before 1.14 (NeMo-Skills pins 1.10.1 for that reason); under its old names the present
functions are put back, so that an import line of the benchmark is never counted against an answer.
"""

from typing import Any


def restore() -> None:
    """Put names that NumPy and SciPy have dropped back into these modules, in this process; names that are still there
    stay as they are.

    They are ``simps``, ``cumtrapz`` and ``trapz`` of ``scipy.integrate``, and ``trapz``, ``in1d``, ``product``,
    ``cumproduct``, ``float_``, ``complex_``, ``Inf``, ``NaN`` and ``row_stack`` of NumPy.
    """
    import numpy as np
    import scipy.integrate as integrate

    def simps(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1, even: Any = None) -> Any:
        return integrate.simpson(y, x=x, dx=dx, axis=axis)

    def cumtrapz(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1, initial: Any = None) -> Any:
        return integrate.cumulative_trapezoid(y, x=x, dx=dx, axis=axis, initial=initial)

    old: list[tuple[Any, str, Any]] = [
        (integrate, "simps", simps),
        (integrate, "cumtrapz", cumtrapz),
        (integrate, "trapz", integrate.trapezoid),
        (np, "trapz", np.trapezoid),
        (np, "in1d", np.isin),
        (np, "product", np.prod),
        (np, "cumproduct", np.cumprod),
        (np, "float_", np.float64),
        (np, "complex_", np.complex128),
        (np, "Inf", np.inf),
        (np, "NaN", np.nan),
        (np, "row_stack", np.vstack),
    ]
    for module, name, value in old:
        if name not in vars(module):
            setattr(module, name, value)
