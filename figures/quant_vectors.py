"""What other projects' code says of the made answers of AIME, HLE and LiveCodeBench, for the tests.

``python -m figures.quant_vectors`` writes ``tests/tasks/vectors/quant.json`` again.
"""

import json
from pathlib import Path

from evalsuite.records import canonical_sha
from figures import aime, hle, livecodebench
from figures.upstream import commit

VECTORS = Path(__file__).parents[1] / "tests" / "tasks" / "vectors" / "quant.json"


def main() -> None:
    """Ask every checkout and write the file; long texts are kept as hashes."""
    system, prompts, verdicts, error = hle.official()
    content = {
        "commits": {name: commit(name) for name in ("LiveCodeBench", "NeMo-Skills", "hle")},
        "aime": "".join(str(int(right)) for right in aime.theirs()),
        "hle": [canonical_sha([system, prompts]), verdicts, error],
        "hle_strict": canonical_sha(list(hle.nemo())),
        "livecodebench": {
            variant: canonical_sha(list(livecodebench.published(name)))
            for name, variant in livecodebench.CHECKOUTS.items()
        },
    }
    VECTORS.parent.mkdir(exist_ok=True)
    VECTORS.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
