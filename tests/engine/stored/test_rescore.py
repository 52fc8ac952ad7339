import json
from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.cli.rescore import rescore
from evalsuite.cli.run import run
from evalsuite.config.report_settings import Report
from evalsuite.config.settings import Data
from evalsuite.errors import BadInput, Exit
from evalsuite.store.manifest import read_manifest
from evalsuite.store.samples import read_samples
from tests.support import toy
from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right, settings


def report(results: Path) -> Report:
    return Report(run=["r"], results_dir=str(results))


@pytest.mark.parametrize("adapter", ["Additions", "Dialogue"])
def test_replies_are_graded_again_without_asking(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    def answer(prompt: str) -> str:
        return prompt.split(" ")[0] if "again" in prompt else right(prompt)

    with scripted_endpoint(answer) as server:
        wanted = settings(tmp_path, ("bf16", server.base_url))
        wanted.tasks["additions"].adapter = f"tests.support.toy:{adapter}"
        assert run(wanted) == Exit.DONE
    folder = tmp_path / "r" / "bf16" / "additions"
    before = read_samples(folder).to_pylist()
    monkeypatch.setattr(toy.Additions, "version", "1.1")
    monkeypatch.setattr(toy.Additions, "grade", staticmethod(lambda reply, target: target != "13"))
    assert rescore(report(tmp_path)) == Exit.DONE
    assert "(version 1.0 -> 1.1): 1 correct -> wrong" in capsys.readouterr().out
    after = read_samples(folder).to_pylist()
    assert [row["item_id"] for row in after if row["value"] == 0] == ["q012"]
    assert [row["text"] for row in after] == [row["text"] for row in before]
    assert {row["version"] for row in after} == {read_manifest(folder)["version"]} == {"1.1"}
    assert json.loads((folder / "summary.json").read_text())["score"] == 39 / 40


def test_another_protocol_or_other_questions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_endpoint(right) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    monkeypatch.setattr(toy.Additions, "version", "2.0")
    with pytest.raises(BadInput, match=r"asked with protocol 1, here is 2.0"):
        rescore(report(tmp_path))
    monkeypatch.setattr(toy.Additions, "version", "1.0")
    monkeypatch.setattr(toy, "OFFSET", 7)
    with pytest.raises(BadInput, match="other questions"):
        rescore(report(tmp_path))

    def broken(task: toy.Additions) -> None:
        raise KeyError("question")

    monkeypatch.setattr(toy.Additions, "items", broken)
    with pytest.raises(BadInput, match="is not of the dataset's form: KeyError"):
        rescore(replace(report(tmp_path), data=Data("local", str(tmp_path))))


def test_the_servers_verdict_on_a_prompt_that_did_not_fit_stands(tmp_path: Path) -> None:
    body = json.dumps({"message": "longer than the model's context length", "code": 400})

    def answer(prompt: str) -> Answer:
        return Answer(status=400, body=body) if prompt.startswith("5 ") else Answer(right(prompt))

    with scripted_endpoint(answer) as server:
        assert run(settings(tmp_path, ("bf16", server.base_url))) == Exit.DONE
    folder = tmp_path / "r" / "bf16" / "additions"
    before = read_samples(folder).to_pylist()
    assert rescore(report(tmp_path)) == Exit.DONE
    assert read_samples(folder).to_pylist() == before
