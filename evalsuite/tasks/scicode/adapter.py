"""SciCode (Tian et al. 2024, arXiv 2407.13168): research problems solved step by step in code.

An item is a main problem. Its steps are asked in order, each with the code that this attempt gave for the steps before.
Three steps (13.6, 62.1, 76.3) are given with the authors' code and never scored. The value is the fraction of scored
steps whose tests all pass; the weight is their number, so that the weighted mean is the benchmark's sub-problem score.

Variants: ``nvidia`` (nvidia-scicode 26.3, SciCode_AA_v2: 80 problems, 338 steps, no system message, the template that
asks for background although it is given), ``official`` (scicode-bench/SciCode 588b406: 65 problems, 288 steps).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from evalsuite.errors import BadInput, ContextOverflow
from evalsuite.records import Item, Outcome, Reply, Request, Score
from evalsuite.sandbox.client import Job, Result, check_name
from evalsuite.sandbox.split_tests import Unsplittable, split
from evalsuite.tasks.base import Tools
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.scicode import grading, targets
from evalsuite.tasks.scicode.prompts import (
    BACKGROUND_GIVEN,
    SYSTEM,
    WRITE_BACKGROUND,
    fill,
    first_block,
    first_python_block,
)

GIVEN = ("13.6", "62.1", "76.3")
"""Steps that are given to every model."""
SPLITS = {"nvidia": ("validation", "test"), "official": ("test",)}
"""Variant -> splits of the dataset."""
STEP_FIELDS = (
    "step_number",
    "step_description_prompt",
    "step_background",
    "function_header",
    "return_line",
    "test_cases",
)
"""Fields of a step that are part of an item."""


@dataclass(frozen=True, slots=True)
class SciCode:
    """Adapter of SciCode; one attempt is one main problem, with one request per step."""

    variant: str = "nvidia"
    """Protocol of the prompt and set of problems."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the questions come from."""
    background: bool = True
    """Whether steps are described with their scientific background."""
    timeout: float = 1800.0
    """Seconds for a step's code and all its tests, after the imports."""
    targets: str | None = None
    """Path of ``test_data.h5``; None takes the environment variable ``SCICODE_TARGETS``, else what ``fetch`` wrote
    below ``data.root``."""
    sandbox: str = "auto"
    """The wall around the answers' code: ``auto`` (bubblewrap, else podman or apptainer), or one of ``bubblewrap``,
    ``podman``, ``docker``, ``apptainer``. Without one answers stay ``ungraded``."""
    leave_out: tuple[str, ...] = ()
    """Steps that are asked but not scored, such as ``["12.3"]``."""

    version: ClassVar[str] = "1.1"
    variants: ClassVar[tuple[str, ...]] = ("nvidia", "official")
    local_options: ClassVar[tuple[str, ...]] = ("targets",)
    id_field: ClassVar[str] = "problem_id"

    def items(self) -> Iterable[Item]:
        """Load and yield the main problems that have scored steps; inputs hold all steps and the code of given ones.

        The target is ``{"targets": SHA-256 of the file of numeric targets}``, the weight the number of scored steps,
        the group the split. While iterating, raises ``BadInput`` when questions, targets or the code of given steps are
        missing, for an unknown sandbox, and for a test that cannot be graded outside the sandbox.
        """
        check_name(self.sandbox)
        loaded = {name: rows("scicode", pin("scicode"), name, self.source) for name in SPLITS[self.variant]}
        path = self._targets()
        shared = {"targets": targets.targets_sha256(path)}
        tests: dict[str, int] = {}
        for name, split_rows in loaded.items():
            for row in split_rows:
                steps = [{field: step[field] for field in STEP_FIELDS} for step in row["sub_steps"]]
                numbers = [step["step_number"] for step in steps]
                inputs = {"required_dependencies": row["required_dependencies"], "steps": steps}
                inputs["given"] = {number: targets.given_code(path, number) for number in numbers if number in GIVEN}
                scored = [step for step in steps if self._is_scored(step["step_number"])]
                if not scored:
                    continue
                _check_tests(row["required_dependencies"], scored)
                tests |= {step["step_number"]: len(step["test_cases"]) for step in scored}
                groups = {"split": name}
                yield Item(str(row["problem_id"]), inputs, shared, groups, weight=float(len(scored)))
        targets.check_targets(path, tests)

    def check_installed(self) -> None:
        """Raise ``BadInput`` when the file of numeric targets (``test_data.h5``) is missing."""
        self._targets()

    def _targets(self) -> Path:
        return targets.targets_path(self.targets, self.source.root)

    def step_prompt(self, item: Item, number: int, codes: list[str]) -> Request:
        """Build the request for step ``number`` (position from 0) of a problem; ``codes`` is
        the code of each step before it.

        One user message, in the variant ``official`` after a system message.
        """
        official = self.variant == "official"
        template = BACKGROUND_GIVEN if official and self.background else WRITE_BACKGROUND
        content = fill(template, item.inputs, number, codes, background=self.background)
        system = ({"role": "system", "content": SYSTEM},) if official else ()
        return Request((*system, {"role": "user", "content": content}))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model for the code of each step in order, then test the steps in the sandbox.

        The value is the fraction of scored steps whose tests all pass. Each step is one request with the code of the
        steps before; the authors' code stands for given steps. From a step whose prompt is too long on, steps count as
        failed. ``parts`` has 1 or 0 for each scored step and ``main_problem``, and the share of scored steps that ran
        out of time as ``timeouts``. Without a sandbox the model is asked all the same, and the score is ``ungraded``
        with value None. Raises what ``tools.chat`` raises (``SampleFailed`` without a whole reply; ``ContextOverflow``
        only for the first prompt), ``SandboxFault`` when tests could not run, and ``BadInput`` when the targets cannot
        be read or ``sandbox`` names no known sandbox.
        """
        refusal = await asyncio.to_thread(self.cannot_grade)
        extract = first_block if self.variant == "official" else first_python_block
        codes: list[str] = []
        answered: dict[str, AnsweredStep] = {}
        for number, step in enumerate(item.inputs["steps"]):
            name = step["step_number"]
            if name in item.inputs["given"]:
                codes.append(item.inputs["given"][name])
                continue
            try:
                reply = await tools.chat(self.step_prompt(item, number, codes))
            except ContextOverflow:
                if not answered:
                    raise
                break  # longer prompts will not fit either
            answered[name] = AnsweredStep(reply, extract(reply.text))
            codes.append(answered[name].code)
        if refusal:
            has_code = any(step.code.strip() for step in answered.values())
            return Score(None, "ungraded", f"{len(answered)} steps" if has_code else None, note=refusal)
        sandbox = grading.sandbox_pool(self.sandbox)
        path = self._targets()
        jobs = dict(self._jobs(item, codes))
        target_readers = {name: partial(targets.read_targets, path, name, len(job.tests)) for name, job in jobs.items()}
        results = await asyncio.gather(
            *(grading.run_job(sandbox, job, target_readers[name]) for name, job in jobs.items())
        )
        scored = [step["step_number"] for step in item.inputs["steps"] if self._is_scored(step["step_number"])]
        return _score(scored, answered, dict(zip(jobs, results, strict=True)), sandbox.sandbox.facts)

    def cannot_grade(self) -> str:
        """Return why answers cannot be graded on this machine (no sandbox), empty if they can;
        blocks while the sandbox starts. Raises ``BadInput`` for an unknown name of a sandbox.
        """
        return grading.refusal(self.sandbox)

    def _is_scored(self, step: str) -> bool:
        return step not in GIVEN and step not in self.leave_out

    def _jobs(self, item: Item, codes: list[str]) -> Iterator[tuple[str, Job]]:
        """Yield (step, sandbox job) for each scored step among the first ``len(codes)`` steps; the
        job holds the code of this step and of all before. ``codes``: the code of each, maybe empty.
        """
        imports = item.inputs["required_dependencies"]
        for number, step in enumerate(item.inputs["steps"][: len(codes)]):
            if self._is_scored(step["step_number"]):
                tests = split(step["test_cases"], imports)
                yield step["step_number"], Job(imports, "\n".join(codes[: number + 1]), tests, self.timeout)


@dataclass(frozen=True, slots=True)
class AnsweredStep:
    """One step that was answered."""

    reply: Reply
    """The reply."""
    code: str
    """The code in it; empty without a code block."""


def _score(
    scored: Sequence[str], answered: Mapping[str, AnsweredStep], results: Mapping[str, Result], facts: str
) -> Score:
    passed = {name: name in results and results[name].ok for name in scored}
    failing = [name for name in scored if not passed[name]]
    timeouts = sum(result.ending == "timeout" for result in results.values())
    parts = {name: float(ok) for name, ok in passed.items()}
    remarks = [f"{name} {_failure_text(answered.get(name), results.get(name))}" for name in failing]
    has_code = any(step.code.strip() for step in answered.values())
    return Score(
        (len(scored) - len(failing)) / len(scored),
        _outcome([answered.get(name) for name in failing]),
        f"{len(scored) - len(failing)}/{len(scored)}" if has_code else None,
        "steps" if has_code else "",
        {**parts, "main_problem": float(not failing), "timeouts": timeouts / len(scored)},
        "; ".join([*remarks, f"sandbox {facts}"]),
    )


def _check_tests(imports: str, steps: Iterable[Mapping[str, Any]]) -> None:
    refused = []
    for step in steps:
        try:
            split(step["test_cases"], imports)
        except Unsplittable as error:
            refused.append(f"{step['step_number']} ({error})")
    if refused:
        names = ",".join(entry.partition(" ")[0] for entry in refused)
        raise BadInput(
            f"SciCode: the tests of {', '.join(refused)} cannot be judged without showing their targets to the answer; "
            f"leave them out by name: tasks.scicode.options.leave_out=[{names}]"
        )


def _failure_text(answered: AnsweredStep | None, result: Result | None) -> str:
    if answered is None or result is None:
        return "not asked: the prompt does not fit the context"
    prefix = "truncated, " if answered.reply.truncated else ""
    return f"{prefix}no code block" if not answered.code.strip() else f"{prefix}{result.ending} ({result.why[:160]})"


def _outcome(failing: Sequence[AnsweredStep | None]) -> Outcome:
    """Return the outcome of a problem from its failing steps; None stands for a step whose
    prompt did not fit the context.

    ``correct`` without any; ``truncated`` if one is None or truncated; ``refused`` if the content filter ended all;
    else ``wrong``, or ``no_answer`` when none has code.
    """
    if not failing:
        return "correct"
    if any(step is None or step.reply.truncated for step in failing):
        return "truncated"
    if all(step is not None and step.reply.finish_reason == "content_filter" for step in failing):
        return "refused"
    return "wrong" if any(step is not None and step.code.strip() for step in failing) else "no_answer"
