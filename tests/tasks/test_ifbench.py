"""IFBench beyond the contract: each verifier, the two ways of grading, the models, the two files, the official code."""

import asyncio
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import BadInput
from evalsuite.records import Reply, Request
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.ifbench import language, layout, official
from evalsuite.tasks.ifbench.adapter import IFBench
from evalsuite.tasks.ifbench.merged import MERGED, with_merged_rows
from evalsuite.tasks.ifbench.models import RESOURCES, Language, _roots, load
from evalsuite.tasks.ifbench.verify import SEMANTICS, VERIFIERS, followed, own, variants
from evalsuite.tasks.registry import build
from figures import ifbench as figures
from tests.support import ifbench_texts as made_ifbench
from tests.support import questions as made
from tests.support.machine_speed import cpu_budget
from tests.support.shared import shared_data


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    made_ifbench.lay_out(folder)
    return folder


@pytest.fixture(scope="module")
def models(root: Path) -> Language:
    return load(str(root / "nltk_data"))


def task(root: Path, variant: str = "prompts300", **options: Any) -> IFBench:
    options = {"nltk_data": str(root / "nltk_data"), **options}
    built = build("ifbench", variant=variant, options=options, source=Source("local", str(root)), seed=42)
    assert isinstance(built, IFBench)
    return built


# ---------------------------------------------------------------- verifiers


@pytest.mark.parametrize(
    ("name", "args", "text", "right"),
    [
        pytest.param(name, args, text, right, id=f"{name}-{'follows' if right else 'not'}-{place}")
        for name, args, good, bad in made_ifbench.EXAMPLES
        for right, texts in ((True, good), (False, bad))
        for place, text in enumerate(texts)
    ],
)
def test_what_follows_an_instruction(models: Language, name: str, args: dict[str, Any], text: str, right: bool) -> None:
    assert VERIFIERS[name][0](text, args, models) is right


def test_every_verifier_has_examples_of_both_kinds() -> None:
    assert {name for name, _, good, bad in made_ifbench.EXAMPLES if good and bad} == set(VERIFIERS)
    assert len(VERIFIERS) == 58


def test_loose_looks_at_eight_variants() -> None:
    text = "*one*\n two\n*three* "
    assert variants(text) == (
        *(text, "two\n*three*", "*one*\n two", "two"),
        *("one\n two\nthree ", "two\nthree", "one\n two"),
    )
    assert variants("one line") == ("one line",)
    assert variants(" \n ") == ()


def test_strict_and_loose_each_judge_every_instruction(models: Language) -> None:
    both = [{"id": "words:vowel", "args": {}}, {"id": "count:numbers", "args": {"N": 1}}]
    verdict = followed(both, "Sure, here is one:\nAll 5 gnats sat.", own(models))
    assert (verdict.strict, verdict.loose) == ((False, True), (True, True))
    nothing = [{"id": "format:sub-bullets", "args": {}}]
    assert followed(nothing, " \n", own(models)).loose == (False,), "an answer without a word follows nothing"
    assert followed(nothing, "x", own(models)).strict == (True,)


def test_official_verdicts_on_real_answers() -> None:
    found = figures.agreement(shared_data())
    assert (found.prompts, found.strict, found.loose, found.same) == (300, 76, 86, 300)
    assert (found.pairs, found.same_pairs) == (6000, 6000)
    assert len(found.instructions) == 58
    assert all(equal == seen for equal, seen in found.instructions.values())


def test_looping_answers_take_less_than_a_second(root: Path) -> None:
    thoughts = [repr("Wait, let me think again. "), repr("Wait, let me think again.\n")]
    slowest = figures.looping(str(root / "nltk_data"), 300_000, thoughts)
    assert set(slowest) == set(VERIFIERS)
    assert max(slowest.values()) < (cpu_budget(1.0), "")


def test_no_shape_of_a_looping_answer_takes_more_than_its_share(root: Path) -> None:
    slowest = figures.looping(str(root / "nltk_data"), 12_000)
    assert max(slowest.values()) < (cpu_budget(0.5), ""), "with the square of the length, the worst takes seconds here"


# ---------------------------------------------------------------- the models

