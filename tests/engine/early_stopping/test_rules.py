"""Runs that stop when their verdict is decided, against real servers."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.comparison import Comparison
from evalsuite.analysis.release import ReleaseVerdict
from evalsuite.analysis.suite import compare_all
from evalsuite.analysis.table import load_run
from evalsuite.cli.baseline import save
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Engine, Gate, Margin, Run
from evalsuite.engine.early_stopping.sequential_test import ArmScores, SequentialTest, random_order, rule_for
from evalsuite.errors import BadInput, Exit
from evalsuite.store.manifest import read_manifest
from figures.sequential import real_run
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint
from tests.support.toy import Additions, right, settings

ITEMS = 600


def gate(points: float, suite_points: float | None = None) -> Gate:
    return Gate({"additions": Margin(points, "us", "a test")}, suite_points=suite_points, alpha=0.05)


def sequential(results: Path, *models: tuple[str, str], points: float = 5.0, **changes: Any) -> Run:
    """The additions at ``ITEMS`` items, the first model as baseline."""
    engine = Engine(retries=3, backoff_seconds=0.01, outage_seconds=5.0, probe=False, stop="sequential")
    task = {"options": {"count": ITEMS}, **changes.pop("task", {})}
    defaults: dict[str, Any] = {"engine": engine, "gate": gate(points), "baseline": "bf16", "report": False}
    return settings(results, *models, task=task, **{**defaults, **changes})


def lossy(prompt: str) -> Answer:
    """Wrong in one of ten; longer the later a question stands in the dataset."""
    number = int(prompt.split(" ")[0])
    return Answer("-1" if number % 10 == 3 else right(prompt), reasoning="well " * (number % 7))


def manifest(results: Path, model: str) -> dict[str, Any]:
    return read_manifest(results / "r" / model / "additions")


def judged(results: Path, points: float, suite_points: float | None = None) -> tuple[Comparison, ReleaseVerdict]:
    found = compare_all(load_run("r", results_dir=results), "bf16", gate=gate(points, suite_points))
    return found.comparisons[0], found.releases[0]


def asked(server: Server) -> list[str]:
    """The items that were asked, in the order in which they arrived."""
    return [f"q{int(one.prompt.split(' ')[0]):03}" for one in server.requests]


def test_identical_arms_pass_early_and_say_what_they_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        assert run(sequential(tmp_path, *models)) == Exit.DONE
        sent = len(one.requests) + len(two.requests)
        assert run(sequential(tmp_path, *models)) == Exit.DONE
        assert len(one.requests) + len(two.requests) == sent  # decided: nothing is left to ask
        first, second = asked(one), asked(two)
    said = capsys.readouterr().err
    assert "fp8 against bf16: PASS, look 1 of 5" in said
    assert sent < ITEMS  # of twice as many
    order = random_order(tuple(Additions(count=ITEMS).items()), 42)
    assert set(order[:120]) <= set(first)
    assert set(order[:120]) <= set(second)
    for model, arm in (("bf16", first), ("fp8", second)):
        found = manifest(tmp_path, model)
        assert sorted(found["items"]) == sorted(order[:120])
        assert found["stopped"]["saved"]["attempts"] == ITEMS - len(arm)
        assert f"{model}/additions saved: {ITEMS - len(arm)} of 600 attempts not asked" in said
        summary = json.loads((tmp_path / "r" / model / "additions" / "summary.json").read_text())
        assert (summary["complete"], summary["items"], summary["total_items"]) == (True, 120, ITEMS)
        assert summary["stopped"] == found["stopped"]
    assert manifest(tmp_path, "fp8")["sequential"]["decision"]["call"] == "pass"
    assert "sequential" not in manifest(tmp_path, "bf16")


def test_the_verdict_is_the_sequential_one_and_no_other(tmp_path: Path) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        run(sequential(tmp_path, ("bf16", one.base_url), ("fp8", two.base_url)))
    row, release = judged(tmp_path, 5.0, suite_points=5.0)
    assert row.verdict is not None
    assert (row.verdict.call, row.verdict.decision.rule) == ("pass", "sequential")
    assert (row.verdict.lower, row.verdict.upper, row.verdict.needed) == (None, None, None)
    assert "look 1 of 5" in row.verdict.decision.reason
    assert row.partial.startswith("120 of 600 items, stopped early")
    assert release.call == "pass"
    assert release.suite_mean is not None
    assert "every critical benchmark passes" in release.suite_mean.decision.reason
    assert judged(tmp_path, 5.0, suite_points=2.0)[1].call == "undecided"  # the mean's own bounds do not count
    assert judged(tmp_path, 6.0)[1].call == "pass"
    tighter = judged(tmp_path, 3.5)[0].verdict  # the fixed-size bounds would pass it
    assert tighter is not None
    assert tighter.call == "undecided"
    assert "run for a margin of 5 pt" in tighter.decision.reason
    with pytest.raises(BadInput, match="stopped early"):
        save(Report(run=["r"], results_dir=str(tmp_path), model="bf16", to=str(tmp_path / "bf16.baseline")))


def test_a_lossy_arm_fails_early(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(lossy, model="b") as two:
        assert run(sequential(tmp_path, ("bf16", one.base_url), ("fp8", two.base_url), points=2.0)) == Exit.DONE
        assert len(two.requests) < ITEMS / 2
    assert "FAIL, e-value above 20" in capsys.readouterr().err
    row, release = judged(tmp_path, 2.0)
    assert row.verdict is not None
    assert (row.verdict.call, release.call) == ("fail", "fail")
    # independently: the decision is what the arms' answers give in the order of the items, whoever finished first
    order = random_order(tuple(Additions(count=ITEMS).items()), 42)
    contest = by_hand({item: 0.0 if int(item[1:]) % 10 == 3 else 1.0 for item in order}, order, 0.02)
    decision = manifest(tmp_path, "fp8")["sequential"]["decision"]
    assert (contest.call, contest.ends) == ("fail", decision["items"])
    assert decision["delta"] == pytest.approx(contest.delta)


def by_hand(values: Mapping[str, float], order: tuple[str, ...], margin: float) -> SequentialTest:
    contest = SequentialTest(
        rule_for(len(order), margin, 0.05), order, ArmScores.empty(len(order), 1), ArmScores.empty(len(order), 1)
    )
    for item in reversed(order):
        contest.scored(contest.baseline, item, 0, 1.0)
        contest.scored(contest.candidate, item, 0, values[item])
    contest.interim_look()
    return contest


def test_finish_order_changes_nothing_and_faults_are_never_wrong_answers(tmp_path: Path) -> None:
    order = random_order(tuple(Additions(count=ITEMS).items()), 42)
    broken = {int(order[7][1:]), int(order[60][1:])}

    def late(prompt: str) -> Answer:
        """Two questions fail for good, and some of the first are the slowest."""
        number = int(prompt.split(" ")[0])
        if number in broken:
            return Answer(status=500)
        return Answer(right(prompt), delay=0.2 if f"q{number:03}" in order[:4] else 0.0)

    engine = Engine(retries=0, backoff_seconds=0.0, outage_seconds=5.0, probe=False, stop="sequential")
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(late, model="b") as two:
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        assert run(sequential(tmp_path, *models, engine=engine)) == Exit.INCOMPLETE
        half = manifest(tmp_path, "fp8")["sequential"]["decision"]
        assert half is None or (half["call"] == "pass" and half["implied"])
        broken.clear()
        assert run(sequential(tmp_path, *models, engine=engine)) == Exit.DONE
    decision = manifest(tmp_path, "fp8")["sequential"]["decision"]
    assert (decision["call"], decision["implied"]) == ("pass", False)
    assert decision["items"] == by_hand(dict.fromkeys(order, 1.0), order, 0.05).ends


def test_without_the_option_nothing_changes(tmp_path: Path) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        fixed = sequential(tmp_path, *models, engine=Engine(probe=False), task={"options": {"count": 200}})
        assert run(fixed) == Exit.DONE
        assert len(one.requests) == len(two.requests) == 200
        found = manifest(tmp_path, "fp8")
        assert not {"sequential", "stopped"} & found.keys()
        with pytest.raises(BadInput, match=r"begun without engine\.stop=sequential"):
            run(sequential(tmp_path, *models, task={"options": {"count": 200}}))
        assert manifest(tmp_path, "fp8") == found
        row, _ = judged(tmp_path, 5.0)
        assert row.verdict is not None
        assert row.verdict.decision.rule == "non-inferior"
        words = {"redo": "additions", "reason": "by a sequential rule"}  # what the error advises
        assert run(sequential(tmp_path, *models, task={"options": {"count": 200}}, **words)) == Exit.DONE
        assert len(one.requests) == 400
    assert manifest(tmp_path, "fp8")["sequential"]["margin"] == 0.05


def test_a_sequential_run_does_not_become_a_fixed_one(tmp_path: Path) -> None:
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        run(sequential(tmp_path, *models))
        before = manifest(tmp_path, "fp8")
        with pytest.raises(BadInput, match="its verdict is the sequential one"):
            run(sequential(tmp_path, *models, engine=Engine(probe=False)))
        with pytest.raises(BadInput, match=r"another sequential rule \(margin: 0\.05 -> 0\.04\)"):
            run(sequential(tmp_path, *models, points=4.0))
        assert manifest(tmp_path, "fp8") == before
        # the baseline alone may be asked whole afterwards
        assert run(sequential(tmp_path, models[0], engine=Engine(probe=False))) == Exit.DONE
    found = manifest(tmp_path, "bf16")
    assert (len(found["items"]), found["stopped"], found["selection"]) == (ITEMS, None, None)


def test_a_recorded_baseline_is_not_asked_again(tmp_path: Path) -> None:
    with scripted_endpoint(right, model="a") as one:
        run(sequential(tmp_path / "old", ("bf16", one.base_url), engine=Engine(probe=False)))
    packed = tmp_path / "bf16.baseline"
    save(Report(run=["r"], results_dir=str(tmp_path / "old"), model="bf16", to=str(packed)))
    for brought in (tmp_path / "old" / "r", packed):
        results = tmp_path / f"beside {brought.name}"
        with scripted_endpoint(lossy, model="b") as two:
            changed = sequential(results, ("fp8", two.base_url), points=2.0, baseline_run=str(brought))
            assert run(changed) == Exit.DONE
            assert len(two.requests) < ITEMS / 2
            with pytest.raises(BadInput, match="ask both"):
                run(sequential(tmp_path / "none", ("fp8", two.base_url)))
        assert manifest(results, "fp8")["sequential"]["decision"]["call"] == "fail"


def test_two_candidates_share_a_baseline_that_goes_on_for_the_slower_decision(tmp_path: Path) -> None:
    with (
        scripted_endpoint(right, model="a") as one,
        scripted_endpoint(lossy, model="b") as two,
        scripted_endpoint(right, model="c") as three,
    ):
        models = (("bf16", one.base_url), ("bad", two.base_url), ("good", three.base_url))
        assert run(sequential(tmp_path, *models, points=3.0)) == Exit.DONE
    found = {model: manifest(tmp_path, model) for model in ("bf16", "bad", "good")}
    assert found["bad"]["sequential"]["decision"]["call"] == "fail"
    assert found["good"]["sequential"]["decision"]["call"] == "pass"
    longest = max(len(found[model]["items"]) for model in ("bad", "good"))
    assert len(found["bf16"]["items"]) == longest < ITEMS
    assert len(found["bf16"]["stopped"]["decisions"]) == 2


def test_few_items_may_fail_early_but_pass_only_at_the_end(tmp_path: Path) -> None:
    task = {"options": {"count": 200}, "repeats": 2}
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(right, model="b") as two:
        same = sequential(tmp_path / "same", ("bf16", one.base_url), ("fp8", two.base_url), task=task)
        assert run(same) == Exit.DONE
        assert len(two.requests) == 400
    row, _ = judged(tmp_path / "same", 5.0)
    assert row.verdict is not None
    assert (row.verdict.decision.rule, manifest(tmp_path / "same", "fp8").get("stopped")) == ("sequential", None)
    with scripted_endpoint(right, model="a") as one, scripted_endpoint(lambda _: "0", model="b") as two:
        bad = sequential(tmp_path / "bad", ("bf16", one.base_url), ("fp8", two.base_url), task=task)
        assert run(bad) == Exit.DONE
        assert len(two.requests) < 200
    assert manifest(tmp_path / "bad", "fp8")["sequential"]["decision"]["call"] == "fail"


@pytest.mark.slow
def test_killed_and_resumed_it_decides_the_same(tmp_path: Path) -> None:
    def slow(prompt: str) -> Answer:
        return Answer(lossy(prompt).text, delay=0.02)

    with scripted_endpoint(right, model="a") as one, scripted_endpoint(slow, model="b") as two:
        urls = (one.base_url, two.base_url)
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "killed"), *urls])
        deadline = time.monotonic() + 300
        while len(two.requests) < 60 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        killed_at = len(two.requests)
        models = (("bf16", one.base_url), ("fp8", two.base_url))
        assert run(sequential(tmp_path / "killed", *models, points=2.0)) == Exit.DONE
        assert run(sequential(tmp_path / "whole", *models, points=2.0)) == Exit.DONE
    assert 60 <= killed_at < 200
    killed, whole = (manifest(tmp_path / name, "fp8") for name in ("killed", "whole"))
    assert killed["sequential"] == whole["sequential"]
    assert sorted(killed["items"]) == sorted(whole["items"])


CHILD = """
import sys
from pathlib import Path
from evalsuite.cli.run import run
from tests.engine.early_stopping.test_rules import sequential
run(sequential(Path(sys.argv[1]), ("bf16", sys.argv[2]), ("fp8", sys.argv[3]), points=2.0))
"""


def test_what_cannot_be_decided_so_is_refused(tmp_path: Path) -> None:
    models = (("bf16", "http://127.0.0.1:9/v1"), ("fp8", "http://127.0.0.1:8/v1"))
    for changes, words in (
        ({"gate": None}, "add gate=release"),
        ({"gate": Gate({}, suite_points=None)}, "no margin for additions"),
        ({"gate": Gate({"additions": Margin(2, "us", "why")}, alpha=0.01)}, "too low"),
    ):
        with pytest.raises(BadInput, match=words):
            run(sequential(tmp_path, *models, **changes))
    with pytest.raises(BadInput, match="needs a candidate"):
        run(sequential(tmp_path, models[0]))


def test_a_run_with_flips_saves_items_and_tokens(tmp_path: Path) -> None:
    found = real_run(tmp_path, 800, 0.04, 0.04)
    assert found.call == "pass"
    assert found.counted < 800
    assert min(found.items_saved) > 0.1
    assert min(found.tokens_saved) > 0.1
