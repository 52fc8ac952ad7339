import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.dry_run import first_body
from evalsuite.cli.run import run
from evalsuite.config.settings import Engine, Run, Server
from evalsuite.errors import BadInput, Exit
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from evalsuite.tasks.loading import load_tasks
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings


def summary(results: Path, model: str = "bf16", task: str = "additions") -> dict[str, Any]:
    return json.loads((results / "r" / model / task / "summary.json").read_text())


def rows(results: Path, model: str = "bf16", task: str = "additions") -> list[dict[str, Any]]:
    return read_samples(results / "r" / model / task).to_pylist()


def test_every_question_is_asked_once_and_the_report_is_there(tmp_path: Path) -> None:
    def answer(prompt: str) -> Answer:
        number = int(prompt.split(" ")[0])
        return Answer("7" if number % 10 == 0 else right(prompt), reasoning="easy")

    with scripted_endpoint(answer) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), report=True)) == Exit.DONE
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE  # nothing left to ask
        assert len(server.counts) == len(server.requests) == 40
    found = summary(tmp_path)
    assert (found["score"], found["outcomes"]["wrong"], found["complete"]) == (0.9, 4, True)
    assert found["groups"]["parity"] == {"even": {"n": 20, "score": 0.8}, "odd": {"n": 20, "score": 1.0}}
    assert (tmp_path / "r" / "report" / "report.md").exists()
    assert {row["reasoning"] for row in rows(tmp_path)} == {"easy"}


def test_requests_are_the_same_for_every_precision_and_differ_between_repeats(tmp_path: Path) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        assert run(settings(tmp_path, *models, task={"repeats": 2})) == Exit.DONE
        first, second = (
            sorted(json.dumps({**one.body, "model": ""}, sort_keys=True) for one in server.requests)
            for server in (one, two)
        )
    assert first == second
    assert len(set(first)) == 80  # the seed is another for every repeat
    sample = json.loads(first[0])
    assert sample["chat_template_kwargs"] == {"enable_thinking": True}
    assert (sample["temperature"], sample["top_p"], sample["max_tokens"]) == (0.6, 0.95, 64)


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500),
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=503, body="<html>busy</html>"),
        Answer(hang_up=True),
        Answer(body="{torn"),
        Answer("8 the start of an ans", finish_reason="abort"),
    ],
    ids=["500", "429", "503 html", "hang up", "bad JSON", "abort"],
)
def test_a_transient_fault_changes_no_score(tmp_path: Path, fault: Answer) -> None:
    with scripted_endpoint(lambda prompt: [fault, fault, Answer(right(prompt))]) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        assert {count for prompt, count in server.counts.items() if "+ 1" in prompt} == {3}  # not the pool's own looks
    assert summary(tmp_path)["score"] == 1.0
    assert {row["attempts"] for row in rows(tmp_path)} == {3}
    assert not any(row["rerolled"] for row in rows(tmp_path))


def test_a_lasting_fault_is_no_wrong_answer_and_is_asked_again_later(tmp_path: Path) -> None:
    broken = True

    def answer(prompt: str) -> Answer:
        return Answer(status=500) if broken and prompt.startswith("13 ") else Answer(right(prompt))

    with scripted_endpoint(answer) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.INCOMPLETE
        found = summary(tmp_path)
        assert (found["score"], found["outcomes"]["failed"], found["complete"]) == (None, 1, False)
        assert [row["value"] for row in rows(tmp_path) if row["item_id"] == "q013"] == [None]
        broken = False
        server.requests.clear()
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        assert [one.prompt for one in server.requests] == ["13 + 1 = ?"]
    assert summary(tmp_path)["score"] == 1.0


def test_a_wrong_key_stops_at_once_with_one_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"error": {"message": "Incorrect API key", "code": 401}})
    with scripted_endpoint(lambda _: Answer(status=401, body=body)) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), model={"concurrency": 1})) == Exit.ENDPOINT
        assert len(server.requests) == 1
    said = capsys.readouterr().err
    assert "needs a valid key (key from $EVALSUITE_API_KEY): HTTP 401 Incorrect API key" in said.replace("\n", " ")


