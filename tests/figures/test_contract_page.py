"""Every statement of the contract is counted for the server that it was held against."""

from pathlib import Path

from figures.contract import held


def test_statements_are_counted_by_server(tmp_path: Path) -> None:
    found = held(tmp_path, "-k", "thinking_off and demo")
    assert found == {"demo": {"thinking_off_leaves_no_reasoning": "held"}}
