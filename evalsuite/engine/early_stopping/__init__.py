"""``engine.stop=sequential``: comparisons that end as soon as they are decided."""

__all__ = ["controller", "rules"]
