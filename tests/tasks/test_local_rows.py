"""A local question with a value of another type is refused, or asked and graded as before."""

import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Data, Run, Task
from evalsuite.errors import BadInput
from evalsuite.tasks import gsm8k, mmlu_pro
from evalsuite.tasks.datasets import read_jsonl
from evalsuite.tasks.loading import LoadedTask, load_tasks
from tests.support import questions as made
from tests.support.mutations import mutated


@pytest.mark.parametrize(
    ("task", "variant", "file", "id_column"),
    [
        ("mmlu_pro", "nvidia", "test.jsonl.gz", "question_id"),
        ("mmlu_pro", "official", "validation.jsonl", ""),
        ("gsm8k", "boxed", "test.jsonl", "idx"),
        ("gpqa_diamond", "nvidia", "train.jsonl", "Record ID"),
        ("aime", "boxed", "test.jsonl", "id"),
    ],
)
def test_a_question_of_another_type_is_refused_or_graded_as_before(
    tmp_path: Path, task: str, variant: str, file: str, id_column: str
) -> None:
    made.lay_out(tmp_path)
    path = tmp_path / task / file
    rows = [row for _, row in read_jsonl(path)]
    path.unlink()
    path = path.with_name(path.name.removesuffix(".gz"))
    replies: dict[str, str] = {}

    def values(row: dict[str, Any]) -> list[float | None]:
        path.write_text("".join(json.dumps(one) + "\n" for one in (row, *rows[1:])))
        loaded = _load(tmp_path, task, variant)
        items = {item.id: item for item in loaded.items[:4]}
        adapter: Any = loaded.adapter
        for item in items.values():
            replies.setdefault(item.id, made.right(task, variant, adapter, item, 0))
            adapter.prompt(item, 0)
        return [adapter.score(item, 0, made.reply(replies[item.id])).value for item in items.values()]

    assert values(rows[0]) == [1] * 4
    refused = 0
    for place, row in mutated(rows[0]):
        try:
            if not (id_column and place.startswith(id_column)):
                assert values(row) == [1] * 4, place
            else:
                values(row)
        except BadInput:
            refused += 1
    assert refused > 20


def _load(root: Path, task: str, variant: str) -> LoadedTask:
    for cached in (mmlu_pro._headers, gsm8k._shots):
        cached.cache_clear()
    run = Run(tasks={task: Task(adapter=task, variant=variant)}, data=Data("local", str(root)))
    return load_tasks(run)[task]
