"""``output=json``: one document on standard output with the figures that the tables show, and the same exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli import json_output
from evalsuite.report import formats
from tests.support.cells import Answer, Made, answers, write
from tests.support.command import Finished, evalsuite
from tests.support.scripted_endpoint import scripted_endpoint

MARGINS = "margins: {mmlu_pro: {points: 1, owner: us, reason: because}}\n"
WIDE = {"COLUMNS": "400"}
ROOT = Path(__file__).parents[2]


def document(done: Finished, code: int = 0) -> dict[str, Any]:
    """The document of a command that ended with ``code``; it holds the same code and names the command."""
    assert done.returncode == code, done
    content: dict[str, Any] = json.loads(done.stdout)
    assert content["schema"] == 1
    assert content["exit"] == code
    assert "\x1b" not in done.stdout
    return content


def both(folder: Path, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
    """(the document of a command, what the same command prints for people on a wide terminal)."""
    human = evalsuite(folder, *words, **WIDE)
    assert human.returncode == code, human
    content = document(evalsuite(folder, *words, "output=json", **WIDE), code)
    assert content["command"] == words[0]
    return content, human.stdout


def lines_with(text: str, *words: str) -> list[list[str]]:
    """The cells of the table rows that begin with ``words``."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return [row for row in rows if row[: len(words)] == list(words)]


def sections() -> dict[str, str]:
    """Command -> its section of the page."""
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))


