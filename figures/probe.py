"""The fidelity probe on the demo models: how few answers it needs, which planted faults alarm, what it never claims.

The models run in this process; answers are those of a whole run of ``suite=demo``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.analysis.fidelity import Probe, evaluate
from evalsuite.config.settings import Data
from evalsuite.demo.checkpoint import load_checkpoint, load_input_amax
from evalsuite.demo.model import LanguageModel, Layer, build, score
from evalsuite.demo.quantize import Array
from evalsuite.demo.text import TextCodec, load_codec
from evalsuite.endpoint.logprobs import TokenScores
from evalsuite.engine.probe.answers import StoredAnswer, TokenizedAnswer, choose_answers
from evalsuite.engine.probe.passes import AnswerDivergence, against
from evalsuite.engine.probe.reference import Reference
from evalsuite.report.probe import probe_tables, verdict_line
from evalsuite.stats.distributions import t_sf
from evalsuite.stats.fidelity import above_floor
from evalsuite.store.runs import run_cells
from evalsuite.store.samples import read_rows
from figures.line import Line
from figures.unchanged import demo as demo_run

TOP = 20
BASELINE = "demo_bf16"
CANDIDATES = ("demo_fp8", "demo_nvfp4_v2", "demo_nvfp4")
ROOT = Path(__file__).parents[1]
ASKED = (4, 6, 10, 20, 40, 60, 100, 200)


@dataclass(frozen=True, slots=True)
class Readings:
    """All answers, the baseline's reading of them, and each model's divergence from it."""

    answers: tuple[TokenizedAnswer, ...]
    reference: Reference
    passes: Mapping[str, Sequence[AnswerDivergence]]


def probe_lines(folder: Path, limit: int | None = None, seeds: int = 200) -> list[Line]:
    """Everything; ``limit`` answers of each model and ``seeds`` draws make it small."""
    words = [] if limit is None else [f"limit={limit}"]
    run = demo_run(ROOT, folder, *words).parents[1]
    readings = read(run)
    lines = [*needed(readings, seeds), *planted(readings, seeds), *again(readings, seeds)]
    return [*lines, *subjects(run, readings), confident(readings)]


def read(run: Path) -> Readings:
    """Score every whole answer of the baseline with the exact model, the noisy one and the candidates."""
    codec = load_codec()
    cells = [cell for cell in run_cells(run) if cell.model == BASELINE]
    chosen = choose_answers(cells, Data(), 10**6)
    answers = tuple(answer for stored in chosen if (answer := _tokenized(codec, stored)) is not None)
    exact = _model(BASELINE)
    scores = tuple(_scores(exact, answer) for answer in answers)
    floor = [against(old, _scores(noisy, answer), answer) for noisy in [_model(BASELINE, 1)]
             for old, answer in zip(scores, answers, strict=True)]  # fmt: skip
    nats, variation = (
        tuple(float(getattr(part.divergence, name).sum()) for part in floor) for name in ("nats", "variation")
    )
    flips = tuple(int(part.divergence.flips.sum()) for part in floor)
    reference = Reference(answers, scores, nats, variation, flips, 0.0)
    passes = {name: _pass(_model(name), reference) for name in CANDIDATES}
    return Readings(answers, reference, {"floor": floor, **passes})


def _model(name: str, noise: int | None = None) -> LanguageModel:
    return build(load_checkpoint(), name, load_input_amax(), noise)


def _tokenized(codec: TextCodec, stored: StoredAnswer) -> TokenizedAnswer | None:
    prompt = codec.encode(codec.render([dict(part) for part in stored.request.messages], True))
    for text in stored.texts:
        ids = codec.encode(text)
        if stored.completion_tokens is not None and stored.completion_tokens - len(ids) in (0, 1):
            return TokenizedAnswer(stored, tuple(prompt), tuple(ids))
    return None


def logprobs(model: LanguageModel, prompt: Sequence[int], answer: Sequence[int]) -> NDArray[np.float64]:
    """[n, v]: log-probabilities of the whole vocabulary at each of the n tokens of ``answer``."""
    logits = score(model, np.array([*prompt, *answer], np.intp))[len(prompt) - 1 : -1].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits


def _scores(model: LanguageModel, answer: TokenizedAnswer) -> TokenScores:
    tokens, every = np.array(answer.answer, np.int64), logprobs(model, answer.prompt, answer.answer)
    own = np.take_along_axis(every, tokens[:, None], 1)[:, 0]
    order = np.argsort(-every, axis=1, kind="stable")[:, :TOP]
    return TokenScores(tokens, own, order, np.take_along_axis(every, order, 1).astype(np.float32))


def _pass(model: LanguageModel, reference: Reference) -> list[AnswerDivergence]:
    pairs = zip(reference.scores, reference.answers, strict=True)
    return [against(old, _scores(model, answer), answer) for old, answer in pairs]


def needed(readings: Readings, seeds: int) -> list[Line]:
    """Answers until each candidate is told from the floor: one-sided alpha .01, power .95."""
    lines = []
    floor = readings.passes["floor"]
    for name in CANDIDATES:
        found = {
            kind: next((n for n in ASKED if _power(readings.passes[name], floor, n, seeds, test) >= 0.95), None)
            for kind, test in (("TV", _variation_test), ("log KL", _nats_test))
        }
        lines.append(Line(f"answers until {name} differs from the floor, by TV / log KL", "at most 40 / 6",
                          f"{found['TV']} / {found['log KL']}"))  # fmt: skip
    return lines


Test = Callable[[Sequence[AnswerDivergence], Sequence[AnswerDivergence]], float]


def _power(
    candidate: Sequence[AnswerDivergence], floor: Sequence[AnswerDivergence], n: int, seeds: int, test: Test
) -> float:
    rng = np.random.default_rng(n)
    draws = [rng.choice(len(candidate), n, replace=False) for _ in range(5 * seeds)]
    return float(np.mean([test([candidate[i] for i in draw], [floor[i] for i in draw]) < 0.01 for draw in draws]))


def _nats_test(candidate: Sequence[AnswerDivergence], floor: Sequence[AnswerDivergence]) -> float:
    tokens = np.array([len(part.places) for part in candidate], np.float64)
    nats = [np.array([part.divergence.nats.sum() for part in parts]) for parts in (candidate, floor)]
    return above_floor(nats[0], nats[1], tokens)


def _variation_test(candidate: Sequence[AnswerDivergence], floor: Sequence[AnswerDivergence]) -> float:
    apart = np.array([a.divergence.variation.mean() - b.divergence.variation.mean()
                      for a, b in zip(candidate, floor, strict=True)])  # fmt: skip
    spread = apart.std(ddof=1) / np.sqrt(len(apart))
    return float(t_sf(float(apart.mean() / spread), len(apart) - 1)) if spread > 0 else 1.0


def planted(readings: Readings, seeds: int) -> list[Line]:
    """Faults in the FP8 model, each against the accepted FP8 candidate, on 20 answers drawn ``seeds`` times."""
    known = json.loads(json.dumps(_evaluated(readings, "demo_fp8").to_json()))
    lines = []
    for name, (visible, fault) in FAULTS.items():
        broken = _pass(fault(_model("demo_fp8")), readings.reference)
        whole = _probe(readings, broken, range(len(readings.answers)), known)
        alarms = [bool(_probe(readings, broken, draw, known).alarms) for draw in _draws(readings, 20, seeds)]
        size = f"{whole.nats.value:.2g} nats a token, {whole.nats.value / known['nats']['value']:.3g} x accepted"
        asked = f"{seeds} of {seeds} alarm" if visible else "listed: not visible"
        lines.append(Line(f"planted fault: {name} ({size})", asked, f"{sum(alarms)} of {seeds} alarm"))
    other = sum(_other_template(answer) != answer.prompt for answer in readings.answers)
    asked = f"{seeds} of {seeds} alarm"
    every = seeds if other == len(readings.answers) else 0
    shown = f"{every} of {seeds} alarm ({other:,} of {len(readings.answers):,} prompts have other ids)"
    lines.append(Line("planted fault: another chat template (prompts differ)", asked, shown))
    return lines


def _other_template(answer: TokenizedAnswer) -> tuple[int, ...]:
    codec = load_codec()
    return tuple(codec.encode(codec.render([dict(part) for part in answer.stored.request.messages], False)))


def _linear_times(factor: float) -> Callable[[LanguageModel], LanguageModel]:
    def fault(model: LanguageModel) -> LanguageModel:
        first, *rest = model.layers
        return replace(model, layers=(replace(first, down=_times(first.down, factor)), *rest))

    return fault


def _times(linear: Callable[[Array], Array], factor: float) -> Callable[[Array], Array]:
    return lambda x: linear(x) * np.float32(factor)


def _swapped_heads(model: LanguageModel) -> LanguageModel:
    size = model.config.head_dim
    order = np.arange(model.config.num_attention_heads * size)
    order[:size], order[size : 2 * size] = order[size : 2 * size].copy(), order[:size].copy()

    def broken(layer: Layer) -> Layer:
        def o(x: Array) -> Array:
            return layer.o(np.ascontiguousarray(x[:, order]))

        return replace(layer, o=o)

    return replace(model, layers=tuple(map(broken, model.layers)))


def _kv_scale(model: LanguageModel) -> LanguageModel:
    config = model.config
    heads, groups, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    factors = np.ones((heads + 2 * groups) * size, np.float32)
    factors[(heads + groups) * size :] = 4

    def broken(layer: Layer) -> Layer:
        norm = layer.qk_norm.copy()
        norm[heads:] *= 4

        def qkv(x: Array) -> Array:
            return layer.qkv(x) * factors

        return replace(layer, qk_norm=norm, qkv=qkv)

    return replace(model, layers=tuple(map(broken, model.layers)))


def _eps(model: LanguageModel) -> LanguageModel:
    return replace(model, config=replace(model.config, rms_norm_eps=1e-5))


FAULTS: Mapping[str, tuple[bool, Callable[[LanguageModel], LanguageModel]]] = {
    "two heads swapped": (True, _swapped_heads),
    "one linear x 4": (True, _linear_times(4.0)),
    "KV scale x 4": (True, _kv_scale),
    "one linear x 1.1": (False, _linear_times(1.1)),
    "eps of the norms 1e-5": (False, _eps),
}
"""Name -> (whether it must alarm, the model with it)."""


def again(readings: Readings, seeds: int) -> list[Line]:
    """The baseline under noise, another seed each time, on 20 answers: an alarm would be a false one."""
    known = json.loads(json.dumps(_evaluated(readings, "demo_fp8").to_json()))
    alarms = 0
    exact = _model(BASELINE)
    for seed, draw in enumerate(_draws(readings, 20, seeds)):
        model = replace(exact, noise=np.random.default_rng(100 + seed))
        answers = [readings.answers[i] for i in draw]
        parts = [against(readings.reference.scores[i], _scores(model, readings.answers[i]), readings.answers[i])
                 for i in draw]  # fmt: skip
        alarms += bool(_evaluate(readings, answers, draw, parts, known).alarms)
    return [Line(f"the baseline again, other rounding each time, 20 answers, {seeds} times", "0 alarms", str(alarms))]


def _draws(readings: Readings, n: int, seeds: int) -> list[list[int]]:
    rng = np.random.default_rng(7)
    return [sorted(rng.choice(len(readings.answers), n, replace=False).tolist()) for _ in range(seeds)]


def _evaluated(readings: Readings, name: str) -> Probe:
    return _probe(readings, readings.passes[name], range(len(readings.answers)), None)


def _probe(
    readings: Readings, parts: Sequence[AnswerDivergence], draw: Sequence[int], known: Mapping[str, Any] | None
) -> Probe:
    return _evaluate(readings, [readings.answers[i] for i in draw], draw, [parts[i] for i in draw], known)


def _evaluate(
    readings: Readings,
    answers: Sequence[TokenizedAnswer],
    draw: Sequence[int],
    parts: Sequence[AnswerDivergence],
    known: Mapping[str, Any] | None,
) -> Probe:
    whole = readings.reference
    part = Reference(
        tuple(answers),
        tuple(whole.scores[i] for i in draw),
        tuple(whole.floor_nats[i] for i in draw),
        tuple(whole.floor_variation[i] for i in draw),
        tuple(whole.floor_flips[i] for i in draw),
        whole.decode_nats,
    )
    return evaluate((BASELINE, "candidate"), part, (parts, parts), greedy=True, accepted=known)


def subjects(run: Path, readings: Readings) -> list[Line]:
    """Whether the subject with the largest share of right answers that diverge is the one that loses most."""
    rows = {cell.model: read_rows(cell.folder, ["item_id", "value"]) for cell in run_cells(run)}
    right = {model: {str(row["item_id"]): float(row["value"] or 0) for row in known} for model, known in rows.items()}
    names = {item.rpartition("-")[0] for item in right[BASELINE]}
    same, shown = 0, []
    for name in CANDIDATES:
        strata = _evaluated(readings, name).strata
        named = max(strata, key=lambda part: part.right_diverging / max(1, part.right)).name.partition(": ")[2]
        lost = {subject: sum(right[BASELINE][item] - right[name][item] for item in right[BASELINE]
                             if item.startswith(f"{subject}-")) for subject in names}  # fmt: skip
        worst = max(lost, key=lambda subject: lost[subject])
        same += named == worst
        shown.append(f"{name}: {named}, loses most: {worst}")
    return [Line("right in the baseline and diverging names the subject that loses most", "3 of 3",
                 f"{same} of {len(CANDIDATES)} ({'; '.join(shown)})")]  # fmt: skip


def confident(readings: Readings) -> Line:
    """A model with half the logits: another confidence at every token, the same greedy answers."""
    exact = _model(BASELINE)
    flat = replace(exact, head=_times(exact.head, 0.5))
    probe = _probe(readings, _pass(flat, readings.reference), range(len(readings.answers)), None)
    content = probe.to_json()
    words = [verdict_line(content), *probe.alarms, *(table.title for table in probe_tables(content))]
    rows = [cell for table in probe_tables(content) for row in table.rows for cell in row]
    claims = sum("accura" in text.lower() for text in [*words, *rows])
    effect = f"{probe.nats.value:.2g} nats a token, {probe.diverging} answers change under greedy decoding"
    return Line(
        f"half the logits: {effect}",
        "the page claims nothing about accuracy",
        f"{claims} claims in verdict, alarms and tables; the note states what cannot be claimed",
    )
