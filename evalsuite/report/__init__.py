"""Output for people and programs: tables, plots, pages, Markdown, ``comparison.json`` and JUnit."""

__all__ = [
    "build",
    "console",
    "drift",
    "formats",
    "item",
    "junit",
    "markdown",
    "plan",
    "probe",
    "published",
    "verdict_file",
]
