"""What people and programs read: tables, plots, pages, Markdown, ``comparison.json``, JUnit."""

__all__ = ["build", "console", "drift", "formats", "item", "junit", "markdown", "plan", "published", "verdict_file"]
