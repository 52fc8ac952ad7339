"""A real instruction-tuned model at two precisions in a real llama.cpp server, through the command line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalsuite.errors import Exit
from evalsuite.store.samples import read_samples
from tests.support import smollm2
from tests.support.llama_cpp_server import serving_gguf

pytestmark = pytest.mark.slow
CAP = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with both files; what was run below ``results`` stays for the next test."""
    source, home = smollm2.bundled(), tmp_path_factory.mktemp("smollm2")
    for kind in ("BF16", "Q4_0"):
        smollm2.write(source, home / f"{kind}.gguf", kind)
    yield home
    for kind in ("BF16", "Q4_0"):
        (home / f"{kind}.gguf").unlink()


def run(folder: Path, cell: str, served: str, limit: int) -> "subprocess.CompletedProcess[str]":
    """``evalsuite run`` of the model ``cell`` while ``served`` is on the port."""
    with serving_gguf(folder, f"{served}.gguf", slots=4, context=512) as url:
        conf = smollm2.conf(folder / "conf", {cell: url})
        call = [sys.executable, "-m", "evalsuite", "run", f"model={smollm2.name(cell)}", "task=word_problems"]
        call += ["--config-dir", str(conf), "sampling=greedy", f"sampling.max_tokens={CAP}", "run_id=smol"]
        call += [f"results_dir={folder}/results", f"limit={limit}", "report=false", "engine.probe_answer=false"]
        return subprocess.run(call, capture_output=True, text=True, check=False, timeout=600)


def test_ten_items_at_two_precisions_and_the_wrong_one_on_the_port(folder: Path) -> None:
    manifests = {}
    for kind in ("BF16", "Q4_0"):
        done = run(folder, kind, kind, 10)
        assert done.returncode == Exit.DONE, done.stderr[-3000:]
        rows = read_samples(cell(folder, kind)).to_pylist()
        assert len(rows) == 10
        for row in rows:
            assert 0 < row["completion_tokens"] <= CAP
            assert row["prompt_tokens"] > 10
            assert (row["text"].strip() != "", row["reasoning"]) == (True, "")
            assert row["finish_reason"] == "stop" or row["completion_tokens"] == CAP
        manifests[kind] = (cell(folder, kind) / "manifest.json").read_text(encoding="utf-8")
    assert [kind in text for kind, text in manifests.items()] == [True, True]
    assert "Q4_0" not in manifests["BF16"]
    refused = run(folder, "BF16", "Q4_0", 12)
    assert refused.returncode == Exit.ENDPOINT, refused.stderr[-3000:]
    assert len(read_samples(cell(folder, "BF16"))) == 10


def cell(folder: Path, kind: str) -> Path:
    return folder / "results" / "smol" / f"{smollm2.name(kind)}-nothink" / "word_problems"
