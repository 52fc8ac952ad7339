"""The plans of the shipped suites, their cost, and the card check of the five published tables."""

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from evalsuite.config.compose import load_settings
from evalsuite.config.files import config_source
from evalsuite.config.paths import shipped
from evalsuite.config.serving import Launch
from evalsuite.config.settings import Model, Run
from evalsuite.plan import hardware
from evalsuite.plan.build import make_plan
from evalsuite.report.published.check import CardReport, card_reports
from evalsuite.tasks.published import card_named
from figures.line import Line

ROOT = Path(__file__).parents[1]
MODELS = "model=[fp8,nvfp4_v2]"
SUITES = {"card": "at least 60 %", "release": "at least 80 %", "day0": "stated"}
"""Suites, each planned with the gate of its name; asked: how often an identical model passes it."""
WEIGHTS_GB = {"bf16": 800.0, "fp8": 400.0, "fp4": 250.0}
RULE_DIFFERS = {("b200x8", "fp4"): (4, 2)}
"""Where the rule for unknown models gives another number than the source: (source, rule)."""


@dataclass(frozen=True, slots=True)
class PassChance:
    """One benchmark of a suite; fractions of 1."""

    task: str
    margin: float
    repeats: int
    detectable: float
    identical: float
    moved: float
    half: float
    needed: int | None


@dataclass(frozen=True, slots=True)
class CommandCost:
    """One run of the real command."""

    wall: float
    cpu: float
    peak_mb: float


def pass_chances(suite: str, gate: str = "gate=release") -> list[PassChance]:
    """The table of a suite for FP8 against NVFP4 V2, on assumed and published numbers alone."""
    run = load_settings([MODELS, suite, gate, "results_dir=/nonexistent"], None, "plan")
    rows = [one for one in make_plan(run).chances if one.baseline == "fp8"]
    return [
        PassChance(
            one.facts.name,
            one.margin.points / 100,
            one.facts.repeats,
            one.detectable,
            one.outlook.identical.passes,
            one.outlook.moved.passes,
            one.outlook.half.passes,
            one.repeats,
        )
        for one in rows
        if one.margin is not None and one.outlook is not None
    ]


def command_cost(folder: Path, *words: str) -> CommandCost:
    """Seconds and memory of ``evalsuite plan`` as a user starts it."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "evalsuite", "plan", *words], cwd=folder, check=True, capture_output=True,
                   env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"})  # fmt: skip
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return CommandCost(wall, cpu, after.ru_maxrss / 1024)


def devices_by_rule() -> dict[tuple[str, str], tuple[int, int | None]]:
    """(machine, precision) -> (the source's number, the rule's) where the two differ."""
    source = config_source("run", Run, (), None)
    differs: dict[tuple[str, str], tuple[int, int | None]] = {}
    for name in source.options("hardware"):
        where = hardware.read_machine(name, source)
        for precision, stated in where.tensor_parallel.items():
            weights = 233.0 if name.startswith("rtx") else WEIGHTS_GB[precision]
            model = Model("x", "nobody/x", precision=precision, base_url="", launch=Launch(weights_gb=weights))
            ruled = hardware.devices_for(model, where)[0]
            if stated is not None and stated != ruled:
                differs[name, precision] = (stated, ruled)
    return differs


def checked_cards() -> dict[str, CardReport]:
    """Every shipped card, checked alone."""
    names = sorted(path.stem for path in (shipped("conf") / "card").glob("*.yaml"))
    return {name: card_reports(None, (card_named(name),))[0] for name in names}


def plan(folder: Path) -> list[Line]:
    """All of it, as rows of the page of figures."""
    lines: list[Line] = []
    for suite, asked_chance in SUITES.items():
        for row in pass_chances(f"suite={suite}", f"gate={suite}"):
            asked = f"margin {100 * row.margin:g} pt, {row.repeats} repeats: chance to pass stated"
            said = (
                f"identical {100 * row.identical:.0f} %, items moved {100 * row.moved:.0f} %, half lost "
                f"{100 * row.half:.0f} %; detectable {100 * row.detectable:.2f} pt; {row.needed or 'no number of'} "
                "repeats would reach it"
            )
            lines.append(Line(f"plan, suite={suite}, {row.task}", asked, said))
        found = make_plan(
            load_settings(
                [MODELS, f"suite={suite}", f"gate={suite}", "results_dir=/nonexistent", "rate=2500", "window=4h"]
            )
        )
        release = found.releases.get("fp8")
        if release is not None:
            lacking = f" (without {', '.join(release.missing)})" if release.missing else ""
            said = f"{100 * release.identical.release.passes:.1f} %, any fail {100 * release.identical.any_fail:.1f} %"
            what = f"plan, suite={suite} gate={suite}: identical models pass the gate{lacking}"
            lines.append(Line(what, f"{asked_chance}, at most 5 %", said))
        one = next(cost for cost in found.costs if cost.model == "nvfp4_v2")
        hours = (one.seconds or 0) / 3600
        lines.append(
            Line(
                f"plan, suite={suite}: tokens of one model, hours at 2,500 tokens a second, windows of 4 h",
                "stated",
                f"{one.total('completion') / 1e6:.0f} M, {hours:.1f} h, {one.windows}",
            )
        )
    cost = command_cost(folder, MODELS, "suite=all", "rate=2500", "window=4h", "hardware=b300x8")
    lines.append(Line("`evalsuite plan` of eight benchmarks", "under 2 s", f"{cost.wall:.1f} s ({cost.cpu:.1f} s CPU)"))
    lines.append(Line("its largest resident memory", "stated", f"{cost.peak_mb:.0f} MB"))
    return [*lines, *_cards()]


def _cards() -> list[Line]:
    lines: list[Line] = []
    for name, found in checked_cards().items():
        grims = [
            f"{one.task} of {one.n:,}: {', '.join(map(str, one.possible)) if one.impossible else 'all'}"
            for one in found.grims
        ]
        if grims:
            lines.append(
                Line(f"card {name}: passes at which its numbers are possible (GRIM)", "stated", "; ".join(grims))
            )
        for delta in found.deltas:
            low, high = (100 * bound for bound in delta.ci95)
            said = f"{100 * delta.delta:+.2f} pt, unpaired 95 % {low:+.2f} to {high:+.2f}"
            lines.append(Line(f"card {name}, {delta.task}: published difference", "its interval holds 0", said))
    return lines
