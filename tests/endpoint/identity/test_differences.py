import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from evalsuite.analysis.comparability import differing_prompt_tokens
from evalsuite.config.model_checks import DIALECTS
from evalsuite.endpoint.identity.differences import changes_within, differing_facts, other_model
from evalsuite.endpoint.identity.fact_tables import fact_table, shipped_facts


def manifest(*facts: dict[str, Any]) -> dict[str, Any]:
    return {"server": [{"at": "2026-11-20T19:00:00Z", "facts": one} for one in facts]}


def test_equal_settings_under_two_dialects_names_are_no_confounders() -> None:
    sglang = {"dialect": "sglang", "tp_size": 4, "disable_radix_cache": True, "kv_cache_dtype": "fp8", "port": 30000}
    vllm = {
        "dialect": "vllm",
        "vllm_config.parallel_config.tensor_parallel_size": 4,
        "vllm_config.cache_config.enable_prefix_caching": False,
        "vllm_config.cache_config.cache_dtype": "auto",
        "vllm_config.scheduler_config.policy": "fcfs",
        "schedule_policy": "fcfs",
    }
    found = differing_facts(manifest(sglang), manifest(vllm))
    assert [(one.name, one.baseline, one.candidate, one.kind) for one in found] == [
        ("kv_cache_dtype", "fp8", "auto", "confounder"),
        ("dialect", "sglang", "vllm", "confounder"),
    ]


def test_every_other_setting_of_one_dialect_is_listed_and_noise_is_not() -> None:
    one = {
        "dialect": "sglang",
        "schedule_policy": "fcfs",
        "port": 1,
        "random_seed": 3,
        "quantization": "fp8",
        "x": None,
    }
    other = {"dialect": "sglang", "schedule_policy": "lpm", "port": 2, "random_seed": 9, "quantization": "fp4", "x": 1}
    found = differing_facts(manifest(one), manifest(other))
    assert [(line.name, line.kind) for line in found] == [
        ("schedule_policy", "confounder"),
        ("quantization", "expected"),
    ]


def test_another_template_or_tokenizer_refuses_and_comes_first() -> None:
    one = {"dialect": "sglang", "tp_size": 4, "file.tokenizer": "aa", "file.chat_template": "bb"}
    other = {"dialect": "sglang", "tp_size": 8, "file.tokenizer": "cc", "file.chat_template": "bb"}
    found = differing_facts(manifest(one), manifest(other))
    assert [(line.name, line.kind) for line in found] == [
        ("file.tokenizer", "refuses"),
        ("tensor_parallel", "confounder"),
    ]


def test_an_arm_served_twice_shows_both_settings() -> None:
    cell = manifest({"version": "0.5.12"}, {"version": "0.5.23"}, {"version": "0.5.23"})
    assert changes_within(cell) == ("server_version: 0.5.12 then 0.5.23",)
    found = differing_facts(manifest({"version": "0.5.12"}), cell)
    assert [(line.baseline, line.candidate) for line in found] == [("0.5.12", "0.5.12 then 0.5.23")]


def test_a_setting_stated_as_null_is_compared() -> None:
    plain = {"dialect": "sglang", "speculative_algorithm": None, "speculative_num_draft_tokens": None}
    other = {**plain, "speculative_algorithm": "NEXTN", "speculative_num_draft_tokens": 6, "mamba_ssm_dtype": None}
    vllm = {
        "dialect": "vllm",
        "vllm_config.speculative_config": None,
        "vllm_config.cache_config.mamba_cache_dtype": "x",
    }

    def found(*facts: dict[str, Any]) -> list[tuple[str, str, str]]:
        lines = differing_facts(*(manifest(one) for one in facts))
        return [(line.name, line.baseline, line.candidate) for line in lines if line.name != "dialect"]

    assert found(plain, other) == [("speculative", "off", "NEXTN")]
    assert found(other, {**other, "mamba_ssm_dtype": "bfloat16"}) == [("ssm_dtype", "not set", "bfloat16")]
    assert found(vllm, other) == [("speculative", "off", "NEXTN")], "a null of one dialect is its own default"
    assert found({"dialect": "sglang"}, other) == [], "what is not stated at all is unknown"


