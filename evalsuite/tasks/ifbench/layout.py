"""The verifiers ``format:*``: what the answer looks like.

Each takes the answer, the arguments of the instruction, and the language models; it is pure and says whether the
instruction is followed.
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
    """Brackets nested five deep, the innermost closed rightly; a wrong closing bracket forgets all before it."""
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
    """Double and single quotes in turn, three deep, and closed again; an apostrophe is a quote."""
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
    """The answer is one of ``options``: to the letter for a), b), c), else whatever the case and punctuation."""
    given = str(args["options"])
    separator = "/" if "/" in given else "or" if "or" in given else ","
    choices = [choice.strip() for choice in given.split(separator)]
    if _LETTERED.match(given):
        return text in choices
    return text.strip(BLANKS).lower() in [choice.strip(BLANKS).lower() for choice in choices]


def newline(text: str, args: Args, language: Language) -> bool:
    """As many lines as words."""
    bare = without_punctuation(text)
    return len([line for line in bare.strip().split("\n") if line]) == len(bare.split())


def emoji(text: str, args: Args, language: Language) -> bool:
    """Each sentence ends in an emoji (in its last two characters), or the next one begins with one."""
    found = (without_punctuation(sentence).strip() for sentence in each_sentence(language, text))
    for sentence, following in pairwise(chain(found, [""])):
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
    """Each line is indented by more spaces than the line before."""
    lines = _without_some_blank(text.split("\n"))
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return all(one < other for one, other in pairwise(indents))


def _without_some_blank(lines: Sequence[str]) -> list[str]:
    """The lines that are left when blank ones are removed from a list while it is walked through.

    The official code does that: the line after a blank one is passed over, and of equal blank lines the first that is
    still there goes. In its own time, not in that of ``list.remove``.
    """
    gone: set[int] = set()
    blank: defaultdict[str, deque[int]] = defaultdict(deque)
    place = 0
    while place < len(lines):
        line = lines[place]
        if line.strip():
            place += 1
            continue
        blank[line].append(place)
        gone.add(blank[line].popleft())
        if place + 1 < len(lines) and not lines[place + 1].strip():
            blank[lines[place + 1]].append(place + 1)
        place += 2
    return [line for place, line in enumerate(lines) if place not in gone]


def quote_unquote(text: str, args: Args, language: Language) -> bool:
    """No two double quotes side by side (spaces apart), and a quote is not the last that is said."""
    bare = "".join(text.replace("'\"'", "").split())
    if '""' in bare:
        return False
    return not bare.strip(string.digits + string.punctuation.replace('"', "")).endswith('"')


def marked_list(text: str, args: Args, language: Language) -> bool:
    """The marker ``sep`` at least twice."""
    return text.count(args["sep"]) >= 2


def thesis(text: str, args: Args, language: Language) -> bool:
    """Something in ``<i>`` or ``<em>``, and something behind it."""
    start = next((place for place in (text.find("<i>"), text.find("<em>")) if place >= 0), -1)
    if start < 0:
        return False
    rest = text[start:]
    end = next((place for place in (rest.find("</i>"), rest.find("</em>")) if place >= 0), -1)
    return end >= 0 and bool(rest[3:end].strip()) and bool(rest[end + 4 :].strip())


def sub_bullets(text: str, args: Args, language: Language) -> bool:
    """Behind each ``*``, before the next one, stands a ``-``."""
    return all("-" in bullet for bullet in text.split("*")[1:])


def no_bullets_bullets(text: str, args: Args, language: Language) -> bool:
    """Lines of two sentences or more, then at least two lines that begin with ``*`` and nothing behind them."""
    prose, said, bullets = True, 0, 0
    for line in text.split("\n"):
        if line.strip().startswith("*"):
            prose = False
            if said < 2:
                return False
            bullets += 1
        elif prose:
            found = len(sentences(language, line.strip()))
            prose = found > 0  # after an empty line only bullets may come: the official code's way
            said += found
        else:
            return False
    return bullets >= 2


def title_case(text: str, args: Args, language: Language) -> bool:
    """No word begins small, unless small and capital letters are mixed behind its first letter."""
    return not any(_begins_small(word) for word in lettered_words(language, text))


def _begins_small(word: str) -> bool:
    if not word[0].isalpha() or not word[0].islower():
        return False
    return len(word) == 1 or word[1:].isupper() or word[1:].islower()


def output_template(text: str, args: Args, language: Language) -> bool:
    """The three headings of the template."""
    return all(heading in text for heading in ("My Answer:", "My Conclusion:", "Future Outlook:"))


def no_whitespace(text: str, args: Args, language: Language) -> bool:
    """No white space at all."""
    return not any(char.isspace() for char in text)
