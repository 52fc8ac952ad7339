"""Which server is on the port: precisions distinguished, the previous checkpoint refused, a swap found."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.demo.process import serving
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.identity import capture as taking
from evalsuite.endpoint.identity import fingerprint
from evalsuite.endpoint.identity.fingerprint import PROMPTS, Fingerprint, FingerprintDistance
from evalsuite.endpoint.identity.identify import PROBE
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from figures.line import Line
from tests.support.renaming_proxy import renaming_proxy

MODELS = ("demo_bf16", "demo_fp8", "demo_nvfp4", "demo_nvfp4_v2")
PROBES = {PROBE, *PROMPTS}


@dataclass(frozen=True, slots=True)
class Told:
    """Compare the fingerprints of the four demo models."""

    pairs: Mapping[tuple[str, str], FingerprintDistance]
    """The six pairs of different models."""
    again: Mapping[str, FingerprintDistance]
    """Each model beside itself, asked a second time."""
    tokens: int
    """Generated for one fingerprint."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that asks the wrong server."""

    code: int
    said: str
    """Its standard error in one line."""
    questions: int
    """Requests that were no probe."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """A run under which the server is exchanged."""

    code: int
    said: str
    questions_of_stranger: int
    """Answers that the other model gave before it was found."""
    put_aside: int
    """Attempts that no longer count."""
    kept: int
    resumed_code: int
    equal_rows: bool
    """After the right model is back and the command is given again: answers and scores equal to an undisturbed run."""


def told_apart() -> Told:
    """Fingerprints of four real servers, each taken twice."""
    with serving(MODELS) as urls:
        taken = {name: (_taken(urls[name], name), _taken(urls[name], name)) for name in MODELS}
    pairs = {
        (one, other): fingerprint.compare(taken[one][0], taken[other][0])
        for one, other in itertools.combinations(MODELS, 2)
    }
    again = {name: fingerprint.compare(*both) for name, both in taken.items()}
    return Told(pairs, again, len(PROMPTS) * fingerprint.REPEATS * taking.TOKENS)


def previous_checkpoint(folder: Path, limit: int) -> tuple[Refused, Refused]:
    """V2's configuration while FP8 still serves, after a run of FP8: under its own name, and with all names hidden."""
    with serving(["demo_fp8"]) as urls, renaming_proxy(urls["demo_fp8"]) as hidden:
        _done(folder, "named", "demo_fp8", urls["demo_fp8"], limit)
        named = _refused(folder, "named", "demo_nvfp4_v2", urls["demo_fp8"], limit)
        _done(folder, "hidden", "demo_fp8", hidden.base_url, limit)
        before = len(hidden.prompts)
        found = _refused(folder, "hidden", "demo_nvfp4_v2", hidden.base_url, limit)
        questions = sum(prompt not in PROBES for prompt in hidden.prompts[before:])
    return named, Refused(found.code, found.said, questions)


def swapped(folder: Path, limit: int, after: int) -> Swapped:
    """NVFP4 takes FP8's place behind one address after ``after`` requests; looked at every half second."""
    words = ["engine.reprobe_seconds=0.5", "models.demo_fp8.concurrency=1"]
    with serving(["demo_fp8", "demo_nvfp4"]) as urls, renaming_proxy(urls["demo_fp8"]) as proxy:
        whole = _evalsuite(folder, "whole", "demo_fp8", proxy.base_url, limit, *words)
        assert whole.returncode == 0, whole.stderr[-2000:]
        begun = len(proxy.prompts)
        proxy.turn_after, proxy.turn_to = begun + after, urls["demo_nvfp4"]
        broken = _evalsuite(folder, "swapped", "demo_fp8", proxy.base_url, limit, *words)
        strange = sum(prompt not in PROBES for prompt in proxy.prompts[begun + after :])
        cell = folder / "results" / "swapped" / "demo_fp8" / "word_problems"
        last = read_manifest(cell)["server"][-1]["probes"][-1]
        kept = len(read_samples(cell))
        proxy.target = urls["demo_fp8"]
        again = _evalsuite(folder, "swapped", "demo_fp8", proxy.base_url, limit, *words)
    rows = [_rows(folder / "results" / run / "demo_fp8" / "word_problems") for run in ("whole", "swapped")]
    said = _said(broken)
    return Swapped(
        broken.returncode, said, strange, last.get("put_aside", 0), kept, again.returncode, rows[0] == rows[1]
    )


