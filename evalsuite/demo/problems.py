"""Generated word problems in five subjects: what the demo model learns and what it is asked.

Each problem comes with the scratchpad that the model is trained to write before its answer (digit by digit, as
pupils do it), and with the one right answer. Two problems are the same when their `key` (subject and operands,
whatever the wording) is the same: `training_problems` never yields a problem whose key is held out.
Standard library only, no state: everything is a pure function of a seed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

SUBJECTS: tuple[str, ...] = ("add", "sub", "mul", "mod", "pick")
HELD_OUT_PER_SUBJECT = 400
_HELD_OUT_SEED = 20261120

_NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo")
_THINGS = ("pens", "cards", "shells", "stamps", "coins", "beads", "nuts", "books")


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its worked solution."""

    id: str
    """Stable name: `mod-0123` if held out, `train-000123` in a training stream."""
    subject: str
    """One of `SUBJECTS`."""
    question: str
    """What the user asks, in English."""
    scratchpad: str
    """The worked steps, one a line, each line ended by a newline."""
    answer: str
    """A number in decimal digits, or one letter of A to D in `pick`."""
    key: str
    """Subject and operands in a fixed order; equal keys are equal problems in other words."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A problem before it has a place in a list."""

    key: str
    question: str
    scratchpad: str
    answer: str


def training_problems(seed: int) -> Iterator[Problem]:
    """An endless stream of problems, each of a random subject, none of them held out; equal seeds
    give equal streams.
    """
    rng = Random(seed)
    forbidden = {problem.key for problem in held_out()}
    index = 0
    while True:
        subject = SUBJECTS[rng.randrange(len(SUBJECTS))]
        draft = _DRAFTS[subject](rng)
        if draft.key in forbidden:
            continue
        yield _numbered(draft, subject, f"train-{index:06d}")
        index += 1


@cache
def held_out() -> tuple[Problem, ...]:
    """The 2,000 problems of the task, 400 a subject, subject by subject; always the same, in the same order."""
    problems: list[Problem] = []
    for place, subject in enumerate(SUBJECTS):
        rng = Random(_HELD_OUT_SEED + place)
        seen: set[str] = set()
        while len(seen) < HELD_OUT_PER_SUBJECT:
            draft = _DRAFTS[subject](rng)
            if draft.key not in seen:
                problems.append(_numbered(draft, subject, f"{subject}-{len(seen):04d}"))
                seen.add(draft.key)
    return tuple(problems)


def _numbered(draft: _Draft, subject: str, name: str) -> Problem:
    return Problem(name, subject, draft.question, draft.scratchpad, draft.answer, draft.key)


def _number(rng: Random) -> int:
    """A random number of two digits (two times in five) or three."""
    return rng.randrange(10, 100) if rng.randrange(5) < 2 else rng.randrange(100, 1000)


def _wording(rng: Random, choices: tuple[str, ...], a: int, b: int) -> str:
    """A random one of the templates `choices`, filled with the operands `a` and `b`, a random name
    and a random thing.
    """
    text = choices[rng.randrange(len(choices))]
    name = _NAMES[rng.randrange(len(_NAMES))]
    thing = _THINGS[rng.randrange(len(_THINGS))]
    return text.format(a=a, b=b, name=name, thing=thing)


_ADD_WORDINGS = (
    "What is {a} plus {b}?",
    "{name} has {a} {thing} and gets {b} more. How many {thing} does {name} have now?",
    "{name} buys {a} {thing} on Monday and {b} on Friday. How many is that in all?",
)


def _add(rng: Random) -> _Draft:
    a, b = _number(rng), _number(rng)
    carry, steps = 0, []
    left, right = a, b
    while left or right:
        column = left % 10 + right % 10 + carry
        steps.append(f"{left % 10}+{right % 10}+{carry}={column}\n")
        left, right, carry = left // 10, right // 10, column // 10
    low, high = sorted((a, b))
    return _Draft(f"add {low} {high}", _wording(rng, _ADD_WORDINGS, a, b), "".join(steps), str(a + b))


_SUB_WORDINGS = (
    "What is {a} minus {b}?",
    "{name} has {a} {thing} and gives away {b}. How many {thing} are left?",
    "{name} has {a} {thing} and loses {b}. How many {thing} does {name} have now?",
)


def _sub(rng: Random) -> _Draft:
    b, a = sorted((_number(rng), _number(rng)))
    borrow, steps = 0, []
    left, right = a, b
    while left or right:
        lend = 10 if left % 10 < right % 10 + borrow else 0
        column = left % 10 + lend - right % 10 - borrow
        steps.append(f"{left % 10 + lend}-{right % 10}-{borrow}={column}\n")
        left, right, borrow = left // 10, right // 10, lend // 10
    return _Draft(f"sub {a} {b}", _wording(rng, _SUB_WORDINGS, a, b), "".join(steps), str(a - b))


_MUL_WORDINGS = (
    "What is {a} times {b}?",
    "{name} has {b} boxes with {a} {thing} in each. How many {thing} is that in all?",
)


def _mul(rng: Random) -> _Draft:
    a, b = _number(rng), rng.randrange(3, 10)
    carry, steps = 0, []
    left = a
    while left:
        column = left % 10 * b + carry
        steps.append(f"{left % 10}*{b}+{carry}={column}\n")
        left, carry = left // 10, column // 10
    return _Draft(f"mul {a} {b}", _wording(rng, _MUL_WORDINGS, a, b), "".join(steps), str(a * b))


_MOD_WORDINGS = (
    "What is left when {a} is divided by {b}?",
    "{name} puts {a} {thing} in bags of {b}. How many {thing} are left?",
)


def _mod(rng: Random) -> _Draft:
    """A random problem on the remainder of a long division by 3 to 9.

    Every line of its scratchpad takes the remainder so far and the next digit, `34=6*5+4`; the first takes two digits
    if the first digit is below the divisor.
    """
    a, b = _number(rng), rng.randrange(3, 10)
    rest, steps = 0, []
    for place, digit in enumerate(str(a)):
        rest = rest * 10 + int(digit)
        if place == 0 and rest < b:
            continue  # a first digit below the divisor is taken together with the second
        steps.append(f"{rest}={b}*{rest // b}+{rest % b}\n")
        rest %= b
    return _Draft(f"mod {a} {b}", _wording(rng, _MOD_WORDINGS, a, b), "".join(steps), str(rest))


def _pick(rng: Random) -> _Draft:
    """A random problem: which of four numbers is the largest or the smallest, answered by its letter.

    The scratchpad keeps the best one so far.
    """
    numbers: list[int] = []
    while len(numbers) < 4:
        number = _number(rng)
        if number not in numbers:
            numbers.append(number)
    which = ("largest", "smallest")[rng.randrange(2)]
    best, steps = 0, []
    for place, number in enumerate(numbers):
        if number > numbers[best] if which == "largest" else number < numbers[best]:
            best = place
        steps.append(f"{'ABCD'[best]} {numbers[best]}\n")
    options = "".join(f"\n{letter}) {number}" for letter, number in zip("ABCD", numbers, strict=True))
    key = f"pick {which} " + " ".join(str(number) for number in sorted(numbers))
    return _Draft(key, f"Which number is the {which}?{options}", "".join(steps), "ABCD"[best])


_DRAFTS: dict[str, Callable[[Random], _Draft]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "mod": _mod,
    "pick": _pick,
}
