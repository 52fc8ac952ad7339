"""The ``tasks`` command: lists of benchmarks, models and suites, shipped and the user's own."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalsuite.config import paths
from evalsuite.config.address import shown_url, shown_urls
from evalsuite.config.files import GUEST, ConfigSource, config_source, read_yaml
from evalsuite.config.settings import Run
from evalsuite.errors import Exit
from evalsuite.report.console import Column, Table, show, standard_output

_ADDRESS = re.compile(r"\$\{oc\.env:(\w+),(.*)\}")


def tasks(settings: Run) -> Exit:
    """Print three tables; raises ``BadInput`` when a file of the user's folder is not valid YAML."""
    source = config_source("run", Run, (), settings.config_dir)
    show([benchmarks(source), models(source), suites(source)], "", standard_output())
    return Exit.DONE


def benchmarks(source: ConfigSource) -> Table:
    """One row for every ``conf/task`` file, with facts of ``tasks/<name>/card.yaml``."""
    columns = (
        Column("task=", number=False),
        Column("benchmark", number=False),
        Column("version", number=False, essential=False),
        Column("items"),
        Column("variants, the default first", number=False),
        Column("data", number=False, essential=False),
        Column("licence", number=False, essential=False),
        Column("needs", number=False),
    )
    return Table("Benchmarks", columns, tuple(_benchmark(source, name) for name in source.options("task")))


def models(source: ConfigSource) -> Table:
    """One row for every ``conf/model`` file."""
    columns = (
        Column("model=", number=False),
        Column("checkpoint", number=False),
        Column("precision", number=False, essential=False),
        Column("baseline", number=False),
        Column("served at", number=False, essential=False),
    )
    rows = []
    for name in source.options("model"):
        model = read_yaml(source.file(f"model/{name}"))
        cells = [str(model.get(key) or "") for key in ("checkpoint", "precision", "baseline")]
        urls = model.get("base_url") or ""
        listed = urls if isinstance(urls, list) else [urls]
        rows.append((name, *cells, ", ".join(_address(str(url)) for url in listed)))
    return Table("Models", columns, tuple(rows), ("Another address: the variable, or models.NAME.base_url=URL.",))


def suites(source: ConfigSource) -> Table:
    """One row for every ``conf/suite`` file."""
    columns = (Column("suite=", number=False), Column("tasks", number=False), Column("models", number=False))
    rows = []
    for name in source.options("suite"):
        defaults = read_yaml(source.file(f"suite/{name}")).get("defaults") or []
        chosen = {
            key.split("/")[-1]: value for entry in defaults if isinstance(entry, dict) for key, value in entry.items()
        }
        rows.append((name, _names(chosen.get("task")), _names(chosen.get("model")) or "model=NAME"))
    return Table("Suites", columns, tuple(rows))


def _benchmark(source: ConfigSource, name: str) -> tuple[str, ...]:
    task = read_yaml(source.file(f"task/{name}"))
    card_file = paths.shipped("tasks") / name / "card.yaml"
    card = read_yaml(card_file) if card_file.is_file() else {}
    default = str(task.get("variant", ""))
    variants = [default, *(variant for variant in card.get("variants") or {} if variant != default)]
    adapter = str(task.get("adapter", ""))
    return (
        f"{GUEST}NAME" if name == GUEST[:-1] else name,
        str(card.get("title") or ("any generate_until task of lm-eval" if adapter == "lm_eval" else adapter)),
        str(card.get("version", "")),
        f"{card['items']:,}" if isinstance(card.get("items"), int) else "",
        ", ".join(variants),
        str((card.get("dataset") or {}).get("uri", "")).removeprefix("https://"),
        str(card.get("license", "")),
        ", ".join(_needs(card)),
    )


def _needs(card: Mapping[str, Any]) -> Iterator[str]:
    if card.get("gated"):
        yield "an accepted licence (gated)"
    yield from (str(need) for need in card.get("needs") or [])


def _names(chosen: Any) -> str:
    return ", ".join(map(str, chosen)) if isinstance(chosen, list) else str(chosen or "")


def _address(base_url: str) -> str:
    match = _ADDRESS.fullmatch(base_url)
    return f"${match[1]}, else {shown_url(match[2])}" if match else shown_urls(base_url)
