"""The asked figures of the benchmarks that are more than one question and one letter."""

from pathlib import Path

from figures.line import Line
from tests.support.shared import shared_data


def ifbench(folder: Path) -> list[Line]:
    """Compare the verdicts of the verifiers with the official ones."""
    from figures.ifbench import agreement, looping

    found = agreement(shared_data())
    equal = sum(same for same, _ in found.instructions.values())
    total = sum(count for _, count in found.instructions.values())
    whole = sum(same == count for same, count in found.instructions.values())
    less = {name: pair for name, pair in found.instructions.items() if pair[0] != pair[1]}
    shape, (seconds, _) = max(looping(str(shared_data() / "nltk_data")).items(), key=lambda one: one[1][0])
    return [
        Line("prompts whose strict and loose verdicts equal the official ones", "300", str(found.same)),
        Line("right of 300, strict and loose", "76 and 86", f"{found.strict} and {found.loose}"),
        Line(
            "prompt-text pairs equal, instruction by instruction", "6,000", f"{found.same_pairs:,} of {found.pairs:,}"
        ),
        Line("agreement over all instruction verdicts", "stated", f"{equal:,} of {total:,}"),
        Line("instruction ids that agree fully", "58", f"{whole} of {len(found.instructions)}; less: {less or 'none'}"),
        Line("slowest instruction on 300,000 looping characters", "under 1 s", f"{seconds:.2f} s CPU ({shape})"),
    ]


def mmmu(folder: Path) -> list[Line]:
    """Official verdicts of two recorded models, and real pictures over real HTTP."""
    from figures.mmmu import agreement, over_http

    for name in ("recorded", "asked"):
        (folder / name).mkdir()
    lines = []
    for name, found in agreement(shared_data(), folder / "recorded").items():
        rest = found.items - len(found.by_chance)
        what = f"{found.same:,} of {found.items:,}; by chance: {', '.join(found.by_chance) or 'none'}"
        lines.append(
            Line(f"gpt-4o, {name}: verdicts equal `is_correct`", f"{rest:,} (all not decided by chance)", what)
        )
    for name, sent in over_http(shared_data(), folder / "asked").items():
        exact = f"{sent.exact} with exact bytes, {sent.pictures} pictures"
        lines.append(Line(f"real items with pictures over HTTP, {name}", f"{sent.items}", exact))
    return lines


def tau2(folder: Path) -> list[Line]:
    """Gold actions, every way to end, and dialogues that were killed."""
    from figures.tau2 import ends, gold, killed

    found = gold(shared_data() / "tau2_telecom" / "gold_trace_upstream.json.gz")
    ended = ends(folder)
    right = sum((score.value, score.outcome) == (wanted.value, wanted.outcome) for score, wanted in ended.values())
    stopped = killed(folder, 20)
    return [
        Line("tasks whose gold actions give reward 1", "114", f"{found.gold_rewarded} of {found.tasks}"),
        Line("tasks where doing nothing gives 0", "114", f"{found.idle_unrewarded} of {found.tasks}"),
        Line("tool answers equal to upstream's", "all", f"{found.answers_equal} of {found.answers}"),
        Line("states equal to upstream's", "all", f"{found.states_equal} of {found.states}"),
        Line("scripted ends with the official reward", f"{len(ended)}", f"{right}"),
        Line(
            "dialogues killed midway, resumed: same transcripts",
            "20",
            f"{stopped.same_transcripts} of {stopped.dialogues}",
        ),
        Line("turns on record at the kill that were asked again", "0", f"{stopped.asked_twice} of {stopped.before}"),
    ]


def sandbox(folder: Path) -> list[Line]:
    """Hostile and honest snippets in bubblewrap, as root and as an ordinary user, and in a container."""
    from evalsuite.sandbox.isolation import missing
    from figures.sandbox import attacked

    lines: list[Line] = []
    for wall, ordinary in (("bubblewrap", False), ("bubblewrap", True), ("podman", True)):
        who = f"{wall}, as {'an ordinary user' if ordinary else 'root'}"
        asked = "66 of 66, no leak, survivor or forged verdict; 330 honest jobs pass; warm test under 60 ms median"
        if missing(wall):
            lines.append(Line(who, asked, f"not measured: {missing(wall)}"))
            continue
        found = attacked(shared_data() / "sandbox_attacks", wall, ordinary=ordinary, warm=50 if wall != "podman" else 5)
        good = len(found.endings) - len(found.wrong)
        wrong = "".join(f"; {name}: {why}" for name, why in found.wrong.items())
        harm = "; ".join(f"{name}: {', '.join(what)}" for name, what in sorted(found.harm.items())) or "none"
        what = f"{good} of {len(found.endings)}{wrong}, harm: {harm}; {found.honest} honest jobs pass"
        lines.append(Line(who, asked, f"{what}; warm test {found.median_ms:.0f} ms"))
    return lines


def everything(folder: Path) -> list[Line]:
    """All eight benchmarks end to end, faults included, then healed."""
    from figures.everything import everything as run_all

    needed = {"correct", "wrong", "truncated", "failed"}
    asked = "at least one correct, wrong, truncated and failed sample each"
    lines = []
    for suite in ("all", "quant"):
        (folder / suite).mkdir()
        found = run_all(folder / suite, suite)
        full = sum(needed <= set(cell.before.values()) for cell in found.cells.values())
        lines += [
            Line(f"benchmarks of `suite={suite}` on scripted servers", asked, f"{full} of {len(found.cells)}"),
            Line("exit codes with faults, and healed", "3, 0", ", ".join(str(code) for code in found.codes)),
            Line("answered requests sent again", "0", str(found.answered_twice)),
        ]
        if found.ends:
            told = ", ".join(f"{name} {code}" for name, code in found.ends.items())
            lines.append(Line("exit codes of what follows", "0; the gate of two whole benchmarks 2: undecided", told))
    return lines


def aa_lcr(folder: Path) -> list[Line]:
    """What sending the questions on one set of documents together saves."""
    from tests.tasks.test_aa_lcr import prefix_cache

    ratio = prefix_cache(folder, questions=20, repeats=16, concurrency=32)
    what = "prompt tokens sent per one computed, two sets x 10 questions x 16 repeats, a cache for one set"
    return [Line(what, "at least 5", f"{ratio:.1f}")]


def offline(folder: Path) -> list[Line]:
    """Installed from downloaded packages and run where there is no network but loopback."""
    from figures.offline import offline_install

    found = offline_install(folder, ("card",), everything=True)
    size = f"{found.packages} packages, {found.megabytes:.0f} MB, in {found.collected:.0f} s"
    demo = ", ".join(f"{model} {count}" for model, count in found.samples.items())
    return [
        Line("packages downloaded with a network", "stated", size),
        Line("interfaces where they were installed and used", "loopback only", ", ".join(found.interfaces)),
        Line("installed there", "it works", f"{found.installed:.0f} s"),
        Line("`suite=demo limit=20` there: samples with a score", "20 each", demo),
        Line("benchmarks of `suite=all` that ran there, a few items each", "8", str(found.benchmarks)),
    ]
