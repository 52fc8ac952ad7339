"""Programs that stand on PATH, or in Python's path, in the place of a cluster's own when a page is executed."""
