"""Answer extractors and judge prompts that several benchmarks share."""

__all__ = ["degenerate", "extract", "judge_prompt", "numbers"]
