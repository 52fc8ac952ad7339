"""Whether a local folder holds the pinned questions."""

import hashlib
import json
from pathlib import Path

import pytest

from evalsuite.tasks.datasets import Source, pin
from evalsuite.tasks.downloads import required_files
from evalsuite.tasks.provenance import data_facts


@pytest.mark.parametrize("task", ["gsm8k", "ifbench", "scicode"])
def test_files_of_other_origin_leave_the_datasets_commit_proved(tmp_path: Path, task: str) -> None:
    entries = []
    for required in required_files(task):
        path = tmp_path / required.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
        facts = {"sha256": hashlib.sha256(b"content").hexdigest(), "bytes": len(b"content")}
        entries.append({"task": task, "file": required.file, "revision": required.revision, **facts})
    listed = tmp_path / "fetched.json"
    listed.write_text(json.dumps({"files": entries}))
    source = Source("local", str(tmp_path))
    assert data_facts(task, source)["revision"] == pin(task).revision

    of_the_dataset = [entry for entry in entries if entry["file"].startswith(f"{task}/") and entry["revision"]]
    of_the_dataset[-1]["revision"] = "0" * 40
    listed.write_text(json.dumps({"files": entries}))
    assert data_facts(task, source)["revision"] is None
