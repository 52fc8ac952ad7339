"""The ``tasks`` command: lists of what can be named on a command line, shipped and the user's own.

One list for every group of files: benchmarks, models, suites, cards, gates, judges, simulators and machines. The tables
show the fields of the JSON document.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalsuite.cli.json_output import Content
from evalsuite.config import paths
from evalsuite.config.address import shown_urls
from evalsuite.config.files import GUEST, ConfigSource, config_source, read_yaml
from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import Column, Table, show, standard_output

_ADDRESS = re.compile(r"\$\{oc\.env:(\w+),(.*)\}")

Entry = Mapping[str, Any]
"""The facts of one file, by their names in the JSON document."""


def tasks(settings: Run) -> Exit:
    """Print one table for each kind of name (benchmarks, models, suites ...), shipped and the user's; returns ``DONE``.

    Raises ``BadInput`` when the user's folder does not exist or holds a ``run.yaml`` or ``report.yaml``, and for a file
    in it that is not valid YAML or has values of another form.
    """
    lists = _lists(settings)
    shown = [
        Table(title, columns, tuple(_row(columns, entry) for entry in lists[kind]), notes)
        for kind, (title, columns, notes) in _TABLES.items()
    ]
    show(shown, "", standard_output())
    return Exit.DONE


def tasks_json(settings: Run) -> Content:
    """The same lists as (``DONE``, kind -> entries), the content of the document of ``output=json``. Raises as
    ``tasks`` does.
    """
    return Exit.DONE, _lists(settings)


def _lists(settings: Run) -> dict[str, list[Entry]]:
    """Kind (``tasks``, ``models``, ``suites`` ...) -> its entries sorted by name, read from all
    configuration folders.
    """
    source = config_source("run", Run, (), settings.config_dir)
    readers = {
        "tasks": ("task", _benchmark),
        "models": ("model", _model),
        "suites": ("suite", _suite),
        "cards": ("card", _card),
        "gates": ("gate", _gate),
        "judges": ("judge", _model),
        "simulators": ("simulator", _model),
        "hardware": ("hardware", _machine),
    }
    return {
        kind: [_entry(name, source.file(f"{group}/{name}"), read) for name in _names(source, group)]
        for kind, (group, read) in readers.items()
    }


def _entry(name: str, file: Path, read: Callable[[str, Entry], Entry]) -> Entry:
    """The entry of ``file``: ``name``, and over it the facts that ``read`` returns for the name and the file's mapping.

    Raises ``BadInput`` for a file that cannot be read, or has a list where a mapping belongs or the like.
    """
    content = read_yaml(file)
    try:
        return {"name": name, **read(name, content)}
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"{file}: a value has another form than such a file needs ({error})") from None


def _names(source: ConfigSource, group: str) -> list[str]:
    """The names of a group's files, sorted, without ``judge=later``, which stands for no judge."""
    return [name for name in source.options(group) if (group, name) != ("judge", "later")]


def _benchmark(name: str, task: Entry) -> Entry:
    """The entry of a benchmark: its file in ``conf/task`` (``task``) with the facts of
    ``tasks/<name>/card.yaml``, if any.
    """
    card_file = paths.shipped("tasks") / name / "card.yaml"
    card = read_yaml(card_file) if card_file.is_file() else {}
    default, adapter = str(task.get("variant", "")), str(task.get("adapter", ""))
    return {
        "name": f"{GUEST}NAME" if name == GUEST[:-1] else name,
        "title": str(card.get("title") or ("any generate_until task of lm-eval" if adapter == "lm_eval" else adapter)),
        "version": str(card.get("version", "")),
        "items": card["items"] if isinstance(card.get("items"), int) else None,
        "variants": [default, *(variant for variant in card.get("variants") or {} if variant != default)],
        "data": str((card.get("dataset") or {}).get("uri", "")),
        "licence": str(card.get("license", "")),
        "gated": bool(card.get("gated")),
        "needs": list(_needs(card)),
    }


def _needs(card: Entry) -> Iterator[str]:
    if card.get("gated"):
        yield "an accepted licence (gated)"
    yield from (str(need) for need in card.get("needs") or [])


def _model(name: str, model: Entry) -> Entry:
    urls = model.get("base_url") or ""
    listed = urls if isinstance(urls, list) else [urls]
    texts = {key: str(model.get(key) or "") for key in ("title", "checkpoint", "precision", "baseline")}
    return texts | {"served_at": [_address(str(url)) for url in listed]}


