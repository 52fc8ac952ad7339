"""A benchmark of additions, and runs of it made without a command line."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from evalsuite.config.settings import Engine, Model, Run, Sampling, Server, Task
from evalsuite.records import Item, Reply, Request, Score
from evalsuite.tasks.base import Tools, graded, single_turn
from evalsuite.tasks.datasets import Source

OFFSET = 0


@dataclass(frozen=True)
class Additions:
    variant: str = "plain"
    seed: int = 0
    source: Source = field(default_factory=Source)
    count: int = 40

    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("plain",)

    def items(self) -> Iterator[Item]:
        for number in range(self.count):
            yield Item(
                f"q{number:03}",
                {"a": number + OFFSET},
                str(number + OFFSET + 1),
                {"parity": ["even", "odd"][number % 2]},
            )

    def prompt(self, item: Item, repeat: int) -> Request:
        return Request(({"role": "user", "content": f"{item.inputs['a']} + 1 = ?"},))

    def score(self, item: Item, repeat: int, reply: Reply) -> Score:
        return graded(reply, right=self.grade(reply, item.target), answer=reply.text.strip() or None)

    @staticmethod
    def grade(reply: Reply, target: str) -> bool:
        return reply.text.strip() == target

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        return await single_turn(self, item, repeat, tools)


@dataclass(frozen=True)
class Dialogue(Additions):
    """Two turns: the second question holds the first answer."""

    async def attempt(self, item: Item, repeat: int, tools: Tools) -> Score:
        first = await tools.chat(self.prompt(item, repeat))
        second = await tools.chat(Request(({"role": "user", "content": f"{first.text} again"},)))
        return graded(second, right=self.grade(second, item.target), answer=second.text)


@dataclass(frozen=True)
class Stopped(Additions):
    """Additions whose protocol ends an answer at an empty line."""

    def prompt(self, item: Item, repeat: int) -> Request:
        return replace(Additions.prompt(self, item, repeat), stop=("\n\n",))


def right(prompt: str) -> str:
    """The right answer to one of the questions, and to the one that proves the thinking switch."""
    if "2 + 2" in prompt:
        return "4"
    return str(int(prompt.split(" ")[0]) + 1)


def settings(results: Path, *models: tuple[str, str], **changes: Any) -> Run:
    """A run of the additions by models given as (name, base_url), without a report (most of such a run's time)."""
    engine = changes.pop("engine", None) or Engine(retries=3, backoff_seconds=0.01, outage_seconds=5.0, probe=False)
    task = Task(adapter="tests.support.toy:Additions", variant="plain", **changes.pop("task", {}))
    names = changes.pop("tasks", ("additions",))
    model_changes = changes.pop("model", {})
    sglang = Server(dialect="sglang", extra_sampling=["top_k"])
    return Run(
        models={
            name: Model(name.upper(), f"org/{name}", None, "bf16", base_url=url, server=sglang, **model_changes)
            for name, url in models
        },
        tasks=dict.fromkeys(names, task),
        sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=64),
        engine=engine,
        results_dir=str(results),
        run_id="r",
        **({"report": False} | changes),
    )
