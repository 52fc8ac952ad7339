"""Answer parsers of MMMU's and MMMU-Pro's authors and of SGLang's MMMU benchmark, without their random guesses.

As in ``extract``, the functions are pure and linear in the length of the text, and report the stage that matched. Where
a published pattern is quadratic, a linear equivalent is used, and tests compare their results.
"""

import re
from collections.abc import Mapping, Sequence

from evalsuite.tasks.grading.extract import NOTHING, Extracted

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Letters of the options."""
LONG_TEXT = 5
"""Number of words above which the text of an option counts as an answer."""
_LABEL = "Answer:"


def pro_letter(text: str, options: Sequence[str]) -> Extracted:
    """Extract a letter by MMMU-Pro's parser (MMMU-Benchmark/MMMU bb0b95a, ``mmmu-pro/evaluate.py``) without its guess.

    1. after the last ``Answer:``, the one letter of the options that occurs there at all ("Band C" has two, B and C, so
    that stage 2 follows); 2. ``(X)``; 3. ``X`` and a space; 4. ``X.``; 5. in answers of more than five words, an
    option's text (any case). Of several letters in stage 2 or 5 the one whose last place is the last counts; in stage 3
    or 4 the one that stands last between two spaces, and the first in the alphabet when none stands so. Stages 2 to 5
    read the text without punctuation at its ends and with one space added before and behind it. ``options`` are the
    texts of options A, B, ... (at most 26); without a match the answer is None.
    """
    letters = LETTERS[: len(options)]
    label = text.rfind(_LABEL)
    if label >= 0:
        rest = text[label + len(_LABEL) :].strip()
        letters_found = [letter for letter in letters if letter in rest]
        if len(letters_found) == 1:
            return Extracted(letters_found[0], "answer_label", 1, True)
    padded = _padded(text)
    for stage, shape, place in (
        ("bracket", "({})", "({})"),
        ("letter_space", "{} ", " {} "),
        ("letter_dot", "{}.", " {} "),
    ):
        letters_found = [letter for letter in letters if shape.format(letter) in padded]
        if letters_found:
            return _last(stage, {letter: padded.rfind(place.format(letter)) for letter in letters_found})
    return _option_text(padded, letters, options)


def sglang_letter(text: str, options: Sequence[str]) -> Extracted:
    r"""Extract a letter by SGLang's parser (sgl-project/sglang 0572f4c, ``benchmark/mmmu/eval_utils.py``).

    The random guess of the original is left out. 1. the last match of five explicit forms (``answer: X``, ``X`` alone
    on the last line, ``\boxed{X}``, ``answer is X``, ``X.`` at the start; any case); 2. the last ``(X)``; 3. the last
    ``X`` between spaces; 4. in answers of more than five words, the last text of an option (any case); 5. the first
    word that is one capital letter when punctuation counts as space. Stages 2 to 5 read the text without punctuation at
    its ends and with one space added before and behind it. ``options`` are the texts of options A, B, ... (at most 26);
    letters of no option are passed over, and without a match the answer is None.
    """
    text, letters = text.strip(), LETTERS[: len(options)]
    explicit = [(position, letter.upper()) for position, letter in _explicit(text) if letter.upper() in letters]
    if explicit:
        return Extracted(max(explicit)[1], "explicit", len(explicit), True)
    padded = _padded(text)
    for stage, shape in (("bracket", "({})"), ("letter", " {} ")):
        letters_found = [letter for letter in letters if shape.format(letter) in padded]
        if letters_found:
            return _last(stage, {letter: padded.rfind(shape.format(letter)) for letter in letters_found})
    by_text = _option_text(padded, letters, options)
    if by_text.answer is not None:
        return by_text
    first: dict[str, int] = {}
    for position, word in enumerate(padded.translate(_PUNCTUATION).split()):
        if word in letters and len(word) == 1:
            first.setdefault(word, position)
    return Extracted(min(first, key=lambda word: first[word]), "alone", len(first), True) if first else NOTHING


def open_answer(text: str, keys: Sequence[str]) -> tuple[bool, str | None]:
    """Grade a reply to an open question against its accepted answers ``keys``, as MMMU's authors do
    (MMMU-Benchmark/MMMU bb0b95a, ``mmmu/utils/eval_utils.py``).

    Returns (whether it is correct, the last announced result in lower case, cut to 80 characters; None for a blank
    reply). Announced results are the ends of lines behind a word such as "is" or "answer", or the whole reply without
    one; they and all numbers in them are the candidates. The answer is correct when a candidate equals a key as a
    number rounded to two decimals, or contains one that is no number as text (any case; a key of one character must
    be the whole candidate or have a space before or behind it).
    """
    if not text.strip():
        return False, None
    announced = _announced(text)
    candidates: list[str] = [*announced, *(number for result in announced for number in _numbers(result))]
    values: list[str | float] = [value for candidate in candidates for value in _normalized(candidate)]
    key_values = [value for key in keys for value in _normalized(key)]
    key_texts = [value for value in key_values if isinstance(value, str)]
    right = any(
        any(key in value for key in key_texts) if isinstance(value, str) else value in key_values for value in values
    )
    return right, announced[-1][:80]


# ---------------------------------------------------------------- shared by both parsers of choices


def _padded(text: str) -> str:
    for sign in ",.!?;:'":
        text = text.strip(sign)
    return f" {text} "


def _last(stage: str, places: Mapping[str, int]) -> Extracted:
    """Return the letter at the last position of ``places`` (letter -> position), as the
    result of an extractor's ``stage``.

    Of equal positions (not found: -1) the first letter counts.
    """
    return Extracted(max(places, key=lambda letter: places[letter]), stage, len(places), True)


def _option_text(padded: str, letters: str, options: Sequence[str]) -> Extracted:
    if len(padded.split(maxsplit=LONG_TEXT)) <= LONG_TEXT:
        return NOTHING
    low = padded.lower()
    places = {letter: low.rfind(option.lower()) for letter, option in zip(letters, options, strict=True)}
    positions = {letter: place for letter, place in places.items() if place >= 0}
    return _last("option_text", positions) if positions else NOTHING


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
    """Return (position, letter) of every match of SGLang's explicit answer forms; letters keep their case."""
    matches = [(hit.start(1), hit.group(1)) for form in _FORMS for hit in form.finditer(text)]
    start = _START.match(text)
    if start:
        matches.append((start.start(1), start.group(1)))
    end = _END.match(text[::-1])
    if end:
        alone = end.end() == len(text) or "\n" in end.group(2) or "\n" in end.group(3)
        if alone:
            matches.append((len(text) - end.end(1), end.group(1)))
    return matches


