"""``evalsuite fetch``: all that a run without a network needs, in one folder, pinned and checked.

Below ``DIR``: the chosen benchmarks as ``data=local data.root=DIR`` reads them, NLTK's resources in ``nltk_data``,
``LICENSES.md``, and ``fetched.json``::

    {"schema": 1, "files": [{"task", "file", "source", "revision", "sha256", "rows", "bytes"}, ...], "wheels": null}

``file`` is relative to ``DIR``; ``sha256`` and ``bytes`` are of the file as it lies there; ``rows`` is null where a
file has none. Version 0.1 also collected wheels; their entries have a null ``task`` and are kept. A file that is there
and unchanged is not downloaded again, one that was changed is named and left alone, and a file that cannot be had does
not keep the others away.
"""

import json
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from evalsuite.config.settings import Run
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.report.console import standard_output
from evalsuite.store.manifest import write_json
from evalsuite.tasks import datasets, hub
from evalsuite.tasks import downloads as sources

FOLDER = "evalsuite-data"
"""Where ``fetch`` without ``to=`` puts everything."""
LIST = "fetched.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that is there: a line of ``fetched.json``."""

    task: str | None
    file: str
    source: str
    revision: str | None
    sha256: str
    rows: int | None
    bytes: int


def fetch(settings: Run) -> Exit:
    """Fill the folder; ``INCOMPLETE`` with a list when something could not be had. Raises ``StorageFailed``."""
    root = Path(settings.to or FOLDER).expanduser().absolute()
    tasks = list(dict.fromkeys(task.adapter for task in settings.tasks.values()))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries say more than they help
    if not sys.stderr.isatty():
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    try:
        root.mkdir(parents=True, exist_ok=True)
        problems = _fill(root, tasks)
    except OSError as error:
        raise StorageFailed(f"{error.filename or root} cannot be written: {error.strerror or error}") from None
    if problems:
        _say(f"\n{len(problems)} not there; what to do about each, then the same command goes on:")
        for problem in problems:
            _say(f"  {problem}")
        return Exit.INCOMPLETE
    _say(f"\nAll is there. A run reads it with: data=local data.root={root}")
    for variable, path in (("NLTK_DATA", root / "nltk_data"), ("SCICODE_TARGETS", root / "scicode/test_data.h5")):
        if path.exists():
            _say(f"  export {variable}={path}")
    return Exit.DONE


def _fill(root: Path, tasks: Sequence[str]) -> list[str]:
    """Bring everything, one line a file. What could not be had, each with what to do."""
    known = _read(root)
    problems = []
    silent: set[str] = set()
    plan: list[sources.RequiredFile] = []
    for task in tasks:
        try:
            needed = list(sources.required_files(task))
        except BadInput as error:
            problems.append(str(error))
            continue
        plan += needed
        if not needed:
            _say(f"{task}: comes with {datasets.card(task)['dataset'].get('package', 'evalsuite')}")
    for number, wanted in enumerate(plan, 1):
        place = f"[{number}/{len(plan)}] {wanted.file}"
        try:
            entry, how = _bring(root, known.get(wanted.file), wanted, silent)
        except BadInput as error:
            if isinstance(error, hub.DatasetUnreachable):
                silent.add(wanted.host)
            problems.append(f"{wanted.file}: {error}")
            _say(f"{place}: NOT THERE")
            continue
        rows = "" if entry.rows is None else f"{entry.rows:,} rows, "
        _say(f"{place}: {how}, {rows}{_size(entry.bytes)}, sha256 {entry.sha256[:12]}")
        if entry != known.get(entry.file):
            known[entry.file] = entry
            _write(root, known)
    _licenses(root, {*tasks, *(entry.task for entry in known.values() if entry.task)})
    return problems


def _bring(
    root: Path, before: Entry | None, wanted: sources.RequiredFile, silent: Collection[str]
) -> tuple[Entry, str]:
    """Have a file in its place: (what is there, "there" or "loaded"). Raises ``BadInput`` when it cannot be.

    Servers that are ``silent`` are not asked again.
    """
    path = root / wanted.file
    if before is not None and path.is_file():
        _check(root, before)
        same = (before.source, before.revision) == (wanted.source, wanted.revision)
        if same and wanted.sha256 in (None, before.sha256):
            return before, "there"
    if wanted.host in silent:
        raise BadInput(f"not asked for, because {wanted.host} does not answer")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # what a killed call left is written over
    try:
        rows = wanted.load(part)
        found = hub.sha256(part)
        if wanted.sha256 not in (None, found):
            raise BadInput(f"{wanted.source} has another content than its card states: sha256 {found}")
        if before is None and path.is_file() and hub.sha256(path) != found:
            raise BadInput(f"{path} was there before and differs from {wanted.source}: remove it")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    entry = Entry(wanted.task, wanted.file, wanted.source, wanted.revision, found, rows, path.stat().st_size)
    return entry, "loaded"


def _check(root: Path, entry: Entry) -> None:
    path = root / entry.file
    found = hub.sha256(path)
    if found != entry.sha256:
        raise BadInput(f"{path} has sha256 {found}, but {LIST} states {entry.sha256}: it was changed; remove it")


def _licenses(root: Path, tasks: set[str]) -> None:
    lines = ["# Licences of the data in this folder\n", "As the datasets' publishers state them.\n"]
    for task in sorted(name for name in tasks if sources.has_card(name)):
        card = datasets.card(task)
        dataset = card["dataset"]
        lines += [f"## {card['title']}\n", f"- licence: {card['license']}", f"- source: {dataset['uri']}"]
        lines += [f"- commit: {dataset['revision']}"] if "revision" in dataset else []
        lines += [f"- paper: {card['paper']}"] if card["paper"] else []
        lines += ["- gated: its terms forbid to publish the questions"] if card["gated"] else []
        lines += [f"- with it: {item['url']}" for item in dataset.get("downloads", ())] + [""]
    (root / "LICENSES.md").write_text("\n".join(lines), encoding="utf-8")


def _read(root: Path) -> dict[str, Entry]:
    path = root / LIST
    if not path.exists():
        return {}
    try:
        entries = [Entry(**one) for one in json.loads(path.read_text(encoding="utf-8"))["files"]]
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"{path} is damaged: remove it; what lies beside it is then checked against its source"
        ) from None
    return {entry.file: entry for entry in entries}


def _write(root: Path, known: Mapping[str, Entry]) -> None:
    files = [asdict(known[name]) for name in sorted(known)]
    write_json(root / LIST, {"schema": 1, "files": files, "wheels": None})


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _say(line: str) -> None:
    standard_output().print(Text(line), soft_wrap=True)
