"""What a user can set: the schema of ``conf/`` as plain dataclasses.

``compose`` fills them from YAML files and the command line; all other modules get plain values. ``"???"`` marks a
value that a file must give. They are mutable only because OmegaConf fills them in.
"""

from dataclasses import dataclass, field
from typing import Any

from evalsuite.config.scale import Scale
from evalsuite.config.schema_types import AS_WRITTEN
from evalsuite.config.serving import Launch

MISSING: Any = "???"


@dataclass(slots=True)
class Sampling:
    """How answers are sampled. None: the field is not sent, and the server's default holds."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    """Most generated tokens of one reply, reasoning included."""
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    origin: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Source -> the values that it states. The origin of a value that no source states is ``ours``."""
    checkpoints: list[str] = field(default_factory=list)
    """Checkpoints whose card states these values (``*``: any text); other models are sampled as they state
    themselves. Empty: the values are for any model."""
    explicit: list[str] = field(default_factory=list)
    """Fields that the command line or a suite sets: they hold for every model. Filled in by ``compose``."""


@dataclass(slots=True)
class Server:
    """A server dialect: what requests to this family of servers look like."""

    dialect: str = MISSING
    """``sglang``, ``vllm``, ``llama_cpp``, ``transformers`` or ``openai``."""
    thinking_via: str | None = "chat_template_kwargs"
    """Request field that carries the thinking switch; ``body``: its arguments are fields of the request itself; None:
    this dialect carries none."""
    extra_sampling: list[str] = field(default_factory=list)
    """Sampling fields beyond OpenAI's that this dialect takes (``top_k``, ``min_p`` ...)."""
    max_tokens_field: str = "max_tokens"
    stream: bool = True
    body: dict[str, Any] = field(default_factory=dict)
    """Further fields of every request, as YAML types them; a field that is null is not sent at all, ``seed`` too."""
    body_not_protocol: list[str] = field(default_factory=list)
    """Fields of ``body`` that may differ between models that are compared."""
    identity: list[str] = field(default_factory=list)
    """Paths (below the server's root) that state what is served, tried in order."""
    facts: dict[str, list[str]] = field(default_factory=dict)
    """Names of facts that these paths state (``*``: any text): ``identity``, equal in all precisions of one model;
    ``precision``, expected to differ between them; ``idle``, without any effect on answers."""


@dataclass(slots=True)
class Model:
    """One precision of one model, served somewhere."""

    title: str = MISSING
    """As tables show it: ``NVFP4 V2``."""
    checkpoint: str = MISSING
    """Repository id of the served weights."""
    revision: str | None = None
    """Commit of the repository; None: not pinned."""
    precision: str = MISSING
    """``bf16``, ``fp8``, ``nvfp4`` or ``nvfp4_v2``."""
    quantized: dict[str, str] = field(default_factory=dict)
    """Part of the network -> number format, with how the scales were set."""
    baseline: str | None = None
    """Key of the model that this one is compared with."""
    same_as: str | None = None
    """Key of a model that this one is known to equal (A/A runs)."""
    varies: list[str] = field(default_factory=list)
    """Server facts in which this arm differs on purpose from another arm of its checkpoint, such as ``speculative``."""
    base_url: Any = MISSING
    """Root of the OpenAI API, ending in ``/v1``, or a list of them: replicas that serve the same checkpoint. ``demo``
    starts the embedded server for the run."""
    served_name: str = "auto"
    """Name in requests; ``auto`` takes the only model that the server lists."""
    api_key_env: str = "EVALSUITE_API_KEY"
    """Name of the environment variable with the key; the key itself never enters a configuration."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every request; values may be ``${oc.env:NAME}``. Never written to results."""
    ca_file: str | None = None
    proxy: str | None = None
    server: Server = field(default_factory=Server)
    thinking: bool = True
    thinking_switch: dict[Any, Any] = field(default_factory=dict)
    """How this model's chat template switches thinking: ``on`` and ``off``, the arguments for each (not given:
    ``enable_thinking``; empty: none), and ``tags``, the pairs that enclose its thinking (not given: known ones)."""
    sampling: Sampling = field(default_factory=Sampling)
    """How this model is sampled where the run's ``sampling`` is not for it; with ``origin``, who states each value."""
    concurrency: int = 32
    """Most requests in flight at this endpoint."""
    expect: dict[str, Any] = field(default_factory=dict, metadata={AS_WRITTEN: True})
    """Server facts that must hold, such as ``quantization: modelopt_mixed``."""
    launch: Launch = field(default_factory=Launch)


