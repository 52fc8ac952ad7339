"""Made questions about made pictures, in the columns of MMMU and MMMU-Pro."""

import json
from pathlib import Path
from typing import Any

from evalsuite.tasks.mmmu.images import png

SUBJECTS = ("Art_Theory", "Physics")
COUNTS = {"mmmu_pro": 4, "mmmu_val": 4}
PRO = ("vision", "standard10", "standard4", "official_vision", "official_standard10", "official_standard4")
VAL = ("sglang", "sglang_first")


def picture(number: int) -> bytes:
    """A PNG of two by two pixels; another for every number."""
    return png(2, 2, "RGB", bytes([number, 0, 255 - number]) * 4)


def lay_out(root: Path) -> None:
    """Both tasks below ``root``, pictures beside their JSONL files."""
    for task, splits in (("mmmu_pro", PRO_ROWS), ("mmmu_val", {"validation": VAL_ROWS})):
        (root / task / "pictures").mkdir(parents=True)
        for number in range(1, 8):
            (root / task / "pictures" / f"{number}.png").write_bytes(picture(number))
        for split, rows in splits.items():
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (root / task / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def right(task: str, variant: str, target: Any) -> str:
    """A reply that the protocol takes as right."""
    if isinstance(target, list):
        return f"So the result is {target[-1]}."
    return f"I see.\n\nAnswer: {target}"


def _names(*numbers: int) -> dict[str, str]:
    return {f"image_{place}": f"pictures/{number}.png" for place, number in enumerate(numbers, 1)}


def _standard(number: int, options: list[str], answer: str, question: str, pictures: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"test_{SUBJECTS[number % 2]}_{number}",
        "question": question,
        "options": str(options),
        "explanation": "?",
        "img_type": "['Diagrams']",
        "answer": answer,
        "topic_difficulty": "Easy",
        "subject": SUBJECTS[number % 2],
    } | pictures


def _of(number: int, count: int) -> list[str]:
    return [f"thing {number}-{place}" for place in range(count)]


_SHUFFLED = ["'so' <image 3>", "as <image 2>", "neither"]
PRO_ROWS: dict[str, list[dict[str, Any]]] = {
    "standard10": [
        _standard(1, _of(1, 10), "C", "Which is <image 1>?", _names(1)),
        _standard(2, _SHUFFLED, "A", "Which goes with <image 1>?\n", _names(2, 3, 4)),
        _standard(3, _of(3, 12), "L", "<image 1>", _names(5)),
        _standard(4, _of(4, 1), "A", "Is it <image 1>, {so}?", _names(6)),
    ],
    "standard4": [
        _standard(1, _of(1, 4), "D", "Which is <image 1>?", _names(1)),
        _standard(2, _SHUFFLED, "A", "Which goes with <image 1>?\n", _names(2, 3, 4)),
        _standard(3, _of(3, 4), "B", "<image 1>", _names(5)),
        _standard(4, _of(4, 2), "A", "Is it <image 1>, {so}?", _names(6)),
    ],
    "vision": [
        {
            "id": f"test_{SUBJECTS[number % 2]}_{number}",
            "image": f"pictures/{number}.png",
            "options": str(_of(number, count)),
            "answer": answer,
            "subject": SUBJECTS[number % 2],
        }
        for number, count, answer in ((1, 10, "C"), (2, 3, "A"), (3, 12, "L"), (4, 1, "A"))
    ],
}


def _val(number: int, options: list[str], answer: str, question: str, pictures: dict[str, str]) -> dict[str, Any]:
    row = _standard(number, options, answer, question, pictures)
    del row["subject"]
    kind = "multiple-choice" if options else "open"
    return row | {"id": f"validation_{SUBJECTS[number % 2]}_{number}", "question_type": kind, "subfield": "made"}


VAL_ROWS = [
    _val(1, _of(1, 4), "B", "Which is <image 1>?", _names(1)),
    _val(2, ["<image 2>", "<image 1>"], "A", "Which {one} is it?", _names(2, 3)),
    _val(3, [], "['24/7', '3.429']", "How long is <image 1>?", _names(4)),
    _val(4, [], "1.06", "<image 2> How long beside <image 1>?", _names(5, 6)),
]
