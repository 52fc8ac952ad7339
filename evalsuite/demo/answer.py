"""From generated tokens to the two texts of an answer, reasoning and content, piece by piece."""

import codecs
from dataclasses import dataclass, field

from evalsuite.demo.engine import GeneratedToken
from evalsuite.demo.text import TextCodec, utf8_decoder


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token adds to the answer; either text may be empty."""

    reasoning: str = ""
    content: str = ""


@dataclass(slots=True)
class Answer:
    """One answer as it grows. Streamed or not, the texts are the sums of the same pieces.

    As SGLang's `qwen3` reasoning parser does: what comes before `</think>` is reasoning, the tag itself belongs to
    neither text, and an answer cut inside its thinking has an empty content.
    """

    text_codec: TextCodec
    thinking: bool
    """Whether the prompt left the thinking block open."""
    stop: tuple[str, ...] = ()
    """Strings that end the content; they are not part of it."""
    finish: str | None = None
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    _held: str = ""
    """The end of the content so far, while it may still be the beginning of a stop string."""
    _decoder: codecs.IncrementalDecoder = field(default_factory=utf8_decoder)

    def add(self, token: GeneratedToken) -> Piece:
        """Take the next generated token and return the text that it adds, to the reasoning or to the content (or none).

        Counts it and updates the answer; sets ``finish`` when the answer is complete: to ``stop`` by the end token or a
        stop string in the content, to ``length`` by the token limit or a full context. An unfinished character, and
        content that may be the beginning of a stop string, are held back until that is decided; the stop string itself
        and what follows it are dropped. The token `</think>` ends the thinking and is then part of neither text;
        outside of thinking it is content.
        """
        self.completion_tokens += 1
        if self.thinking:
            self.reasoning_tokens += 1
        self.finish = token.finish
        if self.thinking and token.token == self.text_codec.end_think:
            self.thinking = False
            return Piece(reasoning=self._decoder.decode(b"", final=True))
        text = self._decoder.decode(self.text_codec.token_bytes[token.token], final=token.finish is not None)
        return Piece(reasoning=text) if self.thinking else Piece(content=self._until_stop(text))

    def _until_stop(self, text: str) -> str:
        if not self.stop:
            return text
        whole = self._held + text
        found = [at for word in self.stop if (at := whole.find(word)) >= 0]
        if found:
            self._held, self.finish = "", "stop"
            return whole[: min(found)]
        held = 0 if self.finish else max(_overlap(whole, word) for word in self.stop)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]


def _overlap(text: str, word: str) -> int:
    """Length, in characters, of the longest end of `text` with which `word` begins, shorter than `word`; else 0."""
    return next((size for size in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:size])), 0)