def test_refused_fields_stop_at_once_with_the_servers_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps({"detail": "Unexpected fields in the request: {'top_k'}"})
    with scripted_endpoint(lambda _: Answer(status=422, body=body)) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), model={"concurrency": 1})) == Exit.ENDPOINT
        assert len(server.requests) == 1
    assert "Unexpected fields in the request" in capsys.readouterr().err


def test_a_prompt_that_does_not_fit_is_the_items_own_outcome(tmp_path: Path) -> None:
    words = "Requested token count exceeds the model's maximum context length of 65536 tokens."
    body = json.dumps({"object": "error", "message": words, "code": 400})

    def answer(prompt: str) -> Answer:
        return Answer(status=400, body=body) if prompt.startswith("5 ") else Answer(right(prompt))

    with scripted_endpoint(answer) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        assert server.counts["5 + 1 = ?"] == 1
    found = summary(tmp_path)
    assert (found["outcomes"]["truncated"], found["score"]) == (1, 39 / 40)


def test_truncated_empty_and_refused_answers_are_told_apart(tmp_path: Path) -> None:
    answers = {
        "1": Answer("", reasoning="and then", finish_reason="length"),
        "2": Answer("", reasoning="hm"),
        "3": Answer("I cannot", finish_reason="content_filter"),
        "4": Answer("5", reasoning="hm", finish_reason="length"),  # cut, but right: it counts
    }

    def answer(prompt: str) -> Answer:
        return answers.get(prompt.split(" ")[0]) or Answer(right(prompt))

    with scripted_endpoint(answer) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        assert len(server.requests) == 40
    outcomes = summary(tmp_path)["outcomes"]
    assert outcomes == {
        "correct": 37, "wrong": 0, "truncated": 1, "no_answer": 1, "refused": 1, "ungraded": 0, "failed": 0,
    }  # fmt: skip


def test_the_previous_checkpoint_on_the_port_is_refused_before_the_first_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = {"/model_info": {"model_path": "org/other-FP8"}}
    wanted = settings(tmp_path, ("bf16", ""), engine=Engine())
    wanted.models["bf16"].server.identity = ["/model_info"]
    with scripted_endpoint(right, facts=facts) as server:
        wanted.models["bf16"].base_url = server.base_url
        assert run(wanted) == Exit.ENDPOINT
        assert not server.requests
    said = " ".join(capsys.readouterr().err.split())
    assert "serves org/other-FP8, but org/bf16 was asked" in said


@pytest.mark.parametrize("thinking", [True, False])
def test_the_thinking_switch_is_proved_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], thinking: bool
) -> None:
    def answer(prompt: str) -> Answer:
        return Answer(right(prompt), reasoning="" if thinking else "still thinking")

    with scripted_endpoint(answer) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=Engine(), thinking=thinking)
        assert run(wanted) == Exit.ENDPOINT
        assert len(server.requests) == 1  # the probe
    assert f"thinking={'on' if thinking else 'off'} was asked" in capsys.readouterr().err


def test_server_facts_are_kept_and_secrets_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALSUITE_API_KEY", "canary-key-1")
    info = {"version": "0.5.23", "api_key": "canary-key-2", "quantization": "modelopt_mixed", "tp_size": 4}
    info["launch_command"] = "sglang --api-key canary-key-3"
    with scripted_endpoint(right, facts={"/server_info": info}) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=Engine(), thinking=False)
        wanted.models["bf16"].headers = {"X-Team": "canary-key-5"}
        wanted.models["bf16"].server.identity = ["/server_info"]
        assert run(wanted) == Exit.DONE
        headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
        assert (headers["authorization"], headers["x-team"]) == ("Bearer canary-key-1", "canary-key-5")
    folder = tmp_path / "r" / "bf16-nothink" / "additions"
    facts = read_manifest(folder)["server"][0]["facts"]
    assert (facts["quantization"], facts["tp_size"], facts["version"]) == ("modelopt_mixed", 4, "0.5.23")
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"canary-key" not in written


