"""What differs between two arms besides the weights: every fact that their servers state.

Pure functions on manifests; ``analysis.comparability`` refuses comparisons by them, and reports list them on the first
screen.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalsuite.endpoint.identity.fact_tables import FactTable, fact_table
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
NUMERIC = frozenset(
    {
        "server_version",
        "kv_cache_dtype",
        "ssm_dtype",
        "speculative",
        "speculative_tokens",
        "prefix_cache",
        "attention_backend",
        "moe_backend",
        "fp4_gemm_backend",
        "tensor_parallel",
        "expert_parallel",
        "pipeline_parallel",
    }
)
"""What is known to change the numbers of a checkpoint."""
_NOT_SET = "not set"
_NULL_MEANS: Mapping[str, str] = {
    **dict.fromkeys(NUMERIC - {"server_version", "speculative_tokens"}, _NOT_SET),
    "speculative": "off",
}
"""What a server means that states a setting as null (``speculative_algorithm: null``) instead of not at all."""
SOURCES = frozenset(source for sources in CANONICAL.values() for source in sources)


@dataclass(frozen=True, slots=True)
class Difference:
    """One server fact that is not the same in both arms."""

    name: str
    baseline: str
    """As text; several values of one arm (it was restarted in between) joined by `` then ``."""
    candidate: str
    kind: Kind
    """``refuses``: the arms were asked different questions; ``confounder``: it may have caused the delta;
    ``expected``: it is what is compared."""


def differing_facts(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Every fact whose values differ between the servers of two manifests; idle ones, which change no answer, and what
    one side does not state, are left out.

    What refuses comes first, then confounders under their canonical names, then other confounders, then what is
    expected to differ. Between different dialects only the dialect, canonical facts and those of files and probes are
    compared, and none that a server states as ``not set``.
    """
    table = _table(baseline, candidate)
    old, new = (_stated(manifest, table) for manifest in (baseline, candidate))
    one_dialect = old.get("dialect") == new.get("dialect")
    found = []
    for name in [*CANONICAL, *sorted({*old, *new} - CANONICAL.keys())]:
        if name not in old or name not in new or old[name] == new[name]:
            continue
        if not one_dialect and _NOT_SET in (*old[name], *new[name]):  # the default of another server
            continue
        expected = name in EXPECTED or table.precision.fullmatch(name)
        kind: Kind = "refuses" if name in REFUSING else "expected" if expected else "confounder"
        if one_dialect or name in CANONICAL or name == "dialect" or name.startswith(("file.", "probe_")):
            found.append(Difference(name, " then ".join(old[name]), " then ".join(new[name]), kind))
    order = ("refuses", "confounder", "expected")
    return tuple(sorted(found, key=lambda difference: order.index(difference.kind)))


def differing(baseline: Mapping[str, Any], candidate: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
    """The differences between two manifests in the facts ``names`` (canonical where they have such a name), as ``name
    baseline → candidate``; empty if there are none."""
    found = differing_facts(baseline, candidate)
    return tuple(f"{fact.name} {fact.baseline} → {fact.candidate}" for fact in found if fact.name in names)


def stated(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Fact -> value, as text, of every fact that the servers of a cell state, under its canonical name if it has one;
    several different values are joined by `` then ``. Idle facts are left out, and null ones unless null means
    something (``not set``, ``off``)."""
    return {name: " then ".join(values) for name, values in _stated(manifest, _table(manifest)).items()}


def other_model(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Facts that show that two ``server`` entries of manifests are of two models, as ``name: before -> now``: those
    that differ and that the fact tables list under ``identity``, but none of files.

    Empty if there are none, or the dialects differ.
    """
    if before.get("facts", {}).get("dialect") != now.get("facts", {}).get("dialect"):
        return []
    table = _table({"server": [before]}, {"server": [now]})
    return [
        f"{difference.name}: {difference.baseline} -> {difference.candidate}"
        for difference in differing_facts({"server": [before]}, {"server": [now]})
        if table.identity.fullmatch(difference.name) and not difference.name.startswith("file.")
    ]


def learnable(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of facts that differ between two ``server`` entries and of which nothing is known: neither canonical, nor
    in a table, nor ``dialect``, nor an answer to a test question (``probe_...``).

    What one entry does not state is left out; empty between different dialects. Fingerprints are not compared: where
    the caller found both entries to be of one server, these facts change without any effect (they are idle).
    """
    table = _table({"server": [before]}, {"server": [now]})
    return [
        difference.name
        for difference in differing_facts({"server": [before]}, {"server": [now]})
        if difference.kind == "confounder"
        and difference.name not in CANONICAL
        and difference.name != "dialect"
        and not difference.name.startswith("probe_")
        and not table.known(difference.name)
    ]


def changes_within(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Facts that changed between the servers that answered one cell, as ``name: old then new``; empty if none did."""
    stated = _stated(manifest, _table(manifest))
    return tuple(f"{name}: {' then '.join(values)}" for name, values in stated.items() if len(values) > 1)


def server_warnings(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Warnings about the servers of one cell, one sentence each: another server took its place for a time, or checks
    could not decide whether it changed. Empty if there are none.
    """
    lines = []
    for entry in manifest.get("server") or ():
        probes = entry.get("probes") or ()
        for probe in probes:
            if probe.get("verdict") == "changed":
                lines.append(
                    f"between {probe.get('since')} and {probe.get('at')} another server took this one's place; "
                    f"{probe.get('put_aside')} attempts of that time do not count"
                )
        unsure = sum(probe.get("verdict") == "cannot tell" for probe in probes)
        if unsure:
            lines.append(f"{unsure} of {len(probes)} checks during the run could not decide whether the server changed")
    return tuple(lines)


def _table(*manifests: Mapping[str, Any]) -> FactTable:
    """One fact table of the dialects and servers of some manifests, and of what was learnt to be ``idle`` during their
    runs."""
    entries = [entry for manifest in manifests for entry in manifest.get("server") or ()]
    dialects = {str((entry.get("facts") or {}).get("dialect")) for entry in entries}
    own = [entry["fact_table"] for entry in entries if entry.get("fact_table")]
    learnt: Iterable[str] = (name for manifest in manifests for name in manifest.get("idle") or ())
    return fact_table(dialects, *own, {"idle": list(learnt)})


def _stated(manifest: Mapping[str, Any], table: FactTable) -> dict[str, list[str]]:
    """Fact -> its different values, as text, in the order in which the cell's servers stated them; idle facts left out.

    Facts that have a canonical name stand under that alone. A null is left out, or stated as ``not set`` or ``off``
    where it means that.
    """
    found: dict[str, list[str]] = {}
    entries: Sequence[Mapping[str, Any]] = manifest.get("server") or ()
    for entry in entries:
        raw = entry.get("facts") or {}
        facts = {name: value for name, value in raw.items() if name not in SOURCES and not table.idle.fullmatch(name)}
        for name, value in {**facts, **_nulls(raw), **canonical(raw)}.items():
            if value is not None:
                values = found.setdefault(name, [])
                if str(value) not in values:
                    values.append(str(value))
    return found


def _nulls(raw: Mapping[str, Any]) -> dict[str, str]:
    """Canonical name -> what null means (``not set``, ``off``), for those settings of ``_NULL_MEANS`` that a server
    states as null, itself or as part of an object that is null (vLLM's ``speculative_config``)."""

    def null(source: str) -> bool:
        parts = source.split(".")
        names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return any(name in raw and raw[name] is None for name in names)

    return {name: word for name, word in _NULL_MEANS.items() if any(map(null, CANONICAL[name]))}
