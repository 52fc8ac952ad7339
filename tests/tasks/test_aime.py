"""AIME: both protocols, both years, and when its judge is asked."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.errors import BadInput, Exit, JudgeFailed
from evalsuite.records import JudgeVerdict, Reply, Request, Score
from evalsuite.store.samples import read_samples
from evalsuite.tasks import aime
from evalsuite.tasks.base import Rubric, Tools
from evalsuite.tasks.datasets import Source, pin
from evalsuite.tasks.hub import sha256
from evalsuite.tasks.provenance import data_facts
from tests.support import questions as made
from tests.support.command import evalsuite
from tests.support.scripted_endpoint import scripted_endpoint

LAST_BOX = re.compile(r"(?s)(?i)\\boxed{((?!.*\\boxed{).*)}")
"""The extractor of nvidia-simple-evals 26.3."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return made.lay_out(tmp_path_factory.mktemp("data"))


class Bench:
    """A judge that answers from a table and keeps what it was asked."""

    def __init__(self, **right: bool) -> None:
        self.right, self.asked = right, list[tuple[str, str, str]]()

    async def __call__(self, question: str, official: str, candidate: str) -> bool:
        raise AssertionError("AIME has a rubric of its own")

    async def verdict(self, rubric: Rubric, question: str, official: str, candidate: str) -> JudgeVerdict:
        assert rubric is aime.RUBRIC
        self.asked.append((question, official, candidate))
        if candidate not in self.right:
            raise JudgeFailed("it stays silent")
        return JudgeVerdict(self.right[candidate])


def attempt(adapter: Any, text: str, judge: Bench | None = None, number: int = 1) -> Score:
    async def chat(request: Request) -> Reply:
        return Reply(text, finish_reason="stop")

    score: Score = asyncio.run(adapter.attempt(list(adapter.items())[number], 0, Tools(chat, judge=judge)))
    return score


def test_both_years_have_two_contests_and_integers(source: Source) -> None:
    items = list(made.adapter("aime", "boxed", source).items())
    assert [item.groups["contest"] for item in items] == ["I"] * 15 + ["II"] * 15
    assert items[4].target == "336"  # the dataset writes 336^\circ
    earlier = list(made.adapter("aime", "boxed", source, year=2024).items())
    assert [(item.id, item.target, item.groups["contest"]) for item in earlier[:3]] == [
        ("60", "0", "I"),
        ("61", "1", "II"),
        ("62", "2", "I"),
    ]


def test_a_key_that_is_no_integer_of_aime_is_refused(tmp_path: Path) -> None:
    made.write(tmp_path / "aime" / "test.jsonl", [{"id": "0", "problem": "?", "answer": "1.5"}])
    with pytest.raises(BadInput, match=r"aime 2025, item 0: its answer '1.5' is no integer of AIME"):
        list(made.adapter("aime", "boxed", Source("local", str(tmp_path))).items())


def test_the_judge_is_asked_only_about_what_is_not_one_number(source: Source) -> None:
    adapter = made.adapter("aime", "aa", source)
    bench = Bench(**{"74/2": True, "38+1": False})
    for text, outcome, stage in (
        ("\\boxed{037}", "correct", "boxed"),
        ("\\boxed{38}", "wrong", "boxed"),
        ("\\boxed{74/2}", "correct", "judge"),
        ("\\boxed{38+1}", "wrong", "judge"),
        ("37", "no_answer", ""),
        ("\\boxed{}", "no_answer", ""),
        ("\\boxed{" + "x" * 2000 + "}", "wrong", "boxed"),
    ):
        score = attempt(adapter, text, bench)
        assert (score.outcome, score.stage) == (outcome, stage), text
    assert [(official, candidate) for _, official, candidate in bench.asked] == [("37", "74/2"), ("37", "38+1")]
    silent = attempt(adapter, "\\boxed{\\sqrt{1369}}", bench)
    assert (silent.value, silent.outcome, silent.note) == (None, "ungraded", "it stays silent")
    assert attempt(adapter, "\\boxed{74/2}").note == "waits for a judge"


