"""The demo model's text side: tokenizer, chat template and the files of `weights/`."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

WEIGHTS = Path(__file__).parent / "weights"
"""The folder that ships with the package."""

IM_START, IM_END, THINK, END_THINK = "<|im_start|>", "<|im_end|>", "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class TextCodec:
    """Everything that turns messages into token ids and token ids into text."""

    tokenizer: Tokenizer
    template: Any
    """The compiled Jinja template (jinja2 has no public type for one that came from a string)."""
    token_bytes: tuple[bytes, ...]
    """What each token id stands for in the output; empty for the two ChatML markers, which are never shown."""
    im_end: int
    end_think: int

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; special tokens written in it are recognised, none is added."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def render(self, messages: Sequence[Mapping[str, str]], thinking: bool) -> str:
        """The prompt text of a chat, up to where the model goes on writing; `thinking`: whether it may think first."""
        text: str = self.template.render(messages=messages, add_generation_prompt=True, enable_thinking=thinking)
        return text


def load_codec(folder: Path = WEIGHTS) -> TextCodec:
    """The codec of the `tokenizer.json` (byte-level BPE) and `chat_template.jinja` in `folder` (default: the shipped
    ones).

    Raises what `make_codec` raises, `OSError` for a missing template, and `Exception` for a tokenizer that
    `tokenizers` cannot read or that is missing.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    return make_codec(tokenizer, template)


def make_codec(tokenizer: Tokenizer, template: str) -> TextCodec:
    """A codec from a tokenizer in memory and the text of a Jinja chat template.

    The tokenizer is a byte-level BPE whose token ids have no gaps. Raises `KeyError` when its vocabulary lacks
    `<|im_end|>` or `</think>` or has a character outside the byte-level alphabet, jinja2's `TemplateSyntaxError` for a
    template with a syntax error.
    """
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    vocabulary = tokenizer.get_vocab()
    return TextCodec(
        tokenizer,
        environment.from_string(template),
        _token_bytes(vocabulary),
        vocabulary[IM_END],
        vocabulary[END_THINK],
    )


def utf8_decoder() -> codecs.IncrementalDecoder:
    """An incremental UTF-8 decoder for one answer; bytes that are no UTF-8 become U+FFFD."""
    return codecs.getincrementaldecoder("utf-8")(errors="replace")


def _token_bytes(vocabulary: Mapping[str, int]) -> tuple[bytes, ...]:
    """The bytes of each token, in the order of ids, from the stand-in characters of a byte-level BPE vocabulary (token
    -> id).

    Empty for the two ChatML markers. Raises `KeyError` for a token with a character that is no stand-in.
    """
    back = _byte_of_stand_in()
    table: list[bytes] = []
    for token in sorted(vocabulary, key=vocabulary.__getitem__):
        if token in (IM_START, IM_END):
            table.append(b"")
        elif token in (THINK, END_THINK):
            table.append(token.encode())
        else:
            table.append(bytes(back[character] for character in token))
    return tuple(table)


def _byte_of_stand_in() -> dict[str, int]:
    """Stand-in character -> byte, in GPT-2's alphabet: printable Latin-1 characters but the spaces stand for their own
    bytes, U+0100 onwards for the other bytes, in order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(0x100 + place): byte for place, byte in enumerate(others)})
    return table
