"""Any ``generate_until`` task of lm-eval (EleutherAI/lm-evaluation-harness)."""

__all__ = ["adapter"]
