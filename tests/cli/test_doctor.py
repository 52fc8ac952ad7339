import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalsuite.cli.doctor import doctor
from evalsuite.config.compose import load_settings
from evalsuite.demo.process import serving
from evalsuite.errors import BadInput, Exit
from tests.support.renaming_proxy import renaming_proxy
from tests.support.scripted_endpoint import Answer, scripted_endpoint


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with serving(["demo_bf16", "demo_fp8"]) as found:
        yield found


def visited(tmp_path: Path, *words: str) -> tuple[Exit, dict[str, Any]]:
    """(exit code, what it wrote as JSON)."""
    told = tmp_path / "told.json"
    code = doctor(load_settings([*words, f"results_dir={tmp_path}/results", f"to={told}"], command="doctor"))
    found: dict[str, Any] = json.loads(told.read_text())
    return code, found


def states(found: dict[str, Any], who: str) -> dict[str, str]:
    return {check["what"]: check["state"] for check in found["checks"] if check["who"] == who}


def test_healthy_endpoints_and_what_differs_between_them(
    tmp_path: Path, urls: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"models.{name}.base_url={url}" for name, url in urls.items()]
    code, found = visited(tmp_path, "model=[demo_bf16,demo_fp8]", "task=word_problems", "sampling=greedy", *words)
    assert code == Exit.DONE
    assert set(states(found, "demo_bf16").values()) == {"ok"}
    assert states(found, "demo_fp8")["beside demo_bf16"] == "ok"
    assert found["canonical"]["demo_fp8"]["quantization"] == "fp8"
    assert found["fingerprints"]["demo_fp8"]["kind"] == "logprobs"
    assert not (tmp_path / "results").exists()
    said = capsys.readouterr().out
    assert "0 failed" in said
    assert "What differs" in said
    assert "different: distance" in said


def test_a_terminal_of_sixty_columns(
    tmp_path: Path, urls: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    visited(tmp_path, "model=demo_fp8", f"models.demo_fp8.base_url={urls['demo_fp8']}")
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= 60
    assert "demo_fp8" in said


def test_one_server_under_two_names(tmp_path: Path, urls: dict[str, str]) -> None:
    with renaming_proxy(urls["demo_fp8"]) as one, renaming_proxy(urls["demo_fp8"]) as other:
        words = [f"models.demo_fp8.base_url={one.base_url}", f"models.demo_bf16.base_url={other.base_url}"]
        code, found = visited(tmp_path, "model=[demo_fp8,demo_bf16]", *words)
    assert code == Exit.ENDPOINT
    assert states(found, "demo_bf16")["beside demo_fp8"] == "fail"


def test_replicas_that_are_not_the_same(tmp_path: Path, urls: dict[str, str]) -> None:
    with renaming_proxy(urls["demo_fp8"]) as one, renaming_proxy(urls["demo_bf16"]) as other:
        code, found = visited(tmp_path, "model=demo_fp8", f"models.demo_fp8.base_url=[{one.base_url},{other.base_url}]")
        assert code == Exit.ENDPOINT
        assert states(found, "demo_fp8")["fingerprint"] == "fail"
        other.target = urls["demo_fp8"]
        code, found = visited(tmp_path, "model=demo_fp8", f"models.demo_fp8.base_url=[{one.base_url},{other.base_url}]")
    assert code == Exit.DONE
    assert states(found, "demo_fp8")["replicas"] == "ok"


def test_a_load_balancer_in_front_of_two_precisions(tmp_path: Path, urls: dict[str, str]) -> None:
    with renaming_proxy(urls["demo_fp8"]) as balancer:
        words = ["model=demo_fp8", f"models.demo_fp8.base_url={balancer.base_url}"]
        code, found = visited(tmp_path, *words)
        assert "two groups" not in json.dumps(found)
        balancer.beside = urls["demo_bf16"]
        code, found = visited(tmp_path, *words)
    assert code == Exit.DONE
    warned = [check["says"] for check in found["checks"] if check["state"] == "warn"]
    assert len(warned) == 1
    assert "fall into two groups: is it a load balancer" in warned[0]


def test_all_that_is_wrong_is_told_in_one_visit(tmp_path: Path, urls: dict[str, str]) -> None:
    words = [
        "sampling.max_tokens=64000",
        "task=word_problems",
        "judge=qwen3_235b_instruct",
        "judge.base_url=http://127.0.0.1:9/v1",
    ]
    words += ["thinking=off", f"models.demo_fp8.base_url={urls['demo_fp8']}", "model=demo_fp8"]
    code, found = visited(tmp_path, *words)
    assert code == Exit.ENDPOINT
    assert states(found, "demo_fp8")["context"] == "fail"
    assert states(found, "demo_fp8")["thinking"] == "ok"
    assert states(found, "judge") == {"who it is": "fail"}


def test_secrets_stay_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALSUITE_API_KEY", "canary-1")
    info = {"version": "0.5.23", "api_key": "canary-2", "launch_command": "serve --api-key canary-3", "tp_size": 2}
    with scripted_endpoint(lambda _: Answer("4", reasoning="2 + 2"), facts={"/server_info": info}) as server:
        code, found = visited(tmp_path, "model=fp8", f"models.fp8.base_url={server.base_url}")
    assert code == Exit.DONE
    assert found["facts"]["fp8"]["tp_size"] == 2
    assert states(found, "fp8")["fingerprint"] in ("ok", "warn")
    assert "canary" not in capsys.readouterr().out + json.dumps(found)


def compared(tmp_path: Path, answer: Answer) -> list[tuple[str, str]]:
    """(state, finding) of the comparisons with the stock client, not streamed and streamed."""
    with scripted_endpoint(lambda _: answer) as server:
        words = ["model=fp8", f"models.fp8.base_url={server.base_url}", "engine.fingerprint=false"]
        code, found = visited(tmp_path, *words)
    assert code == Exit.DONE
    return [(check["state"], check["says"]) for check in found["checks"] if check["what"].startswith("OpenAI client")]


def test_the_stock_client_reads_the_same_reply_or_the_doctor_states_why_not(tmp_path: Path) -> None:
    lines = compared(tmp_path, Answer("4", reasoning="2 + 2"))
    assert lines == [("ok", "the stock OpenAI client reads the same reply")] * 2
    message = {"content": [{"type": "text", "text": "4"}], "reasoning": "2 + 2"}
    body = json.dumps({"model": "scripted", "choices": [{"message": message, "finish_reason": "stop"}]})
    lines = compared(tmp_path, Answer(body=body))
    assert [state for state, _ in lines] == ["warn", "warn"]
    assert all("evalsuite reads the reply, the stock OpenAI client cannot" in finding for _, finding in lines)


def test_no_endpoint_to_check() -> None:
    with pytest.raises(BadInput, match="no endpoint to check: add model=NAME"):
        doctor(load_settings([], command="doctor"))
