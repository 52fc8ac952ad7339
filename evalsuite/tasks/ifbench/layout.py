"""The verifiers ``format:*``: appearance of the answer.

Each takes the answer, the arguments of the instruction and the language models, and returns whether the instruction is
followed; all are pure.
"""

import re
import string
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from evalsuite.tasks.ifbench.language import each_sentence, lettered_words, sentences
from evalsuite.tasks.ifbench.models import Language
from evalsuite.tasks.ifbench.text import BLANKS, without_punctuation

Args = Mapping[str, Any]

_LETTERED = re.compile(r"\W*[aA]\W*[bB]\W*[cC]\W*")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def parentheses(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` nests brackets of the kinds ``()[]{}`` at least five deep and then closes the
    innermost correctly.

    A wrong closing bracket discards all brackets before it. ``args`` and ``language`` are not used.
    """
    opened: list[str] = []
    deepest = 0
    for char in text:
        if char in "([{":
            opened.append(char)
            deepest = max(deepest, len(opened))
        elif char in _CLOSING:
            if not opened or opened[-1] != _CLOSING[char]:
                opened, deepest = [], 0
                continue
            opened.pop()
            if deepest >= 5:
                return True
    return False


def quotes(text: str, args: Args, language: Language) -> bool:
    """Return whether the quotes (``"`` and ``'``) of the answer ``text`` nest at least three deep, and later are closed
    to three levels below the deepest level so far.

    A quote closes the innermost open one when both are the same character, else it opens a level. An apostrophe counts
    as a quote. ``args`` and ``language`` are not used.
    """
    opened: list[str] = []
    deepest = 0
    for char in text:
        if opened and char == opened[-1]:
            opened.pop()
            if deepest - len(opened) >= 3:
                return True
        elif char in "\"'":
            opened.append(char)
            deepest = max(deepest, len(opened))
    return False


def options(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is one of the choices in ``args["options"]``, which are separated by ``/``,
    else by "or" (also inside a word), else by commas.

    The comparison is exact where ``args["options"]`` begins with the letters a, b, c in any case, with at most
    punctuation and white space before and between them, as in ``a), b), c)``; otherwise case and surrounding spaces and
    ASCII punctuation do not count. ``language`` is not used.
    """
    given = str(args["options"])
    separator = "/" if "/" in given else "or" if "or" in given else ","
    choices = [choice.strip() for choice in given.split(separator)]
    if _LETTERED.match(given):
        return text in choices
    return text.strip(BLANKS).lower() in [choice.strip(BLANKS).lower() for choice in choices]


def newline(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has as many non-empty lines as words, after ASCII punctuation is removed.

    A line of spaces between others is not empty. ``args`` and ``language`` are not used.
    """
    bare = without_punctuation(text)
    return len([line for line in bare.strip().split("\n") if line]) == len(bare.split())


def emoji(text: str, args: Args, language: Language) -> bool:
    """Return whether each sentence of the answer ``text`` has an emoji in its last two characters,
    or the next one begins with one.

    ASCII punctuation does not count; a sentence of nothing else gives False. ``language`` holds NLTK's models; ``args``
    is not used.
    """
    bare_sentences = (without_punctuation(sentence).strip() for sentence in each_sentence(language, text))
    for sentence, following in pairwise(chain(bare_sentences, [""])):
        if not sentence:
            return False
        if any(_is_emoji(char) for char in sentence[-2:]):
            continue
        if not following or not _is_emoji(following[0]):
            return False
    return True


def _is_emoji(char: str) -> bool:
    import emoji

    return emoji.is_emoji(char)


def line_indent(text: str, args: Args, language: Language) -> bool:
    """Return whether each line of the answer ``text`` is indented by more spaces than the line before.

    Blank lines do not count; but where two or more follow each other anywhere in the answer, some of its blank lines do
    (``_without_some_blank``). ``args`` and ``language`` are not used.
    """
    lines = _without_some_blank(text.split("\n"))
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return all(before < after for before, after in pairwise(indents))


def _without_some_blank(lines: Sequence[str]) -> list[str]:
    """Return the lines that remain when blank ones are removed from a list during iteration
    over it, as the official code.

    So the line after a blank one is skipped, and of equal blank lines the first remaining one is
    removed; blank lines can remain.
    """
    removed: set[int] = set()
    blank: defaultdict[str, deque[int]] = defaultdict(deque)
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.strip():
            index += 1
            continue
        blank[line].append(index)
        removed.add(blank[line].popleft())
        if index + 1 < len(lines) and not lines[index + 1].strip():
            blank[lines[index + 1]].append(index + 1)
        index += 2
    return [line for index, line in enumerate(lines) if index not in removed]


def quote_unquote(text: str, args: Args, language: Language) -> bool:
    """Return whether no two double quotes (``"``) of the answer ``text`` are adjacent and none is its last character.

    Taken out before are each ``'"'`` (a double quote between two single ones, with these) and then all white space;
    digits and other ASCII punctuation at the end do not count. ``args`` and ``language`` are not used.
    """
    bare = "".join(text.replace("'\"'", "").split())
    if '""' in bare:
        return False
    return not bare.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')


def marked_list(text: str, args: Args, language: Language) -> bool:
    """Return whether the marker ``args["sep"]`` occurs at least twice, without overlap, in the answer ``text``.

    ``language`` is not used.
    """
    return text.count(args["sep"]) >= 2


def thesis(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has text between the first ``<i>`` (else the first ``<em>``) and the first
    ``</i>`` (else ``</em>``) behind it, and text behind that.

    The ``>`` of ``<em>`` and ``</em>`` counts as such a text. ``args`` and ``language`` are not used.
    """
    start = next((position for position in (text.find("<i>"), text.find("<em>")) if position >= 0), -1)
    if start < 0:
        return False
    rest = text[start:]
    end = next((position for position in (rest.find("</i>"), rest.find("</em>")) if position >= 0), -1)
    return end >= 0 and bool(rest[3:end].strip()) and bool(rest[end + 4 :].strip())


def sub_bullets(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has a ``-`` behind each ``*`` and before the next one; true without a ``*``.

    ``args`` and ``language`` are not used.
    """
    return all("-" in bullet for bullet in text.split("*")[1:])


def no_bullets_bullets(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has lines with two sentences or more in all, then
    only lines that begin with ``*``.

    There must be at least two of the latter, which may be indented; one blank line may stand before them, none between
    or behind. ``language`` holds NLTK's models; ``args`` is not used.
    """
    prose, sentence_count, bullets = True, 0, 0
    for line in text.split("\n"):
        if line.strip().startswith("*"):
            prose = False
            if sentence_count < 2:
                return False
            bullets += 1
        elif prose:
            in_line = len(sentences(language, line.strip()))
            prose = in_line > 0  # after an empty line only bullets may come: the official code's way
            sentence_count += in_line
        else:
            return False
    return bullets >= 2


def title_case(text: str, args: Args, language: Language) -> bool:
    """Return whether no word of the answer ``text`` begins with a small letter; words whose other
    characters have both cases (``iPhone``) or none (``a1``) may.

    Words are NLTK's tokens, also ``n't`` in ``Don't``. ``language`` holds NLTK's models; ``args`` is not used.
    """
    return not any(_begins_small(word) for word in lettered_words(language, text))


def _begins_small(word: str) -> bool:
    if not word[0].isalpha() or not word[0].islower():
        return False
    return len(word) == 1 or word[1:].isupper() or word[1:].islower()


def output_template(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` contains the headings "My Answer:", "My Conclusion:" and "Future Outlook:".

    ``args`` and ``language`` are not used.
    """
    return all(heading in text for heading in ("My Answer:", "My Conclusion:", "Future Outlook:"))


def no_whitespace(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` holds no white space at all.

    ``args`` and ``language`` are not used.
    """
    return not any(char.isspace() for char in text)
