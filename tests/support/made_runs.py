"""Runs whose reports the tests read."""

from pathlib import Path

import numpy as np

from tests.support.cells import Answer, Made, write

SUBJECTS = ("law", "math", "physics")


def arm(seed: int, loss: float = 0.0, truncated: float = 0.02, items: int = 150) -> dict[str, list[Answer]]:
    """Answers that share their luck with every other arm; ``loss`` hits physics alone."""
    luck, own = np.random.default_rng(0).random(items), np.random.default_rng(seed)
    found: dict[str, list[Answer]] = {}
    for item in range(items):
        chance = 0.9 - (loss if item % 3 == 2 else 0.0)
        cut = own.random() < truncated
        right = luck[item] < chance and not cut
        outcome = "" if right else "truncated" if cut else str(own.choice(["wrong", "no_answer"]))
        found[str(item)] = [Answer(float(right), outcome, tokens=int(own.integers(80, 120)))]
    return found


SUBJECT_OF = {str(item): SUBJECTS[item % 3] for item in range(150)}


def demo_run(results: Path, name: str = "demo-1") -> Path:
    """One task, a baseline and two candidates, one of them lossy in physics."""
    lossy = arm(3, 0.4)
    return write(
        results / name,
        Made("demo_bf16", arm(1), "word_problems", SUBJECT_OF, title="BF16 (demo)", demo=True),
        Made("demo_fp8", arm(2), "word_problems", SUBJECT_OF, title="FP8 (demo)", baseline="demo_bf16", demo=True),
        Made("demo_nvfp4", lossy, "word_problems", SUBJECT_OF, title="NVFP4 (demo)", baseline="demo_bf16", demo=True),
    )


def real_run(results: Path, name: str = "card-1") -> Path:
    """Two tasks of two checkpoints that model cards name."""
    checkpoints = {
        "fp8": "Qwen/Qwen3.5-397B-A17B-FP8",
        "nvfp4_v2": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
    }
    cells = [
        Made(
            model,
            arm(number, items=90),
            task,
            SUBJECT_OF,
            title=model.upper(),
            baseline="fp8" if model != "fp8" else None,
            identity={"checkpoint": checkpoint},
        )
        for task in ("gpqa_diamond", "ifbench")
        for number, (model, checkpoint) in enumerate(checkpoints.items())
    ]
    return write(results / name, *cells)
