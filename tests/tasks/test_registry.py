"""From a name and plain options to an adapter, or to one clear line."""

import re
from pathlib import Path
from typing import Any

import pytest

from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.registry import build

OWN = """
from dataclasses import dataclass
from typing import ClassVar
from evalsuite.tasks.datasets import Source

@dataclass(frozen=True)
class MyTask:
    variant: str
    seed: int
    source: Source
    sizes: tuple[int, ...] = (1, 2)
    deep: bool = False
    name: str = ""
    names: tuple[str | None, ...] = ()
    version: ClassVar[str] = "1.0"
    variants: ClassVar[tuple[str, ...]] = ("mine",)
    def items(self): return []
    async def attempt(self, item, repeat, tools): raise NotImplementedError
"""


def make(adapter: str, variant: str = "nvidia", **options: Any) -> Any:
    return build(adapter, variant=variant, options=options, source=HUB, seed=7)


def test_common_fields_and_options_arrive() -> None:
    local = Source("local", "there")
    made: Any = build("mmlu_pro", variant="official", options={"api": "chat"}, source=local, seed=7)
    assert (made.variant, made.seed, made.source, made.api) == ("official", 7, local, "chat")


@pytest.mark.parametrize(
    ("adapter", "variant", "options", "message"),
    [
        ("mmlu_por", "nvidia", {}, "unknown adapter 'mmlu_por'; did you mean 'mmlu_pro'?"),
        ("mmlu_pro", "nvidea", {}, "unknown variant of mmlu_pro 'nvidea'; did you mean 'nvidia'? Known: aa, nvidia"),
        ("mmlu_pro", "official", {"apii": "chat"}, "unknown option of mmlu_pro 'apii'; did you mean 'api'?"),
        ("mmlu_pro", "official", {"api": "raw"}, "option api of mmlu_pro is 'raw': input should be 'auto', 'chat' or"),
        ("mmlu_pro", "official", {"api": object()}, "which no YAML file can hold"),
        ("mmlu_pro", "nvidia", {"api": "completion"}, "variant=nvidia is a chat protocol"),
        ("gsm8k", "boxed", {"api": "completion"}, "variant=boxed is a chat protocol"),
        ("gsm8k", "boxed", {"seed": 3}, "unknown option of gsm8k 'seed'"),
        ("no_such_package.tasks:Mine", "x", {}, "no_such_package.tasks cannot be imported"),
        (":Mine", "x", {}, "unknown adapter ':Mine'"),
        (".tasks:Mine", "x", {}, "unknown adapter '.tasks:Mine'"),
        ("json:JSONDecodr", "x", {}, "unknown class of json 'JSONDecodr'; did you mean 'JSONDecoder'?"),
        ("json:JSONDecoder", "x", {}, "'json:JSONDecoder' is no adapter: it must be a dataclass and lacks variant"),
    ],
)
def test_mistakes_are_told_in_one_line(adapter: str, variant: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)) as caught:
        make(adapter, variant, **options)
    assert "\n" not in str(caught.value)


def test_a_class_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_tasks.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert make("my_own_tasks:MyTask", "mine", sizes=[3, 4], deep=True).sizes == (3, 4)
    made = make("my_own_tasks:MyTask", "mine", sizes=["3"], deep="on", name=1e-3, names=[True, None, "1e3", 7])
    assert (made.sizes, made.deep, made.name, made.names) == ((3,), True, "0.001", ("true", None, "1e3", "7"))
    with pytest.raises(BadInput, match="unknown variant of my_own_tasks:MyTask 'yours'"):
        make("my_own_tasks:MyTask", "yours")
    with pytest.raises(BadInput, match=r"option deep of my_own_tasks:MyTask is 'yep': input should be a valid boolean"):
        make("my_own_tasks:MyTask", "mine", deep="yep")
    with pytest.raises(BadInput, match="option sizes of my_own_tasks:MyTask is "):
        make("my_own_tasks:MyTask", "mine", sizes=["3x"])
