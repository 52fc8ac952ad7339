"""A model server that writes its answers slowly: ``python -m figures.window_server MODEL LOG SECONDS_PER_EVENT``.

What it answers depends on the question and the model's name alone. Every question is noted in LOG as it arrives, and
with its seed in LOG.seen at the end. The base URL is printed; the server ends with its standard input.
"""

import hashlib
import json
import math
import statistics
import sys
from pathlib import Path

from tests.support.scripted_endpoint import Answer, scripted_endpoint
from tests.support.toy import right

MEDIAN_WORDS = 40
LONGEST_WORDS = 180
WRONG = {"bf16": 0.10, "nvfp4": 0.25}
"""Model -> share of the questions that it gets wrong."""


def share(*parts: str) -> float:
    """A number in (0, 1) that depends on ``parts`` only."""
    return (int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12], 16) + 0.5) / 16**12


def answer(model: str, prompt: str, pace: float) -> Answer:
    """The model's answer to a question of the additions or of the dialogue."""
    spread = statistics.NormalDist().inv_cdf(share("length", prompt))
    words = min(LONGEST_WORDS, round(MEDIAN_WORDS * math.exp(0.8 * spread)))
    text = prompt.split(" ")[0] if "again" in prompt else right(prompt)
    if "2 + 2" not in prompt and share("wrong", model, prompt) < WRONG[model]:
        text += "0"
    return Answer(text, reasoning="thought " * words, pace=pace)


def main(model: str, log: Path, pace: float) -> None:
    """Serve until standard input ends."""
    with log.open("a", encoding="utf-8") as asked:

        def script(prompt: str) -> Answer:
            asked.write(prompt + "\n")
            asked.flush()
            return answer(model, prompt, pace)

        with scripted_endpoint(script, model=model) as server:
            sys.stdout.write(server.base_url + "\n")
            sys.stdout.flush()
            sys.stdin.read()
            seen = [json.dumps([one.body["seed"], one.prompt]) for one in server.requests]
    with log.with_suffix(".seen").open("a", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in seen))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
