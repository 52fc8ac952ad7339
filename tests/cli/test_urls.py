"""A first comparison of two servers that no file describes: ``urls=[A,B]``."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalsuite.cli.main import dispatch
from evalsuite.errors import BadInput, Exit
from tests.support.questions import lay_out
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint


def answer(prompt: str) -> Answer:
    return Answer("4" if "2 + 2" in prompt else r"\boxed{3}", reasoning="hm")


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    facts = [
        {"/server_info": {"model_path": f"org/My.Model-{name}", "tp_size": 1, "max_model_len": tokens}}
        for name, tokens in (("BF16", 9000), ("FP8", 6000))
    ]
    with (
        scripted_endpoint(answer, model="first", facts=facts[0]) as first,
        scripted_endpoint(answer, model="second", facts=facts[1]) as second,
    ):
        yield [first, second]


def test_two_addresses_are_a_comparison_whose_first_is_the_baseline(
    tmp_path: Path, servers: list[Server], capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path)
    urls = f"urls=[{','.join(server.base_url for server in servers)}]"
    common = ["task=gsm8k", "data=local", f"data.root={tmp_path}", f"results_dir={tmp_path}/results", "limit=3"]
    assert dispatch(["run", urls, *common, "engine.fingerprint=false", "report=false", "run_id=r"]) == Exit.DONE
    said = capsys.readouterr().err
    assert "my_model_bf16: org/My.Model-BF16 at " in said
    assert "compared with my_model_bf16; temperature=0.6 (ours), top_p=0.95 (ours), max_tokens=3000 (ours)" in said
    cells = [tmp_path / "results" / "r" / name / "gsm8k" for name in ("my_model_bf16", "my_model_fp8")]
    first, second = (json.loads((cell / "manifest.json").read_text()) for cell in cells)
    assert (first["baseline"], second["baseline"]) == (None, "my_model_bf16")
    assert first["identity"]["sampling"] == second["identity"]["sampling"]
    assert "top_k" not in first["identity"]["sampling"]
    assert dispatch(["report", "run=r", f"results_dir={tmp_path}/results"]) == Exit.DONE
    assert "org/My.Model-FP8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        ("run", ["urls=[http://a/v1]"], "urls= takes two addresses or more"),
        ("run", ["urls=[http://a/v1,http://a/v1]"], "urls= takes two addresses or more"),
        ("run", ["urls=[http://a/v1,ftp://b]"], "must begin with http:// or https://"),
        ("run", ["urls=[http://a/v1,http://b/v1]", "model=fp8"], "leave model= and launch= out"),
        ("plan", ["urls=[http://a/v1,http://b/v1]"], "evalsuite models new NAME base_url=URL"),
    ],
)
def test_what_cannot_be_compared_names_the_line_that_works(command: str, words: list[str], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        dispatch([command, *words, "task=gsm8k"])
    assert message in str(caught.value)


def test_names_of_servers_become_safe_keys() -> None:
    from evalsuite.cli.urls import _name

    assert _name("/models/../Qwen3.5-27B", "http://a:8001/v1", []) == "qwen3_5_27b"
    assert _name("report", "http://a:8001/v1", []) == "report_8001"
    assert _name("x", "http://a:8001/v1", ["x"]) == "x_8001"
    assert _name("\x1b[31m${oc.env:HOME}", "http://a/v1", []) == "31m_oc_env_home"