def test_imported_cells_state_nothing() -> None:
    assert differing_facts({"server": []}, manifest({"tp_size": 4})) == ()


def test_prompt_tokens_of_equal_items_and_repeats() -> None:
    base = [("a", 0, 30.0), ("b", 0, 40), ("c", 0, None), ("d", 0, math.nan), ("e", 0, 7)]
    same = differing_prompt_tokens(_rows(base), _rows(base))
    assert (same.compared, same.differing, same.describe()) == (3, 0, "")
    longer = [(item, repeat, None if tokens is None else tokens + 2) for item, repeat, tokens in base]
    found = differing_prompt_tokens(_rows(base), _rows([*longer, ("new", 0, 3)]))
    assert (found.compared, found.differing, found.items, found.usual) == (3, 3, ("a", "b", "e"), 2)
    assert "3 of 3 answers (+2 in most" in found.describe()
    mixed = differing_prompt_tokens(_rows(base), _rows([("a", 0, 31), ("b", 0, 44), ("e", 0, 7)]))
    assert (mixed.differing, mixed.usual) == (2, None)
    assert differing_prompt_tokens(_rows([]), _rows(base)).compared == 0


def _rows(counts: Sequence[tuple[str, int, float | None]]) -> pd.DataFrame:
    return pd.DataFrame(list(counts), columns=["item_id", "repeat", "prompt_tokens"])


LLAMA_CPP = {
    "dialect": "llama_cpp",
    "model_path": "models/a-F32.gguf",
    "model_alias": "models/a-F32.gguf",
    "model_ftype": "all F32",
    "meta.ftype": "all F32",
    "meta.size": 2_565_888,
    "meta.n_params": 641_472,
    "media_marker": "<__media_A__>",
    "probe_finish": "stop",
    "is_sleeping": False,
    "default_generation_settings.params.dry_multiplier": 0.0,
}


def test_two_precisions_on_llama_cpp_differ_as_expected_and_no_nonce_is_a_confounder() -> None:
    other = {
        **LLAMA_CPP,
        "model_path": "/models/a-Q8_0.gguf",
        "model_alias": "/models/a-Q8_0.gguf",
        "model_ftype": "Q8_0",
        "meta.ftype": "Q8_0",
        "meta.size": 681_000,
        "media_marker": "<__media_B__>",
        "probe_finish": "length",
        "is_sleeping": True,
    }
    found = differing_facts(manifest(LLAMA_CPP), manifest(other))
    assert {difference.kind for difference in found} == {"expected"}
    assert {difference.name for difference in found} == {
        "checkpoint",
        "quantization",
        "model_alias",
        "model_ftype",
        "meta.size",
    }
    setting = {**LLAMA_CPP, "default_generation_settings.params.dry_multiplier": 0.8, "meta.n_params": 5}
    kinds = {difference.name: difference.kind for difference in differing_facts(manifest(LLAMA_CPP), manifest(setting))}
    assert kinds == {
        "default_generation_settings.params.dry_multiplier": "confounder",
        "meta.n_params": "confounder",
    }
    assert other_model({"facts": LLAMA_CPP}, {"facts": other}) == []
    assert other_model({"facts": LLAMA_CPP}, {"facts": setting}) == ["meta.n_params: 641472 -> 5"]


def test_a_server_files_own_table_counts() -> None:
    one, other = ({"dialect": "vllm", "nonce": value, "weights": value} for value in "ab")
    entries = [{"facts": facts, "fact_table": {"idle": ["non*"], "precision": ["weights"]}} for facts in (one, other)]
    found = differing_facts({"server": entries[:1]}, {"server": entries[1:]})
    assert [(difference.name, difference.kind) for difference in found] == [("weights", "expected")]
    assert [difference.kind for difference in differing_facts(manifest(one), manifest(other))] == ["confounder"] * 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_a_table_without_contradictions(dialect: str) -> None:
    facts = shipped_facts(dialect)
    assert facts.keys() == {"identity", "precision", "idle"}
    names = [name for kind in facts.values() for name in kind]
    assert len(names) == len(set(names))
    table = fact_table([dialect])
    for name in (*facts["identity"], *facts["precision"]):
        assert table.known(name)
        assert not table.idle.fullmatch(name)
