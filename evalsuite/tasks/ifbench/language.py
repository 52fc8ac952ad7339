"""English sentences, words, stop words and verbs, equal to NLTK's results.

NLTK's sentence splitter takes 50 us for each full stop, its word splitter 10 us for each word. Both decide from a few
characters of context, so each decision is computed once and cached. The results are compared with NLTK 3.10 by tests.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import chain, islice
from typing import Any

from evalsuite.tasks.ifbench.models import Language

CACHED_DECISIONS = 65_536
"""Number of cached decisions."""
SHORT = 200
"""Length in characters up to which a text's decision is cached."""
_WHITESPACE = " \t\n\r\x0b\x0c"


# ---------------------------------------------------------------- sentences


@lru_cache(maxsize=32)
def sentences(language: Language, text: str) -> tuple[str, ...]:
    """Return the sentences of an English text in order, equal to NLTK's
    ``sent_tokenize``; the last 32 texts are cached.
    """
    return tuple(each_sentence(language, text))


def each_sentence(language: Language, text: str) -> Iterator[str]:
    """Return an iterator over the sentences of a text, as ``sentences``, computed one by
    one for callers that stop early.
    """
    return (text[start:stop] for start, stop in _realigned(language, text))


def _slices(language: Language, text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop), the positions in ``text`` of each sentence as NLTK cuts it at first.

    Closing quotes and brackets behind its end still begin the next sentence. The last sentence may be empty.
    """
    begin = 0
    for match, word in _candidates(language, text):
        context = text[word : match.end("after_tok")]
        decide = _cached_break if len(context) <= SHORT else _cached_long_break
        if decide(language, context):
            yield begin, match.end()
            following = match.start("next_tok")
            begin = match.end() if following < 0 else following
    yield begin, len(text.rstrip())


def _candidates(language: Language, text: str) -> Iterator[tuple[Any, int]]:
    """Yield (match, start of the word before it) for each possible sentence end; of overlapping ones the last.

    As ``PunktSentenceTokenizer._match_potential_end_contexts``: a word that starts at the first character after the
    previous candidate is assumed to start at the start of that candidate's word.
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
    """Return whether a run of closing quotes and brackets, as NLTK finds them after a
    sentence, can begin with ``char``.
    """
    return language.closers.match(char) is not None


_cached_break = lru_cache(maxsize=CACHED_DECISIONS)(_is_break)
_cached_long_break = lru_cache(maxsize=16)(_is_break)


def _realigned(language: Language, text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, stop), the positions in ``text`` of its sentences, with closing quotes and
    brackets moved to the sentence before.

    As ``_realign_boundaries`` of NLTK; empty sentences are left out.
    """
    moved = 0
    pending: tuple[int, int] | None = None
    for start, stop in _slices(language, text):
        if pending is not None:
            first = pending[0] + moved
            match = (
                language.closers.match(text, start, stop) if start < stop and _closes(language, text[start]) else None
            )
            if match:
                yield first, start + len(match.group().rstrip())
                moved = match.end() - start
            else:
                moved = 0
                if first < pending[1]:
                    yield first, pending[1]
        pending = (start, stop)
    if pending is not None and pending[0] + moved < pending[1]:
        yield pending[0] + moved, pending[1]


# ---------------------------------------------------------------- words


@cache
def _seams() -> Any:
    """Return the compiled pattern of places where a sentence can be cut without changing NLTK's words.

    They are between two marks that are always separate tokens, and spaces and line ends between two of these
    marks, ASCII letters or digits.
    """
    marks = r"!?;@#$%&*(\[{<"
    safe = f"A-Za-z0-9{marks}"
    import regex

    return regex.compile(rf"(?<=[{safe}])[ \n]+(?=[{safe}])|(?<=[{marks}])(?=[{marks}])")


def words(language: Language, text: str) -> Iterator[str]:
    """Yield the words (tokens, punctuation included) of a text, equal to NLTK's ``word_tokenize``, in order."""
    return chain.from_iterable(sentence_words(language, sentence) for sentence in each_sentence(language, text))


def lettered_words(language: Language, text: str) -> Iterator[str]:
    """Yield the tokens of ``words`` in order, but maybe without some that have no letter (in long runs without any).

    For callers that look at words with letters only; it saves time on long texts.
    """
    for sentence in each_sentence(language, text):
        if len(sentence) <= SHORT:
            yield from _cached_words(language, sentence)
            continue
        for piece in _seams().split(sentence):
            if len(piece) <= SHORT or any(char.isalpha() for char in piece):
                yield from _tokens(language, piece)


def sentence_words(language: Language, sentence: str) -> Iterator[str]:
    """Return an iterator over the words (tokens, punctuation included) of one sentence, in order."""
    if len(sentence) <= SHORT:
        return iter(_cached_words(language, sentence))
    return chain.from_iterable(_tokens(language, piece) for piece in _seams().split(sentence))


@lru_cache(maxsize=CACHED_DECISIONS)
def _cached_words(language: Language, sentence: str) -> tuple[str, ...]:
    return tuple(chain.from_iterable(_tokens(language, piece) for piece in _seams().split(sentence)))


def last_words(language: Language, text: str, count: int) -> list[str]:
    """Return the last ``count`` words (tokens, punctuation included) of a text in order; all when there are fewer.

    ``count`` is at least 1.
    """
    collected: list[str] = []
    for sentence in reversed(sentences(language, text)):
        for piece in reversed(_seams().split(sentence)):
            collected[:0] = _tokens(language, piece)
            if len(collected) >= count:
                return collected[-count:]
    return collected


def _tokens(language: Language, piece: str) -> tuple[str, ...]:
    return _cached_tokens(language, piece) if len(piece) <= SHORT else _tokenized(language, piece)


def _tokenized(language: Language, piece: str) -> tuple[str, ...]:
    return tuple(language.tokenizer.tokenize(piece))


_cached_tokens = lru_cache(maxsize=CACHED_DECISIONS)(_tokenized)


def syllables(word: str) -> int:
    """Return the number of syllables of an English word, as the package ``syllapy`` counts them."""
    import syllapy

    return int(syllapy.count(word))


def plain_words(language: Language, text: str) -> list[str]:
    r"""Return the runs of word characters (letters, combining marks, digits, underscores) of a text in
    order, as NLTK's ``\w+`` tokenizer.
    """
    matches: list[str] = language.letters.findall(text)
    return matches


def is_verb(language: Language, text: str) -> bool:
    """Return whether NLTK's tagger gives the first word of ``text`` a verb tag ("VB...");
    False for a text without words. The tagger sees the first three words (a punctuation mark is one).
    """
    first = list(islice(_first_words(language, text), 3))
    return bool(first) and "VB" in language.tagger.tag(first)[0][1]


def _first_words(language: Language, text: str) -> Iterator[str]:
    """Yield the words of a text for a caller that reads only the first few.

    Of a piece (between two places of ``_seams``) of over 200 characters only the first 200 may be split, so later
    words may differ from ``words``.
    """
    for sentence in each_sentence(language, text):
        for piece in _seams().split(sentence):
            head = _tokens(language, f"{piece[:SHORT]} x")
            yield from head if len(piece) > SHORT and len(head) > SHORT // 4 else _tokens(language, piece)
