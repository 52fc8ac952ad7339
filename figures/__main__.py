"""``make figures``: every asked figure at full size, into ``docs/figures.md``.

``python -m figures demo clone`` runs only these topics; what the others measured before stays, with its date.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from figures import topics

DOCS = Path(__file__).parents[1] / "docs"
STORE, PAGE = DOCS / "figures.json", DOCS / "figures.md"
HEAD = """# Figures

Each figure was measured at full size by `make figures`, with the function that the tests call small. `asked` is what
the project promised itself, `measured` is what came out, whatever it is.
"""


def main(wanted: Sequence[str]) -> int:
    """Run the topics (all without a name), keep what they measured, and write the page."""
    unknown = set(wanted) - set(topics.TOPICS)
    if unknown:
        sys.stderr.write(f"unknown figure {', '.join(unknown)}. Known: {', '.join(topics.TOPICS)}\n")
        return 64
    for name in wanted or topics.TOPICS:
        found = measured(name, topics.TOPICS[name])
        known = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}  # another process may write it
        known[name] = found
        DOCS.mkdir(exist_ok=True)
        STORE.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(page(known), encoding="utf-8")
    return 0


def measured(name: str, topic: "topics.Topic") -> dict[str, object]:
    """Run one topic in a folder of its own."""
    sys.stderr.write(f"{name} ...\n")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="evalsuite-figures-") as folder:
        lines = topic.measure(Path(folder))
    for line in lines:
        sys.stderr.write(f"  {line.what}: {line.measured} (asked: {line.asked})\n")
    return {
        "title": topic.title,
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "seconds": round(time.monotonic() - began),
        "lines": [[line.what, line.asked, line.measured] for line in lines],
    }


def machine() -> str:
    """What it was measured on, without the machine's name."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def page(known: Mapping[str, Mapping[str, object]]) -> str:
    """The whole page: topics in their own order, then what was measured on a machine of another kind (``command``)."""
    parts = [HEAD]
    elsewhere = [name for name, one in known.items() if "command" in one]
    for name in [*(name for name in topics.TOPICS if name in known), *elsewhere]:
        one = known[name]
        rows = one["lines"]
        assert isinstance(rows, list)
        table = "\n".join(f"| {what} | {asked} | {found} |" for what, asked, found in rows)
        command = one.get("command", f"make figures FIGURES={name}")
        parts.append(
            f"## {one['title']}\n\n| figure | asked | measured |\n|---|---|---|\n{table}\n\n"
            f"`{command}`, {one['at']}, {one['seconds']} s; {one['machine']}.\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
