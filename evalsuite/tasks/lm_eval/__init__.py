"""Adapter for ``generate_until`` tasks of lm-eval (EleutherAI/lm-evaluation-harness)."""

__all__ = ["adapter"]
