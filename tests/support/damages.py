"""Random damage to the lines of a journal, and which lines it leaves whole."""

import random
from collections.abc import Sequence


def damage(generator: random.Random, lines: Sequence[bytes]) -> tuple[bytes, set[int]]:
    """(the file after one damage, the numbers of the lines that it did not touch)."""
    kind = generator.choice(("flip", "cut", "swap", "double", "schema"))
    every = set(range(len(lines)))
    text = b"".join(lines)
    ends = [sum(map(len, lines[: number + 1])) for number in every]

    def line_of(place: int) -> int:
        return next(number for number, end in enumerate(ends) if place < end)

    if kind == "flip":
        place = generator.randrange(len(text))
        changed = bytearray(text)
        changed[place] ^= 1 << generator.randrange(8)
        return bytes(changed), every - {line_of(place)}
    if kind == "cut":
        start = generator.randrange(len(text))
        stop = min(len(text), start + generator.choice((1, 10, 100, 1000)))
        return text[:start] + text[stop:], every - set(range(line_of(start), line_of(stop - 1) + 1))
    if kind == "swap":
        order = list(every)
        generator.shuffle(order)
        return b"".join(lines[number] for number in order), every
    if kind == "double":
        number = generator.randrange(len(lines))
        return b"".join([*lines[: number + 1], *lines[number:]]), every
    return text.replace(b'"schema":2', b'"schema":1', 1), every - {0}
