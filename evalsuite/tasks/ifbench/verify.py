"""Verifies which of its instructions an answer follows: the table of the 58 verifiers, and strict and loose grading.

The semantics are those of the official code of August 2026 (allenai/IFBench db69a6f, ``ifbench/instructions.py`` and
``evaluation_lib.py``). The code is evalsuite's own and takes time linear in the length of an answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.tasks.ifbench import counting, exact, layout, wording
from evalsuite.tasks.ifbench.models import Language

SEMANTICS = "ifbench-db69a6f"
"""Commit of the official code with the same semantics."""

Check = Callable[[str, Mapping[str, Any], Language], bool]
"""A verifier: (answer, arguments of the instruction, language models) -> whether the instruction is followed."""
Follows = Callable[[str, Mapping[str, Any], str], bool]
"""(instruction id, its arguments, an answer that is not blank) -> whether it is followed."""


@dataclass(frozen=True, slots=True)
class InstructionVerdicts:
    """The verdicts on one answer, one for each instruction."""

    strict: tuple[bool, ...]
    """Whether the answer as it is follows the instruction."""
    loose: tuple[bool, ...]
    """Whether any of its eight variants follows it."""


KEYWORDS = tuple(f"keyword{place}" for place in range(1, 6))
"""Arguments of ``count:keywords_multiple``."""

VERIFIERS: Mapping[str, tuple[Check, tuple[str, ...]]] = {
    "count:conjunctions": (counting.conjunctions, ("small_n",)),
    "count:keywords_multiple": (counting.keywords_multiple, KEYWORDS),
    "count:numbers": (counting.numbers, ("N",)),
    "count:person_names": (counting.person_names, ("N",)),
    "count:pronouns": (counting.pronouns, ("N",)),
    "count:punctuation": (counting.punctuation, ()),
    "count:unique_word_count": (counting.unique_word_count, ("N",)),
    "count:word_count_range": (counting.word_count_range, ("min_words", "max_words")),
    "count:words_japanese": (counting.words_japanese, ("N",)),
    "custom:character_reverse": (exact.character_reverse, ()),
    "custom:csv_city": (exact.csv_city, ()),
    "custom:csv_quotes": (exact.csv_quotes, ()),
    "custom:csv_special_character": (exact.csv_special_character, ()),
    "custom:date_format_list": (exact.date_format_list, ()),
    "custom:european_capitals_sort": (exact.european_capitals_sort, ()),
    "custom:mcq_count_length": (exact.mcq_count_length, ()),
    "custom:multiples": (exact.multiples, ()),
    "custom:reverse_newline": (exact.reverse_newline, ()),
    "custom:sentence_alphabet": (exact.sentence_alphabet, ()),
    "custom:word_reverse": (exact.word_reverse, ()),
    "format:emoji": (layout.emoji, ()),
    "format:line_indent": (layout.line_indent, ()),
    "format:list": (layout.marked_list, ("sep",)),
    "format:newline": (layout.newline, ()),
    "format:no_bullets_bullets": (layout.no_bullets_bullets, ()),
    "format:no_whitespace": (layout.no_whitespace, ()),
    "format:options": (layout.options, ("options",)),
    "format:output_template": (layout.output_template, ()),
    "format:parentheses": (layout.parentheses, ()),
    "format:quote_unquote": (layout.quote_unquote, ()),
    "format:quotes": (layout.quotes, ()),
    "format:sub-bullets": (layout.sub_bullets, ()),
    "format:thesis": (layout.thesis, ()),
    "format:title_case": (layout.title_case, ()),
    "ratio:overlap": (counting.overlap, ("reference_text", "percentage")),
    "ratio:sentence_balance": (counting.sentence_balance, ()),
    "ratio:sentence_type": (counting.sentence_type, ()),
    "ratio:sentence_words": (counting.sentence_words, ()),
    "ratio:stop_words": (counting.stop_words, ("percentage",)),
    "repeat:repeat_change": (exact.repeat_change, ("prompt_to_repeat",)),
    "repeat:repeat_simple": (exact.repeat_simple, ()),
    "repeat:repeat_span": (exact.repeat_span, ("prompt_to_repeat", "n_start", "n_end")),
    "sentence:alliteration_increment": (wording.alliteration_increment, ()),
    "sentence:increment": (wording.increment, ("small_n",)),
    "sentence:keyword": (wording.sentence_keyword, ("word", "N")),
    "words:alphabet": (wording.alphabet, ()),
    "words:consonants": (wording.consonants, ()),
    "words:keywords_specific_position": (wording.keywords_specific_position, ("keyword", "n", "m")),
    "words:last_first": (wording.last_first, ()),
    "words:no_consecutive": (wording.no_consecutive, ()),
    "words:odd_even_syllables": (wording.odd_even_syllables, ()),
    "words:palindrome": (wording.palindrome, ()),
    "words:paragraph_last_first": (wording.paragraph_last_first, ()),
    "words:prime_lengths": (wording.prime_lengths, ()),
    "words:repeats": (wording.repeats, ("small_n",)),
    "words:start_verb": (wording.start_verb, ()),
    "words:vowel": (wording.vowel, ()),
    "words:words_position": (wording.words_position, ("keyword",)),
}
"""Instruction id -> (verifier, names of its arguments)."""


def own(language: Language) -> Follows:
    """Return a function (instruction id, its arguments, answer) -> whether it is
    followed, by evalsuite's own verifiers.
    """
    return lambda name, args, text: VERIFIERS[name][0](text, args, language)


def variants(text: str) -> tuple[str, ...]:
    """Return the texts of loose grading, each once, without blank ones; the first is the
    text itself, unless it is blank.

    They are the text as it is, what is left of it without its first line, without its last line, and without both
    (each of the three stripped), and these four without ``*``.
    """
    lines = text.split("\n")
    cut = ("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))
    with_asterisks = (text, *cut)
    texts = dict.fromkeys((*with_asterisks, *(variant.replace("*", "") for variant in with_asterisks)))
    return tuple(variant for variant in texts if variant.strip())


def followed(instructions: Sequence[Mapping[str, Any]], text: str, follows: Follows) -> InstructionVerdicts:
    """Return the strict and loose verdicts on an answer, one per instruction (``{"id":
    ..., "args": {...}}``), in order.

    Strict: ``text`` follows it by the verifiers ``follows``; loose: some variant does
    (``variants``). A blank text follows none.
    """
    texts = variants(text)
    strict, loose = [], []
    for instruction in instructions:
        verdict = bool(text.strip()) and follows(instruction["id"], instruction["args"], text)
        strict.append(verdict)
        loose.append(
            verdict
            or any(follows(instruction["id"], instruction["args"], variant) for variant in texts if variant != text)
        )
    return InstructionVerdicts(tuple(strict), tuple(loose))
