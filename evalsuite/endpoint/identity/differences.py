"""What differs between two arms beside the weights: every server fact, and the prompts' lengths in tokens.

Pure functions on manifests and rows; ``comparable.py`` refuses by them and the reports list them on the first screen.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalsuite.endpoint.identity.facts import CANONICAL, canonical

Kind = Literal["refuses", "confounder", "expected"]

EXPECTED = frozenset(
    {
        "checkpoint",
        "revision",
        "quantization",
        "weight_version",
        "tokenizer",
        "file.config.json",
        "file.hf_quant_config.json",
        "file.model.safetensors.index.json",
        "file.quantization",
        "file.quantizer",
    }
)
"""What is under test: two precisions differ here by their nature."""
REFUSING = frozenset({"chat_template", "file.tokenizer", "file.chat_template"})
"""What makes another question of the same messages."""
IDLE = re.compile(
    r"^(base_url|served_name|served_model_name|owned_by|host|port|.*_port|.*_ports|nccl_.*|dist_init_addr|node_rank|"
    r"random_seed|random_state|uptime.*|pid|.*_pid|start_time|.*timestamp.*|status|object|created|id|permission|"
    r"internal_states.*|last_.*|num_.*reqs|.*log_.*|.*_logging.*|load_.*|download_dir|model_loader_.*|base_gpu_id|"
    r"default_generation_settings\.(id|id_task|is_processing|prompt).*|probe_model|quantized_layers.*|"
    r"vllm_config\.(instance_id|model_config\.(model|tokenizer|served_model_name|seed)).*)$"
)
"""Facts that two servers of one model differ in, and that change no answer."""
SOURCES = frozenset(source for sources in CANONICAL.values() for source in sources)


@dataclass(frozen=True, slots=True)
class Difference:
    """One server fact that is not the same in both arms."""

    name: str
    baseline: str
    """As text; several values of one arm (it was served anew in between) joined by `` then ``."""
    candidate: str
    kind: Kind
    """``refuses``: the arms were asked different questions; ``confounder``: the delta may be its doing; ``expected``:
    it is what is compared."""


def differing_facts(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every fact that the servers of two manifests state differently; what one side does not state is not listed.

    What refuses comes first, then confounders under their canonical names, then further facts of servers of one
    dialect, then what is expected to differ.
    """
    old, new = (_stated(manifest) for manifest in (baseline, candidate))
    one_dialect = old.get("dialect") == new.get("dialect")
    found = []
    for name in [*CANONICAL, *sorted({*old, *new} - CANONICAL.keys())]:
        if name not in old or name not in new or old[name] == new[name]:
            continue
        kind: Kind = "refuses" if name in REFUSING else "expected" if name in EXPECTED else "confounder"
        if one_dialect or name in CANONICAL or name == "dialect" or name.startswith(("file.", "probe_")):
            found.append(Difference(name, " then ".join(old[name]), " then ".join(new[name]), kind))
    order = ("refuses", "confounder", "expected")
    return tuple(sorted(found, key=lambda one: order.index(one.kind)))


def changes_within(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Facts that changed between the servers that answered one cell, as ``name: old then new``."""
    return tuple(f"{name}: {' then '.join(values)}" for name, values in _stated(manifest).items() if len(values) > 1)


def strangers(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader must know of the servers of one cell: another one was found among them, or nobody could tell."""
    lines = []
    for entry in manifest.get("server") or ():
        probes = entry.get("probes") or ()
        for probe in probes:
            if probe.get("verdict") == "changed":
                lines.append(
                    f"between {probe.get('since')} and {probe.get('at')} another server took this one's place; "
                    f"{probe.get('put_aside')} attempts of that time are put aside"
                )
        unsure = sum(probe.get("verdict") == "cannot tell" for probe in probes)
        if unsure:
            lines.append(f"{unsure} of {len(probes)} probes while it ran could not tell whether it was the same server")
    return tuple(lines)


def _stated(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """Fact -> its values in the order in which the cell's servers stated them, as text."""
    found: dict[str, list[str]] = {}
    entries: Sequence[Mapping[str, Any]] = manifest.get("server") or ()
    for entry in entries:
        raw = entry.get("facts") or {}
        facts = {name: value for name, value in raw.items() if name not in SOURCES and not IDLE.fullmatch(name)}
        for name, value in {**facts, **canonical(raw)}.items():
            if value is not None:
                values = found.setdefault(name, [])
                if str(value) not in values:
                    values.append(str(value))
    return found