_PIECES = st.sampled_from(
    [
        *(
            ". ",
            "! ",
            "?",
            "?!",
            "...",
            ". . .",
            "e.g.",
            "Dr. ",
            "x.",
            ".)",
            '."',
            ".'",
            "\n",
            "\n\n",
            " ",
            "\t",
            "\x1c",
        ),
        *('"', "'", "''", "``", "(", ")", "[", "{", "<", ">", ",", ":", ";", "*", "--", "-", "$", "%", "&", "#", "@"),
        *(
            "\u2019",
            "“",
            "”",
            "«",
            "»",
            "\u2013",
            "\u2028",
            "\u00a0",
            "日本",
            "😀",
            "é",
            "The ",
            "the",
            "However",
            "5.",
            "1,000",
        ),
        *("cannot", "gonna ", "wanna", "'tis ", "d'ye", "more'n", "can't ", "it's ", "moss ", "Moss", "A.", "bc"),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60)


@settings(max_examples=400, deadline=None)
@given(text=_TEXTS)
def test_sentences_and_words_are_those_of_nltk(models: Language, text: str) -> None:
    sentences = models.punkt.tokenize(text)
    words = [word for sentence in sentences for word in models.tokenizer.tokenize(sentence)]
    assert list(language.sentences(models, text)) == sentences
    assert list(language.words(models, text)) == words
    assert language.last_words(models, text, 3) == words[-3:]
    assert [word for word in language.lettered_words(models, text) if word[0].isalpha()] == [
        word for word in words if word[0].isalpha()
    ]
    verb = bool(words) and "VB" in models.tagger.tag(words)[0][1]
    assert language.is_verb(models, text) is verb


def test_long_texts_are_cut_where_short_ones_are(models: Language) -> None:
    for piece in ("Moss grows. ", "so on and on ", '"', "!", "?! ", "a.\n", "([", "don't ", "it's 'so' "):
        text = "Go " + piece * 400
        words = [word for sentence in models.punkt.tokenize(text) for word in models.tokenizer.tokenize(sentence)]
        assert list(language.words(models, text)) == words
        assert language.last_words(models, text, 3) == words[-3:]
        assert language.is_verb(models, text)


@given(lines=st.lists(st.sampled_from(["", " ", "  ", "a", " b", "  c"]), max_size=14))
def test_blank_lines_go_as_they_go_from_a_list_that_is_walked(lines: list[str]) -> None:
    walked = list(lines)
    for line in walked:
        if not line.strip():
            walked.remove(line)
    assert layout._without_some_blank(lines) == walked


@pytest.mark.parametrize("name", RESOURCES)
def test_a_missing_resource_stops_the_run_by_name(tmp_path: Path, name: str) -> None:
    made_ifbench.lay_out(tmp_path)
    (tmp_path / "nltk_data" / name / RESOURCES[name][-1]).unlink()
    with pytest.raises(BadInput, match=f"the NLTK resource {name}, which is not there") as raised:
        list(task(tmp_path).items())
    assert "nltk.downloader -d DIR punkt_tab stopwords averaged_perceptron_tagger_eng" in str(raised.value)
    assert "tasks.ifbench.options.nltk_data=DIR" in str(raised.value)


def test_resources_may_be_packed_and_may_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ifbench.lay_out(tmp_path)
    folder = tmp_path / "nltk_data" / "corpora"
    with zipfile.ZipFile(folder / "stopwords.zip", "w") as packed:
        packed.write(folder / "stopwords" / "english", "stopwords/english")
    (folder / "stopwords" / "english").unlink()
    monkeypatch.setenv("NLTK_DATA", str(tmp_path / "nltk_data"))
    assert "none" in load.__wrapped__(None).stopwords
    assert len(list(task(tmp_path, nltk_data=None).items())) == made_ifbench.COUNT


def test_a_damaged_resource_is_bad_input(tmp_path: Path) -> None:
    folder = made_ifbench.models(tmp_path)
    (folder / "tokenizers/punkt_tab/english/ortho_context.tab").write_text("the\tmany\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is damaged: invalid literal"):
        load(str(folder))
    (folder / "corpora/stopwords/english").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="stopwords cannot be read"):
        load(str(folder))


def test_nltk_is_imported_when_it_is_needed() -> None:
    code = "import sys, evalsuite.tasks.ifbench.adapter; sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- the adapter


def test_items_carry_their_instructions_without_empty_arguments(root: Path) -> None:
    items = list(task(root).items())
    assert items[2].target == [{"id": "format:list", "args": {"sep": "-"}}, {"id": "count:numbers", "args": {"N": 2}}]
    assert items[2].groups == {"category": "mixed", "instructions": "2"}
    assert items[3].groups == {"category": "sentence", "instructions": "1"}


def test_a_score_holds_all_four_numbers_and_the_verifiers(root: Path) -> None:
    adapter = task(root)
    item = list(adapter.items())[2]
    score = adapter.score(item, 0, Reply("Here are 2:\n- 4 moles\n- 5 voles", finish_reason="stop"))
    assert (score.value, score.outcome, score.answer, score.stage) == (1, "correct", "11", SEMANTICS)
    assert score.parts == {"prompt_strict": 0, "prompt_loose": 1, "instruction_strict": 0.5, "instruction_loose": 1}
    assert score.note == "format:list followed; count:numbers followed loosely"
    cut = adapter.score(item, 0, Reply("- 4 moles\n", finish_reason="length"))
    assert (cut.value, cut.outcome, cut.answer) == (0, "truncated", "00")
    assert adapter.score(item, 0, Reply("", reasoning="- 4 moles\n- 5 voles")).outcome == "no_answer"


