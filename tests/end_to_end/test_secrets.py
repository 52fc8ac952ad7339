"""No secret reaches a file, the output or a message, wherever it stands and whoever quotes it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.cli.launch.words import secret_words
from evalsuite.config.address import shown_urls
from evalsuite.config.settings import Model
from evalsuite.endpoint.fault_mapping import note_secrets, safe
from tests.store import proving
from tests.support.scripted_endpoint import Answer, scripted_endpoint

PLACES = ("key", "header", "query", "user", "password", "proxy")
MARKERS = {place: f"MARKER-{place}-7f3a/+=" for place in PLACES}
SECRETS = st.text(
    st.characters(codec="ascii", categories=("L", "N", "P"), exclude_characters="'\"?#/@&=%+:\\[]();,"), min_size=6
)


@given(SECRETS, SECRETS, SECRETS)
def test_an_address_in_a_message_shows_no_secret(user: str, password: str, token: str) -> None:
    secrets = {f"U{user}", f"P{password}", f"T{token}"}
    user, password, token = (quote(secret, safe="") for secret in (f"U{user}", f"P{password}", f"T{token}"))
    address = f"http://{user}:{password}@gateway.example:8000/v1?api-key={token}&x=1"
    for message in (address, f"base_url={address} is no address", f"'{address}': refused", f"({address})"):
        assert not any(secret in shown_urls(message) for secret in (user, password, token))
    note_secrets(address)
    for secret in (*secrets, user, password, token):
        assert secret not in safe(f"refused: {secret}"[:290], Model(api_key_env="NO_SUCH_KEY"))
    assert secret_words([f"models.m.base_url={address}", "limit=3", "models.m.headers.X=y"]) == [
        "models.m.base_url",
        "models.m.headers.X",
    ]


def _markers_in(text: str) -> list[str]:
    return [place for place, marker in MARKERS.items() if f"MARKER-{place}" in text]


def _evalsuite(folder: Path, *words: str) -> tuple[int, str]:
    secrets = {"MY_KEY": MARKERS["key"], "MY_HEADER": MARKERS["header"]}
    environment = proving.environment(folder / "acks") | secrets
    command = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_no_marker_is_written_or_printed(tmp_path: Path) -> None:
    """A gateway quotes all of a request in its error pages, in the middle of a run and at its start."""
    sent = [MARKERS[place] for place in ("key", "header", "query")]
    quoted = json.dumps({"error": {"message": " ".join([*sent, quote(MARKERS["query"], safe="")])}})

    def script(prompt: str) -> Answer:
        first = prompt.partition(" ")[0]
        return Answer(status=500, body=quoted) if first.isdigit() and int(first) % 3 == 0 else Answer("4")

    conf = proving.configure(tmp_path / "conf", items=6, repeats=1)
    with scripted_endpoint(script, model=proving.MODELS[0]) as server:
        name = f"models.{proving.MODELS[0]}"
        common = ["run", f"model={proving.MODELS[0]}", f"task={proving.TASKS[0]}", "--config-dir", str(conf)]
        common += [f"{name}.api_key_env=MY_KEY", f"{name}.headers={{X-Auth: '${{oc.env:MY_HEADER}}'}}"]
        common += ["engine.retries=0", "engine.outage_seconds=1", "engine.probe=false", "engine.fingerprint=false"]
        address = f"{name}.base_url='{server.base_url}?api-key={quote(MARKERS['query'], safe='')}'"
        user = f"{quote(MARKERS['user'], safe='')}:{quote(MARKERS['password'], safe='')}@"
        proxy = f"http://{quote(MARKERS['proxy'], safe='')}:x@127.0.0.1:9"
        said = {
            "run": _evalsuite(tmp_path, *common, address, "run_id=r"),
            "dry run": _evalsuite(tmp_path, *common, address, "run_id=r", "dry_run=true"),
            "user in the address": _evalsuite(tmp_path, *common, address.replace("://", f"://{user}"), "run_id=s"),
            "no proxy there": _evalsuite(tmp_path, *common, address, f"{name}.proxy='{proxy}'", "run_id=t"),
            "no such path": _evalsuite(tmp_path, *common, address.replace("/v1?", "/other?"), "run_id=u"),
            "wrong setting": _evalsuite(tmp_path, *common, address, "limit=none"),
        }
        assert server.requests
    assert said["run"][0] == 3, said["run"]
    assert "***" in said["run"][1] + "".join(path.read_text() for path in tmp_path.glob("results/r/*/*/journal*"))
    assert {code for code, _ in said.values()} <= {0, 3, 64, 69, 75}
    assert {what: found for what, (_, text) in said.items() if (found := _markers_in(text))} == {}
    files = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [(path, place) for path in files for place in _markers_in(path.read_bytes().decode("latin-1"))] == []


RECORDED = """# Notes every process that this one starts: its program and its arguments.
import json, os, sys
def note(event, values):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        line = json.dumps([event, *map(str, values[:2])]) + "\\n"
        handle = os.open(os.environ.get("PROCESS_LIST", "/dev/null"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)
sys.addaudithook(note)
"""
"""``sitecustomize`` of every Python process of a test."""


@pytest.mark.slow
def test_no_marker_is_passed_to_a_process(tmp_path: Path) -> None:
    """The process list of runs whose configuration and environment hold secrets, launched through joblib and SLURM."""
    pytest.importorskip("submitit")
    conf = proving.configure(tmp_path / "conf", items=3, repeats=1)
    hook, listed = tmp_path / "hook", tmp_path / "processes"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(RECORDED)
    environment = proving.environment(tmp_path / "acks")
    environment |= {"MY_KEY": MARKERS["key"], "MY_HEADER": MARKERS["header"], "PROCESS_LIST": str(listed)}
    environment["PYTHONPATH"] = f"{hook}:{environment['PYTHONPATH']}"
    with scripted_endpoint(lambda _: Answer("4"), model=proving.MODELS[0]) as server:
        query, user = quote(MARKERS["query"], safe=""), quote(MARKERS["user"], safe="")
        file = conf / "model" / f"{proving.MODELS[0]}.yaml"
        text = file.read_text().replace("http://localhost:9/v1", f"'{server.base_url}?api-key={query}&user={user}'")
        file.write_text(text + "api_key_env: MY_KEY\nheaders: {X-Auth: '${oc.env:MY_HEADER}'}\n")
        words = ["run", f"model={proving.MODELS[0]}", f"task={proving.TASKS[0]}", "--config-dir", str(conf)]
        words += ["engine.probe=false", "engine.fingerprint=false"]
        for launch in (["launch=joblib"], ["launch=slurm", "launch.cluster=local"]):
            command = [sys.executable, "-m", "evalsuite", *words, f"run_id={launch[0][7:]}", *launch]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode, _markers_in(done.stdout + done.stderr)) == (0, []), done.stderr
        assert len(server.requests) == 6
    shutil.rmtree(conf)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != hook]
    assert [(path, place) for path in files for place in _markers_in(path.read_bytes().decode("latin-1"))] == []
    assert [line for line in listed.read_text().splitlines() if "evalsuite" in line and "run_id=slurm" in line]


@pytest.mark.slow
def test_what_evaluates_answers_has_no_key_in_its_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from evalsuite.tasks.grading import expressions as e\n"]
    command[-1] += "import pathlib\nprint(e.value('1+1'), e._WORKER.process.pid)\n"
    command[-1] += "print(pathlib.Path(f'/proc/{e._WORKER.process.pid}/environ').read_text())"
    environment = proving.environment(tmp_path / "acks") | {"EVALSUITE_API_KEY": MARKERS["key"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("2 ")
    assert "PATH=" in done.stdout
    assert _markers_in(done.stdout) == []
