"""Prompts of LiveCodeBench and how the code is taken from a reply. Pure.

Sources: NVIDIA-NeMo/Skills 8b18f399 (``nemo_skills/dataset/livecodebench/prepare.py``, ``prompt/config/eval/
livecodebench/python_codegen.yaml``, ``evaluation/evaluator/code.py``) for ``nvidia``; LiveCodeBench/LiveCodeBench
28fef95e (``lcb_runner/prompts/code_generation.py``, style OpenAIChat; ``lcb_runner/utils/extraction_utils.py``) for
``official``.
"""

from collections.abc import Mapping
from typing import Any

SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
"""System message of ``official``."""
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
    "inputs, runs the algorithm and writes output to STDOUT."
)
PLACE = "# YOUR CODE HERE"
NVIDIA = (
    "Here is a problem for which you need to generate an executable code in python programming language.\n\n{question}"
)
FENCE, PYTHON = "```", "```python"


def nvidia_prompt(question: str, starter_code: str) -> tuple[Mapping[str, Any], ...]:
    """Return the messages of the variant ``nvidia``: one user message, in which every four spaces in a row are a tab.

    ``starter_code`` may be empty: the model is then asked for a program that reads standard input.
    """
    format_line = f"{WITH_STARTER}\n" if starter_code else f"{WITHOUT_STARTER}\n\n"
    text = f"{question}\n\n{format_line}{PYTHON}\n{starter_code or PLACE}\n{FENCE}\n\n"
    return ({"role": "user", "content": NVIDIA.format(question=text.replace("    ", "\t"))},)


def official_prompt(question: str, starter_code: str) -> tuple[Mapping[str, Any], ...]:
    """Return the messages of the variant ``official``: a system message and a user message.

    ``starter_code`` may be empty: the model is then asked for a program that reads standard input.
    """
    code = f"{PYTHON}\n{starter_code or PLACE}\n{FENCE}\n\n"
    text = (
        f"### Question:\n{question}\n\n### Format: {WITH_STARTER if starter_code else WITHOUT_STARTER}\n{code}"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    return ({"role": "system", "content": SYSTEM}, {"role": "user", "content": text})


def nvidia_code(reply: str) -> str:
    """Return the code of a reply: its first ``python`` block, else its first block, else the whole reply, stripped.

    A block that is not closed goes to the end. A block that opens with another name keeps it as its first line, one
    of ``python3`` the ``3``. Carriage returns are removed.
    """
    text = reply.strip().replace("\r", "")
    for opening in (PYTHON, FENCE):
        _, opened, rest = text.partition(opening)
        if opened:
            return rest.strip().partition(FENCE)[0].strip()
    return text


def official_code(reply: str) -> str:
    """Return the lines of a reply between its last two lines with a fence (three
    backticks); empty with fewer than two.
    """
    lines = reply.split("\n")
    fences = [number for number, line in enumerate(lines) if FENCE in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""
