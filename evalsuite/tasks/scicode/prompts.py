"""Prompts of SciCode's steps, and the extraction of code from a reply.

Templates: ``eval/data/background_comment_template.txt`` and ``multistep_template.txt`` of scicode-bench/SciCode
588b406, word for word.
"""

# ruff: noqa: E501
import re
from collections.abc import Mapping, Sequence
from typing import Any

WRITE_BACKGROUND = """\
PROBLEM DESCRIPTION:
You will be provided with the main description of the problem, previous steps, and the next step. Your task will be to generate the disciplinary knowledge necessary for solving the next step and then develop a Python solution focused on this step.

PREVIOUS STEPS DESCRIPTION:
{problem_steps_str}

NEXT STEP - PROBLEM DESCRIPTION AND FUNCTION HEADER:
This part will describe the next step in the problem-solving process. First, provide the necessary scientific background knowledge as a comment at the beginning of your response, starting with 'Background: '. Then, a function header will be provided, and your task is to develop the Python code for this next step based on the provided description and function header.

{next_step_str}

DEPENDENCIES:
Use only the following dependencies in your solution. Do not include these dependencies at the beginning of your code.
{dependencies}

RESPONSE GUIDELINES:
1. Start with the scientific background required for the next step, formatted as a comment.
2. Then write the complete and executable Python program for the next step in a single block.
3. Your response should focus exclusively on implementing the solution for the next step, adhering closely to the specified function header and the context provided by the initial steps.
4. DO NOT include previous function code, example usage or test code in your response.
5. Ensure your response is in the format of ```python``` and includes the necessary background as a comment at the top.

Example:
```python
# Background: [Here, insert the necessary scientific knowledge required for the next step.]

[Insert the Python code here based on the provided function header and dependencies.]
```
"""
"""Template that asks for the background as a comment, then for the code."""

BACKGROUND_GIVEN = """\
PROBLEM DESCRIPTION:
You will be provided with problem steps along with background knowledge necessary for solving the problem. Your task will be to develop a Python solution focused on the next step of the problem-solving process.

PROBLEM STEPS AND FUNCTION CODE:
Here, you'll find the Python code for the initial steps of the problem-solving process. This code is integral to building the solution.

{problem_steps_str}

NEXT STEP - PROBLEM STEP AND FUNCTION HEADER:
This part will describe the next step in the problem-solving process. A function header will be provided, and your task is to develop the Python code for this next step based on the provided description and function header.

{next_step_str}

DEPENDENCIES:
Use only the following dependencies in your solution. Do not include these dependencies at the beginning of your code.

{dependencies}

RESPONSE GUIDELINES:
Now, based on the instructions and information provided above, write the complete and executable Python program for the next step in a single block.
Your response should focus exclusively on implementing the solution for the next step, adhering closely to the specified function header and the context provided by the initial steps.
Your response should NOT include the dependencies and functions of all previous steps. If your next step function calls functions from previous steps, please make sure it uses the headers provided without modification.
DO NOT generate EXAMPLE USAGE OR TEST CODE in your response. Please make sure your response python code in format of ```python```."""
"""Template that gives the background."""

SYSTEM = "You are a helpful assistant."
"""System message of the official variant."""
FENCE, PYTHON = "```", "```python"
_FROM_IMPORT = re.compile(r"from\s.*?\simport(\s|$)")


def fill(template: str, problem: Mapping[str, Any], number: int, codes: Sequence[str], *, background: bool) -> str:
    """Return the prompt of step ``number`` (position from 0) of a problem, by filling a template.

    ``template`` has the fields ``problem_steps_str``, ``next_step_str`` and ``dependencies``; ``problem`` holds
    ``steps`` and ``required_dependencies``; ``codes`` is the code of each step before, which is shown under its
    description. ``background``: descriptions include the scientific background.
    """
    steps = problem["steps"]

    def described(step: Mapping[str, Any]) -> str:
        text: str = step["step_description_prompt"]
        return f"{text}\n{step['step_background']}" if background else text

    before = [part for step, code in zip(steps, codes, strict=False) for part in (described(step), code, "------")]
    step = steps[number]
    return template.format(
        problem_steps_str="\n\n".join(before[:-1]),
        next_step_str=f"{described(step)}\n\n{step['function_header']}\n\n{step['return_line']}",
        dependencies=problem["required_dependencies"],
    )


def first_python_block(text: str) -> str:
    """Return the code from behind the first ```` ```python ```` at a line's end to the next line that begins with three
    backticks, without lines that import.

    An end right behind the opening, or after one empty line, is passed over. Empty when opening or end is missing, or
    when only imports stand between them. As in nvidia-scicode 26.3, in linear time.
    """
    start = text.find(f"{PYTHON}\n")
    if start < 0:
        return ""
    start += len(PYTHON) + 1
    end = text.find(f"\n{FENCE}", start + 1)
    return _without_imports(text[start:end]) if end >= 0 else ""


def first_block(text: str) -> str:
    """Return the code of a reply without import lines: of its first Python block, else its first block, else the whole
    text.

    A block that is not closed goes to the end. A block that opens with another name keeps it as its first line, one
    of ``python3`` the ``3``.
    """
    if FENCE in text:
        opening = PYTHON if PYTHON in text else FENCE
        text = text.split(opening, 2)[1].split(FENCE, 1)[0]
    return _without_imports(text)


def _without_imports(code: str) -> str:
    """Return the code without the lines that begin, after white space, with ``import`` and a space, or with ``from``, a
    space and a later ``import`` between spaces or at the end; where such a line stands inside a text literal, too.
    Further lines of an import in parentheses stay.
    """
    lines = [line for line in code.split("\n") if not _is_import(line.lstrip())]
    return "\n".join(lines)


def _is_import(line: str) -> bool:
    return line.startswith("import ") or (line.startswith("from ") and _FROM_IMPORT.match(line) is not None)
