"""Fifteen kinds of servers: each runs at once, or is refused with the key that mends it and runs with that key.

The loop that mends is blind: it gives the command again with the settings that the refusal names, nothing else.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from figures.line import Line
from tests.support.shared import shared_data
from tests.support.web_thread import served

Body = Mapping[str, Any]
OPENAI = {
    *("model", "messages", "stream", "stream_options", "top_p", "max_completion_tokens", "presence_penalty", "seed"),
    *("temperature", "stop", "tools", "response_format", "logprobs", "top_logprobs", "reasoning_effort"),
}
"""Fields that OpenAI's chat completions take of those that evalsuite may send."""
VALUES = {"served_name": "m", "thinking_switch": "{on: {thinking: true}, off: {thinking: false}}"}
"""What the user knows, where a refusal names a setting without its value."""
CASES = ("01-two-calls-one-index", "03-thinking-as-content-part", "04-socks-proxy-in-environment",
         "06-key-with-newline", "08-answer-filed-as-thinking", "14-few-file-handles")  # fmt: skip
MOST_STEPS = 8


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A kind of server and the model's file that the documents lead to."""

    what: str
    dialect: str
    refuses: Callable[[Body], str] = lambda body: ""
    """The words with which it refuses a request; empty: it answers."""
    thinks: Callable[[Body], bool] = lambda body: False
    listed: Sequence[str] | None = ("m",)
    """What /models lists; None: there is no such path."""
    prefix: str = "/v1"
    query: str = ""
    """That every request must have."""
    header: str = ""
    """That every request must have."""
    status: int = 400
    config: str = ""
    """Further lines of the model's file."""
    words: tuple[str, ...] = ()
    sent: Callable[[Body], bool] = lambda body: True
    """What every answered request must hold."""


def _openai(body: Body) -> str:
    if "max_tokens" in body:
        return "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
    if unknown := sorted(body.keys() - OPENAI):
        return f"Unrecognized request argument supplied: {unknown[0]}"
    if body.get("temperature", 1) != 1:
        return "Unsupported value: 'temperature' does not support 0.0 with this model. Only 1 is supported."
    return ""


def _strict(body: Body) -> str:
    known = {"model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens"}
    wrong = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
             for name in sorted(body.keys() - known)]  # fmt: skip
    return json.dumps(wrong) if wrong else ""


def _switch(name: str, default: bool) -> Callable[[Body], bool]:
    return lambda body: bool((body.get("chat_template_kwargs") or {}).get(name, default))