def lines(folder: Path) -> list[Line]:
    """The figures at full size."""
    told = told_apart()
    named, hidden = previous_checkpoint(folder, 20)
    swap = swapped(folder / "swap", 400, 150)
    nearest = min(told.pairs.items(), key=lambda pair: pair[1].distance or 0.0)
    widest = max(one.distance or 0.0 for one in told.again.values())
    floor = fingerprint.FLOORS["logprobs"]
    return [
        Line(
            "the six true pairs of the four demo models",
            "told apart",
            f"{sum(one.verdict == 'different' for one in told.pairs.values())} of 6 different; nearest "
            f"{' and '.join(nearest[0])}: {nearest[1].distance:.3f} nats, {(nearest[1].distance or 0) / floor:.0f} x "
            "the floor of the spread",
        ),
        Line(
            "each server a second time",
            "the same",
            f"{sum(one.verdict == 'same' for one in told.again.values())} of 4 the same; largest distance {widest:.4f}",
        ),
        Line("tokens of one fingerprint", "few", f"{told.tokens} generated, 20 requests"),
        Line(
            "V2's configuration while the FP8 demo still serves, under its own name",
            "refused, naming the cell",
            f"exit {named.code}; {_naming(named, 'named')}",
        ),
        Line(
            "the same, behind a proxy that hides every name",
            "refused, naming the cell",
            f"exit {hidden.code}, {hidden.questions} questions sent; {_naming(hidden, 'hidden')}",
        ),
        Line(
            "NVFP4 takes FP8's place in mid-run, all names hidden",
            "found; its answers do not count",
            f"exit {swap.code}; {swap.questions_of_stranger} answers of the stranger, {swap.put_aside} put aside, "
            f"{swap.kept} kept; with FP8 back, the same command exits {swap.resumed_code}, rows equal to those of "
            f"an undisturbed run: {swap.equal_rows}",
        ),
    ]


def _naming(refused: Refused, run: str) -> str:
    cell = f"{run}/demo_fp8/word_problems"
    return f"names {cell}" if cell in refused.said else "does not name the cell"


def _taken(url: str, name: str) -> Fingerprint:
    async def take() -> Fingerprint:
        model = Model(name, name, None, name, base_url=url, server=Server("sglang"))
        client = connect(model, Engine(), name, 10)
        try:
            found, _ = await taking.take_fingerprint(client)
        finally:
            await client.close()
        kept = fingerprint.from_json(json.loads(json.dumps(found.to_json())))
        assert kept is not None
        return kept

    return asyncio.run(take())


def _evalsuite(
    folder: Path, run: str, model: str, url: str, limit: int, *words: str
) -> "subprocess.CompletedProcess[str]":
    folder.mkdir(exist_ok=True)
    call = [sys.executable, "-m", "evalsuite", "run", f"model={model}", f"models.{model}.base_url={url}"]
    call += ["task=word_problems", "sampling=greedy", f"limit={limit}", f"run_id={run}", "report=false", *words]
    return subprocess.run(
        [*call, f"results_dir={folder}/results"], capture_output=True, text=True, check=False, timeout=600
    )


def _done(folder: Path, run: str, model: str, url: str, limit: int) -> None:
    done = _evalsuite(folder, run, model, url, limit)
    assert done.returncode == 0, done.stderr[-2000:]


def _refused(folder: Path, run: str, model: str, url: str, limit: int) -> Refused:
    found = _evalsuite(folder, run, model, url, limit)
    cell = folder / "results" / run / model / "word_problems"
    return Refused(found.returncode, _said(found), sum(1 for _ in cell.glob("journal-*")))


def _said(found: "subprocess.CompletedProcess[str]") -> str:
    return " ".join(found.stderr.split())


def _rows(cell: Path) -> Sequence[Mapping[str, Any]]:
    columns = ["item_id", "repeat", "outcome", "value", "answer", "text", "reasoning", "prompt_sha"]
    rows: list[dict[str, Any]] = read_samples(cell, columns).to_pylist()
    return sorted(rows, key=lambda row: (row["item_id"], row["repeat"]))
