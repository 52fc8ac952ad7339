"""What the facts of each server dialect are about: the model's identity, its precision, or nothing that matters.

The tables are ``facts`` in ``conf/server/<dialect>.yaml``. Names there are the server's own; ``*`` stands for any text.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from evalsuite.config.files import read_yaml
from evalsuite.config.paths import shipped

KINDS = ("identity", "precision", "idle")
_COMMON: Mapping[str, tuple[str, ...]] = {
    "identity": ("file.*",),
    "precision": (),
    "idle": (
        *("base_url", "served_name", "served_model_name", "owned_by", "host", "port", "*_port", "*_ports"),
        *("random_seed", "random_state", "uptime*", "pid", "*_pid", "start_time", "*timestamp*", "status", "object"),
        *("created", "id", "permission", "*log_*", "*_logging*", "quantized_layers*"),
        *("probe_finish", "probe_model", "probe_thinks", "probe_tools", "probe_tools_streamed"),
    ),
}
"""For every dialect. The last idle ones are answers to test questions, which sampling changes."""


@dataclass(frozen=True, slots=True)
class FactTable:
    """Which facts of a server are about what."""

    identity: re.Pattern[str]
    """Equal in all precisions of one model, unequal in two models: another value means another model."""
    precision: re.Pattern[str]
    """Expected to differ between two precisions of one model."""
    idle: re.Pattern[str]
    """May differ between two processes of one server, and change no answer."""

    def known(self, name: str) -> bool:
        """Whether a fact is about the identity or the precision of the model."""
        return bool(self.identity.fullmatch(name) or self.precision.fullmatch(name))


def fact_table(dialects: Iterable[str], *others: Mapping[str, Any]) -> FactTable:
    """One table from the common one, those of ``dialects`` (shipped files; others have none) and ``others`` (kind ->
    patterns)."""
    tables = [_COMMON, *(shipped_facts(dialect) for dialect in sorted(set(dialects))), *others]
    merged = {kind: tuple(dict.fromkeys(name for table in tables for name in table.get(kind) or ())) for kind in KINDS}
    return FactTable(*(_pattern(merged[kind]) for kind in KINDS))


@cache
def shipped_facts(dialect: str) -> Mapping[str, list[str]]:
    """``facts`` of ``conf/server/<dialect>.yaml`` as shipped: kind -> patterns of names; empty if there is no such
    file.

    Kinds are ``identity``, ``precision`` and ``idle``; in a pattern ``*`` stands for any text.
    """
    path = shipped("conf") / "server" / f"{dialect}.yaml"
    if not path.is_file():
        return {}
    found: Mapping[str, list[str]] = read_yaml(path).get("facts") or {}
    return found


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for name in names) or r"(?!)")
