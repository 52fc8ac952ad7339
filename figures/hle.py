"""Humanity's Last Exam: prompts, verdicts and calibration error beside the authors' code and NeMo-Skills' prompts."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.stats.calibration import calibration_error
from evalsuite.tasks import hle
from figures import upstream_script as upstream
from figures.line import Line

VERDICTS = 300
_OFFICIAL = """
import json, os, sys
os.environ.setdefault("OPENAI_API_KEY", "none")
import numpy as np
from hle_eval import run_judge_results as official
from hle_eval import run_model_predictions as model
from pydantic import ValidationError
questions, replies, (confidence, right) = json.load(sys.stdin)
prompts = [official.JUDGE_PROMPT.format(question=q, correct_answer=a, response=r) for q, a, r in questions]
read = []
for text in replies:
    try:
        found = official.ExtractedAnswer.model_validate_json(text)
        read.append([found.correct == "yes", found.confidence])
    except ValidationError:
        read.append(None)
error = float(official.calib_err(np.array(confidence), np.array(right), p="2", beta=100))
print("\\n=====\\n" + json.dumps([model.SYSTEM_PROMPT, prompts, read, error]))
"""
_NEMO = """
import json, sys
import yaml
questions = json.load(sys.stdin)
system = yaml.safe_load(open("nemo_skills/prompt/config/generic/hle.yaml"))["system"].format()
judge = yaml.safe_load(open("nemo_skills/prompt/config/judge/hle.yaml"))["user"]
prompts = [judge.format(problem=q, expected_answer=a, generation=r) for q, a, r in questions]
print("\\n=====\\n" + json.dumps([system, prompts]))
"""


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures; ``folder`` is not used."""
    found, asked = [], "equal"
    what = f"HLE: prompts, and reading of {VERDICTS} made verdicts, beside the authors' code"
    if why := upstream.missing("hle"):
        found.append(Line(what, asked, why))
    else:
        system, prompts, verdicts, error = official()
        mine = own("official")
        same = sum(one == other for one, other in zip(mine[1], prompts, strict=True))
        equal = sum(one == other for one, other in zip(mine[2], verdicts, strict=True))
        readable = sum(one is not None for one in verdicts)
        told = "equal" if system == mine[0] else "different"
        found += [
            Line(
                what,
                asked,
                f"{same} of {len(prompts)} prompts, {equal} of {len(verdicts)} verdicts ({readable} readable), system "
                f"message {told}",
            ),
            Line(
                "HLE: calibration error of 1,050 made answers, theirs / ours", asked, f"{error:.12f} / {mine[3]:.12f}"
            ),
        ]
    what = "HLE strict: prompts of model and judge beside NeMo-Skills'"
    if why := upstream.missing("NeMo-Skills"):
        return [*found, Line(what, asked, why)]
    system, prompts = nemo()
    mine = own("strict")
    same = sum(one == other for one, other in zip(mine[1], prompts, strict=True))
    told = "equal" if system == mine[0] else "different"
    return [*found, Line(what, asked, f"{same} of {len(prompts)} prompts, system message {told}")]


def official() -> tuple[str, list[str], list[Any], float]:
    """The authors' system message, judge's prompts, verdicts on the made replies and calibration error."""
    question = [made_questions(), made_verdicts(), made_confidences()]
    system, prompts, verdicts, error = upstream.answered("hle", _OFFICIAL, question)
    return system, prompts, verdicts, error


def nemo() -> tuple[str, list[str]]:
    """NeMo-Skills' system message and judge's prompts."""
    system, prompts = upstream.answered("NeMo-Skills", _NEMO, made_questions())
    return system, prompts


def own(variant: str) -> tuple[str, list[str], list[Any], float]:
    """As ``official``, by this project."""
    confidences, right = made_confidences()
    error = calibration_error(np.array(confidences), np.array(right, dtype=np.float64))
    assert error is not None
    prompts = [hle.judge_prompt(variant, *one) for one in made_questions()]
    return hle.SYSTEM[variant], prompts, [_as_official(text) for text in made_verdicts()], error


def _as_official(text: str) -> list[Any] | None:
    verdict = hle.read_json(text)
    if verdict is None:
        return None
    return [verdict.right, None if verdict.confidence is None else round(100 * verdict.confidence)]


def made_questions() -> list[tuple[str, str, str]]:
    """(question, reference answer, response), with braces, percent signs and line breaks."""
    draw = random.Random(18)
    words = ["a", "{b}", "%", "\n", "[correct_answer]", "$x^{2}$", "数", "confidence: 10", "\\"]
    return [
        (*("".join(draw.choice(words) for _ in range(draw.randint(0, 12))) for _ in range(3)),)  # type: ignore[misc]
        for _ in range(100)
    ]


def made_verdicts() -> list[str]:
    """Replies of a judge: whole objects, and all ways to miss the format, in a seeded order."""
    draw = random.Random(18)
    replies = []
    for number in range(VERDICTS):
        kind = number % 20  # half of them are whole
        whole: dict[str, Any] = {
            "extracted_final_answer": draw.choice(["42", "None", "x\ny"]),
            "reasoning": draw.choice(["", "They match.", "correct: no"]),
            "correct": draw.choice(["yes", "no"]),
            "confidence": draw.randint(0, 100),
            "strict": True,
        }
        changes: list[dict[str, Any]] = [
            {},
            {"correct": draw.choice(["Yes", "maybe", True, None, "yes "])},
            {"confidence": draw.choice(["80", "80%", 80.0, 80.5, None, True])},
            {"strict": draw.choice([False, None, "true"])},
            {"further": 1},
        ]
        changed = {**whole, **dict(enumerate(changes)).get(kind, {})}
        if kind == 5:
            del changed[draw.choice(list(changed))]
        text = json.dumps(changed, indent=draw.choice([None, 2]))
        shapes = {6: f"```json\n{text}\n```", 7: f"Here it is: {text}", 8: text[:-1], 9: "correct: yes"}
        replies.append(shapes.get(kind, text))
    return replies


def made_confidences() -> tuple[list[float], list[int]]:
    """Distinct confidences (ties would be cut in the sort's order) and whether the answers are right."""
    draw = random.Random(18)
    confidences = draw.sample([number / 10_000 for number in range(10_000)], 1_050)
    return confidences, [int(draw.random() < 0.5 * one) for one in confidences]
