"""lm-eval's tasks through our engine's seam: parity with stock lm_eval, refusals, reproducible prompts, outcomes."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalsuite.config.paths import shipped
from evalsuite.errors import BadInput
from evalsuite.records import Reply, Request, data_sha
from evalsuite.tasks.base import SLOW_TEXT, Tools
from evalsuite.tasks.datasets import HUB, Source, pin
from evalsuite.tasks.lm_eval.adapter import LMEvalTask, _loaded
from evalsuite.tasks.lm_eval.imports import code_at_import
from evalsuite.tasks.registry import build
from figures.lm_eval_data import SUBJECTS, laid_out, lay_out
from figures.lm_eval_parity import OURS, STOCK, parity
from tests.support.machine_speed import cpu_budget
from tests.support.shared import shared_data

pytestmark = pytest.mark.filterwarnings("default")  # lm-eval and datasets warn about themselves


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Made questions, laid out for ``data=hub`` (as folders of the hub's names) and ``data=local``."""
    folder = tmp_path_factory.mktemp("lm_eval")
    lay_out(folder, 28, None)
    with laid_out(folder):
        yield folder


def _local(data: Path, **options: Any) -> LMEvalTask:
    return LMEvalTask(source=Source("local", str(data / "local")), **options)


def _own_task(folder: Path, name: str, config: Mapping[str, Any], results: str) -> LMEvalTask:
    """A task of the user's own: one JSONL file, one YAML, one function."""
    (folder / "docs.jsonl").write_text('{"question": "q", "answer": "a"}\n' * 3, encoding="utf-8")
    (folder / "utils.py").write_text(f"def results(doc, results):\n    return {results}\n", encoding="utf-8")
    files = {"data_files": {"test": str(folder / "docs.jsonl")}}
    base = {"task": name, "dataset_path": "json", "dataset_kwargs": files, "test_split": "test", "num_fewshot": 0}
    texts = {"doc_to_text": "{{question}}", "doc_to_target": "{{answer}}", "generation_kwargs": {"until": ["x"]}}
    stated = yaml.safe_dump({**base, **texts, **config}) + "process_results: !function utils.results\n"
    (folder / f"{name}.yaml").write_text(stated, encoding="utf-8")
    return LMEvalTask(task=name, include_path=str(folder))


MEAN = {"aggregation": "mean", "higher_is_better": True}


@pytest.mark.slow
def test_verdicts_equal_stock_lm_eval_and_our_own_adapters_item_by_item(tmp_path: Path) -> None:
    found = parity(tmp_path, 100, shared_data())
    assert set(found.tasks) == {*OURS, *STOCK}
    for name, task in found.tasks.items():
        assert task.same_verdict == task.items == (100 if name in (*OURS, "gsm8k", "mmlu_pro") else 40), name
        assert task.same_as_own == (task.items if name in OURS else None)
        assert task.outcomes["correct"] >= 0.25 * task.items
    for name in OURS:
        outcomes = found.tasks[name].outcomes
        assert outcomes["wrong"] >= 30
        assert outcomes["no_answer"] >= 10
        assert outcomes["truncated"] >= 10
    assert found.prompts == 640
    assert found.only_one_side == 0


def test_the_shipped_tasks_folder_holds_exactly_our_tasks() -> None:
    from lm_eval.tasks import TaskManager

    subjects = [f"evalsuite_mmlu_pro_{subject.replace(' ', '_')}" for subject in SUBJECTS]
    known = TaskManager(include_path=str(shipped("tasks")), include_defaults=False).all_tasks
    assert known == sorted(["evalsuite_gsm8k", "evalsuite_mmlu_pro", *subjects])


@pytest.mark.parametrize(
    ("task", "file"), [("gsm8k", "evalsuite_gsm8k.yaml"), ("mmlu_pro", "_evalsuite_mmlu_pro_template_yaml")]
)
def test_our_yamls_pin_the_data_of_the_card_and_suit_thinking_models(task: str, file: str) -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: str(node.value))
    stated = yaml.load((shipped("tasks") / task / file).read_text(encoding="utf-8"), Loader)
    assert (stated["dataset_path"], stated["dataset_kwargs"]["revision"]) == (pin(task).hub, pin(task).revision)
    expected = {"until": [], "max_gen_toks": 64000, "do_sample": True, "temperature": 0.6, "top_p": 0.95}
    assert stated["generation_kwargs"] == expected


