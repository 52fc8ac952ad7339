"""Attacks from outside: crafted artefacts, damaged files, and text that wants to be more than text."""

import contextlib
import io
import logging
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from evalsuite.analysis.collect import open_inputs
from evalsuite.analysis.suite import compare_all
from evalsuite.cli import judge, rescore, show
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import AuxiliaryModel, Server
from evalsuite.errors import BadInput, EvalsuiteError, Exit
from evalsuite.store.artefact import open_artefact
from evalsuite.store.baseline import write_artefact
from evalsuite.store.runs import run_cells
from evalsuite.store.samples import SAMPLES, read_samples
from figures.line import Line
from figures.measure import measured
from tests.support import artefacts, damages, hostile_text
from tests.support.cells import Answer, Made, answers, write
from tests.support.scripted_endpoint import scripted_endpoint
from tests.support.toy import right, settings

_OPEN_ALL = """
import sys
from pathlib import Path
from evalsuite.errors import BadInput
from evalsuite.store.artefact import unpack
refused = 0
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        unpack(path, Path(sys.argv[2]))
    except BadInput:
        refused += 1
print(refused)
"""
DAMAGES = 20_000
BASELINE_GB = 8.0
CODES = (0, 3, 64, 74)
"""Exit codes that a damaged file may have: 3 is a cell in which an answer is missing now."""


def crafted_artefacts(folder: Path, gigabytes: float = BASELINE_GB) -> list[Line]:
    """Every crafted artefact, opened in a process of its own; then a baseline of many gigabytes."""
    write(folder / "r", Made("fp8", answers([1, 0, 1])))
    write_artefact(run_cells(folder / "r"), folder / "good.baseline")
    made, home = folder / "made", folder / "inside" / "home"
    made.mkdir()
    home.mkdir(parents=True)
    count = len(artefacts.crafted(folder / "good.baseline", made))
    before = {path for path in folder.rglob("*") if home not in path.parents}
    done, peak = measured([sys.executable, "-c", _OPEN_ALL, str(made), str(home)])
    outside = {path for path in folder.rglob("*") if home not in path.parents} - before
    big = _large_baseline(folder, gigabytes)
    return [
        Line("crafted artefacts refused", f"{count} of {count}", f"{done.stdout.strip()} of {count}"),
        Line("files outside the folder they are unpacked into", "0", str(len(outside))),
        Line("largest resident memory while they are opened", "under 300 MB", f"{peak:.0f} MB"),
        Line(f"a baseline with {gigabytes:g} GB of replies", "accepted", big),
    ]


def _large_baseline(folder: Path, gigabytes: float) -> str:
    """Save and open a baseline of one cell with a long journal."""
    write(folder / "large", Made("fp8", {"0": [Answer(1.0)]}))
    line = b'{"event":"flush","text":"' + random.Random(1).randbytes(500_000).hex().encode() + b'"}\n'
    with (folder / "large" / "fp8" / "mmlu_pro" / artefacts.JOURNAL).open("wb") as file:
        for _ in range(int(gigabytes * 1e9 / len(line))):
            file.write(line)
    path = folder / "large.baseline"
    write_artefact(run_cells(folder / "large"), path)
    shutil.rmtree(folder / "large")
    with open_artefact(path) as opened:
        size = sum(file.stat().st_size for file in opened.cells[0].folder.iterdir())
    return f"accepted, {path.stat().st_size / 1e9:.2f} GB, unpacked {size / 1e9:.2f} GB"


def hostile_texts(folder: Path) -> list[Line]:
    """Every kind of text in every place, through every output."""
    found: list[str] = []
    for number, (kind, text) in enumerate(hostile_text.KINDS.items()):
        shown = hostile_text.outputs(folder / str(number), text)
        found += [f"{kind} in {leak}" for leak in hostile_text.leaks(shown)]
    what = f"escapes, marks of direction, scripts, links and formulas: {len(hostile_text.KINDS)} kinds of text"
    told = f"0 of {len(hostile_text.KINDS) * len(shown)}" if not found else "; ".join(found)
    return [Line(f"{what} through {len(hostile_text.OUTPUTS)} outputs and the JSON and metadata files", "0", told)]


