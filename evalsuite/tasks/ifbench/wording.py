"""The verifiers ``words:*`` and ``sentence:*``: words and their positions.

Each takes the answer, the arguments of the instruction and the language models, and returns whether the instruction is
followed; all are pure.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle, islice, pairwise
from string import ascii_lowercase, punctuation
from typing import Any

from evalsuite.tasks.ifbench import language as nltk
from evalsuite.tasks.ifbench.language import each_sentence
from evalsuite.tasks.ifbench.models import Language
from evalsuite.tasks.ifbench.text import BLANKS, without_punctuation

Args = Mapping[str, Any]

_CLUSTER = re.compile("[bcdfghjklmnpqrstvwxyz]{2}")
_PRIMES = frozenset((2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97))


def alphabet(text: str, args: Args, language: Language) -> bool:
    """Return whether each word of the answer ``text`` begins with the next letter of the alphabet
    (A after Z), the first with any.

    Case and ASCII punctuation do not count; False without words, and when the first does not begin with a letter a to
    z. ``args`` and ``language`` are not used.
    """
    words = without_punctuation(text).split()
    first = words[0][0].lower() if words else ""
    if not first or first not in ascii_lowercase:
        return False
    letters = cycle(ascii_lowercase[ascii_lowercase.index(first) :] + ascii_lowercase[: ascii_lowercase.index(first)])
    return all(word.lower()[0] == letter for word, letter in zip(words[1:], islice(letters, 1, None), strict=False))


def vowel(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is one line with at most three different vowels of a, e, i, o, u, in any case.

    White space around it does not count. ``args`` and ``language`` are not used.
    """
    return "\n" not in text.strip() and len(set(text.lower()) & set("aeiou")) <= 3


def consonants(text: str, args: Args, language: Language) -> bool:
    """Return whether each word of the answer ``text`` (between white space) has two adjacent
    consonants (ASCII letters; y is one), in any case.

    ``args`` and ``language`` are not used.
    """
    return all(_CLUSTER.search(word) for word in text.lower().split())


