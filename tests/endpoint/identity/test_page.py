from pathlib import Path

from evalsuite.endpoint.identity.facts import CANONICAL

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "identity.md"


def test_the_page_names_every_canonical_fact_with_all_its_sources() -> None:
    rows = {line.split("`")[1]: line for line in PAGE.read_text().splitlines() if line.startswith("| `")}
    assert rows.keys() == CANONICAL.keys()
    for name, sources in CANONICAL.items():
        assert all(f"`{source}`" in rows[name] for source in sources), name
