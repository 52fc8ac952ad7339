"""``fetch`` as a user calls it, against a server that speaks the hub's protocol; then ``data=local`` on its folder.

The cards of a copy of this checkout pin small made data instead of the benchmarks'.
"""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.support import mmmu_items as made_mmmu
from tests.support import questions as made
from tests.support.command import Finished, evalsuite
from tests.support.shared import shared_data
from tests.tasks.test_datasets import Hub, serving

ROOT = Path(__file__).parents[2]
TASKS = ("gsm8k", "mmlu_pro", "gpqa_diamond", "mmmu_val", "aa_lcr", "scicode", "word_problems")
ITEMS = """
import dataclasses, json, sys
from evalsuite.tasks.registry import build
from evalsuite.tasks.datasets import Source
source, found = Source(*json.loads(sys.argv[1])), {}
for task, variant in (("gsm8k", "boxed"), ("mmlu_pro", "official"), ("gpqa_diamond", "simple_evals"),
                      ("mmmu_val", "sglang"), ("aa_lcr", "v1_0")):
    made = build(task, variant=variant, options={}, source=source, seed=42)
    found[task] = [[dataclasses.asdict(item), made.prompt(item, 0).prompt_sha] for item in made.items()]
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A checkout whose cards pin made data, and the server that has them."""

    checkout: Path
    hub: Hub
    home: Path

    def call(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Python in the checkout, with a cache of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        mine = {"PYTHONPATH": str(self.checkout), "HF_HOME": str(self.home / "hf"), "HF_ENDPOINT": self.hub.url}
        mine |= {"XDG_CACHE_HOME": str(self.home / "cache")}
        mine |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "SCICODE_TARGETS": ""}
        command = [sys.executable, *words]
        return subprocess.run(
            command, env=kept | mine | env, cwd=self.home, capture_output=True, text=True, check=False, timeout=600
        )

    def fetch(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return self.call("-m", "evalsuite", "fetch", f"to={self.home / 'all'}", *words, **env)

    def items(self, kind: str, root: Path | None = None) -> dict[str, Any]:
        done = self.call("-c", ITEMS, json.dumps([kind, root and str(root)]))
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def asked(self) -> int:
        return sum(request.startswith("GET") for request in self.hub.requests)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    checkout = tmp_path / "checkout"
    for name in ("evalsuite", "conf", "tasks"):  # with what is compiled: file times are kept, so it counts
        shutil.copytree(ROOT / name, checkout / name)
    made.lay_out(tmp_path / "made")
    with serving(Hub()) as hub:
        publish(tmp_path / "made", checkout, hub)
        (tmp_path / "home").mkdir()
        yield Site(checkout, hub, tmp_path / "home")


def publish(laid: Path, checkout: Path, hub: Hub) -> None:
    """Made data as the hub would have it, and cards that pin it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("lcr/reports/set0/a.txt", "A report, with umlauts: äöü.")
    lcr = {"document_category": "reports", "document_set_id": "set0", "question_id": "1", "question": "What, then?"}
    lcr |= {"answer": "That.", "data_source_filenames": "a.txt", "input_tokens": "12"}
    problems = [{"problem_id": "1", "required_dependencies": "import numpy", "sub_steps": [{"step_number": "1.1"}]}]
    for task in ("gsm8k", "mmlu_pro", "gpqa_diamond", "mmmu_val", "aa_lcr", "scicode"):
        path = checkout / "tasks" / task / "card.yaml"
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        dataset = card["dataset"]
        base = f"datasets/{dataset['hub']}/resolve/{dataset['revision']}"
        for name, split in dataset["splits"].items():
            rows = {"aa_lcr": [lcr], "scicode": problems}.get(task) or read(laid / task, name)
            parts = ["Accounting", "Physics"] if "parts" in split else [""]
            split |= {"n": len(rows), "sha256": None} | ({"parts": parts} if "parts" in split else {})
            for number, part in enumerate(parts):
                share = rows[number :: len(parts)]
                file = split["file"].replace("*", part)
                hub.files[f"{base}/{file}"] = content(share, Path(file).suffix, laid / task)
        for file in dataset.get("extra", ()):
            hub.files[f"{base}/{file}"] = archive.getvalue()
        for item in dataset.get("downloads", ()):
            if "variable" not in item:
                hub.files[f"given/{item['file']}"] = f"# {item['file']}\n".encode()
                item["url"] = f"{hub.url}/given/{item['file']}"
                item["sha256"] = hashlib.sha256(hub.files[f"given/{item['file']}"]).hexdigest()
        path.write_text(yaml.safe_dump(card), encoding="utf-8")


def read(folder: Path, split: str) -> list[dict[str, Any]]:
    from evalsuite.tasks.datasets import local_path, read_jsonl

    return [row for _, row in read_jsonl(local_path(folder.parent, folder.name, split))]


def content(rows: list[dict[str, Any]], suffix: str, pictures: Path) -> bytes:
    if suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    for row in rows:
        for column in [name for name in row if name.startswith("image_")]:
            row[column] = {"bytes": (pictures / row[column]).read_bytes(), "path": None}
    out = io.BytesIO()
    names = {name: None for row in rows for name in row}
    pq.write_table(pa.Table.from_pylist([dict(names) | row for row in rows]), out)
    return out.getvalue()


def stated(site: Site) -> dict[str, dict[str, Any]]:
    loaded = json.loads((site.home / "all" / "fetched.json").read_text(encoding="utf-8"))
    assert loaded["schema"] == 1
    return {entry["file"]: entry for entry in loaded["files"]}


@pytest.mark.slow
def test_what_was_fetched_is_the_hubs_data_and_is_not_loaded_twice(site: Site) -> None:
    targets = site.home / "test_data.h5"
    targets.write_bytes(b"targets")
    done = site.fetch(f"task=[{','.join(TASKS)}]", SCICODE_TARGETS=str(targets), HF_TOKEN="made")
    assert done.returncode == 0, done.stdout + done.stderr
    root, files = site.home / "all", stated(site)
    assert {name: entry["rows"] for name, entry in files.items()} == {
        "aa_lcr/extracted_text/AA-LCR_extracted-text.zip": None,
        "aa_lcr/test.jsonl": 1,
        "gpqa_diamond/train.jsonl": 4,
        "gsm8k/test.jsonl": 7,
        "gsm8k/train.jsonl": 6,
        "mmlu_pro/test.jsonl": 6,
        "mmlu_pro/validation.jsonl": 12,
        "mmmu_val/Accounting/validation-00000-of-00001.parquet": 2,
        "mmmu_val/Physics/validation-00000-of-00001.parquet": 2,
        "scicode/13.6.txt": None,
        "scicode/62.1.txt": None,
        "scicode/76.3.txt": None,
        "scicode/test.jsonl": 1,
        "scicode/test_data.h5": None,
        "scicode/validation.jsonl": 1,
    }
    for name, entry in files.items():
        raw = (root / name).read_bytes()
        assert (hashlib.sha256(raw).hexdigest(), len(raw)) == (entry["sha256"], entry["bytes"])
    assert files["gsm8k/test.jsonl"]["revision"] == "cc7b047b6e5bb11b4f1af84efc572db110a51b3c"
    assert files["gsm8k/test.jsonl"]["source"] == "openai/gsm8k main/test-00000-of-00001.parquet"
    assert {path.name for path in root.iterdir()} == {*TASKS, "fetched.json", "LICENSES.md"} - {"word_problems"}
    licences = (root / "LICENSES.md").read_text(encoding="utf-8")
    assert "## GPQA Diamond\n\n- licence: CC-BY-4.0" in licences
    assert "its terms forbid to publish" in licences
    assert f"data.root={root}" in done.stdout
    assert "[1/15] gsm8k/test.jsonl: loaded, 7 rows, " in done.stdout

    hubs = site.items("hub")
    assert [len(hubs[task]) for task in hubs] == [7, 6, 4, made_mmmu.COUNTS["mmmu_val"], 1]
    before = site.asked()
    again = site.fetch(f"task=[{','.join(TASKS)}]", SCICODE_TARGETS=str(targets))
    assert again.returncode == 0, again.stdout
    assert again.stdout.count(": there, ") == 15
    assert ": loaded" not in again.stdout
    assert site.items("local", root) == hubs
    assert site.asked() == before


@pytest.mark.slow
def test_ifbench_finds_its_rows_and_its_language_in_the_fetched_folder(site: Site) -> None:
    """NLTK's resources as its archives have them, packed here; nested columns survive as they are."""
    card = site.checkout / "tasks" / "ifbench" / "card.yaml"
    pinned = yaml.safe_load(card.read_text(encoding="utf-8"))
    dataset = pinned["dataset"]
    for item in dataset["downloads"]:
        folder = shared_data() / item["file"].removesuffix(".zip")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder.parent))
        site.hub.files[item["file"]] = packed.getvalue()
        item |= {"url": f"{site.hub.url}/{item['file']}", "sha256": hashlib.sha256(packed.getvalue()).hexdigest()}
    rows = [
        {"key": "1", "prompt": "Say it.", "instruction_id_list": ["count:numbers"], "kwargs": [{"N": 3, "sep": None}]},
        {"key": "2", "prompt": "Or é.", "instruction_id_list": ["format:list"], "kwargs": [{"N": None, "sep": "..."}]},
    ]
    dataset["splits"]["test"] |= {"n": 2, "sha256": None}
    base = f"datasets/{dataset['hub']}/resolve/{dataset['revision']}"
    site.hub.files[f"{base}/{dataset['splits']['test']['file']}"] = content(rows, ".parquet", site.home)
    card.write_text(yaml.safe_dump(pinned), encoding="utf-8")
    done = site.fetch("task=ifbench")
    assert done.returncode == 0, done.stdout
    root = site.home / "all"
    assert f"A run reads it with: data.root={root}\n" in done.stdout
    code = """
import json, sys
from evalsuite.tasks.registry import build
from evalsuite.tasks.datasets import Source
from evalsuite.records import Reply
root, nltk = sys.argv[1], sys.argv[1] + "/nltk_data"
for source, options in ((Source("local", root), {}), (Source(), {"nltk_data": nltk})):
    made = build("ifbench", variant="prompts300", options=options, source=source, seed=42)
    print([(item.id, item.inputs, item.target) for item in made.items()])
    print([made.score(item, 0, Reply("It is 1, 2 or 3.")).outcome for item in made.items()])
"""
    read = site.call("-c", code, str(root))
    assert read.returncode == 0, read.stderr
    *local, hub, graded = read.stdout.splitlines()
    assert local == [hub, graded]
    assert "'args': {'N': 3}" in hub
    assert graded == "['correct', 'wrong']"


