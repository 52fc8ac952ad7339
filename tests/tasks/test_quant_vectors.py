"""AIME, HLE and LiveCodeBench on made answers, beside what the code of their authors and NVIDIA's said of them."""

import json
from typing import Any

import pytest

from evalsuite.records import canonical_sha
from figures import aime, hle, livecodebench
from figures.quant_vectors import VECTORS


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert all(len(commit) == 40 for commit in loaded["commits"].values())
    return loaded


def test_aime_differs_from_nemo_skills_only_in_leading_zeros(vectors: dict[str, Any]) -> None:
    verdicts = [right == "1" for right in vectors["aime"]]
    assert 0.4 < sum(verdicts) / len(verdicts) < 0.8
    assert set(aime.differences(verdicts)) == {"three digits (right here)"}


def test_hle_is_the_authors(vectors: dict[str, Any]) -> None:
    system, prompts, verdicts, error = hle.own("official")
    assert [canonical_sha([system, prompts]), verdicts, error] == [
        *vectors["hle"][:2],
        pytest.approx(vectors["hle"][2]),
    ]
    assert canonical_sha(list(hle.own("strict")[:2])) == vectors["hle_strict"]


def test_livecodebench_is_the_authors_and_nvidias(vectors: dict[str, Any]) -> None:
    found = {variant: canonical_sha(list(livecodebench.own(variant))) for variant in vectors["livecodebench"]}
    assert found == vectors["livecodebench"]
