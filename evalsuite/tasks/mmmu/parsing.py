"""Answer parsers of MMMU-Pro's authors and of SGLang's MMMU benchmark, without their random guesses.

As in ``extract``: pure, linear in the length of the text, and the stage that hit is named. Where a published pattern
is quadratic, a linear equivalent stands here, held to identical results by tests.
"""

import re
from collections.abc import Mapping, Sequence

from evalsuite.tasks.grading.extract import NOTHING, Extracted

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LONG_TEXT = 5
"""Words beyond which the text of an option counts as an answer."""
_LABEL = "Answer:"


def pro_letter(text: str, options: Sequence[str]) -> Extracted:
    """MMMU-Pro's parser (MMMU-Benchmark/MMMU bb0b95a, ``mmmu-pro/evaluate.py``) without its ``random.choice``.

    1. behind the last ``Answer:``, the one letter of the options that occurs there at all ("Band C" has two, so it
    is none); 2. ``(X)``; 3. ``X`` and a space; 4. ``X.``; 5. in answers of more than five words, an option's text.
    Of several hits of a stage the last one counts, where stage 3 looks for ``X`` between spaces and stage 4 takes the
    first letter if none stands so.
    """
    letters = LETTERS[: len(options)]
    label = text.rfind(_LABEL)
    if label >= 0:
        rest = text[label + len(_LABEL) :].strip()
        found = [letter for letter in letters if letter in rest]
        if len(found) == 1:
            return Extracted(found[0], "answer_label", 1, True)
    padded = _padded(text)
    for stage, shape, place in (
        ("bracket", "({})", "({})"),
        ("letter_space", "{} ", " {} "),
        ("letter_dot", "{}.", " {} "),
    ):
        found = [letter for letter in letters if shape.format(letter) in padded]
        if found:
            return _last(stage, {letter: padded.rfind(place.format(letter)) for letter in found})
    return _option_text(padded, letters, options)


def sglang_letter(text: str, options: Sequence[str]) -> Extracted:
    """SGLang's parser of choices (sgl-project/sglang 0572f4c, ``benchmark/mmmu/eval_utils.py``), without its guess.

    1. of five explicit forms (``answer: X``, ``X`` alone at the end, ``\\boxed{X}``, ``answer is X``, ``X.`` at the
    start; any case) the hit that stands last; 2. ``(X)``; 3. ``X`` between spaces; 4. in answers of more than five
    words, an option's text; 5. the first letter that stands alone once punctuation is gone.
    """
    text, letters = text.strip(), LETTERS[: len(options)]
    explicit = [(place, letter.upper()) for place, letter in _explicit(text) if letter.upper() in letters]
    if explicit:
        return Extracted(max(explicit)[1], "explicit", len(explicit), True)
    padded = _padded(text)
    for stage, shape in (("bracket", "({})"), ("letter", " {} ")):
        found = [letter for letter in letters if shape.format(letter) in padded]
        if found:
            return _last(stage, {letter: padded.rfind(shape.format(letter)) for letter in found})
    by_text = _option_text(padded, letters, options)
    if by_text.answer is not None:
        return by_text
    first: dict[str, int] = {}
    for place, word in enumerate(padded.translate(_PUNCTUATION).split()):
        if word in letters and len(word) == 1:
            first.setdefault(word, place)
    return Extracted(min(first, key=lambda word: first[word]), "alone", len(first), True) if first else NOTHING


def open_answer(text: str, keys: Sequence[str]) -> tuple[bool, str | None]:
    """SGLang's grading of an open question (same file): (whether it is right, what was read as the answer).

    The ends of the sentences that announce a result, all numbers in them and the whole reply are the candidates.
    Right if one contains a key as text (any case) or equals it as a number rounded to two decimals. A short key is
    therefore found in many a long text; that is the protocol's, kept as it is.
    """
    if not text.strip():
        return False, None
    announced = _announced(text)
    candidates: list[str] = [*announced, *(number for one in announced for number in _numbers(one))]
    read: list[str | float] = [value for one in candidates for value in _normalized(one)]
    read.append(text.strip().lower())
    wanted = [value for key in keys for value in _normalized(key)]
    texts = [value for value in wanted if isinstance(value, str)] + [key.strip().lower() for key in keys]
    right = any(any(one in value for one in texts) if isinstance(value, str) else value in wanted for value in read)
    return right, announced[-1][:80]


