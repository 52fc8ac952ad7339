"""What is on disk: a run is a folder of cells, a cell is one model x one task."""

__all__ = [
    "artefact",
    "attempts",
    "baseline",
    "cell",
    "extents",
    "imported",
    "journal",
    "lock",
    "manifest",
    "runs",
    "samples",
    "writer",
]
