"""Tables that ``datasets`` makes of the hub's files: the files' own values, in evalsuite's own cache."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.errors import BadInput, StorageFailed
from evalsuite.tasks import datasets as data
from evalsuite.tasks.hub import Dataset, Split, accepts_connections
from tests.support import mmmu_items, questions, scicode_problems
from tests.support.shared import shared_data

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
VARIANTS = {
    "mmlu_pro": "official",
    "gpqa_diamond": "nvidia",
    "gsm8k": "boxed",
    "ifbench": "prompts300",
    "mmmu_pro": "standard10",
    "mmmu_val": "sglang",
    "aa_lcr": "v1_0",
    "scicode": "nvidia",
}
"""Benchmarks whose data is on the hub -> the variant that is built."""
AWKWARD = (
    "2024-01-01",
    "2024-01-01 10:00:00",
    "007",
    "1e5",
    "NA",
    "null",
    "",
    " x ",
    "True",
    "a\nb",
    'say "so"',
    "é\u2028ü",
)
"""Texts that a reader which guesses types or lines would change."""
TEXT = st.one_of(
    st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches of the hub and of evalsuite in a folder."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def in_cache(folder: Path, repository: str, revision: str, file: str, content: bytes) -> Path:
    """A file as the hub's cache holds it."""
    path = folder / "hub" / f"datasets--{repository.replace('/', '--')}" / "snapshots" / revision / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def as_read(folder: Path, file: str, content: bytes, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``data=hub`` gives for a file that holds ``rows``."""
    in_cache(folder, "made/things", REVISION, file, content)
    split = Split(file, len(rows), tuple(rows[0]))
    return data.rows("things", Dataset("made/things", "main", REVISION, {"test": split}, False), "test", data.HUB)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT, TEXT), min_size=1, max_size=8))
def test_a_csv_file_is_its_texts(caches: Path, rows: list[tuple[str, ...]]) -> None:
    """Held against ``csv.DictReader``: no text becomes a number, a date or a missing value."""
    content = as_csv([dict(zip(("id", "Question text", "answer"), row, strict=True)) for row in rows])
    expected = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    assert as_read(caches, "test.csv", content, expected) == expected


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)


@FEW
@given(st.lists(st.tuples(JSON, JSON), min_size=1, max_size=8), st.booleans())
def test_a_jsonl_file_is_its_values(caches: Path, rows: list[tuple[Any, ...]], ascii_only: bool) -> None:
    """Held against ``json.loads`` of each line: mixed types, keys that only some rows have, long integers."""
    lines = [json.dumps({"id": first, "x": second}, ensure_ascii=ascii_only) for first, second in rows]
    expected = [json.loads(line) for line in lines]
    assert as_read(caches, "test.jsonl", "\n\n".join(lines).encode() + b"\n", expected) == expected


@FEW
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.integers(-(2**62), 2**62),
                "text": st.one_of(st.none(), TEXT),
                "share": st.floats(allow_nan=False),
                "names": st.lists(TEXT, max_size=3),
                "kwargs": st.lists(st.fixed_dictionaries({"N": st.one_of(st.none(), st.integers(0, 9)), "sep": TEXT})),
                "picture": st.one_of(st.none(), st.fixed_dictionaries({"bytes": st.binary(), "path": st.none()})),
            }
        ),
        min_size=1,
        max_size=6,
    )
)
def test_a_parquet_file_is_its_values(caches: Path, rows: list[dict[str, Any]]) -> None:
    """Held against ``pyarrow.parquet``."""
    content = as_parquet(rows)
    expected = pq.read_table(io.BytesIO(content)).to_pylist()
    assert as_read(caches, "test.parquet", content, expected) == expected


def test_pictures_that_the_file_declares_stay_bytes(caches: Path) -> None:
    """Files on the hub name their features, and ``datasets`` would decode an image."""
    rows = [{"id": "1", "image": {"bytes": mmmu_items.picture(1), "path": "a.png"}}]
    table = pa.Table.from_pylist(rows)
    features = {"id": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), out)
    assert as_read(caches, "test.parquet", out.getvalue(), rows) == rows


# ---------------------------------------------------------------- the cache


def test_the_table_lies_in_evalsuites_own_cache_and_follows_the_file(caches: Path) -> None:
    rows = [{"id": "1"}, {"id": "2"}]
    assert as_read(caches, "test.parquet", as_parquet(rows), rows) == rows
    tables = list((caches / "cache" / "evalsuite" / "datasets").rglob("*.arrow"))
    assert len(tables) == 1
    changed = tables[0].stat().st_mtime_ns
    assert as_read_again(caches, rows) == rows
    assert tables[0].stat().st_mtime_ns == changed, "the second run reads the table that the first one made"
    others = [{"id": "3"}, {"id": "4"}]
    assert as_read(caches, "test.parquet", as_parquet(others), others) == others, "another file is another table"
    assert sorted(path.name for path in caches.iterdir()) == ["cache", "hub"]


def as_read_again(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    split = Split("test.parquet", len(rows), tuple(rows[0]))
    return data.rows("things", Dataset("made/things", "main", REVISION, {"test": split}, False), "test", data.HUB)


@pytest.mark.parametrize("name", ["a[b] {c} *", "ü ?"])
def test_no_character_of_a_path_is_a_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / name / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
    rows = [{"id": "1"}]
    assert as_read(tmp_path / name, "standard (4 options)/test.parquet", as_parquet(rows), rows) == rows


@pytest.mark.parametrize("proxy", ["http://[::1", "http://127.0.0.1:port", "[::1"])
def test_no_server_is_behind_a_malformed_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    accepts_connections.cache_clear()
    assert not accepts_connections("https://hub.invalid")
    accepts_connections.cache_clear()


def test_a_damaged_file_is_named(caches: Path) -> None:
    with pytest.raises(BadInput, match=r"test\.parquet is damaged: .*; remove it and load it again"):
        as_read(caches, "test.parquet", b"PAR1 and no more", [{"id": "1"}])
    with pytest.raises(BadInput, match=r"test\.jsonl is damaged: .*can't decode byte 0xff"):
        as_read(caches, "test.jsonl", b'{"id": "\xff"}\n', [{"id": "1"}])
    with pytest.raises(BadInput, match=r"test\.csv is damaged: field larger than"):
        as_read(caches, "test.csv", b'"' + b"x" * 200_000, [{"id": "1"}])
    with pytest.raises(BadInput, match=r"made/things@0123456789ab torn\.jsonl line 2 is torn or not JSON"):
        as_read(caches, "torn.jsonl", b'{"id": 1}\n{"id": ', [{"id": 1}, {"id": 2}])


def test_a_cache_that_cannot_be_written_is_named(caches: Path) -> None:
    (caches / "cache").write_text("a file where a folder should be")
    with pytest.raises(StorageFailed, match=r"cache/evalsuite/datasets.*XDG_CACHE_HOME=DIR moves it"):
        as_read(caches, "test.parquet", as_parquet([{"id": "1"}]), [{"id": "1"}])


# ---------------------------------------------------------------- every benchmark

SHAS = """
import json, sys
from evalsuite.records import data_sha
from evalsuite.tasks.datasets import HUB, Source
from evalsuite.tasks.registry import build
root, variants = sys.argv[1], json.loads(sys.argv[2])
options = {"ifbench": {"nltk_data": root + "/nltk_data"}, "scicode": {"targets": root + "/test_data.h5"}}
found = {}
for kind, source in (("local", Source("local", root)), ("hub", HUB)):
    found[kind] = {}
    for task, variant in variants.items():
        made = build(task, variant=variant, options=options.get(task, {}), source=source, seed=42)
        items = tuple(made.items())
        prompts = [made.prompt(item, 0).prompt_sha for item in items if task != "scicode"]
        found[kind][task] = [len(items), data_sha(items), prompts]
    found[kind + " imported"] = "datasets" in sys.modules
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose cards pin made data, which lies both in a local folder and in the hub's cache."""
    folder = tmp_path_factory.mktemp("hub")
    root = folder / "data"
    questions.lay_out(root)
    scicode_problems.lay_out(root)
    lcr_rows(root)
    for name in ("evalsuite", "tasks"):
        shutil.copytree(ROOT / name, folder / "checkout" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for task in VARIANTS:
        publish(folder, task, root)
    return folder


def lcr_rows(root: Path) -> None:
    row = {"document_category": "reports", "data_source_filenames": "a.txt", "input_tokens": "007"}
    awkward = [text for text in AWKWARD if text.strip()]
    rows = [
        {**row, "document_set_id": "set", "question_id": str(number), "question": text, "answer": text}
        for number, text in enumerate(awkward)
    ]
    questions.write(root / "aa_lcr" / "test.jsonl", rows)
    (root / "aa_lcr" / "extracted_text").mkdir()
    with zipfile.ZipFile(root / "aa_lcr" / "extracted_text" / "AA-LCR_extracted-text.zip", "w") as archive:
        archive.writestr("lcr/reports/set/a.txt", "A report.")


def publish(folder: Path, task: str, root: Path) -> None:
    """The local rows of a task as files of the hub's cache; its card pins them."""
    path = folder / "checkout" / "tasks" / task / "card.yaml"
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    dataset = card["dataset"]
    for name, split in dataset["splits"].items():
        rows = [row for _, row in data.read_jsonl(data.local_path(root, task, name))]
        parts = ["One", "Two"] if "parts" in split else [""]
        split |= {"n": len(rows), "sha256": None} | ({"parts": parts} if "parts" in split else {})
        share = -(-len(rows) // len(parts))
        for number, part in enumerate(parts):
            file = split["file"].replace("*", part)
            content = as_file(rows[number * share : (number + 1) * share], Path(file).suffix, root / task)
            in_cache(folder, dataset["hub"], dataset["revision"], file, content)
    for file in dataset.get("extra", ()):
        in_cache(folder, dataset["hub"], dataset["revision"], file, (root / task / file).read_bytes())
    path.write_text(yaml.safe_dump(card), encoding="utf-8")


def as_file(rows: list[dict[str, Any]], suffix: str, pictures: Path) -> bytes:
    if suffix == ".csv":
        return as_csv(rows)
    if suffix == ".jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if "mmmu" not in pictures.name:
        return as_parquet(rows)
    names = [*rows[0], *(f"image_{number}" for number in range(1, 8) if "image" not in rows[0])]
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({name: struct if name.startswith("image") else pa.string() for name in names})
    held = [
        {name: as_struct(pictures, value) if name.startswith("image") else value for name, value in row.items()}
        for row in rows
    ]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(held, schema=schema), out)
    return out.getvalue()


def as_struct(folder: Path, name: str) -> dict[str, Any]:
    return {"bytes": (folder / name).read_bytes(), "path": name}


def shas(folder: Path, checkout: Path, variants: dict[str, str]) -> dict[str, Any]:
    """What each source of data below ``folder`` gives, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    mine = {"PYTHONPATH": str(checkout), "HF_HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    words = [sys.executable, "-c", SHAS, str(folder / "data"), json.dumps(variants)]
    mine["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(words, env=kept | mine, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_benchmark_has_the_same_items_and_content_hash_from_the_hub_and_from_a_folder(checkout: Path) -> None:
    found = shas(checkout, checkout / "checkout", VARIANTS)
    assert found["hub"] == found["local"]
    assert all(count for count, *_ in found["hub"].values())
    assert not found["local imported"], "data=local never imports datasets"
    assert found["hub imported"]


def test_the_real_questions_have_one_content_hash(tmp_path: Path) -> None:
    """The benchmarks whose real rows are at hand, as the Parquet files of the hub hold them."""
    shared = shared_data()
    root = tmp_path / "data"
    root.mkdir()
    variants = {"mmlu_pro": "nvidia", "gsm8k": "boxed", "ifbench": "prompts300"}
    for task in variants:
        dataset = data.pin(task)
        (root / task).symlink_to(shared / task)
        rows = [row for _, row in data.read_jsonl(data.local_path(root, task, "test"))]
        assert len(rows) == dataset.splits["test"].n
        in_cache(tmp_path, dataset.hub, dataset.revision, dataset.splits["test"].file, as_parquet(rows))
    (root / "nltk_data").symlink_to(shared / "nltk_data")
    found = shas(tmp_path, ROOT, variants)
    assert {task: count for task, (count, *_) in found["hub"].items()} == {
        "mmlu_pro": 12032,
        "gsm8k": 1319,
        "ifbench": 300,
    }
    assert found["hub"] == found["local"]


def test_rows_with_a_picture_are_left_out(caches: Path) -> None:
    rows = [{"id": "a", "image": "", "other": 1}, {"id": "b", "image": "data:", "other": 2}]
    in_cache(caches, "made/things", REVISION, "test.parquet", as_parquet(rows))
    split = Split("test.parquet", 2, ("id",), picture="image")
    dataset = Dataset("made/things", "main", REVISION, {"test": split}, False)
    assert data.rows("things", dataset, "test", data.HUB) == [{"id": "a"}]
