"""Local folders and the hub's pinned files, against real files and a real HTTP server."""

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalsuite.errors import BadInput
from evalsuite.tasks.datasets import Source, read_jsonl, rows
from evalsuite.tasks.hub import Dataset, Split

REVISION = "0123456789abcdef0123456789abcdef01234567"
PINNED = Dataset("made/things", "main", REVISION, {"test": Split("data/test.parquet", 3, ("idx", "text"))}, False)
LINES = [json.dumps({"idx": number, "text": f"thing {number} é"}) for number in range(3)]


def local(root: Path, dataset: Dataset = PINNED, split: str = "test") -> list[dict[str, Any]]:
    return rows("things", dataset, split, Source("local", str(root)))


def laid(root: Path, content: bytes, name: str = "test.jsonl") -> Path:
    path = root / "things" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["test.jsonl", "test.jsonl.gz"])
def test_a_local_split_plain_or_gzipped(tmp_path: Path, name: str) -> None:
    content = ("\n".join(LINES) + "\n\n").encode()
    laid(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name)
    assert [row["text"] for row in local(tmp_path)] == ["thing 0 é", "thing 1 é", "thing 2 é"]


def test_a_column_without_a_name_drops_no_question(tmp_path: Path) -> None:
    laid(tmp_path, "\n".join(json.dumps({"": number, **json.loads(LINES[number])}) for number in range(3)).encode())
    assert [row["idx"] for row in local(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n".join([*LINES, '{"idx": 3, "te']).encode(), "test.jsonl line 4 is torn or not JSON"),
        (b'{"idx": 1, "text": "a"}\n[1]\n', "test.jsonl line 2 holds list, not one JSON object"),
        (b'{"idx": 1, "text": "\xff"}\n', "test.jsonl line 1 is torn or not JSON"),
        (b'{"idx": 1, "text": "a"}\n{"idx": 2, "txt": "b"}\n', "test.jsonl line 2 lacks text: it has idx, txt"),
        (b"\n", "test.jsonl holds no questions"),
    ],
)
def test_a_broken_local_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    laid(tmp_path, content)
    with pytest.raises(BadInput, match=re.escape(message)):
        local(tmp_path)


