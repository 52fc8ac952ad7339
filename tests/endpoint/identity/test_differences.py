import math
from typing import Any

from evalsuite.analysis.comparability import differing_prompt_tokens
from evalsuite.endpoint.identity.differences import changes_within, differing_facts


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


def test_imported_cells_state_nothing() -> None:
    assert differing_facts({"server": []}, manifest({"tp_size": 4})) == ()


def test_prompt_tokens_of_equal_items_and_repeats() -> None:
    base = [("a", 0, 30.0), ("b", 0, 40), ("c", 0, None), ("d", 0, math.nan), ("e", 0, 7)]
    same = differing_prompt_tokens(base, base)
    assert (same.compared, same.differing, same.describe()) == (3, 0, "")
    longer = [(item, repeat, None if tokens is None else tokens + 2) for item, repeat, tokens in base]
    found = differing_prompt_tokens(base, [*longer, ("new", 0, 3)])
    assert (found.compared, found.differing, found.items, found.usual) == (3, 3, ("a", "b", "e"), 2)
    assert "3 of 3 answers (+2 in most" in found.describe()
    mixed = differing_prompt_tokens(base, [("a", 0, 31), ("b", 0, 44), ("e", 0, 7)])
    assert (mixed.differing, mixed.usual) == (2, None)
