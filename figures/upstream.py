"""Readers of other projects, run as they stand in the checkouts below the folder that EVALSUITE_UPSTREAM names.

The folder holds one checkout a repository, under the name below; a folder that is no git checkout (a few files, an
unpacked wheel) states what it is in a file ``COMMIT``. Only the functions that read an answer are taken out of a file
and run, so that nothing of what the rest of it imports is needed. No code of theirs is part of this project.
"""

import ast
import csv
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from logging import getLogger
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml

VARIABLE = "EVALSUITE_UPSTREAM"
CHECKOUTS = {
    "IFBench": "allenai/IFBench",
    "LiveCodeBench": "LiveCodeBench/LiveCodeBench",
    "MMLU-Pro": "TIGER-AI-Lab/MMLU-Pro",
    "MMMU": "MMMU-Benchmark/MMMU",
    "NeMo-Skills": "NVIDIA/NeMo-Skills",
    "hle": "centerforaisafety/hle",
    "nvidia-simple-evals": "nvidia-simple-evals",
    "sgl-eval": "sgl-eval",
    "sglang": "sgl-project/sglang",
    "simple-evals": "openai/simple-evals",
}
"""Name of the folder -> repository, or package on PyPI."""


class NoCheckoutError(Exception):
    """A checkout is not there; the text names it."""


def checkout(name: str) -> Path:
    """The folder of a checkout."""
    root = os.environ.get(VARIABLE)
    if not root:
        raise NoCheckoutError(f"{VARIABLE} names no folder with a checkout of {CHECKOUTS[name]}")
    if not (folder := Path(root) / name).is_dir():
        raise NoCheckoutError(f"{VARIABLE} holds no {name}, a checkout of {CHECKOUTS[name]}")
    return folder


def commit(name: str) -> str:
    """What is checked out: a commit, or what its file COMMIT says."""
    folder = checkout(name)
    if (stated := folder / "COMMIT").exists():
        return stated.read_text(encoding="utf-8").strip()
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def functions(path: Path, *names: str, **given: Any) -> dict[str, Any]:
    """The named functions and constants of a file, also those inside other functions, with ``given`` as globals."""
    body: list[ast.stmt] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their own
        tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            node.decorator_list = []
            body.append(node)
        elif isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in node.targets):
            body.append(node)
    scope: dict[str, Any] = {"re": re, "ast": ast, "np": np, "LOG": getLogger("upstream"), **given}
    scope["print"] = lambda *_: None
    exec(compile(ast.Module(body=body, type_ignores=[]), str(path), "exec"), scope)
    assert set(names) <= set(scope), f"{path} has no {', '.join(set(names) - set(scope))}"
    return scope


class _NoGuess(ModuleType):
    """In place of ``random``: where the original guesses, there is no answer."""

    def choice(self, options: Any) -> None:
        return None


def mmlu_pro() -> Callable[[str], str | None]:
    """MMLU-Pro's chain (``evaluate_from_local.py``)."""
    names = ("extract_answer", "extract_again", "extract_final")
    read: Callable[[str], str | None] = functions(checkout("MMLU-Pro") / "evaluate_from_local.py", *names)[names[0]]
    return read


def nemo_letter() -> Callable[[str], str | None]:
    """The letter that NeMo-Skills reads, with its default ``relaxed``."""
    folder = checkout("NeMo-Skills") / "nemo_skills" / "evaluation"
    box = functions(folder / "math_grader.py", "extract_answer", "search_boxed", "search_regex")
    letter = functions(folder / "evaluator" / "mcq.py", "extract_letter", extract_answer=box["extract_answer"])
    return lambda text: letter["extract_letter"](text, relaxed=True)


def nemo_math() -> Callable[[str, str], bool]:
    """``math_equal`` of NeMo-Skills over its own extraction: (key, answer) -> whether they are equal."""
    import math_verify
    from math_verify import parser

    given = {name: getattr(math_verify, name) for name in ("LatexExtractionConfig", "StringExtractionConfig")}
    given |= {name: getattr(math_verify, name) for name in ("parse", "verify")}
    given |= {name: getattr(parser, name) for name in ("NormalizationConfig", "normalize_latex")}
    path = checkout("NeMo-Skills") / "nemo_skills" / "evaluation" / "math_grader.py"
    names = ("math_equal", "_additional_normalization", "extract_answer", "search_boxed", "search_regex")
    scope = functions(path, *names, **given)
    return lambda key, text: bool(
        scope["math_equal"](key, scope["extract_answer"](text, relaxed=True), numeric_precision=15, timeout_seconds=10)
    )


