"""Decides which models fit side by side on one machine with judge and simulator, or in which order they are served.

The number of devices for a copy of Qwen3.5-397B-A17B is that of the sources (``conf/hardware``). For other checkpoints
it is estimated as the smallest power of two of devices that holds the weights in 80 % of its memory. This rule gives 19
of the 20 numbers of the sources; for FP4 on B200 it gives two and the source four.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from evalsuite.config.files import ConfigSource, read_yaml
from evalsuite.config.settings import DEMO, Model
from evalsuite.errors import BadInput, unknown_name

_MOST_DEVICES = 1_000_000
MAX_MEMORY_SHARE = 0.8
"""Fraction of a device's memory that weights may take when no source states the number of devices."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One node as plain data."""

    name: str
    """Name of its file."""
    title: str
    """Title for reports."""
    gpus: int
    """Number of devices."""
    memory_gb: float
    """Memory of one device in GB."""
    model: str
    """Model for which the numbers of devices are stated."""
    tensor_parallel: Mapping[str, int | None]
    """``bf16``, ``fp8``, ``fp4`` -> devices for one copy of that model; None where none is stated."""
    launch_flags: Mapping[str, Sequence[str]]
    """Precision class -> flags that the launch command needs on this machine."""
    devices_variable: str
    """Environment variable that selects devices."""
    source: str
    """Where the numbers come from."""

    @property
    def fp4(self) -> bool:
        """Whether the machine's file states a number of devices for FP4, so that FP4 can be served on it."""
        return self.tensor_parallel.get("fp4") is not None


@dataclass(frozen=True, slots=True)
class PlacedServer:
    """One checkpoint as it would be served on this machine."""

    names: tuple[str, ...]
    """Keys of the models, ``judge`` or ``simulator`` that it serves."""
    checkpoint: str
    """The checkpoint."""
    devices: int | None
    """Number of devices; None when it cannot be served on this machine or its size is unknown (``origin`` states
    which)."""
    origin: str
    """Where the number comes from, or why there is none."""
    command: str
    """Launch command; empty without one."""

    @property
    def is_auxiliary(self) -> bool:
        """Whether it serves only as judge or simulator, by its names."""
        return set(self.names) <= {"judge", "simulator"}


@dataclass(frozen=True, slots=True)
class Step:
    """Servers that run at the same time."""

    servers: tuple[PlacedServer, ...]
    """The servers on the machine."""
    machines: int
    """Number of machines for them."""
    elsewhere: tuple[PlacedServer, ...] = ()
    """Judge or simulator that must run during this step but does not fit: each needs a machine of its own."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How all servers are placed on a machine."""

    machine: Machine
    """The machine."""
    steps: tuple[Step, ...]
    """The steps, in order."""
    unserved: tuple[PlacedServer, ...]
    """Servers that cannot be served on this machine."""
    notes: tuple[str, ...]
    """Warnings."""

    @property
    def side_by_side(self) -> bool:
        """Whether all models run at the same time on one machine, with judge and simulator; False when no server is
        placed.
        """
        (first, *others) = self.steps or (None,)
        return first is not None and not others and first.machines == 1 and not first.elsewhere and not self.unserved


