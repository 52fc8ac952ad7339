"""Where over a tenth of a cell is no answer and another variant would read it, that is stated."""

import gzip
import json
from pathlib import Path

import pytest

from evalsuite.cli.import_answers import import_answers
from evalsuite.config.compose import load_settings
from evalsuite.errors import Exit
from tests.support.shared import shared_data


def lines(path: Path, share: float, unread: str) -> Path:
    source = shared_data() / "mmlu_pro" / "test.jsonl.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        ids = [json.loads(line)["question_id"] for line, _ in zip(file, range(100), strict=False)]
    texts = [unread if number < share * len(ids) else r"\boxed{A}" for number in range(len(ids))]
    rows = [{"question_id": item, "output": text} for item, text in zip(ids, texts, strict=True)]
    (path / "ids").write_text("\n".join(map(str, ids)))
    file = path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.mark.parametrize(
    ("share", "unread", "said"),
    [
        (0.5, "The answer is (D).", True),
        (0.05, "The answer is (D).", False),
        (0.5, "That is unknown to me.", False),
    ],
)
def test_another_variant_is_named_where_it_would_read_the_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: float, unread: str, said: bool
) -> None:
    words = ["task=mmlu_pro", "tasks.mmlu_pro.variant=nvidia", "data=local", f"data.root={shared_data()}"]
    words += [f"file={lines(tmp_path, share, unread)}", "name=theirs", "run_id=r", f"results_dir={tmp_path}/results"]
    words += [f"tasks.mmlu_pro.select.ids={tmp_path / 'ids'}"]
    assert import_answers(load_settings(words, command="import")) == Exit.DONE
    printed = capsys.readouterr().out
    assert ("would read" in printed) == said
    if said:
        assert "50 of 100 answers are no answer to variant=nvidia" in printed
        summary = json.loads((tmp_path / "results/r/theirs/mmlu_pro/summary.json").read_text(encoding="utf-8"))
        assert "is it the one that was asked?" in summary["warnings"][0]
