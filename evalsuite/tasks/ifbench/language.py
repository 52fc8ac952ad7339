"""English sentences, words, stop words and verbs, as NLTK sees them.

NLTK's sentence splitter costs 50 us for each full stop, its word splitter 10 us for each word; both decide from a few
characters around, so here each decision is made once and remembered. The results are NLTK's own (3.10), held equal by
tests.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain, islice
from typing import Any

from evalsuite.tasks.ifbench.models import Language

REMEMBERED = 65_536
"""Decisions that are kept."""
SHORT = 200
"""Characters of a text up to which its decision is kept."""
_WHITESPACE = " \t\n\r\x0b\x0c"


# ---------------------------------------------------------------- sentences


@lru_cache(maxsize=32)
def sentences(language: Language, text: str) -> tuple[str, ...]:
    """What ``nltk.sent_tokenize`` gives."""
    return tuple(each_sentence(language, text))


def each_sentence(language: Language, text: str) -> Iterator[str]:
    """``sentences`` one after the other, for who may stop early."""
    return (text[start:stop] for start, stop in _realigned(language, text))


def _slices(language: Language, text: str) -> Iterator[tuple[int, int]]:
    """(start, stop) of sentences before closing punctuation is put right; the last may be empty."""
    begin = 0
    for match, word in _candidates(language, text):
        context = text[word : match.end("after_tok")]
        decide = _remembered_break if len(context) <= SHORT else _remembered_long_break
        if decide(language, context):
            yield begin, match.end()
            following = match.start("next_tok")
            begin = match.end() if following < 0 else following
    yield begin, len(text.rstrip())


def _candidates(language: Language, text: str) -> Iterator[tuple[Any, int]]:
    """Possible sentence ends with the start of the word before; of overlapping ones the last.

    As ``PunktSentenceTokenizer._match_potential_end_contexts``: a word that starts at the very first character after
    the candidate before is taken to start where that candidate's word did.
    """
    word, reach, pending = 0, 0, None
    for match in language.ends.finditer(text):
        start = end = match.start()
        while start > reach + 1 and text[start - 1] not in _WHITESPACE:
            start -= 1
        if start <= reach + 1:
            start = word
        if pending is not None and reach <= start:
            yield pending, word
        pending, word, reach = match, start, end
    if pending is not None:
        yield pending, word


def _is_break(language: Language, context: str) -> bool:
    return bool(language.punkt.text_contains_sentbreak(context))


@lru_cache(maxsize=1024)
def _closes(language: Language, char: str) -> bool:
    """Whether closing quotes and brackets can begin with this character."""
    return language.closers.match(char) is not None


_remembered_break = lru_cache(maxsize=REMEMBERED)(_is_break)
_remembered_long_break = lru_cache(maxsize=16)(_is_break)


def _realigned(language: Language, text: str) -> Iterator[tuple[int, int]]:
    """Closing quotes and brackets go to the sentence before, as ``_realign_boundaries`` moves them."""
    moved = 0
    held: tuple[int, int] | None = None
    for start, stop in _slices(language, text):
        if held is not None:
            first = held[0] + moved
            match = (
                language.closers.match(text, start, stop) if start < stop and _closes(language, text[start]) else None
            )
            if match:
                yield first, start + len(match.group().rstrip())
                moved = match.end() - start
            else:
                moved = 0
                if first < held[1]:
                    yield first, held[1]
        held = (start, stop)
    if held is not None and held[0] + moved < held[1]:
        yield held[0] + moved, held[1]


# ---------------------------------------------------------------- words


@cache
def _seams() -> Any:
    """Where no rule of NLTK's word tokenizer looks across.

    Between two marks that stand alone wherever they are, and spaces between two of these marks, ASCII letters, digits.
    """
    marks = r"!?;@#$%&*(\[{<"
    safe = f"A-Za-z0-9{marks}"
    import regex

    return regex.compile(rf"(?<=[{safe}])[ \n]+(?=[{safe}])|(?<=[{marks}])(?=[{marks}])")


def words(language: Language, text: str) -> Iterator[str]:
    """What ``nltk.word_tokenize`` gives, one after the other."""
    return chain.from_iterable(sentence_words(language, sentence) for sentence in each_sentence(language, text))


def lettered_words(language: Language, text: str) -> Iterator[str]:
    """``words`` without some of those that hold no letter: long runs of quotes and the like are not taken apart."""
    for sentence in each_sentence(language, text):
        if len(sentence) <= SHORT:
            yield from _remembered_words(language, sentence)
            continue
        for piece in _seams().split(sentence):
            if len(piece) <= SHORT or any(char.isalpha() for char in piece):
                yield from _tokens(language, piece)


def sentence_words(language: Language, sentence: str) -> Iterator[str]:
    """The words of one sentence."""
    if len(sentence) <= SHORT:
        return iter(_remembered_words(language, sentence))
    return chain.from_iterable(_tokens(language, piece) for piece in _seams().split(sentence))


@lru_cache(maxsize=REMEMBERED)
def _remembered_words(language: Language, sentence: str) -> tuple[str, ...]:
    return tuple(chain.from_iterable(_tokens(language, piece) for piece in _seams().split(sentence)))


def last_words(language: Language, text: str, count: int) -> list[str]:
    """The last ``count`` words, or fewer where there are not so many."""
    found: list[str] = []
    for sentence in reversed(sentences(language, text)):
        for piece in reversed(_seams().split(sentence)):
            found[:0] = _tokens(language, piece)
            if len(found) >= count:
                return found[-count:]
    return found


def _tokens(language: Language, piece: str) -> tuple[str, ...]:
    return _remembered_tokens(language, piece) if len(piece) <= SHORT else _tokenized(language, piece)


def _tokenized(language: Language, piece: str) -> tuple[str, ...]:
    return tuple(language.tokenizer.tokenize(piece))


_remembered_tokens = lru_cache(maxsize=REMEMBERED)(_tokenized)


def syllables(word: str) -> int:
    """Syllables of a word as the package ``syllapy`` counts them."""
    import syllapy

    return int(syllapy.count(word))


def plain_words(language: Language, text: str) -> list[str]:
    r"""What NLTK's ``RegexpTokenizer(r"\w+")`` gives."""
    found: list[str] = language.letters.findall(text)
    return found


def is_verb(language: Language, text: str) -> bool:
    """Whether the tag of the first word holds "VB"; the tagger looks two words ahead, no further."""
    first = list(islice(_first_words(language, text), 3))
    return bool(first) and "VB" in language.tagger.tag(first)[0][1]


def _first_words(language: Language, text: str) -> Iterator[str]:
    """The first words, and later ones that may be wrong where the text begins with a long run of anything."""
    for sentence in each_sentence(language, text):
        for piece in _seams().split(sentence):
            head = _tokens(language, f"{piece[:SHORT]} x")
            yield from head if len(piece) > SHORT and len(head) > SHORT // 4 else _tokens(language, piece)
