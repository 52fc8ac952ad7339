"""Our readers of answers beside the code of the projects that published them, on made answers.

``python -m figures.extractors`` writes the tables of ``tests/tasks/grading/vectors`` again: some answers of each reader
with the verdict of the other project, and the commit that gave it.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.tasks.grading import extract, judge_prompt
from evalsuite.tasks.mmmu import parsing
from figures import boxed, upstream
from figures.line import Line

VECTORS = Path(__file__).parents[1] / "tests" / "tasks" / "grading" / "vectors"
COUNT = 12_000
"""Made answers of each reader."""
ASKED = "0 differences, or each named in the task's page"
TEN = "ABCDEFGHIJ"
OPTIONS = ["a red fox", "the blue whale", "no bird at all", "ant", "B or not"]
KEYS = ["24/7", "3.429", "embryonic"]
_LETTER_PIECES = (
    *(
        "answer",
        "Answer",
        "ANSWER",
        ":",
        " : ",
        " ",
        "\n",
        "\t",
        "*",
        "**",
        "_",
        "A",
        "B",
        "J",
        "K",
        "Z",
        "b",
        "I",
        "C",
    ),
    *("answer is ", "answer is (", ")", "(", ".", ",", "$", "1", "é", "x", "\\boxed{", "\\boxed", "{", "}", "\\text{"),
    *("The final answer is ", " is the correct answer", "is", "the", "correct", "Answer: ", "answer: Answer: ", "(B)"),
    *("\\boxed{A}", "\\boxed{\\text{D}}", "The answer is (C).", "Answer: E", "**Answer:** B", "so A it is", "F."),
)
_NUMBER_PIECES = (
    *("#### ", "####", "-", "$", "1", "08", "1,000", "3.50", ".", ",", " ", "\n", "A: ", "0", "[invalid]", "٣", "7."),
    *("So it is ", "24", "#### 18", "12.5", "1e5", "(", ")", "%", "#### -4", "$1,234.00."),
)
_MMMU_PIECES = (
    *("Answer:", "Answer: ", "(A)", "(B)", "(E)", "A", "B ", " C ", "D.", "E.", "a red fox", "The Blue Whale", "ant"),
    *(
        "no bird at all",
        " ",
        "\n",
        ".",
        ",",
        "!",
        "?",
        ";",
        ":",
        "'",
        "so it must be ",
        "I see ",
        "one two three four ",
    ),
)
_OPEN_PIECES = (
    *("so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "could be ", "=", ".", ". ", "\n", ":", "'"),
    *(
        "24/7",
        "3.429",
        "3.43",
        "3.4",
        "Embryonic",
        "embryonic stage",
        "1,234",
        "1e3",
        "-",
        "4.014x",
        "14",
        ",",
        " ",
        "It",
    ),
)
_JUDGE_PIECES = (
    *("CORRECT", "INCORRECT", "Correct", "incorrect", "correct", "**", ".", " ", "\n", "not ", "The answer is ", "Yes"),
    *("It is ", "partially ", ":", "Verdict: ", "`", "_", '"', "isn't "),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """One of our readers, the code that published it, and what answers are made of."""

    name: str
    repository: str
    path: str
    ours: Callable[[str], object]
    theirs: Callable[[], Callable[[str], object]]
    pieces: Sequence[str]
    differs: str = ""
    """In what verdicts differ, as the task's page says; empty where none may."""


READERS = (
    Reader(
        "mmlu_pro_official",
        "MMLU-Pro",
        "evaluate_from_local.py",
        lambda text: extract.official_chain(text, TEN).answer,
        upstream.mmlu_pro,
        _LETTER_PIECES,
    ),
    Reader(
        "nvidia_letter",
        "NeMo-Skills",
        "nemo_skills/evaluation/evaluator/mcq.py",
        lambda text: extract.boxed_chain(text, TEN).answer,
        upstream.nemo_letter,
        _LETTER_PIECES,
    ),
    Reader(
        "aa_letter",
        "nvidia-simple-evals",
        "core_evals/simple_evals/framework.yml",
        lambda text: extract.aa_chain(text, TEN).answer,
        upstream.aa_v3,
        _LETTER_PIECES,
    ),
    Reader(
        "simple_evals_letter",
        "simple-evals",
        "common.py",
        lambda text: extract.simple_evals_letter(text, "ABCD").answer,
        upstream.simple_evals,
        _LETTER_PIECES,
    ),
    Reader(
        "gsm8k_strict",
        "lm_eval",
        "lm_eval/tasks/gsm8k/gsm8k.yaml",
        lambda text: extract.strict_number(text).answer,
        lambda: upstream.lm_eval_number("strict-match"),
        _NUMBER_PIECES,
    ),
    Reader(
        "gsm8k_flexible",
        "lm_eval",
        "lm_eval/tasks/gsm8k/gsm8k.yaml",
        lambda text: extract.flexible_number(text).answer,
        lambda: upstream.lm_eval_number("flexible-extract"),
        _NUMBER_PIECES,
    ),
    Reader(
        "gsm8k_sglang",
        "sglang",
        "benchmark/gsm8k/bench_sglang.py",
        lambda text: extract.last_integer(text).answer,
        upstream.sglang_number,
        _NUMBER_PIECES,
    ),
    Reader(
        "mmmu_pro_official",
        "MMMU",
        "mmmu-pro/evaluate.py",
        lambda text: parsing.pro_letter(text, OPTIONS).answer,
        lambda: upstream.mmmu_pro(OPTIONS),
        _MMMU_PIECES,
    ),
    Reader(
        "mmmu_val_open",
        "MMMU",
        "mmmu/utils/eval_utils.py",
        lambda text: parsing.open_answer(text, KEYS)[0],
        lambda: upstream.mmmu_open(KEYS),
        _OPEN_PIECES,
    ),
    Reader(
        "aa_lcr_judge",
        "NeMo-Skills",
        "nemo_skills/evaluation/metrics/aalcr_metrics.py",
        judge_prompt.read,
        upstream.nemo_judgement,
        _JUDGE_PIECES,
        "theirs: right if it begins with CORRECT; ours: the one word, markdown aside, else the judge is asked again",
    ),
)


