import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.identity.facts import CANONICAL, canonical, checkpoint_facts, scalars
from evalsuite.errors import EndpointUnusable
from tests.support.scripted_endpoint import scripted_endpoint

SGLANG: dict[str, dict[str, Any]] = {
    "/server_info": {
        "version": "0.5.23",
        "model_path": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "tokenizer_path": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "quantization": "modelopt_mixed",
        "dtype": "auto",
        "kv_cache_dtype": "fp8_e4m3",
        "mamba_ssm_dtype": "bfloat16",
        "speculative_algorithm": "NEXTN",
        "speculative_num_draft_tokens": 6,
        "disable_radix_cache": True,
        "attention_backend": "triton",
        "moe_runner_backend": "flashinfer_cutlass",
        "fp4_gemm_runner_backend": "flashinfer_cudnn",
        "tp_size": 4,
        "ep_size": 4,
        "dp_size": 1,
        "context_length": 262144,
        "max_running_requests": 10,
        "reasoning_parser": None,
        "sampling_defaults": "model",
        "api_key": "canary-1",
        "admin_api_key": "canary-2",
        "hf_token": "canary-3",
        "launch_command": "python -m sglang --api-key canary-4",
        "internal_states": [{"load": 1}],
    },
    "/model_info": {
        "model_path": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "weight_version": "default",
        "reasoning_parser": "qwen3",
        "tool_call_parser": "qwen3_coder",
        "has_image_understanding": True,
    },
}
VLLM: dict[str, dict[str, Any]] = {
    "/version": {"version": "0.33.0"},
    "/server_info": {
        "vllm_config": {
            "model_config": {
                "model": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
                "revision": "abc",
                "quantization": "modelopt_mixed",
                "dtype": "bfloat16",
                "max_model_len": 262144,
                "hf_token": "canary-5",
            },
            "cache_config": {"cache_dtype": "fp8", "enable_prefix_caching": True, "mamba_ssm_cache_dtype": "float32"},
            "parallel_config": {
                "tensor_parallel_size": 8,
                "data_parallel_size": 1,
                "enable_expert_parallel": False,
            },
            "speculative_config": {"method": "mtp", "num_speculative_tokens": 2},
        },
        "vllm_env": {"VLLM_API_KEY": "canary-6", "VLLM_HOST_IP": "10.0.0.1"},
        "system_env": {"pip_packages": "..."},
    },
}
LLAMA_CPP: dict[str, dict[str, Any]] = {
    "/props": {
        "default_generation_settings": {"n_ctx": 1024},
        "total_slots": 4,
        "build_info": "b11549",
        "chat_template": "{{ messages }}" * 100,
        "modalities": {"vision": False},
    },
}


