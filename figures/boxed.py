"""GSM8K's reader on 300 made boxes with plain labels, and where NVIDIA's grader for the same prompt differs."""

import json
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from evalsuite.tasks.grading import extract
from figures import upstream
from figures.line import Line

BOXES = Path(__file__).parents[1] / "tests" / "tasks" / "grading" / "vectors" / "boxes.jsonl"
"""First line: whose verdicts; then [box, key, whether it is right, kind of box, their verdict]. The labels were written
by hand from what the box shows, not by a reader."""
Row = tuple[str, str, bool, str, bool]


def rows() -> tuple[dict[str, str], list[Row]]:
    """(whose verdicts the file holds, the boxes)."""
    head, *lines = BOXES.read_text(encoding="utf-8").splitlines()
    return json.loads(head), [tuple(json.loads(line)) for line in lines]


def ours(box: str, key: str) -> bool:
    """Whether our reader finds the key in a box."""
    found = extract.boxed_number(f"\\boxed{{{box}}}")
    return found.in_range and Fraction(str(found.answer)) == Fraction(key)


def theirs() -> Callable[[str, str], bool]:
    """NeMo-Skills' verdict on a box: (box, key) -> whether it is right."""
    equal = upstream.nemo_math()
    return lambda box, key: equal(key, f"\\boxed{{{box}}}")


def write_verdicts() -> None:
    """Write their verdicts of the checkout into the file again."""
    head, known = rows()
    head["commit"], equal = upstream.commit("NeMo-Skills"), theirs()
    again = [[box, key, right, kind, equal(box, key)] for box, key, right, kind, _ in known]
    lines = [json.dumps(head), *(json.dumps(row, ensure_ascii=False) for row in again)]
    BOXES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def lines(folder: Path) -> list[Line]:
    """Both readers beside the labels, and every box on which they differ."""
    head, known = rows()
    own = {(box, key): ours(box, key) for box, key, *_ in known}
    wrong = [box for box, key, right, *_ in known if own[box, key] != right]
    equal = sum(verdict == right for _, _, right, _, verdict in known)
    table = [
        Line(f"{len(known)} made boxes, verdicts equal to the plain label", "all", _count(len(known), wrong)),
        Line(f"of these NeMo-Skills' grader ({head['commit'][:12]})", "stated", f"{equal} of {len(known)}"),
        Line("their verdicts run again in a checkout", "as the table says", _again(known)),
    ]
    apart: dict[str, list[str]] = defaultdict(list)
    for box, key, right, kind, verdict in known:
        if own[box, key] != verdict:
            who = "ours" if own[box, key] == right else "theirs"
            shown = box.replace("|", "\\|")
            apart[kind].append(f"`{shown}` for {key} ({'right' if right else 'wrong'}: {who})")
    table += [
        Line(f"{kind}: readers differ", "listed, with who is right", f"{len(boxes)}: {'; '.join(boxes)}")
        for kind, boxes in apart.items()
    ]
    return table


def _count(total: int, wrong: list[str]) -> str:
    return f"{total - len(wrong)} of {total}{f'; not {wrong}' if wrong else ''}"


def _again(known: list[Row]) -> str:
    try:
        equal = theirs()
    except upstream.NoCheckoutError as missing:
        return f"not measured: {missing}"
    same = sum(equal(box, key) == verdict for box, key, _, _, verdict in known)
    return f"{same} of {len(known)} equal at {upstream.commit('NeMo-Skills')[:12]}"
