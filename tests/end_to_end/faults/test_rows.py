"""Metamorphic: the same deterministic endpoint with and without each fault gives the same score, or the cell is
incomplete and lists what is missing, or the run stops and says why. No fault ever becomes a wrong answer."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.run import run
from evalsuite.config.settings import Engine
from evalsuite.errors import Exit
from evalsuite.records import Item, Request
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from tests.end_to_end.faults.asking import ENGINE
from tests.end_to_end.faults.cases import CASES, Case
from tests.end_to_end.faults.rows import ROWS
from tests.support.fault_server import Crash, Send, Steps, error, events, fault_server, page, streamed, whole
from tests.support.toy import Additions, settings

WRONG = "7 + 1 = ?"
ITEMS = 12
SCORE = 11 / 12
PACKAGE = Path(__file__).parents[3] / "evalsuite"


def answer(prompt: str) -> str:
    """Right, but for one question."""
    return "99" if prompt == WRONG else str(int(prompt.split(" ")[0]) + 1) if "+ 1" in prompt else "4"


@dataclass(frozen=True)
class Result:
    """What a run left behind."""

    code: Exit
    summary: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    said: str


def measured(folder: Path, url: Any, capture: pytest.CaptureFixture[str] | None, stream: bool = True) -> Result:
    """A run of twelve questions at most two at a time."""
    engine = Engine(**{**ENGINE, "first_token_seconds": 0.6, "outage_seconds": 1.2})
    wanted = settings(folder, ("bf16", url), engine=engine, limit=ITEMS, model={"concurrency": 2}, report=False)
    wanted.models["bf16"].server.stream = stream
    wanted.tasks["additions"].options = {"count": ITEMS}
    code = run(wanted)
    cell = folder / "r" / "bf16" / "additions"
    said = "" if capture is None else " ".join(capture.readouterr().err.split())
    if not (cell / "manifest.json").exists():  # no answer arrived, so that there is no cell
        return Result(code, {"score": None, "complete": False, "outcomes": {"failed": 0}}, {}, said)
    rows = {row["item_id"]: row for row in read_samples(cell).to_pylist()}
    return Result(code, json.loads((cell / "summary.json").read_text()), rows, said)


def misbehaving(case: Case, *, always: bool) -> Any:
    """A script that hits the case's questions."""
    hit = {f"{number} + 1 = ?" for number in case.affected}

    def script(prompt: str, number: int) -> Steps | None:
        return case.steps(answer(prompt)) if prompt in hit and (always or number == 0) else None

    return script


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("name", CASES)
def test_a_fault_changes_no_score(tmp_path: Path, name: str, always: bool, capsys: pytest.CaptureFixture[str]) -> None:
    case = CASES[name]
    with fault_server(answer, misbehaving(case, always=always)) as server:
        found = measured(tmp_path, server.base_url, capsys, case.stream)
        asked = dict(server.counts)
    end = case.always if always else case.once
    hit = {f"q{number:03}" for number in case.affected}
    outcomes = {name: row["outcome"] for name, row in found.rows.items()}
    for item in set(outcomes) - hit:
        assert outcomes[item] == ("wrong" if item == "q007" else "correct")
    if end == "same":
        assert (found.code, found.summary["score"], found.summary["complete"]) == (Exit.DONE, SCORE, True)
    elif end == "69":
        assert found.code == Exit.ENDPOINT
        assert found.summary["score"] is None
        assert case.words in found.said
        assert not {outcomes[item] for item in hit & set(outcomes)} & {"wrong", "truncated", "no_answer", "refused"}
    elif end == "failed":
        assert (found.code, found.summary["score"], found.summary["complete"]) == (Exit.INCOMPLETE, None, False)
        assert {item for item, outcome in outcomes.items() if outcome == "failed"} == hit
        assert all(found.rows[item]["value"] is None and case.words in found.rows[item]["note"] for item in hit)
    else:
        assert {outcomes[item] for item in hit} == {end}
        assert (found.code, found.summary["score"]) == (Exit.DONE, pytest.approx((11 - len(hit)) / 12))
    if always and case.asked and end != "69":
        assert {asked[f"{number} + 1 = ?"] for number in case.affected} == {case.asked}


LISTED = [(number, where) for number, row in ROWS.items() for where in row.tests]


def test_all_rows_are_there() -> None:
    assert list(ROWS) == list(range(1, 57))
    assert [number for number, row in ROWS.items() if not (row.tests or row.why_not)] == []


