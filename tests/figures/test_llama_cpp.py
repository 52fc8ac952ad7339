from pathlib import Path

import pytest

from figures.llama_cpp import beside_llama_cpp, restarts, strangers

pytest.importorskip("xllamacpp", reason="a real llama.cpp server comes with the package xllamacpp")


def test_a_real_llama_cpp_gives_the_same_answers(tmp_path: Path) -> None:
    found = beside_llama_cpp(tmp_path, limit=60)
    assert found.items == 60
    assert found.equal_texts >= 0.95
    assert abs(found.numpy - found.llama_cpp) < 0.05


def test_a_restart_under_a_relative_path_with_other_slots_is_the_same_server(tmp_path: Path) -> None:
    found = restarts(tmp_path, runs=3, step=3)
    assert (found.refused, found.items) == (0, 9)
    assert set(found.confounders) <= {"concurrent_requests"}


def test_another_precision_behind_the_same_configuration_is_refused(tmp_path: Path) -> None:
    (found,) = strangers(tmp_path, ("F32", "Q8_0"), limit=4)
    assert found.code == 69
    assert float(found.distance) > 0.018
