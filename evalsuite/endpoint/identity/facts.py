"""What servers state about themselves, under one set of names.

SGLang, vLLM, llama.cpp and transformers call the same thing by different names; ``CANONICAL`` is the table. The raw
facts are kept with the canonical ones. Where the checkpoint's folder can be read from here, facts of its files are
added: a server's ``quantization`` may be null while the checkpoint is quantized.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evalsuite.records import canonical_sha

SECRET = re.compile(
    r"(^|_)(key|token|secret|password|passwd|credential)s?$|authorization|launch_command|hf_token", re.IGNORECASE
)
"""Names of server facts that are never stored."""
LONGEST_TEXT = 300
"""Characters beyond which only a text's hash is kept."""
DEPTH = 3
"""Levels of objects that are looked into (vLLM: ``vllm_config.cache_config.cache_dtype``)."""

CANONICAL: Mapping[str, tuple[str, ...]] = {
    # what                      SGLang, vLLM (/server_info only in its development mode), llama.cpp
    "server_version": ("version", "build_info"),
    "checkpoint": ("model_path", "vllm_config.model_config.model", "root"),
    "revision": ("revision", "vllm_config.model_config.revision"),
    "weight_version": ("weight_version",),
    "tokenizer": ("tokenizer_path", "vllm_config.model_config.tokenizer"),
    "quantization": ("quantization", "vllm_config.model_config.quantization", "meta.ftype"),
    "dtype": ("dtype", "vllm_config.model_config.dtype"),
    "kv_cache_dtype": ("kv_cache_dtype", "vllm_config.cache_config.cache_dtype"),
    "ssm_dtype": (
        "mamba_ssm_dtype",
        "vllm_config.cache_config.mamba_ssm_cache_dtype",
        "vllm_config.cache_config.mamba_cache_dtype",
    ),
    "speculative": ("speculative_algorithm", "speculative_algo", "vllm_config.speculative_config.method"),
    "speculative_tokens": (
        "speculative_num_draft_tokens",
        "vllm_config.speculative_config.num_speculative_tokens",
    ),
    "prefix_cache": ("disable_radix_cache", "vllm_config.cache_config.enable_prefix_caching"),
    "attention_backend": ("attention_backend", "vllm_config.attention_config.backend"),
    "moe_backend": ("moe_runner_backend", "vllm_config.kernel_config.moe_backend"),
    "fp4_gemm_backend": ("fp4_gemm_runner_backend", "fp4_gemm_backend"),
    "tensor_parallel": ("tp_size", "vllm_config.parallel_config.tensor_parallel_size"),
    "expert_parallel": ("ep_size", "vllm_config.parallel_config.enable_expert_parallel"),
    "data_parallel": ("dp_size", "vllm_config.parallel_config.data_parallel_size"),
    "pipeline_parallel": ("pp_size", "vllm_config.parallel_config.pipeline_parallel_size"),
    "context": (
        "max_model_len",
        "context_length",
        "vllm_config.model_config.max_model_len",
        "meta.n_ctx",
        "default_generation_settings.n_ctx",
    ),
    "concurrent_requests": ("max_running_requests", "vllm_config.scheduler_config.max_num_seqs", "total_slots"),
    "reasoning_parser": ("reasoning_parser", "vllm_config.structured_outputs_config.reasoning_parser"),
    "tool_call_parser": ("tool_call_parser",),
    "images": ("has_image_understanding", "modalities.vision"),
    "deterministic": ("enable_deterministic_inference",),
    "sampling_defaults": ("sampling_defaults", "vllm_config.model_config.generation_config"),
    "chat_template": ("chat_template",),
}
"""Canonical name -> where servers state it, the first that does counts."""
NEGATED = ("disable_radix_cache",)
"""Facts that state the opposite of the canonical one."""

FILES = (
    "config.json",
    "hf_quant_config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "model.safetensors.index.json",
)
"""Files of a checkpoint that are hashed."""
LARGEST_FILE = 200 * 2**20


def scalars(value: Any, prefix: str = "", depth: int = DEPTH) -> dict[str, Any]:
    """The scalar facts of a JSON object as ``name.name: value``; nothing for any other value.

    What is named like a secret, ``vllm_env``, ``system_env`` and lists are left out; of texts over 300 characters only
    the hash is kept; infinities and NaN become text, null stays. ``prefix`` begins all names and has its own dot at the
    end; ``depth``: levels of objects that are looked into, ``value`` included.
    """
    if not isinstance(value, Mapping):
        return {}
    flat: dict[str, Any] = {}
    for key, one in value.items():
        if SECRET.search(str(key)) or key in ("vllm_env", "system_env"):  # environments may hold any secret
            continue
        if isinstance(one, str) and len(one) > LONGEST_TEXT:
            flat[f"{prefix}{key}"] = f"sha256:{hashlib.sha256(one.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        elif isinstance(one, float) and not isfinite(one):  # JSON of a manifest has no such number
            flat[f"{prefix}{key}"] = str(one)
        elif isinstance(one, str | int | float | bool) or one is None:
            flat[f"{prefix}{key}"] = one
        elif isinstance(one, Mapping) and depth > 1:
            flat |= scalars(one, f"{prefix}{key}.", depth - 1)
    return flat


