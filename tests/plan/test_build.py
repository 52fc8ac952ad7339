"""Before a token is spent: chances, costs, windows and machines, from the real command to single numbers."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.compose import load_settings
from evalsuite.config.files import config_source
from evalsuite.config.settings import Model, Run, Select, Task
from evalsuite.errors import BadInput
from evalsuite.plan import benchmarks as facts
from evalsuite.plan import hardware, recorded
from evalsuite.plan.benchmarks import SourcedNumber, TaskFacts, TypicalLengths, task_facts
from evalsuite.plan.build import Plan, default_gate, make_plan
from evalsuite.plan.cost import Speed, model_cost, task_cost
from evalsuite.plan.document import plan_json
from evalsuite.plan.screen import screens
from evalsuite.report.console import standard_output
from evalsuite.report.plan import tables
from evalsuite.store.baseline import write_artefact
from evalsuite.store.runs import run_cells
from evalsuite.tasks.published import Card
from figures.plan import RULE_DIFFERS, devices_by_rule, pass_chances
from figures.simulate import BENCHES
from tests.support.cells import Answer, Made, write

ROOT = Path(__file__).parents[2]
SHIPPED = config_source("run", Run, (), None)


@pytest.fixture(name="plan")
def _plan(tmp_path: Path) -> Callable[..., Plan]:
    """Plans of command lines, with results looked for in an own folder."""

    def made(*words: str) -> Plan:
        return make_plan(load_settings([*words, f"results_dir={tmp_path / 'results'}"], None, "plan"))

    return made


def baseline(folder: Path, items: int, repeats: int, planned: int | None = None, **more: Any) -> None:
    """Record an FP8 cell of GPQA: a third of its items always right, a third always wrong, a third coins."""
    pattern = [[1.0] * repeats, [0.0] * repeats, [float(repeat % 2) for repeat in range(repeats)]]
    rows = {str(item): [Answer(value, tokens=1000 + item) for value in pattern[item % 3]] for item in range(items)}
    write(folder, Made("fp8", rows, task="gpqa_diamond", repeats=planned or repeats, **more))


def command(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The real command, run in ``folder``."""
    return subprocess.run(
        [sys.executable, "-m", "evalsuite", "plan", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


# what can be decided


@pytest.mark.parametrize(("phi", "detectable"), [(0.3, 2.08), (0.5, 2.55)])
def test_detectable_differences_are_the_published_ones(phi: float, detectable: float) -> None:
    """GPQA 198 x 8 with tau 5 pt and mu .872, as in the reference's table."""
    from evalsuite.plan.decisions import ExpectedBaseline, task_chance

    known = task_facts("gpqa_diamond", Task("gpqa_diamond", "nvidia", 8), None)
    assert known is not None
    facts = replace(known, phi=SourcedNumber(phi, "given"))
    baseline = ExpectedBaseline("fp8", SourcedNumber(0.872, "given"), {}, None)
    found = task_chance(facts, baseline, ("nvfp4_v2",), default_gate(SHIPPED))
    assert round(100 * found.detectable, 2) == detectable


def test_chances_of_the_card_suite(plan: Callable[..., Plan]) -> None:
    found = plan("model=nvfp4_v2", "suite=card")
    rows = {one.facts.name: one for one in found.chances}
    assert list(rows) == ["mmmu_pro", "gpqa_diamond", "scicode", "aa_lcr", "ifbench", "tau2_telecom"]
    assert {one.baseline for one in found.chances} == {"fp8"}
    gpqa = rows["gpqa_diamond"]
    assert (gpqa.score.value, gpqa.score.assumed) == (0.872, False)
    assert "NVFP4 V2, model card" in gpqa.score.origin
    assert gpqa.facts.phi.assumed
    for one in rows.values():
        assert one.outlook is not None
        ordered = [one.outlook.identical.passes, one.outlook.moved.passes, one.outlook.half.passes]
        assert ordered == sorted(ordered, reverse=True)
        assert one.reached is (one.outlook.moved.passes >= 0.8)
        if one.repeats is not None:
            assert (one.repeats <= one.facts.repeats) is one.reached
    assert rows["scicode"].reached is False
    release = found.releases["fp8"]
    assert set(release.missing) == {
        name for name, margin in found.gate.margins.items() if margin.tier == "critical"
    } - set(rows)


def test_a_margin_that_no_repeats_reach_is_said(plan: Callable[..., Plan]) -> None:
    found = plan("model=nvfp4_v2", "task=aa_lcr", "gate=release", "gate.margins.aa_lcr.points=1")
    (one,) = found.chances
    assert (one.reached, one.repeats) == (False, None)
    (table, *_) = tables(found)
    assert any("no number of repeats would do" in note for note in table.notes)
    assert any("cannot pass below 8.7 points, 30 sources" in note for note in table.notes)
    assert table.rows[0][-1] == "no number"


def test_tasks_without_a_margin_show_what_they_see(plan: Callable[..., Plan]) -> None:
    found = plan("suite=demo")
    (one,) = found.chances
    assert (one.margin, one.outlook, one.reached) == (None, None, None)
    assert one.detectable > 0
    assert found.releases == {}
    assert plan_json(found)["tasks"][0]["chance"] is None


def test_more_repeats_and_items_see_more(plan: Callable[..., Plan]) -> None:
    words = ("model=nvfp4_v2", "task=gpqa_diamond")
    few, many = (plan(*words, f"tasks.gpqa_diamond.repeats={k}").chances[0].detectable for k in (2, 16))
    part = plan(*words, "limit=99").chances[0]
    assert few > many
    assert part.facts.items == 99
    assert part.detectable == pytest.approx(2**0.5 * plan(*words).chances[0].detectable, rel=1e-6)


def test_subjects_have_their_own_scores_and_differences(plan: Callable[..., Plan]) -> None:
    (one,) = plan("model=nvfp4_v2", "task=mmlu_pro").chances
    parts = {part.value: part for part in one.strata["subject"]}
    assert sum(part.items for part in parts.values()) == one.facts.items == 12032
    assert parts["law"].score.value == pytest.approx(812 / 1101)
    assert "lukealonso" in parts["law"].score.origin
    assert parts["history"].detectable > 0.05, "a drop of a point in history cannot be seen"
    assert all(part.detectable_holm > part.detectable > one.detectable for part in parts.values())


def test_a_model_without_baseline_is_planned_against_its_like(plan: Callable[..., Plan]) -> None:
    found = plan("model=bf16", "task=gsm8k")
    assert found.chances[0].baseline == ""
    assert "measured in the same way" in found.notes[0]
    assert plan_json(found)["tasks"][0]["baseline"] is None


def test_a_baseline_of_a_baseline_makes_no_second_table(plan: Callable[..., Plan]) -> None:
    """FP8's own baseline, BF16, is neither planned nor recorded."""
    assert {one.baseline for one in plan("model=[fp8,nvfp4_v2]", "task=gsm8k").chances} == {"fp8"}
    assert {one.baseline for one in plan("model=[bf16,fp8,nvfp4_v2]", "task=gsm8k").chances} == {"bf16", "fp8"}


def test_the_default_gate_is_the_one_that_gate_release_composes(plan: Callable[..., Plan]) -> None:
    words = ("model=nvfp4_v2", "task=gsm8k")
    assert plan(*words).gate == plan(*words, "gate=release").gate == default_gate(SHIPPED)


def test_the_repeats_of_quant_reach_its_critical_margins(plan: Callable[..., Plan]) -> None:
    chances = plan("model=[fp8,nvfp4_v2]", "suite=quant", "gate=quant").chances
    critical = {one.facts.name: one.outlook for one in chances if one.margin and one.margin.tier == "critical"}
    assert len(critical) == 6
    for name, outlook in critical.items():
        assert outlook is not None
        assert outlook.identical.passes > 0.97, name
        assert outlook.moved.passes > 0.87, name  # AIME's 30 items: 0.884


# which part of a task


def test_selected_strata_are_counted() -> None:
    law = task_facts("mmlu_pro", Task("mmlu_pro", "nvidia", 1, select=Select({"subject": ["law", "math"]})), None)
    assert law is not None
    assert law.items == 1101 + 1351
    assert law.strata["subject"] == {"law": 1101, "math": 1351}
    assert (law.units, law.answers) == (law.items, law.items)


def test_each_selected_group_reduces_the_items_once() -> None:
    select = Select({"issue": ["mms"], "persona": ["Easy"]})
    part = task_facts("tau2_telecom", Task("tau2_telecom", "native", 1, select=select), None)
    assert part is not None
    assert part.items == round(114 * 49 / 114 * 38 / 114)
    assert part.strata == {"issue": {"mms": part.items}, "persona": {"Easy": part.items}}


def test_ids_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="absent cannot be read"):
        task_facts("gsm8k", Task("gsm8k", "boxed", select=Select(ids=str(tmp_path / "absent"))), None)


def test_a_selection_without_items_is_named(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("\n")
    for task, select in (("gsm8k", Select(ids=str(tmp_path / "ids"))), ("mmlu_pro", Select({"subject": []}))):
        with pytest.raises(BadInput, match=f"selection of {task} leaves no item"):
            task_facts(task, Task(task, "boxed" if task == "gsm8k" else "nvidia", select=select), None)


def test_a_published_row_may_have_no_scores() -> None:
    gsm8k = task_facts("gsm8k", Task("gsm8k", "boxed"), None)
    assert gsm8k is not None
    columns = [{"key": "fp8", "title": "FP8", "checkpoint": "org/m"}]
    card = Card("mine", {"columns": columns, "rows": [{"task": "gsm8k", "scores": None}]})
    assert facts.expected_score(gsm8k, Model(checkpoint="org/m"), [card]) is gsm8k.design_score


def test_wrong_selections_are_named() -> None:
    with pytest.raises(BadInput, match="unknown group of mmlu_pro 'subjekt'; did you mean 'subject'"):
        task_facts("mmlu_pro", Task("mmlu_pro", "nvidia", select=Select({"subjekt": ["law"]})), None)
    with pytest.raises(BadInput, match="unknown value of group subject 'lore'"):
        task_facts("mmlu_pro", Task("mmlu_pro", "nvidia", select=Select({"subject": ["lore"]})), None)
    with pytest.raises(BadInput, match="plan cannot count gpqa_diamond by domain"):
        task_facts("gpqa_diamond", Task("gpqa_diamond", "nvidia", select=Select({"domain": ["Physics"]})), None)


def test_ids_and_variants_are_counted(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("70\n71\n\n")
    part = task_facts("mmlu_pro", Task("mmlu_pro", "nvidia", select=Select(ids=str(tmp_path / "ids"))), None)
    official = task_facts("scicode", Task("scicode", "official"), None)
    assert part is not None
    assert official is not None
    assert (part.items, part.strata) == (2, {})
    assert (official.items, official.total) == (65, 65)


@given(items=st.integers(1, 12032))
def test_strata_of_a_part_stay_in_proportion(items: int) -> None:
    part = task_facts("mmlu_pro", Task("mmlu_pro", "nvidia"), items)
    assert part is not None
    assert part.items == items
    assert abs(sum(part.strata["subject"].values()) - items) <= 14
    assert min(part.strata["subject"].values()) >= 1


def test_tasks_without_a_card_are_left_out(plan: Callable[..., Plan]) -> None:
    words = ("model=nvfp4_v2", "tasks.lm_eval.options.task=hellaswag")
    found = plan(*words, "task=[gsm8k,lm_eval]")
    assert [one.facts.name for one in found.chances] == ["gsm8k"]
    assert "lm_eval: no card.yaml" in found.notes[0]
    with pytest.raises(BadInput, match="nothing to plan"):
        plan(*words, "task=lm_eval")


# what a baseline recorded


def test_a_recorded_baseline_replaces_what_is_assumed(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    baseline(tmp_path / "results" / "old", 198, 8)
    found = plan("model=nvfp4_v2", "task=gpqa_diamond", "tasks.gpqa_diamond.repeats=4")
    (one,) = found.chances
    assert (one.design.repeats_base, one.design.repeats_cand, one.base_fixed) == (8, 4, True)
    assert one.score.value == pytest.approx(0.5)
    assert one.facts.phi.value == pytest.approx(1 / 3 * (8 / 7))  # a third are coins: v = p q k / (k - 1)
    assert "old/fp8/gpqa_diamond" in one.facts.phi.origin
    assert not one.facts.phi.assumed
    assert one.facts.tau.assumed
    (cost,) = found.costs[0].tasks
    assert cost.lengths.completion.value == pytest.approx(1000 + 98.5)
    assert not cost.lengths.completion.assumed
    assert cost.p99 == pytest.approx(1196, abs=2)


def test_what_cannot_serve_is_passed_over(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    results = tmp_path / "results"
    baseline(results / "other", 198, 2, identity={"variant": "simple_evals"})
    baseline(results / "tiny", 10, 1)
    baseline(results / "torn", 198, 2)
    (results / "torn" / "fp8" / "gpqa_diamond" / "manifest.json").write_text("{")
    (one,) = plan("model=nvfp4_v2", "task=gpqa_diamond").chances
    assert one.facts.phi.assumed
    assert not one.base_fixed


def test_the_whole_baseline_is_preferred_and_a_part_says_so(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    results = tmp_path / "results"
    baseline(results / "whole", 90, 2, total_items=198)
    baseline(results / "wanting", 198, 2, planned=8)
    found = plan("model=nvfp4_v2", "task=gpqa_diamond")
    assert (found.chances[0].facts.items, found.chances[0].design.repeats_base) == (90, 2)
    assert any("90 of 198 items" in note for note in found.notes)


def test_a_baseline_that_is_asked_again_is_not_fixed(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    baseline(tmp_path / "results" / "old", 90, 2)
    found = plan("model=[fp8,nvfp4_v2]", "task=gpqa_diamond")
    one = next(row for row in found.chances if row.baseline == "fp8")
    assert (one.facts.items, one.design.repeats_base, one.base_fixed) == (198, one.facts.repeats, False)
    assert not one.facts.phi.assumed


def test_a_baseline_artefact_and_a_folder(tmp_path: Path, plan: Callable[..., Plan]) -> None:
    baseline(tmp_path / "elsewhere", 198, 4)
    write_artefact(run_cells(tmp_path / "elsewhere"), tmp_path / "fp8.baseline")
    for where in ("fp8.baseline", "elsewhere"):
        (one,) = plan("model=nvfp4_v2", "task=gpqa_diamond", f"baseline_run={tmp_path / where}").chances
        assert (one.design.repeats_base, one.base_fixed) == (4, True)
    with pytest.raises(BadInput, match="holds fp8; this plan compares with bf16"):
        plan("model=nvfp4_community", "task=gpqa_diamond", f"baseline_run={tmp_path / 'elsewhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="it holds no cells"):
        plan("model=nvfp4_v2", "task=gpqa_diamond", f"baseline_run={tmp_path / 'empty'}")


def test_dialogues_and_judges_are_counted_in_journals(tmp_path: Path) -> None:
    """Rows of dialogues hold the last reply; what an attempt cost stands in the journal."""
    folder = write(tmp_path / "r", Made("fp8", {str(n): [Answer(1.0)] for n in range(30)}, task="tau2_telecom"))
    lines = [
        {"event": "reply", "item": str(item), "repeat": 0, "who": who, "turn": turn, "prompt_sha": "", "attempts": 1,
         "reply": {"text": "x", "usage": {"prompt_tokens": 100, "completion_tokens": 10 + item}}}
        for item in range(30) for who in ("model", "simulator") for turn in range(3)
    ]  # fmt: skip
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    cell = folder / "fp8" / "tau2_telecom"
    (cell / "journal-a-1-00000000.jsonl").write_text(text + "\n" + '{"event":"reply","item":"to')
    found = recorded._lengths(cell, {"completion_tokens": [], "prompt_tokens": []}, Task("tau2_telecom", "nvidia"))
    assert found["completion"] == pytest.approx(3 * (10 + 14.5))
    assert found["simulator_prompt"] == 300
    assert found["judge_prompt"] is None


# what it costs


def one_task(items: int = 100, repeats: int = 2) -> TaskFacts:
    """GSM8K with other numbers."""
    found = task_facts("gsm8k", Task("gsm8k", "boxed", repeats), None)
    assert found is not None
    return replace(found, items=items)


def lengths(mean: float = 1000, p99: float | None = None, longest: float | None = None) -> TypicalLengths:
    return TypicalLengths(SourcedNumber(mean, "given"), SourcedNumber(50, "given"), None, None, p99, longest)


def test_tokens_hours_and_disk() -> None:
    cost = task_cost(one_task(), lengths(), 64000, 10, Speed(100.0, 3600.0))
    assert (cost.attempts, cost.completion, cost.prompt) == (200, 200_000, 10_000)
    assert cost.seconds == 2000
    assert cost.request_seconds == 6400
    assert cost.fits is False, "nothing is known but max_tokens, which takes 6,400 s at a tenth of the rate"
    assert 5e6 * 0.2 < cost.disk < 2e6
    known = task_cost(one_task(), lengths(p99=3000, longest=3500), 64000, 10, Speed(100.0, 3600.0))
    assert (known.request_seconds, known.fits, known.unfit) == (300, True, 0.0)


def test_windows_lose_their_ends() -> None:
    """8,000 s of work with long attempts of 300 s: three windows of an hour, not the 2.2 of plain division."""
    cost = task_cost(one_task(800, 1), lengths(p99=3000, longest=3500), 64000, 10, Speed(100.0, 3600.0))
    assert model_cost("m", [cost], Speed(100.0, 3600.0)).windows == 3
    assert model_cost("m", [cost], Speed(100.0, None)).windows is None
    never = task_cost(one_task(), lengths(), 64000, 10, Speed(100.0, 3600.0))
    assert model_cost("m", [cost, never], Speed(100.0, 3600.0)).windows is None


def test_attempts_longer_than_any_window_are_expected() -> None:
    cost = task_cost(one_task(1000, 1), lengths(p99=6000, longest=9000), 64000, 10, Speed(100.0, 600.0))
    assert cost.fits is True
    assert 0 < cost.unfit < 20, "one in a hundred is longer than 6,000 tokens, which is what a window takes"


@given(mean=st.floats(1, 60_000), items=st.integers(1, 5000), slots=st.integers(1, 256), rate=st.floats(10, 1e5))
def test_costs_scale_with_what_is_asked(mean: float, items: int, slots: int, rate: float) -> None:
    one, two = (task_cost(one_task(items, k), lengths(mean), 64000, slots, Speed(rate)) for k in (1, 2))
    assert two.completion == pytest.approx(2 * one.completion)
    assert two.seconds == pytest.approx(2 * (one.seconds or 0))
    assert one.p99 >= mean or one.p99 == 64000
    assert one.fits is None


def test_thinking_off_is_cheaper(plan: Callable[..., Plan]) -> None:
    on, off = (plan("model=nvfp4_v2", "task=mmlu_pro", f"thinking={word}").costs[0] for word in ("on", "off"))
    assert on.total("completion") > 10 * off.total("completion")


# where it is served


def test_the_rule_for_devices_gives_the_sources_numbers() -> None:
    differs = devices_by_rule()
    assert differs == RULE_DIFFERS


def place(machine: str, *words: str) -> hardware.Placement:
    placement = make_plan(load_settings([*words, f"hardware={machine}"], None, "plan")).placement
    assert placement is not None
    return placement


JUDGED = ("suite=card", "judge=qwen3_235b_instruct")


def test_two_precisions_and_their_aides_fit_on_eight_b300() -> None:
    found = place("b300x8", "model=[fp8,nvfp4_v2]", *JUDGED)
    assert found.side_by_side
    (step,) = found.steps
    assert [(one.names, one.devices) for one in step.servers] == [
        (("fp8",), 2), (("nvfp4_v2",), 2), (("judge", "simulator"), 4),
    ]  # fmt: skip
    lines = [line for _, line in hardware.commands(step, found.machine)]
    assert [line.partition(" ")[0] for line in lines] == [
        "CUDA_VISIBLE_DEVICES=0,1", "CUDA_VISIBLE_DEVICES=2,3", "CUDA_VISIBLE_DEVICES=4,5,6,7",
    ]  # fmt: skip
    assert "--tensor-parallel-size 2 " in lines[0]
    assert "--tensor-parallel-size 4 " in lines[2]


def test_what_does_not_fit_is_served_in_order() -> None:
    found = place("b200x8", "model=[bf16,fp8,nvfp4_v2]", *JUDGED)
    assert not found.side_by_side
    assert [[one.names[0] for one in step.servers] for step in found.steps] == [
        ["bf16"], ["fp8", "judge"], ["nvfp4_v2", "judge"],
    ]  # fmt: skip
    assert [one.names for one in found.steps[0].elsewhere] == [("judge", "simulator")]
    assert "another machine" in found.notes[0]
    assert "--enable-flashinfer-allreduce-fusion" in hardware.commands(found.steps[1], found.machine)[0][1]


def test_a_judge_alone_comes_last() -> None:
    found = place("h200x8", "model=[bf16,fp8]", "task=aa_lcr", "judge=qwen3_235b_instruct")
    assert [[one.names[0] for one in step.servers] for step in found.steps] == [["bf16"], ["fp8"], ["judge"]]
    assert "evalsuite judge" in found.notes[-1]


def test_fp4_needs_blackwell_and_big_models_several_machines() -> None:
    found = place("h100x8", "model=[bf16,nvfp4_v2]", "task=gsm8k")
    assert [one.names for one in found.unserved] == [("nvfp4_v2",)]
    assert "Blackwell" in found.unserved[0].origin
    assert (found.steps[0].machines, found.steps[0].servers[0].devices) == (2, 16)


def test_amd_gets_its_flag_and_its_variable() -> None:
    found = place("mi355x_x8", "model=[bf16,fp8]", "task=gsm8k")
    lines = [line for _, line in hardware.commands(found.steps[0], found.machine)]
    assert all(line.startswith("HIP_VISIBLE_DEVICES=") for line in lines)
    assert all(line.endswith("--mamba-scheduler-strategy no_buffer") for line in lines)


def test_a_model_of_unknown_size_is_said(tmp_path: Path) -> None:
    where = hardware.read_machine("b300x8", SHIPPED)
    mine = Model("Mine", "me/mine", precision="bf16", base_url="http://localhost:1/v1")
    assert hardware.devices_for(mine, where) == (
        None, "the size of me/mine is not stated: add launch.weights_gb to its file",
    )  # fmt: skip
    (tmp_path / "hardware").mkdir()
    (tmp_path / "hardware" / "desk.yaml").write_text("title: A desk\n")
    own = config_source("run", Run, (), str(tmp_path))
    with pytest.raises(BadInput, match=r"desk\.yaml is no machine"):
        hardware.read_machine("desk", own)
    with pytest.raises(BadInput, match="unknown hardware 'b300'; did you mean 'b300x8'"):
        hardware.read_machine("b300", own)


def test_node_hours_add_up(plan: Callable[..., Plan]) -> None:
    words = ("model=[fp8,nvfp4_v2]", "task=mmlu_pro", "rate=1000")
    beside, after = (plan(*words, f"hardware={machine}") for machine in ("b300x8", "rtx_pro_6000_x4"))
    hours = 12032 * 4900 / 1000 / 3600
    assert beside.node_hours == pytest.approx(hours)
    assert after.placement is not None
    assert after.node_hours == pytest.approx(hours * sum(step.machines for step in after.placement.steps))


# the command


@pytest.fixture(name="listener")
def _listener() -> Iterator[tuple[int, list[str]]]:
    """A port that notes everybody who connects."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    seen: list[str] = []
    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            try:
                server.accept()[0].close()
            except TimeoutError:
                continue
            seen.append("somebody")

    thread = threading.Thread(target=listen)
    thread.start()
    yield server.getsockname()[1], seen
    done.set()
    thread.join()
    server.close()


def test_nothing_is_sent_and_nothing_written_but_the_file(tmp_path: Path, listener: tuple[int, list[str]]) -> None:
    port, seen = listener
    words = ["model=nvfp4_v2", "suite=card", f"models.nvfp4_v2.base_url=http://127.0.0.1:{port}/v1", "rate=2500"]
    done = command(tmp_path, *words, "window=4h", "hardware=b300x8", "to=plan.json", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert seen == []
    assert "nothing was sent" in done.stdout
    assert "python3 -m sglang.launch_server" in done.stdout


def test_the_json_has_the_documented_keys(plan: Callable[..., Plan]) -> None:
    content = json.loads(json.dumps(plan_json(plan("model=nvfp4_v2", "suite=card", "hardware=b300x8"))))
    documented = (ROOT / "docs" / "reference" / "plan.md").read_text("utf-8")
    assert content["schema"] == 1
    for keys in (content, content["tasks"][0], content["cost"]["nvfp4_v2"], content["total"], content["hardware"]):
        assert [key for key in keys if f"`{key}`" not in documented] == []
    task = content["cost"]["nvfp4_v2"]["tasks"]["gpqa_diamond"]
    assert [key for key in task if f"`{key}`" not in documented] == []
    assert content["total"]["endpoint_seconds"] is None, "no rate, no hours"


def test_tables_are_readable_at_any_width(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from evalsuite.report.console import show

    made = tables(plan("model=nvfp4_v2", "suite=card", "rate=2500", "window=4h"))
    for columns in (60, 100, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        show(made, "", standard_output())
        shown = capsys.readouterr().out
        assert max(len(line) for line in shown.splitlines()) <= columns
        assert "gpqa_diamond" in shown


WRONG = {
    "rate=-1": "rate=-1: must be above 0",
    "rate=0": "rate=0: must be above 0",
    "rate=fast": "could not be converted to Float",
    "window=soon": "window=soon: must be a duration",
    "window=0h": "window=0h: must be a duration",
    "hardware=b300": "unknown hardware 'b300'; did you mean 'b300x8'?",
    "gate=releas": "unknown gate 'releas'; did you mean 'release'?",
    "baseline_run=nowhere": "nowhere",
}


@pytest.mark.parametrize("word", WRONG)
def test_wrong_values_are_named(word: str, plan: Callable[..., Plan]) -> None:
    with pytest.raises(BadInput, match=re.escape(WRONG[word])):
        plan("model=nvfp4_v2", "task=gsm8k", word)


def test_no_model_and_no_task_name_the_choices(tmp_path: Path) -> None:
    done = command(tmp_path, "rate=-1")
    assert done.returncode == 64
    assert "rate=-1" in done.stderr
    done = command(tmp_path)
    assert done.returncode == 64
    assert "no model chosen" in done.stderr
    assert "no task chosen" in done.stderr


def test_every_benchmark_has_a_chance() -> None:
    rows = pass_chances("suite=all")
    assert len(rows) == 8
    assert all(0 < row.moved <= row.identical <= 1 for row in rows if row.task != "aa_lcr")


def test_the_release_is_planned_with_what_its_verdicts_were_calibrated_on() -> None:
    """So that the chances printed are those that the simulation holds."""
    run = load_settings(["model=nvfp4_v2", "suite=release", "gate=release", "results_dir=/nonexistent"], None, "plan")
    designs = {one.facts.name: (one.design, one.margin and one.margin.points / 100) for one in make_plan(run).chances}
    assert designs == {bench.task: (bench.design(0.05), bench.margin) for bench in BENCHES}


def test_a_screen_of_many_candidates_is_priced(plan: Callable[..., Plan]) -> None:
    models = "model=[fp8,nvfp4,nvfp4_v2,nvfp4_community]"
    made = plan(models, "baseline=bf16", "suite=card", "gate=card", "rate=2500", "hardware=b300x8")
    (screen,) = screens(made)
    assert (screen.baseline, screen.kept, len(screen.candidates)) == ("bf16", 2, 4)
    assert screen.whole.tokens == pytest.approx(sum(cost.total("completion") for cost in made.costs))
    risks = [tuple(option.dropped.values()) for option in screen.options]
    assert risks == sorted(risks, reverse=True)
    for option in screen.options:
        assert option.total.tokens == pytest.approx((option.screen.tokens + screen.whole.tokens) / 2)  # half are kept
        assert option.screen.gpu_hours is not None
        assert option.screen.hours is not None
        assert option.screen.gpu_hours > option.screen.hours
    found = screen.recommended
    assert found is not None
    text = " ".join(" ".join((*table.notes, table.title)) for table in tables(made))
    assert f"limit={found.limit} and tasks.NAME.repeats=1" in text
    assert "A screen of 4 candidates against bf16" in text
    json.dumps(plan_json(made), allow_nan=False)
    assert screens(plan("model=[fp8,nvfp4]", "baseline=bf16", "suite=card")) == ()
    silent = [replace(chance, candidates=("other",)) for chance in made.chances]  # models that do not think
    assert screens(replace(made, chances=(*made.chances, *silent))) == screens(made)


def test_typical_lengths_say_who_states_them() -> None:
    for name in ("mmlu_pro", "gpqa_diamond"):
        known = task_facts(name, Task(name, "nvidia"), None)
        assert known is not None
        assert not facts.typical_lengths(known, thinking=True).completion.assumed
        assert "NeMo-Skills" in facts.typical_lengths(known, thinking=True).completion.origin