@dataclass(slots=True)
class AuxiliaryModel(Model):
    """The judge of free answers, or the simulated user of a dialogue."""


@dataclass(slots=True)
class Select:
    """A declared part of a task's items; its score is never shown as the task's headline."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    """Group -> values to keep: ``{subject: [law]}``."""
    ids: str | None = None
    """File with one item id a line."""


@dataclass(slots=True)
class Task:
    """How one benchmark is asked in this run."""

    adapter: str = MISSING
    """A name of ``evalsuite.tasks.registry.ADAPTERS`` or ``package.module:Class``."""
    variant: str = MISSING
    """Named protocol: prompt, extractor and sampling protocol."""
    repeats: int = 1
    concurrency: int | None = None
    """Most requests of this task in flight, inside the endpoint's limit."""
    sampling: Sampling = field(default_factory=Sampling)
    """Overrides of the run's sampling, field by field."""
    select: Select = field(default_factory=Select)
    options: dict[str, Any] = field(default_factory=dict, metadata={AS_WRITTEN: True})
    """Other fields of the adapter, whose types decide."""


@dataclass(slots=True)
class Data:
    """The source of the questions."""

    kind: str = "hub"
    """``hub``: pinned revision from the Hugging Face hub or its cache; ``local``: files below ``root``."""
    root: str | None = None
    """The folder that holds ``<task>/<split>.jsonl[.gz]``, as ``fetch`` fills it; with it ``kind`` is ``local``."""


@dataclass(slots=True)
class Engine:
    """How requests are sent. Nothing here changes an answer."""

    retries: int = 5
    """Further requests for one reply after a transient fault."""
    backoff_seconds: float = 1.0
    """First pause of the exponential backoff."""
    backoff_max_seconds: float = 60.0
    connect_seconds: float = 10.0
    first_token_seconds: float = 900.0
    """Longest silence before the first byte (queue and prefill)."""
    idle_seconds: float = 120.0
    """Longest silence between two bytes of a stream."""
    total_seconds: float | None = None
    """Longest request; None: what its token cap needs at a quarter of the slowest rate that was measured here, and for
    one that is not streamed, while nothing is measured, at 2.5 tokens a second."""
    drain_seconds: float = 30.0
    """After the first Ctrl-C: time in which running requests may finish."""
    outage_seconds: float = 1800.0
    """How long an endpoint may be down before it is given up; waiting costs no retry."""
    probe: bool = True
    """Check the identity of the server and the thinking switch before the run."""
    probe_answer: bool = True
    """Refuse a server whose answer to the test question ("What is 2 + 2?") is not 4. False: for base models."""
    token_ids: bool = False
    """Ask the servers for the token ids of prompts and answers and keep them in the journal, for ``probe``. vLLM gives
    them always, SGLang where ``server.stream`` is false; an event of a stream costs three times the CPU."""
    fingerprint: bool = True
    """Compare the server's answers to five prompts with those of all other models on record."""
    reprobe_seconds: float = 900.0
    """Time between two checks of a running endpoint's identity."""
    deadline: str | None = None
    """When the window ends: a duration (``3h50m``), a UTC time, or ``slurm`` (the job's own end). Exit 75."""
    token_budget: int | None = None
    """Generated tokens, all endpoints together, after which nothing new starts. Exit 75."""
    stop: str | None = None
    """``sequential``: both arms of a comparison stop when its verdict is decided; needs ``gate`` and a baseline."""


@dataclass(slots=True)
class Margin:
    """How much a benchmark may lose, with the person responsible and the reason."""

    points: float = MISSING
    """Percentage points."""
    owner: str = MISSING
    reason: str = MISSING
    tier: str = "critical"
    """``critical``: must pass; ``supporting``: must not fail; ``advisory``: shown only."""


@dataclass(slots=True)
class Gate:
    """The rule of a release (group ``gate``), fixed before the run."""

    margins: dict[str, Margin] = field(default_factory=dict)
    """Task -> its margin."""
    suite_points: float | None = None
    """Margin of the equal-weight mean over the critical tasks, percentage points; None: no such test."""
    alpha: float = 0.05
    """Chance of each one-sided error."""
    tokens_ratio_max: float | None = None
    """Most that the ratio of generated tokens may be shown to exceed; None: shown only."""
    drift: bool = False
    """Test a series of nights by CUSUM instead of one release by margins."""


