"""EIO, ENOSPC and SIGKILL at the k-th call that changes a disk, for every k of the commands that follow a run."""

import errno
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.cli.run import run
from evalsuite.store import journal
from evalsuite.store.manifest import cell_folders, read_manifest
from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.cli import test_fetch as hub_site
from tests.store import proving
from tests.store.io_faults import Disk, failing_disk
from tests.support import questions
from tests.support.scripted_endpoint import Server, scripted_endpoint
from tests.tasks import test_aa_lcr as lcr
from tests.tasks.test_datasets import Hub, serving

FAULTS = (("EIO", errno.EIO, False), ("ENOSPC", errno.ENOSPC, True), ("SIGKILL", 0, False))
"""Name, number, and whether it lasts from the k-th call on."""
KILLED = -9
CODES = (0, 3, 74, KILLED)
VERDICTS = (0, 1, 2)
"""What ``gate`` may end with besides."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command on a folder that is laid out anew for every k."""

    words: Sequence[str]
    """Its results are in, or go to, ``folder``."""
    folder: Path
    sound: Path | None
    """What stands in ``folder`` before; None: nothing."""
    state: Callable[[], Any]
    """What it leaves, without times, and without the hidden temporary file that a killed process leaves."""
    asked: Callable[[], int] = int
    """Requests that its servers have had."""
    stored: Callable[[], int] = int
    """Answers to them that are on disk."""


@dataclass(slots=True)
class CommandFaults:
    """What happened over all k."""

    calls: int = 0
    runs: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    unequal: int = 0
    """Repeated commands that leave something else than the uninterrupted one."""
    again: int = 0
    """Requests sent again although their answer was on disk."""
    bad: list[str] = field(default_factory=list)
    """Other exit codes, tracebacks, commands that cannot be repeated."""


def command_faults(disk: Disk, command: Command, said: Path, *, step: int = 1, first: int = 1) -> CommandFaults:
    """Every ``step``-th k from ``first`` on, with each fault; then the same command on a sound disk."""
    found = CommandFaults()
    _lay_out(command)
    whole = disk.run(command.words, command.folder, said)
    assert whole.code in (*CODES[:2], *VERDICTS), whole.said[-3000:]
    state, asked, found.calls = command.state(), command.asked(), whole.calls
    for k in range(first, found.calls + 1, step):
        for name, number, onwards in FAULTS:
            _lay_out(command)
            fault = disk.run(command.words, command.folder, said, at=k, error=number, onwards=onwards)
            stored, before = command.stored(), command.asked()
            again = disk.run(command.words, command.folder, said)
            found.runs += 1
            found.codes[fault.code] += 1
            if fault.code not in (*CODES, whole.code) or "Traceback" in fault.said:
                found.bad.append(f"{name} at call {k}: exit {fault.code}: {fault.said[-600:]}")
            if again.code != whole.code:
                found.bad.append(f"after {name} at call {k}: exit {again.code}: {again.said[-600:]}")
                continue
            found.unequal += command.state() != state
            found.again += max(0, command.asked() - before + stored - asked)
    return found


def _lay_out(command: Command) -> None:
    shutil.rmtree(command.folder, ignore_errors=True)
    if command.sound is not None:
        shutil.copytree(command.sound, command.folder)


def rows(results: Path) -> list[dict[str, Any]]:
    """The rows of all cells of the run, without what an interruption may change."""
    return [
        {name: value for name, value in row.items() if name not in proving.UNEQUAL}
        for folder in cell_folders(results / "r")
        for row in read_samples(folder).to_pylist()
    ]


def _state(results: Path, *files: str) -> Callable[[], Any]:
    def state() -> Any:
        report = results / "r" / "report"
        texts = [(report / name).read_text(encoding="utf-8") for name in files]
        judges = [read_manifest(folder).get("judge") for folder in cell_folders(results / "r")]
        return rows(results), texts, judges

    return state


