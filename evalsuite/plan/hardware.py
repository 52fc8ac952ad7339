"""Which models fit side by side on one machine with judge and simulator, else in which order they are served.

Devices for a copy of Qwen3.5-397B-A17B are the sources' (``conf/hardware``); for other checkpoints they are estimated:
the smallest power of two of devices that holds the weights in 80 % of its memory. Of the sources' 20 numbers this rule
gives 19; for FP4 on B200 it says two and the source four.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from evalsuite.config.files import ConfigSource
from evalsuite.config.settings import DEMO, Model
from evalsuite.errors import BadInput, unknown_name

FILLED = 0.8
"""Share of a device's memory that weights may take where no source says how many devices are needed."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One node as plain data."""

    name: str
    title: str
    gpus: int
    memory_gb: float
    model: str
    tensor_parallel: Mapping[str, int | None]
    launch_flags: Mapping[str, Sequence[str]]
    devices_variable: str
    source: str

    @property
    def fp4(self) -> bool:
        """Whether a source serves FP4 on it."""
        return self.tensor_parallel.get("fp4") is not None


@dataclass(frozen=True, slots=True)
class PlacedServer:
    """One checkpoint as it would be served here."""

    names: tuple[str, ...]
    """Models, ``judge`` or ``simulator`` that it answers as."""
    checkpoint: str
    devices: int | None
    """None: cannot be served on this machine, or its size is unknown; ``origin`` says which."""
    origin: str
    command: str

    @property
    def aide(self) -> bool:
        """Whether it only helps to measure."""
        return set(self.names) <= {"judge", "simulator"}


@dataclass(frozen=True, slots=True)
class Step:
    """Servers that run at the same time."""

    servers: tuple[PlacedServer, ...]
    machines: int
    elsewhere: tuple[PlacedServer, ...] = ()
    """Aides that must answer during this step but find no room here: a machine of their own."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How everything is served on a machine."""

    machine: Machine
    steps: tuple[Step, ...]
    unserved: tuple[PlacedServer, ...]
    notes: tuple[str, ...]

    @property
    def side_by_side(self) -> bool:
        """Whether all models run at once on one machine, with judge and simulator."""
        (first, *others) = self.steps or (None,)
        return first is not None and not others and first.machines == 1 and not first.elsewhere and not self.unserved


def machine(name: str, source: ConfigSource) -> Machine:
    """The machine of ``hardware/<name>.yaml``, the user's own first. Raises ``BadInput`` if it is unknown or wrong."""
    import yaml

    names = source.options("hardware")
    if name not in names:
        raise unknown_name("hardware", name, names, "Your own: --config-dir DIR with hardware/NAME.yaml.")
    file = source.file(f"hardware/{name}")
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
        return Machine(
            name,
            str(content["title"]),
            int(content["gpus"]),
            float(content["memory_gb"]),
            str(content.get("model", "")),
            dict(content["tensor_parallel"]),
            dict(content.get("launch_flags") or {}),
            str(content.get("devices_variable", "CUDA_VISIBLE_DEVICES")),
            " ".join(str(content.get("source", "not stated")).split()),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file} is no machine (title, gpus, memory_gb, tensor_parallel ...): {error}") from None


def place(models: Mapping[str, Model], aides: Mapping[str, Model], where: Machine) -> Placement:
    """Serve ``models`` (in this order) and ``aides`` (``judge``, ``simulator``) on a machine.

    The simulator must answer while a model is asked; the judge may come afterwards (``evalsuite judge``).
    """
    wanted = [_server((name,), model, where) for name, model in models.items() if model.base_url != DEMO]
    helpers = _aide_servers(aides, where)
    unserved = tuple(one for one in (*wanted, *helpers) if one.devices is None)
    served = [one for one in wanted if one.devices is not None]
    standing = [one for one in helpers if one.devices is not None]
    live = [one for one in standing if "simulator" in one.names]
    later = [one for one in standing if one not in live]
    if served and _devices(served) + _devices(standing) <= where.gpus:
        return Placement(where, (_step([*served, *standing], where),), unserved, ())
    notes: list[str] = []
    steps: list[Step] = []
    room = where.gpus - _devices(live)
    if any((one.devices or 0) > room for one in served):
        notes += [
            f"{' and '.join(one.names)} ({one.devices} devices): must answer while models are asked, and there is no "
            "room beside each of them; serve it on another machine (simulator.base_url=URL)."
            for one in live
        ]
    group: list[PlacedServer] = []
    for one in served:
        beside = (one.devices or 0) <= room
        if group and (not beside or _devices([*group, one]) > room):
            steps.append(_step([*group, *live], where))
            group = []
        if beside:
            group.append(one)
        else:
            steps.append(_step([one], where, live))
    if group:
        steps.append(_step([*group, *live], where))
    if later:
        steps.append(_step(later, where))
        notes.append("The judge comes last: evalsuite judge run=ID judge=NAME grades what is stored by then.")
    return Placement(where, tuple(steps), unserved, tuple(notes))


