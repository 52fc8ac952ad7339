"""Output for people and programs: tables, plots, pages, Markdown, ``comparison.json`` and JUnit."""

__all__ = [
    "build",
    "console",
    "data_files",
    "day0",
    "drift",
    "formats",
    "item",
    "junit",
    "markdown",
    "plan",
    "probe",
    "published",
    "release_page",
    "verdict_file",
]