def identified(
    facts: dict[str, dict[str, Any]],
    *,
    dialect: str = "sglang",
    served_name: str = "auto",
    listed: list[str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    async def identify(url: str) -> dict[str, Any]:
        server = Server(dialect, identity=list(facts))
        changes["served_name"] = served_name
        model = Model(
            "M", "nvidia/Qwen3.5-397B-A17B-NVFP4-V2", None, "nvfp4_v2", base_url=url, server=server, **changes
        )
        client = connect(model, Engine(), "auto", 4)
        try:
            return dict((await identity.identify(client)).facts)
        finally:
            await client.close()

    with scripted_endpoint(lambda _: "", facts=facts, listed=listed) as served:
        return asyncio.run(identify(served.base_url))


def test_sglang_in_canonical_names() -> None:
    facts = identified(SGLANG)
    found = canonical(facts)
    wanted = {
        "server_version": "0.5.23",
        "checkpoint": "nvidia/Qwen3.5-397B-A17B-NVFP4-V2",
        "quantization": "modelopt_mixed",
        "kv_cache_dtype": "fp8_e4m3",
        "ssm_dtype": "bfloat16",
        "speculative": "NEXTN",
        "prefix_cache": False,
        "attention_backend": "triton",
        "moe_backend": "flashinfer_cutlass",
        "tensor_parallel": 4,
        "expert_parallel": 4,
        "context": 262144,
        "reasoning_parser": "qwen3",
        "tool_call_parser": "qwen3_coder",
        "images": True,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert "canary" not in json.dumps(facts)


def test_vllm_in_canonical_names() -> None:
    facts = identified(VLLM)
    found = canonical(facts)
    wanted = {
        "server_version": "0.33.0",
        "revision": "abc",
        "quantization": "modelopt_mixed",
        "kv_cache_dtype": "fp8",
        "ssm_dtype": "float32",
        "speculative": "mtp",
        "prefix_cache": True,
        "tensor_parallel": 8,
        "expert_parallel": False,
        "context": 262144,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert "canary" not in json.dumps(facts)
    assert not any(name.startswith(("vllm_env", "system_env")) for name in facts)


def test_llama_cpp_in_canonical_names() -> None:
    found = canonical({key: value for body in LLAMA_CPP.values() for key, value in scalars(body).items()})
    assert (found["context"], found["concurrent_requests"], found["images"]) == (1024, 4, False)
    assert found["chat_template"].startswith("sha256:")


def test_every_canonical_name_has_a_source_of_its_own() -> None:
    sources = [source for sources in CANONICAL.values() for source in sources]
    assert len(sources) == len(set(sources))


def test_expectations_hold_under_either_name() -> None:
    identified(VLLM, expect={"quantization": "modelopt_mixed", "context_min": 131072})
    with pytest.raises(EndpointUnusable, match="quantization is modelopt_mixed, expected fp8"):
        identified(VLLM, expect={"quantization": "fp8"})


def test_the_wrong_checkpoint_is_refused_by_its_name() -> None:
    other = {"/server_info": {**SGLANG["/server_info"], "model_path": "nvidia/Qwen3.5-397B-A17B-NVFP4"}}
    with pytest.raises(identity.WrongCheckpoint, match=r"serves nvidia/Qwen3\.5-397B-A17B-NVFP4, but"):
        identified(other)


@pytest.mark.parametrize("path", ["models/x.gguf", "models/x", "./x.gguf", "/models/x.gguf"])
def test_llama_cpps_model_path_is_a_file_wherever_it_was_started(path: str) -> None:
    facts = {"/props": {**LLAMA_CPP["/props"], "model_path": path}}
    found = identified(facts, dialect="llama_cpp")
    assert found["model_path"] == path


def test_a_file_that_ends_in_gguf_is_a_path_for_every_dialect() -> None:
    assert identified({"/model_info": {"model_path": "models/x.gguf"}})["model_path"] == "models/x.gguf"


@pytest.mark.parametrize("listed", [[], ["org/some-other-model"], ["org/a", "org/b"]])
def test_transformers_serve_lists_its_cache_so_the_name_must_be_given(listed: list[str]) -> None:
    with pytest.raises(EndpointUnusable, match=r"models\.NAME\.served_name=REPOSITORY_OR_FOLDER"):
        identified({}, dialect="transformers", listed=listed)
    found = identified({}, dialect="transformers", listed=listed, served_name="models/demo")
    assert (found["served_name"], found["root"]) == ("models/demo", "models/demo")


def test_transformers_serve_lists_the_checkpoint_itself() -> None:
    found = identified({}, dialect="transformers", listed=["org/a", "nvidia/Qwen3.5-397B-A17B-NVFP4-V2"])
    assert found["served_name"] == "nvidia/Qwen3.5-397B-A17B-NVFP4-V2"


def test_an_empty_list_of_models_asks_for_the_name() -> None:
    with pytest.raises(EndpointUnusable, match=r"does not list its models: .* models\.NAME\.served_name="):
        identified({}, listed=[])


def checkpoint(folder: Path, *, merges: list[Any], template: str, indent: int | None = None) -> Path:
    folder.mkdir(parents=True)
    files = {
        "config.json": {"torch_dtype": "bfloat16", "text_config": {"mamba_ssm_dtype": "float32", "dtype": "bfloat16"}},
        "hf_quant_config.json": {
            "producer": {"name": "modelopt", "version": "0.47.0"},
            "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16},
        },
        "generation_config.json": {"top_k": 20, "temperature": 0.6},
        "tokenizer.json": {
            "model": {"vocab": {"a": 0, "b": 1}, "merges": merges},
            "added_tokens": [],
            "padding": indent,
        },
        "tokenizer_config.json": {"chat_template": template},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=indent))
    return folder


def test_a_readable_checkpoint_speaks_for_itself(tmp_path: Path) -> None:
    one = checkpoint(tmp_path / "one", merges=["a b"], template="{{ messages }}")
    facts = checkpoint_facts({"model_path": str(one)}, "http://far.away/v1", None)
    assert facts["file.quantization"] == "NVFP4"
    assert facts["file.kv_cache_quantization"] == "FP8"
    assert facts["file.quantizer"] == "0.47.0"
    assert facts["file.ssm_dtype"] == "float32"
    assert facts["file.generation_config.top_k"] == 20
    assert len(facts["file.config.json"]) == 16
    saved_again = checkpoint(tmp_path / "two", merges=[["a", "b"]], template="{{ messages }}", indent=1)
    again = checkpoint_facts({"root": str(saved_again)}, "http://far.away/v1", None)
    assert again["file.tokenizer.json"] != facts["file.tokenizer.json"]
    assert (again["file.tokenizer"], again["file.chat_template"]) == (
        facts["file.tokenizer"],
        facts["file.chat_template"],
    )
    other = checkpoint(tmp_path / "three", merges=["a b"], template="{{ messages }} ")
    assert checkpoint_facts({"root": str(other)}, "", None)["file.chat_template"] != facts["file.chat_template"]


@pytest.mark.parametrize("odd", ["text", 1, True, ["text"], {"model": ["a"], "text_config": [1]}, [["a", 1]]])
def test_files_of_another_shape_give_no_facts_and_no_error(tmp_path: Path, odd: Any) -> None:
    names = ("quantization_config", "quantization", "producer", "text_config", "model", "chat_template")
    for name in ("config.json", "hf_quant_config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(json.dumps(dict.fromkeys(names, odd)))
    (tmp_path / "generation_config.json").write_text("[" * 100_000)
    facts = checkpoint_facts({"model_path": str(tmp_path)}, "http://far.away/v1", None)
    assert "file.config.json" in facts
    assert "file.quantization" not in facts
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"merges": odd}}))
    assert len(checkpoint_facts({"model_path": str(tmp_path)}, "", None)["file.tokenizer"]) == 16


def test_numbers_that_no_manifest_holds_are_texts_and_lists_no_facts(tmp_path: Path) -> None:
    sampling = {"temperature": float("nan"), "top_p": float("inf"), "top_k": [1], "do_sample": {"x": [float("nan")]}}
    for name, content in (("config.json", {"dtype": ["x"]}), ("generation_config.json", sampling)):
        (tmp_path / name).write_text(json.dumps(content))
    facts = checkpoint_facts({"model_path": str(tmp_path)}, "", None)
    assert json.loads(json.dumps(facts, allow_nan=False))["file.generation_config.temperature"] == "nan"
    assert not {"file.generation_config.top_k", "file.dtype"} & facts.keys()


def test_the_hubs_cache_gives_the_revision_of_a_local_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--org--model"
    checkpoint(cache / "snapshots" / "c0ffee", merges=[], template="t")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("c0ffee\n")
    named = {"model_path": "org/model"}
    assert checkpoint_facts(named, "http://127.0.0.1:8000/v1", None)["revision"] == "c0ffee"
    assert checkpoint_facts(named, "http://elsewhere:8000/v1", None) == {}
    assert checkpoint_facts({"model_path": "org/other"}, "http://127.0.0.1:8000/v1", None) == {}
