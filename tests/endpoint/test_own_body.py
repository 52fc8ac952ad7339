"""Fields of the user's own in every request: set, left out, refused by a strict server, and unequal in a comparison."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.comparison import compare
from evalsuite.analysis.table import load_run
from evalsuite.config.compose import load_settings
from evalsuite.config.settings import Model, Server
from evalsuite.endpoint.body import request_body
from evalsuite.errors import BadInput
from evalsuite.records import Request
from tests.support.cells import Answer, Made, write
from tests.support.command import evalsuite
from tests.support.scripted_endpoint import Answer as Sent
from tests.support.scripted_endpoint import scripted_endpoint

REQUEST = Request(({"role": "user", "content": "q"},), sampling={"temperature": 0.6, "top_k": 20, "seed": 7})
FP8 = ("task=gsm8k", "model=fp8", "server@models.fp8.server=openai", "models.fp8.thinking=false")


@pytest.mark.parametrize(
    ("body", "check"),
    [
        ({"reasoning_effort": "high"}, lambda sent: sent["reasoning_effort"] == "high"),  # gpt-oss
        ({"thinking": {"type": "enabled"}}, lambda sent: sent["thinking"] == {"type": "enabled"}),  # DeepSeek
        ({"chat_template_kwargs": {"enable_thinking": False}},
         lambda sent: sent["chat_template_kwargs"] == {"enable_thinking": False}),  # Qwen
        ({"seed": None}, lambda sent: "seed" not in sent),
        ({"stream_options": None}, lambda sent: "stream_options" not in sent and sent["stream"] is True),
        ({"top_p": 0.5, "flag": True, "n_best": 3}, lambda sent: (sent["top_p"], sent["flag"], sent["n_best"])
         == (0.5, True, 3)),
    ],
)  # fmt: skip
def test_fields_join_every_request(body: dict[str, Any], check: Callable[[dict[str, Any]], bool]) -> None:
    model = Model("M", "org/m", precision="bf16", base_url="http://x/v1", server=Server("openai", body=body))
    assert check(request_body(model, "m", REQUEST))


def test_values_keep_the_types_of_yaml() -> None:
    words = ["+models.fp8.server.body.effort=high", "+models.fp8.server.body.k=3", "+models.fp8.server.body.seed=null"]
    settings = load_settings(["task=gsm8k", "model=fp8", *words])
    assert settings.models["fp8"].server.body == {"effort": "high", "k": 3, "seed": None}


@pytest.mark.parametrize("name", ["model", "messages", "tools", "stream", "n", "prompt"])
def test_what_is_asked_stays_ours(name: str) -> None:
    with pytest.raises(BadInput, match=rf"server\.body\.{name}"):
        load_settings(["task=gsm8k", "model=fp8", f"+models.fp8.server.body.{name}=1"])


def test_unequal_bodies_are_refused_in_a_comparison_unless_declared_otherwise(tmp_path: Path) -> None:
    def compared(*bodies: dict[str, Any]) -> None:
        cells = [
            Made(name, {"1": [Answer(1.0)]}, identity={"body": body} if body else {})
            for name, body in zip(("a", "b"), bodies, strict=True)
        ]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        compare(load_run(write(folder / "r", *cells)), "mmlu_pro", "a", "b")

    compared({"effort": "high"}, {"effort": "high"})
    with pytest.raises(BadInput, match=r"body\.effort: high -> low"):
        compared({"effort": "high"}, {"effort": "low"})
    with pytest.raises(BadInput, match="body"):
        compared({}, {"effort": "low"})


def test_a_refusal_names_the_field_and_the_key_that_leaves_it_out(tmp_path: Path) -> None:
    error = json.dumps({"error": {"message": "Unknown parameter: 'seed'.", "type": "invalid_request_error"}})
    (tmp_path / "gsm8k").mkdir()
    rows = [json.dumps({"question": "1 + 1?", "answer": "#### 2"})]
    (tmp_path / "gsm8k" / "test.jsonl").write_text("\n".join(rows))
    words = (*FP8, "data=local", "data.root=.", "run_id=r", "engine.probe=false", "limit=1", "engine.retries=0")
    with scripted_endpoint(lambda prompt: Sent(status=400, body=error)) as server:
        done = evalsuite(tmp_path, "run", *words, f"models.fp8.base_url={server.base_url}")
    assert done.returncode != 0
    assert "+models.NAME.server.body.seed=null" in done.stdout + done.stderr + "".join(
        path.read_text() for path in (tmp_path / "results").rglob("journal-*.jsonl")
    )
