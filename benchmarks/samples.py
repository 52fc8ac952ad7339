"""CPU per sample that is not streamed: all of evalsuite, lm-eval, the bare openai loop and bare aiohttp."""

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import messages
from benchmarks.mock_server import Shape
from benchmarks.processes import Served, evalsuite_words, run, serving

SMALL = 64
"""Questions of the short run that is taken off the long one, so that start-up and report do not count."""
LM_EVAL_TASK = """task: mock_echo
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "42"
generation_kwargs: {{until: [], temperature: 0.6, do_sample: true, max_gen_toks: 64000}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


@dataclass(frozen=True, slots=True)
class SampleCost:
    """CPU milliseconds of one sample at one concurrency, medians of the rounds."""

    evalsuite: float
    """All-in: request, journal, grading, table, report, as a difference of two runs of the command."""
    unreported: float
    """The same with ``report=false``."""
    openai_raw: float
    """A bare ``with_raw_response`` loop on the aiohttp transport."""
    aiohttp: float
    """A bare loop of aiohttp."""
    ratio: float
    """Of ``evalsuite`` to ``aiohttp``, whose two values of a round are measured one after the other."""
    lm_eval: float | None
    """As evalsuite's; None: not asked for."""
    server: float
    """What the mock server itself used for one sample, over everything."""


def sample_cost(concurrency: int, *, samples: int = 3000, rounds: int = 5, lm_eval: bool = True) -> SampleCost:
    """Measure at one concurrency; what is compared is measured in turns, because machines change speed."""
    with tempfile.TemporaryDirectory(prefix="evalsuite-bench-") as home, serving(Shape()) as served:
        folder = Path(home)
        ours, unreported, raw, aiohttp, theirs = [], [], [], [], []
        for number in range(rounds):
            ours.append(_marginal(_evalsuite(folder / f"ours-{number}", served, concurrency), samples))
            aiohttp.append(_loop("aiohttp", served, samples, concurrency))
            alone = _evalsuite(folder / f"alone-{number}", served, concurrency, "report=false")
            unreported.append(_marginal(alone, samples))
            raw.append(_loop("openai-raw", served, samples, concurrency))
            if lm_eval:
                theirs.append(_marginal(_lm_eval(folder / f"lm-{number}", served, concurrency), samples))
        asked, cpu, _ = served.stats()
    return SampleCost(
        statistics.median(ours),
        statistics.median(unreported),
        statistics.median(raw),
        statistics.median(aiohttp),
        statistics.median(one / other for one, other in zip(ours, aiohttp, strict=True)),
        statistics.median(theirs) if theirs else None,
        1000 * cpu / asked,
    )


def answer_rates(concurrency: int, *, samples: int = 6000, rounds: int = 3) -> tuple[float, float]:
    """Answers a second from the first question to the last answer, at no latency: (evalsuite, lm-eval), medians."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="evalsuite-bench-") as home:
        for number in range(rounds):
            for harness, rates in ((_evalsuite, ours), (_lm_eval, theirs)):
                with serving(Shape()) as served:
                    harness(Path(home) / f"{harness.__name__}-{number}", served, concurrency)(samples)
                    asked, _, seconds = served.stats()
                rates.append(asked / seconds)
    return statistics.median(ours), statistics.median(theirs)


def _marginal(cpu: Callable[[int], float], samples: int) -> float:
    """Milliseconds a sample, from a short and a long run."""
    short = cpu(SMALL)
    return 1000 * (cpu(SMALL + samples) - short) / samples


def _evalsuite(folder: Path, served: Served, concurrency: int, *more: str) -> Callable[[int], float]:
    def cpu(count: int) -> float:
        words = ("models.mock.server.stream=false", *more)
        return run(evalsuite_words(served.url, folder / str(count), count, concurrency, *words)).cpu

    return cpu


def _loop(kind: str, served: Served, samples: int, concurrency: int, more: Sequence[str] = ()) -> float:
    words = [kind, "--url", served.url, "--count", str(samples), "--concurrency", str(concurrency), *more]
    return 1000 * float(json.loads(run([sys.executable, "-m", "benchmarks.clients", *words]).output)) / samples


def _lm_eval(folder: Path, served: Served, concurrency: int) -> Callable[[int], float]:
    def cpu(count: int) -> float:
        home = folder / str(count)
        home.mkdir(parents=True)
        lines = (json.dumps({"question": messages(number)[0]["content"]}) for number in range(count))
        (home / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (home / "echo.yaml").write_text(LM_EVAL_TASK.format(data=home / "questions.jsonl"), encoding="utf-8")
        endpoint = f"base_url={served.url}/chat/completions,model=mock,num_concurrent={concurrency}"
        call = [sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args", endpoint]
        call += ["--include_path", str(home), "--tasks", "mock_echo", "--apply_chat_template", "--log_samples"]
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
        return run([*call, "--output_path", str(home / "out")], cwd=home, environment=offline).cpu

    return cpu