def test_arithmetic_is_evaluated_in_the_boxed_variant(source: Source) -> None:
    adapter = made.adapter("aime", "boxed", source)
    for text, outcome in (("\\boxed{74/2}", "correct"), ("\\boxed{75/2}", "wrong"), ("\\boxed{x+37}", "wrong")):
        assert attempt(adapter, text).outcome == outcome, text


def test_the_rubric_reads_only_yes_or_no() -> None:
    read = aime.RUBRIC.read
    assert read("Yes") == read("**yes**.") == JudgeVerdict(True)
    assert read(" no\n") == JudgeVerdict(False)
    assert [read(text) for text in ("", "Yes, they are", "not", "yes no", "correct")] == [None] * 5
    request = aime.RUBRIC.request("?", "70", "7 \\cdot 10")
    assert request.messages[0]["content"].endswith("Expression 1: 70\n    Expression 2: 7 \\cdot 10")


@given(st.lists(st.sampled_from(["\\boxed{", "\\Boxed{", "}", "{", "70", "\n", "x", "\\boxed"]), max_size=14))
def test_the_last_box_is_the_packages(pieces: list[str]) -> None:
    text = "".join(pieces)
    match = LAST_BOX.search(text)
    assert aime.last_box(text) == (match[1] if match else "")


def test_both_fetched_years_are_the_pinned_commits(tmp_path: Path) -> None:
    source = made.lay_out(tmp_path)
    pinned = pin("aime")
    commits = {f"aime/{name}.jsonl": pinned.holding(name).revision for name in pinned.splits}

    def fetched(revisions: dict[str, str]) -> str | None:
        files = [
            {
                "task": "aime",
                "file": name,
                "revision": revision,
                "sha256": sha256(tmp_path / name),
                "bytes": (tmp_path / name).stat().st_size,
            }
            for name, revision in revisions.items()
        ]
        (tmp_path / "fetched.json").write_text(json.dumps({"files": files}))
        revision: str | None = data_facts("aime", source)["revision"]
        return revision

    assert len(set(commits.values())) == 2
    assert fetched(commits) == pinned.revision
    assert fetched({**commits, "aime/test.jsonl": "0" * 40}) is None
    assert fetched({"aime/test.jsonl": pinned.revision}) is None
    listed = tmp_path / "fetched.json"
    listed.write_text(listed.read_text().replace('"revision"', '"commit"'))
    with pytest.raises(BadInput, match=r"fetched\.json is damaged \('revision'\)"):
        data_facts("aime", source)


def test_expressions_are_judged_later(tmp_path: Path) -> None:
    root = tmp_path / "data"
    made.lay_out(root)
    words = ["task=aime", "tasks.aime.variant=aa", "tasks.aime.repeats=1", "data=local", f"data.root={root}", "limit=4"]
    words += ["model=fp8", f"results_dir={tmp_path}/results", "run_id=r", "engine.probe=false", "report=false"]
    judged = ["judge", "run=r", f"results_dir={tmp_path}/results", "data=local", f"data.root={root}"]
    with scripted_endpoint(lambda _: "\\boxed{n + 1}") as server, scripted_endpoint(lambda _: "No", model="j") as bench:
        assert run(load_settings([*words, f"models.fp8.base_url={server.base_url}"])) == Exit.INCOMPLETE
        judge_words = ("judge=qwen3_235b_instruct", f"judge.base_url={bench.base_url}")
        done = evalsuite(tmp_path, *judged, *judge_words)
        assert done.returncode == 0, done
        assert len(bench.requests) == 4
        boxed = [word.replace("variant=aa", "variant=boxed").replace("run_id=r", "run_id=b") for word in words]
        assert run(load_settings([*boxed, f"models.fp8.base_url={server.base_url}"])) == Exit.DONE
        refused = evalsuite(tmp_path, "judge", "run=b", *judged[2:], *judge_words)
        assert "no cell of b has answers that a judge grades" in refused.stderr
    rows = read_samples(tmp_path / "results" / "r" / "fp8" / "aime").to_pylist()
    assert {(row["outcome"], row["stage"]) for row in rows} == {("wrong", "judge")}
