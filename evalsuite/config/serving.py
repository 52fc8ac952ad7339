"""How a checkpoint is served: the settings of ``models.NAME.launch``."""

from dataclasses import dataclass


@dataclass(slots=True)
class Launch:
    """How the checkpoint is served: commands to copy, and facts for the record."""

    image: str | None = None
    command: str = ""
    note: str = ""
    """Where and why the command differs from that of the model card."""
    weights_gb: float | None = None
    """Size of the checkpoint's weights in units of 10^9 bytes; ``plan`` computes from it which models fit together."""