def documented(command: str) -> set[str]:
    """Names of fields in the section of a command, those of entries in braces included."""
    return {name for code in re.findall(r"`([^`]+)`", sections()[command]) for name in re.findall(r"\w+", code)}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A run with a baseline that the candidate lost 3 of 40 items against, and one with a gated, incomplete cell."""
    subjects = {str(item): ("law", "physics")[item % 2] for item in range(40)}
    base = Made("fp8", answers([1] * 30 + [0] * 10), title="FP8", subjects=subjects)
    cand = Made("v2", answers([0] * 3 + [1] * 27 + [0] * 10), title="V2", baseline="fp8", subjects=subjects)
    write(tmp_path / "results" / "r", base, cand)
    secret = {"7": [Answer(1.0, text="SECRET ANSWER", note="SECRET NOTE"), Answer(0.0, "truncated", tokens=900)]}
    write(tmp_path / "results" / "g", Made("fp8", {**secret, "8": [Answer(None)]}, "gpqa_diamond", title="FP8"))
    (tmp_path / "own" / "gate").mkdir(parents=True)
    (tmp_path / "own" / "gate" / "ours.yaml").write_text(MARGINS)
    return tmp_path


def test_show_lists_the_cells_of_the_table(folder: Path) -> None:
    content, text = both(folder, "show")
    cells = {(run["run"], cell["model"], cell["task"]): cell for run in content["runs"] for cell in run["cells"]}
    assert len(cells) == 3
    for (run, model, task), cell in cells.items():
        (row,) = lines_with(text, run, model, task)
        assert row[3] == cell["state"]
        assert row[4] == formats.score(cell["score"], cell["ci95"] and tuple(cell["ci95"]))
        assert row[5].startswith(f"{cell['measured']:,}")
        assert str(cell["outcomes"]["truncated"]) == row[6]
    assert cells["r", "fp8", "mmlu_pro"]["score"] == 0.75
    gated = cells["g", "fp8", "gpqa_diamond"]
    assert (gated["state"], gated["measured"], gated["planned"], gated["score"]) == ("incomplete", 2, 4, None)
    assert document(evalsuite(folder, "show", "output=json", "results_dir=none"))["runs"] == []


def test_show_hides_the_texts_of_a_gated_item(folder: Path) -> None:
    words = ("show", "run=g", "task=gpqa_diamond", "item=7")
    content, text = both(folder, *words)
    assert content["gated"]
    assert "SECRET" not in json.dumps(content) + text
    (answer,) = content["answers"]
    assert formats.percent(answer["mean"]) in text
    assert [sample["outcome"] for sample in answer["samples"]] == ["correct", "truncated"]
    assert all(sample[name] is None for sample in answer["samples"] for name in ("text", "reasoning", "answer", "note"))
    shown = document(evalsuite(folder, *words, "repeat=0", "include_gated_text=true", "output=json"))
    assert [sample["text"] for sample in shown["answers"][0]["samples"]] == ["SECRET ANSWER"]


def test_tasks_lists_what_the_tables_list(folder: Path) -> None:
    content, text = both(folder, "tasks", "--config-dir", "own")
    kinds = ("tasks", "models", "suites", "cards", "gates", "judges", "simulators", "hardware")
    assert {kind for kind in content if isinstance(content[kind], list)} == set(kinds)
    for kind in kinds:
        assert content[kind]
        for entry in content[kind]:
            assert lines_with(text, entry["name"]), entry
    for task in content["tasks"]:
        if task["items"]:
            assert f"{task['items']:,}" in lines_with(text, task["name"])[0]
    ours = next(gate for gate in content["gates"] if gate["name"] == "ours")
    assert ours["margins"] == {"mmlu_pro": {"points": 1, "tier": "critical"}}
    assert lines_with(text, "ours")[0][1] == "mmlu_pro 1"


def test_plan_prints_the_file_that_it_writes(folder: Path) -> None:
    words = ("plan", "model=nvfp4_v2", "suite=card", "rate=2500", "hardware=b300x8", "to=plan.json")
    content, text = both(folder, *words)
    written = json.loads((folder / "plan.json").read_text())
    assert {name: value for name, value in content.items() if name not in ("command", "exit")} == written
    for task in content["tasks"]:
        assert formats.percent(task["detectable"], 2) in text
        assert formats.percent(task["assumptions"]["score"]["value"]) in text
    assert formats.amount(content["total"]["completion_tokens"]) in text
    commands = [server["command"] for step in content["hardware"]["steps"] for server in step["servers"]]
    assert commands
    assert all(command in text for command in commands)


def test_doctor_reports_the_checks_of_the_table(folder: Path) -> None:
    with scripted_endpoint(lambda request: "4") as server:
        words = ("doctor", "model=fp8", f"models.fp8.base_url={server.base_url}", "engine.fingerprint=false")
        human = evalsuite(folder, *words, **WIDE)
        asked = evalsuite(folder, *words, "output=json", **WIDE)
    content = document(asked, human.returncode)
    assert f"doctor: {len(content['checks'])} checks, {content['failed']} failed" in human.stdout
    assert content["failed"] == sum(check["state"] == "fail" for check in content["checks"])
    assert human.returncode == (69 if content["failed"] else 0)
    names = [row[1] for row in lines_with(human.stdout, "fp8")]
    assert [check["what"] for check in content["checks"]] == names
    assert content.keys() - {"schema", "command", "exit"} <= documented("doctor")
    assert {name for check in content["checks"] for name in check} <= documented("doctor")
    assert "examining" in asked.stderr
    dead = document(
        evalsuite(folder, "doctor", "model=fp8", "models.fp8.base_url=http://127.0.0.1:9/v1", "output=json"), 69
    )
    assert dead["failed"] >= 1


@pytest.mark.slow
def test_report_prints_the_comparison_that_it_writes(folder: Path) -> None:
    content, text = both(folder, "report", "run=r")
    written = json.loads((folder / "results" / "r" / "report" / "comparison.json").read_text())
    assert {name: content[name] for name in written} == written
    assert Path(content["page"]).is_file()
    (row,) = content["rows"]
    assert formats.change(row["delta"], tuple(row["ci95"])) in text
    for cell in content["cells"]:
        assert formats.score(cell["score"], tuple(cell["ci95"])) in text
    incomplete, _ = both(folder, "report", "run=g", code=3)
    assert incomplete["cells"][0]["score"] is None
    other = Made("odd", answers([1] * 40), baseline="fp8", identity={"seed": 1, "variant": "other"})
    write(folder / "results" / "r", other)
    refused = document(evalsuite(folder, "report", "run=r", "output=json"), 64)
    assert "cannot compare odd with fp8" in refused["error"]
    assert len(refused["rows"]) == 2


def test_gate_prints_the_verdict_that_it_writes(folder: Path) -> None:
    words = ("gate", "run=r", "gate=ours", "--config-dir", "own")
    content, text = both(folder, *words, code=2)
    written = json.loads((folder / "results" / "r" / "report" / "verdict.json").read_text())
    assert {name: content[name] for name in written} == written
    assert content["verdict"].upper() in text
    (row,) = content["candidates"]["v2"]["rows"]
    assert formats.change(row["delta"], tuple(row["ci95"])) in text
    wide = ("gate", "run=r", "gate=ours", "gate.margins.mmlu_pro.points=40", "output=json", "--config-dir", "own")
    assert document(evalsuite(folder, *wide))["verdict"] == "pass"
    tight = (*wide[:3], "gate.margins.mmlu_pro.points=0.1", "gate.alpha=0.3", *wide[4:])
    assert document(evalsuite(folder, *tight), 1)["verdict"] == "fail"
    lacking = Made("v2", answers([None, *[1] * 39]), baseline="fp8")
    write(folder / "results" / "l", Made("fp8", answers([1] * 40)), lacking)
    missing = document(evalsuite(folder, "gate", "run=l", *words[2:], "output=json"), 3)
    assert missing["error"].startswith("no verdict: mmlu_pro: incomplete")
    assert "verdict" not in missing


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("show", "run=absent"), 64, "unknown run 'absent'"),
        (("plan", "model=fp9", "suite=card"), 64, "did you mean 'fp8'"),
        (("gate", "run=r"), 64, "no margins"),
        (("baseline", "save", "run=r"), 64, "output=json is for show, tasks, doctor, plan, report, gate"),
        (("demo",), 64, "output=json is for show"),
        (("shwo",), 64, "unknown command 'shwo'"),
    ],
)
def test_an_error_is_a_document_and_a_line(folder: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = evalsuite(folder, *words, "output=json")
    assert message in document(done, code)["error"]
    assert message in done.stderr
    plain = evalsuite(folder, *words)
    assert plain.stdout == ""


def test_another_form_is_refused(folder: Path) -> None:
    done = evalsuite(folder, "show", "output=yaml")
    assert (done.returncode, done.stdout) == (64, "")
    assert "output=yaml: must be text or json" in done.stderr


@pytest.mark.slow
def test_a_closed_output_leaves_the_exit_code(folder: Path) -> None:
    """As in ``evalsuite gate output=json | true``: exit 0 would be a pass."""
    words = ("gate", "run=r", "gate=ours", "output=json", "--config-dir", "own")
    call = [sys.executable, "-m", "evalsuite", *words]
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == 2


def test_every_command_with_json_has_its_fields_documented(folder: Path) -> None:
    """Each field of each document stands in the page, in the section of its command."""
    assert sections().keys() == json_output.COMMANDS.keys()
    documents = {
        "show": document(evalsuite(folder, "show", "output=json")),
        "tasks": document(evalsuite(folder, "tasks", "output=json")),
    }
    for command, content in documents.items():
        lists = [value for value in content.values() if isinstance(value, list)]
        entries = [entry for value in lists for entry in value] + [
            c for r in content.get("runs", []) for c in r["cells"]
        ]
        fields = {name for entry in entries for name in entry} | content.keys()
        assert fields - documented(command) - {"schema", "command", "exit"} == set()
    item = document(evalsuite(folder, "show", "run=r", "task=mmlu_pro", "item=7", "output=json"))
    (first, *_) = item["answers"]
    assert {*item, *first, *first["samples"][0]} - documented("show") - {"schema", "command", "exit"} == set()
