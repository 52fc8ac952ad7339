"""The BF16 weights served by llama.cpp's own HTTP server: an independent implementation gives the same answers.

Traps of that server (xllamacpp 2026.10): thinking is off unless `chat_template_kwargs` asks for it, and reasoning is
not split off: `</think>` stays in the content.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalsuite.demo.text import END_THINK
from tests.demo.test_model import greedy_traces
from tests.support.demo_client import chat, get, post_all
from tests.support.demo_outputs import codec, is_right, shares, stratified, text_of
from tests.support.gguf_export import export


@contextmanager
def llama_cpp(folder: Path) -> Iterator[str]:
    """Base URL of a llama.cpp server with the exported checkpoint."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="llama.cpp's server comes with the package xllamacpp")
    path = folder / "demo.gguf"
    export(path)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.port = 0
    params.n_parallel = 8
    params.n_ctx = 8 * 256
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.verbosity = 0
    server = xllamacpp.Server(params)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server


def check_llama_cpp(items: int, folder: Path) -> dict[str, float]:
    """Greedy answers of both implementations: shares of right answers and of letter-by-letter equal texts."""
    problems = stratified(items)
    traces = greedy_traces("demo_bf16", items)
    ours = {p.id: text_of(traces[p.id]) for p in problems}
    extra = {"chat_template_kwargs": {"enable_thinking": True}, "max_tokens": 128}
    with llama_cpp(folder) as url:
        model = get(f"{url}/models")[1]["data"][0]["id"]
        outcomes = post_all(url, [chat(p, model, extra) for p in problems], concurrency=8)
    theirs = {p.id: outcome.content for p, outcome in zip(problems, outcomes, strict=True)}
    assert all(END_THINK in text for text in theirs.values())
    equal = sum(theirs[p.id] == ours[p.id] for p in problems) / items
    right_ours = {p.id: is_right(p, ours[p.id]) for p in problems}
    right_theirs = {p.id: is_right(p, theirs[p.id]) for p in problems}
    figures = {"numpy": shares(right_ours)["all"], "llama_cpp": shares(right_theirs)["all"], "equal_texts": equal}
    # Both compute in FP32, in another order: only near-ties between two tokens may fall the other way.
    assert equal >= 0.97, figures
    assert abs(figures["numpy"] - figures["llama_cpp"]) <= 0.02, figures
    prompts = [outcome.usage["prompt_tokens"] for outcome in outcomes if outcome.usage]
    rendered = [codec().render([{"role": "user", "content": p.question}], thinking=True) for p in problems]
    assert prompts == [len(codec().encode(text)) for text in rendered]
    return figures


@pytest.mark.slow
def test_llama_cpp_agrees(tmp_path: Path) -> None:
    figures = check_llama_cpp(100, tmp_path)
    assert figures["llama_cpp"] > 0.8
