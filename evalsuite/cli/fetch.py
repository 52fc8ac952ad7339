"""The ``fetch`` command: all files that a run without a network needs, in one folder, pinned and checked.

Below ``DIR``: the chosen benchmarks as ``data=local data.root=DIR`` reads them, NLTK's resources in ``nltk_data``,
``LICENSES.md``, and ``fetched.json``::

    {"schema": 1, "files": [{"task", "file", "source", "revision", "sha256", "rows", "bytes"}, ...], "wheels": null}

``file`` is relative to ``DIR``; ``sha256`` and ``bytes`` are those of the file there; ``rows`` is null where a file has
none. Version 0.1 also collected wheels; their entries have a null ``task`` and are kept. A file that is there and
unchanged is not downloaded again, one that was changed is named and not touched, and a file that cannot be had does not
keep the others from being fetched.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text

from evalsuite.config.paths import expanded
from evalsuite.config.settings import FETCH_FOLDER, Run
from evalsuite.errors import BadInput, Exit, StorageFailed
from evalsuite.report.console import standard_output
from evalsuite.sandbox import archives
from evalsuite.store.manifest import write_json
from evalsuite.tasks import datasets, hub
from evalsuite.tasks import downloads as sources
from evalsuite.tasks.provenance import FETCHED

LIST = FETCHED


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One file that was fetched: an entry of ``fetched.json``."""

    task: str | None
    file: str
    source: str
    revision: str | None
    sha256: str
    rows: int | None
    bytes: int


def fetch(settings: Run) -> Exit:
    """Download the data of the chosen tasks into ``settings.to`` (else ``evalsuite-data``), printing a line for each
    file; what is there and unchanged is not loaded again.

    Returns ``DONE``, or ``INCOMPLETE`` if a file could not be had or was changed in the folder. Raises
    ``StorageFailed`` if the folder cannot be written, ``BadInput`` for a damaged ``fetched.json`` in it.
    """
    root = expanded(settings.to or FETCH_FOLDER).absolute()
    tasks = list(dict.fromkeys(task.adapter for task in settings.tasks.values()))
    try:
        root.mkdir(parents=True, exist_ok=True)
        problems = _fill(root, tasks)
    except OSError as error:
        raise StorageFailed(f"{error.filename or root} cannot be written: {error.strerror or error}") from None
    if problems:
        _print(f"\n{len(problems)} not there; what to do about each, then the same command goes on:")
        for problem in problems:
            _print(f"  {problem}")
        return Exit.INCOMPLETE
    _print(f"\nAll is there. A run reads it with: data.root={root}")
    return Exit.DONE


def _fill(root: Path, tasks: Sequence[str]) -> list[str]:
    """Fetch the files of ``tasks`` (names of adapters) into ``root`` and print one line per file, or per task without
    files.

    Brings ``fetched.json`` and ``LICENSES.md`` up to date. Returns a message for each file, or task whose files are not
    known, that could not be had.
    """
    known = _read(root)
    problems = []
    unreachable: set[str] = set()
    plan: list[sources.RequiredFile] = []
    for task in tasks:
        try:
            needed = list(sources.required_files(task))
        except BadInput as error:
            problems.append(str(error))
            continue
        plan += needed
        if not needed:
            _print(f"{task}: comes with {datasets.card(task)['dataset'].get('package', 'evalsuite')}")
    for number, required in enumerate(plan, 1):
        place = f"[{number}/{len(plan)}] {required.file}"
        try:
            entry, state = _fetch_file(root, known.get(required.file), required, unreachable)
        except BadInput as error:
            if isinstance(error, hub.DatasetUnreachable):
                unreachable.add(required.host)
            problems.append(f"{required.file}: {error}")
            _print(f"{place}: NOT THERE")
            continue
        rows = "" if entry.rows is None else f"{entry.rows:,} rows, "
        _print(f"{place}: {state}, {rows}{_size(entry.bytes)}, sha256 {entry.sha256[:12]}")
        if entry != known.get(entry.file):
            known[entry.file] = entry
            _write(root, known)
    _licenses(root, {*tasks, *(entry.task for entry in known.values() if entry.task)})
    return problems


def _fetch_file(
    root: Path, before: FetchedFile | None, required: sources.RequiredFile, unreachable: Collection[str]
) -> tuple[FetchedFile, str]:
    """(the entry of the file, "there" or "loaded"). Loads ``required`` into ``root`` unless it is there unchanged, from
    the same source and revision.

    ``before``: its entry in ``fetched.json``; None: none. Hosts that are ``unreachable`` are not asked again. Raises
    ``BadInput`` when it cannot be had, was changed here, has another hash than its card states, or differs from a file
    there that has no entry.
    """
    path = root / required.file
    if before is not None and path.is_file():
        _check(root, before)
        same = (before.source, before.revision) == (required.source, required.revision)
        if same and required.sha256 in (None, before.sha256):
            return before, "there"
    if required.host in unreachable:
        raise BadInput(f"not asked for, because {required.host} does not answer")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")  # the rest of a killed call is overwritten
    try:
        rows = required.load(part)
        actual = hub.sha256(part)
        if required.sha256 not in (None, actual):
            raise BadInput(f"{required.source} has another content than its card states: sha256 {actual}")
        if before is None and path.is_file() and hub.sha256(path) != actual:
            raise BadInput(f"{path} was there before and differs from {required.source}: remove it")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    entry = FetchedFile(
        required.task, required.file, required.source, required.revision, actual, rows, path.stat().st_size
    )
    return entry, "loaded"


def _check(root: Path, entry: FetchedFile) -> None:
    path = root / entry.file
    actual = hub.sha256(path)
    if actual != entry.sha256:
        raise BadInput(f"{path} has sha256 {actual}, but {LIST} states {entry.sha256}: it was changed; remove it")


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


def _read(root: Path) -> dict[str, FetchedFile]:
    path = root / LIST
    if not path.exists():
        return {}
    try:
        entries = [FetchedFile(**entry) for entry in archives.parse_json(path.read_bytes())["files"]]
        if not all(map(_is_possible, entries)):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"{path} is damaged: remove it; what lies beside it is then checked against its source"
        ) from None
    return {entry.file: entry for entry in entries}


def _is_possible(entry: FetchedFile) -> bool:
    """Whether an entry of ``fetched.json``, which may come from another machine, has the right types and printable
    texts, and a path inside the folder; where null may stand, empty values of any type pass.
    """
    texts = (entry.file, entry.source, entry.sha256, entry.task or "", entry.revision or "")
    numbers = (entry.bytes, entry.rows or 0)
    plain = all(isinstance(text, str) and text.isprintable() for text in texts)
    inside = plain and not Path(entry.file).is_absolute() and ".." not in Path(entry.file).parts
    return inside and "/" not in texts[3] and texts[3] != ".." and all(type(number) is int for number in numbers)


def _write(root: Path, known: Mapping[str, FetchedFile]) -> None:
    files = [asdict(known[name]) for name in sorted(known)]
    write_json(root / LIST, {"schema": 1, "files": files, "wheels": None})


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _print(line: str) -> None:
    standard_output().print(Text(line), soft_wrap=True)
