"""The whole of MMLU-Pro asked over real HTTP, against a server that replays recorded answers; also killed midway."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalsuite.engine.conversation import request_seed
from evalsuite.store.samples import read_samples
from evalsuite.tasks.datasets import Source, read_jsonl
from evalsuite.tasks.mmlu_pro import MMLUPro
from figures.measure import measured
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

CONCURRENCY = 256
SEED = 42
GRACE_SECONDS = 0.5
"""A reply whose last byte was written longer than this before a kill must never be asked again."""
Asked = tuple[str, int]
"""(prompt, seed): some questions stand twice in MMLU-Pro, only the seed tells their requests apart."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What one run, killed or not, did."""

    items: int
    requests: int
    asked_twice: int
    late_twice: int
    """Asked again although the reply was written more than ``GRACE_SECONDS`` before the kill."""
    marked: int
    """Samples marked ``rerolled``."""
    marked_right: bool
    """Whether every sample that was asked again is marked, and no more than were under way when it was killed."""
    right: int
    import_right: int
    """Right answers when the same recorded answers are imported."""
    same_verdicts: bool
    """Item by item, against the import."""
    seconds: float
    peak_mb: float
    """Largest resident memory of an evalsuite process."""


def made_data(folder: Path, count: int = 60) -> Path:
    """Questions of our own in MMLU-Pro's columns, with answers: for machines without the real ones."""
    home = folder / "made" / "mmlu_pro"
    home.mkdir(parents=True)
    with (
        gzip.open(home / "test.jsonl.gz", "wt") as questions,
        gzip.open(home / "outputs_made.jsonl.gz", "wt") as outputs,
    ):
        for number in range(count):
            options = [str(number + shift) for shift in range(4)]
            row = {"question_id": number, "question": f"What is {number} + 1?", "options": options, "answer": "B"}
            questions.write(json.dumps({**row, "answer_index": 1, "category": "math", "src": "made"}) + "\n")
            letter = "ABCD"[number % 4]
            outputs.write(json.dumps({"question_id": number, "output": f" So the answer is ({letter})."}) + "\n")
    return folder / "made"


def with_shots(data: Path, folder: Path) -> Path:
    """A data folder with the questions of ``data`` and a small validation split made for the tests."""
    home = folder / "asked" / "mmlu_pro"
    home.mkdir(parents=True)
    (home / "test.jsonl.gz").symlink_to(data / "mmlu_pro" / "test.jsonl.gz")
    subjects = sorted({row["category"] for _, row in read_jsonl(home / "test.jsonl.gz")})
    with (home / "validation.jsonl").open("w") as file:
        for number, subject in enumerate(subject for subject in subjects for _ in range(5)):
            worked = f"A: Let's think step by step. {number} and 1 make {number + 1}. The answer is (A)."
            row = {"question_id": number, "question": f"What is {number} + 1?", "options": [str(number + 1), "0"]}
            row |= {"answer": "A", "answer_index": 0, "cot_content": worked, "category": subject, "src": "made"}
            file.write(json.dumps(row) + "\n")
    return folder / "asked"


@contextmanager
def replaying(root: Path, outputs: Path, delay: float) -> Iterator[tuple[Server, dict[Asked, str]]]:
    """A server that gives every question its recorded answer; also (prompt, seed) -> item id."""
    adapter = MMLUPro(variant="official", source=Source("local", str(root)))
    texts = {str(row["question_id"]): row["output"] for _, row in read_jsonl(outputs)}
    items: dict[Asked, str] = {}
    for item in adapter.items():
        prompt = str(adapter.prompt(item, 0).messages[0]["content"])
        items[prompt, request_seed(SEED, item.id, 0)] = item.id
    holder: list[Server] = []

    def answer(prompt: str) -> Answer:
        seed = holder[0].requests[-1].body["seed"]
        return Answer(texts[items[prompt, seed]], delay=delay)

    with scripted_endpoint(answer) as server:
        holder.append(server)
        yield server, items


def over_http(data: Path, model: str, folder: Path, *, kill: bool, limit: int | None = None) -> Replayed:
    """Run ``variant=official`` at concurrency 256 (``limit`` items, None: all 12,032); ``kill`` it halfway once."""
    root, outputs = with_shots(data, folder), data / "mmlu_pro" / f"outputs_{model}.jsonl.gz"
    command = [sys.executable, "-m", "evalsuite", "run", "model=bf16", "task=mmlu_pro", "run_id=http"]
    command += ["tasks.mmlu_pro.variant=official", "data=local", f"data.root={root}", f"results_dir={folder}/results"]
    command += ["engine.probe=false", f"models.bf16.concurrency={CONCURRENCY}", f"seed={SEED}"]
    command += [f"limit={limit}"] if limit else []
    killed_at = float("inf")
    with replaying(root, outputs, delay=0.25 if kill else 0.0) as (server, items):
        command.append(f"models.bf16.base_url={server.base_url}")
        began = time.perf_counter()
        if kill:
            killed_at = _kill_midway(command, server, (limit or len(items)) // 2)
        done, peak = measured(command)
        seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_samples(folder / "results" / "http" / "bf16" / "mmlu_pro").to_pylist()
    counts = Counter((one.prompt, int(one.body["seed"])) for one in server.requests)
    twice = {items[asked] for asked, count in counts.items() if count > 1}
    early = {
        items[one.prompt, int(one.body["seed"])]
        for number, one in enumerate(server.requests)
        if server.written.get(number, float("inf")) < killed_at - GRACE_SECONDS
    }
    marked = {row["item_id"] for row in rows if row["rerolled"]}
    imported = _imported(data, root, outputs, folder, [row["item_id"] for row in rows])
    return Replayed(
        items=len(rows),
        requests=len(server.requests),
        asked_twice=len(twice),
        late_twice=len(twice & early),
        marked=len(marked),
        marked_right=twice <= marked and len(marked) <= CONCURRENCY,
        right=sum(row["value"] == 1 for row in rows),
        import_right=sum(imported.values()),
        same_verdicts={row["item_id"]: row["value"] for row in rows} == imported,
        seconds=seconds,
        peak_mb=peak,
    )


def _kill_midway(command: Sequence[str], server: Server, replies: int) -> float:
    """SIGKILL the run once ``replies`` answers were written; returns the time of the kill."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stderr=said, stdout=said)
        while len(server.written) < replies:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.005)
        killed_at = time.monotonic()
        process.kill()
        process.wait()
    return killed_at


def _imported(data: Path, root: Path, outputs: Path, folder: Path, ids: Sequence[str]) -> dict[str, float]:
    """Item -> value of the same answers by ``evalsuite import``, for the items that were asked."""
    command = [sys.executable, "-m", "evalsuite", "import", f"file={outputs}", "name=imported", "run_id=import"]
    command += ["task=mmlu_pro", "tasks.mmlu_pro.variant=official", "data=local", f"data.root={root}"]
    command += [f"results_dir={folder}/results"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "COLUMNS": "120"})
    table = read_samples(folder / "results" / "import" / "imported" / "mmlu_pro", ["item_id", "value"]).to_pylist()
    wanted = set(ids)
    return {row["item_id"]: row["value"] for row in table if row["item_id"] in wanted}