# ---------------------------------------------------------------- open questions

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
    """Return, for each line that announces a result, the shortest text behind an announcing word, in lower case.

    Such words are "so", "is", "answer" and others, in the last line also "=". As in the published code, an empty text
    gives way to the text behind the next of these words. A line in which the text is empty or one punctuation mark
    gives none. Without any: the whole text. Full stops do not end a sentence, because the published
    pattern wants a capital behind them, and the text is in lower case by then.
    """
    full_text = text.strip().strip(".").lower()
    sentences = _SENTENCE.split(full_text)
    results = []
    for number, sentence in enumerate(sentences, 1):
        words = (*_ANNOUNCING, "=") if number == len(sentences) else _ANNOUNCING
        shortest = ""
        for word in words:
            _, announces, end = sentence.rpartition(word)
            if announces and (not shortest or len(end.strip()) < len(shortest)):
                shortest = end.strip()
        if shortest and shortest not in _TRIVIAL:
            results.append(shortest)
    return results or [full_text]


def _numbers(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _normalized(text: str) -> list[str | float]:
    """Return the values by which a text is compared: the number that it is, rounded to two
    decimals, or the lower-case text.

    One value; of a single character that is no digit two texts, with a space before it and with one behind it.
    """
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        low = text.lower()
    return [" " + low, low + " "] if len(low) == 1 else [low]
