"""Keeps what others made from doing harm: runs model-written code, opens archives; knows no benchmark."""

__all__ = ["archives", "client", "isolation", "safe_text", "split_tests"]