def commands(step: Step, where: Machine) -> list[tuple[PlacedServer, str]]:
    """Launch commands of a step, each with its own devices where several servers share the machine."""
    found: list[tuple[PlacedServer, str]] = []
    begin = 0
    for one in step.servers:
        end = begin + (one.devices or 0)
        shared = len(step.servers) > 1 and end <= where.gpus
        chosen = f"{where.devices_variable}={','.join(map(str, range(begin, end)))} " if shared else ""
        found.append((one, f"{chosen}{one.command}" if one.command else ""))
        begin = end
    return found


def _precision_class(precision: str) -> str | None:
    """``bf16``, ``fp8`` or ``fp4`` of a model's ``precision``; None for anything else."""
    return next((kind for kind, prefix in (("bf16", "bf16"), ("fp8", "fp8"), ("fp4", "nvfp4"), ("fp4", "fp4"))
                 if precision.startswith(prefix)), None)  # fmt: skip


def devices_for(model: Model, where: Machine) -> tuple[int | None, str]:
    """(devices, where the number is from); (None, why not)."""
    kind = _precision_class(model.precision)
    if kind == "fp4" and not where.fp4:
        return None, f"FP4 is not served on {where.title} by any source (it needs Blackwell)"
    base = where.model.rpartition("/")[2]
    stated = where.tensor_parallel.get(kind or "") if base and base in model.checkpoint else None
    if stated is not None:
        return stated, where.source
    weights = model.launch.weights_gb
    if weights is None:
        return None, f"the size of {model.checkpoint} is not stated: add launch.weights_gb to its file"
    count = 1
    while weights / count > FILLED * where.memory_gb:
        count *= 2
    return count, f"estimated: {weights:g} GB of weights in {100 * FILLED:.0f} % of the memory"


def _server(names: tuple[str, ...], model: Model, where: Machine) -> PlacedServer:
    devices, origin = devices_for(model, where)
    return PlacedServer(names, model.checkpoint, devices, origin, _command(model, devices, where))


def _aide_servers(aides: Mapping[str, Model], where: Machine) -> list[PlacedServer]:
    """One server per address: judge and simulator may be the same."""
    by_server: dict[tuple[str, str], list[str]] = {}
    for who, aide in aides.items():
        by_server.setdefault((aide.checkpoint, str(aide.base_url)), []).append(who)
    return [_server(tuple(who), aides[who[-1]], where) for who in by_server.values()]


def _command(model: Model, devices: int | None, where: Machine) -> str:
    """The model's own command with this machine's number of devices, and what its sources add for it."""
    if devices is None or not model.launch.command:
        return model.launch.command
    text = re.sub(r"(--(?:tensor|expert)-parallel-size) \S+", rf"\g<1> {devices}", model.launch.command)
    flags = list(where.launch_flags.get(_precision_class(model.precision) or "", ()))
    missing = bool(flags) and flags[0] not in text and "sglang" in text
    return " ".join([text, *flags]) if missing else text


def _devices(servers: Sequence[PlacedServer]) -> int:
    return sum(one.devices or 0 for one in servers)


def _step(servers: Sequence[PlacedServer], where: Machine, elsewhere: Sequence[PlacedServer] = ()) -> Step:
    return Step(tuple(servers), max(1, ceil(_devices(servers) / where.gpus)), tuple(elsewhere))


def node_hours(placement: Placement, hours: Mapping[str, float], simulated: Mapping[str, float]) -> float | None:
    """Machines x hours of all steps; a step lasts as long as its slowest model. None where a model's hours are unknown.

    ``hours``: model -> hours of its endpoint; ``simulated``: of which a simulator must answer. The judge's own time is
    not known and not counted.
    """
    total = 0.0
    for step in placement.steps:
        asked = [name for one in step.servers if not one.aide for name in one.names]
        if any(name not in hours for name in asked):
            return None
        longest = max((hours[name] for name in asked), default=0.0)
        aside = max((simulated.get(name, 0.0) for name in asked), default=0.0)
        machines = sum(max(1, ceil((one.devices or 0) / placement.machine.gpus)) for one in step.elsewhere)
        total += longest * step.machines + aside * machines
    return total
