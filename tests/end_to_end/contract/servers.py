"""Real model servers with the same small Qwen3 checkpoint, started for a test where they are installed."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from evalsuite.config.settings import Model, Server
from evalsuite.demo.checkpoint import Checkpoint, load_checkpoint
from evalsuite.demo.linear import Scheme, dequantized
from evalsuite.demo.process import serving
from evalsuite.demo.text import WEIGHTS
from tests.demo.test_llama_cpp import llama_cpp

START_SECONDS = 240.0
ELSEWHERE = {"transformers": "EVALSUITE_TRANSFORMERS", "vllm": "EVALSUITE_VLLM"}
"""Server -> the variable that names its program: they live in an environment of their own, which only
``make figures FIGURES=contract`` makes."""
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}


def _model(url: str, dialect: str, served_name: str = "auto") -> Model:
    server = Server(dialect=dialect, extra_sampling=["top_k"])
    return Model("Demo", "evalsuite/demo_bf16", None, "bf16", base_url=url, served_name=served_name, server=server)


@contextmanager
def demo(folder: Path) -> Iterator[Model]:
    """The embedded server, in a process of its own."""
    with serving(["demo_bf16"]) as urls:
        yield _model(urls["demo_bf16"], "openai", "demo_bf16")


@contextmanager
def llama(folder: Path) -> Iterator[Model]:
    """llama.cpp's own server."""
    with llama_cpp(folder) as url:
        yield _model(url, "llama_cpp")


@contextmanager
def transformers(folder: Path) -> Iterator[Model]:
    """``transformers serve``, the program that EVALSUITE_TRANSFORMERS names."""
    program = os.environ[ELSEWHERE["transformers"]]
    checkpoint = _checkpoint(folder)
    command = [program, "serve", str(checkpoint), "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    with _process(command, folder) as url:
        yield _model(url, "openai", str(checkpoint))


@contextmanager
def vllm(folder: Path, scheme: Scheme = "bf16", dtype: str = "float32") -> Iterator[Model]:
    """vLLM's CPU build, the program that EVALSUITE_VLLM names; its weights are those that ``scheme`` stands for."""
    program = os.environ[ELSEWHERE["vllm"]]
    command = [program, "serve", str(_checkpoint(folder, scheme)), "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--reasoning-parser", "qwen3", "--max-model-len", "256", "--dtype", dtype, "--enforce-eager"]
    with _process(command, folder) as url:
        yield _model(url, "vllm")


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Model]]] = {
    "demo": demo,
    "llama_cpp": llama,
    "transformers": transformers,
    "vllm": vllm,
}
HERE = [name for name in SERVERS if ELSEWHERE.get(name) is None or os.environ.get(ELSEWHERE[name])]
"""The servers that can be started."""


def dequantized_checkpoint(scheme: Scheme) -> Checkpoint:
    """The demo's weights, in float32: each linear's as ``scheme`` holds them, all others as they are."""
    whole = load_checkpoint()
    weights = {
        name: dequantized(weight, scheme) if name.endswith("_proj.weight") else weight
        for name, weight in whole.weights.items()
    }
    return replace(whole, weights=weights)


def _checkpoint(folder: Path, scheme: Scheme = "bf16") -> Path:
    """The demo's weights as a whole Hugging Face folder: what they lack for that is one file."""
    target = folder / "checkpoint"
    shutil.copytree(WEIGHTS, target)
    if scheme != "bf16":
        weights = dequantized_checkpoint(scheme).weights
        contiguous = {name: np.ascontiguousarray(weight) for name, weight in weights.items()}
        save_file(contiguous, target / "model.safetensors", {"format": "pt"})
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return target


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = [word.format(port=port) for word in command]
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **SETTINGS})
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((folder / "server.log").read_text()[-3000:]) from None
                time.sleep(0.2)
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait(30)
        log.close()