def canonical(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical name -> value of the facts in ``raw`` (names as the server gives them), in the order of ``CANONICAL``;
    what is null or missing is left out.

    Of several sources of one fact the first counts; a fact that states the opposite (``NEGATED``) is inverted.
    """
    found: dict[str, Any] = {}
    for name, sources in CANONICAL.items():
        stated = next((source for source in sources if raw.get(source) is not None), None)
        if stated is not None:
            value = raw[stated]
            found[name] = not value if stated in NEGATED else value
    return found


def checkpoint_facts(raw: Mapping[str, Any], base_url: str, revision: str | None) -> dict[str, Any]:
    """Facts of the checkpoint's files (``file.*``: hashes and contents; and ``revision`` where the folder is a snapshot
    of the hub) where they can be read from here; else an empty dict.

    ``raw``: the server's facts, which name the checkpoint. A folder (absolute) with a ``config.json`` counts if it is
    readable here; a repository if the server runs on this machine (the host in ``base_url`` is ``localhost`` or its
    address) and the hub's cache holds it in this ``revision`` (None: ``main``).
    """
    named = canonical(raw).get("checkpoint")
    folder = None if not isinstance(named, str) else _folder(named, base_url, revision)
    if folder is None or not (folder / "config.json").is_file():
        return {}
    facts: dict[str, Any] = {}
    if folder.parent.name == "snapshots":
        facts["revision"] = folder.name
    for name in FILES:
        path = folder / name
        if path.is_file() and path.stat().st_size <= LARGEST_FILE and os.access(path, os.R_OK):
            facts[f"file.{name}"] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return facts | _contents(folder)


def _contents(folder: Path) -> dict[str, Any]:
    """Facts ``file.*`` of what the files in ``folder`` state about number formats, tokenizer, chat template and
    sampling; what they do not state is left out.
    """
    config, quant = _json(folder / "config.json"), _json(folder / "hf_quant_config.json")
    declared = json_object(quant.get("quantization")) or json_object(config.get("quantization_config"))
    text = json_object(config.get("text_config")) or config
    facts = {
        "file.tokenizer": _tokenizer_sha(folder),
        "file.chat_template": _template_sha(folder),
        "file.quantization": declared.get("quant_algo") or declared.get("quant_method"),
        "file.kv_cache_quantization": declared.get("kv_cache_quant_algo"),
        "file.quantizer": json_object(quant.get("producer")).get("version"),
        "file.ssm_dtype": text.get("mamba_ssm_dtype"),
        "file.dtype": text.get("dtype") or text.get("torch_dtype"),
    }
    sampling = _json(folder / "generation_config.json")
    for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "do_sample"):
        facts[f"file.generation_config.{name}"] = sampling.get(name)
    return {name: value for name, value in scalars(facts).items() if value is not None}


def _tokenizer_sha(folder: Path) -> str | None:
    """Hash (16 hexadecimal digits) of what ``tokenizer.json`` in ``folder`` does; None without a readable one.

    The order of keys, the spelling of merges, and the settings of padding and truncation do not count.
    """
    content = _json(folder / "tokenizer.json")
    if not content:
        return None
    model = dict(json_object(content.get("model")))
    merges = model.get("merges")
    listed = merges if isinstance(merges, list) else []
    model["merges"] = [" ".join(map(str, pair)) if isinstance(pair, list) else pair for pair in listed]
    parts = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens")
    kept = {"model": model, **{name: content.get(name) for name in parts}}
    return canonical_sha(kept)[:16]


def _template_sha(folder: Path) -> str | None:
    """Hash (16 hexadecimal digits) of the chat template in ``folder``: of ``chat_template.jinja``, else
    ``chat_template.json``, else ``tokenizer_config.json``; None without one."""
    path = folder / "chat_template.jinja"
    if path.is_file() and os.access(path, os.R_OK):
        text: Any = path.read_text(encoding="utf-8", errors="replace")
    else:
        in_json = _json(folder / "chat_template.json").get("chat_template")
        text = in_json or _json(folder / "tokenizer_config.json").get("chat_template")
    return canonical_sha(text)[:16] if text else None


def _folder(named: str, base_url: str, revision: str | None) -> Path | None:
    path = Path(named)
    if path.is_absolute():
        return path if path.is_dir() and os.access(path, os.R_OK) else None
    if urlsplit(base_url).hostname not in ("localhost", "127.0.0.1", "::1") or not re.fullmatch(
        r"[\w.-]+/[\w.-]+", named
    ):
        return None
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")  # noqa: PTH111  # never fails
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub") / f"models--{named.replace('/', '--')}"
    ref = cache / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8", errors="replace").strip() if ref.is_file() else revision
    found = cache / "snapshots" / commit if commit else None
    return found if found is not None and found.is_dir() else None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return json_object(found)


def json_object(value: Any) -> dict[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
