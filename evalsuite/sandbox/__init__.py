"""Runs model-written code against trusted tests; knows no benchmark."""

__all__ = ["client", "split_tests"]
