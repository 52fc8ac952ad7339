"""The asked figures by topic: what runs at full size, and what was asked of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from figures import (
    aime,
    benchmarks,
    checksums,
    command_faults,
    cost,
    families,
    hle,
    honest_values,
    install,
    io_faults,
    kills,
    livecodebench,
    lost_answers,
    output_files,
    own,
    planted_parser,
    refused,
    reply_fuzz,
    security,
    server_shapes,
    sick,
    startup,
    tool_calls,
    whole_runs,
)
from figures import plan as planning
from figures.contract import contract
from figures.gate_process import gate_lines
from figures.line import Line
from figures.nightly import nightly_lines
from figures.probe import probe_lines
from figures.probe_load import memory_and_cpu, token_ids_cost
from figures.tiers import house, tiers
from figures.unchanged import unchanged
from figures.verdict import verdicts


@dataclass(frozen=True, slots=True)
class Topic:
    """A group of figures that is measured together."""

    title: str
    measure: Callable[[Path], list[Line]]


def page(folder: Path) -> list[Line]:
    """The report's page in headless Chromium."""
    from figures.page import page_lines

    return page_lines(folder)


def pages(folder: Path) -> list[Line]:
    """Whether pages show everything at every width, and ``card.md`` beside the release card."""
    from figures.page_layout import layout_lines

    return layout_lines(folder)


def extractors(folder: Path) -> list[Line]:
    """Readers beside the code that published them, and on answers that never end."""
    from figures.extractors import lines

    return [*lines(), *whole_runs.extractors(folder)]


def boxed(folder: Path) -> list[Line]:
    """GSM8K's reader on made boxes."""
    from figures.boxed import lines

    return lines(folder)


def identity(folder: Path) -> list[Line]:
    """Which server is on the port."""
    from figures.identity import lines

    return lines(folder)


def mistakes(folder: Path) -> list[Line]:
    """Ten common mistakes."""
    from figures.mistakes import lines

    return lines(folder)


def user_mistakes(folder: Path) -> list[Line]:
    """Twenty-five mistakes of a new user."""
    from figures.user_mistakes import user_mistake_lines

    return user_mistake_lines(folder)


def servers(folder: Path) -> list[Line]:
    """Fifteen kinds of servers."""
    from figures.servers import server_lines

    return server_lines(folder)


def missing(folder: Path) -> list[Line]:
    """The whole list of what a bare machine lacks."""
    from figures.missing import bare_machine

    return bare_machine(folder)


def air_gapped(folder: Path) -> list[Line]:
    """The air-gapped page in a namespace without network."""
    from figures.missing import air_gapped as page_lines

    return page_lines(folder)


def calibration(folder: Path) -> list[Line]:
    """Simulated suites through the real decision code."""
    from figures.calibration import release_lines

    return release_lines()


def identical(folder: Path) -> list[Line]:
    """How often anything is marked on the page of a model that did not change."""
    from figures.identical import identical_lines

    return identical_lines()


def smollm2(folder: Path) -> list[Line]:
    """A real small model at four precisions."""
    from figures.smollm2 import lines

    return lines(folder)


def promises(folder: Path) -> list[Line]:
    """``plan`` against simulation, and a bare threshold beside."""
    from figures.promises import promise_lines

    return promise_lines()


def walk_through(folder: Path) -> list[Line]:
    """The documentation's walk-through on one port."""
    from figures.walk_through import lines

    return lines(folder)


def recipes(folder: Path) -> list[Line]:
    """Twelve candidates of which eleven are equal."""
    from figures.recipes import recipe_lines

    return recipe_lines()


def unfriendly(folder: Path) -> list[Line]:
    """Losses of exactly the margin on few items, through ``paired_delta``."""
    from figures.unfriendly import unfriendly_lines

    return unfriendly_lines()


def two_by_two(folder: Path) -> list[Line]:
    """Checkpoint and server effects of the embedded model, planted and measured."""
    from figures.two_by_two import lines

    return lines(folder)


def sequential(folder: Path) -> list[Line]:
    """Errors and savings of stopping early."""
    from figures.arrivals import arrival_lines
    from figures.sequential import real_line, sequential_lines

    return [*sequential_lines(), *arrival_lines(), real_line(folder)]


def drift(folder: Path) -> list[Line]:
    """False alarms and delays of the nightly chart."""
    from figures.drift import drift_lines

    return drift_lines()


def makespan(folder: Path) -> list[Line]:
    """How full the slots stay with a heavy tail."""
    from figures.makespan import figure

    return figure(folder)


def windows(folder: Path) -> list[Line]:
    """Eight windows compared with one run."""
    from figures.windows import figure

    return figure(folder)


def faults(folder: Path) -> list[Line]:
    """Servers that fail now and then, and servers that never answer some questions."""
    from figures.faults import figures

    return figures(folder)


def llama_cpp(folder: Path) -> list[Line]:
    """Restarts and other precisions behind one configuration."""
    from figures.llama_cpp import lines

    return lines(folder)


def environments(folder: Path) -> list[Line]:
    """Runs in odd shells."""
    from figures.environments import figure

    return figure(folder)


