"""The verifiers ``count:*`` and ``ratio:*``: numbers of things, and ratios between them.

Each takes the answer, the arguments of the instruction and the language models, and returns whether the instruction is
followed; all are pure.
"""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

from evalsuite.tasks.ifbench.language import each_sentence, lettered_words, plain_words, sentences
from evalsuite.tasks.ifbench.models import Language
from evalsuite.tasks.ifbench.text import BLANKS, without_punctuation

Args = Mapping[str, Any]

_DIGITS = re.compile(r"\d+")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_CONJUNCTIONS = frozenset(("and", "but", "for", "nor", "or", "so", "yet"))
_PRONOUN_LIST = (
    "i me we us you he him she her it they them my mine our ours your yours his hers its their theirs myself ourselves "
    "yourself yourselves himself herself itself themselves this that these those who whom whose which what whoever "
    "whomever whatever whichever anybody anyone anything everybody everyone everything nobody nothing somebody someone "
    "something each either neither both all some any none"
)
_PRONOUNS = frozenset(_PRONOUN_LIST.split())
_NAMES = re.compile(
    r"\b(?:Emma|Liam|Sophia|Jackson|Olivia|Noah|Ava|Lucas|Isabella|Mason|Mia|Ethan|Charlotte|Alexander|Amelia|Benjamin"
    r"|Harper|Leo|Zoe|Daniel|Chloe|Samuel|Lily|Matthew|Grace|Owen|Abigail|Gabriel|Ella|Jacob|Scarlett|Nathan|Victoria"
    r"|Elijah|Layla|Nicholas|Audrey|David|Hannah|Christopher|Penelope|Thomas|Nora|Andrew|Aria|Joseph|Claire|Ryan"
    r"|Stella|Jonathan)\b"
)
_TIMES = (1, 2, 3, 5, 7)