def test_a_torn_gzip_file(tmp_path: Path) -> None:
    content = gzip.compress("\n".join(LINES * 5000).encode())
    path = laid(tmp_path, content[: len(content) // 2], "test.jsonl.gz")
    with pytest.raises(BadInput, match=r"test.jsonl.gz is torn or not gzip after line \d+"):
        list(read_jsonl(path))
    path.write_bytes(b"no gzip at all")
    with pytest.raises(BadInput, match=r"torn or not gzip after line 0"):
        list(read_jsonl(path))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(f"neither at {tmp_path}/things/test.jsonl nor at")):
        local(tmp_path)
    with pytest.raises(BadInput, match="unknown split of things 'tset'; did you mean 'test'"):
        local(tmp_path, split="tset")
    with pytest.raises(BadInput, match=r"data=local needs data.root=DIR"):
        Source("local")
    with pytest.raises(BadInput, match="unknown data 'loca'; did you mean 'local'"):
        Source("loca", "x")


# ---------------------------------------------------------------- the hub: a server that speaks its file protocol


@dataclass
class Hub:
    """One file at one commit, or many, and the requests that came for them."""

    content: bytes = b""
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """Path of a request, without its "/" and unquoted -> content."""
    gated: bool = False
    requests: list[str] = field(default_factory=list)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            self.answer(hub.files.get(self.asked, hub.content))

        @property
        def asked(self) -> str:
            return unquote(self.path[1:])

        def answer(self, body: bytes) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            if hub.gated:
                self.send_response(403)
                self.send_header("X-Error-Code", "GatedRepo")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = self.asked in hub.files or f"/resolve/{REVISION}/data/test" in self.path
            content = hub.files.get(self.asked, hub.content)
            commit = re.search(r"/resolve/([0-9a-f]{40})/", self.path)
            self.send_response(200 if found else 404)
            self.send_header("X-Repo-Commit", commit[1] if commit else REVISION)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content) if found else 0))
            if not found:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            self.wfile.write(body if found else b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


LOAD = """
import json, sys
from evalsuite.tasks.datasets import Source, rows
from evalsuite.tasks.hub import Dataset, Split
from evalsuite.errors import BadInput, StorageFailed
for word in sys.argv[1:]:
    file, revision, n, sha256 = json.loads(word)
    split = Split(file, n, ("idx", "text"), sha256)
    try:
        data = Dataset("made/things", "main", revision, {"test": split}, False)
        print(json.dumps(rows("things", data, "test", Source())))
    except BadInput as error:
        print("BadInput:", error)
    except StorageFailed as error:
        print("StorageFailed:", error)
"""


def load(home: Path, hub: str, file: str = "data/test.parquet", revision: str = REVISION, offline: bool = False) -> str:
    """What one process loads, or the error."""
    return loaded(home, hub, (file, revision, 3, None), offline=offline).strip()


def loaded(home: Path, hub: str, *asked: tuple[str, str, int, str | None], offline: bool = False) -> str:
    """A line for each of the files ``asked`` (file, revision, rows, sha256), loaded in a process of its own: the hub's
    client reads its environment when it is imported.
    """
    env = {"HF_HOME": str(home), "HF_ENDPOINT": hub, "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    env |= {"XDG_CACHE_HOME": str(home / "cache")} | ({"HF_HUB_OFFLINE": "1"} if offline else {})
    words = [sys.executable, "-c", LOAD, *map(json.dumps, asked)]
    done = subprocess.run(words, env=env, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return done.stdout


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([json.loads(line) for line in LINES]), out)
    return out.getvalue()


def test_a_pinned_file_is_downloaded_once_and_then_needs_no_network(tmp_path: Path) -> None:
    expected = json.dumps([json.loads(line) for line in LINES])
    with serving(Hub(parquet())) as hub:
        assert load(tmp_path, hub.url) == expected
        assert any(request.startswith("GET") for request in hub.requests)
        asked = len(hub.requests)
        assert load(tmp_path, hub.url) == expected
        assert len(hub.requests) == asked, "the cached copy of a commit needs no request"
        url = hub.url
    assert load(tmp_path, url) == expected, "the server is gone"
    other = load(tmp_path, url, revision="f" * 40, offline=True)
    assert other.startswith("BadInput: made/things data/test.parquet is not in the hub's cache")
    assert "or use data=local data.root=DIR with DIR/things/test.jsonl[.gz]" in other


def test_csv_and_content_checks(tmp_path: Path) -> None:
    content = b'idx,text\n0,"two\nlines"\n1,"a, b"\n'
    with serving(Hub(content)) as hub:
        stated = ((2, None), (2, hashlib.sha256(content).hexdigest()), (2, "0" * 64), (3, None))
        asked = (("data/test.csv", REVISION, n, sha256) for n, sha256 in stated)
        plain, checked, other, short = loaded(tmp_path, hub.url, *asked).splitlines()
    assert json.loads(plain) == [{"idx": "0", "text": "two\nlines"}, {"idx": "1", "text": "a, b"}]
    assert checked == plain
    assert "has another content than its card states" in other
    assert "has 2 rows, its card states 3" in short


def test_gated_absent_and_unreachable(tmp_path: Path) -> None:
    with serving(Hub(parquet(), gated=True)) as hub:
        said = load(tmp_path, hub.url)
    assert said.startswith("BadInput: made/things is gated: accept its terms at https://huggingface.co/datasets/made/")
    assert "set HF_TOKEN" in said
    assert "data=local" in said
    with serving(Hub(parquet())) as hub:
        assert "the hub does not give made/things data/none.parquet" in load(tmp_path, hub.url, "data/none.parquet")
    assert "the hub cannot be reached" in load(tmp_path, "http://127.0.0.1:9", offline=True)


def test_a_cache_of_the_hub_that_cannot_be_written_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file where a folder should be")
    with serving(Hub(parquet())) as hub:
        message = load(tmp_path, hub.url)
    assert message.startswith(f"StorageFailed: {tmp_path / 'hub'}")
    assert "HF_HOME=DIR moves the cache" in message