# ---------------------------------------------------------------- shared by both parsers of choices


def _padded(text: str) -> str:
    for sign in ",.!?;:'":
        text = text.strip(sign)
    return f" {text} "


def _last(stage: str, places: Mapping[str, int]) -> Extracted:
    """The letter that stands last; of equal places (not found at all: -1) the first letter."""
    return Extracted(max(places, key=lambda letter: places[letter]), stage, len(places), True)


def _option_text(padded: str, letters: str, options: Sequence[str]) -> Extracted:
    if len(padded.split(maxsplit=LONG_TEXT)) <= LONG_TEXT:
        return NOTHING
    low = padded.lower()
    places = {letter: low.rfind(option.lower()) for letter, option in zip(letters, options, strict=True)}
    found = {letter: place for letter, place in places.items() if place >= 0}
    return _last("option_text", found) if found else NOTHING


# ---------------------------------------------------------------- SGLang's explicit forms

_PUNCTUATION = str.maketrans(dict.fromkeys(".()[],:;!*#{}\"'", " "))
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        # published: \banswer\s*:\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}(?![A-Za-z])
        r"\banswer\s*+:\s*+\*{0,2}+\s*+\(?+([A-Z])(?![A-Za-z])",
        # published: \\boxed\{\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}\s*\}
        r"\\boxed\{\s*+\*{0,2}+\s*+\(?+([A-Z])\)?+\s*+\*{0,2}+\s*+\}",
        # published: \b(?:the\s+)?answer\s+is\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}(?![A-Za-z])
        r"\banswer\s++is\s*+\*{0,2}+\s*+\(?+([A-Z])(?![A-Za-z])",
    )
)
_START = re.compile(r"\s*+\(?+([A-Z])\)?+\s*+\.", re.IGNORECASE)
# published: (?:^|\n)\s*\*{0,2}\s*\(?([A-Z])\)?\s*\*{0,2}\s*\.?\s*$ ; here of the text read backwards
_END = re.compile(r"\s*+\.?+\s*+\*{0,2}+\s*+\)?+([A-Z])\(?+(\s*+)\*{0,2}+(\s*+)", re.IGNORECASE)


def _explicit(text: str) -> list[tuple[int, str]]:
    """(place, letter) of every explicit form."""
    found = [(hit.start(1), hit.group(1)) for form in _FORMS for hit in form.finditer(text)]
    start = _START.match(text)
    if start:
        found.append((start.start(1), start.group(1)))
    end = _END.match(text[::-1])
    if end:
        alone = end.end() == len(text) or "\n" in end.group(2) or "\n" in end.group(3)
        if alone:
            found.append((len(text) - end.end(1), end.group(1)))
    return found


# ---------------------------------------------------------------- SGLang's open questions

_ANNOUNCING = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_SENTENCE = re.compile(r"\.\s(?=[A-Z])|\n")
_TRIVIAL = frozenset(":,.!?;'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    # published: -?\d+(?:\.\d+)?[eE][+-]?\d+
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?+[eE][+-]?\d+"),
    # published: -?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])
    re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?![,\d])"),
)


def _announced(text: str) -> list[str]:
    """The shortest end of each sentence that announces a result (of the last one also behind "="), else all of it."""
    whole = text.strip().strip(".").lower()
    sentences = _SENTENCE.split(whole)
    found = []
    for number, sentence in enumerate(sentences, 1):
        words = (*_ANNOUNCING, "=") if number == len(sentences) else _ANNOUNCING
        shortest = ""
        for word in words:
            _, announces, end = sentence.rpartition(word)
            if announces and (not shortest or len(end.strip()) < len(shortest)):
                shortest = end.strip()
        if shortest and shortest not in _TRIVIAL:
            found.append(shortest)
    return found or [whole]


def _numbers(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _normalized(text: str) -> list[str | float]:
    """A number to two decimals, else the text in lower case; a single character with a space before or behind it."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        low = text.lower()
    return [" " + low, low + " "] if len(low) == 1 else [low]
