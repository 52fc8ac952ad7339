"""What evalsuite's client relies on, held against real servers: the contract tests, with vLLM and transformers too.

Those two come from an environment of their own (their dependencies exclude ours), which ``make figures
FIGURES=contract`` makes: ``EVALSUITE_VLLM`` and ``EVALSUITE_TRANSFORMERS`` name their programs.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from figures.line import Line
from figures.vllm_logprobs import ABSENT, logprob_lines
from tests.end_to_end.contract.servers import HERE, SERVERS

ROOT = Path(__file__).parents[1]
TESTS = "tests/end_to_end/contract/test_contract.py"


def contract(folder: Path) -> list[Line]:
    """One line for each server: how many statements of the contract held; then log-probabilities beside NumPy's."""
    outcomes = held(folder)
    lines = [
        Line(
            f"the client's contract, {name}", "all statements hold", _words(outcomes[name]) if name in HERE else ABSENT
        )
        for name in SERVERS
    ]
    return [*lines, *logprob_lines(folder)]


def held(folder: Path, *words: str) -> dict[str, dict[str, str]]:
    """Server -> statement -> "held", "broken" or "skipped"; ``words`` go to pytest."""
    report = folder / "contract.xml"
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *words, TESTS]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    if not report.exists():
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        named = re.fullmatch(r"test_(\w+)\[(\w+)\]", case.get("name", ""))
        if named is not None:
            states = {"failure": "broken", "error": "broken", "skipped": "skipped"}
            found[named[2]][named[1]] = next((states[part.tag] for part in case if part.tag in states), "held")
    return dict(found)


def _words(outcomes: dict[str, str]) -> str:
    counts = {state: sum(one == state for one in outcomes.values()) for state in ("held", "skipped")}
    skipped = f", {counts['skipped']} that the server has no answer for" if counts["skipped"] else ""
    broken = "; broken: " + ", ".join(name for name, one in outcomes.items() if one == "broken")
    return f"{counts['held']} of {len(outcomes)} held{skipped}" + (broken if "broken" in outcomes.values() else "")