def nemo_judgement() -> Callable[[str], bool]:
    """Whether NeMo-Skills takes a judge's reply about AA-LCR as CORRECT."""
    path = checkout("NeMo-Skills") / "nemo_skills" / "evaluation" / "metrics" / "aalcr_metrics.py"
    read: Callable[[str], bool] = functions(path, "is_aalcr_correct")["is_aalcr_correct"]
    return read


def aa_v3() -> Callable[[str], str | None]:
    """The chain of the task ``mmlu_pro_aa_v3`` of nvidia-simple-evals, on the reply as it is."""
    folder = checkout("nvidia-simple-evals")
    tasks = yaml.safe_load((folder / "core_evals" / "simple_evals" / "framework.yml").read_text(encoding="utf-8"))
    (task,) = (each for each in tasks["evaluations"] if each["name"] == "mmlu_pro_aa_v3")
    patterns = task["defaults"]["config"]["params"]["extra"]["custom_config"]["extraction"]
    path = folder / "simple_evals" / "custom_parametrization" / "extractors.py"
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), scope)
    read: Callable[[str], str | None] = scope["RegexExtractor"](patterns).extract
    return read


def simple_evals() -> Callable[[str], str | None]:
    """The first label that openai/simple-evals finds."""
    pattern = functions(checkout("simple-evals") / "common.py", "ANSWER_PATTERN_MULTICHOICE")
    find = re.compile(pattern["ANSWER_PATTERN_MULTICHOICE"]).search
    return lambda text: match.group(1) if (match := find(text)) else None


def mmmu_pro(options: list[str]) -> Callable[[str], str | None]:
    """The letter that MMMU-Pro's authors read, without their guess."""
    path = checkout("MMMU") / "mmmu-pro" / "evaluate.py"
    scope = functions(path, "parse_multi_choice_response", "get_multi_choice_info", random=_NoGuess("random"))
    texts, letters = scope["get_multi_choice_info"](options)
    return lambda text: scope["parse_multi_choice_response"](text, letters, texts)


def mmmu_open(keys: list[str]) -> Callable[[str], bool]:
    """Whether MMMU's authors take a reply to an open question as right."""
    names = ("parse_open_response", "extract_numbers", "normalize_str", "check_is_number", "eval_open")
    scope = functions(checkout("MMMU") / "mmmu" / "utils" / "eval_utils.py", *names)
    return lambda text: scope["eval_open"](keys, scope["parse_open_response"](text))


def sglang_number() -> Callable[[str], str | None]:
    """The last integer as SGLang's GSM8K script reads it."""
    path = checkout("sglang") / "benchmark" / "gsm8k" / "bench_sglang.py"
    scope = functions(path, "get_answer_value", "INVALID")

    def read(text: str) -> str | None:
        value = scope["get_answer_value"](text)
        return None if value == scope["INVALID"] else str(value)

    return read


def lm_eval_number(name: str) -> Callable[[str], str | None]:
    """The number that a filter of the installed lm-eval's task ``gsm8k`` finds, as ``exact_match`` compares it."""
    import lm_eval
    from lm_eval.filters.extraction import RegexFilter

    class Unresolved(yaml.SafeLoader):
        pass

    Unresolved.add_constructor("!function", lambda loader, node: None)
    folder = Path(lm_eval.__file__).parent / "tasks" / "gsm8k"
    task = yaml.load((folder / "gsm8k.yaml").read_text(encoding="utf-8"), Unresolved)
    (chain,) = (each["filter"] for each in task["filter_list"] if each["name"] == name)
    wanted = {key: value for key, value in chain[0].items() if key != "function"}
    ignored = task["metric_list"][0]["regexes_to_ignore"]

    def read(text: str) -> str | None:
        (found,) = RegexFilter(**wanted).apply([[text]], [{}])[0]
        if found == "[invalid]":
            return None
        for pattern in ignored:
            found = re.sub(pattern, "", found)
        return str(found.lower())

    return read


@contextmanager
def ifbench() -> Iterator[Callable[[str, dict[str, Any], str], bool | None]]:
    """IFBench's own verifiers: (instruction id, arguments, answer that is not blank) -> whether it is followed.

    None where their code raises, which ends their whole evaluation.
    """
    folder = str(checkout("IFBench"))
    sys.path.insert(0, folder)
    try:
        try:
            registry = import_module("ifbench.instructions_registry").INSTRUCTION_DICT
        except ImportError as error:
            raise NoCheckoutError(f"IFBench needs a package of its own: {error}") from error

        def follows(name: str, args: dict[str, Any], answer: str) -> bool | None:
            instruction = registry[name](name)
            instruction.build_description(**args)
            try:
                return bool(instruction.check_following(answer))
            except (csv.Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                return None

        yield follows
    finally:
        sys.path.remove(folder)
