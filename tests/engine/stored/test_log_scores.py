"""A log with a value of another type is refused with file and line, or graded as before: it moves no score."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Data, Run, Task
from evalsuite.engine.stored.imported import graded, scan
from evalsuite.errors import BadInput
from evalsuite.tasks.loading import load_tasks
from tests.support import questions as made
from tests.support.mutations import ODD, mutated

TEXT = "So \\boxed{1000}."
QUESTION = "How many, 0?"
PLAIN = {
    **{"idx": 0, "output": TEXT, "finish_reason": "stop", "repeat": 0, "reasoning": "Hm.", "verdict": 1.0},
    **{"prompt_tokens": 5, "completion_tokens": 6, "reasoning_tokens": 2, "choices": ["a", "b"]},
}
LM_EVAL = {
    **{"doc_id": 0, "doc": {"question": QUESTION}, "resps": [[TEXT]], "filter": "none", "exact_match": 1.0},
    **{"arguments": {"gen_args_0": {"arg_0": QUESTION}}, "metrics": ["exact_match"]},
}
REVIEW = {
    "index": 0,
    "messages": [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": [{"type": "text", "text": TEXT, "reasoning": "Hm."}]},
    ],
    "sample_score": {
        "score": {"value": {"acc": 1.0}},
        "generation_index": 0,
        "sample_metadata": {"question": QUESTION},
    },
}
PREDICTION = {
    "index": 0,
    "model_output": {
        "choices": [{"stop_reason": "stop"}],
        "usage": {"input_tokens": 3, "output_tokens": 4, "reasoning_tokens": 1},
    },
}
OUTPUT = {
    **{"generation": TEXT, "problem": QUESTION, "id": "x-0", "expected_answer": "1000", "symbolic_correct": True},
    **{"reasoning_content": "Hm.", "finish_reason": "stop", "num_generated_tokens": 9, "num_input_tokens": 3},
}


def other_answer(number: int, log: dict[str, Any]) -> dict[str, Any]:
    """The same line about item ``number``, with a wrong answer."""
    text = json.dumps(log).replace(QUESTION, f"How many, {number}?").replace("1000}", "77}").replace("1.0", "0.0")
    places = {name: number for name in ("idx", "doc_id", "index") if name in log}
    return json.loads(text) | places | ({"symbolic_correct": False, "id": f"x-{number}"} if log is OUTPUT else {})


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("answers.jsonl", PLAIN),
        ("samples_x.jsonl", LM_EVAL),
        ("reviews/m/x.jsonl", REVIEW),
        ("predictions/m/x.jsonl", PREDICTION),
        ("output.jsonl", OUTPUT),
    ],
)
def test_a_value_of_another_type_moves_no_score(tmp_path: Path, name: str, log: dict[str, Any]) -> None:
    data = Data("local", made.lay_out(tmp_path / "data").root)
    task = load_tasks(Run(tasks={"gsm8k": Task(adapter="gsm8k", variant="boxed")}, data=data))["gsm8k"]
    path, lines = tmp_path / name, [other_answer(1, log), other_answer(2, log)]
    if log is PREDICTION:
        made.write(tmp_path / "reviews/m/x.jsonl", [other_answer(1, REVIEW), REVIEW, other_answer(2, REVIEW)])
    path.parent.mkdir(parents=True, exist_ok=True)
    accepted = 0
    for place, changed in mutated(log, ODD):
        path.write_text("".join(json.dumps(line) + "\n" for line in (lines[0], changed, lines[1])))
        agreement: Counter[bool] = Counter()
        refusal = ""
        try:
            answers = scan([str(path).replace("predictions", "reviews")], task)
            samples = {sample.item_id: sample for sample in graded(answers, task, "theirs", agreement)}
        except BadInput as error:
            refusal = str(error)
        if refusal:
            assert f"{path.name} line " in refusal, place
            continue
        accepted += 1
        assert [samples[item].score.value for item in ("1", "2")] == [0, 0], place
        assert samples["0"].score.value in (1, None) or agreement[False] or "='" in place, place
    assert accepted
