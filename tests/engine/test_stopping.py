import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evalsuite.analysis.interruptions import cut_answers
from evalsuite.cli.run import run
from evalsuite.config.settings import Engine
from evalsuite.errors import BadInput, Exit
from evalsuite.store.baseline import write_artefact
from evalsuite.store.manifest import read_manifest
from evalsuite.store.runs import run_cells
from evalsuite.store.samples import read_cuts, read_samples
from tests.engine.test_session import in_process, rows, summary, wait_for
from tests.support.command import evalsuite
from tests.support.comparing import comparison_rows
from tests.support.scripted_endpoint import CHUNK, Answer, Server, scripted_endpoint
from tests.support.toy import right, settings


def engine(**changes: Any) -> Engine:
    return Engine(retries=0, backoff_seconds=0.01, probe=False, fingerprint=False, **changes)


def number(prompt: str) -> int:
    return int(prompt.split(" ")[0])


def slowly(prompt: str) -> Answer:
    """Even numbers are answered at once, odd ones take four minutes."""
    if number(prompt) % 2 == 0:
        return Answer(right(prompt))
    return Answer(right(prompt), reasoning="thought " * (1000 * CHUNK // 8), pace=0.25)


def test_what_runs_at_the_deadline_is_cut_counted_and_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = {"concurrency": 40}
    with scripted_endpoint(slowly) as server:
        began = time.monotonic()
        assert (
            run(settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="5s"), model=wide)) == Exit.STOPPED
        )
        lasted = time.monotonic() - began
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "Stopped by the end of the window: 0 requests were not sent or had no answer yet, 20 answers were cut" in said
    )
    assert "20 answers (50.0 %) were cut" in said
    folder = tmp_path / "r" / "bf16" / "additions"
    cuts = read_cuts(folder)
    assert {int(item[1:]) % 2 for item, _ in cuts} == {1}
    assert all((found[0].tokens or 0) > 1 and found[0].seconds < lasted for found in cuts.values())
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), engine=engine(), report=True)) == Exit.DONE
        assert len(server.requests) == 20
    found = summary(tmp_path)
    assert found["score"] == 1.0
    cut = found["cut"]
    assert (cut["samples"], cut["share"], cut["flagged"], cut["redrawn"]) == (20, 0.5, True, 20)
    assert cut["redrawn_shorter"] == 20  # 1 token each, where some hundred had been thrown away
    assert cut["tokens_redrawn"] == cut["tokens_finished"] == 1.0 < cut["tokens_at_cut"]
    assert {row["item_id"] for row in rows(tmp_path) if row["rerolled"]} == {item for item, _ in cuts}
    assert "favours short answers" in (tmp_path / "r" / "report" / "report.md").read_text()


def test_a_window_that_ends_before_the_first_token_is_a_stop(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=60.0)) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="2s"), limit=3)
        assert run(wanted) == Exit.STOPPED


def test_a_run_without_cuts_says_nothing_of_them(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="5m"))) == Exit.DONE
    assert (summary(tmp_path)["cut"]["samples"], summary(tmp_path)["cut"]["flagged"]) == (0, False)
    assert not cut_answers(tmp_path / "r" / "bf16" / "additions", 40).flagged


def known(results: Path, tokens: Sequence[int], model: str = "other") -> None:
    """Recorded answers of ``model`` to the additions, one token a 10 ms."""
    with scripted_endpoint(lambda prompt: Answer("1 " * tokens[number(prompt)])) as server:
        assert run(settings(results, (model, server.base_url), engine=engine())) == Exit.DONE


def test_only_what_fits_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known(tmp_path, [20 if n < 10 else 2 for n in range(40)])
    with scripted_endpoint(right) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="6s"))
        wanted.rate = 32.0  # 1 token a second and stream: 60 s for the long ones, 6 s for the short
        assert run(wanted) == Exit.STOPPED
        assert not server.requests
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="20s"))
        wanted.rate = 32.0
        assert run(wanted) in (Exit.DONE, Exit.STOPPED)
        asked = [number(one.prompt) for one in server.requests]
    assert asked[0] >= 10
    assert set(range(10, 40)) <= set(asked)


def test_a_window_in_which_nothing_fits_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_endpoint(right) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(deadline="30s"))
        wanted.rate = 32.0
        assert run(wanted) == Exit.BAD_INPUT  # 64 tokens at 1/s: no window of 30 s will ever do
        said = " ".join(capsys.readouterr().err.split())
        assert "Nothing was sent: even the shortest of 40 open requests may take 64 s" in said
        assert "a whole window is 30 s. No window of this length will do" in said
        wanted.engine.deadline = f"{datetime.now(UTC) + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"
        assert run(wanted) == Exit.STOPPED  # what is left of a longer window: the next one may do
        assert "The same command goes on in the next one" in " ".join(capsys.readouterr().err.split())
        assert not server.requests


def test_a_spent_token_budget_lets_running_answers_finish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_endpoint(lambda prompt: Answer(f"{right(prompt)}", reasoning="w " * 9, delay=0.05)) as server:
        few = {"concurrency": 4}
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(token_budget=100), model=few)
        assert run(wanted) == Exit.STOPPED
        assert 10 <= len(server.requests) <= 14  # 10 tokens each, and at most 4 more on their way
        assert summary(tmp_path)["samples"] == len(server.requests)
        assert "Stopped by the token budget" in " ".join(capsys.readouterr().err.split())
        wanted.engine.token_budget = None
        assert run(wanted) == Exit.DONE
        assert set(server.counts.values()) == {1}
        wanted = settings(tmp_path / "b", ("bf16", server.base_url), engine=engine(token_budget=400), limit=40)
        assert run(wanted) == Exit.DONE  # spent by the last answer: nothing is left to do