_EFFORT = """thinking_switch: {on: {reasoning_effort: high}, off: {reasoning_effort: low}}
server: {thinking_via: body}
thinking: true
"""
KINDS = (
    ServerKind("OpenAI's rules", "openai", _openai, listed=("gpt-a", "m")),
    ServerKind("gpt-oss (reasoning_effort)", "vllm", thinks=lambda body: True, config=_EFFORT,
         sent=lambda body: body.get("reasoning_effort") == "high"),
    ServerKind("DeepSeek's thinking switch", "vllm", thinks=_switch("thinking", True), config="thinking: false\n"),
    ServerKind("Qwen's thinking switch", "vllm", thinks=_switch("enable_thinking", True), config="thinking: false\n"),
    ServerKind("a strict server (FastAPI)", "sglang", _strict, status=422,
         words=("sampling.top_k=20", "sampling.min_p=0.1")),
    ServerKind("one without /models", "vllm", listed=None),
    ServerKind("its own route prefix", "vllm", prefix="/team/llm/api/v1"),
    ServerKind("Azure (api-version, api-key)", "openai", _openai, listed=None, prefix="/openai/deployments/m",
         query="api-version=2024-10-21", header="api-key", config="headers: {api-key: made-up}\n"),
    ServerKind("no stream_options", "vllm",
         lambda body: "stream_options is not supported" if "stream_options" in body else ""),
    ServerKind("a cap of max_tokens", "vllm",
         lambda body: "max_tokens must be at most 100" if (body.get("max_tokens") or 0) > 100 else ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerTrial:
    """What came of one kind."""

    what: str
    code: int
    correct: int
    named: tuple[str, ...]
    """The settings that the refusals named, and that were then given."""
    message: str

    @property
    def well(self) -> bool:
        return self.code == 0 and self.correct == 3


Call = Callable[[Path, Sequence[str]], tuple[int, str]]
"""Runs ``evalsuite WORDS`` in a folder; returns exit code and what it printed."""


def try_kind(kind: ServerKind, folder: Path, call: Call) -> ServerTrial:
    """Run three questions; after a refusal again with the settings that it names."""
    _write(kind, folder)
    with served(_app(kind)) as root:
        query = f"?{kind.query}" if kind.query else ""
        words = ["run", "model=mine", "task=gsm8k", "sampling=greedy", "data.root=data", "report=false", *kind.words]
        words += ["--config-dir", "conf", f"models.mine.base_url={root}{kind.prefix}{query}", "run_id=r"]
        words += ["engine.fingerprint=false", "engine.retries=0"]
        named: list[str] = []
        for _ in range(MOST_STEPS):
            code, message = call(folder, [*words, *named])
            further = [setting for setting in _settings(message) if setting not in named]
            if code in (0, 3) or not further:
                break
            named += further
    summary = next(folder.glob("results/r/*/gsm8k/summary.json"), None)
    correct = json.loads(summary.read_text())["outcomes"].get("correct", 0) if summary else 0
    return ServerTrial(kind.what, 0 if correct == 3 else code, correct, tuple(named), message)


def _settings(message: str) -> list[str]:
    """The overrides in a refusal; NAME is the model, and a value that is left open is the user's."""
    found = re.findall(r"(\+?models\.NAME\.[\w.]+)(=(?:null|false|true))?", message)
    settings = []
    for key, value in found:
        name = key.rstrip(".").rpartition(".")[2]
        if value or name in VALUES:
            settings.append(f"{key.rstrip('.').replace('NAME', 'mine')}{value or f'={VALUES[name]}'}")
    return settings


def _write(kind: ServerKind, folder: Path) -> None:
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "data" / "gsm8k").mkdir(parents=True)
    rows = [{"idx": n, "question": f"What is {n} plus {n + 1}?", "answer": f"#### {2 * n + 1}"} for n in range(3)]
    (folder / "data" / "gsm8k" / "test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    thinking = "" if "thinking:" in kind.config else "thinking: false\nthinking_switch: {on: {}, off: {}}\n"
    (folder / "conf" / "model" / "mine.yaml").write_text(
        f"# @package models.mine\ndefaults: [/server: {kind.dialect}, _self_]\ntitle: Mine\ncheckpoint: org/mine\n"
        f"precision: bf16\nbase_url: http://localhost:1/v1\n{thinking}{kind.config}"
    )


def _app(kind: ServerKind) -> web.Application:
    async def models(request: web.Request) -> web.Response:
        if problem := _turned_away(kind, request):
            return problem
        return web.json_response({"object": "list", "data": [{"id": name} for name in kind.listed or ()]})

    async def chat(request: web.Request) -> web.StreamResponse:
        if problem := _turned_away(kind, request):
            return problem
        body = await request.json()
        words = kind.refuses(body)
        if words or not kind.sent(body):
            detail = (
                {"detail": json.loads(words)} if words.startswith("[") else {"error": {"message": words or "field"}}
            )
            return web.json_response(detail, status=kind.status)
        numbers = [int(number) for number in re.findall(r"\d+", str(body["messages"][-1]["content"]).split("?")[0])]
        total = sum(numbers[-2:])
        message = {"role": "assistant", "content": f"{total} is \\boxed{{{total}}}"}
        message |= {"reasoning_content": "Add both."} if kind.thinks(body) else {}
        usage = {"prompt_tokens": 9, "completion_tokens": 5}
        if not body.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            return web.json_response({"model": "m", "choices": [choice], "usage": usage})
        parts = [
            [{"index": 0, "delta": message, "finish_reason": None}],
            [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        ]
        events = [{"model": "m", "choices": part} for part in parts] + [{"model": "m", "choices": [], "usage": usage}]
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return web.Response(text=text, content_type="text/event-stream")

    app = web.Application()
    if kind.listed is not None:
        app.router.add_get(f"{kind.prefix}/models", models)
    app.router.add_post(f"{kind.prefix}/chat/completions", chat)
    return app


def _turned_away(kind: ServerKind, request: web.Request) -> web.Response | None:
    if kind.query and kind.query not in request.query_string:
        return web.json_response({"error": {"message": "Resource not found"}}, status=404)
    if kind.header and not request.headers.get(kind.header):
        return web.json_response({"error": {"message": "missing subscription key"}}, status=401)
    return None


def server_lines(folder: Path) -> list[Line]:
    """The figure: the kinds of this file and the six cases with servers of the shared cases."""
    found = [try_kind(kind, folder / str(number), _process) for number, kind in enumerate(KINDS)]
    cases = {name: _case(name, folder / name) for name in CASES}
    bad = [one.what for one in found if not one.well] + [name for name, last in cases.items() if last != "PASS"]
    count = len(found) + len(cases)
    rows = [
        Line(
            "kinds of servers (DeepSeek's and Qwen's switch apart)",
            f"{count} run, or are refused with the key that mends it and run with that key",
            f"{count - len(bad)} of {count}" + (f"; not: {', '.join(bad)}" if bad else ""),
        )
    ]
    for one in found:
        how = f"3 of 3 right, with {' '.join(one.named)}" if one.named else "3 of 3 right at once"
        rows.append(Line(one.what, "runs", how if one.well else " ".join(one.message.split())[-200:]))
    return rows + [Line(f"cases/field/{name}", "PASS", last) for name, last in cases.items()]


def _case(name: str, folder: Path) -> str:
    """The last word of a shared case, run in a copy of its folder."""
    source = shared_data().parent / "cases" / "field" / name
    if not source.is_dir():
        return "not on this machine"
    shutil.copytree(source, folder)
    program = folder / "evalsuite.sh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m evalsuite "$@"\n')
    program.chmod(0o755)
    env = {**os.environ, "EVALSUITE": str(program), "PYTHON": sys.executable}
    done = subprocess.run(["bash", str(folder / "run.sh")], env=env, capture_output=True, text=True, check=False)
    words = done.stdout.split() or ["nothing"]
    return "PASS" if "PASS" in words else " ".join(words[-20:])


def _process(folder: Path, words: Sequence[str]) -> tuple[int, str]:
    call = [sys.executable, "-m", "evalsuite", *words]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr + done.stdout