@dataclass(slots=True)
class Run:
    """All settings of the commands that are composed from ``run.yaml``."""

    models: dict[str, Model] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    suite: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    thinking: bool | None = None
    """Replaces every model's own thinking switch; None: it stays."""
    data: Data = field(default_factory=Data)
    judge: AuxiliaryModel | None = None
    """Grades free answers; None: they are stored ``ungraded`` for ``evalsuite judge``."""
    simulator: AuxiliaryModel | None = None
    """Plays the user in dialogues; None: such tasks are skipped."""
    engine: Engine = field(default_factory=Engine)
    results_dir: str = "results"
    run_id: str | None = None
    seed: int = 42
    limit: int | None = None
    """Items per task, stratified by group, seeded and nested."""
    baseline: str | None = None
    """Model that the report compares with; None: each model's own."""
    varies: list[str] = field(default_factory=list)
    """Server facts that differ on purpose between arms of one checkpoint; given here, they are those of every model."""
    redo: str | None = None
    """A task whose cells are archived and asked again (needs ``reason``), or ``failed``."""
    reason: str | None = None
    dry_run: bool = False
    report: bool = True
    """Whether a report is written at the end."""
    svg: bool = False
    """``report.svg=true``: the plots of the report as SVG files, too."""
    accept_degenerate: str | None = None
    """Reason to score cells although half of their answers or more are degenerate; kept in the manifests."""
    aa: bool = False
    """Run every model twice, interleaved; the second arm is stored as ``<model>__aa``."""
    launch: Scale = field(default_factory=Scale)
    gate: Gate | None = None
    """``plan``, sequential stops: the margins that are to be decided."""
    baseline_run: str | None = None
    """``plan``: a baseline artefact whose recorded lengths and rates are used."""
    accepted: str | None = None
    """``gate=drift``: an artefact of the watched checkpoint that a release accepted; its recorded offset is the
    reference where ``baseline_run`` is of another checkpoint. ``probe``: the probe/NAME.json of the last accepted
    candidate of this precision; None: no alarms of size."""
    baseline_max_gb: float = 50.0
    """Most gigabytes that the artefact of ``baseline_run`` may unpack to."""
    rate: float | None = None
    """``plan``: generated tokens per second of one endpoint at the run's concurrency."""
    window: str | None = None
    """``plan``: length of one window, such as ``4h``."""
    hardware: str | None = None
    """``plan``: a node of ``conf/hardware/``."""
    file: list[str] = field(default_factory=list)
    """``import``: files with recorded answers, patterns (``*.jsonl``) or folders of logs."""
    accept_log_disagreement: str | None = None
    """``import``: reason for scoring answers whose own log has other verdicts than ours on over 2 %."""
    name: str | None = None
    """``import``: the model's key in the run."""
    checkpoint: str | None = None
    """``models new``: repository or folder whose files are read; None: what the server states."""
    base_url: str | None = None
    """``models new``: where it is served."""
    id_field: str | None = None
    """``import``: field with the item id; None: the task's own."""
    text_field: str | None = None
    """``import``: field with the answer; None: ``output``, ``text``, ``response`` or ``generated_text``."""
    answers: int | None = None
    """``probe``: stored answers that are read; None: 200."""
    output: str = "text"
    """``tasks``, ``doctor``, ``plan``: ``json`` prints one JSON document instead of tables."""
    to: str | None = None
    """``fetch``: folder that is filled; None: ``evalsuite-data``. ``plan``: file that is written; None: none."""
    port: int = 0
    """``demo``: port of the embedded server; 0 takes a free one."""
    noise: int | None = None
    """``demo``: seed of random rounding at the norms, as another kernel's summation; None: exact."""
    config_dir: str | None = None
    """Folder of the user's own configuration files (``--config-dir``)."""


FETCH_FOLDER = "evalsuite-data"
"""The folder that ``fetch`` fills without ``to=``, and that ``data=local`` reads without ``data.root=``."""
DEMO = "demo"
"""The ``base_url`` of embedded models, which evalsuite serves itself during a run."""
SEQUENTIAL = "sequential"
"""``engine.stop``: comparisons end as soon as they are decided."""
