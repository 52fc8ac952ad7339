"""tau2-bench Telecom: dialogues with a simulated customer."""

__all__ = ["adapter"]
