"""``evalsuite.run`` and ``make_plan`` do what the commands do, with values and exceptions instead of text and codes."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalsuite
from evalsuite.config.compose import load_settings
from evalsuite.config.override_values import parse
from evalsuite.config.paths import shipped
from evalsuite.config.python_values import as_text, override_words
from evalsuite.config.schema_types import ANYTHING
from evalsuite.errors import BadInput, EndpointUnusable
from evalsuite.plan.document import plan_json
from tests.support import command
from tests.support.scripted_endpoint import Answer, scripted_endpoint


def asked(url: str, results: Path, **more: Any) -> dict[str, Any]:
    """The arguments of a run of two models, served by one endpoint that answers alike."""
    hosts = {"demo_bf16": "127.0.0.1", "demo_fp8": "localhost"}
    addresses = {f"models.{name}.base_url": url.replace("127.0.0.1", host) for name, host in hosts.items()}
    fixed = {"results_dir": results, "limit": 20, "sampling": "greedy", "engine.probe": False, "run_id": "r"}
    return {
        "models": ["demo_bf16", "demo_fp8"],
        "tasks": "word_problems",
        "overrides": {**addresses, **fixed, "engine.fingerprint": False, **more},
    }


def words(arguments: dict[str, Any]) -> list[str]:
    """The same run as words of a command line."""
    texts = {
        key: str(value).lower() if isinstance(value, bool) else value for key, value in arguments["overrides"].items()
    }
    return [
        f"model=[{','.join(arguments['models'])}]",
        f"task={arguments['tasks']}",
        *(f"{k}={v}" for k, v in texts.items()),
    ]


@pytest.mark.slow
def test_a_run_has_the_numbers_of_the_command(tmp_path: Path) -> None:
    with scripted_endpoint(lambda request: "7") as server:
        result = evalsuite.run(**asked(server.base_url, tmp_path / "a"))
        shared = asked(server.base_url, tmp_path / "b")
        done = command.evalsuite(tmp_path, "run", *words(shared))
    assert done.returncode == 0, done.stderr
    assert (result.run_id, result.complete, result.folder) == ("r", True, tmp_path / "a" / "r")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    contents = [json.loads((tmp_path / name / "r" / "report" / "comparison.json").read_text()) for name in "ab"]
    assert contents[0] == contents[1]
    assert result.page == tmp_path / "a" / "r" / "report" / "report.html"
    assert list(result.scores["score"]) == [cell["score"] for cell in contents[0]["cells"]]
    (row,) = contents[0]["rows"]
    (delta,) = result.deltas.to_dict("records")
    assert (delta["delta"], delta["ci95_low"], delta["items"]) == (row["delta"], row["ci95"][0], 20)
    assert set(result.groups["group"]) == set(row["groups"])
    found = evalsuite.compare(result.table, "word_problems", "demo_bf16", "demo_fp8")
    assert found.delta == row["delta"]
    with pytest.raises(BadInput, match="unknown table 'score'"):
        result.frame("score")


def test_where_a_loop_is_running_the_run_goes_on_in_a_thread(tmp_path: Path) -> None:
    """As in a cell of a notebook. Ctrl-C ends it, and the same call goes on."""
    calls = 0

    def interrupting(request: Any) -> Answer:
        nonlocal calls
        calls += 1
        if calls == 3:
            signal.raise_signal(signal.SIGINT)
        return Answer("7", delay=600 if calls == 3 else 0)  # one model waits for this answer until the run is stopped

    async def cell(arguments: dict[str, Any]) -> evalsuite.RunResult:
        return evalsuite.run(**arguments)

    loop = asyncio.new_event_loop()  # `asyncio.run` has a handler of its own for Ctrl-C, a notebook has none
    try:
        with scripted_endpoint(interrupting) as server:
            slow = {
                "models.demo_bf16.concurrency": 1,
                "models.demo_fp8.concurrency": 1,
                "report": False,
                "engine.drain_seconds": 0,
            }
            arguments = asked(server.base_url, tmp_path, **slow)
            with pytest.raises(KeyboardInterrupt, match="stopped by SIGINT"):
                loop.run_until_complete(cell(arguments))
            assert calls < 40
            result = loop.run_until_complete(cell(arguments))
    finally:
        loop.close()
    assert (result.complete, result.page) == (True, None)


def test_what_prevents_a_run_is_raised(tmp_path: Path) -> None:
    with pytest.raises(evalsuite.EvalsuiteError, match="unknown model 'fp9'; did you mean 'fp8'"):
        evalsuite.run("fp9", "gsm8k")
    with pytest.raises(BadInput, match="no task chosen"):
        evalsuite.run("fp8")
    with pytest.raises(BadInput, match="belong to `evalsuite run`"):
        evalsuite.run("demo_fp8", "word_problems", overrides={"dry_run": True})
    away = asked("http://127.0.0.1:9/v1", tmp_path)
    with pytest.raises(EndpointUnusable, match=r"demo_bf16: .*127\.0\.0\.1:9"):
        evalsuite.run(**away)
    assert not list(tmp_path.glob("*/*/*"))


def test_a_plan_is_that_of_the_command(tmp_path: Path) -> None:
    plan = evalsuite.make_plan("nvfp4_v2", suite="smoke", overrides={"rate": 2500, "results_dir": tmp_path})
    done = command.evalsuite(
        tmp_path, "plan", "model=nvfp4_v2", "suite=smoke", "rate=2500", f"results_dir={tmp_path}", "to=p"
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "p").read_text())
    assert "missing" in written  # of this machine, which is no part of the plan
    assert json.loads(json.dumps(plan_json(plan))) == {name: written[name] for name in written if name != "missing"}
    with pytest.raises(BadInput, match="unknown suite 'smoky'"):
        evalsuite.make_plan("nvfp4_v2", suite="smoky")


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z]_[a-z]{0,3}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(values)
def test_a_python_value_is_read_back_from_its_override(value: Any) -> None:
    (item,) = parse([f"models.m.server.body={as_text(value)}"], lambda _: ANYTHING)
    assert item.value() == value


def test_texts_are_taken_literally() -> None:
    odd = ["null", "it's", "a,b", "'q'", '"', "\\", "\\'", "a\\", "[x]", " x ", "=", "1e3", "naïve"]
    models = dict(zip(evalsuite_models(), odd, strict=False))
    titles = {f"models.{name}.title": text for name, text in models.items()}
    run = load_settings(override_words({"model": list(models), "task": ["gsm8k"], "file": odd, **titles}))
    assert [run.models[name].title for name in models] == odd
    assert run.file == odd


def test_paths_in_lists_and_mappings_are_quoted_like_texts() -> None:
    assert override_words({"file": [Path("a,b"), Path("x")]}) == ["file=['a,b',x]"]
    assert as_text({"a": Path("x}")}) == "{a:'x}'}"


def evalsuite_models() -> list[str]:
    return sorted(file.stem for file in (shipped("conf") / "model").glob("*.yaml"))
