"""The hash that names prompts, items, data and identities."""

import hashlib
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalsuite.records import canonical_sha

texts = st.text(st.characters(codec=None), max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(max_examples=1000, deadline=None)
@given(values)
@example([1e-7, 1e16, 0.00001, 123456789.0, -0.0])
@example({"b\ud800": "\x7f\u2028\x1f", "a": 2**64, "\U0001f600": float("nan"), "\uffff": "1e5 null"})
def test_the_hash_is_that_of_the_text_of_the_standard_library(value: Any) -> None:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_sha(value) == hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