def palindrome(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has at least ten words of five characters or more that are palindromes,
    repetitions included.

    Case and ASCII punctuation do not count. ``args`` and ``language`` are not used.
    """
    palindromes = (word for word in without_punctuation(text).lower().split() if len(word) >= 5 and word == word[::-1])
    return len(list(islice(palindromes, 10))) == 10


def prime_lengths(text: str, args: Args, language: Language) -> bool:
    """Return whether the number of characters of each word of the answer ``text``, without
    ASCII punctuation, is a prime below 100.

    ``args`` and ``language`` are not used.
    """
    return all(len(word) in _PRIMES for word in without_punctuation(text).split())


def start_verb(text: str, args: Args, language: Language) -> bool:
    """Return whether NLTK tags the first word of the answer ``text`` as a verb; a punctuation mark is a word.

    ``language`` holds NLTK's models; ``args`` is not used.
    """
    return nltk.is_verb(language, text)


def repeats(text: str, args: Args, language: Language) -> bool:
    """Return whether no word of the answer ``text`` occurs more than ``args["small_n"]`` times;
    case and ASCII punctuation do not count.

    ``language`` is not used.
    """
    counted = Counter(without_punctuation(text.lower()).split())
    return all(count <= args["small_n"] for count in counted.values())


def odd_even_syllables(text: str, args: Args, language: Language) -> bool:
    """Return whether words with an odd and an even number of syllables alternate in the
    answer ``text``; either may begin.

    Words are without ASCII punctuation; one with a digit has 0 syllables. ``args`` and ``language`` are not used.
    """
    parities = (nltk.syllables(word) % 2 for word in without_punctuation(text).lower().split())
    return all(before != after for before, after in pairwise(parities))


def last_first(text: str, args: Args, language: Language) -> bool:
    """Return whether the last word of each sentence of the answer ``text`` is the first word of
    the next; case does not count.

    ASCII punctuation at the end of the one and at the beginning of the other sentence does not count either; False
    where one of the two has no word. ``language`` holds NLTK's models; ``args`` is not used.
    """
    for before, after in pairwise(each_sentence(language, text)):
        last, first = before.rstrip(BLANKS).split(), after.lstrip(BLANKS).split()
        if not last or not first or last[-1].lower() != first[0].lower():
            return False
    return True


def paragraph_last_first(text: str, args: Args, language: Language) -> bool:
    """Return whether the first and the last word of each line of the answer ``text`` are equal; case does not count.

    ASCII punctuation around a line, and lines of nothing else, do not count either. ``args`` and ``language`` are not
    used.
    """
    for line in text.split("\n"):
        words = line.strip().lower().strip(BLANKS).split()
        if words and words[0] != words[-1]:
            return False
    return True


def no_consecutive(text: str, args: Args, language: Language) -> bool:
    """Return whether no two consecutive words of the answer ``text`` begin with the same character;
    case and ASCII punctuation do not count.

    ``args`` and ``language`` are not used.
    """
    words = without_punctuation(text.lower()).split()
    return all(before[0] != after[0] for before, after in pairwise(words))


def keywords_specific_position(text: str, args: Args, language: Language) -> bool:
    """Return whether ``args["keyword"]`` is the word number ``args["m"]`` of sentence number
    ``args["n"]`` of the answer ``text``.

    Both count from 1; words are NLTK's tokens with a letter or digit. Case does not count. ``language`` holds NLTK's
    models.
    """
    position, keyword = int(args["m"]), str(args["keyword"]).strip().lower()
    if keyword not in text.lower():
        return False  # avoids splitting a long answer into sentences
    sentence = next(islice(each_sentence(language, text), int(args["n"]) - 1, None), "")
    tokens = nltk.sentence_words(language, sentence)
    counted = (token for token in tokens if any(char.isalnum() for char in token))
    return next(islice(counted, position - 1, None), "").lower() == keyword


def words_position(text: str, args: Args, language: Language) -> bool:
    """Return whether ``args["keyword"]`` is the second token of the answer ``text`` and the last but one, in any case.

    One ASCII punctuation mark at the end does not count as a token. ``language`` holds NLTK's models.
    """
    keyword = str(args["keyword"]).strip().lower()
    if keyword not in text.lower():
        return False  # avoids splitting a long answer into tokens
    first = list(islice(nltk.words(language, text), 3))
    last = nltk.last_words(language, text, 3)
    if len(first) < 2:
        return False
    if last[-1] in punctuation:
        return len(first) == 3 and first[1].lower() == last[-3].lower() == keyword
    return first[1].lower() == last[-2].lower() == keyword


def alliteration_increment(text: str, args: Args, language: Language) -> bool:
    """Return whether each sentence of the answer ``text`` has more alliterating words than the sentence before.

    Words alliterate in runs of two or more with the same first character; case and ASCII punctuation before it do not
    count. ``language`` holds NLTK's models; ``args`` is not used.
    """
    counts = (_alliterating(sentence.lower().split()) for sentence in each_sentence(language, text))
    return all(before < after for before, after in pairwise(counts))


def _alliterating(words: Sequence[str]) -> int:
    initials = [bare[0] for bare in (word.lstrip(BLANKS) for word in words) if bare]
    total, running = 0, False
    for before, after in pairwise(initials):
        if before == after:
            total += 1 if running else 2
        running = before == after
    return total


def increment(text: str, args: Args, language: Language) -> bool:
    """Return whether each sentence of the answer ``text`` has exactly ``args["small_n"]`` words
    more than the sentence before.

    Words stand between white space; ones of ASCII punctuation alone do not count. ``language`` holds NLTK's models.
    """
    counts = (len(without_punctuation(sentence).split()) for sentence in each_sentence(language, text))
    return all(after == before + args["small_n"] for before, after in pairwise(counts))


def sentence_keyword(text: str, args: Args, language: Language) -> bool:
    """Return whether sentence number ``args["N"]`` (from 1) of the answer ``text`` contains
    ``args["word"]`` as a separate word.

    Case does not count; a separate word begins and ends at ``\\b`` of regular expressions. ``language`` holds NLTK's
    models.
    """
    sentence = next(islice(each_sentence(language, text), int(args["N"]) - 1, None), "")
    return bool(re.search(rf"\b{re.escape(args['word'])}\b", sentence, re.IGNORECASE))
