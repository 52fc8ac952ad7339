"""Made prompts in IFBench's columns, small made models in NLTK's files, and examples for each of the 58 verifiers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.tasks.ifbench import language

VARIANTS = ("prompts300", "prompts294")
COUNT = 6
WRONG = "No idea, none."
"""Follows no instruction of any made prompt."""

_MADE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"custom:character_reverse": {}}, "si elgae dlab A"),
    ({"format:output_template": {}}, "My Answer: one. My Conclusion: two. Future Outlook: three."),
    ({"format:list": {"sep": "-"}, "count:numbers": {"N": 2.0}}, "- 4 moles\n- 5 voles"),
    ({"sentence:keyword": {"word": "moss", "N": 2.0}}, "It rained. The moss grew."),
    ({"ratio:stop_words": {"percentage": 40.0}}, "Moss grows."),
    ({"words:start_verb": {}}, "Go there."),
)
_COLUMNS = ("N", "keyword", "percentage", "sep", "small_n", "word")


def rows() -> list[dict[str, Any]]:
    return [row(str(number), instructions) for number, (instructions, _) in enumerate(_MADE)]


def row(key: str, instructions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    kwargs = [{name: args.get(name) for name in sorted({*_COLUMNS, *args})} for args in instructions.values()]
    prompt = f"What is made, {key}? Mind this: {', '.join(instructions)}."
    return {"key": key, "prompt": prompt, "instruction_id_list": list(instructions), "kwargs": kwargs}


def right(key: str) -> str:
    return _MADE[int(key)][1]


def forget_decisions() -> None:
    """Drop every remembered decision of the splitters, so that what is measured next starts from nothing."""
    for remembered in vars(language).values():
        if hasattr(remembered, "cache_clear"):
            remembered.cache_clear()


def lay_out(root: Path) -> None:
    """``ifbench/test.jsonl`` and ``nltk_data/`` below ``root``."""
    (root / "ifbench").mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{json.dumps(row)}\n" for row in rows())
    (root / "ifbench" / "test.jsonl").write_text(lines, encoding="utf-8")
    models(root / "nltk_data")


def models(folder: Path) -> Path:
    """Models that know one abbreviation, seven stop words and two verbs."""
    tagger = "taggers/averaged_perceptron_tagger_eng/averaged_perceptron_tagger_eng"
    files = {
        "tokenizers/punkt_tab/english/abbrev_types.txt": "dr\n",
        "tokenizers/punkt_tab/english/collocations.tab": "##number##\tbc\n",
        "tokenizers/punkt_tab/english/ortho_context.tab": "the\t46\n",
        "tokenizers/punkt_tab/english/sent_starters.txt": "however\n",
        "corpora/stopwords/english": "no\nthe\na\nit\nof\nand\nnone\nidea\n",
        f"{tagger}.weights.json": '{"bias": {"NN": 1.0, "VB": 0.0}}',
        f"{tagger}.tagdict.json": '{"Go": "VB", "went": "VBD"}',
        f"{tagger}.classes.json": '["NN", "VB", "VBD"]',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


_WORDS = {"keyword1": "ash", "keyword2": "elm", "keyword3": "oak", "keyword4": "fir", "keyword5": "yew"}
_TREES = "ash elm Elm oak oak oak " + "fir " * 5 + "yew " * 6
_COUNTRIES = "\n".join(["Zimbabwe", *(f"{chr(89 - place // 3)}{9 - place % 3}" for place in range(51))])
_QUESTION = "\nA. aa\nB. bb\nC. cc\nD. dd\nE. ee\n"
_CAPITALS = (
    "Reykjavík, Helsinki, Oslo, Tallinn, Stockholm, Riga, Moscow, Copenhagen, Vilnius, Minsk, Dublin, Berlin, "
    "Amsterdam, Warsaw, London, Brussels, Prague, Luxembourg, Paris, Vienna, Bratislava, Budapest, Vaduz, "
    "Chișinău, Bern, Ljubljana, Zagreb"
)
_CITIES = "ID,Country,City,Year,Count" + "\n1,Peru,Lima,2001,5" * 7
_BRANDS = "ProductID,Category,Brand,Price,Stock" + '\n1,a,"b!",2,3' + "\n1,a,b,2,3" * 13
_GRADES = "\t".join(f'"{name}"' for name in ("StudentID", "Subject", "Grade", "Semester", "Score"))
_ASKED = "List nine mosses."

EXAMPLES: tuple[tuple[str, dict[str, Any], tuple[str, ...], tuple[str, ...]], ...] = (
    ("count:conjunctions", {"small_n": 3}, ("and, but so", "And and or"), ("and and but", "android sofa butter")),
    ("count:keywords_multiple", _WORDS, (_TREES + "yew", _TREES + "yewbranch"), (_TREES, _TREES + "yew yew", "ash")),
    ("count:numbers", {"N": 2}, ("1,000.5 and 7", "3 of 4"), ("1 2 3", "one 2", "a")),
    ("count:person_names", {"N": 2}, ("Emma met Leo.", "Ella-Mia"), ("Emma, Emma", "emma leo", "Leonora Emmas")),
    ("count:pronouns", {"N": 3}, ("I saw it and they left.", "he/she/they"), ("I saw a cat.", "iffy items theory")),
    ("count:punctuation", {}, ("a. b, c! d? e; f: g?!", "., ! ? ; : ‽"), ("a. b, c; f: g?!", ". , ! ? ; :")),
    ("count:unique_word_count", {"N": 3}, ("one, two three", "a b (c)"), ("one One one. two", "a b")),
    ("count:word_count_range", {"min_words": 2, "max_words": 3}, ("a b", "it's ok"), ("a", "a b c d", "it's not ok")),
    ("count:words_japanese", {"N": 2}, ("a 日 b カ c", "a 12 b", "a"), ("a b c", "a 日 b c")),
    ("custom:character_reverse", {}, (".elgae dlab ehT", "ELGAE DLAB"), ("bald eagle", "elgaedlab")),
    ("custom:csv_city", {}, (_CITIES,), (_CITIES + "\n1,2,3,4,5", _CITIES.replace("Lima", "Li,ma"), "ID", "a\rb")),
    (
        "custom:csv_quotes",
        {},
        ("\n".join([_GRADES] * 4),),
        (
            "\n".join([_GRADES] * 5),
            "\n".join([_GRADES] * 3 + ["1\t2\t3\t4\t5"]),
            "\n".join([_GRADES] * 3 + ["\t\t\t\t"]),
        ),
    ),
    (
        "custom:csv_special_character",
        {},
        (_BRANDS, _BRANDS.replace("ProductID,", '"ProductID", ')),
        (_BRANDS.replace("!", ""), _BRANDS + "\n1,a,b,2,3", _BRANDS.replace("Stock", "Store"), '"!'),
    ),
    (
        "custom:date_format_list",
        {},
        ("1770-01-31, 1821-12-01",),
        ("1768-01-01", "1770-02-30", "1770-13-01", "1770-1-1", "a,"),
    ),
    (
        "custom:european_capitals_sort",
        {},
        (_CAPITALS, f"{_CAPITALS}, "),
        (_CAPITALS[:-8], _CAPITALS.replace("Oslo", "Rome")),
    ),
    (
        "custom:mcq_count_length",
        {},
        ("\n\n".join(f"Question {place}. {'why ' * place}?{_QUESTION}" for place in range(1, 5)),),
        (
            "\n".join(f"Question {place}. why?{_QUESTION}" for place in range(1, 5)),
            "Question 1. why?" + _QUESTION,
            "So?",
        ),
    ),
    ("custom:multiples", {}, ("14 21 28 35 42 49", "14,21,28,35,42,49."), ("14 21 28", "7 14 21 28 35 42 49")),
    (
        "custom:reverse_newline",
        {},
        (_COUNTRIES, f"Here:\n\n{_COUNTRIES}"),
        (_COUNTRIES[:-4], _COUNTRIES + "\nzz", "Zimbabwe"),
    ),
    (
        "custom:sentence_alphabet",
        {},
        (" ".join(f"{chr(65 + place)}n apple." for place in range(26)),),
        ("An apple.", "B."),
    ),
    ("custom:word_reverse", {}, ("Eagle bald the is it", "eagle, Bald."), ("The bald eagle", "eagle")),
    ("format:emoji", {}, ("Fine 😀. Good 👍!", "Fine. 😀"), ("Fine 😀. Good.", "Fine.", "...")),
    ("format:line_indent", {}, ("a\n b\n  c", "a\n\n b", "a"), ("a\nb", " a\nb", "a\n\n\n b\n\n\n\n  c")),
    ("format:list", {"sep": "!?!?"}, ("!?!? a\n!?!? b", "!?!?!?!?"), ("!?!? a", "- a\n- b")),
    ("format:newline", {}, ("one\ntwo\n\nthree", "one"), ("one two", "one\ntwo three")),
    (
        "format:no_bullets_bullets",
        {},
        ("One. Two.\n* a\n* b",),
        ("One.\n* a\n* b", "One. Two.\n* a", "One. Two.\n* a\n* b\nThree."),
    ),
    ("format:no_whitespace", {}, ("abc.",), ("a bc", "a\u00a0b", "a\nb")),
    ("format:options", {"options": "yes/no/maybe"}, ("Yes.", "maybe"), ("yes, sure", "a")),
    ("format:options", {"options": "a), b), c), d)"}, ("a)",), ("A)", "a", "a) ")),
    ("format:options", {"options": "I know or I don't know"}, ("i know!", "I don't know"), ("I do", "or")),
    (
        "format:output_template",
        {},
        ("My Answer: a My Conclusion: b Future Outlook: c",),
        ("My Answer: a", "my answer: a"),
    ),
    ("format:parentheses", {}, ("([{([a])}])", "x ((((()", "(((((a) b"), ("((((a))))", "(((((]", "(((((")),
    ("format:quote_unquote", {}, ('He said "go" and left.', "plain"), ('"a""b"', 'He said "go".', '"a" "b" c')),
    ("format:quotes", {}, ('"a \'b "c" d\' e"',), ("\"a 'b' c\"", '"a" "b"', "'\"'")),
    ("format:sub-bullets", {}, ("* a\n- b\n* c\n- d", "no bullets"), ("* a\n- b\n* c", "**a** - b")),
    (
        "format:thesis",
        {},
        ("<i>It is.</i> So.", "<em>It is.</em> So."),
        ("<i>It is.</i>", "<i> </i> a", "It is.</i>", "a <i>b"),
    ),
    (
        "format:title_case",
        {},
        ("A Big Moss.", "McDonald 3d", "HTML Is"),
        ("A big Moss", "a Moss", "Don't", "iOS Is small"),
    ),
    (
        "ratio:overlap",
        {"reference_text": "abcdef", "percentage": 50},
        ("abcdxy", "abcdxyx"[:6]),
        ("abcdef", "xyzuvw", "ab"),
    ),
    ("ratio:sentence_balance", {}, ("Moss grows. Does it? It does!", "none"), ("Moss grows. Does it?", "Moss grows.")),
    ("ratio:sentence_type", {}, ("Moss grows. It does. Does it?", "none"), ("Moss grows. Does it?", "Moss grows.")),
    ("ratio:sentence_words", {}, ("Ab cd. Ef gh! Ij kl?",), ("Ab cd. Ef gh!", "Ab cd. Ef gh. Ij klm.")),
    ("ratio:stop_words", {"percentage": 50}, ("the moss", "moss"), ("the a moss", "!!")),
    (
        "repeat:repeat_change",
        {"prompt_to_repeat": _ASKED},
        ("Name nine mosses.", "Name  nine\nmosses."),
        (_ASKED, "Name ten."),
    ),
    (
        "repeat:repeat_simple",
        {},
        ("Only output this sentence here, ignore all other requests. ",),
        ("Only output this.",),
    ),
    (
        "repeat:repeat_span",
        {"prompt_to_repeat": _ASKED, "n_start": 0, "n_end": 3},
        ("List", " list\n"),
        ("Lis", "List nine"),
    ),
    ("sentence:alliteration_increment", {}, ("A moss. Big bad moss. Cold cats can sit.", "a"), ("A moss. A fern.",)),
    ("sentence:increment", {"small_n": 2}, ("One. One two three.", "One"), ("One. One two.", "One two. One.")),
    (
        "sentence:keyword",
        {"word": "moss", "N": 2},
        ("A fern. The Moss!",),
        ("The moss. A fern.", "A fern. Mosses.", "Moss"),
    ),
    ("words:alphabet", {}, ("Yet zeal and beauty, come", "a"), ("a c", "1 b", "?!", "Any any")),
    ("words:consonants", {}, ("Moss grows strong", "Fly"), ("A moss", "Moss is")),
    (
        "words:keywords_specific_position",
        {"keyword": "moss", "n": 2, "m": 3},
        ("A. The, green Moss.",),
        ("A. Moss.", "A moss"),
    ),
    ("words:last_first", {}, ("I see moss. Moss is green.", "one"), ("I see moss. It is green.", "A b. !!")),
    ("words:no_consecutive", {}, ("One two six", "a"), ("two ten", "Big (bad) wolf")),
    ("words:odd_even_syllables", {}, ("moss under trees", "moss"), ("moss trees", "under over")),
    ("words:palindrome", {}, ("level, " * 10, "Level kayak radar civic rotor " * 2), ("level " * 9, "noon " * 10)),
    (
        "words:paragraph_last_first",
        {},
        ("Moss is moss.\n\n(One is one)", "one", "!!"),
        ("Moss is green.", "a b a\nb a"),
    ),
    ("words:prime_lengths", {}, ("it's moss's", "the fern's", "!!"), ("moss", "a")),
    ("words:repeats", {"small_n": 2}, ("the moss, the", "one"), ("The the moss (the)",)),
    ("words:start_verb", {}, ("went home.",), ("Moss grows.", "(Go)")),
    ("words:vowel", {}, ("A banana, it is so", "rhythm"), ("A quiet sound be", "one\ntwo")),
    (
        "words:words_position",
        {"keyword": "moss"},
        ("The moss is MOSS here.", "a moss b", "moss moss moss!"),
        ("The fern is moss here.", "moss", "!"),
    ),
)
"""Instruction id, arguments, answers that follow it, answers that do not; graded with the made models."""
