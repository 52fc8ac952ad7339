"""One served model: its engine, the requests that it is answering, and the model that scores given tokens."""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from aiohttp import web

from evalsuite.demo.answer import Answer, Piece
from evalsuite.demo.checkpoint import load_checkpoint, load_input_amax
from evalsuite.demo.engine import BatchEngine, GeneratedToken, Generation
from evalsuite.demo.model import LanguageModel, build
from evalsuite.demo.protocol import ApiError
from evalsuite.demo.text import WEIGHTS, TextCodec, load_codec


@dataclass(slots=True)
class Service:
    """One model at one precision, and the requests it is answering."""

    precision: str
    codec: TextCodec
    engine: BatchEngine
    fingerprint: str
    created: int
    queues: dict[str, asyncio.Queue[GeneratedToken | None]] = field(default_factory=dict)
    """Tokens on their way to each request's handler; None when there will be no more."""
    broken: bool = False
    """Whether the engine has ended by an error."""
    scoring: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a thread computes log-probabilities of a prompt."""
    scored: LanguageModel | None = None
    """The model of these threads: the engine's own, or one with a random generator of its own."""

    @property
    def context(self) -> int:
        """Most tokens that prompt and answer may have together."""
        return self.engine.model.config.max_position_embeddings

    def dispatch(self, tokens: Sequence[GeneratedToken]) -> None:
        """Put the tokens of one step into the queues of their requests; those of a request that is gone are dropped."""
        for token in tokens:
            queue = self.queues.get(token.job)
            if queue is not None:
                queue.put_nowait(token)

    def fail(self) -> None:
        """Mark the service as broken after the engine has ended by an error; `generate` of every open request raises
        once it has yielded the tokens that came before, unless these end its answer.
        """
        self.broken = True
        for queue in self.queues.values():
            queue.put_nowait(None)

    async def generate(self, job: Generation, answer: Answer) -> AsyncGenerator[tuple[GeneratedToken, Piece], None]:
        """Run a job and yield each token with the text that it adds, until `answer`, which is updated, is finished.

        Where it ends early, by a stop string or because it is closed, the job is cancelled, which frees its slot.
        Raises `ApiError` (500) if the engine has failed or fails before the end.
        """
        if self.broken:
            raise _engine_failed()
        queue: asyncio.Queue[GeneratedToken | None] = asyncio.Queue()
        self.queues[job.id] = queue
        self.engine.submit(job)
        ended = False
        try:
            while answer.finish is None:
                token = await queue.get()
                if token is None:
                    raise _engine_failed()
                ended = token.finish is not None
                yield token, answer.add(token)
        finally:
            del self.queues[job.id]
            if not ended:
                self.engine.cancel(job.id)


def _engine_failed() -> ApiError:
    """The error (status 500) for a request whose engine has ended by an error."""
    return ApiError(500, "The engine has failed; its error is on the server's standard error.", "InternalServerError")


SERVICE: web.AppKey[Service] = web.AppKey("service")


def load_service(precision: str, loop: asyncio.AbstractEventLoop, noise: int | None = None) -> Service:
    """Read the packaged weights, quantize them to `precision` and build the service; its engine is not started yet.

    Tokens are delivered into `loop`; `noise` is the seed of random rounding, None: exact. Raises `KeyError` for an
    unknown precision.
    """
    codec = load_codec()
    model = build(load_checkpoint(), precision, load_input_amax(), noise)
    digest = hashlib.sha256(precision.encode())
    for name in ("model.safetensors", "input_amax.json", "tokenizer.json", "chat_template.jinja"):
        digest.update((WEIGHTS / name).read_bytes())

    def deliver(tokens: Sequence[GeneratedToken]) -> None:
        loop.call_soon_threadsafe(service.dispatch, tokens)

    def failed() -> None:
        loop.call_soon_threadsafe(service.fail)

    engine = BatchEngine(model, codec.im_end, deliver, failed)
    service = Service(precision, codec, engine, f"{precision}-{digest.hexdigest()[:12]}", int(time.time()))
    service.scored = model if noise is None else replace(model, noise=np.random.default_rng((noise, 1)))
    return service