def test_a_password_in_the_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="base_url must not hold a user or password"):
        run(settings(tmp_path, ("bf16", "http://user:canary-key@localhost:1/v1")))
    assert not any(b"canary-key" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_cell_grows_by_repeats_and_items_and_refuses_other_settings(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        url = server.base_url
        assert run(settings(tmp_path, ("bf16", url), limit=10)) == Exit.DONE
        assert run(settings(tmp_path, ("bf16", url), limit=20, task={"repeats": 2})) == Exit.DONE
        assert run(settings(tmp_path, ("bf16", url))) == Exit.DONE  # the last command counts: 40 items once
        assert sorted(server.counts.values()) == [1] * 20 + [2] * 20
        assert run(settings(tmp_path, ("bf16", url), task={"repeats": 2})) == Exit.DONE
        assert set(server.counts.values()) == {2}
        changed = settings(tmp_path, ("bf16", url))
        changed.sampling.temperature = 1.0
        with pytest.raises(BadInput, match=r"sampling.temperature: 0.6 -> 1.0"):
            run(changed)
    manifest = read_manifest(tmp_path / "r" / "bf16" / "additions")
    assert manifest["selection"] is None
    asked = [(len(entry["items"]), entry["limit"], entry["repeats"]) for entry in manifest["extents"]]
    assert asked == [(10, 10, 1), (20, 20, 2), (40, None, 1), (40, None, 2)]


def test_a_model_that_never_answered_has_no_cell(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(hang_up=True)) as server:
        engine = Engine(retries=50, backoff_seconds=0.001, outage_seconds=0.02, probe=False)
        assert run(settings(tmp_path, ("bf16", server.base_url), engine=engine)) == Exit.STOPPED
    assert not list(tmp_path.rglob("manifest.json"))
    with scripted_endpoint(right) as server:  # the requests that were lost are known
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    assert any(row["rerolled"] for row in rows(tmp_path))


def test_asking_again_archives_the_old_cell(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        again = settings(tmp_path, ("bf16", server.base_url), redo="additions", reason="wrong flag")
        assert run(again) == Exit.DONE
        assert set(server.counts.values()) == {2}
    (archived,) = (tmp_path / "r" / "bf16" / "superseded").iterdir()
    assert (archived / "reason.txt").read_text() == "wrong flag\n"
    assert len(read_samples(archived)) == 40


def test_caps_and_limits_hold(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=0.02)) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), task={"concurrency": 3}, model={"concurrency": 8})
        assert run(wanted) == Exit.DONE
        assert server.peak == 3
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=0.02)) as server:
        assert run(settings(tmp_path / "b", ("bf16", server.base_url), model={"concurrency": 8})) == Exit.DONE
        assert server.peak == 8


