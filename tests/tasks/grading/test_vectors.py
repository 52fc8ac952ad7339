"""Our readers on answers with the verdicts that other projects' code gave: a repository and a commit for each table."""

import json
import re

import pytest

from figures import boxed, extractors


@pytest.mark.parametrize("reader", extractors.READERS, ids=lambda reader: reader.name)
def test_recorded_verdicts_of_the_published_code(reader: extractors.Reader) -> None:
    head, *lines = (extractors.VECTORS / f"{reader.name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"[0-9a-f]{40}|[0-9]+(\.[0-9]+)*.*", json.loads(head)["commit"])
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 100
    assert len({json.dumps(verdict) for _, verdict in rows}) > 1
    unlike = [(text, verdict) for text, verdict in rows if reader.ours(text) != verdict]
    if reader.name == "aa_lcr_judge":  # its page names how they differ: more than the one word, or markdown around it
        unlike = [(text, verdict) for text, verdict in unlike if reader.ours(text) is not None and text[:1].isalpha()]
    assert unlike == []


def test_every_made_box_is_read_as_its_label_says() -> None:
    _, rows = boxed.rows()
    assert len(rows) == 300
    quick = [row for row in rows if "9^{9^" not in row[0]]  # that one takes its five seconds of processor time
    assert [box for box, key, right, *_ in quick if boxed.ours(box, key) != right] == []


def test_a_table_without_a_checkout_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALSUITE_UPSTREAM", raising=False)
    line = extractors.line(extractors.READERS[0], 10)
    assert line.measured == "not measured: EVALSUITE_UPSTREAM names no folder with a checkout of TIGER-AI-Lab/MMLU-Pro"
