"""A model, a simulated customer and a judge that are right, wrong, cut short or broken as a play wants it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from evalsuite.endpoint.identity import fingerprint, probes
from evalsuite.endpoint.identity import identify as identity
from evalsuite.endpoint.identity import probes as images
from evalsuite.store.attempts import MODEL
from tests.support import scicode_problems as scicode_small
from tests.support.scripted_endpoint import Answer, Server, scripted_endpoint
from tests.support.tau2_dialogues import SIMULATOR, Script, answer_of, own_number

PROBES = (identity.PROBE, images.QUESTION, probes.TOOL_QUESTION, *fingerprint.PROMPTS)
"""What a run asks before the first question."""
FENCE = re.compile(r"The OFFICIAL ANSWER: (.*)\nCANDIDATE.*<answer (\w+)>\n(.*)\n</answer \2>", re.DOTALL)
BROKEN = Answer(status=500)
THOUGHT = "Let me see."
TOOL_CALL = {"id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
Place = tuple[str, str]
"""(task, item id)"""


@dataclass(slots=True)
class Play:
    """What the three servers know."""

    by_prompt: dict[tuple[str, int], Place] = field(default_factory=dict)
    """(prompt, seed) of single-turn requests -> whose they are."""
    by_seed: dict[int, Place] = field(default_factory=dict)
    """Seed of requests in several turns -> whose they are."""
    texts: dict[Place, tuple[str, str]] = field(default_factory=dict)
    """Single turn -> (right answer, wrong answer)."""
    dialogues: dict[Place, Script] = field(default_factory=dict)
    calls: dict[Place, tuple[Answer, Answer]] = field(default_factory=dict)
    """One request with tools -> (right answer, wrong answer)."""
    fates: dict[Place, str] = field(default_factory=dict)
    simulator_fails: set[Place] = field(default_factory=set)
    judge_fails: set[str] = field(default_factory=set)
    """Official answers on which the judge is broken."""
    healed: bool = False
    answered: set[tuple[str, str]] = field(default_factory=set)
    """(who, the request's messages and seed) that got an answer."""

    def owner(self, prompt: str, body: Mapping[str, Any]) -> Place | None:
        """Whose request it is; None for the probes of a run."""
        if prompt in PROBES:
            return None
        return self.by_prompt.get((prompt, body["seed"])) or self.by_seed[body["seed"]]

    def model(self, prompt: str, body: Mapping[str, Any]) -> Answer:
        """The model's answer by the fate of its item."""
        place = self.owner(prompt, body)
        if prompt == probes.TOOL_QUESTION:
            return Answer(reasoning=THOUGHT, tool_calls=[TOOL_CALL])
        if place is None:
            return Answer("4", reasoning=THOUGHT)
        fate = self.fates[place]
        if place[0] == "tau2_telecom":
            return self._agent(place, fate, own_number(MODEL, body))
        if place[0] == "scicode":
            return self._step(prompt, fate)
        if fate == "failed" and not self.healed:
            return BROKEN
        if fate == "truncated":
            return Answer("", reasoning=THOUGHT, finish_reason="length")
        if place in self.calls:
            return self.calls[place][fate == "wrong"]
        return Answer(self.texts[place][fate == "wrong"], reasoning=THOUGHT)

    def simulator(self, prompt: str, body: Mapping[str, Any]) -> Answer:
        """The customer's next line."""
        place, number = self.by_seed[body["seed"]], own_number(SIMULATOR, body)
        if place in self.simulator_fails and number and not self.healed:
            return BROKEN
        return answer_of(self.dialogues[place].line(SIMULATOR, number), SIMULATOR, number)

    def judge(self, prompt: str, body: Mapping[str, Any]) -> Answer:
        """Right if the fenced answer is the official one."""
        fenced = FENCE.search(prompt)
        assert fenced is not None
        if fenced[1] in self.judge_fails and not self.healed:
            return BROKEN
        return Answer("CORRECT" if fenced[1] == fenced[3] else "INCORRECT")

    def _agent(self, place: Place, fate: str, number: int) -> Answer:
        if fate == "failed" and number and place not in self.simulator_fails and not self.healed:
            return BROKEN  # its first line was answered: the dialogue goes on from there
        if fate == "truncated":
            return Answer("", reasoning=THOUGHT, finish_reason="length")
        return answer_of(self.dialogues[place].line(MODEL, number), MODEL, number)

    def _step(self, prompt: str, fate: str) -> Answer:
        step = re.findall(r"'''Step (\d+\.\d)\.'''", prompt)[-1]
        if step.endswith(".2") and fate == "failed" and not self.healed:
            return BROKEN  # the step before it was answered and is not asked again
        if step.endswith(".2") and fate == "truncated":
            return Answer("```python\ndef", reasoning=THOUGHT, finish_reason="length")
        code = scicode_small.GOLD[step.replace("903", "902")]
        return Answer(scicode_small.fenced("nothing = 1" if fate == "wrong" else code), reasoning=THOUGHT)


@contextmanager
def playing(play: Play) -> Iterator[tuple[Server, Server, Server]]:
    """Three servers: the model's, the simulator's and the judge's."""
    servers: dict[str, Server] = {}
    parts = {MODEL: play.model, SIMULATOR: play.simulator, "judge": play.judge}

    def script(who: str, prompt: str) -> Answer:
        body = servers[who].requests[-1].body
        answer = parts[who](prompt, body)
        if answer.status == 200 and prompt not in PROBES:
            play.answered.add((who, key(body)))
        return answer

    with (
        scripted_endpoint(lambda prompt: script(MODEL, prompt), model=MODEL) as model,
        scripted_endpoint(lambda prompt: script(SIMULATOR, prompt), model=SIMULATOR) as simulator,
        scripted_endpoint(lambda prompt: script("judge", prompt), model="judge") as judge,
    ):
        servers |= {MODEL: model, SIMULATOR: simulator, "judge": judge}
        yield model, simulator, judge


def key(body: Mapping[str, Any]) -> str:
    """What identifies a request: its messages and its seed."""
    return json.dumps([body["messages"], body.get("seed")], sort_keys=True)
