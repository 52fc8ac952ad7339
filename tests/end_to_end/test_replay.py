"""Real answers: the counts that are asked, and the time that looping answers cost."""

from pathlib import Path

import pytest

from figures import replay
from tests.support.machine_speed import cpu_budget
from tests.support.shared import shared_data

pytestmark = pytest.mark.slow


def test_no_looping_answer_takes_a_second() -> None:
    slowest = replay.looping_answers(300_000)
    assert len(slowest) == 8
    assert max(seconds for seconds, _ in slowest.values()) < cpu_budget(1.0), slowest


def test_mmlu_pro_counts(tmp_path: Path) -> None:
    done = replay.mmlu_pro_imports(shared_data(), tmp_path)
    assert done.items == 12_032
    assert done.right == {
        "Meta-Llama-3-70B": 6_322,
        "Meta-Llama-3_1-70B": 6_309,
        "Meta-Llama-3_1-70B-Instruct": 7_557,
        "Qwen1.5-72B-Chat": 5_923,
    }
    assert (done.lost, done.gained) == (1_043, 1_030)
    assert done.unparsed == {
        "Meta-Llama-3-70B": 469,
        "Meta-Llama-3_1-70B": 214,
        "Meta-Llama-3_1-70B-Instruct": 188,
        "Qwen1.5-72B-Chat": 984,
    }
    for model, subjects in done.subjects.items():
        assert {subject: asked for subject, (_, asked) in subjects.items()} == SUBJECTS
        assert sum(right for right, _ in subjects.values()) == done.right[model]
    assert done.peak_mb < 1_000


def test_gsm8k_verdicts_are_the_authors() -> None:
    assert replay.gsm8k_agreement(shared_data()) == {model: (1_319, 1_319) for model in replay.SOLVERS}


SUBJECTS = {
    "biology": 717,
    "business": 789,
    "chemistry": 1132,
    "computer science": 410,
    "economics": 844,
    "engineering": 969,
    "health": 818,
    "history": 381,
    "law": 1101,
    "math": 1351,
    "other": 924,
    "philosophy": 499,
    "physics": 1299,
    "psychology": 798,
}