def word_count_range(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has ``args["min_words"]`` to ``args["max_words"]`` words, both included.

    A word is a run of letters, combining marks, digits and underscores. ``language`` holds NLTK's models.
    """
    return bool(args["min_words"] <= len(plain_words(language, text)) <= args["max_words"])


def unique_word_count(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has at least ``args["N"]`` different words, ignoring
    case and surrounding ASCII punctuation.

    A word stands between white space; all words of such punctuation alone count as one. ``language`` is not used.
    """
    return bool(len({word.strip(BLANKS) for word in text.lower().split()}) >= args["N"])


def conjunctions(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has at least ``args["small_n"]`` different coordinating conjunctions
    (and, but, for, nor, or, so, yet).

    Different spellings, with the ASCII punctuation around, count separately: "And", "and" and "and," are three.
    ``language`` is not used.
    """
    matching = {word for word in set(text.split()) if word.strip(BLANKS).lower() in _CONJUNCTIONS}
    return bool(len(matching) >= args["small_n"])


def person_names(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has at least ``args["N"]`` different names of the prompt's fixed list of 50
    first names, as whole words in exact case.

    ``language`` is not used.
    """
    return bool(len(set(_NAMES.findall(text))) >= args["N"])


def numbers(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has exactly ``args["N"]`` runs of digits after ASCII punctuation
    is removed ("1,000.5" and "3-4" are one each).

    ``language`` is not used.
    """
    return bool(len(_DIGITS.findall(without_punctuation(text))) == args["N"])


def pronouns(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has at least ``args["N"]`` pronouns of a fixed English list, in
    any case, repetitions included.

    A pronoun is a token of NLTK's ("it" in "it's", none in "he-she"); ``/`` separates, too. ``language`` holds NLTK's
    models.
    """
    matching = filter(_PRONOUNS.__contains__, lettered_words(language, text.lower().replace("/", " ")))
    return len(list(islice(matching, int(args["N"])))) >= int(args["N"])


def punctuation(text: str, args: Args, language: Language) -> bool:
    """Return whether each of ``. , ! ? ; :`` and an interrobang (``!?``, ``?!`` or U+203D)
    occurs in the answer ``text``.

    The two marks of the first ``?!``, else of the first ``!?``, do not count for the six. ``args`` and ``language`` are
    not used.
    """
    if not ("!?" in text or "?!" in text or "\u203d" in text):
        return False
    mark = "?!" if "?!" in text else "!?"
    return set(".,!?;:") <= set(text.replace(mark, "", 1))


def words_japanese(text: str, args: Args, language: Language) -> bool:
    """Return whether every ``args["N"]``-th word (between white space) of the answer ``text`` has a kana (U+3040 to
    U+30FF) or kanji (U+4E00 to U+9FFF).

    A word that without the ASCII punctuation around it is only digits, or nothing, may stand there, too; true with
    fewer words. ``language`` is not used.
    """
    for word in text.split()[int(args["N"]) - 1 :: int(args["N"])]:
        bare = word.strip(BLANKS)
        if bare and not bare.isdigit() and not _JAPANESE.search(bare):
            return False
    return True


def keywords_multiple(text: str, args: Args, language: Language) -> bool:
    """Return whether ``args["keyword1"]`` to ``args["keyword5"]`` occur exactly 1, 2, 3, 5 and
    7 times in the answer ``text``.

    Case does not count, occurrences inside longer words do; of two that overlap only one counts. ``language`` is not
    used.
    """
    lowered = text.lower()
    keywords = (args[f"keyword{number}"].strip().lower() for number in range(1, 6))
    return all(lowered.count(keyword) == times for keyword, times in zip(keywords, _TIMES, strict=True))


def stop_words(text: str, args: Args, language: Language) -> bool:
    """Return whether English stop words are at most ``args["percentage"]`` percent of all words of the answer
    ``text``; False without words.

    Words are as in ``word_count_range``; case does not count. ``language`` holds NLTK's models.
    """
    words = plain_words(language, text)
    stops = sum(word.lower() in language.stopwords for word in words)
    return bool(words) and bool(stops / len(words) * 100 <= args["percentage"])


def _endings(text: str, language: Language) -> Counter[str]:
    return Counter(sentence[-1:] for sentence in sentences(language, text))


def sentence_type(text: str, args: Args, language: Language) -> bool:
    """Return whether exactly twice as many sentences of the answer ``text`` have ``.`` as their last character as
    have ``?`` (0 and 0 too).

    ``language`` holds NLTK's models; ``args`` is not used.
    """
    ends = _endings(text, language)
    return ends["."] == 2 * ends["?"]


def sentence_balance(text: str, args: Args, language: Language) -> bool:
    """Return whether ``.``, ``?`` and ``!`` are each the last character of equally many sentences of the answer
    ``text`` (0 of each too).

    ``language`` holds NLTK's models; ``args`` is not used.
    """
    ends = _endings(text, language)
    return ends["."] == ends["?"] == ends["!"]


def sentence_words(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has exactly three sentences, all with the same
    number of characters (not words).

    ``language`` holds NLTK's models; ``args`` is not used.
    """
    first_sentences = list(islice(each_sentence(language, text), 4))
    return len(first_sentences) == 3 and len({len(sentence.strip()) for sentence in first_sentences}) == 1


def overlap(text: str, args: Args, language: Language) -> bool:
    """Return whether ``args["percentage"]`` percent, plus or minus up to 2 percentage points, of the distinct
    trigrams of the answer ``text`` occur in the reference.

    A trigram is three successive characters; the reference is ``args["reference_text"]``. False for an answer of fewer
    than three characters. ``language`` is not used.
    """
    trigrams, reference = _trigrams(text), _trigrams(args["reference_text"])
    if not trigrams:
        return False
    shared = len(trigrams & reference) / len(trigrams) * 100
    return bool(args["percentage"] - 2 <= shared <= args["percentage"] + 2)


def _trigrams(text: str) -> set[str]:
    return {text[start : start + 3] for start in range(len(text) - 2)}
