"""Types of the settings of the commands over runs: ``report``, ``gate``, ``show``, ``judge``, ``forget`` and others."""

from dataclasses import dataclass, field

from evalsuite.config.settings import AuxiliaryModel, Data, Engine, Gate


@dataclass(slots=True)
class Report:
    """All settings of the commands that are composed from ``report.yaml``."""

    run: list[str] = field(default_factory=list)
    """Run ids or folders."""
    results_dir: str = "results"
    baseline: str | None = None
    varies: list[str] = field(default_factory=list)
    """``report``, ``gate``: server facts that differ on purpose between arms of one checkpoint (``[speculative]``);
    given here, they replace those that the cells declare."""
    out: str | None = None
    """Report folder; None: ``<run>/report``."""
    svg: bool = False
    """``report.svg=true``: the plots as SVG files, too."""
    card: str | None = None
    """A file of ``conf/card/``: measured beside published. None: every card that names the model."""
    gate: Gate | None = None
    """The margins that verdicts are given against; None: no verdicts."""
    baseline_run: str | None = None
    """A baseline artefact (``evalsuite baseline save``) or a run folder with the baseline's cells."""
    accepted: str | None = None
    """``gate=drift``: an artefact of the watched checkpoint that a release accepted; its recorded offset is the
    reference where ``baseline_run`` is of another checkpoint."""
    baseline_max_gb: float = 50.0
    """Most gigabytes that the artefact of ``baseline_run`` may unpack to."""
    format: str | None = None
    """``gate``: ``day0`` writes the verdict in the shape of NVIDIA's public day-0 gate, too."""
    baseline_waiver: str | None = None
    """Reason for using a baseline that is far from its published value."""
    accept_log_disagreement: str | None = None
    """Reason for scoring imported cells whose own log has other verdicts than ours on over 2 %."""
    accept_degenerate: str | None = None
    """``report``, ``gate``: reason to score cells although half of their answers or more are degenerate."""
    allow_incomplete: float | None = None
    """Largest share of missing samples that is bounded by "all wrong ... all right"; None: refused."""
    limit: int | None = None
    """``report``, ``gate``: only this part of each task, as ``run limit=`` asks it; a gate takes one that was asked for
    before its answers existed."""
    model: str | None = None
    """``gate``: only this candidate; ``baseline save``, ``forget``: whose cells."""
    to: str | None = None
    """``baseline save``: the file that is written."""
    task: str | None = None
    """``show``, ``rescore``, ``judge``: only this task; ``forget``: whose cell."""
    reason: str | None = None
    """``forget``: why the cell was a mistake."""
    item: str | None = None
    """``show``: one item in all precisions."""
    repeat: int | None = None
    """``show``: only this repeat of the item, from 0; None: all."""
    include_gated_text: bool = False
    """``show``: also answers to gated items; that output is not for publication."""
    output: str = "text"
    """``show``, ``report``, ``gate``: ``json`` prints one JSON document instead of tables."""
    data: Data = field(default_factory=Data)
    """``rescore``, ``judge``: where the questions are."""
    judge: AuxiliaryModel | None = None
    """``judge``: the model that judges."""
    engine: Engine = field(default_factory=Engine)
    config_dir: str | None = None
    """Folder of the user's own configuration files (``--config-dir``)."""