def read_machine(name: str, source: ConfigSource) -> Machine:
    """Read the machine of ``hardware/<name>.yaml`` from ``source``; a file of the user with this name comes before the
    shipped one.

    Raises ``BadInput`` when it is unknown or wrong.
    """
    names = source.options("hardware")
    if name not in names:
        raise unknown_name("hardware", name, names, "Your own: --config-dir DIR with hardware/NAME.yaml.")
    file = source.file(f"hardware/{name}")
    try:
        content = read_yaml(file)
        parallel, flags = dict(content["tensor_parallel"]), dict(content.get("launch_flags") or {})
        gpus, memory = content["gpus"], content["memory_gb"]
        counts = [gpus, *(count for count in parallel.values() if count is not None)]
        if not all(type(count) is int and 0 < count <= _MOST_DEVICES for count in counts):
            raise ValueError("gpus and the values of tensor_parallel must be numbers of devices, such as 8")
        if isinstance(memory, bool) or not 0 < memory < 1e9:
            raise ValueError("memory_gb must be above 0")
        if not all(
            isinstance(words, list) and all(isinstance(word, str) for word in words) for words in flags.values()
        ):
            raise ValueError("the values of launch_flags must be lists of texts")
        return Machine(
            name,
            str(content["title"]),
            gpus,
            float(memory),
            str(content.get("model", "")),
            parallel,
            flags,
            str(content.get("devices_variable", "CUDA_VISIBLE_DEVICES")),
            " ".join(str(content.get("source", "not stated")).split()),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{file} is no machine (title, gpus, memory_gb, tensor_parallel ...): {error}") from None


def place_servers(models: Mapping[str, Model], auxiliaries: Mapping[str, Model], machine: Machine) -> Placement:
    """Place ``models`` (in this order) and ``auxiliaries`` (``judge``, ``simulator``), name -> settings, on a machine:
    all in one step if they fit, else models in one or more steps and the judge in a last one. A model larger than the
    machine gets a step of its own on several machines.

    The simulator must run while a model is evaluated; where it does not fit next to a model, it needs a machine of its
    own (``Step.elsewhere``). The judge may run afterwards (``evalsuite judge``), unless its server is the simulator's.
    Demo models need no server. What cannot be served, or has an unknown size, is listed as unserved. Where no model is
    placed, no simulator is either.
    """
    model_servers = [_server((name,), model, machine) for name, model in models.items() if model.base_url != DEMO]
    auxiliary_servers = _auxiliary_servers(auxiliaries, machine)
    unserved = tuple(server for server in (*model_servers, *auxiliary_servers) if server.devices is None)
    placed = [server for server in model_servers if server.devices is not None]
    placed_auxiliaries = [server for server in auxiliary_servers if server.devices is not None]
    simulators = [server for server in placed_auxiliaries if "simulator" in server.names]
    judges = [server for server in placed_auxiliaries if server not in simulators]
    if placed and _devices(placed) + _devices(placed_auxiliaries) <= machine.gpus:
        return Placement(machine, (_step([*placed, *placed_auxiliaries], machine),), unserved, ())
    notes: list[str] = []
    steps: list[Step] = []
    room = machine.gpus - _devices(simulators)
    if any((server.devices or 0) > room for server in placed):
        notes += [
            f"{' and '.join(server.names)} ({server.devices} devices): must answer while models are asked; there is "
            "no room for it beside each of them; serve it on another machine (simulator.base_url=URL)."
            for server in simulators
        ]
    group: list[PlacedServer] = []
    for server in placed:
        fits = (server.devices or 0) <= room
        if group and (not fits or _devices([*group, server]) > room):
            steps.append(_step([*group, *simulators], machine))
            group = []
        if fits:
            group.append(server)
        else:
            steps.append(_step([server], machine, simulators))
    if group:
        steps.append(_step([*group, *simulators], machine))
    if judges:
        steps.append(_step(judges, machine))
        notes.append("The judge comes last: evalsuite judge run=ID judge=NAME grades what is stored by then.")
    return Placement(machine, tuple(steps), unserved, tuple(notes))


def commands(step: Step, machine: Machine) -> list[tuple[PlacedServer, str]]:
    """Return (server, launch command) for each server of a step on the machine, not those elsewhere; the command is
    empty when unknown, and selects the server's own devices by an environment variable when several share the machine.
    """
    launches: list[tuple[PlacedServer, str]] = []
    begin = 0
    for server in step.servers:
        end = begin + (server.devices or 0)
        shared = len(step.servers) > 1 and end <= machine.gpus
        prefix = f"{machine.devices_variable}={','.join(map(str, range(begin, end)))} " if shared else ""
        launches.append((server, f"{prefix}{server.command}" if server.command else ""))
        begin = end
    return launches


def _precision_class(precision: str) -> str | None:
    """Return ``bf16``, ``fp8`` or ``fp4`` for a model's ``precision`` (lower case) by its beginning; None for any
    other, such as ``fp16``. ``nvfp4`` and ``nvfp4_v2`` are ``fp4``.
    """
    return next((kind for kind, prefix in (("bf16", "bf16"), ("fp8", "fp8"), ("fp4", "nvfp4"), ("fp4", "fp4"))
                 if precision.startswith(prefix)), None)  # fmt: skip


def devices_for(model: Model, machine: Machine) -> tuple[int | None, str]:
    """Return (number of devices for one copy of the model, source of the number: stated or estimated from the size of
    the weights); (None, reason) for FP4 where the machine states no number for FP4, and for a size that is needed and
    unknown.
    """
    kind = _precision_class(model.precision)
    if kind == "fp4" and not machine.fp4:
        return None, f"FP4 is not served on {machine.title} by any source (it needs Blackwell)"
    base = machine.model.rpartition("/")[2]
    stated = machine.tensor_parallel.get(kind or "") if base and base in model.checkpoint else None
    if stated is not None:
        return stated, machine.source
    weights = model.launch.weights_gb
    if weights is None:
        return None, f"the size of {model.checkpoint} is not stated: add launch.weights_gb to its file"
    count = 1
    while weights / count > MAX_MEMORY_SHARE * machine.memory_gb:
        count *= 2
    return count, f"estimated: {weights:g} GB of weights in {100 * MAX_MEMORY_SHARE:.0f} % of the memory"


def _server(names: tuple[str, ...], model: Model, machine: Machine) -> PlacedServer:
    devices, origin = devices_for(model, machine)
    return PlacedServer(names, model.checkpoint, devices, origin, _command(model, devices, machine))


def _auxiliary_servers(auxiliaries: Mapping[str, Model], machine: Machine) -> list[PlacedServer]:
    """Return one server per checkpoint and address, because judge and simulator may be the same (then with the
    settings of the last role). ``auxiliaries``: role -> settings.
    """
    by_server: dict[tuple[str, str], list[str]] = {}
    for roles, auxiliary in auxiliaries.items():
        by_server.setdefault((auxiliary.checkpoint, str(auxiliary.base_url)), []).append(roles)
    return [_server(tuple(roles), auxiliaries[roles[-1]], machine) for roles in by_server.values()]


def _command(model: Model, devices: int | None, machine: Machine) -> str:
    """Return the model's launch command for ``devices`` devices on this machine; unchanged without devices, empty
    without a command.

    The numbers after ``--tensor-parallel-size`` and ``--expert-parallel-size`` and a space become ``devices``; the
    former flag is added where it is missing, for several devices and SGLang or vLLM. The machine's flags for the
    precision are added to a command with the word ``sglang`` that does not have the first of them.
    """
    if devices is None or not model.launch.command:
        return model.launch.command
    text = re.sub(r"(--(?:tensor|expert)-parallel-size) \S+", rf"\g<1> {devices}", model.launch.command)
    if devices > 1 and "--tensor-parallel-size" not in text and model.server.dialect in ("sglang", "vllm"):
        text += f" --tensor-parallel-size {devices}"
    flags = list(machine.launch_flags.get(_precision_class(model.precision) or "", ()))
    missing = bool(flags) and flags[0] not in text and "sglang" in text
    return " ".join([text, *flags]) if missing else text


def _devices(servers: Sequence[PlacedServer]) -> int:
    return sum(server.devices or 0 for server in servers)


def _step(servers: Sequence[PlacedServer], machine: Machine, elsewhere: Sequence[PlacedServer] = ()) -> Step:
    return Step(tuple(servers), max(1, ceil(_devices(servers) / machine.gpus)), tuple(elsewhere))


def node_hours(placement: Placement, hours: Mapping[str, float], simulated: Mapping[str, float]) -> float | None:
    """Return machines x hours of all steps; None when a model's hours are unknown.

    A step lasts as long as its slowest model. ``hours``: model -> hours of its endpoint. ``simulated``: model -> the
    part of these hours in which a simulator must run; the longest of a step counts for each machine that a simulator
    outside the step's machine needs (``Step.elsewhere``). The judge's time is not known and not counted.
    """
    total = 0.0
    for step in placement.steps:
        models = [name for server in step.servers if not server.is_auxiliary for name in server.names]
        if any(name not in hours for name in models):
            return None
        longest = max((hours[name] for name in models), default=0.0)
        simulator_hours = max((simulated.get(name, 0.0) for name in models), default=0.0)
        machines = sum(max(1, ceil((server.devices or 0) / placement.machine.gpus)) for server in step.elsewhere)
        total += longest * step.machines + simulator_hours * machines
    return total
