"""The problems of LiveCodeBench: which lines of its files are in the window, and their tests.

The files have 4.5 GB, nearly all of it tests. A run keeps the place of each line in memory and reads the tests of a
problem when an answer to it is graded. The private tests are a pickled text inside zlib inside base64: the text is read
from the pickle's opcodes, and nothing is unpickled.
"""

import base64
import binascii
import hashlib
import json
import pickletools
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import Item
from evalsuite.tasks import datasets, hub

TASK, SPLIT = "livecodebench", "test"
LARGEST = 1 << 30
"""Most bytes of the decoded tests of one problem."""
_DATE = re.compile(rb'"contest_date"\s*:\s*"(\d{4}-\d\d-\d\d)')
_FRAMING = {"PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP"}
_TEXT = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
TEST_COLUMNS = ("public_test_cases", "private_test_cases", "metadata")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the line of a problem stands."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one problem, public ones first."""

    function: str | None
    """Name of the function or method to call; None: a program that reads standard input."""
    inputs: tuple[str, ...]
    """Standard input, or one JSON value a line for each argument."""
    outputs: tuple[str, ...]
    """Expected standard output, or the expected value as JSON."""


def items(source: datasets.Source) -> Iterator[Item]:
    """Yield the problems of the time window that the task's card (``card.yaml``) states, in the order of the files, as
    items whose target is a hash of their tests.

    Inputs are question and starter code, groups are difficulty, platform and month. While iterating, raises
    ``BadInput`` when the data cannot be loaded.
    """
    for place in _index(source).values():
        row = _row(place)
        digest = hashlib.sha256(json.dumps([row[name] for name in TEST_COLUMNS]).encode()).hexdigest()
        groups = {"difficulty": row["difficulty"], "platform": row["platform"], "month": row["contest_date"][:7]}
        inputs = {"question": row["question_content"], "starter_code": row["starter_code"]}
        yield Item(row["question_id"], inputs, digest, groups)


def tests(source: datasets.Source, problem: str) -> Tests:
    """Read the public and private tests of a problem (``problem``: its question id) from the dataset's file.

    Raises ``KeyError`` for an id outside of the time window, ``BadInput`` when the files cannot be loaded and for tests
    that are not as the dataset writes them.
    """
    place = _index(source)[problem]
    row = _row(place)
    try:
        cases = json.loads(row["public_test_cases"]) + _private(row["private_test_cases"])
        function = json.loads(row["metadata"]).get("func_name")
        inputs, outputs = (tuple(str(case[key]) for case in cases) for key in ("input", "output"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"the tests of {problem} in {place.path} cannot be read: {error}") from None
    return Tests(function, inputs, outputs)


def _private(text: str) -> Any:
    """Decode a problem's private tests: JSON, or JSON in a pickled text in zlib in base64; nothing is unpickled.

    Raises ``ValueError`` for anything else, and for a pickle of more than 1 GiB.
    """
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(text), LARGEST)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"neither JSON nor zlib in base64 ({error})") from None
    if unpacking.unconsumed_tail:
        raise ValueError(f"more than {LARGEST >> 20} MiB")
    return json.loads(pickled_text(data))


def pickled_text(data: bytes) -> str:
    """Return the single text that a pickle's bytes hold, read from its opcodes without unpickling.

    Raises ``ValueError`` for a pickle with anything else.
    """
    found: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _TEXT:
                found.append(str(argument))
            elif opcode.name not in _FRAMING:
                raise ValueError(f"the pickle holds {opcode.name}, not one text")
    except UnicodeDecodeError as error:
        raise ValueError(f"the pickle's text is no UTF-8: {error}") from None
    if len(found) != 1:
        raise ValueError(f"the pickle holds {len(found)} texts, not one")
    return found[0]


@cache
def _index(source: datasets.Source) -> Mapping[str, Place]:
    """Scan the files; return question id -> position of its line (file, byte offset, length)
    for the problems of the window, whose two ends are included.

    Cached per process and source. Raises ``BadInput`` when the files cannot be loaded or hold no problem of the window,
    for a line without a date and one of the window that is not as the dataset writes it, and when all files are there,
    but hold other numbers of problems than the card states.
    """
    stated = datasets.card(TASK)
    window, pinned = stated["dataset"]["window"], datasets.pin(TASK).splits[SPLIT]
    start, end = (str(window[key]).encode() for key in ("first", "last"))
    paths = _files(source)
    found: dict[str, Place] = {}
    lines = 0
    for path in paths:
        offset = 0
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    lines += 1
                    date = _DATE.search(line)
                    if date is None:
                        raise BadInput(f"{path}: the line at byte {offset} has no contest_date")
                    if start <= date[1] <= end:
                        place = Place(path, offset, len(line))
                        found[str(_row(place)["question_id"])] = place
                offset += len(line)
    if len(paths) == len(pinned.files) and (lines, len(found)) != (pinned.n, stated["items"]):
        raise BadInput(
            f"livecodebench has {lines:,} problems, {len(found)} of them from {window['first']} to {window['last']}; "
            f"its card states {pinned.n:,} and {stated['items']}: remove {paths[0].parent} and load it again"
        )
    if not found:
        raise BadInput(f"{paths[0]} holds no problem from {window['first']} to {window['last']}")
    return found


def _files(source: datasets.Source) -> list[Path]:
    """Return the dataset's files: of the hub (downloaded and checked), or those in
    ``root/livecodebench`` of a local source.

    Locally the first file alone is accepted too, such as one ``test.jsonl`` of the user's own, and contents are not
    checked. Raises ``BadInput`` when files are missing, or those of the hub damaged.
    """
    dataset = datasets.pin(TASK)
    files = dataset.splits[SPLIT].files
    if source.kind != "local":
        advice = f"or use data=local data.root=DIR with DIR/{TASK}/{files[0]} ... {files[-1]}"
        return [hub.verified_file(dataset, SPLIT, name, advice) for name in files]
    home = Path(str(source.root)) / TASK
    here = [home / name for name in files if (home / name).is_file()]
    if len(here) not in (1, len(files)) or home / files[0] not in here:
        missing = ", ".join(name for name in files if home / name not in here)
        raise BadInput(f"{home} lacks {missing}: check data.root, or evalsuite fetch task={TASK} to=DIR")
    return here


def _row(place: Place) -> dict[str, Any]:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        line = file.read(place.length)
    try:
        row = json.loads(line)
    except ValueError as error:
        raise BadInput(f"{place.path}: the line at byte {place.offset} is torn or not JSON: {error}") from None
    named = f"{place.path} at byte {place.offset}"
    hub.check_columns(named, datasets.pin(TASK).splits[SPLIT].columns, list(row))
    return dict(row)
