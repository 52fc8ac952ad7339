"""AIME's reader beside the grader of NVIDIA's NeMo-Skills, on made answers."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evalsuite.records import Item, Reply
from evalsuite.tasks.aime import AIME
from figures import upstream_script as upstream
from figures.line import Line

ANSWERS = 2_000
STYLES = {
    "plain": r"\boxed{N}",
    "in a sentence": r"Hence the sum is $\boxed{N}$.",
    "an earlier box": r"First \boxed{M}, but then \boxed{N}",
    "a later box": r"\boxed{N}, that is \boxed{M}",
    "three digits": r"\boxed{Z}",
    "decimal": r"\boxed{N.0}",
    "full stop": r"\boxed{N.}",
    "dollars": r"\boxed{$N$}",
    "text": r"\boxed{\text{N}}",
    "bold": r"\boxed{\mathbf{N}}",
    "braces": r"\boxed{{N}}",
    "spaces": r"\boxed{ \, N \; }",
    "degrees": r"\boxed{N^\circ}",
    "percent": r"\boxed{N\%}",
    "unit": r"\boxed{N\text{ cm}^2}",
    "unit without text": r"\boxed{N cm}",
    "equation": r"\boxed{m+n=N}",
    "sum": r"\boxed{M + N - M}",
    "product": r"\boxed{1 \cdot N}",
    "fraction": r"\boxed{\frac{D}{2}}",
    "negative": r"\boxed{-N}",
    "another number": r"\boxed{M}",
    "two numbers": r"\boxed{N, M}",
    "either": r"\boxed{N \text{ or } M}",
    "expression": r"\boxed{N + x}",
    "square root": r"\boxed{\sqrt{S}}",
    "no box": "The final answer is N",
    "box without braces": r"\boxed N",
    "open box": r"\boxed{N",
    "empty box": r"\boxed{}",
    "fbox": r"\fbox{N}",
}
"""Name -> an answer; N: the key, M: another number, Z: the key in three digits, D: twice the key, S: its square."""
_GRADE = """
import json, sys, types, logging
sys.modules["nemo_skills"] = types.ModuleType("nemo_skills")
utils = sys.modules["nemo_skills.utils"] = types.ModuleType("nemo_skills.utils")
utils.get_logger_name = lambda file: "nemo"
logging.disable(logging.CRITICAL)
space = {"__name__": "grader", "__file__": "math_grader.py"}
exec(open("nemo_skills/evaluation/math_grader.py").read(), space)
def grade(key, text):
    answer = space["extract_answer"](text)
    return answer is not None and bool(space["math_equal"](key, answer))
print("\\n=====\\n" + json.dumps([grade(key, text) for key, text in json.load(sys.stdin)]))
"""


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures; ``folder`` is not used."""
    what, asked = f"AIME's reader beside NeMo-Skills' grader, {ANSWERS:,} made answers", "0 differences, or named"
    if why := upstream.missing("NeMo-Skills"):
        return [Line(what, asked, why)]
    different = differences(theirs())
    named = ", ".join(f"{style}: {count}" for style, count in different.items())
    return [Line(what, asked, f"{different.total()} differences{f': {named}' if named else ''}")]


def theirs() -> list[bool]:
    """Whether NeMo-Skills takes each made answer for right."""
    pairs = [(key, text) for _, key, text in made_answers(ANSWERS)]
    return [bool(right) for right in upstream.answered("NeMo-Skills", _GRADE, pairs)]


def differences(verdicts: Sequence[bool]) -> Counter[str]:
    """Style and verdict here -> number of made answers whose verdict is another one here."""
    task, different = AIME(), Counter[str]()
    for (style, key, text), other in zip(made_answers(ANSWERS), verdicts, strict=True):
        right = task.score(Item("0", {}, key), 0, Reply(text)).value == 1
        if right != other:
            different[f"{style} ({'right' if right else 'wrong'} here)"] += 1
    return different


def made_answers(count: int) -> list[tuple[str, str, str]]:
    """(style, key, answer), every style equally often, with seeded numbers."""
    draw, styles = random.Random(18), list(STYLES)
    made = []
    for number in range(count):
        key, other = draw.sample(range(1, 1000), 2)
        style = styles[number % len(styles)]
        values = {"N": str(key), "M": str(other), "Z": f"{key:03d}", "D": str(2 * key), "S": str(key * key)}
        made.append((style, str(key), "".join(values.get(character, character) for character in STYLES[style])))
    return made