def _suite(name: str, suite: Entry) -> Entry:
    defaults = suite.get("defaults") or []
    chosen = {
        key.split("/")[-1]: value for entry in defaults if isinstance(entry, dict) for key, value in entry.items()
    }
    return {"tasks": _listed(chosen.get("task")), "models": _listed(chosen.get("model"))}


def _card(name: str, card: Entry) -> Entry:
    benchmarks = dict.fromkeys(str(row.get("task") or row.get("title")) for row in card.get("rows") or [])
    return {
        "title": str(card.get("title", name)),
        "model": str(card.get("model", "")),
        "checkpoints": [str(column.get("checkpoint", "")) for column in card.get("columns") or []],
        "tasks": list(benchmarks),
    }


def _gate(name: str, gate: Entry) -> Entry:
    margins = gate.get("margins") or {}
    return {
        "drift": bool(gate.get("drift")),
        "suite_points": gate.get("suite_points"),
        "alpha": gate.get("alpha"),
        "margins": {
            task: {"points": margin.get("points"), "tier": margin.get("tier", "critical")}
            for task, margin in margins.items()
        },
    }


def _machine(name: str, machine: Entry) -> Entry:
    facts = {key: machine.get(key) for key in ("title", "gpu", "gpus", "memory_gb", "model")}
    return facts | {"tensor_parallel": dict(machine.get("tensor_parallel") or {})}


def _listed(chosen: Any) -> list[str]:
    return [str(name) for name in (chosen if isinstance(chosen, list) else [chosen]) if name]


def _address(base_url: str) -> str:
    match = _ADDRESS.fullmatch(base_url)
    return f"${match[1]}, else {shown_urls(match[2])}" if match else shown_urls(base_url)


def _text(title: str, *, essential: bool = True) -> Column:
    return Column(title, number=False, essential=essential)


_TABLES: Mapping[str, tuple[str, tuple[Column, ...], tuple[str, ...]]] = {
    "tasks": (
        "Benchmarks",
        (
            *(_text("task="), _text("benchmark"), _text("version", essential=False), Column("items")),
            *(_text("variants, the default first"), _text("data", essential=False)),
            *(_text("licence", essential=False), _text("needs")),
        ),
        (),
    ),
    "models": (
        "Models",
        (
            *(_text("model="), _text("checkpoint"), _text("precision", essential=False), _text("baseline")),
            _text("served at", essential=False),
        ),
        ("Another address: the variable, or models.NAME.base_url=URL.",),
    ),
    "suites": ("Suites", (_text("suite="), _text("tasks"), _text("models")), ()),
    "cards": (
        "Published cards",
        (_text("card="), _text("title"), _text("tasks"), _text("model", essential=False)),
        (),
    ),
    "gates": (
        "Gates",
        (_text("gate="), _text("margins, points"), Column("suite mean"), Column("alpha", essential=False)),
        ("Tiers other than critical stand behind the margin. Your own: --config-dir DIR with gate/NAME.yaml.",),
    ),
    "judges": ("Judges", (_text("judge="), _text("checkpoint"), _text("served at", essential=False)), ()),
    "simulators": ("Simulators", (_text("simulator="), _text("checkpoint"), _text("served at", essential=False)), ()),
    "hardware": (
        "Machines",
        (
            *(_text("hardware="), _text("title"), Column("devices", essential=False)),
            _text("devices a copy takes", essential=False),
        ),
        (),
    ),
}
"""Kind -> title, columns and notes of its table."""


def _row(columns: Sequence[Column], entry: Entry) -> tuple[str, ...]:
    return tuple(_cell(column.title, entry) for column in columns)


def _cell(title: str, entry: Entry) -> str:
    """The text of an entry in the table's column of this title."""
    fields = {
        "benchmark": "title", "variants, the default first": "variants", "served at": "served_at", "devices": "gpus",
        "devices a copy takes": "tensor_parallel", "margins, points": "margins", "suite mean": "suite_points",
    }  # fmt: skip
    if title.endswith("="):
        return str(entry["name"])
    value = entry[fields.get(title, title)]
    if title == "margins, points":
        return ", ".join(map(_margin, value.items())) or ("none: drift over nights" if entry["drift"] else "none")
    if title == "devices a copy takes":
        return ", ".join(f"{precision} {count}" for precision, count in value.items() if count is not None)
    if title == "data":
        return str(value).removeprefix("https://")
    if title == "models":
        return ", ".join(value) or "model=NAME"
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _margin(named: tuple[str, Entry]) -> str:
    task, margin = named
    tier = "" if margin["tier"] == "critical" else f" ({margin['tier']})"
    return f"{task} {margin['points']}{tier}"