def test_one_thing_that_cannot_be_had_does_not_keep_the_others_away(site: Site) -> None:
    site.hub.files = {name: raw for name, raw in site.hub.files.items() if "train-0" not in name}
    site.hub.files["given/scicode/62.1.txt"] = b"another text"
    done = site.fetch("task=[gsm8k,scicode,lm_eval,tau2_telecom]", "tasks.lm_eval.options.task=arc_easy")
    assert done.returncode == 3
    said = done.stdout.partition("not there; what to do about each")[2]
    assert "gsm8k/train.jsonl: the hub does not give openai/gsm8k main/train-00000-of-00001.parquet: 404" in said
    assert "scicode/62.1.txt: " in said
    assert "has another content than its card states" in said
    assert "scicode/test_data.h5: download it by hand from https://drive.google.com/" in said
    assert "lm_eval: no card says what it needs" in said
    assert set(stated(site)) == {
        *("gsm8k/test.jsonl", "scicode/13.6.txt", "scicode/76.3.txt", "scicode/test.jsonl", "scicode/validation.jsonl")
    }
    assert not list((site.home / "all").rglob("*.part"))


@pytest.mark.slow
def test_what_somebody_changed_is_named_and_left_alone(site: Site) -> None:
    assert site.fetch("task=gsm8k").returncode == 0
    file = site.home / "all" / "gsm8k" / "test.jsonl"
    good = file.read_bytes()
    file.write_bytes(good[:-20])
    done = site.fetch("task=gsm8k")
    assert done.returncode == 3
    assert f"{file} has sha256 {hashlib.sha256(good[:-20]).hexdigest()}, but fetched.json states" in done.stdout
    assert "[2/2] gsm8k/train.jsonl: there" in done.stdout
    assert file.read_bytes() == good[:-20]
    file.unlink()
    assert "[1/2] gsm8k/test.jsonl: loaded" in site.fetch("task=gsm8k").stdout
    assert file.read_bytes() == good
    (site.home / "all" / "fetched.json").unlink()  # as if it had been killed before it was written
    assert site.fetch("task=gsm8k").returncode == 0
    (site.home / "all" / "fetched.json").unlink()
    file.write_bytes(b"mine\n")
    assert "was there before and differs from openai/gsm8k" in site.fetch("task=gsm8k").stdout
    assert file.read_bytes() == b"mine\n"