@contextmanager
def stored_commands(folder: Path, items: int = 3) -> Iterator[tuple[Disk, dict[str, Command]]]:
    """``rescore``, ``report``, ``gate`` and ``import`` on a small run of two models."""
    conf, sound, results = proving.configure(folder / "conf", items=items, repeats=1), folder / "sound", folder / "work"
    margins = ", ".join(f"{task}: {{points: 1, owner: figures, reason: none}}" for task in proving.TASKS)
    (conf / "gate").mkdir()
    (conf / "gate" / "toy.yaml").write_text(f"margins: {{{margins}}}\n")
    answers = folder / "answers.jsonl"
    answers.write_text("".join(json.dumps({"id": f"q{n:03}", "text": str(n + 1)}) + "\n" for n in range(items)))
    common = ("--config-dir", str(conf), f"results_dir={results}")
    with proving.endpoints(0.0) as servers, failing_disk(folder, proving.environment(folder / "acks")) as disk:
        done = disk.run(proving.command(conf, sound, servers)[3:], sound, folder / "said")
        assert done.code == 0, done.said
        imported = ("import", "task=additions", f"file={answers}", "name=other", "run_id=r", "id_field=id")
        yield (
            disk,
            {
                "rescore": Command(("rescore", "run=r", *common), results, sound, _state(results)),
                "report": Command(("report", "run=r", *common), results, sound, _state(results, "comparison.json")),
                "gate": Command(
                    ("gate", "run=r", "gate=toy", *common), results, sound, _state(results, "comparison.json")
                ),
                "import": Command((*imported, *common), results, sound, _state(results)),
            },
        )


def _numbered(prompt: str) -> lcr.Answer:
    return lcr.Answer(f"It is {lcr.number_of(prompt)}.")


@contextmanager
def judged_command(folder: Path) -> Iterator[tuple[Disk, dict[str, Command]]]:
    """``judge`` on two models' stored answers."""
    root, results = lcr.lay_out(folder), folder / "work"
    judge: Server

    def stored() -> int:
        paths = results.glob("r/*/*/journal-*.jsonl")
        return sum(event["event"] == "judged" for path in paths for _, event in journal.read(path))

    with (
        scripted_endpoint(_numbered) as server,
        scripted_endpoint(_numbered) as other,
        scripted_endpoint(lambda prompt: lcr.Answer(lcr.fair(prompt))) as judge,
        failing_disk(folder, proving.environment(folder / "acks")) as disk,
    ):
        run(lcr.settings(root, ("bf16", server.base_url), ("fp8", other.base_url)))
        (folder / "results").rename(folder / "sound")
        words = ("judge", "run=r", f"results_dir={results}", "data=local", f"data.root={root}", *lcr.judged_by(judge))
        asked = lambda: len(judge.requests)  # noqa: E731
        yield disk, {"judge": Command(words, results, folder / "sound", _state(results), asked, stored)}


@contextmanager
def fetch_command(folder: Path) -> Iterator[tuple[Disk, dict[str, Command]]]:
    """``fetch`` of made data from a server that speaks the hub's protocol."""
    checkout, target = folder / "checkout", folder / "fetched"
    for name in ("evalsuite", "conf", "tasks"):
        shutil.copytree(proving.ROOT / name, checkout / name)
    questions.lay_out(folder / "made")

    def state() -> Any:
        files = [path for path in target.rglob("*") if path.is_file() and not path.name.endswith(".tmp")]
        return sorted((str(path.relative_to(target)), path.read_bytes()) for path in files)

    with serving(Hub()) as hub:
        hub_site.publish(folder / "made", checkout, hub)
        mine = {"HF_HOME": str(folder / "hf"), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "made"}
        words = ("fetch", f"to={target}", "task=[gsm8k,mmlu_pro,gpqa_diamond,mmmu_val,aa_lcr]")
        with failing_disk(folder, proving.environment(folder / "acks") | mine, checkout) as disk:
            yield disk, {"fetch": Command(words, target, None, state)}


KINDS = (stored_commands, judged_command, fetch_command)


def measure(folder: Path, *, step: int = 1) -> list[Line]:
    """The figure at full size: every k."""
    lines = []
    for kind in KINDS:
        home = folder / kind.__name__
        home.mkdir()
        with kind(home) as (disk, commands):
            for name, command in commands.items():
                found = command_faults(disk, command, home / "said", step=step)
                lines.append(line(name, found))
    return lines


def line(name: str, found: CommandFaults) -> Line:
    """One command's row."""
    codes = ", ".join(f"{count} x {code}" for code, count in sorted(found.codes.items()))
    what = f"`{name}`: EIO, ENOSPC and SIGKILL at each of {found.calls} calls ({found.runs} runs): exit codes; "
    counts = f"{codes}; {found.unequal}; {found.again}; {len(found.bad)}"
    return Line(
        f"{what}repeated commands that end otherwise; answers asked again; tracebacks, other codes",
        "no 70; 0; 0; 0",
        counts,
    )
