"""Logs of one demo server, imported: every verdict of the other harness beside ours."""

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

from evalsuite.cli.import_answers import import_answers
from evalsuite.config.compose import load_settings
from evalsuite.demo.problems import Problem
from evalsuite.store.samples import read_samples
from tests.end_to_end.interop import logs

RECORDED = Path(__file__).parent / "evalscope_gsm8k"
"""What ``make interop`` recorded: evalscope 1.14.1 on the demo's own problems, with numbers as answers."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One log after its import."""

    answers: int
    same_verdict: int
    complete: bool
    tokens: int
    """Answers whose token counts came along."""
    reasoning: int
    """Answers whose reasoning came along."""


def imported(log: Path, folder: Path, name: str, asked: list[str]) -> Agreement:
    """Import a log as the answers to the items ``asked`` and read what it says of verdicts."""
    ids = folder / f"{name}.ids"
    ids.write_text("\n".join(asked) + "\n")
    words = ["task=word_problems", f"file={log}", f"name={name}", "run_id=interop", f"results_dir={folder / 'results'}"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        import_answers(load_settings([*words, f"tasks.word_problems.select.ids={ids}"], None, "import"))
    cell = folder / "results" / "interop" / name / "word_problems"
    rows = read_samples(cell, ["completion_tokens", "reasoning"]).to_pylist()
    found = re.search(r"([\d,]+) of ([\d,]+) verdicts are the same", said.getvalue())
    same, total = (int(one.replace(",", "")) for one in found.groups()) if found else (0, 0)
    return Agreement(
        answers=total,
        same_verdict=same,
        complete=json.loads((cell / "summary.json").read_text())["complete"],
        tokens=sum(row["completion_tokens"] is not None for row in rows),
        reasoning=sum(bool(row["reasoning"]) for row in rows),
    )


def live(folder: Path, count: int) -> dict[str, Agreement]:
    """lm-eval and inspect ask a demo server ``count`` problems of each subject, now; their logs are imported."""
    from evalsuite.demo.process import serving

    asked = logs.problems(count)
    ids = [one.id for one in asked]
    with serving(["demo_nvfp4"]) as urls:
        url = urls["demo_nvfp4"]
        return {
            "lm_eval": imported(logs.lm_eval_log(folder / "lm_eval", url, "demo_nvfp4", asked), folder, "lm_eval", ids),
            "inspect": imported(logs.inspect_log(folder / "inspect", url, "demo_nvfp4", asked), folder, "inspect", ids),
        }


def recorded(folder: Path) -> Agreement:
    """The recorded log of evalscope."""
    log = next(RECORDED.glob("reviews/*/*.jsonl"))
    asked = [one.id for one in numeric(int((RECORDED / "problems_per_subject").read_text()))]
    return imported(log, folder, "evalscope", asked)


def numeric(count: int) -> list[Problem]:
    """The problems whose answer is a number: what evalscope's GSM8K protocol can grade."""
    return [one for one in logs.problems(count) if one.answer.isdigit()]
