"""The one module that opens archives and compressed files that others made.

What such a file states about itself is not believed: entries are checked before the first byte is read, every entry is
read up to the size that its owner expects, and no name in it becomes a name on this disk.
"""

import gzip
import hashlib
import io
import json
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput, StorageFailed

MAX_RATIO = 200
"""Most bytes that one compressed byte may become."""
SMALL = 1 << 20
"""Bytes up to which the ratio does not count: a short text of equal letters."""
MAX_LINE = 1 << 26
"""Longest line of a foreign text file, bytes: the longest reply is about 5 MB."""
_MAX_READ = 1 << 22
"""Most bytes that are read at once; so the list of entries ends below 90,000."""
_CHUNK = 1 << 20
_FREE = 1 << 28
"""Bytes of the disk that unpacking leaves free."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry that is unpacked."""

    name: str
    """Its name in the archive."""
    target: str
    """Our name of the file, relative to the new folder."""
    bytes: int
    sha256: str


class _LimitedFile(io.BufferedReader):
    """A file of which no more than ``_MAX_READ`` is read at once, whatever size a header states."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(_MAX_READ + 1 if size is None or not 0 <= size <= _MAX_READ else size)
        if len(data) > _MAX_READ:
            raise zipfile.BadZipFile(f"its list of entries is longer than {_MAX_READ:,} bytes")
        return data


@contextmanager
def open_zip(path: Path, kind: str = "zip archive") -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for a ``with`` block after checking its list of entries: plain files or folders with distinct
    names, stored or deflated, not encrypted, none that by its own account unpacks to over 200 times its size
    (``MAX_RATIO``) and over 1 MiB (``SMALL``).

    Yields the ``ZipFile``, closed at the end. ``kind`` is what messages call it. Raises ``BadInput`` for a missing
    file and for one that is no such archive, ``StorageFailed`` for one that cannot be read. The block's own
    ``ValueError``, ``EOFError``, ``NotImplementedError`` and errors of ``zipfile`` and ``zlib`` become ``BadInput``,
    its ``FileNotFoundError``, too; any other ``OSError`` becomes ``StorageFailed``.
    """
    try:
        with _LimitedFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            _check_entries(archive.infolist())
            yield archive
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, ValueError) as error:
        raise BadInput(f"{path} is torn or no {kind} ({error}); take a whole copy of it") from None
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror or error}") from None


def _check_entries(entries: Iterable[zipfile.ZipInfo]) -> None:
    """Raise ``BadZipFile`` for links, devices, encryption, other compression than deflate, double names, and entries
    that by their own account unpack to over 200 times their size (``MAX_RATIO``) and over 1 MiB (``SMALL``).
    """
    names: set[str] = set()
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        problem = ""
        if entry.filename in names:
            problem = "is there twice"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = "is no plain file or folder"
        elif entry.flag_bits & 0x1:
            problem = "is encrypted"
        elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = "is compressed in another way than deflate"
        elif entry.file_size > max(SMALL, MAX_RATIO * entry.compress_size):
            problem = f"is {entry.file_size:,} bytes in {entry.compress_size:,}: over {MAX_RATIO} : 1"
        if problem:
            raise zipfile.BadZipFile(f"its entry {entry.filename[:100]!r} {problem}")
        names.add(entry.filename)


def read_entry(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The whole content of the entry ``name``. Raises ``KeyError`` if there is none, ``BadZipFile`` if it is longer
    than ``limit`` bytes, ``BadZipFile``, ``EOFError`` or ``zlib.error`` if it is damaged.
    """
    data = bytearray()
    with archive.open(name) as source:
        while len(data) <= limit and (chunk := source.read(min(_CHUNK, limit + 1 - len(data)))):
            data += chunk
    if len(data) > limit:
        raise zipfile.BadZipFile(f"its entry {name} is longer than {limit:,} bytes")
    return bytes(data)


def unpack(path: Path, archive: zipfile.ZipFile, members: Iterable[Member], folder: Path) -> None:
    """Write ``members`` of the open ``archive`` (its file is ``path``) below ``folder``, which is made if need be; the
    folder above it exists.

    Raises ``StorageFailed`` before writing if less than 256 MiB of the disk would stay free, ``BadInput`` at the first
    member whose size or hash is not the stated one (what was written stays), ``KeyError`` for an entry that does not
    exist, ``FileExistsError`` for a file that does, other ``OSError`` where writing fails, and for a damaged entry
    ``BadZipFile``, ``EOFError`` or ``zlib.error``.
    """
    wanted = list(members)
    total = sum(member.bytes for member in wanted)
    free = shutil.disk_usage(folder.parent).free
    if total > free - _FREE:
        raise StorageFailed(
            f"unpacking needs {total / 1e9:,.2f} GB in {folder.parent}, where {free / 1e9:,.2f} GB are free: "
            "name another folder with TMPDIR=DIR"
        )
    for member in wanted:
        target = folder / member.target
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with archive.open(member.name) as source, target.open("xb") as file:
            while size <= member.bytes and (chunk := source.read(_CHUNK)):
                digest.update(chunk)
                size += len(chunk)
                if size <= member.bytes:
                    file.write(chunk)
        if size != member.bytes or digest.hexdigest() != member.sha256:
            raise BadInput(f"{path} was edited: {member.name} does not have the hash that its index states")


def check_ratio(path: Path) -> None:
    """Raise ``BadInput`` for a zip archive whose list of entries is damaged, or states that they unpack to over 200
    times its size (``MAX_RATIO``) and over 1 MiB (``SMALL``) together.

    For archives that another library will read: the entries themselves are not read. A file that is no zip archive
    passes, a missing one, too.
    """
    if zipfile.is_zipfile(path):
        try:
            with _LimitedFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise BadInput(f"{path} is torn or no archive ({error}); take a whole copy of it") from None
        size, total = path.stat().st_size, sum(entry.file_size for entry in entries)
        if total > max(SMALL, MAX_RATIO * size):
            raise BadInput(f"{path} would become {total:,} bytes from {size:,}: over {MAX_RATIO} : 1, not opened")


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a text file as bytes, each with its line feed if it has one; a file whose name ends in ``.gz``
    is unpacked by gzip.

    While iterating, raises ``BadInput`` for a line of over 64 MiB (``MAX_LINE``), a gzipped file that becomes over 200
    times its size (``MAX_RATIO``) and over 64 MiB, a damaged gzipped file, and a file that cannot be read.
    """
    number = total = 0
    try:
        packed = path.name.endswith(".gz")
        most = max(MAX_LINE, MAX_RATIO * path.stat().st_size)
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                total += len(line)
                if len(line) > MAX_LINE:
                    raise BadInput(f"{path} line {number} is longer than {MAX_LINE:,} bytes: no answer is")
                if packed and total > most:
                    raise BadInput(f"{path} becomes over {MAX_RATIO} times its size: not read beyond line {number}")
                yield line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path} is torn or not gzip after line {number}: {error}") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from None


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text (bytes: UTF-8, or UTF-16 or UTF-32, which are recognised). Raises ``ValueError`` for a
    text that is none, is nested too deeply or has an integer too long for Python; ``NaN`` and ``Infinity`` are taken as
    numbers.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