def in_process(results: Path, url: str, *changes: str) -> "subprocess.Popen[str]":
    code = (
        "import sys; from pathlib import Path; from evalsuite.cli.run import run;"
        "from tests.support.toy import settings;"
        "model = {'concurrency': 4, 'served_name': 'scripted'};"
        f"wanted = settings(Path({str(results)!r}), ('bf16', {url!r}), model=model, {', '.join(changes)});"
        "sys.exit(run(wanted))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def wait_for(condition: Any, seconds: float = 300.0) -> None:
    """Until ``condition()`` holds; after five minutes it never will."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_drains_and_the_same_command_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=0.1)) as server:
        process = in_process(tmp_path, server.base_url)
        wait_for(lambda: len(server.requests) >= 10)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 128 + number
        assert "The same command goes on where this one stopped" in " ".join(said.split())
        asked = len(server.requests)
        assert asked < 40
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        assert set(server.counts.values()) == {1}  # running requests were finished, nothing was asked twice
    assert summary(tmp_path)["score"] == 1.0
    assert not any(row["rerolled"] for row in rows(tmp_path))


def test_sigkill_costs_only_what_was_in_flight(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=0.05)) as server:
        process = in_process(tmp_path, server.base_url)
        wait_for(lambda: len(server.requests) >= 15)
        process.kill()
        process.communicate()
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
        twice = {prompt for prompt, count in server.counts.items() if count > 1}
    assert len(twice) <= 4
    assert summary(tmp_path)["score"] == 1.0
    again = {row["item_id"] for row in rows(tmp_path) if row["rerolled"]}
    assert {f"q{int(prompt.split(' ')[0]):03}" for prompt in twice} == again


def test_a_dialogue_goes_on_in_the_middle(tmp_path: Path) -> None:
    broken = True

    def answer(prompt: str) -> Answer:
        if "again" in prompt:
            return Answer(status=500) if broken else Answer(prompt.split(" ")[0])
        return Answer(right(prompt))

    with scripted_endpoint(answer) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), task={})
        wanted.tasks["additions"].adapter = "tests.support.toy:Dialogue"
        assert run(wanted) == Exit.INCOMPLETE
        broken = False
        assert run(wanted) == Exit.DONE
        assert all(
            count == 1 for prompt, count in server.counts.items() if "again" not in prompt and "2 + 2" not in prompt
        )
    assert summary(tmp_path)["score"] == 1.0


def test_two_processes_on_different_cells_of_one_run_both_finish(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=0.02)) as server:
        first = in_process(tmp_path, server.base_url)
        second = in_process(tmp_path, server.base_url, "tasks=('more',)")
        assert [process.wait(300) for process in (first, second)] == [0, 0]
        for process in (first, second):
            process.communicate()
    assert summary(tmp_path)["score"] == summary(tmp_path, task="more")["score"] == 1.0


def test_the_run_is_chosen_by_fit_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(**changes: Any) -> Run:
        wanted = settings(tmp_path, ("bf16", server.base_url), **changes)
        wanted.run_id, wanted.suite = None, "toys"
        return wanted

    with scripted_endpoint(right) as server:
        assert run(asked(limit=4)) == Exit.DONE
        (first,) = tmp_path.iterdir()
        assert re.fullmatch(r"toys-\d{8}T\d{6}Z", first.name)
        assert run(asked(limit=8)) == Exit.DONE
        assert list(tmp_path.iterdir()) == [first]
        (tmp_path / first.name).rename(tmp_path / "toys-20200101T000000Z")  # a new one must get another name
        other = asked(limit=4)
        other.sampling.temperature = 0.1
        assert run(other) == Exit.DONE
        assert len(list(tmp_path.iterdir())) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "(new: there is none of this suite yet)" in said
    assert "(the newest run of this suite, and the asked cells fit)" in said
    assert "does not fit (bf16/additions sampling.temperature: 0.6 -> 0.1)" in said


def test_a_dry_run_prints_the_first_request_and_sends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), dry_run=True)) == Exit.DONE
        assert not server.requests
    assert '"content": "0 + 1 = ?"' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_dry_run_shows_what_is_sent(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), model={"concurrency": 1})
        (task,) = load_tasks(wanted).values()
        shown = first_body(task, wanted.models["bf16"])
        assert run(wanted) == Exit.DONE
        sent = dict(server.requests[0].body)
    assert {**sent, "model": ""} == {**shown, "model": ""}


def test_unstreamed_servers_are_asked_for_whole_bodies(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), reasoning="hm")) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url))
        wanted.models["bf16"].server = Server(dialect="openai", thinking_via=None, stream=False)
        assert run(wanted) == Exit.DONE
        assert "stream" not in server.requests[0].body
        assert "chat_template_kwargs" not in server.requests[0].body
    assert {row["reasoning"] for row in rows(tmp_path)} == {"hm"}