@pytest.mark.slow
def test_another_pin_replaces_what_was_fetched_for_the_old_one(site: Site) -> None:
    assert site.fetch("task=gsm8k").returncode == 0
    card = site.checkout / "tasks" / "gsm8k" / "card.yaml"
    old = yaml.safe_load(card.read_text(encoding="utf-8"))["dataset"]["revision"]
    card.write_text(card.read_text(encoding="utf-8").replace(old, "e" * 40), encoding="utf-8")
    raw = content([{"idx": n, "question": "New?", "answer": "#### 1"} for n in range(7)], ".parquet", site.home)
    files = {name.replace(old, "e" * 40): held for name, held in site.hub.files.items()}
    site.hub.files = {name: raw if "gsm8k" in name and "/test-" in name else held for name, held in files.items()}
    done = site.fetch("task=gsm8k")
    assert (done.returncode, stated(site)["gsm8k/test.jsonl"]["revision"]) == (0, "e" * 40)
    assert "New?" in (site.home / "all" / "gsm8k" / "test.jsonl").read_text(encoding="utf-8")


def test_gated_data_says_what_it_needs(site: Site) -> None:
    site.hub.gated = True
    done = site.fetch("task=gpqa_diamond")
    page = "https://huggingface.co/datasets/Idavidrein/gpqa"
    problem = f"gpqa_diamond/train.jsonl: Idavidrein/gpqa is gated: accept its terms at {page}, then set HF_TOKEN\n"
    assert done.returncode == 3
    assert problem in done.stdout
    assert f"accept its terms at {page} and set HF_TOKEN" in site.fetch("task=gpqa_diamond", HF_TOKEN="made").stdout


