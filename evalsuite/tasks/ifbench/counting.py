"""The verifiers ``count:*`` and ``ratio:*``: how many of something, or how much of one thing against another.

Each takes the answer, the arguments of the instruction, and the language models; it is pure and says whether the
instruction is followed.
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
    """From ``min_words`` to ``max_words`` words (runs of letters, digits and underscores)."""
    return bool(args["min_words"] <= len(plain_words(language, text)) <= args["max_words"])


def unique_word_count(text: str, args: Args, language: Language) -> bool:
    """At least ``N`` different words, case and punctuation around them apart."""
    return bool(len({word.strip(BLANKS) for word in text.lower().split()}) >= args["N"])


def conjunctions(text: str, args: Args, language: Language) -> bool:
    """At least ``small_n`` different coordinating conjunctions; as written, so that "And" and "and" are two."""
    found = {word for word in set(text.split()) if word.strip(BLANKS).lower() in _CONJUNCTIONS}
    return bool(len(found) >= args["small_n"])


def person_names(text: str, args: Args, language: Language) -> bool:
    """At least ``N`` different names of the list that the prompt gives."""
    return bool(len(set(_NAMES.findall(text))) >= args["N"])


def numbers(text: str, args: Args, language: Language) -> bool:
    """Exactly ``N`` runs of digits once all punctuation is taken out ("1,000.5" is one)."""
    return bool(len(_DIGITS.findall(without_punctuation(text))) == args["N"])


def pronouns(text: str, args: Args, language: Language) -> bool:
    """At least ``N`` pronouns, each counted as often as it occurs."""
    found = filter(_PRONOUNS.__contains__, lettered_words(language, text.lower().replace("/", " ")))
    return len(list(islice(found, int(args["N"])))) >= int(args["N"])


def punctuation(text: str, args: Args, language: Language) -> bool:
    """Each of ``. , ! ? ; :`` and an interrobang, which does not count for its own two marks."""
    if not ("!?" in text or "?!" in text or "\u203d" in text):
        return False
    mark = "?!" if "?!" in text else "!?"
    return set(".,!?;:") <= set(text.replace(mark, "", 1))


def words_japanese(text: str, args: Args, language: Language) -> bool:
    """Every ``N``-th word holds a kana or kanji, unless it is a number or only punctuation."""
    for word in text.split()[int(args["N"]) - 1 :: int(args["N"])]:
        bare = word.strip(BLANKS)
        if bare and not bare.isdigit() and not _JAPANESE.search(bare):
            return False
    return True


def keywords_multiple(text: str, args: Args, language: Language) -> bool:
    """The five keywords occur exactly 1, 2, 3, 5 and 7 times, inside longer words too, whatever the case."""
    lowered = text.lower()
    keywords = (args[f"keyword{place}"].strip().lower() for place in range(1, 6))
    return all(lowered.count(keyword) == times for keyword, times in zip(keywords, _TIMES, strict=True))


def stop_words(text: str, args: Args, language: Language) -> bool:
    """Stop words are at most ``percentage`` percent of all words."""
    found = plain_words(language, text)
    stops = sum(word.lower() in language.stopwords for word in found)
    return bool(found) and bool(stops / len(found) * 100 <= args["percentage"])


def _endings(text: str, language: Language) -> Counter[str]:
    return Counter(sentence[-1:] for sentence in sentences(language, text))


def sentence_type(text: str, args: Args, language: Language) -> bool:
    """Twice as many sentences end in a full stop as in a question mark."""
    ends = _endings(text, language)
    return ends["."] == 2 * ends["?"]


def sentence_balance(text: str, args: Args, language: Language) -> bool:
    """As many sentences end in ``.`` as in ``?`` and as in ``!``."""
    ends = _endings(text, language)
    return ends["."] == ends["?"] == ends["!"]


def sentence_words(text: str, args: Args, language: Language) -> bool:
    """Three sentences of the same number of characters."""
    found = list(islice(each_sentence(language, text), 4))
    return len(found) == 3 and len({len(sentence.strip()) for sentence in found}) == 1


def overlap(text: str, args: Args, language: Language) -> bool:
    """Of the text's different runs of three characters, ``percentage`` percent (2 either way) are the reference's."""
    own, reference = _trigrams(text), _trigrams(args["reference_text"])
    if not own:
        return False
    shared = len(own & reference) / len(own) * 100
    return bool(args["percentage"] - 2 <= shared <= args["percentage"] + 2)


def _trigrams(text: str) -> set[str]:
    return {text[place : place + 3] for place in range(len(text) - 2)}
