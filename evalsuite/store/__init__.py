"""What is on disk: a run is a folder of cells, a cell is one model x one task.

    results/<run_id>/<model>/<task>/
        manifest.json      what was asked, of whom, with which settings (``manifest``)
        journal-*.jsonl    every reply and verdict, one file per writer, only appended to (``journal``, ``commits``,
                           ``attempts``)
        samples.parquet    one row per item x repeat, made from the journals (``seal``)
        lock               who writes here now (``lock``)

Everything can be rebuilt from the manifest and the journals.
"""

from evalsuite.store.attempts import MODEL, Cut
from evalsuite.store.cell import Cell, close_cells, open_cell
from evalsuite.store.commits import Commits
from evalsuite.store.lock import held
from evalsuite.store.manifest import MANIFEST, cells, differences, read_manifest, replace_text, write_json
from evalsuite.store.seal import COLUMNS, SAMPLES, is_current, read_cuts, read_samples, sample_row, seal, write_imported

__all__ = [
    "COLUMNS",
    "MANIFEST",
    "MODEL",
    "SAMPLES",
    "Cell",
    "Commits",
    "Cut",
    "cells",
    "close_cells",
    "differences",
    "held",
    "is_current",
    "open_cell",
    "read_cuts",
    "read_manifest",
    "read_samples",
    "replace_text",
    "sample_row",
    "seal",
    "write_imported",
    "write_json",
]
