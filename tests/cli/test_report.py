"""``evalsuite report`` as a user meets it, over real run folders."""

import json
from pathlib import Path

import pytest

from tests.support.cells import Made, answers, write
from tests.support.command import evalsuite

CARD = """
title: A card of mine
source: https://example.org/card
model: Maker/Model
settings: {temperature: 0.6}
columns: [{key: fp8, title: FP8, checkpoint: maker/fp8, role: baseline}]
rows: [{task: mmlu_pro, title: MMLU-Pro, scores: {fp8: 0.95}, n: 20}]
"""


@pytest.fixture(name="mine")
def _mine(tmp_path: Path) -> Path:
    """A folder with one run and a card of the user's own."""
    (tmp_path / "own" / "card").mkdir(parents=True)
    (tmp_path / "own" / "card" / "mine.yaml").write_text(CARD)
    cell = Made("fp8", answers([1] * 18 + [0] * 2), identity={"checkpoint": "maker/fp8"})
    write(tmp_path / "results" / "r", cell)
    return tmp_path


def test_a_card_below_config_dir_is_found_by_its_name(mine: Path) -> None:
    alone = evalsuite(mine, "report", "card=mine", "out=alone", "--config-dir", "own")
    assert alone.returncode == 0, alone.stderr
    assert "A card of mine" in alone.stdout
    asked = evalsuite(mine, "report", "run=r", "card=mine", "--config-dir", "own")
    assert asked.returncode == 0, asked.stderr
    assert "Measured and published: A card of mine" in asked.stdout
    unasked = evalsuite(mine, "report", "run=r", "out=unasked", "--config-dir", "own")
    assert unasked.returncode == 0, unasked.stderr
    for folder in ("alone", "results/r/report", "unasked"):
        (card,) = json.loads((mine / folder / "comparison.json").read_text())["cards"]
        assert card["name"] == "mine"


def test_a_card_that_is_not_there_is_named_with_those_that_are(mine: Path) -> None:
    done = evalsuite(mine, "report", "run=r", "card=mime", "--config-dir", "own")
    assert done.returncode == 64
    assert "unknown card 'mime'; did you mean 'mine'" in done.stderr
    without = evalsuite(mine, "report", "run=r", "card=mine")
    assert without.returncode == 64
    assert "Your own: card=PATH.yaml, or card/NAME.yaml below --config-dir." in without.stderr


def test_svg_plots_are_written_on_request(mine: Path) -> None:
    for words, kinds in (((), {".png"}), (("report.svg=true",), {".png", ".svg"}), (("report.svg=false",), {".png"})):
        done = evalsuite(mine, "report", "run=r", *words)
        assert done.returncode == 0, done.stderr
        assert {path.suffix for path in (mine / "results" / "r" / "report" / "plots").iterdir()} == kinds
    wrong = evalsuite(mine, "report", "run=r", "report.svg=perhaps")
    assert (wrong.returncode, "give true or false" in wrong.stderr) == (64, True)


def test_the_report_of_a_run_takes_the_same_word(tmp_path: Path) -> None:
    words = ("suite=demo", "model=demo_bf16", "limit=5", "run_id=r", "report.svg=true")
    done = evalsuite(tmp_path, "run", *words)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in (tmp_path / "results" / "r" / "report" / "plots").iterdir()} == {".png", ".svg"}