def made(reader: Reader, count: int) -> Iterator[str]:
    """Answers of up to fourteen pieces, the same on every machine."""
    draw = random.Random(reader.name)
    for _ in range(count):
        yield "".join(draw.choices(reader.pieces, k=draw.randint(1, 14)))


def version(repository: str) -> str:
    """The commit of a checkout, or the version of the installed package."""
    if repository == "lm_eval":
        from importlib.metadata import version as installed

        return installed("lm_eval")
    return upstream.commit(repository)


def line(reader: Reader, count: int) -> Line:
    """How many verdicts on made answers are equal; a skipped one says what is missing."""
    what = (
        f"{reader.name} beside {upstream.CHECKOUTS.get(reader.repository, reader.repository)}, {count:,} made answers"
    )
    try:
        theirs, commit = reader.theirs(), version(reader.repository)
    except upstream.NoCheckoutError as missing:
        return Line(what, ASKED, f"not measured: {missing}")
    pairs = [(text, reader.ours(text), theirs(text)) for text in made(reader, count)]
    unlike = [(text, ours) for text, ours, other in pairs if ours != other]
    named = f"; {reader.differs}" if reader.differs else f"; for example {unlike[0][0]!r}" if unlike else ""
    return Line(what, ASKED, f"{len(unlike):,} differences at {commit[:12]}{named}")


def lines(count: int = COUNT) -> list[Line]:
    """One line a reader, and IFBench's verifiers."""
    return [*(line(reader, count) for reader in READERS), ifbench_line(count)]


# ---------------------------------------------------------------- IFBench: 58 verifiers with arguments


def ifbench_cases(count: int) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(instruction id, arguments, answer): the examples of the tests, cut, joined and repeated."""
    from tests.support.ifbench_texts import EXAMPLES

    draw = random.Random("ifbench")
    texts = [text for _, _, right, wrong in EXAMPLES for text in (*right, *wrong)]
    for place in range(count):
        name, args, right, wrong = EXAMPLES[place % len(EXAMPLES)]
        text = draw.choice([*right, *wrong])
        change = draw.randrange(5)
        other = draw.choice(texts)[:200]
        start, end = sorted(draw.choices(range(len(text) + 1), k=2))
        changed = (text, text[:end], text[start:], text + draw.choice([" ", "\n", "\n\n", ". "]) + other, other)[change]
        if changed.strip():
            yield name, dict(args), changed


def ifbench_line(count: int) -> Line:
    """Our verifiers beside allenai/IFBench's, each on an answer as it stands."""
    from evalsuite.errors import BadInput
    from evalsuite.tasks.ifbench import models, verify

    what = f"ifbench beside allenai/IFBench, {count:,} made answers"
    with ExitStack() as stack:
        try:
            theirs = stack.enter_context(upstream.ifbench())
            ours = verify.own(models.load(None))
        except (upstream.NoCheckoutError, BadInput) as missing:
            return Line(what, ASKED, f"not measured: {missing}")
        verdicts = [(case, ours(*case), theirs(*case)) for case in ifbench_cases(count)]
    raised = Counter(case[0] for case, _, other in verdicts if other is None)
    unlike = Counter(case[0] for case, own, other in verdicts if other is not None and own != other)
    kinds = f" ({', '.join(f'{name} {times}' for name, times in unlike.items())})" if unlike else ""
    ended = f"; {raised.total():,} times their code ends with an error ({', '.join(raised)})" if raised else ""
    return Line(what, ASKED, f"{unlike.total():,} differences at {version('IFBench')[:12]}{kinds}{ended}")


# ---------------------------------------------------------------- tables for the tests


def write_vectors(count: int = 120) -> None:
    """Write the first ``count`` different answers of each reader with the other project's verdict."""
    VECTORS.mkdir(exist_ok=True)
    for reader in READERS:
        theirs = reader.theirs()
        head = {"repository": upstream.CHECKOUTS.get(reader.repository, reader.repository)}
        head |= {"commit": version(reader.repository), "path": reader.path}
        texts = dict.fromkeys(list(made(reader, COUNT))[:count])
        rows = [json.dumps(head), *(json.dumps([text, theirs(text)], ensure_ascii=False) for text in texts)]
        (VECTORS / f"{reader.name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    boxed.write_verdicts()


if __name__ == "__main__":
    sys.exit(write_vectors())
