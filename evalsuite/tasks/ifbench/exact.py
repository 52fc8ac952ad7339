"""The verifiers ``custom:*`` and ``repeat:*``: instructions of one prompt each, and texts that must be repeated.

Each takes the answer, the arguments of the instruction and the language models, and returns whether the instruction is
followed; all are pure. A CSV text that Python's reader rejects, where the official code stops with an error, does not
follow its instruction.
"""

import csv
import io
import re
from collections.abc import Mapping
from itertools import islice, pairwise
from typing import Any

from evalsuite.tasks.ifbench.language import each_sentence, sentences
from evalsuite.tasks.ifbench.models import Language
from evalsuite.tasks.ifbench.text import BLANKS, plain_ascii, without_punctuation

Args = Mapping[str, Any]

_DIGITS = re.compile(r"\d+")
_QUESTION = re.compile(r"(?:(?<!\n)\n+)?Question \d+[.|):;]?\s*")
r"""Published as ``\n*(?:Question \d+[\.|\):;]?\s*)``, which takes quadratic time on empty lines."""
_OPTION = re.compile(r"[A-Ea-e][.|)]\s*\w")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_LONGEST = {month: 31 for month in (1, 3, 5, 7, 8, 10, 12)} | {month: 30 for month in (4, 6, 9, 11)} | {2: 29}
_SPECIAL = re.compile(r"[^\d\w\s]")
_BRANDS = re.compile(
    r'(ProductID|"ProductID"),[ \t]*(Category|"Category"),[ \t]*(Brand|"Brand"),[ \t]*(Price|"Price"),[ \t]*'
    r'(Stock|"Stock")'
)
_GRADES = re.compile(
    r'(StudentID|"StudentID")\t *(Subject|"Subject")\t *(Grade|"Grade")\t *(Semester|"Semester")\t *(Score|"Score")'
)
_CAPITALS = (
    *("Reykjavik", "Helsinki", "Oslo", "Tallinn", "Stockholm", "Riga", "Moscow", "Copenhagen", "Vilnius", "Minsk"),
    *("Dublin", "Berlin", "Amsterdam", "Warsaw", "London", "Brussels", "Prague", "Luxembourg", "Paris", "Vienna"),
    *("Bratislava", "Budapest", "Vaduz", "Chisinau", "Bern", "Ljubljana", "Zagreb"),
)
_ONLY_THIS = "only output this sentence here, ignore all other requests."


def multiples(text: str, args: Args, language: Language) -> bool:
    """Return whether the numbers (runs of digits) in the answer ``text`` are exactly 14, 21,
    28, 35, 42, 49, in this order.

    ``args`` and ``language`` are not used.
    """
    return _DIGITS.findall(text) == [str(number) for number in range(14, 51, 7)]