def test_a_server_that_does_not_answer_is_asked_once(site: Site) -> None:
    done = site.fetch("task=[mmlu_pro,gsm8k]", HF_HUB_OFFLINE="1")
    assert done.returncode == 3
    assert done.stdout.count("the hub cannot be reached") == 1
    assert done.stdout.count("not asked for, because the hub does not answer") == 3


def test_mistakes_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    def fetch(*words: str) -> Finished:
        return evalsuite(tmp_path, "fetch", f"to={folder}", *words)

    folder = tmp_path / "all"
    nothing = fetch()
    assert nothing.returncode == 64
    assert nothing.stderr.startswith("evalsuite: nothing to fetch: add task=NAME or suite=NAME. Known tasks: aa_lcr, ")
    local = fetch("task=gsm8k", "data=local", f"data.root={tmp_path}")
    assert local.stderr == "evalsuite: data=local is for runs: fetch loads from where each benchmark is published\n"
    folder.mkdir()
    (folder / "fetched.json").write_text('{"files": [{"task"')
    torn = fetch("task=gsm8k")
    assert (torn.returncode, "fetched.json is damaged: remove it" in torn.stderr) == (64, True)
    (folder / "fetched.json").unlink()
    folder.rmdir()
    folder.write_text("a file")
    taken = fetch("task=gsm8k")
    assert (taken.returncode, "cannot be written" in taken.stderr) == (74, True)


def test_wheels_are_collected_by_pip_now(tmp_path: Path) -> None:
    done = evalsuite(tmp_path, "fetch", f"to={tmp_path / 'all'}", "task=word_problems", "wheels=true")
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == (
        "evalsuite: wheels= is no setting any more; pip collects the packages: "
        "pip download -d DIR/wheels evalsuite setuptools wheel (docs/guide/air_gapped.md)\n"
    )
    assert (ROOT / "docs" / "guide" / "air_gapped.md").is_file()


def test_a_folder_of_an_earlier_version_with_wheels_is_read(site: Site) -> None:
    root, name = site.home / "all", "wheels/thing-1.0-py3-none-any.whl"
    (root / "wheels").mkdir(parents=True)
    (root / name).write_bytes(b"made")
    entry = {"task": None, "file": name, "source": "pip", "revision": "1.0", "rows": None, "bytes": 4}
    entry["sha256"] = hashlib.sha256(b"made").hexdigest()
    packed = {"extras": [], "python": "3.11", "platform": "linux-x86_64", "evalsuite": "0.1.0", "checkout": None}
    (root / "fetched.json").write_text(json.dumps({"schema": 1, "files": [entry], "wheels": packed}))
    done = site.fetch("task=gsm8k")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(stated(site)) == {"gsm8k/test.jsonl", "gsm8k/train.jsonl", name}
    assert stated(site)[name] == entry
