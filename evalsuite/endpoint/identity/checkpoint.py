"""What the files of a checkpoint state about sampling, thinking, precision and origin, each with its source.

The files are those of a folder, or of a repository of the Hugging Face hub. A value that no file states is absent: no
value of another family stands in.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.config.paths import expanded
from evalsuite.config.sampling import NAMES
from evalsuite.endpoint.identity.facts import json_object
from evalsuite.endpoint.thinking import KNOWN_TAGS

FILES = (
    "config.json",
    "generation_config.json",
    "hf_quant_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "tokenizer_config.json",
    "README.md",
    "model.safetensors.index.json",
)
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,39}")
_LARGEST = 50 * 2**20
_MOST = 1e15
"""Larger numbers are no sampling."""
_SWITCHES = ("enable_thinking", "thinking")
"""Variables of public chat templates that switch thinking."""
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The files of a checkpoint that could be read."""

    texts: Mapping[str, str] = field(default_factory=dict)
    """File -> its text."""
    note: str = ""
    """Why there are none, or not all."""

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object in the file ``name``; empty where the file is missing or holds no object."""
        try:
            value = json.loads(self.texts.get(name, ""))
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


def read_files(checkpoint: str, *, download: bool = True) -> CheckpointFiles:
    """The texts of ``FILES`` of ``checkpoint``: of a folder, else of a repository ``ORG/NAME`` of the Hugging Face hub
    at its default revision.

    Without ``download`` only from the hub's cache, else missing and outdated ones are downloaded. Raises nothing:
    ``note`` in the result states why no file was read, or why the hub did not give the rest; else it is empty. Files
    that do not exist (or, without ``download``, are not in the cache), cannot be read, are no UTF-8 or are over 50 MiB
    are left out without a note.
    """
    if not checkpoint:
        return CheckpointFiles(note="the server states no checkpoint: checkpoint= was not given")
    folder = expanded(checkpoint)  # never fails
    if os.path.isdir(folder):  # noqa: PTH112  # never fails
        texts = {name: text for name in FILES if (text := _text(folder / name)) is not None}
        return CheckpointFiles(texts, "" if texts else f"{checkpoint} holds none of {', '.join(FILES)}")
    if not REPOSITORY.fullmatch(checkpoint):
        return CheckpointFiles(note=f"{checkpoint} is no folder of this machine, and no repository ORG/NAME")
    return _from_hub(checkpoint, download)


def _from_hub(repository: str, download: bool) -> CheckpointFiles:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    texts: dict[str, str] = {}
    for name in FILES:
        try:
            path = hf_hub_download(repository, name, etag_timeout=5, local_files_only=not download)
        except LocalEntryNotFoundError:
            if not download:
                continue
            return CheckpointFiles(texts, f"the hub cannot be reached for {repository} {name}")
        except EntryNotFoundError:
            continue
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else "no answer"
            return CheckpointFiles(
                texts, f"the hub does not give {repository} (HTTP {status}; HF_TOKEN for gated ones)"
            )
        except (OSError, ValueError) as error:
            return CheckpointFiles(texts, f"the hub cannot be asked for {repository} ({type(error).__name__})")
        if (text := _text(Path(path))) is not None:
            texts[name] = text
    away = "" if download else "the hub cannot be reached, or was not asked: "
    return CheckpointFiles(texts, "" if texts else f"{away}no file of {repository} is in the hub's cache (HF_HOME)")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= _LARGEST else None
    except (OSError, UnicodeDecodeError):
        return None


def stated_sampling(files: CheckpointFiles) -> dict[str, Any]:
    """Request field -> value as ``generation_config.json`` states it (``max_tokens``: its ``max_new_tokens``);
    ``do_sample: false`` without a temperature is temperature 0.

    Fields that it does not state, or not as numbers that a request can hold, are left out; ``top_k`` and ``max_tokens``
    are cut to whole numbers.
    """
    config = files.json("generation_config.json")
    stated: dict[str, Any] = {}
    for name in NAMES:
        value = config.get("max_new_tokens" if name == "max_tokens" else name)
        if isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST:
            stated[name] = int(value) if name in ("top_k", "max_tokens") else float(value)
    if config.get("do_sample") is False and "temperature" not in stated:
        stated["temperature"] = 0.0
    return stated


def stated_context(files: CheckpointFiles) -> int | None:
    """Tokens of the context by ``max_position_embeddings`` of ``config.json`` (of its ``text_config``, if it has one);
    None where it does not state them.
    """
    config = files.json("config.json")
    value = (json_object(config.get("text_config")) or config).get("max_position_embeddings")
    return value if type(value) is int and value > 0 else None


@dataclass(frozen=True, slots=True)
class Precision:
    """A number format and what it holds for."""

    name: str
    quantized: Mapping[str, str]
    """Part of the network -> format."""
    source: str
    """The file and key that state it."""


def stated_precision(files: CheckpointFiles) -> Precision | None:
    """The number format that ``hf_quant_config.json``, else ``quantization_config`` in ``config.json``, else its data
    type (``bfloat16``, ``float16`` or ``float32``) states; None: none does."""
    config = files.json("config.json")
    own = json_object(files.json("hf_quant_config.json").get("quantization"))
    if algorithm := _word(own.get("quant_algo")):
        parts = {"linear layers": algorithm}
        if cache := _word(own.get("kv_cache_quant_algo")):
            parts["KV cache"] = cache
        return Precision(_short(algorithm), parts | _left_out(own), "hf_quant_config.json quant_algo")
    text = json_object(config.get("text_config"))
    declared = json_object(config.get("quantization_config")) or json_object(text.get("quantization_config"))
    if method := _word(declared.get("quant_method")):
        algorithm = _word(declared.get("quant_algo")) or _compressed(declared) or _bits(declared) or method
        parts = {"linear layers": algorithm if algorithm == method else f"{algorithm} ({method})"}
        return Precision(_short(algorithm), parts | _left_out(declared), "config.json quantization_config")
    dtype = str(config.get("dtype") or config.get("torch_dtype") or text.get("dtype") or text.get("torch_dtype"))
    return Precision(_DTYPES[dtype], {}, "config.json torch_dtype") if dtype in _DTYPES else None


def _compressed(declared: Mapping[str, Any]) -> str:
    """The weights' format of a compressed-tensors configuration: ``nvfp4``, else ``int`` or ``fp`` with the number of
    bits, such as ``int4`` and ``fp8``; empty where it states none.

    ``declared`` is the value of ``quantization_config``; its first group counts.
    """
    groups = json_object(declared.get("config_groups"))
    weights = next((json_object(json_object(group).get("weights")) for group in groups.values()), {})
    kind, bits = weights.get("type"), weights.get("num_bits")
    if type(bits) is not int or kind not in ("int", "float"):
        return ""
    nvfp4 = kind == "float" and bits == 4 and weights.get("group_size") == 16
    return "nvfp4" if nvfp4 else f"{'fp' if kind == 'float' else 'int'}{bits}"


def _bits(declared: Mapping[str, Any]) -> str:
    bits = declared.get("bits")
    return f"int{bits}" if type(bits) is int and 1 <= bits <= 16 else ""


def _left_out(declared: Mapping[str, Any]) -> dict[str, str]:
    for key in ("exclude_modules", "modules_to_not_convert", "ignored_layers", "ignore"):
        names = declared.get(key)
        if isinstance(names, list) and names:
            return {f"{len(names)} modules ({key})": "not quantized"}
    return {}


def _short(algorithm: str) -> str:
    return algorithm.lower().replace("-", "_").replace(".", "_")


@dataclass(frozen=True, slots=True)
class Thinking:
    """How a chat template thinks."""

    default: bool
    """Whether the model thinks where nothing is switched."""
    switch: str | None
    """The variable that switches it; None: there is none."""
    tags: tuple[tuple[str, str], ...]
    """Known tags that the template holds."""
    effort: bool
    """Whether the template reads ``reasoning_effort``."""
    source: str


def stated_thinking(files: CheckpointFiles, served: str = "") -> Thinking | None:
    """How the chat template of the files, else ``served`` (the server's own template, empty: none), thinks; None
    without a template."""
    template, source = _template(files)
    if not template:
        template, source = served, "/props chat_template"
    if not template:
        return None
    names = _variables(template)
    switch = next((name for name in _SWITCHES if name in names), None)
    tags = tuple(pair for pair in KNOWN_TAGS if pair[1] in template or pair[0] in template)
    default = _default(template, switch) if switch else bool(tags)
    return Thinking(default, switch, tags, "reasoning_effort" in names, source)


def _template(files: CheckpointFiles) -> tuple[str, str]:
    """(chat template, the file, with the key in a JSON file, that holds it); both empty where no file holds one. Of
    several named templates the one named ``default`` counts."""
    if text := files.texts.get("chat_template.jinja", ""):
        return text, "chat_template.jinja"
    for name in ("chat_template.json", "tokenizer_config.json"):
        value = files.json(name).get("chat_template")
        if isinstance(value, list):  # several named ones
            value = next(
                (json_object(one).get("template") for one in value if json_object(one).get("name") == "default"), ""
            )
        if isinstance(value, str) and value:
            return value, f"{name} chat_template"
    return "", ""


def _variables(template: str) -> set[str]:
    """Names of the variables that a Jinja template expects from outside, functions of the server included; attributes
    of messages are none.

    Of a template that cannot be parsed only the thinking switches and ``reasoning_effort``, found by a search.
    """
    import jinja2
    from jinja2 import meta
    from jinja2.sandbox import SandboxedEnvironment

    @jinja2.pass_context
    def not_computed(context: jinja2.runtime.Context, *arguments: object) -> None:
        """Do nothing; stands for every filter, because Jinja computes none ahead that asks for a context."""

    environment = SandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    environment.intercepted_binops = frozenset(environment.default_binop_table)  # nor are 'x' * 10**12 or 9**9**9
    environment.filters = dict.fromkeys(environment.filters, not_computed)
    text = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template)
    try:
        return meta.find_undeclared_variables(environment.parse(text))
    except (jinja2.TemplateError, RecursionError, ValueError):  # ValueError: a number of over 4,300 digits
        return {name for name in (*_SWITCHES, "reasoning_effort") if re.search(rf"(?<![\w.'\"]){name}\b", text)}


def _default(template: str, switch: str) -> bool:
    """Whether a template seems to think while its variable ``switch`` is not given, by a search for known spellings.

    False if it sets the variable to false, or takes a missing one for false, or has a plain ``if`` on it and nothing
    that deals with a missing one; else True.
    """
    if re.search(rf"set\s+{switch}\s*=\s*(false|False)\b", template) or re.search(
        rf"set\s+{switch}\s*=.*\belse\s+(false|False)\b", template
    ):
        return False
    if re.search(rf"{switch}\s*\|\s*default\(\s*(false|False)\b", template) or re.search(
        rf"\bif\s+\(?{switch}\s+is\s+defined\s+and\s+{switch}(\s+is\s+(true|True))?\s*(\)|-?%}})", template
    ):
        return False
    given = re.search(rf"{switch}\s+is\s+(not\s+)?defined|set\s+{switch}\s*=|{switch}\s*\|\s*default", template)
    return bool(given) or not re.search(rf"\bif\s+{switch}\b", template)


def base_model(files: CheckpointFiles) -> tuple[str | None, str]:
    """(``base_model``, a repository ``ORG/NAME``, in the front matter of ``README.md``; ``base_model_relation`` there,
    one word).

    None and an empty text where they are not stated in this form; of several base models the first.
    """
    import yaml

    parts = re.split(r"^---\s*$", files.texts.get("README.md", ""), maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return None, ""
    try:
        front = json_object(yaml.safe_load(parts[1]))
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
    ):  # PyYAML's, for odd values
        return None, ""
    value = front.get("base_model")
    first = value[0] if isinstance(value, list) and value else value
    base = first if isinstance(first, str) and REPOSITORY.fullmatch(first) else None
    return base, _word(front.get("base_model_relation"))


def weights_gb(files: CheckpointFiles) -> float | None:
    """Size of the weights in GB (10^9 bytes, rounded to 0.1), as ``model.safetensors.index.json`` states it; None where
    it does not.
    """
    size = json_object(files.json("model.safetensors.index.json").get("metadata")).get("total_size")
    return round(size / 1e9, 1) if isinstance(size, int | float) and 0 < size < 1e15 else None


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""
