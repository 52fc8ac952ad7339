"""Small made data in the datasets' own columns, and the replies that are right or wrong for each protocol.

Nothing here is a benchmark's item; GPQA's terms ask for that, and the others' data is not ours to ship.
"""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

from evalsuite.records import Item, Reply
from evalsuite.tasks.base import Adapter, SingleTurn
from evalsuite.tasks.datasets import Source
from evalsuite.tasks.registry import build
from tests.support import ifbench_texts as made_ifbench
from tests.support import mmmu_items as made_mmmu

SUBJECTS = ("law", "computer science")
VARIANTS = (
    *(("mmlu_pro", name) for name in ("nvidia", "aa", "official")),
    *(("gpqa_diamond", name) for name in ("nvidia", "simple_evals")),
    *(("gsm8k", name) for name in ("boxed", "flexible", "strict", "sglang")),
    *(("ifbench", name) for name in made_ifbench.VARIANTS),
    *(("mmmu_pro", name) for name in made_mmmu.PRO),
    *(("mmmu_val", name) for name in made_mmmu.VAL),
    ("word_problems", "plain"),
    ("aime", "boxed"),
    ("aime", "aa"),
)
COUNTS = {
    "aime": 30,
    "mmlu_pro": 6,
    "gpqa_diamond": 4,
    "gsm8k": 7,
    "ifbench": made_ifbench.COUNT,
    "word_problems": 2000,
    **made_mmmu.COUNTS,
}


class Single(Adapter, SingleTurn):
    """What all four adapters here are."""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")


def lay_out(root: Path) -> Source:
    """All made data below ``root``, as ``data=local`` wants it."""
    write(root / "mmlu_pro" / "test.jsonl.gz", [_mmlu_row(number) for number in range(6)])
    write(root / "mmlu_pro" / "validation.jsonl", [_shot(number) for number in range(12)])
    write(root / "gsm8k" / "test.jsonl", [_gsm_row(number) for number in range(7)])
    write(root / "gsm8k" / "train.jsonl.gz", [_gsm_row(number) for number in range(100, 106)])
    write(root / "gpqa_diamond" / "train.jsonl", [_gpqa_row(number) for number in range(4)])
    write(root / "aime" / "test.jsonl", [_aime_row(number) for number in range(30)])
    write(root / "aime" / "test_2024.jsonl", [_aime_2024_row(number) for number in range(30)])
    made_ifbench.lay_out(root)
    made_mmmu.lay_out(root)
    return Source("local", str(root))


def adapter(task: str, variant: str, source: Source, **options: Any) -> Single:
    if task == "ifbench":
        options.setdefault("nltk_data", f"{source.root}/nltk_data")
    made = build(task, variant=variant, options=options, source=source, seed=42)
    return made  # type: ignore[return-value]


def right(task: str, variant: str, made: Any, item: Item, repeat: int) -> str:
    """A reply that the protocol takes as right."""
    if task == "gpqa_diamond":
        return f"I see.\n\nAnswer: {'ABCD'[made.order(item, repeat).index(item.target)]}"
    if task == "ifbench":
        return made_ifbench.right(item.id)
    if task in made_mmmu.COUNTS:
        return made_mmmu.right(task, variant, item.target)
    key = str(item.target)
    if task == "aime":
        return f"So it is $\\boxed{{{key.zfill(3)}}}$."
    return {
        "nvidia": f"So it is.\n\nAnswer: \\boxed{{{key}}}",
        "aa": f"Because.\n**Answer:** {key}",
        "official": f" We know it. The answer is ({key}).\n\n",
        "boxed": f"Adding gives $\\boxed{{{key}\\text{{ nuts}}}}$.",
        "flexible": f" 1 + 2 = 3, so it is ${key}.",
        "strict": f" 1 + 2 = 3\n#### {key}",
        "sglang": f" and that makes {key}",
        "plain": f"{key}\n",
    }[variant]


