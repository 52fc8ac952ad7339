"""Answer extractors and judge prompts that several benchmarks share."""

__all__ = ["extract", "judge_prompt"]
