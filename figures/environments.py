"""Odd shells (proxies, certificates, keys, locales, file limits, clocks, homes): a normal run or one line."""

from pathlib import Path

from evalsuite.errors import Exit
from figures.line import Line
from tests.support.odd_environments import ENVIRONMENTS, as_promised, outcome, place


def figure(folder: Path) -> list[Line]:
    """One run of six questions in each shell."""
    possible = [odd for odd in ENVIRONMENTS if odd.possible]
    codes: dict[str, int] = {}
    wrong: dict[str, str] = {}
    for number, odd in enumerate(possible):
        home = folder / str(number)
        home.mkdir()
        with place(home) as here:
            found = outcome(odd, here)
        codes[odd.what] = found.code
        if why := as_promised(odd, found):
            wrong[odd.what] = why
    normal = [what for what, code in codes.items() if code == Exit.DONE]
    named = ", ".join(f"{what} (exit {code})" for what, code in codes.items() if code != Exit.DONE)
    kept = len(possible) - len(wrong)
    return [
        Line(
            f"{len(ENVIRONMENTS)} odd shells: proxies, certificates, keys, locales, file limits, clocks, homes",
            "a normal run or one line, in all of them",
            f"{kept} of {len(possible)} that this machine can make"
            + "".join(f"; {what}: {why}" for what, why in wrong.items()),
        ),
        Line("of which exit 70", "never", str(sum(code == Exit.BUG for code in codes.values()))),
        Line("normal runs", "stated", f"{len(normal)}: {', '.join(normal)}"),
        Line("refused in one line", "stated", named),
    ]
