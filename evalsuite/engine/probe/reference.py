"""The baseline's own reading, kept on disk: candidate and baseline need not be served at the same time."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.endpoint.logprobs import TokenScores
from evalsuite.engine.probe.answers import StoredAnswer, TokenizedAnswer
from evalsuite.errors import BadInput, StorageFailed

FOLDER = ".probe"
"""Folder of references, inside the folder of results."""
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What NumPy raises for a damaged file."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the baseline's server gave for a set of answers."""

    answers: tuple[TokenizedAnswer, ...]
    """What was read."""
    scores: tuple[TokenScores, ...]
    """One for each answer."""
    floor_nats: tuple[float, ...]
    """Per answer: sum of the divergences of a second reading, nats."""
    floor_variation: tuple[float, ...]
    floor_flips: tuple[int, ...]
    decode_nats: float
    """Mean divergence a token between generating and reading."""


def path_of(results: Path, identity: str) -> Path:
    """Path of the file with the reference of some answers, whose hash is ``identity`` (see ``answers.identity_of``).

    ``results``: the folder of all runs. The file need not exist.
    """
    return results / FOLDER / f"{identity}.npz"


def save(path: Path, reference: Reference) -> None:
    """Write a reference of at least one answer to ``path`` (``.npz``), atomically; creates the folder. Raises
    ``StorageFailed``.
    """
    scores = reference.scores
    width = max(part.top_tokens.shape[1] for part in scores)
    arrays: dict[str, NDArray[Any]] = {
        "keys": np.array([answer.stored.key for answer in reference.answers]),
        "lengths": np.array([len(part) for part in scores]),
        "tokens": np.concatenate([part.tokens for part in scores]),
        "logprobs": np.concatenate([part.logprobs for part in scores]),
        "top_tokens": np.concatenate([_wide(part.top_tokens, width, -1) for part in scores]),
        "top_logprobs": np.concatenate([_wide(part.top_logprobs, width, -np.inf) for part in scores]),
        "floor": np.array([reference.floor_nats, reference.floor_variation, reference.floor_flips], np.float64),
        "decode": np.array([reference.decode_nats]),
    }
    for name in ("prompt", "answer"):
        ids = [getattr(answer, name) for answer in reference.answers]
        arrays[name] = np.concatenate(ids).astype(np.int64)
        arrays[f"{name}_lengths"] = np.array([len(tokens) for tokens in ids])
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content.getvalue())
        partial.replace(path)
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None


def load(path: Path, chosen: Sequence[StoredAnswer]) -> Reference | None:
    """Read the reference of the ``chosen`` answers, or of some of them, from ``path``; None where there is no such
    file.

    Raises ``BadInput`` for one that is damaged or cannot be read, or that holds another answer.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        ends = np.cumsum(arrays["lengths"])[:-1]
        names = ("tokens", "logprobs", "top_tokens", "top_logprobs")
        parts = zip(*(np.split(arrays[name], ends) for name in names), strict=True)
        nats, variation, flips = arrays["floor"]
        stored = {answer.key: answer for answer in chosen}
        prompts, answers = (
            np.split(arrays[name], np.cumsum(arrays[f"{name}_lengths"])[:-1]) for name in ("prompt", "answer")
        )
        return Reference(
            tuple(
                TokenizedAnswer(stored[str(key)], tuple(prompt.tolist()), tuple(answer.tolist()))
                for key, prompt, answer in zip(arrays["keys"], prompts, answers, strict=True)
            ),
            tuple(TokenScores(*part) for part in parts),
            tuple(map(float, nats)),
            tuple(map(float, variation)),
            tuple(map(int, flips)),
            float(arrays["decode"][0]),
        )
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise BadInput(f"{path} is damaged ({error}): remove it and serve the baseline again") from None


def _wide(values: NDArray[Any], width: int, filler: float) -> NDArray[Any]:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=filler)
