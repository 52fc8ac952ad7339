"""How often a request is sent again: each kind of fault has a limit of its own, below ``engine.retries`` for all."""

from collections.abc import Sequence

import pytest

from evalsuite.errors import SampleFailed
from tests.end_to_end.faults.asking import answer, ask_all, model
from tests.support.fault_server import Reset, Send, Steps, Wait, completion, error, fault_server, streamed, whole

RETRIES = 8
STEPS: dict[str, Steps] = {
    "500": error(500, "CUDA error"),
    "reset": [Reset()],
    "empty": [Send(whole(completion("", usage={"prompt_tokens": 9, "completion_tokens": 0})))],
    "hang": [Wait()],
    "torn": [Send(whole(b'{"choices": ['))],
    "endless": streamed([b"data: " + b"x" * 1_100_000]),
}


@pytest.mark.parametrize(
    ("faults", "requests", "text"),
    [
        (["500"] * 3, 4, "answer to q"),
        (["500"] * 4, 4, None),
        (["500", "500", "500", "reset", "reset", "torn", "torn"], 8, "answer to q"),
        (["500", "500", "500", "reset", "500"], 5, None),
        (["empty"] * 2, 3, "answer to q"),
        (["empty"] * 3, 3, ""),
        (["empty", "500", "empty", "500", "500"], 6, "answer to q"),
        (["hang"], 2, "answer to q"),
        (["hang"] * 2, 2, None),
        (["hang", "500", "hang"], 3, None),
        (["endless"], 2, "answer to q"),
        (["endless"] * 2, 2, None),
        (["torn"] * RETRIES, RETRIES + 1, "answer to q"),
        (["torn"] * (RETRIES + 1), RETRIES + 1, None),
    ],
)
def test_each_kind_of_fault_has_its_own_limit(faults: Sequence[str], requests: int, text: str | None) -> None:
    def script(prompt: str, number: int) -> Steps | None:
        return STEPS[faults[number]] if prompt == "q" and number < len(faults) else None

    with fault_server(answer, script) as server:
        one = model(server.base_url, stream=False)
        (found,) = ask_all(one, ["q"], retries=RETRIES, total_seconds=0.5)
        assert server.counts["q"] == requests
    if text is None:
        assert isinstance(found, SampleFailed)
        assert f"asked {requests} times" in str(found)
    else:
        reply, sent = found
        assert (reply.text, sent) == (text, requests)
