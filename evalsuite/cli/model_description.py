"""The settings of a model that its server and its checkpoint state, each with its source, and as YAML with comments."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from evalsuite.config.files import ConfigSource, read_yaml
from evalsuite.config.sampling import of_card
from evalsuite.config.settings import Sampling
from evalsuite.endpoint.identity import checkpoint as stated
from evalsuite.endpoint.identity.checkpoint import CheckpointFiles
from evalsuite.endpoint.identity.survey import Survey

LONGEST_ANSWER = 32768
"""Most tokens of an answer where no source states them."""
_NONE = "no source states it"


@dataclass(slots=True)
class Description:
    """What is known of a model."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    """Key of ``models.NAME`` -> value; ``server`` is the dialect."""
    sources: dict[str, str] = field(default_factory=dict)
    """Dotted key -> what states its value."""
    missing: dict[str, str] = field(default_factory=dict)
    """Key that is left out -> why."""

    def put(self, key: str, value: Any, source: str) -> None:
        """Set the value of ``key`` and ``source``, what states it; changes the description in place."""
        self.values[key], self.sources[key] = value, source


def describe(name: str, checkpoint: str, files: CheckpointFiles, server: Survey, source: ConfigSource) -> Description:
    """Put together the settings of a model from what its checkpoint's files and its server state.

    Args:
        name: The model's key.
        checkpoint: Repository or folder; empty: what the server states.
        files: The files of the checkpoint that could be read.
        server: What the server states.
        source: The configuration, in which the baseline and the cards' sampling are looked for.

    Returns:
        The values that are known, each with its source, and main settings that were left out with the reason.

    Raises:
        BadInput: A file of the configuration that is looked into cannot be read.
    """
    found = Description(name)
    found.put("server", server.dialect, server.dialect_source)
    found.put("title", name, "ours: the key")
    served = str(server.canonical.get("checkpoint") or "")
    if checkpoint:
        found.put("checkpoint", checkpoint, "given")
    elif served:
        found.put("checkpoint", served, "the server's model path")
    else:
        found.put("checkpoint", next(iter(server.names), name), "/v1/models; the server states no model path")
    _add_precision(found, files, server)
    _add_baseline(found, files, source)
    found.put("base_url", server.base_url, "given")
    if len(server.names) > 1:
        listed = ", ".join(map(_comment, server.names))
        found.missing["served_name"] = f"/v1/models lists {listed}: name the one that is meant"
    _add_thinking(found, files, server)
    _add_sampling(found, files, server, source)
    if quantization := server.canonical.get("quantization"):
        found.put("expect", {"quantization": str(quantization)}, "stated by the server: checked before every run")
    _add_launch(found, files, server)
    return found


def _add_precision(found: Description, files: CheckpointFiles, server: Survey) -> None:
    precision, served = stated.stated_precision(files), server.canonical.get("quantization")
    if precision is not None:
        found.put("precision", precision.name, precision.source)
        if precision.quantized:
            found.put("quantized", dict(precision.quantized), precision.source)
    elif isinstance(served, str) and re.fullmatch(r"[\w.-]{1,40}", served):
        found.put("precision", served.lower(), "quantization that the server states")
    else:
        found.put("precision", "unknown", f"ours: {_NONE}")


def _add_baseline(found: Description, files: CheckpointFiles, source: ConfigSource) -> None:
    base, relation = stated.base_model(files)
    if base is None:
        read = "README.md" in files.texts
        found.missing["baseline"] = "README.md states no base_model" if read else "no README.md was found"
        return
    if relation not in ("", "quantized"):
        found.missing["baseline"] = f"README.md: {relation} of {base}, which is another model"
        return
    for option in source.options("model"):
        if option != found.name and read_yaml(source.file(f"model/{option}")).get("checkpoint") == base:
            found.put("baseline", option, f"base_model of README.md: {base}")
            return
    found.missing["baseline"] = (
        f"base_model of README.md is {base}; if this is a precision of it: evalsuite models new BASE checkpoint={base}"
    )


def _add_thinking(found: Description, files: CheckpointFiles, server: Survey) -> None:
    thinking = stated.stated_thinking(files, server.chat_template)
    if thinking is None:
        found.put("thinking_switch", {"on": {}, "off": {}}, "no chat template was found: no switch is sent")
        found.missing["thinking"] = "no chat template was found"
        return
    word = f"default of {thinking.source}" if thinking.switch else f"{thinking.source} has no switch"
    tags = [list(pair) for pair in thinking.tags]
    found.put("thinking", thinking.default, word if thinking.switch or tags else f"{word} and no tags of thinking")
    arguments = [{thinking.switch: value} if thinking.switch else {} for value in (True, False)]
    switch: dict[str, Any] = {"on": arguments[0], "off": arguments[1]}
    found.put("thinking_switch", switch | ({"tags": tags} if tags else {}), thinking.source)
    if thinking.effort:
        found.missing["server.body.reasoning_effort"] = (
            f"{thinking.source} reads reasoning_effort; its default holds unless you set it"
        )


def _add_sampling(found: Description, files: CheckpointFiles, server: Survey, source: ConfigSource) -> None:
    values = stated.stated_sampling(files)
    words = ", ".join(f"{name} {value:g}" for name, value in values.items()) or "no value"
    baseline = found.values.get("baseline")
    if _belongs_to_card(found.values["checkpoint"], source) or _belongs_to_card(_base(baseline, source), source):
        found.missing["sampling"] = f"sampling=card is of this model; generation_config.json states {words}"
        return
    if baseline and read_yaml(source.file(f"model/{baseline}")).get("sampling"):
        found.missing["sampling"] = f"as its baseline {baseline}; generation_config.json states {words}"
        return
    sources = {f"sampling.{name}": "generation_config.json" for name in values}
    origin = {"generation_config": dict(values)} if values else {}
    if "max_tokens" in values:
        sources["sampling.max_tokens"] = "generation_config.json max_new_tokens"
    limits = [(stated.stated_context(files), "config.json max_position_embeddings")]
    limits.append((_count(server.canonical.get("context")), "stated by the server"))
    known = sorted((tokens, where) for tokens, where in limits if tokens)
    if known and ("max_tokens" not in values or values["max_tokens"] >= known[0][0]):
        tokens, where = known[0]
        values["max_tokens"] = min(tokens // 2, LONGEST_ANSWER)
        sources["sampling.max_tokens"] = (
            f"ours: half of the context of {tokens:,} ({where}), at most {LONGEST_ANSWER:,}"
        )
    elif "max_tokens" not in values:
        values["max_tokens"] = LONGEST_ANSWER
        sources["sampling.max_tokens"] = "ours: no source states the context"
    lacking = [name for name in ("temperature", "top_p", "top_k") if name not in values]
    if lacking:
        read = "generation_config.json" in files.texts
        why = "generation_config.json states none" if read else "no generation_config.json was found"
        found.missing["sampling." + ", ".join(lacking)] = f"{why}: not sent, the server's default holds"
    found.put("sampling", values | ({"origin": origin} if origin else {}), "")
    found.sources |= sources


def _belongs_to_card(checkpoint: str | None, source: ConfigSource) -> bool:
    patterns = read_yaml(source.file("sampling/card")).get("checkpoints") or []
    return checkpoint is not None and of_card(Sampling(checkpoints=patterns), checkpoint)


def _base(baseline: str | None, source: ConfigSource) -> str | None:
    return str(read_yaml(source.file(f"model/{baseline}")).get("checkpoint")) if baseline else None


def _add_launch(found: Description, files: CheckpointFiles, server: Survey) -> None:
    port = urlsplit(server.base_url).port or 8000
    path = shlex.quote(str(found.values["checkpoint"]))
    facts, flags = server.canonical, []
    for flag, name in (
        ("--tensor-parallel-size", "tensor_parallel"),
        ("--reasoning-parser", "reasoning_parser"),
        ("--tool-call-parser", "tool_call_parser"),
    ):
        if re.fullmatch(r"[\w.-]{1,40}", value := str(facts.get(name) or "")):
            flags.append(f"{flag} {value}")
    start = {
        "sglang": f"python3 -m sglang.launch_server --model-path {path}",
        "vllm": f"vllm serve {path}",
        "llama_cpp": f"llama-server --model {path}",
    }.get(server.dialect)
    if start is None:
        found.missing["launch.command"] = "the server's program is not known"
    else:
        words = "; flags that the server states" if flags else "; parsers and devices are yours to add"
        launch: dict[str, Any] = {"command": " ".join([start, *flags, f"--port {port}"])}
        found.put("launch", launch, "")
        found.sources["launch.command"] = f"ours: put together for {server.dialect}{words}"
        if (size := stated.weights_gb(files)) is not None:
            launch["weights_gb"] = size
            found.sources["launch.weights_gb"] = "model.safetensors.index.json total_size"


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def to_yaml(found: Description) -> str:
    """The text of ``model/NAME.yaml``: every value, with a comment on its source where ``found`` has one, and what was
    left out as comments.
    """
    lines = [
        f"# @package models.{found.name}",
        "# Written by `evalsuite models new`; the comments name what states each value. Edit it as you like.",
        "defaults:",
        f"  - /server: {found.values['server']} # {_comment(found.sources['server'])}",
        "  - _self_",
    ]
    for key, value in found.values.items():
        if key != "server":
            lines += _lines(key, value, found.sources, "")
    lines += [f"# {_comment(key)}: left out; {_comment(why)}" for key, why in found.missing.items()]
    return "\n".join(lines) + "\n"


def _lines(key: str, value: Any, sources: Mapping[str, str], prefix: str) -> list[str]:
    dotted, indent = f"{prefix}{key}", "  " * prefix.count(".")
    below = any(name.startswith(f"{dotted}.") for name in sources)
    if isinstance(value, dict) and below:
        rest = [line for name, part in value.items() for line in _lines(name, part, sources, f"{dotted}.")]
        return [f"{indent}{key}:", *rest]
    comment = f" # {_comment(sources[dotted])}" if sources.get(dotted) else ""
    return [f"{indent}{key}: {_flow(value)}{comment}"]


def _flow(value: Any) -> str:
    """A value in one line of YAML (as JSON), with ``${`` broken up so that OmegaConf resolves no reference in it."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$ {")


def _comment(text: str) -> str:
    """A text from outside made fit for a comment: one line without control characters, at most 200 characters."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))[:200]