def test_grading_leaves_the_event_loop(root: Path) -> None:
    adapter = task(root)
    item = list(adapter.items())[4]

    async def chat(request: Request) -> Reply:
        assert request == adapter.prompt(item, 0)
        return Reply(made_ifbench.right(item.id), finish_reason="stop")

    assert asyncio.run(adapter.attempt(item, 0, Tools(chat))).value == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"instruction_id_list": ["count:number"]},
            "unknown instruction of ifbench item x 'count:number'; did you mean",
        ),
        ({"kwargs": [{"N": None}]}, "ifbench item x: its instruction count:numbers lacks N"),
        ({"kwargs": []}, "ifbench item x: 1 instructions with 0 sets of arguments"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    made_ifbench.lay_out(tmp_path)
    row = made_ifbench.row("x", {"count:numbers": {"N": 2}}) | change
    made.write(tmp_path / "ifbench" / "test.jsonl", [row])
    with pytest.raises(BadInput, match=said):
        list(task(tmp_path).items())


# ---------------------------------------------------------------- the file of 294 prompts


def test_seven_rows_become_one() -> None:
    rows = [made_ifbench.row(str(key), {"count:numbers": {"N": 2.0}}) for key in range(266, 277)]
    rows[8]["prompt"] = 'Name "moss" and "fern".'
    found = with_merged_rows(rows)
    assert [row["key"] for row in found] == ["266", "267", "268", "275", "276"]
    broken = found[2]
    assert broken["prompt"].startswith("What is made, 268? Mind this: count:numbers.\t['count:numbers']\t[{'N': 2.0, ")
    assert broken["prompt"].endswith('\n274\tName moss" and "fern".')
    assert broken["prompt"].count("\n") == 6
    assert with_merged_rows(rows[:2]) == rows[:2]
    with pytest.raises(BadInput, match="needs all of the items 268 to 274; there: 268, 269"):
        with_merged_rows(rows[:4])


def test_the_older_file_is_what_the_official_sample_was_asked() -> None:
    data = shared_data()
    options = {"nltk_data": str(data / "nltk_data")}
    source = Source("local", str(data))
    old = list(build("ifbench", variant="prompts294", options=options, source=source, seed=42).items())
    new = {item.id: item for item in figures.items(data)}
    asked = figures.sample_answers(data)
    assert (len(new), len(old)) == (300, 294)
    assert {item.inputs["prompt"].strip() for item in old} == set(asked)
    assert [item.id for item in old if item != new[item.id]] == [MERGED[0]]


# ---------------------------------------------------------------- the official verifiers


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package ``ifbench`` with one verifier of the official shape."""
    folder = tmp_path / "site" / "ifbench"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "instructions_registry.py").write_text(_REGISTRY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder.parent))
    official.load.cache_clear()
    yield folder
    official.load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "ifbench"]:
        del sys.modules[name]


_REGISTRY = """
class Numbers:
    def __init__(self, name):
        self.name = name
    def build_description(self, *, N=None):
        self.wanted = N
    def check_following(self, value):
        return len(value.split()[0]) == self.wanted
INSTRUCTION_DICT = {"count:numbers": Numbers}
"""


@pytest.mark.usefixtures("package")
def test_the_official_package_is_used_where_it_is_installed(tmp_path: Path) -> None:
    made_ifbench.lay_out(tmp_path)
    made.write(tmp_path / "ifbench" / "test.jsonl", [made_ifbench.row("x", {"count:numbers": {"N": 2}})])
    adapter = task(tmp_path, verifiers="official")
    item = next(iter(adapter.items()))
    score = adapter.score(item, 0, Reply("ab\nc", finish_reason="stop"))
    assert (score.value, score.stage) == (1, "ifbench-unknown")
    assert adapter.score(item, 0, Reply("abc", finish_reason="stop")).outcome == "wrong"


def test_without_the_official_package_the_run_stops(root: Path) -> None:
    official.load.cache_clear()
    with pytest.raises(BadInput, match=r"verifiers=official needs the package ifbench .* or use verifiers=own"):
        list(task(root, verifiers="official").items())
    with pytest.raises(BadInput, match="option verifiers of ifbench is 'ours'"):
        task(root, verifiers="ours")


def test_the_folders_of_nltk() -> None:
    program = "import json, nltk.data; print(json.dumps(nltk.data.path))"  # a process of its own: tests add folders
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    theirs = list(dict.fromkeys(json.loads(done.stdout)))
    assert [folder for folder in _roots(None, None) if folder in theirs] == theirs
