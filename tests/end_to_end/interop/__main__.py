"""``make interop``: evalscope, in an environment of its own, asks the demo server; its log is kept for the tests."""

import shutil
import sys
import tempfile
from pathlib import Path

from evalsuite.demo.process import serving
from tests.end_to_end.interop import logs
from tests.end_to_end.interop.agreement import RECORDED, imported, numeric

COUNT = 10


def main(python: str) -> int:
    """Record the log with the Python that has evalscope, and say how its verdicts compare with ours."""
    asked = numeric(COUNT)
    with tempfile.TemporaryDirectory(prefix="evalsuite-interop-") as name, serving(["demo_nvfp4"]) as urls:
        folder = Path(name)
        log = logs.evalscope_log(Path(python).absolute(), folder, urls["demo_nvfp4"], "demo_nvfp4", asked)
        shutil.rmtree(RECORDED, ignore_errors=True)
        for kind in ("reviews", "predictions"):
            kept = RECORDED / kind / log.parent.name / log.name
            kept.parent.mkdir(parents=True)
            shutil.copy(log.parents[2] / kind / log.parent.name / log.name, kept)
        (RECORDED / "problems_per_subject").write_text(f"{COUNT}\n")
        print(imported(log, folder, "evalscope", [one.id for one in asked]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
