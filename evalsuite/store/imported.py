"""Cells of answers that were recorded elsewhere: a table and a manifest, without journals."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.records import Sample
from evalsuite.store.attempts import score_event
from evalsuite.store.manifest import MANIFEST, differences, read_manifest, write_json
from evalsuite.store.samples import sample_row, write_table


def write_imported(folder: Path, manifest: Mapping[str, Any], samples: Iterable[Sample]) -> None:
    """Write ``samples.parquet`` and the manifest of a cell of answers recorded elsewhere; creates ``folder``.

    An imported cell there of the same identity and the same ``imported`` entry (file and hash) is replaced. Raises
    ``BadInput`` for any other or damaged one, ``StorageFailed`` if a file cannot be written (``OSError`` for the
    folder), and what iterating over ``samples`` raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST).exists():
        lines = differences(read_manifest(folder)["identity"], manifest["identity"])
        if lines or read_manifest(folder)["imported"] != manifest["imported"]:
            what = "; ".join(lines) or "another file"
            raise BadInput(f"{folder} holds another cell ({what}); choose another name= or run_id=")
    identity = manifest["identity"]
    signs: list[list[Any]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for sample in samples:
            if sample.degenerate:
                signs.append([sample.item_id, sample.repeat, sample.degenerate])
            event = score_event(sample)
            yield sample_row(identity["task"], identity["variant"], folder.parent.name, event, _reply(sample))

    write_table(folder, rows(), {"journals": {}, "cuts": []}, signs)
    write_json(folder / MANIFEST, dict(manifest))


def _reply(sample: Sample) -> dict[str, Any]:
    if sample.reply is None:
        return {}
    reply, usage = sample.reply, sample.reply.usage
    counts = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    texts = {"text": reply.text, "reasoning": reply.reasoning, "finish_reason": reply.finish_reason}
    return texts | {"usage": counts, "seconds": reply.seconds or None}