TOPICS: dict[str, Topic] = {
    "clone": Topic("A fresh clone", whole_runs.clone),
    "demo": Topic("The embedded model", whole_runs.demo),
    "imports": Topic("Real answers, imported", whole_runs.imports),
    "http": Topic("MMLU-Pro over HTTP", whole_runs.http),
    "port": Topic("One port", whole_runs.port),
    "lm_eval": Topic("Verdicts beside stock lm-eval's", whole_runs.lm_eval),
    "extractors": Topic("Readers of answers", extractors),
    "boxed": Topic("GSM8K's box", boxed),
    "bodies": Topic("Request bodies", whole_runs.bodies),
    "startup": Topic("Start-up", startup.lines),
    "ray": Topic("Ray", whole_runs.ray),
    "interop": Topic("Logs of other harnesses", whole_runs.interop),
    "output_files": Topic("Files of NeMo-Skills and sgl-eval", output_files.lines),
    "nightly": Topic("A nightly job", nightly_lines),
    "ifbench": Topic("IFBench", benchmarks.ifbench),
    "mmmu": Topic("MMMU Pro", benchmarks.mmmu),
    "tau2": Topic("Tau2 telecom", benchmarks.tau2),
    "sandbox": Topic("SciCode's sandbox", benchmarks.sandbox),
    "honest_values": Topic("Values that leave the sandbox", lambda _: honest_values.lines()),
    "aa_lcr": Topic("AA-LCR", benchmarks.aa_lcr),
    "install": Topic("A plain installation", install.figure),
    "offline": Topic("Without a network", benchmarks.offline),
    "verdict": Topic("Verdicts and the gate", lambda folder: [*verdicts(folder), *gate_lines(folder)]),
    "tool_calls": Topic("Tool calls", lambda folder: [*tool_calls.lines(folder), *planted_parser.lines(folder)]),
    "livecodebench": Topic("LiveCodeBench", livecodebench.lines),
    "aime": Topic("AIME", aime.lines),
    "hle": Topic("Humanity's Last Exam", hle.lines),
    "everything": Topic("All eight benchmarks", benchmarks.everything),
    "kills": Topic("Killed and continued", kills.measure),
    "lost_answers": Topic("Answers that a kill loses", lost_answers.measure),
    "reply_fuzz": Topic("Damaged replies", reply_fuzz.measure),
    "server_shapes": Topic("One answer in many shapes", server_shapes.measure),
    "refused": Topic("Refused with a larger limit", refused.lines),
    "io_faults": Topic("A disk that fails", io_faults.measure),
    "command_faults": Topic("The commands after a run, on a disk that fails and killed", command_faults.measure),
    "samples": Topic("What a sample costs", cost.measure_samples),
    "cost": Topic("What it costs in memory", cost.measure),
    "streams": Topic("What streams and a start cost", cost.measure_streams),
    "page": Topic("The report's page", page),
    "walk_through": Topic("The walk-through", walk_through),
    "pages": Topic("Pages at three widths, and card.md", pages),
    "calibration": Topic("Calibrated verdicts", calibration),
    "identical": Topic("Identical suites", identical),
    "promises": Topic("What plan promises", promises),
    "recipes": Topic("Which of twelve recipes", recipes),
    "unfriendly": Topic("Verdicts where the world is unfriendly", unfriendly),
    "two_by_two": Topic("Checkpoint or server", two_by_two),
    "sequential": Topic("Stopping early", sequential),
    "drift": Topic("Nightly drift", drift),
    "makespan": Topic("Slots with a heavy tail", makespan),
    "windows": Topic("Eight windows", windows),
    "plan": Topic("Plan and card check", planning.plan),
    "identity": Topic("Who is on the port", identity),
    "own": Topic("Own server, own questions", own.lines),
    "families": Topic("Checkpoints of other families", families.families),
    "mistakes": Topic("Ten common mistakes", mistakes),
    "servers": Topic("Fifteen kinds of servers", servers),
    "missing": Topic("What is missing on a bare machine", missing),
    "air_gapped": Topic("The air-gapped page without a network", air_gapped),
    "user_mistakes": Topic("Twenty-five mistakes of a new user", user_mistakes),
    "faults": Topic("Faults", faults),
    "sick": Topic("Sick servers", sick.lines),
    "smollm2": Topic("SmolLM2 in llama.cpp", smollm2),
    "llama_cpp": Topic("llama.cpp, restarted and exchanged", llama_cpp),
    "environments": Topic("Odd shells", environments),
    "unchanged": Topic("Before and after", unchanged),
    "contract": Topic("Real servers", contract),
    "probe": Topic("The fidelity probe", probe_lines),
    "probe_load": Topic("What a probe costs", lambda _: [*memory_and_cpu(), *token_ids_cost()]),
    "artefacts": Topic("Crafted baselines", security.crafted_artefacts),
    "damages": Topic("Damaged files", security.random_damages),
    "checksums": Topic("Checksums of journals", checksums.checksum_cost),
    "leaks": Topic("Text of others", security.hostile_texts),
    "house": Topic("The house", house),
    "tiers": Topic("Two tiers of tests", tiers),
}
