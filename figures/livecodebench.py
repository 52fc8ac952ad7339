"""LiveCodeBench's prompts and verdicts beside the authors' code and NVIDIA's."""

import random
from pathlib import Path
from typing import Any

from evalsuite.sandbox.client import open_sandbox
from evalsuite.tasks.livecodebench import running
from evalsuite.tasks.livecodebench.adapter import CODES, PROMPTS
from figures import upstream_script as upstream
from figures.line import Line
from tests.support.livecodebench_problems import CASES, SECONDS

PROBLEMS = 200
CHECKOUTS = {"LiveCodeBench": "official", "NeMo-Skills": "nvidia"}
"""Checkout -> the variant that follows it."""
_CHECK = """
import json, sys
import numpy as np
from lcb_runner.evaluation.compute_code_generation_metrics import evaluate_generations_by_problem
verdicts = []
for sample, code, seconds in json.load(sys.stdin):
    results, _ = evaluate_generations_by_problem(([code], {"input_output": json.dumps(sample)}, False, seconds))
    verdicts.append(bool(np.all(np.array(results[0]) > 0)))
print("\\n=====\\n" + json.dumps(verdicts))
"""
_PROMPT = """
import json, sys
from types import SimpleNamespace
sys.modules["anthropic"] = SimpleNamespace(HUMAN_PROMPT="", AI_PROMPT="")
from lcb_runner.lm_styles import LMStyle
from lcb_runner.prompts.code_generation import format_prompt_generation
from lcb_runner.utils.extraction_utils import extract_code
problems, replies = json.load(sys.stdin)
made = [format_prompt_generation(SimpleNamespace(**one), LMStyle.OpenAIChat) for one in problems]
print("\\n=====\\n" + json.dumps([made, [extract_code(one, LMStyle.OpenAIChat) for one in replies]]))
"""
_NVIDIA = """
import json, sys
import yaml
text = open("nemo_skills/dataset/livecodebench/prepare.py").read()
template = yaml.safe_load(open("nemo_skills/prompt/config/eval/livecodebench/python_codegen.yaml"))["user"]
space = {}
exec(text[text.index("class PromptConstants"):text.index("def parse_data")], space)
exec(text[text.index("def clean_data"):text.index("def prepare(")].replace("Value(", "str("), space)
class Rows:
    def __init__(self, rows): self.rows = rows
    def cast_column(self, *_): return self
    def map(self, function, remove_columns): return [function(dict(row)) for row in self.rows]
code = open("nemo_skills/evaluation/evaluator/code.py").read()
exec("import re\\n" + code[code.index("def preprocess_code"):code.index("def install_from_git")], space)
problems, replies = json.load(sys.stdin)
made = [[{"role": "user", "content": template.format(question=row["question"])}]
        for row in space["clean_data"](Rows(problems))]
codes = [space["preprocess_code"]({"generation": one})["completion"] for one in replies]
print("\\n=====\\n" + json.dumps([made, codes]))
"""


def lines(folder: Path) -> list[Line]:
    """The rows of the page of figures; ``folder`` is not used."""
    return [_verdicts(), *_prompts()]


def _verdicts() -> Line:
    what, asked = "30 made answers (right, wrong, slow, memory, exceptions, formats): verdicts", "30 equal the official"
    if why := upstream.missing("LiveCodeBench"):
        return Line(what, asked, why)
    samples = [
        ({"inputs": case.tests.inputs, "outputs": case.tests.outputs, "fn_name": case.tests.function}, case.code)
        for case in CASES
    ]
    official = upstream.answered("LiveCodeBench", _CHECK, [(*sample, SECONDS) for sample in samples])
    ours = own_verdicts()
    different = [
        f"{case.name}: ours {verdict}, official {other}"
        for case, verdict, other in zip(CASES, ours, official, strict=True)
        if verdict != other
    ]
    stale = [case.name for case, verdict in zip(CASES, official, strict=True) if case.passes != verdict]
    named = "; ".join([*different, *(f"recorded otherwise: {name}" for name in stale)])
    return Line(what, asked, f"{len(CASES) - len(different)} of {len(CASES)} equal{f' ({named})' if named else ''}")


def own_verdicts() -> list[bool]:
    """The verdicts of this project on all cases, in the sandbox."""
    box = open_sandbox()
    try:
        return [box.run(running.job(case.tests, case.code, SECONDS), case.tests.outputs).ok for case in CASES]
    finally:
        box.close()


def _prompts() -> list[Line]:
    found = []
    for checkout, variant in CHECKOUTS.items():
        what = f"prompts of {PROBLEMS} made problems and code of {PROBLEMS} made replies beside {checkout}"
        if why := upstream.missing(checkout):
            found.append(Line(what, "byte-equal", why))
            continue
        counts = [
            sum(one == other for one, other in zip(mine, theirs, strict=True))
            for mine, theirs in zip(own(variant), published(checkout), strict=True)
        ]
        found.append(Line(what, "byte-equal", f"{counts[0]} prompts and {counts[1]} codes equal"))
    return found


def published(checkout: str) -> tuple[list[Any], list[str]]:
    """Prompts of the made problems and code of the made replies, by the code of a checkout."""
    script = _PROMPT if checkout == "LiveCodeBench" else _NVIDIA
    made, codes = upstream.answered(checkout, script, [made_problems(PROBLEMS), made_replies(PROBLEMS)])
    return made, codes


def own(variant: str) -> tuple[list[Any], list[str]]:
    """As ``published``, by a variant of this project."""
    prompt, code = PROMPTS[variant], CODES[variant]
    made = [list(prompt(one["question_content"], one["starter_code"])) for one in made_problems(PROBLEMS)]
    return made, [code(reply) for reply in made_replies(PROBLEMS)]


def made_problems(count: int) -> list[dict[str, Any]]:
    """Problems with the columns that prompts are made of; half of them have starter code."""
    draw = random.Random(18)
    words = [
        "sum",
        "    indented",
        "{braces}",
        "```",
        "\ttab",
        "Zeile äöü",
        "数",
        "\n\n",
        "  ",
        "$x^2$",
        "\\n",
        "a" * 60,
    ]
    problems = []
    for number in range(count):
        text = " ".join(draw.choice(words) for _ in range(draw.randint(0, 30)))
        starter = f"class Solution:\n    def f{number}(self, x: int) -> int:\n        " if number % 2 else ""
        problems.append({"question_content": text, "starter_code": starter, "question_id": str(number)})
    return problems


def made_replies(count: int) -> list[str]:
    """Replies with none, one or several fences, open and closed, in a seeded order."""
    draw = random.Random(19)
    pieces = [
        "```",
        "```python\n",
        "```py\n",
        "\n",
        "print(1)",
        "Here: ",
        "x = 2\r\n",
        "```\n",
        "  ",
        "```python",
        "~~~",
    ]
    return ["".join(draw.choice(pieces) for _ in range(draw.randint(0, 9))) for _ in range(count)]