@pytest.mark.parametrize(("number", "where"), LISTED, ids=[f"row {number}: {where}" for number, where in LISTED])
def test_what_a_row_names_exists(number: int, where: str) -> None:
    kind, _, name = where.partition(":")
    if kind == "case":
        assert name in CASES
        return
    path, _, function = where.partition("::")
    tree = ast.parse((PACKAGE.parent / path).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_an_outage_that_lasts_stops_the_run_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 31: the server dies with an answer half sent and comes back, on another port, for the second command."""

    def script(prompt: str, number: int) -> Steps | None:
        dying = streamed(events(answer(prompt)), done=False, then=[Crash()])
        return dying if len(server.prompts) == 7 else None

    with fault_server(answer, script) as server:
        stopped = measured(tmp_path, server.base_url, capsys)
        before = len(server.counts)
    assert stopped.code == Exit.STOPPED
    assert "longer than engine.outage_seconds=1.2" in stopped.said
    assert (stopped.summary["score"], stopped.summary["outcomes"]["failed"]) == (None, 0)
    with fault_server(answer) as server:
        found = measured(tmp_path, server.base_url, capsys)
        assert len(server.counts) <= ITEMS - before + 2  # what was in flight is asked again, and nothing else
    assert (found.code, found.summary["score"]) == (Exit.DONE, SCORE)
    assert 1 <= sum(row["rerolled"] for row in found.rows.values()) <= 2


def test_a_run_over_replicas_of_which_one_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 31: the other replica does the rest."""

    def script(prompt: str, number: int) -> Steps | None:
        return [Crash()] if len(lame.prompts) == 3 else None

    with fault_server(answer, script) as lame, fault_server(answer) as other:
        found = measured(tmp_path, [lame.base_url, other.base_url], capsys)
        assert len(lame.prompts) >= 3
    assert (found.code, found.summary["score"]) == (Exit.DONE, SCORE)
    assert "the endpoint was away 1 times" in found.said


def test_what_bears_on_the_scores_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows 14, 15 and 22: said at the end of the run, and kept with the cell."""

    def script(prompt: str, number: int) -> Steps | None:
        odd = {0: CASES["empty"], 1: CASES["no usage"]}.get(int(prompt.split(" ")[0]), CASES["only reasoning"])
        return odd.steps(answer(prompt)) if int(prompt.split(" ")[0]) < 7 else None

    with fault_server(answer, script) as server:
        found = measured(tmp_path, server.base_url, capsys)
    flags = read_manifest(tmp_path / "r" / "bf16" / "additions")["flags"]
    assert [flag.split(":")[0] for flag in flags] == [
        "5 of 11 replies thought but said nothing",
        "1 replies had no token at all, three times in a row; they count as no answer",
        "1 of 11 replies came without token counts",
    ]
    assert all(flag in found.said for flag in flags)


def test_a_name_that_nobody_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 29."""
    engine = Engine(**{**ENGINE, "probe": True})
    wanted = settings(tmp_path, ("bf16", "http://no-such-host.invalid/v1"), engine=engine, report=False)
    assert run(wanted) == Exit.ENDPOINT
    said = " ".join(capsys.readouterr().err.split())
    assert "no server answers: connection to http://no-such-host.invalid/v1 failed" in said


def test_no_time_out_hangs_on_the_wall_clock() -> None:
    """Row 36: what waits, waits by the monotonic clock; the one use of the wall clock reads a Retry-After date."""
    engine = [PACKAGE / "engine" / name for name in ("retry.py", "worker.py", "loop.py")]
    files = [*(PACKAGE / "endpoint").glob("*.py"), *engine]
    users = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time",
                "datetime.now",
                "datetime.utcnow",
            ):
                users.add(path.name)
    assert users == {"faults.py"}


SECRET = 'What nobody may publish is written here, in\ntwo lines and "quoted"'


@dataclass(frozen=True)
class Wordy(Additions):
    """Questions of a benchmark whose items must not be published."""

    def prompt(self, item: Item, repeat: int) -> Request:
        return Request(({"role": "user", "content": f"{item.inputs['a']} + 1 = ? {SECRET}"},))


def test_neither_key_nor_prompt_gets_into_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 56: servers that repeat the request and the key in their errors, in each of the ways they have."""
    monkeypatch.setenv("EVALSUITE_API_KEY", "sk-zebra-12345")

    def script(prompt: str, number: int) -> Steps | None:
        said = f"sk-zebra-12345, head-zebra-67: cannot do {server.bodies[-1]['messages']}"
        detail = [{"loc": ["body", "messages"], "msg": "bad", "input": server.bodies[-1]}]
        return {
            "3": error(500, said),
            "4": [Send(whole(json.dumps({"detail": detail}).encode(), 422))],
            "5": page(502, said),
            "6": streamed([b"data: " + json.dumps({"error": {"message": said}}).encode() + b"\n\n"]),
            "8": [Send(whole(said.encode()))],
        }.get(prompt.split(" ")[0])

    with fault_server(answer, script) as server:
        engine = Engine(**{**ENGINE, "retries": 0})
        model = {"concurrency": 1, "headers": {"X-Team": "head-zebra-67"}}
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine, limit=ITEMS, model=model)
        wanted.tasks["additions"].adapter = "tests.end_to_end.faults.test_rows:Wordy"
        wanted.tasks["additions"].options = {"count": ITEMS}
        assert run(wanted) == Exit.INCOMPLETE
        assert any("sk-zebra-12345" in head and "head-zebra-67" in head for head in server.headers)
    found = {row["item_id"]: row["note"] for row in read_samples(tmp_path / "r/bf16/additions").to_pylist()}
    assert [name for name, note in found.items() if note] == ["q003", "q004", "q005", "q006", "q008"]
    assert found["q004"] == "HTTP 422 body.messages: bad"
    said = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (written, (said.out + said.err).encode()):
        assert b"-zebra-" not in text
        assert b"What nobody may publish" not in text
        assert b"two lines and" not in text
