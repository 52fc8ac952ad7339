"""Plans a run before it starts: what its size can decide, what it costs and where it fits. Nothing is sent."""

__all__ = ["benchmarks", "build", "cost", "decisions", "document", "hardware", "screen"]