def random_damages(folder: Path, count: int = DAMAGES) -> list[Line]:
    """Random damages to one file of a run, each followed by one command in this process."""
    logging.disable()
    with scripted_endpoint(right) as server:
        asked = settings(folder, ("a", server.base_url), ("b", server.base_url), baseline="a", report=False)
        with contextlib.redirect_stderr(io.StringIO()):
            assert run(asked) == Exit.DONE
    sound = folder / "r"
    texts = {model: _texts(sound / model / "additions") for model in ("a", "b")}
    codes: Counter[int] = Counter()
    lost, changed, long, bugs = 0, 0, 0, Counter[str]()
    for number in range(count):
        generator = random.Random(number)
        shutil.rmtree(folder / "t", ignore_errors=True)
        shutil.copytree(sound, folder / "t" / "r")
        whole = _damage(generator, folder / "t" / "r" / "b" / "additions")
        code, said = _command(COMMANDS[number % len(COMMANDS)], folder / "t")
        codes[code] += 1
        long += code != 0 and said.count("\n") > 0
        if code not in CODES:
            bugs[said[:200]] += 1
        if code in (0, 3):
            now = _texts(folder / "t" / "r" / "b" / "additions")
            changed += sum(text not in ("", texts["b"][item]) for item, text in now.items())
            lost += sum(now.get(item) != texts["b"][item] for item in whole)
    told = ", ".join(f"{code}: {times:,}" for code, times in sorted(codes.items()))
    return [
        Line(f"{count:,} random damages through show, rescore, report, judge: exit codes", "0, 3, 64, 74", told),
        Line("of which with more than one line; with a traceback", "0; 0", f"{long}; {dict(bugs) or 0}"),
        Line("undamaged replies that were lost", "0", str(lost)),
        Line("texts that were changed and graded", "0", str(changed)),
    ]


def _texts(cell: Path) -> dict[str, str]:
    """Item -> the stored text; empty for a cell that is refused."""
    try:
        rows = read_samples(cell, ["item_id", "text"]).to_pylist()
    except BadInput:
        return {}
    return {row["item_id"]: row["text"] for row in rows}


def _damage(generator: random.Random, cell: Path) -> set[str]:
    """Damage one file of a cell; returns the items whose lines are whole."""
    (journal,) = cell.glob("journal-*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    items = {
        number: line.split(b'"item":"')[1].split(b'"')[0].decode()
        for number, line in enumerate(lines)
        if b'"item":"' in line
    }
    kind = generator.random()
    if kind < 0.7:
        damaged, whole = damages.damage(generator, lines)
        (cell / SAMPLES).unlink()
        journal.write_bytes(damaged)
        return set(items.values()) - {item for number, item in items.items() if number not in whole}
    target = cell / ("manifest.json" if kind < 0.85 else SAMPLES)
    data = bytearray(target.read_bytes())
    place = generator.randrange(len(data))
    if generator.random() < 0.5:
        data[place] ^= 1 << generator.randrange(8)
    else:
        del data[place : place + generator.choice((1, 10, 100))]
    target.write_bytes(data)
    return set()


def _report(asked: Report) -> None:
    with open_inputs(asked) as inputs:
        compare_all(inputs.table, inputs.baseline)


COMMANDS: tuple[Callable[[Report], object], ...] = (
    *(show.show,) * 5,
    *(rescore.rescore,) * 3,
    _report,
    judge.judge,
)


def _command(command: Callable[[Report], object], results: Path) -> tuple[int, str]:
    """(exit code, message) of a command; 70 for what is no expected error."""
    asked = Report(run=["r"], results_dir=str(results))
    if command is judge.judge:
        server = Server(dialect="openai")
        asked.judge = AuxiliaryModel(
            "Judge", "org/judge", None, "bf16", base_url="http://localhost:9/v1", server=server
        )
    written = io.StringIO()
    try:
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            code = command(asked)
        return int(code) if isinstance(code, int) else 0, ""
    except EvalsuiteError as error:
        return int(error.exit_code), str(error)
    except Exception as error:  # noqa: BLE001  what a user would see as exit 70
        return 70, f"{type(error).__name__}: {error}"
