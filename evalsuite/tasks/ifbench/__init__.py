"""IFBench: instructions whose fulfilment is checked by programs."""

__all__ = ["adapter"]