WRONG = {
    "aime": "\\boxed{1000}",
    "mmlu_pro": "The answer is (Z). Answer: Z \\boxed{Z}",
    "gpqa_diamond": "Answer: \\boxed{no idea}",
    "gsm8k": "#### 99999 \\boxed{99999}",
    "ifbench": made_ifbench.WRONG,
    "mmmu_pro": "no idea",
    "mmmu_val": "no idea",
    "word_problems": "no idea",
}


def reply(text: str, finish_reason: str = "stop") -> Reply:
    return Reply(text, finish_reason=finish_reason)


def _mmlu_row(number: int) -> dict[str, Any]:
    count = (10, 4, 3, 10, 9, 10)[number]
    options = [f"thing {number}-{place}" for place in range(count)]
    return {
        "question_id": 500 + number,
        "question": f"Which thing is made for question {number}?\n" if number == 2 else f"Which thing, {number}?",
        "options": options,
        "answer": "ABCDEFGHIJ"[number % count],
        "answer_index": 0,
        "cot_content": "",
        "category": SUBJECTS[number % 2],
        "src": "made",
    }


def _shot(number: int) -> dict[str, Any]:
    return {
        "question_id": number,
        "question": f"Which shot, {number}?",
        "options": [f"shot {number}-{place}" for place in range(3)],
        "answer": "B",
        "answer_index": 1,
        "cot_content": f"A: Let's think step by step. Shot {number} says so. The answer is (B).",
        "category": SUBJECTS[number % 2],
        "src": "made",
    }


def _gsm_row(number: int) -> dict[str, Any]:
    key = f"{1000 + number:,}" if number % 3 == 0 else str(number)
    return {"idx": number, "question": f"How many, {number}?", "answer": f"It is <<{number}={number}>>so.\n#### {key}"}


def _aime_row(number: int) -> dict[str, Any]:
    answer = "336^\\circ" if number == 4 else str(37 * number % 1000)
    return {"id": str(number), "problem": f"Find the number of made problem {number}.", "answer": answer}


def _aime_2024_row(number: int) -> dict[str, Any]:
    contest = "II" if number % 2 else "I"
    url = f"https://example.org/2024_AIME_{contest}_Problems/Problem_{number // 2 + 1}"
    answer = f"{number:03d}"
    return {"id": 60 + number, "problem": f"Find 2024's number {number}.", "answer": answer, "url": url}


def _gpqa_row(number: int) -> dict[str, Any]:
    texts = [f" claim {number}-{place} [title]end" for place in range(4)]
    if number == 3:
        texts[2] = texts[0]  # a wrong choice that reads like the right one
    return {
        "Record ID": f"recMADE{number}",
        "Question": f"\nWhich claim of set {number} holds?\n",
        "Correct Answer": texts[0],
        "Incorrect Answer 1": texts[1],
        "Incorrect Answer 2": texts[2],
        "Incorrect Answer 3": texts[3],
        "Explanation": "made",
        "High-level domain": ("Physics", "Biology")[number % 2],
        "Subdomain": "Made",
        "Writer's Difficulty Estimate": "made",
    }


def documents(root: Path) -> None:
    """Five questions of AA-LCR on two sets of documents."""
    home = root / "aa_lcr"
    row = {"document_category": "reports", "data_source_filenames": "one.txt;two.txt", "input_tokens": 90}
    numbers = range(5)
    each = [{"question_id": n, "document_set_id": f"set{n % 2}", "question": f"What is {n}?"} for n in numbers]
    write(home / "test.jsonl", [{**row, **one, "answer": f"It is {n}."} for n, one in zip(numbers, each, strict=True)])
    (home / "extracted_text").mkdir()
    with zipfile.ZipFile(home / "extracted_text" / "AA-LCR_extracted-text.zip", "w") as archive:
        for name in ("set0", "set1"):
            for number in ("one", "two"):
                archive.writestr(f"lcr/reports/{name}/{number}.txt", f"Document {number} of {name}.")
