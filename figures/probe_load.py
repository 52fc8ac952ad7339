"""Memory and CPU of a probe of 200 answers x 2,000 tokens, 20 alternatives each, against a server in another process.

``python -m figures.probe_load serve`` is that server: it answers every request with made log-probabilities.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from typing import Any

from aiohttp import web

from evalsuite.endpoint.stream import ReplyStream
from evalsuite.records import Request
from figures.line import Line
from figures.measure import measured

ANSWERS, TOKENS, TOP = 200, 2000, 20
_PROGRAM = """
import asyncio, resource, sys
from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import connect
from evalsuite.endpoint.logprobs import Scorer
from evalsuite.engine.probe.answers import StoredAnswer, TokenizedAnswer
from evalsuite.engine.probe.passes import compare_all, read_all
from evalsuite.records import Request
url, answers, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def main():
    model = Model("M", "org/m", precision="bf16", base_url=url, server=Server("vllm"))
    client = connect(model, Engine(), "m", 16)
    made = [TokenizedAnswer(StoredAnswer("t", str(i), 0, "t", True, False, Request(()), ("x",), 50, tokens),
            tuple(range(50)), tuple(1000 + j for j in range(tokens))) for i in range(answers)]
    scorer, scores = Scorer(client, "vllm", 20, ()), {}
    await read_all(scorer, made, 16, scores.__setitem__)
    ordered = [scores[i] for i in range(answers)]
    for limit in (16, 16, 1):
        await compare_all(scorer, made, ordered, limit)
    await client.close()
    print(sum(map(len, ordered)))
asyncio.run(main())
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def memory_and_cpu(answers: int = ANSWERS, tokens: int = TOKENS) -> list[Line]:
    """The reference, the floor, and both passes of one candidate."""
    server = [sys.executable, "-m", "figures.probe_load", "serve"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        done, peak = measured([sys.executable, "-c", _PROGRAM, url, str(answers), str(tokens)])
        process.terminate()
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    scored, seconds = done.stdout.split()
    what = f"{answers} answers x {tokens:,} tokens, top {TOP}, four passes ({int(scored):,} places read in each)"
    return [Line(what, "under 300 MB, under 60 CPU s", f"{peak:.0f} MB, {float(seconds):.1f} CPU s")]


EVENTS = 64_000


def token_ids_cost(events: int = EVENTS) -> list[Line]:
    """Reading a streamed answer whose events carry token ids, beside the same events without, in turns."""
    plain, with_ids = (_events(events, ids) for ids in (False, True))
    best = {False: 1e9, True: 1e9}
    for _ in range(5):
        for ids, chunks in ((False, plain), (True, with_ids)):
            stream, began = ReplyStream(1 << 30), time.process_time()
            for chunk in chunks:
                stream.feed(chunk)
            best[ids] = min(best[ids], time.process_time() - began)
            assert len(stream.reply(Request(()), 0.0, thinking=False).token_ids) == (events if ids else 0)
    without, beside = (1e6 * best[ids] / events for ids in (False, True))
    measured = f"{beside / without:.1f} x ({beside:.1f} us, {without:.1f} us): the option is off by default"
    return [Line("CPU of reading a streamed event with token ids, beside without", "1.5 x, else off", measured)]


def _events(count: int, ids: bool) -> list[bytes]:
    """vLLM's chunks of one answer, sixteen events a read."""
    rng = random.Random(1)
    head = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"m","choices":[{"index":0,'
    payloads = []
    for number in range(count):
        token = f',"token_ids":[{rng.randrange(150_000)}]' if ids else ""
        finish = '"stop"' if number == count - 1 else "null"
        delta = f'"delta":{{"content":"w{rng.randrange(9999)} "}},"logprobs":null,"finish_reason":{finish}{token}'
        payloads.append(f"data: {head}{delta}}}]}}\n\n".encode())
    return [b"".join(payloads[start : start + 16]) for start in range(0, count, 16)]


def _entry(rng: random.Random, token: int) -> dict[str, Any]:
    others = rng.sample(range(5000, 150_000), TOP)
    return {str(one): {"logprob": -0.5 - place, "rank": place + 1, "decoded_token": " token"}
            for place, one in enumerate([token, *others])}  # fmt: skip


async def _serve() -> None:
    rng = random.Random(1)
    entries = [json.dumps(_entry(rng, 1000 + place)) for place in range(10 * TOKENS)]
    prompt = ["null", *(json.dumps(_entry(rng, place)) for place in range(1, 50))]

    async def handler(request: web.Request) -> web.Response:
        body = await request.json()
        places = [*prompt, *entries[: len(body["prompt"]) - 50]]
        text = f'{{"choices": [{{"index": 0, "text": "x", "prompt_logprobs": [{", ".join(places)}]}}]}}'
        return web.Response(text=text, content_type="application/json")

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/completions", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}/v1\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
