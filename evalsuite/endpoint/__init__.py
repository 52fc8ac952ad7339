"""One model server: a request, its reply or a named failure."""

__all__ = [
    "body",
    "client",
    "environment",
    "faults",
    "fields",
    "identity",
    "logprobs",
    "pool",
    "reference",
    "replica",
    "stream",
    "thinking",
]