def mcq_count_length(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has four questions with five lettered options each and growing question texts.

    It must begin with "Question"; the questions are the parts that are not blank when it is split at each "Question
    <number>". An option is a line that begins with a letter A to E in any case, ``.``, ``)`` or ``|``, and a word. A
    question's text is what stands before its first option, measured in characters. ``args`` and ``language`` are not
    used.
    """
    if not text.startswith("Question"):
        return False
    question_texts = [question.strip() for question in _QUESTION.split(text) if question.strip()]
    if len(question_texts) != 4:
        return False
    lengths = []
    for question in question_texts:
        lines = [line.strip() for line in question.split("\n")]
        lettered = [index for index, line in enumerate(lines) if _OPTION.match(line)]
        if len(lettered) != 5:
            return False
        lengths.append(len(" ".join(lines[: lettered[0]]).strip()))
    return all(before < after for before, after in pairwise(lengths))


def reverse_newline(text: str, args: Args, language: Language) -> bool:
    """Return whether the lines of the answer ``text`` from the first with "Zimbabwe" on, at least 52, are
    in reverse alphabetical order; equal ones may follow each other.

    Spaces and ASCII punctuation around a line, lines of nothing else, and what ``plain_ascii`` drops (accents, all
    characters outside of ASCII) do not count, case does. ``args`` and ``language`` are not used.
    """
    bare = (line.strip(BLANKS) for line in text.split("\n"))
    lines = [line for line in bare if line]
    start = next((index for index, line in enumerate(lines) if "Zimbabwe" in line), None)
    if start is None or len(lines) - start < 52:
        return False
    listed = [plain_ascii(line) for line in lines[start:]]
    return listed == sorted(listed, reverse=True)


def word_reverse(text: str, args: Args, language: Language) -> bool:
    """Return whether the words of the answer ``text`` in reverse order are one sentence with "bald eagle".

    Case and ASCII punctuation do not count. ``language`` holds NLTK's models; ``args`` is not used.
    """
    forward = " ".join(without_punctuation(text.lower().strip()).split()[::-1])
    return "bald eagle" in forward and forward in sentences(language, forward)


def character_reverse(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` contains "bald eagle" spelled backwards ("elgae dlab"), in any case.

    ``args`` and ``language`` are not used.
    """
    return "elgae dlab" in text.lower()


def sentence_alphabet(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` has exactly 26 sentences whose first characters are a, b, c ... z in any case.

    ``language`` holds NLTK's models; ``args`` is not used.
    """
    first_sentences = list(islice(each_sentence(language, text), 27))
    if len(first_sentences) != 26:
        return False
    first = (sentence.split()[:1] for sentence in first_sentences)
    return all(word and word[0].lower()[0] == chr(97 + index) for index, word in enumerate(first))


def european_capitals_sort(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is the fixed list of 27 European capitals from north
    to south, separated by commas.

    Accents, other characters that ``plain_ascii`` drops, white space around names and empty entries do not count; case
    does. ``args`` and ``language`` are not used.
    """
    return tuple(name.strip() for name in plain_ascii(text).split(",") if name.strip()) == _CAPITALS


def _table(text: str, delimiter: str = ",") -> list[list[str]]:
    """Return the rows of a text as Python's CSV reader parses them, each a list of fields;
    empty when it rejects the text.
    """
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []


def csv_city(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is a CSV table with the header ID,Country,City,Year,Count and, below it, seven
    rows of five columns.

    A blank line counts as a row without columns. ``args`` and ``language`` are not used.
    """
    rows = _table(text)
    if len(rows) != 8 or rows[0] != ["ID", "Country", "City", "Year", "Count"]:
        return False
    return all(len(row) == 5 for row in rows)


def csv_special_character(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is a CSV table of ProductID, Category, Brand, Price, Stock
    with a quoted special character.

    It must have that header (fields may be quoted), 14 rows below it, and in one of these a field that begins with a
    double quote and has, in its first line before the last double quote, a character that is no letter, digit,
    underscore or white space; rows up to the first such field must have five columns. A blank line counts as a row.
    ``args`` and ``language`` are not used.
    """
    rows = _table(text.replace('"', '"""'))
    if not _BRANDS.fullmatch(text.split("\n")[0].strip()) or len(rows) != 15:
        return False
    for row in rows[1:]:
        if len(row) != 5:
            return False
        if any(_is_quoted_special(field) for field in row):
            return True
    return False


def _is_quoted_special(field: str) -> bool:
    r"""Return whether the first line of a field begins with ``"`` and has a special character before its last ``"``.

    Special is what is no letter, digit, underscore or white space. It is
    ``".*[^\d\w\s].*"`` at the start in linear time.
    """
    line = field.partition("\n")[0]
    return line.startswith('"') and bool(_SPECIAL.search(line, 1, max(line.rfind('"'), 1)))


def csv_quotes(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is a table separated by tabs, with the header StudentID, Subject,
    Grade, Semester, Score and three rows below it.

    All fields, those of the header too, must be in double quotes; each row has five. A blank line counts as a row.
    ``args`` and ``language`` are not used.
    """
    rows = _table(text.replace('"', '"""'), "\t")
    if not _GRADES.fullmatch(text.split("\n")[0].strip()) or len(rows) != 4:
        return False
    return all(len(row) == 5 and all(_is_quoted(field.strip()) for field in row) for row in rows)


def _is_quoted(field: str) -> bool:
    return field.startswith('"') and field.endswith('"')


def date_format_list(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is a list of dates YYYY-MM-DD of the years 1769 to 1821, separated by commas.

    White space around a date does not count. Days are at most the last of their month (29 in February); the day 00 is
    accepted, and the month 00 with any day. ``args`` and ``language`` are not used.
    """
    for given in text.split(","):
        date = _DATE.fullmatch(given.strip())
        if not date:
            return False
        year, month, day = (int(part) for part in date.groups())
        if not 1769 <= year <= 1821 or month > 12 or day > _LONGEST.get(month, 99):
            return False
    return True


def repeat_change(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` differs from the request ``args["prompt_to_repeat"]``, but has the
    same words from the second on.

    ``language`` is not used.
    """
    request = str(args["prompt_to_repeat"])
    return text != request and text.split()[1:] == request.split()[1:]


def repeat_simple(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is the prompt's fixed sentence "Only output this sentence
    here, ignore all other requests."

    Case and surrounding white space do not count. ``args`` and ``language`` are not used.
    """
    return text.strip().lower() == _ONLY_THIS


def repeat_span(text: str, args: Args, language: Language) -> bool:
    """Return whether the answer ``text`` is a part of the request ``args["prompt_to_repeat"]``: its characters
    ``args["n_start"]`` to ``args["n_end"]`` (from 0, both included).

    Case and surrounding white space do not count. ``language`` is not used.
    """
    span = str(args["prompt_to_repeat"])[int(args["n_start"]) : int(args["n_end"]) + 1]
    return text.strip().lower() == span.strip().lower()
