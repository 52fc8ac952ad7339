"""IFBench (Pyatkin et al. 2025, arXiv 2507.02833): 300 prompts with 58 kinds of instruction that a program can verify.

The prompt is the only message. The value is prompt-level loose: 1 if each instruction is followed by any of eight
variants of the answer (with or without its first line, its last line, its asterisks). ``parts`` holds all four numbers;
the instruction-level ones are the followed fraction of this prompt's instructions. Verifiers: evalsuite's own with the
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
from evalsuite.tasks.ifbench.merged import with_merged_rows
from evalsuite.tasks.ifbench.verify import SEMANTICS, VERIFIERS, Follows, InstructionVerdicts, followed, own

Verifiers = Literal["own", "official"]
"""Which verifiers are used."""


@dataclass(frozen=True, slots=True)
class IFBench:
    """Adapter of IFBench; one attempt is one prompt with its one or two instructions."""

    variant: str = "prompts300"
    """Set of prompts."""
    seed: int = 42
    """Not used: nothing is random."""
    source: Source = HUB
    """Where the prompts come from."""
    verifiers: Verifiers = "own"
    """``own``, or ``official`` for the ``ifbench`` package of allenai/IFBench when it is installed."""
    nltk_data: str | None = None
    """Folder with NLTK's punkt_tab, stopwords and averaged_perceptron_tagger_eng; None searches ``NLTK_DATA``, what
    ``fetch`` wrote below ``data.root``, and NLTK's own folders."""

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("prompts300", "prompts294")
    local_options: ClassVar[tuple[str, ...]] = ("nltk_data",)
    id_field: ClassVar[str] = "key"

    def items(self) -> Iterable[Item]:
        """Load and yield all prompts; the target is a list of instructions, each ``{"id": ..., "args": {...}}``.

        Groups are the category (``mixed`` for several) and number of the instructions. The variant ``prompts294``
        merges the rows with the keys 268 to 274 into one. Raises ``BadInput`` for unusable data, and when a resource
        for grading is missing, so that no answer is generated in vain; ``StorageFailed`` when a cache cannot be used.
        """
        prompts = rows("ifbench", pin("ifbench"), "test", self.source)
        self.check_installed()
        for row in with_merged_rows(prompts) if self.variant == "prompts294" else prompts:
            yield _item(row)

    def check_installed(self) -> None:
        """Raise ``BadInput`` when NLTK's data, or with ``verifiers=official`` the package ``ifbench``, is missing.

        With ``verifiers=official`` the package is imported, and downloads NLTK data that it misses.
        """
        models.check(self.nltk_data, self._fetched)
        if self.verifiers == "official":
            official.load(self.nltk_data)

    @property
    def _fetched(self) -> str | None:
        """The folder ``nltk_data`` below the source's ``root``, where ``fetch`` writes NLTK's
        data; None without a ``root``.
        """
        return None if self.source.root is None else f"{self.source.root}/nltk_data"

    def prompt(self, item: Item, repeat: int) -> Request:
        """Build the request: the item's prompt as the only message, of the user. ``repeat`` is not used."""
        return Request(({"role": "user", "content": item.inputs["prompt"]},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        """Grade a reply: value 1 when every instruction is followed loosely (by some variant of the reply), else 0.

        ``parts`` holds ``prompt_strict`` and ``prompt_loose`` (0 or 1), ``instruction_strict`` and
        ``instruction_loose`` (followed fraction of the instructions). The answer has a digit per instruction (1:
        followed loosely) and is None for a blank reply; the stage names the verifiers. ``repeat`` is not used. Raises
        ``BadInput`` when the verifiers' data or package is missing or damaged.
        """
        follows, stage = _follows(self)
        verdict = followed(item.target, reply.text, follows)
        answer = "".join("01"[follows_loosely] for follows_loosely in verdict.loose) if reply.text.strip() else None
        note = _note(item.target, verdict)
        score = graded(reply, right=all(verdict.loose), answer=answer, stage=stage, note=note)
        return replace(score, parts=_parts(verdict))

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        """Ask the model the prompt once and grade the reply as ``score``, in a thread: value 1 or 0.

        Raises what ``score`` and ``tools.chat`` raise, such as ``SampleFailed`` without a whole reply and
        ``ContextOverflow`` for a prompt that is too long.
        """
        reply = await tools.chat(self.prompt(item, repeat))
        return await asyncio.to_thread(self.score, item, repeat, reply)


def _follows(task: IFBench) -> tuple[Follows, str]:
    """Return (the verifiers that the adapter's option ``verifiers`` chooses, the name of their version).

    On first use the language models (``own``) or the official package are loaded; raises ``BadInput`` when these are
    missing.
    """
    if task.verifiers == "official":
        return official.load(task.nltk_data), official.version()
    return own(models.load(task.nltk_data, task._fetched)), SEMANTICS


def _item(row: Mapping[str, Any]) -> Item:
    """Convert a row of the dataset to an item; arguments that are None are dropped.

    Raises ``BadInput`` without an instruction, when there is not one set of arguments for each, and for an instruction
    that has no verifier here, or lacks an argument of it.
    """
    names, given = row["instruction_id_list"], row["kwargs"]
    if not names or len(names) != len(given):
        raise BadInput(f"ifbench item {row['key']}: {len(names)} instructions with {len(given)} sets of arguments")
    target = []
    for name, values in zip(names, given, strict=True):
        if name not in VERIFIERS:
            raise unknown_name(f"instruction of ifbench item {row['key']}", name, VERIFIERS)
        args = {key: _whole(value) for key, value in values.items() if value is not None}
        missing = [key for key in VERIFIERS[name][1] if key not in args]
        if missing:
            raise BadInput(f"ifbench item {row['key']}: its instruction {name} lacks {', '.join(missing)}")
        target.append({"id": name, "args": args})
    kinds = {name.partition(":")[0] for name in names}
    groups = {"category": kinds.pop() if len(kinds) == 1 else "mixed", "instructions": str(len(names))}
    return Item(str(row["key"]), {"prompt": row["prompt"]}, target, groups)


def _whole(value: Any) -> Any:
    """Return a float that is whole as an integer (5.0 -> 5), so that JSON and Parquet
    agree; any other value unchanged.
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parts(verdict: InstructionVerdicts) -> dict[str, float]:
    parts = {}
    for name, verdicts in (("strict", verdict.strict), ("loose", verdict.loose)):
        parts[f"prompt_{name}"] = float(all(verdicts))
        parts[f"instruction_{name}"] = sum(verdicts) / len(verdicts)
    return parts


def _note(target: list[dict[str, Any]], verdict: InstructionVerdicts) -> str:
    words = {(True, True): "followed", (False, True): "followed loosely", (False, False): "not followed"}
    pairs = zip(target, verdict.strict, verdict.loose, strict=True)
    return "; ".join(f"{instruction['id']} {words[strict, loose]}" for instruction, strict, loose in pairs)