def test_the_adapter_is_found_by_name_and_its_module_imports_nothing_heavy() -> None:
    made = build("lm_eval", variant="task", options={"task": "evalsuite_gsm8k"}, source=HUB, seed=7)
    assert made == LMEvalTask(task="evalsuite_gsm8k", seed=7)
    script = "import evalsuite.tasks.lm_eval.adapter, sys; print({'lm_eval', 'datasets', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hellaswag", "multiple_choice"),
        ("lambada_openai", "loglikelihood"),
        ("wikitext", "loglikelihood_rolling"),
        ("mmlu", "multiple_choice"),
    ],
)
def test_tasks_that_need_logprobs_are_refused_by_name(name: str, kind: str) -> None:
    with pytest.raises(BadInput, match=rf"lm-eval task '{name}.*' is of output type {kind}: .*log-prob"):
        LMEvalTask(task=name).items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no task; name one"),
        ({"task": "gsm8"}, r"unknown lm-eval task 'gsm8'; near names: gsm8k.* \(task=lm_eval:gsm8k\)"),
        ({"task": "gsm8k", "include_path": "/nowhere"}, "include_path '/nowhere' is not a folder"),
        ({"task": "gsm8k", "filter": "strict"}, "unknown filter .*'strict'; did you mean 'strict-match'"),
        ({"task": "gsm8k", "metric": "f1"}, "unknown metric .*'f1'.* Known: exact_match"),
        ({"task": "evalsuite_gsm8k", "num_fewshot": 4}, "0-shot by its own definition"),
        ({"task": "humaneval"}, "would run the model's code"),
        (
            {"task": "medtext"},
            r"'medtext' runs code when it is imported.*: evaluate.load\('bleu'\) in line \d+ of medtext/",
        ),
        ({"task": "gsm8k_cot_self_consistency"}, "grades 64 replies together"),
        ({"task": "drop"}, r"no validation\.jsonl\[\.gz\] for lm-eval task 'drop' in .*local/drop: check"),
        ({"task": "bbh_cot_zeroshot_snarks"}, r"in .*local/bbh_cot_zeroshot_snarks or .*local/cot_zeroshot: check"),
        ({"task": "squadv2"}, "'squadv2' loads its data in code of its own; use data=hub"),
        ({"task": "mmlu_pro"}, "validation questions of mmlu_pro are neither at"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        _local(data, **options).items()
    assert "\n" not in str(error.value)


def test_a_module_that_loads_a_metric_on_import_is_read_and_not_run(tmp_path: Path) -> None:
    """Whatever its import is called and whichever of lm-eval's modules brings it; inside a function it may stand."""
    top = {
        "import evaluate as hf\ntry:\n    metric = hf.load('code_eval')\nexcept Exception:\n    raise\n": True,
        "from evaluate import load as fetch\nclass A:\n    metric = fetch('bleu')\n": True,
        "from lm_eval.tasks.mbpp.utils import pass_at_1\n": True,
        "from lm_eval.tasks.mbpp import utils as other\n": True,
        "from .utils_of_mine import x\n": True,
        "import evaluate\ndef results(doc, results):\n    return evaluate.load('bleu')\n": False,
        "from lm_eval.tasks.gsm8k import x\nload = print\n": False,
    }
    (tmp_path / "utils_of_mine.py").write_text("import evaluate\nx = evaluate.load('bleu')\n", encoding="utf-8")
    for text, runs in top.items():
        (tmp_path / "utils.py").write_text(text, encoding="utf-8")
        assert bool(code_at_import({"metric_list": [{"metric": str(tmp_path / "utils.results")}]})) == runs, text
    marker = tmp_path / "imported"
    (tmp_path / "utils.py").write_text(f"import evaluate\nopen({str(marker)!r}, 'w')\nevaluate.load('x')\n")
    (tmp_path / "own.yaml").write_text(
        "task: own\ndataset_path: json\nprocess_results: !function utils.results\n", encoding="utf-8"
    )
    with pytest.raises(BadInput, match="'own' runs code when it is imported"):
        LMEvalTask(task="own", include_path=str(tmp_path)).items()
    assert not marker.exists()
    (tmp_path / "utils.py").write_text("def results(\n", encoding="utf-8")
    with pytest.raises(BadInput, match="'own' cannot be built: SyntaxError"):
        LMEvalTask(task="own", include_path=str(tmp_path)).items()


def test_local_questions_without_the_tasks_columns_are_a_clear_error(tmp_path: Path, data: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text('{"q": "1 + 1?", "answer": "#### 2"}\n', encoding="utf-8")
    with pytest.raises(BadInput, match="'evalsuite_gsm8k' cannot be built: UndefinedError: 'question' is undefined"):
        LMEvalTask(source=Source("local", str(tmp_path)), task="evalsuite_gsm8k").items()


def test_a_dataset_that_is_not_here_is_named(data: Path) -> None:
    where = r"DIR/triviaqa/validation.jsonl\[.gz\]"
    with pytest.raises(BadInput, match=rf"lm-eval task 'triviaqa' has no data here: .*trivia_qa.*; .*{where}"):
        LMEvalTask(task="triviaqa").items()


def test_items_of_a_group_name_their_member(data: Path) -> None:
    items = list(_local(data, task="evalsuite_mmlu_pro").items())
    assert len(items) == 28
    assert items[0].id == "evalsuite_mmlu_pro_biology/0"
    assert {item.groups["task"] for item in items} == {
        f"evalsuite_mmlu_pro_{subject.replace(' ', '_')}" for subject in SUBJECTS
    }
    json.dumps([[dict(item.inputs), item.target] for item in items])
    single = list(_local(data, task="evalsuite_mmlu_pro_law").items())
    assert [(item.id, item.groups) for item in single] == [(f"evalsuite_mmlu_pro_law/{n}", {}) for n in range(2)]


def test_examples_depend_on_the_seed_alone(data: Path) -> None:
    def prompts(seed: int) -> list[str]:
        _loaded.cache_clear()
        adapter = _local(data, task="gsm8k", seed=seed)
        return [str(adapter.prompt(item, 0).messages) for item in adapter.items()]

    random.seed(1)
    first = prompts(42)
    list(LMEvalTask(task="drop").items())
    random.seed(2)
    state = random.getstate()
    assert prompts(42) == first
    assert random.getstate() == state
    assert prompts(43) != first
    assert len(set(first)) == len(first)


def test_a_task_that_shuffles_its_options_shuffles_them_by_the_seed(tmp_path: Path) -> None:
    """lm-eval's GPQA shuffles with the global generator inside a cached ``map``; ours may not depend on either."""
    columns = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
    rows = [dict(zip(columns, [f"Invented {n}?", *(f"{n} {w}" for w in "wxyz")], strict=True)) for n in range(12)]
    folder = tmp_path / "gpqa_diamond_cot_zeroshot"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def orders(seed: int) -> tuple[str, set[str]]:
        _loaded.cache_clear()
        source = Source("local", str(tmp_path))
        items = tuple(LMEvalTask(source=source, task="gpqa_diamond_cot_zeroshot", seed=seed).items())
        return data_sha(items), {item.target for item in items}

    first = orders(42)
    random.seed(99)
    assert orders(42) == first
    assert orders(43) != first
    assert len(first[1]) > 1


def test_the_number_of_examples_can_be_chosen(data: Path) -> None:
    for shots, asked in ((None, 6), (2, 3), (0, 1)):
        adapter = _local(data, task="gsm8k", num_fewshot=shots)
        item = next(iter(adapter.items()))
        (message,) = adapter.prompt(item, 0).messages
        assert str(message["content"]).count("Question: ") == asked


def test_stops_are_the_tasks_first_four_or_none(tmp_path: Path, data: Path) -> None:
    many = {"generation_kwargs": {"until": list("abcdef")}, "metric_list": [{"metric": "em", **MEAN}]}
    task = _own_task(tmp_path, "many_stops", many, "{'em': 1}")
    (item, *_) = task.items()
    assert task.prompt(item, 0).stop == ("a", "b", "c", "d")
    silent = LMEvalTask(task="many_stops", include_path=str(tmp_path), stops="none")
    assert silent.prompt(item, 0).stop == ()


def test_outcomes_tell_silence_truncation_refusal_and_wrong_apart(data: Path) -> None:
    adapter = _local(data, task="evalsuite_gsm8k")
    item = next(iter(adapter.items()))
    right, long = f"\\boxed{{{item.target}.0}}", "length"
    seen = {
        case: (score.value, score.outcome, score.answer)
        for case, reply in {
            "right": Reply(right),
            "right, then cut": Reply(right, finish_reason=long),
            "wrong": Reply("\\boxed{99}"),
            "no number": Reply("\\boxed{many}"),
            "no box": Reply("It is 7."),
            "cut": Reply("It is", finish_reason=long),
            "empty": Reply(""),
            "filtered": Reply("", finish_reason="content_filter"),
        }.items()
        if (score := adapter.score(item, 0, reply))
    }
    assert seen == {
        "right": (1.0, "correct", "7"),
        "right, then cut": (1.0, "correct", "7"),
        "wrong": (0.0, "wrong", "99"),
        "no number": (0.0, "wrong", "many"),
        "no box": (0.0, "no_answer", None),
        "cut": (0.0, "truncated", None),
        "empty": (0.0, "no_answer", None),
        "filtered": (0.0, "refused", None),
    }


def test_headline_filter_and_metric_can_be_chosen(data: Path) -> None:
    default, flexible = (_local(data, task="gsm8k", filter=name) for name in (None, "flexible-extract"))
    item = next(iter(default.items()))
    reply = Reply("So it is 7 pens.")
    parts = {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 1.0}
    first, second = default.score(item, 0, reply), flexible.score(item, 0, reply)
    assert (first.value, first.outcome, first.stage, first.parts) == (0.0, "no_answer", "strict-match", parts)
    assert (second.value, second.outcome, second.stage, second.parts) == (1.0, "correct", "flexible-extract", parts)
    drop = LMEvalTask(task="drop", metric="f1")
    item = next(iter(drop.items()))
    score = drop.score(item, 0, Reply("red team 0 of the coast"))
    assert score.value == pytest.approx(0.75)
    assert score.outcome == "wrong"
    assert score.parts["em,none"] == 0.0


def test_a_number_that_is_no_fraction_is_not_measured(tmp_path: Path, data: Path) -> None:
    task = _own_task(tmp_path, "percent", {"metric_list": [{"metric": "f1", **MEAN}]}, "{'f1': 57.25, 'em': (1, 2)}")
    (item, *_) = task.items()
    score = task.score(item, 0, Reply("a"))
    assert (score.value, score.outcome, score.parts) == (None, "failed", {"f1,none": 57.25})
    assert "57.25, not a fraction of 1" in score.note


def test_a_task_whose_metric_falls_with_quality_needs_a_chosen_one(tmp_path: Path, data: Path) -> None:
    worse = {"metric_list": [{"metric": "wer", "aggregation": "mean", "higher_is_better": False}]}
    task = _own_task(tmp_path, "falls", worse, "{'wer': 0.25}")
    with pytest.raises(BadInput, match="'falls' has no metric that is averaged over items and better when higher"):
        task.items()
    chosen = LMEvalTask(task="falls", include_path=str(tmp_path), metric="wer")
    (item, *_) = chosen.items()
    assert chosen.score(item, 0, Reply("a")).value == 0.25


def test_long_replies_are_graded_on_the_main_thread(tmp_path: Path, data: Path) -> None:
    """Where Python allows the alarms with which lm-eval's scorers bound themselves."""
    arm = "__import__('signal').signal(14, __import__('signal').getsignal(14))"  # raises in any other thread
    task = _own_task(tmp_path, "alarmed", {"metric_list": [{"metric": "em", **MEAN}]}, f"{{'em': {arm} is not None}}")
    (item, *_) = task.items()

    async def chat(request: Request) -> Reply:
        return Reply("a" * (SLOW_TEXT + 1))

    score = asyncio.run(task.attempt(item, 0, Tools(chat)))
    assert score.outcome == "correct"


def test_a_looping_answer_of_300_000_characters_is_graded_within_a_second(data: Path) -> None:
    for name in OURS:
        adapter = _local(data, task=name)
        item = next(iter(adapter.items()))
        for loop in ("Wait, the answer is \\boxed{", "answer: ", "\\boxed{1} "):
            reply = Reply(loop * (300_000 // len(loop)), finish_reason="length")
            start = time.process_time()
            adapter.score(item, 0, reply)
            assert time.process_time() - start < cpu_budget(1.0), (name, loop)
