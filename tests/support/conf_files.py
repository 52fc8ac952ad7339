"""A configuration folder for the additions of ``tests.support.toy``, so that real command lines can run them."""

from pathlib import Path

from tests.support.scripted_endpoint import Answer
from tests.support.toy import right

ROOT = Path(__file__).parents[2]
MODEL = """# @package models.{name}
title: {name}
checkpoint: org/{name}
precision: bf16
baseline: {baseline}
base_url: {url}
concurrency: {concurrency}
server: {{dialect: sglang, extra_sampling: [top_k]}}
"""
TASK = """# @package tasks.additions
adapter: tests.support.toy:Additions
variant: plain
repeats: 2
options: {count: 40}
"""


def write_conf(folder: Path, *models: tuple[str, str], concurrency: int = 8) -> Path:
    """``model/NAME.yaml`` for each (name, base_url), and ``task/additions.yaml``."""
    (folder / "model").mkdir(parents=True)
    (folder / "task").mkdir()
    for name, url in models:
        baseline = models[0][0] if name != models[0][0] else "null"
        text = MODEL.format(name=name, url=url, baseline=baseline, concurrency=concurrency)
        (folder / "model" / f"{name}.yaml").write_text(text)
    (folder / "task" / "additions.yaml").write_text(TASK)
    return folder


def slow(prompt: str) -> Answer:
    """The right answer, thought about for a moment."""
    return Answer(right(prompt), reasoning="easy", delay=0.2)