def test_a_dialogue_stops_between_two_requests_and_goes_on_there(tmp_path: Path) -> None:
    def answer(prompt: str) -> Answer:
        if "again" in prompt:
            return Answer(prompt.split(" ")[0])
        return Answer(right(prompt), delay=1.0)

    with scripted_endpoint(answer) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(token_budget=1), model={"concurrency": 8})
        wanted.tasks["additions"].adapter = "tests.support.toy:Dialogue"
        assert run(wanted) == Exit.STOPPED
        assert len(server.requests) == 8
        assert not any("again" in one.prompt for one in server.requests)
        wanted.engine.token_budget = None
        assert run(wanted) == Exit.DONE
        assert set(server.counts.values()) == {1}
    assert summary(tmp_path)["score"] == 1.0
    assert not any(row["rerolled"] for row in rows(tmp_path))


def test_a_second_signal_ends_at_once_with_the_signals_code(tmp_path: Path) -> None:
    with scripted_endpoint(lambda prompt: Answer(right(prompt), delay=60.0)) as server:
        process = in_process(tmp_path, server.base_url)
        wait_for(lambda: len(server.requests) >= 4)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = ""
        while "once more" not in said:
            said = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
    assert process.returncode == Exit.SIGTERM
    assert "Traceback" not in said
    assert "the same command goes on" in " ".join(said.split())


def test_the_longest_recorded_question_is_asked_first(tmp_path: Path) -> None:
    known(tmp_path, [1 + (n * 7) % 40 for n in range(40)])
    with scripted_endpoint(right) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url), engine=engine(), model={"concurrency": 1})
        assert run(wanted) == Exit.DONE
        asked = [number(one.prompt) for one in server.requests]
    assert asked == sorted(range(40), key=lambda n: -((n * 7) % 40))


def doubled(results: Path, server: Server, **changes: Any) -> Any:
    return settings(results, ("bf16", server.base_url), engine=engine(), aa=True, **changes)


def test_aa_asks_every_model_twice_interleaved_with_other_seeds(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        assert run(doubled(tmp_path, server, task={"repeats": 2}, model={"concurrency": 1}, limit=10)) == Exit.DONE
        prompts = [one.prompt for one in server.requests]
        seeds = [one.body["seed"] for one in server.requests]
        assert run(doubled(tmp_path, server, task={"repeats": 2}, limit=10)) == Exit.DONE
        assert len(server.requests) == 40  # resumed: nothing was left
    assert prompts[::2] == prompts[1::2]  # the same question to both arms, one after the other
    assert len(set(seeds)) == 40
    first, second = (read_manifest(tmp_path / "r" / name / "additions") for name in ("bf16", "bf16__aa"))
    assert (second["same_as"], second["baseline"], second["identity"]["draw"]) == ("bf16", "bf16", "aa")
    assert second["identity"]["seed"] == first["identity"]["seed"]
    assert "draw" not in first["identity"]
    columns = ["item_id", "repeat", "prompt_sha"]
    one, other = (
        read_samples(tmp_path / "r" / name / "additions", columns).to_pylist() for name in ("bf16", "bf16__aa")
    )
    assert one == other
    (row,) = comparison_rows(tmp_path / "r")
    assert (row["baseline"], row["candidate"], row["delta"]) == ("bf16", "bf16__aa", 0.0)


def test_the_first_arm_asks_what_a_plain_run_asks(tmp_path: Path) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path / "a", ("bf16", server.base_url), engine=engine(), limit=10)) == Exit.DONE
        plain = {one.prompt: one.body["seed"] for one in server.requests}
        server.requests.clear()
        assert run(doubled(tmp_path / "b", server, limit=10)) == Exit.DONE
        seeds = [one.body["seed"] for one in server.requests]
    assert set(plain.values()) < set(seeds)


def test_a_name_that_looks_like_a_second_arm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="__aa' is added by evalsuite"):
        run(settings(tmp_path, ("bf16__aa", "http://127.0.0.1:1/v1")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=[demo_fp8,demo_fp8]", "task=word_problems"], "demo_fp8"),
        (["model=demo_fp8", "task=word_problems", "engine.deadline=soon"], "must be a duration"),
        (["model=demo_fp8", "task=word_problems", "engine.token_budget=0"], "must be 1 or more"),
        (["model=demo_fp8", "task=word_problems", "engine.deadline=2020-01-01T00:00Z"], "which has passed"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = evalsuite(tmp_path, "run", *words, f"results_dir={tmp_path}")
    assert done.returncode == Exit.BAD_INPUT
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("packed", [False, True])
def test_a_baseline_that_is_named_says_how_long_answers_are(tmp_path: Path, packed: bool) -> None:
    known(tmp_path / "months ago", [1 + (n * 7) % 40 for n in range(40)])
    baseline = tmp_path / "months ago" / "r"
    if packed:
        write_artefact(run_cells(baseline), tmp_path / "other.baseline")
        baseline = tmp_path / "other.baseline"
    with scripted_endpoint(right) as server:
        wanted = settings(tmp_path / "now", ("bf16", server.base_url), engine=engine(), model={"concurrency": 1})
        wanted.baseline_run = str(baseline)
        assert run(wanted) == Exit.DONE
        asked = [number(one.prompt) for one in server.requests]
    assert asked == sorted(range(40), key=lambda n: -((n * 7) % 40))
