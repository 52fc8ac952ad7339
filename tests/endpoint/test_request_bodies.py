"""The JSON that goes over the wire, as snapshots: the card's fields and the others, each with its origin."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from evalsuite.cli.dry_run import first_body
from evalsuite.cli.run import run
from evalsuite.config.compose import load_settings
from evalsuite.errors import Exit
from evalsuite.tasks.loading import load_tasks
from tests.support.questions import lay_out
from tests.support.scripted_endpoint import Answer, scripted_endpoint


@pytest.mark.parametrize("thinking", ["on", "off"])
@pytest.mark.parametrize("model", ["nvfp4_v2", "qwen3_5_27b_nvfp4"])
def test_first_request(tmp_path: Path, snapshot: SnapshotAssertion, model: str, thinking: str) -> None:
    lay_out(tmp_path)
    words = [f"model={model}", "task=gsm8k", f"thinking={thinking}", "data=local", f"data.root={tmp_path}"]
    wanted = load_settings(words)
    task = load_tasks(wanted)["gsm8k"]
    body = first_body(task, wanted.models[model])
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.6, 0.95, 64000)
    assert body["chat_template_kwargs"] == {"enable_thinking": thinking == "on"}
    assert {task.origin[field] for field in ("temperature", "top_p", "max_tokens")} == {"card"}
    assert set(task.origin) | {"seed"} >= set(body) & {*task.sampling, "seed"}
    assert {"body": body, "origin": task.origin} == snapshot


def test_only_the_cards_fields_are_sent_when_asked_for(tmp_path: Path) -> None:
    lay_out(tmp_path)
    words = ["model=nvfp4_v2", "task=gsm8k", "sampling=card_literal", "data=local", f"data.root={tmp_path}"]
    wanted = load_settings(words)
    task = load_tasks(wanted)["gsm8k"]
    assert task.origin == {"temperature": "card", "top_p": "card", "max_tokens": "card"}


def test_the_shipped_model_sends_what_the_snapshot_says(tmp_path: Path) -> None:
    lay_out(tmp_path)
    with scripted_endpoint(lambda _: Answer(r"\boxed{3}", reasoning="hm"), model="Qwen3.5") as server:
        words = ["model=nvfp4_v2", "task=gsm8k", "data=local", f"data.root={tmp_path}", "run_id=r"]
        words += [f"models.nvfp4_v2.base_url={server.base_url}", f"results_dir={tmp_path}/results"]
        words += ["engine.probe_answer=false"]
        wanted = load_settings(words)

        assert run(wanted) == Exit.DONE
        task = load_tasks(wanted)["gsm8k"]
        expected = first_body(task, wanted.models["nvfp4_v2"]) | {"model": "Qwen3.5"}
        question = expected["messages"][0]["content"]  # the others ask who the server is, and whether it thinks
        assert [dict(one.body) for one in server.requests if one.prompt == question] == [expected]
