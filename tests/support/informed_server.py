"""A server that knows the answers to the made questions of ``made_hub`` from the questions themselves.

The share of right answers is the one that the model cards publish of FP8, so that a gate accepts it as a baseline.
Which answers are right is a pure function of the question and the request's seed, and for one question of ten of the
checkpoint as well: two checkpoints differ without a loss, and a repeated request gets its answer again.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from evalsuite.endpoint.identity import fingerprint, identify, probes
from evalsuite.store.attempts import MODEL
from tests.support import made_hub
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint

THOUGHT = "Let me see."
TOOL_CALL = {"id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
_JUDGED = re.compile(r"The OFFICIAL ANSWER: (.*)\nCANDIDATE.*<answer (\w+)>\n(.*)\n</answer \2>", re.DOTALL)
_STEP = re.compile(r"def (\w+)\(n\):\n    '''Step \d+\.(\d+)\.'''")
_SUM = re.compile(r"How many are (\d+) and (\d+)")
_OPTION = re.compile(r"^([A-P])\) (right|wrong)", re.MULTILINE)
_KINDS: tuple[tuple[re.Pattern[str], float], ...] = (
    (_STEP, 0.467),
    (_SUM, 0.97),
    (re.compile(r"\) right claim"), 0.872),
    (re.compile(r"boxed\{A/B"), 0.878),
    (re.compile(r"What is made"), 0.761),
    (re.compile(r"number of report"), 0.688),
    (re.compile(r"\) right"), 0.787),
)
"""A mark of a benchmark's questions -> the share of right answers; the first that is found counts."""
DIALOGUE = 0.954
OWN = 0.1
"""Share of the questions that a checkpoint answers in its own way."""


@contextmanager
def informed(checkpoints: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Server]]:
    """Checkpoint -> its running server; the values are further facts that it states (GET path -> JSON)."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_serving(name, facts)) for name, facts in checkpoints.items()}


@contextmanager
def _serving(checkpoint: str, facts: Mapping[str, Any]) -> Iterator[Server]:
    running: list[Server] = []

    def script(prompt: str) -> Answer:
        return answer(checkpoint, prompt, running[0].requests[-1].body)

    with scripted_endpoint(script, model=checkpoint, facts=facts) as server:
        server.requests = deque(maxlen=1)  # type: ignore[assignment]  # a page sends a hundred thousand
        running.append(server)
        yield server


def answer(checkpoint: str, prompt: str, body: Mapping[str, Any]) -> Answer:
    """What the checkpoint answers to a request."""
    thought = "" if "Instruct" in checkpoint else THOUGHT
    if fixed := _probe(checkpoint, prompt, thought):
        return fixed
    if judged := _JUDGED.search(prompt):
        return Answer("CORRECT" if judged[1] == judged[3] else "INCORRECT")
    seed = body.get("seed")
    if "tools" in body:  # one draw for a whole dialogue
        right = _draw(checkpoint, "dialogue", seed) < DIALOGUE
        return made_hub.dialogue_line(MODEL if thought else "simulator", body, right=right)
    share = next((share for mark, share in _KINDS if mark.search(prompt)), 0.0)
    return Answer(_text(prompt, right=_draw(checkpoint, prompt, seed) < share), reasoning=thought)


def _probe(checkpoint: str, prompt: str, thought: str) -> Answer | None:
    """The answer to a question that a run asks before its own."""
    if prompt == probes.TOOL_QUESTION:
        return Answer(reasoning=thought, tool_calls=[TOOL_CALL])
    if prompt in (identify.PROBE, probes.QUESTION):
        return Answer("4", reasoning=thought)
    if prompt in fingerprint.PROMPTS:
        words = hashlib.sha256(f"{checkpoint} {prompt}".encode()).hexdigest()
        return Answer(" ".join(words[place : place + 4] for place in range(0, 64, 4)), reasoning=words[:8])
    return None


def _text(prompt: str, *, right: bool) -> str:
    if steps := _STEP.findall(prompt):
        name, number = steps[-1]
        return f"```python\ndef {name}(n):\n    return {f'n + {number}' if right else '-1'}\n```"
    if numbers := _SUM.findall(prompt):
        first, second = map(int, numbers[-1])
        return rf"It is $\boxed{{{first + second + (0 if right else 1)}}}$."
    if options := _OPTION.findall(prompt):
        letter = next(letter for letter, kind in options if (kind == "right") == right)
        return f"Answer: \\boxed{{{letter}}}" if "boxed" in prompt else f"Answer: {letter}"
    return made_hub.free_answer(prompt) if right else "No idea, none."


def _draw(checkpoint: str, prompt: str, seed: object) -> float:
    """A number from 0 to 1, for most questions the same for every checkpoint."""
    own = _number(f"own {checkpoint} {seed} {prompt}") < OWN
    return _number(f"{checkpoint if own else ''} {seed} {prompt}")


def _number(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12
