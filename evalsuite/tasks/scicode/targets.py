"""Reads SciCode's numeric targets (``test_data.h5``) and the code of the three given steps next to them.

The reader follows ``scicode.parse.parse.process_hdf5_to_tuple`` (scicode-bench 588b406): one key in a test's group is
the value itself, several are a tuple in the file's key order; below that are lists, sparse matrices and dictionaries.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput

VARIABLE = "SCICODE_TARGETS"
"""Environment variable with the path of the targets."""
DOWNLOAD = "https://drive.google.com/file/d/17G_k65N_6yFFZ2O-jQH00Lh6iaw3z-AW"
"""Where the targets can be downloaded."""
GIVEN_SOURCE = "https://github.com/scicode-bench/SciCode/tree/588b4069d73d211434790bdf4f5a3b80c7830912/eval/data"
"""Where the code of the given steps is published."""


def targets_path(option: str | None, root: str | None = None) -> Path:
    """Return the path of the file of numeric targets: ``option``, else ``$SCICODE_TARGETS``, else
    ``root/scicode/test_data.h5``.

    ``root`` is the folder that ``fetch`` wrote (None: none). Raises ``BadInput`` with the download address when the
    file does not exist, also when ``option`` or the variable names a missing one and another exists.
    """
    given = option or os.environ.get(VARIABLE)
    if given and Path(given).is_file():
        return Path(given)
    fetched = Path(root or "") / "scicode" / "test_data.h5"
    if root and not given and fetched.is_file():
        return fetched
    problem = f"{given} does not exist" if given else f"{VARIABLE} is not set"
    raise BadInput(
        f"SciCode's targets: {problem}{f' and {fetched} does not exist' if root and not given else ''}. Download "
        f"test_data.h5 (1 GB, by the benchmark's authors: {DOWNLOAD}) and set {VARIABLE}=path/test_data.h5 or "
        "tasks.scicode.options.targets=path/test_data.h5"
    )


def given_code(targets: Path, step: str) -> str:
    """Return the authors' code of a step that is never asked: ``<step>.txt`` in the folder of the targets file.

    Raises ``BadInput`` with its web address when the file cannot be read.
    """
    path = targets.with_name(f"{step}.txt")
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        raise BadInput(
            f"SciCode gives step {step} to every model and its code is not at {path}: copy {step}.txt from "
            f"{GIVEN_SOURCE} beside the targets"
        ) from None


def targets_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of the targets file, cached in this process for the last eight
    files, as long as size and time of change stay the same.
    """
    stat = path.stat()
    return _cached_sha256(str(path.resolve()), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _cached_sha256(path: str, changed: int, size: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_targets(path: Path, tests: dict[str, int]) -> None:
    """Raise ``BadInput`` unless ``path`` is an HDF5 file with a target for each test; ``tests`` maps step -> number of
    its tests.
    """
    with _opened(path) as file:
        for step, count in tests.items():
            for number in range(1, count + 1):
                if f"{step}/test{number}" not in file:
                    raise BadInput(f"{path} has no target for test {number} of step {step}: it belongs to other data")


def read_targets(path: Path, step: str, count: int) -> list[Any]:
    """Return the targets of the ``count`` tests of a step, in order, from the HDF5 file: one value for each test, such
    as a number, an array or a tuple of several.

    Raises ``BadInput`` when the file cannot be opened, ``KeyError`` when it lacks a test.
    """
    with _opened(path) as file:
        return [_test(file[f"{step}/test{number}"]) for number in range(1, count + 1)]


def _opened(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise BadInput(f"{path} is no HDF5 file: {error}") from None


def _test(group: Any) -> Any:
    values = [_variable(group[name]) for name in group]
    return values[0] if len(values) == 1 else tuple(values)


def _variable(node: Any) -> Any:
    return _group(node) if _is_group(node) else _text(node[()])


def _is_group(node: Any) -> bool:
    return not hasattr(node, "dtype")


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def _group(group: Any) -> Any:
    first = next(iter(group), None)
    if first == "list":
        return [group["list"][name][()] for name in group["list"]]
    if first == "sparse_matrix":
        return _sparse(group["sparse_matrix"])
    return None if first is None else {_key(name, group[name]): _entry(group[name]) for name in group}


def _entry(node: Any) -> Any:
    return _sparse(node["sparse_matrix"]) if _is_group(node) else _text(node[()])


def _key(name: str, node: Any) -> str | float:
    """Return the key of a dictionary entry: its ``name`` as a float if ``float`` reads it and
    the value ``node`` is neither a group nor a text; else ``name`` itself.
    """
    if _is_group(node) or isinstance(node[()], bytes):
        return name
    try:
        return float(name)
    except ValueError:
        return name


def _sparse(group: Any) -> Any:
    from scipy import sparse

    shape: Any = tuple(int(length) for length in group["shape"][()])
    if "row" in group and "col" in group:
        return sparse.coo_matrix((group["data"][()], (group["row"][()], group["col"][()])), shape=shape)
    parts = (group["data"][()], group["indices"][()], group["indptr"][()])
    if "blocksize" in group:
        blocks: Any = tuple(int(length) for length in group["blocksize"][()])
        return sparse.bsr_matrix(parts, shape=shape, blocksize=blocks)
    return sparse.csr_matrix(parts, shape=shape)
