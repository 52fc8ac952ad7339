"""Which part of a generated text is thinking, and how thinking is switched: one rule for live and imported answers.

Servers with a reasoning parser send the thinking as a field of its own. Without one it stays in the text, between the
tags of the model's chat template. A template that ends in the opening tag leaves only the closing one in the answer,
and an answer that was cut while the model was thinking then holds no tag at all.
"""

from collections.abc import Mapping
from typing import Any

from evalsuite.config.settings import Model

Tags = tuple[tuple[str, str], ...]
"""(opening tag, closing tag) of every way of writing thoughts."""

KNOWN_TAGS: Tags = (
    ("<think>", "</think>"),  # DeepSeek R1, Qwen3, GLM, Nemotron and most others
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),  # Mistral's Magistral
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss (OpenAI's harmony format)
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Moonshot's Kimi
    ("<seed:think>", "</seed:think>"),  # ByteDance's Seed-OSS
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere's Command
)
"""Tags of public chat templates, for models whose configuration names none and for answers recorded elsewhere."""
_HARMONY_TURNS = ("<|return|>", "<|end|>", "<|start|>assistant")
"""What harmony writes between its channels: part of neither the thinking nor the answer."""


def switch_fields(model: Model) -> dict[str, Any]:
    """The request fields that switch thinking on or off as ``model.thinking`` is set; empty if nothing is to be sent.

    ``model.thinking_switch`` holds the arguments (by default ``enable_thinking``), ``model.server.thinking_via`` the
    field of the request that they are put into: ``body``: they are fields of the request itself; None: not sent.
    """
    via, arguments = model.server.thinking_via, _arguments(model, thinking=model.thinking)
    if via is None or not arguments:
        return {}
    return arguments if via == "body" else {via: arguments}


def stated_switch(model: Model) -> dict[str, Any] | None:
    """The thinking switch as manifests keep it: ``on`` and ``off`` (request arguments) and ``tags``.

    None for a model that configures none: the common one (``enable_thinking``) with known tags.
    """
    if not model.thinking_switch:
        return None
    on, off = (_arguments(model, thinking=thinking) for thinking in (True, False))
    return {"on": on, "off": off, "tags": [list(pair) for pair in tags_of(model)]}


def tags_of(model: Model) -> Tags:
    """The (opening, closing) tags that enclose the thinking of ``model``: those it configures, else ``KNOWN_TAGS``."""
    stated = model.thinking_switch.get("tags")
    return tuple((opening, closing) for opening, closing in stated) if stated else KNOWN_TAGS


def split_thinking(text: str, reasoning: str = "", *, tags: Tags = KNOWN_TAGS, cut: bool = False) -> tuple[str, str]:
    """Separate a generated text into (answer, thinking); takes time linear in its length.

    Everything before the last closing tag is thinking. An opening tag of the same kind behind it, or any without a
    closing tag, means that the answer ended inside the thinking, whatever the finish reason: then all is thinking and
    the answer is empty. Without any of this ``text`` and ``reasoning`` are returned unchanged; else line breaks around
    both parts of the text, the marks of harmony's turns at their ends and a tag that opens the thinking are removed.

    ``tags``: the (opening, closing) pairs that are looked for. ``reasoning`` is what the server sent as thinking
    already; thinking in the text is appended to it on a new line.
    ``cut``: the model was thinking and the answer ended at the token cap, so that a text without any tag is thinking,
    unless the server has sent some.
    """
    if not cut and not any(tag in text for pair in tags for tag in pair):
        return text, reasoning
    end, pair = max(((text.rfind(pair[1]), pair) for pair in tags), key=lambda found: found[0])
    start = end + len(pair[1]) if end >= 0 else 0
    opening = (pair[0],) if end >= 0 else tuple(pair[0] for pair in tags)  # an answer may name other models' tags
    if any(text.find(tag, start) >= 0 for tag in opening):
        answer, thought = "", text
    elif end >= 0:
        answer, thought = _bare(text[start:], ()), text[:end]
    elif cut and not reasoning:
        answer, thought = "", text
    else:
        return text, reasoning
    thought = _bare(thought, tuple(pair[0] for pair in tags))
    return answer, "\n".join(part for part in (reasoning, thought) if part)


def _bare(part: str, opening: tuple[str, ...]) -> str:
    """``part`` (thinking or answer) without the first of the tags ``opening`` that opens it, without the marks of
    harmony's turns at its end, and without line breaks around it."""
    part = part.strip("\n")
    for tag in opening:
        if part.lstrip().startswith(tag):
            part = part.lstrip()[len(tag) :]
            break
    end = len(part)
    while turn := next((turn for turn in _HARMONY_TURNS if part.endswith(turn, 0, end)), ""):
        end -= len(turn)
    return part[:end].strip("\n")


def _arguments(model: Model, *, thinking: bool) -> dict[str, Any]:
    switch: Mapping[Any, Any] = model.thinking_switch
    stated = switch.get("on" if thinking else "off", switch.get(thinking))  # YAML reads a bare `on:` as true
    return {"enable_thinking": thinking} if stated is None else dict(stated)
