"""Readers beside the code of their authors: only with EVALSUITE_UPSTREAM, which names the folder of checkouts."""

import pytest

from figures import boxed, extractors, upstream


@pytest.mark.parametrize("reader", extractors.READERS, ids=lambda reader: reader.name)
def test_a_reader_beside_the_published_code(reader: extractors.Reader) -> None:
    try:
        reader.theirs()
        extractors.version(reader.repository)
    except upstream.NoCheckoutError as missing:
        pytest.skip(str(missing))
    measured = extractors.line(reader, 500).measured
    assert measured.startswith("0 differences at ") or measured.endswith(reader.differs or "(none is named)")


def test_ifbench_beside_the_official_verifiers() -> None:
    measured = extractors.ifbench_line(300).measured
    if measured.startswith("not measured"):
        pytest.skip(measured)
    assert measured.startswith("0 differences at ")


def test_every_difference_of_the_box_is_listed() -> None:
    head, known = boxed.rows()
    lines = {line.what: line.measured for line in boxed.lines(boxed.BOXES.parent)}
    differing = sum(right != verdict for _, _, right, _, verdict in known)
    assert lines[f"{len(known)} made boxes, verdicts equal to the plain label"] == f"{len(known)} of {len(known)}"
    listed = [int(text.partition(":")[0]) for what, text in lines.items() if what.endswith("readers differ")]
    assert sum(listed) == differing
    assert head["repository"] == "NVIDIA/NeMo-Skills"
