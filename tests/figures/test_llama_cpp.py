from pathlib import Path

import pytest

from figures.llama_cpp import beside_llama_cpp


def test_a_real_llama_cpp_gives_the_same_answers(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="a real llama.cpp server comes with the package xllamacpp")
    found = beside_llama_cpp(tmp_path, limit=60)
    assert found.items == 60
    assert found.equal_texts >= 0.95
    assert abs(found.numpy - found.llama_cpp) < 0.05
