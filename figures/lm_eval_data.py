"""Questions for lm-eval's tasks, laid out so that `datasets` finds them without a network.

`datasets.load_dataset("openai/gsm8k", "main")` takes the folder ``openai/gsm8k`` below the working directory when
there is one. So a process that works in ``<folder>/hub`` runs lm-eval's tasks exactly as they ship, on these files.
``<folder>/local`` holds the same questions as evalsuite's ``data=local`` wants them.
"""

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]

SUBJECTS = (
    "biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history", "law",
    "math", "other", "philosophy", "physics", "psychology",
)  # fmt: skip


def lay_out(folder: Path, size: int, shared: Path | None) -> None:
    """Write ``size`` questions of each dataset: real GSM8K and MMLU-Pro from ``shared``, or made ones; others made."""
    gsm8k = _real(shared, "gsm8k", "test")[:size] if shared else [_sum_problem(number) for number in range(size)]
    train = [_sum_problem(1000 + number) for number in range(12)]
    mmlu_pro = _spread(_real(shared, "mmlu_pro", "test"), size) if shared else _made_choices(size, "question")
    validation = _made_choices(5 * len(SUBJECTS), "example")
    for name, rows in {"gsm8k/test": gsm8k, "gsm8k/train": train, "mmlu_pro/test": mmlu_pro}.items():
        _write(folder / "local" / f"{name}.jsonl", rows)
    hub = folder / "hub"
    _repository(hub / "openai/gsm8k", "main", {"test": gsm8k, "train": train})
    _repository(hub / "TIGER-Lab/MMLU-Pro", "default", {"test": mmlu_pro, "validation": validation})
    short = min(size, 40)
    drop = [_passage(number) for number in range(short)]
    _repository(hub / "EleutherAI/drop", "default", {"train": drop[:6], "validation": drop})
    asked = [{"question": f"which number follows {n} in counting", "answer": [f"{n + 1}"]} for n in range(short)]
    _repository(hub / "google-research-datasets/nq_open", "default", {"train": asked[:6], "validation": asked})
    fractions = [_fraction(number) for number in range(short)]
    _repository(hub / "EleutherAI/hendrycks_math", "algebra", {"train": fractions[:6], "test": fractions})
    _repository(hub / "google/IFEval", "default", {"train": [_instructions(number) for number in range(short)]})
    contest = [{"id": str(n), "problem": f"Find the sum of {n} and 300.", "answer": str(n + 300)} for n in range(short)]
    _repository(hub / "math-ai/aime25", "default", {"test": contest})
    plus = [_sum_problem(2000 + number) for number in range(short)]
    plus = [{"question": row["question"], "solution": row["answer"]} for row in plus]
    _repository(hub / "qintongli/GSM-Plus", "default", {"test": plus})


@contextlib.contextmanager
def laid_out(folder: Path) -> Iterator[None]:
    """Inside, this process works in ``<folder>/hub``, without a network and with its dataset cache in ``folder``."""
    import datasets
    import huggingface_hub.constants as hub

    before = datasets.config.HF_DATASETS_CACHE, datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE
    datasets.config.HF_DATASETS_CACHE, datasets.config.HF_HUB_OFFLINE = folder / "cache", True
    hub.HF_HUB_OFFLINE = True
    try:
        with contextlib.chdir(folder / "hub"):
            yield
    finally:
        datasets.config.HF_DATASETS_CACHE, datasets.config.HF_HUB_OFFLINE, hub.HF_HUB_OFFLINE = before


def _real(shared: Path, task: str, split: str) -> list[dict[str, Any]]:
    with gzip.open(shared / task / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _spread(rows: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """The first questions of every subject in turn."""
    queues = [[row for row in rows if row["category"] == subject] for subject in SUBJECTS]
    return [queues[number % len(queues)][number // len(queues)] for number in range(size)]


def _repository(folder: Path, config: str, splits: Mapping[str, Rows]) -> None:
    """A dataset repository of the hub, as a folder."""
    files = "".join(f"  - split: {split}\n    path: {split}.jsonl\n" for split in splits)
    for split, rows in splits.items():
        _write(folder / f"{split}.jsonl", rows)
    head = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(head, encoding="utf-8")


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _sum_problem(number: int) -> dict[str, Any]:
    total = 3 * number + 7
    return {
        "question": f"A shelf holds {number} boxes of 3 pens, and 7 pens lie beside it. How many pens are there?",
        "answer": f"The boxes hold 3*{number} = <<3*{number}={3 * number}>>{3 * number} pens.\n#### {total}",
    }


def _made_choices(size: int, word: str) -> list[dict[str, Any]]:
    return [
        {
            "question_id": number,
            "question": f"In this {word}, which option is the number {number}?",
            "options": [str(number + offset - number % 7) for offset in range(7 + number % 4)],
            "answer": "ABCDEFG"[number % 7],
            "answer_index": number % 7,
            "cot_content": f"A: Let's think step by step. It is listed. The answer is ({'ABCDEFG'[number % 7]}).",
            "category": SUBJECTS[number % len(SUBJECTS)],
            "src": "made",
        }
        for number in range(size)
    ]


def _passage(number: int) -> dict[str, Any]:
    nowhere = {"day": "", "month": "", "year": ""}
    spans = [f"team {number}", f"the red team {number}"]
    return {
        "query_id": f"q{number}",
        "passage": f"In game {number} the red team {number} met a club from the coast and won",
        "question": "Who won?",
        "answer": {"number": "", "date": nowhere, "spans": spans[:1]},
        "validated_answers": {"number": [""], "date": [nowhere], "spans": [spans[1:]]},
    }


def _instructions(number: int) -> dict[str, Any]:
    """Two of IFEval's instructions, with its columns."""
    return {
        "key": number,
        "prompt": f"Name the pens on desk {number} in {1 + number % 3} bullet points, with the word desk{number}.",
        "instruction_id_list": ["detectable_format:number_bullet_lists", "keywords:existence"],
        "kwargs": [{"num_bullets": 1 + number % 3, "keywords": None}, {"keywords": [f"desk{number}"]}],
    }


def _fraction(number: int) -> dict[str, Any]:
    return {
        "problem": f"Write {2 * number + 1} halves as a fraction.",
        "solution": f"It is $\\boxed{{\\frac{{{2 * number + 1}}}{{2}}}}$.",
        "level": "Level 1",
        "type": "Algebra",
    }
