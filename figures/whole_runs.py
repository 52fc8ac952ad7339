"""Figures of whole runs: a fresh clone, the demo, recorded answers imported and replayed, other harnesses, Ray."""

import subprocess
import sys
import time
from pathlib import Path

from figures.line import Line
from figures.measure import measured
from tests.support.shared import shared_data

HTTP_MODEL = "Meta-Llama-3_1-70B-Instruct"
"""Its recorded answers stop where the protocol stops, so a server replays them as they are."""
ROOT = Path(__file__).parents[1]


def clone(folder: Path) -> list[Line]:
    """A fresh clone: the two commands that do all set-up, from nothing."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
    made, said = _timed(["make", "demo"], folder / "clone")
    run, _ = _timed([".venv/bin/evalsuite", "run", "suite=demo", "run_id=again"], folder / "clone")
    tested, results = _timed(["make", "test"], folder / "clone")
    table = [line for line in said.splitlines() if line.startswith("word_problems")][:4]
    scores = "; ".join(line.partition("[")[0].removeprefix("word_problems").strip() for line in table)
    return [
        Line("`make demo` in a fresh clone, environment included", "under 8 minutes", f"{made / 60:.1f} minutes"),
        Line("of which `suite=demo` itself (measured again alone)", "under 2 minutes", f"{run:.0f} s"),
        Line("its table", "what the four truly score, whatever that is", scores),
        Line("`make test`", "under 12 minutes", f"{tested / 60:.1f} minutes: {results.splitlines()[-1].strip('= ')}"),
    ]


def demo(folder: Path) -> list[Line]:
    """The embedded model: batch invariance, true scores, and a real llama.cpp server."""
    from figures.llama_cpp import beside_llama_cpp
    from tests.demo.test_model import check_accuracy, check_batch_invariance

    compared = check_batch_invariance(200)
    lines = [
        Line(
            "prompts with the same text alone, in a batch of 32, and with other batch mates",
            "200 of 200 at every precision",
            ", ".join(f"{name} {count} of 200" for name, count in compared.items()),
        )
    ]
    for name, shares in check_accuracy(2000).items():
        parts = ", ".join(f"{subject} {100 * share:.2f}" for subject, share in shares.items() if subject != "all")
        lines.append(Line(f"{name}, 2,000 held-out items, greedy", "stated", f"{100 * shares['all']:.2f} % ({parts})"))
    beside = beside_llama_cpp(folder)
    lines += [
        Line(
            "BF16 weights in a real llama.cpp server, same client, 2,000 items, greedy",
            "accuracy within noise of NumPy's",
            f"{100 * beside.llama_cpp:.2f} % against {100 * beside.numpy:.2f} %",
        ),
        Line("greedy texts equal letter by letter", "stated", f"{100 * beside.equal_texts:.2f} %"),
    ]
    return lines


def imports(folder: Path) -> list[Line]:
    """Real recorded answers of four models, imported, graded and reported."""
    from figures.replay import MODELS, gsm8k_agreement, mmlu_pro_imports
    from figures.report import report_cost

    data = shared_data()
    found = mmlu_pro_imports(data, folder)
    command = [sys.executable, "-m", "evalsuite", "report", "run=replay", f"results_dir={folder}/results"]
    began = time.monotonic()
    done, reporting = measured([*command, f"baseline={MODELS[0]}"])
    assert done.returncode == 0, done.stderr
    seconds, peak = time.monotonic() - began, max(found.peak_mb, reporting)
    asked = dict(zip(MODELS, ("6,322", "6,309", "7,557", "5,923"), strict=True))
    lines = [Line(f"{model}, right of 12,032", asked[model], f"{found.right[model]:,}") for model in MODELS]
    sums = all(
        sum(right for right, _ in parts.values()) == found.right[model]
        and sum(count for _, count in parts.values()) == found.items
        for model, parts in found.subjects.items()
    )
    lines += [
        Line("from the first to the second: lost, gained", "1,043, 1,030", f"{found.lost:,}, {found.gained:,}"),
        Line("per-subject counts add up", "yes", "yes" if sums else "no"),
        Line("importing and reporting all four", "under 60 s", f"{found.seconds + seconds:.1f} s"),
        Line("largest resident memory on the way", "under 1 GB", f"{peak:.0f} MB"),
    ]
    cost = report_cost(folder)
    made = f"{cost.seconds:.1f} s, {cost.peak_mb:.0f} MB"
    lines.append(Line("report of 4 x 12,032 samples with every plot, one process", "stated", made))
    for model, (same, count) in gsm8k_agreement(data).items():
        lines.append(Line(f"GSM8K, {model}: verdicts equal the authors'", "1,319 of 1,319", f"{same:,} of {count:,}"))
    return lines


def http(folder: Path) -> list[Line]:
    """The whole of MMLU-Pro over real HTTP, once through and once killed midway."""
    from figures.replay_http import over_http

    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    whole = over_http(shared_data(), HTTP_MODEL, folder / "whole", kill=False)
    killed = over_http(shared_data(), HTTP_MODEL, folder / "killed", kill=True)
    same = "yes" if whole.same_verdicts and killed.same_verdicts else "no"
    return [
        Line(
            "requests for 12,032 items at concurrency 256",
            "12,032, each once",
            f"{whole.requests:,}, {whole.asked_twice} twice",
        ),
        Line(
            "right, over HTTP and imported",
            "equal",
            f"{whole.right:,} and {whole.import_right:,.0f}; item by item: {same}",
        ),
        Line("largest resident memory", "under 1 GB", f"{max(whole.peak_mb, killed.peak_mb):.0f} MB"),
        Line("time of the whole run", "stated", f"{whole.seconds:.0f} s"),
        Line(
            "killed midway, started again: replies written over 0.5 s before the kill and asked again",
            "0",
            str(killed.late_twice),
        ),
        Line("others asked again", "at most 256, marked `rerolled`", f"{killed.asked_twice}, {killed.marked} marked"),
        Line("every one asked again is marked", "yes", "yes" if killed.marked_right else "no"),
    ]


def port(folder: Path) -> list[Line]:
    """One port, one checkpoint after another."""
    from figures.one_port import one_port

    found = one_port(folder)
    return [
        Line("samples of the one run", "stated", f"{found.samples:,}"),
        Line("requests sent", "one each", f"{found.journaled_requests:,}"),
        Line("run folders", "one (and one for the side-by-side run)", f"{found.runs - 1}"),
        Line("rows equal the side-by-side run's", "yes", "yes" if found.equal_rows else "no"),
        Line("`comparison.json` equals the side-by-side run's", "yes", "yes" if found.equal_comparison else "no"),
        Line("two processes on different cells of one run", "both finish", f"exit codes {found.parallel_codes}"),
    ]


def lm_eval(folder: Path) -> list[Line]:
    """Stock lm-eval and evalsuite on one scripted endpoint, verdict by verdict."""
    from figures.lm_eval_parity import parity

    found = parity(folder, 200, shared_data())
    lines = []
    for name, one in found.tasks.items():
        mix = ", ".join(f"{count} {outcome}" for outcome, count in one.outcomes.items() if count)
        lines.append(Line(f"{name}: same verdicts", f"{one.items} of {one.items}", f"{one.same_verdict} ({mix})"))
    return [*lines, Line("prompts that only one of them sent", "0", str(found.only_one_side))]


def extractors(folder: Path) -> list[Line]:
    """Looping answers of 300,000 characters."""
    from figures.replay import looping_answers

    slowest = looping_answers(300_000)
    return [
        Line(f"{name}, slowest of all looping shapes", "under 1 s", f"{seconds:.3f} s ({shape})")
        for name, (seconds, shape) in slowest.items()
    ]


def bodies(folder: Path) -> list[Line]:
    """The fields of the first request, as the snapshots of ``tests/endpoint/test_request_bodies.py`` hold them."""
    from evalsuite.cli.dry_run import first_body
    from evalsuite.config.compose import load_settings
    from evalsuite.tasks.loading import load_tasks
    from tests.support.questions import lay_out

    lay_out(folder)
    lines = []
    for model in ("nvfp4_v2", "qwen3_5_27b_nvfp4"):
        for thinking in ("on", "off"):
            words = [f"model={model}", "task=gsm8k", f"thinking={thinking}", "data=local", f"data.root={folder}"]
            wanted = load_settings(words)
            task = load_tasks(wanted)["gsm8k"]
            body = first_body(task, wanted.models[model])
            fields = ", ".join(f"{name} {body[name]} ({origin})" for name, origin in task.origin.items())
            what = f"{wanted.models[model].server.dialect}, {model}, thinking {thinking}"
            sent = f"{fields}, chat_template_kwargs {body['chat_template_kwargs']}"
            lines.append(Line(what, "0.6, 0.95, 64000 of the card; the others with their origins", sent))
    return lines


def interop(folder: Path) -> list[Line]:
    """Logs of other harnesses, written now by lm-eval and inspect, recorded for evalscope."""
    from tests.end_to_end.interop.agreement import live, recorded

    found = {**live(folder, 100), "evalscope (recorded by `make interop`)": recorded(folder)}
    return [
        Line(
            f"a run of {name}, imported",
            "item-equal verdicts",
            f"{one.same_verdict} of {one.answers} verdicts the same; token counts for {one.tokens}",
        )
        for name, one in found.items()
    ]


def ray(folder: Path) -> list[Line]:
    """A run on a local Ray cluster of two working nodes; one is killed when a third of the work is done."""
    from tests.support.ray_cluster import one_node_killed

    done = one_node_killed(folder, 600)
    told = f"exit {done.code}; {done.rows} rows, {done.distinct} distinct, of {done.planned} planned; "
    return [
        Line(
            "Ray, two nodes, one killed midway, 600 items x 2 repeats",
            "every sample exactly once",
            told + f"{done.asked_again} requests asked again (16 were in flight); {done.nodes} workers wrote",
        )
    ]


def _timed(command: list[str], folder: Path) -> tuple[float, str]:
    """(wall seconds, standard output) of a command that must succeed."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return time.monotonic() - began, done.stdout
