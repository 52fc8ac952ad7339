"""IFBench (Pyatkin et al. 2025, arXiv 2507.02833): 300 prompts whose 58 kinds of instruction a program can verify.

The prompt is the only message. The value is prompt-level loose: 1 if each instruction is followed by any of eight
variants of the answer (its first line, its last line, its asterisks left out or not). ``parts`` holds all four
numbers; the instruction-level ones are the followed share of this prompt's instructions. Verifiers: our own with the
semantics of allenai/IFBench db69a6f (2026-08), or with ``verifiers=official`` those of the package ``ifbench``.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from evalsuite.errors import BadInput, unknown_name
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded
from evalsuite.tasks.datasets import HUB, Source, pin, rows
from evalsuite.tasks.ifbench import models, official
from evalsuite.tasks.ifbench.merged import merged
from evalsuite.tasks.ifbench.verify import SEMANTICS, VERIFIERS, Follows, InstructionVerdicts, followed, own

Verifiers = Literal["own", "official"]


@dataclass(frozen=True, slots=True)
class IFBench:
    """One attempt is one prompt with its one or two instructions."""

    variant: str = "prompts300"
    seed: int = 42
    """Not used: nothing is drawn."""
    source: Source = HUB
    verifiers: Verifiers = "own"
    """``official``: the ``ifbench`` package of allenai/IFBench, where it is installed."""
    nltk_data: str | None = None
    """Folder with NLTK's punkt_tab, stopwords and averaged_perceptron_tagger_eng; None: ``NLTK_DATA``, NLTK's own."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("prompts300", "prompts294")
    local_options: ClassVar[tuple[str, ...]] = ("nltk_data",)
    id_field: ClassVar[str] = "key"

    def items(self) -> Iterable[Item]:
        """All prompts. Raises ``BadInput`` also when what grading needs is missing, so that no answer is lost to it."""
        models.check(self.nltk_data)
        if self.verifiers == "official":
            official.load(self.nltk_data)
        found = rows("ifbench", pin("ifbench"), "test", self.source)
        for row in merged(found) if self.variant == "prompts294" else found:
            yield _item(row)

    def prompt(self, item: Item, repeat: int) -> Request:
        """The prompt as one user message."""
        return Request(({"role": "user", "content": item.inputs["prompt"]},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Right if all instructions are followed, loosely. The stage names the verifiers."""
        follows, stage = _follows(self.verifiers, self.nltk_data)
        verdict = followed(item.target, reply.text, follows)
        answer = "".join("01"[one] for one in verdict.loose) if reply.text.strip() else None
        note = _note(item.target, verdict)
        found = graded(reply, right=all(verdict.loose), answer=answer, stage=stage, note=note)
        return replace(found, parts=_parts(verdict))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask once and grade; grading costs milliseconds and leaves the event loop."""
        reply = await tools.chat(self.prompt(item, repeat))
        return await asyncio.to_thread(self.score, item, repeat, reply)


def _follows(verifiers: Verifiers, nltk_data: str | None) -> tuple[Follows, str]:
    """The verifiers and their version."""
    if verifiers == "official":
        return official.load(nltk_data), official.version()
    return own(models.load(nltk_data)), SEMANTICS


def _item(row: Mapping[str, Any]) -> Item:
    """Raises ``BadInput`` for an instruction that there is no verifier for, or that lacks an argument."""
    names, given = row["instruction_id_list"], row["kwargs"]
    if not names or len(names) != len(given):
        raise BadInput(f"ifbench item {row['key']}: {len(names)} instructions with {len(given)} sets of arguments")
    target = []
    for name, values in zip(names, given, strict=True):
        if name not in VERIFIERS:
            raise unknown_name(f"instruction of ifbench item {row['key']}", name, VERIFIERS)
        args = {key: _whole(value) for key, value in values.items() if value is not None}
        lacking = [key for key in VERIFIERS[name][1] if key not in args]
        if lacking:
            raise BadInput(f"ifbench item {row['key']}: its instruction {name} lacks {', '.join(lacking)}")
        target.append({"id": name, "args": args})
    kinds = {name.partition(":")[0] for name in names}
    groups = {"category": kinds.pop() if len(kinds) == 1 else "mixed", "instructions": str(len(names))}
    return Item(str(row["key"]), {"prompt": row["prompt"]}, target, groups)


def _whole(value: Any) -> Any:
    """Numbers as JSON and Parquet agree on them: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parts(verdict: InstructionVerdicts) -> dict[str, float]:
    parts = {}
    for name, each in (("strict", verdict.strict), ("loose", verdict.loose)):
        parts[f"prompt_{name}"] = float(all(each))
        parts[f"instruction_{name}"] = sum(each) / len(each)
    return parts


def _note(target: list[dict[str, Any]], verdict: InstructionVerdicts) -> str:
    said = {(True, True): "followed", (False, True): "followed loosely", (False, False): "not followed"}
    pairs = zip(target, verdict.strict, verdict.loose, strict=True)
    return "; ".join(f"{one['id']} {said[strict, loose]}" for one, strict, loose in pairs)
