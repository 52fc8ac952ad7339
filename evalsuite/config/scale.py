"""Where a run is worked on: the settings of the group ``launch``."""

from dataclasses import dataclass, field
from typing import Any

from evalsuite.config.schema_types import AS_WRITTEN

KINDS = ("here", "joblib", "slurm", "ray")
"""Values of ``kind``."""


@dataclass(slots=True)
class Scale:
    """Where a run is worked on; ``docs/guide/scale.md`` explains the choice."""

    kind: str = "here"
    """``here``: this process; ``joblib``: processes of this machine; ``slurm``: jobs; ``ray``: tasks of a cluster."""
    jobs: int = 4
    """``joblib``: processes at a time."""
    cluster: str = "slurm"
    """``slurm``: ``local`` tries it on this machine."""
    timeout_min: float = 240.0
    """``slurm``: length of one window, minutes."""
    signal_delay_s: int = 120
    """``slurm``: seconds before the window's end at which a job is signalled; above ``engine.drain_seconds``."""
    max_num_timeout: int = 50
    """``slurm``: windows that a job may use."""
    options: dict[str, Any] = field(default_factory=dict, metadata={AS_WRITTEN: True})
    """``slurm``: further fields of submitit's ``update_parameters``, such as ``partition``."""
    address: str | None = None
    """``ray``: the cluster; None: the one that this machine belongs to, else a new one on this machine alone."""
    shard: int = 64
    """``ray``: attempts of one task."""
    tasks: int = 4
    """``ray``: tasks at a time, all endpoints together."""
