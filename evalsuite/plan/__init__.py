"""Before a run: what a budget can decide, what it costs and where it fits; nothing is sent."""

__all__ = ["benchmarks", "build", "cost", "decisions", "document", "hardware"]
