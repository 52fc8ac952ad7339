"""Checks of models beyond the types of their settings: names, addresses, headers, the thinking switch."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from evalsuite.config.aa import SUFFIX
from evalsuite.config.address import is_http_address
from evalsuite.config.paths import expanded
from evalsuite.config.settings import DEMO, Model, Run
from evalsuite.errors import unknown_name

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What may become the name of a folder: models, runs."""
RESERVED = ("report",)
"""Names of other folders in a run's folder, which no model may have."""
OURS = ("model", "messages", "prompt", "tools", "stream", "n")
"""Fields that ``server.body`` must not set: they are what is asked, or how the reply is read."""
MOST = 10_000
"""Most requests at a time, and most repeats of an item."""
DIALECTS = ("llama_cpp", "openai", "sglang", "transformers", "vllm")


def model_problems(key: str, name: str, model: Model) -> Iterator[str]:
    """Messages on problems of one model's name and settings, ``sampling`` aside; ``key``: where the settings stand,
    such as ``models.fp8``.
    """
    yield from model_name_problems("model", name)
    yield from auxiliary_problems(key, model)


def auxiliary_problems(key: str, model: Model | None) -> Iterator[str]:
    """Messages on problems of a model's settings, except its name and ``sampling``; also for a judge or simulator.

    ``key``: where the settings stand, such as ``judge``; ``model``: None if there is none, which gives no messages.
    """
    if model is None:
        return
    yield from address_problems(f"{key}.base_url", model.base_url)
    if not 1 <= model.concurrency <= MOST:
        yield f"{key}.concurrency={model.concurrency}: must be 1 to {MOST:,}"
    if model.launch.weights_gb is not None and not 0 < model.launch.weights_gb < 1e6:
        yield f"{key}.launch.weights_gb={model.launch.weights_gb:g}: must be the size of the weights in GB"
    if model.server.dialect not in DIALECTS:
        yield str(unknown_name(f"{key}.server.dialect", model.server.dialect, DIALECTS))
    for kind in model.server.facts.keys() - {"identity", "precision", "idle"}:
        yield str(unknown_name(f"{key}.server.facts", kind, ("identity", "precision", "idle")))
    if model.ca_file is not None and not expanded(model.ca_file).is_file():
        yield f"{key}.ca_file={model.ca_file}: there is no such file"
    if model.proxy is not None and not is_http_address(model.proxy):
        yield f"{key}.proxy: must begin with http:// or https:// and name a host, such as http://HOST:PORT"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", model.api_key_env):
        # the value may be a key that was pasted here, so it is not repeated
        yield f"{key}.api_key_env: must be the name of an environment variable, not the key itself"
    yield from _thinking_switch(f"{key}.thinking_switch", model)
    yield from _body(f"{key}.server.body", model)
    for header, value in model.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header):
            yield f"{key}.headers: '{header}' is no header name"
        if not isinstance(value, str) or not value.isprintable():  # OmegaConf lets lists into dict[str, str]
            yield f"{key}.headers.{header}: must be text without line breaks and control characters"


def shared_endpoint_problems(run: Run) -> Iterator[str]:
    """A message for each model and address where the first model at this address has another checkpoint: one server
    would answer for both.

    Addresses are compared as texts without a slash at the end. Models with a ``served_name`` of their own and those
    at ``demo`` may share an address.
    """
    seen: dict[str, str] = {}
    for name, model in run.models.items():
        if model.base_url == DEMO or model.served_name != "auto":
            continue
        urls = model.base_url if isinstance(model.base_url, list | tuple) else [model.base_url]
        for url in dict.fromkeys(str(url).rstrip("/") for url in urls):
            first = seen.setdefault(url, name)
            if run.models[first].checkpoint != model.checkpoint:
                yield (
                    f"models {first} and {name} have one base_url ({url}): serve them on two ports, "
                    "or run them one after the other, each when it is served, with the same run_id="
                )


def model_name_problems(key: str, name: str) -> Iterator[str]:
    """Messages on problems of a model's name: no valid folder name, ``report``, or an end that evalsuite adds itself
    (``__aa``, ``-nothink``); ``key``: the setting that holds it."""
    yield from name_problems(key, name)
    if name in RESERVED:
        yield f"{key}={name}: this name is taken by the report's folder"
    if name.endswith(SUFFIX):
        yield f"{key}={name}: '{SUFFIX}' is added by evalsuite for the second arm of aa=true"
    if name.endswith("-nothink"):
        yield f"{key}={name}: '-nothink' is added by evalsuite for thinking=off"


def name_problems(key: str, name: str) -> Iterator[str]:
    """A message if a name cannot become a folder's: 1 to 100 ASCII letters, digits and ``._-``, beginning with a letter
    or digit. ``key``: the setting that holds it.
    """
    if not NAME.fullmatch(name):
        yield f"{key}={name}: letters, digits, '.', '_' and '-' only, at most 100, beginning with a letter or digit"


def _body(key: str, model: Model) -> Iterator[str]:
    fields = model.server.body
    for name in OURS:
        if name in fields:
            yield f"{key}.{name}: evalsuite sets it (of a model's name: models.NAME.served_name)"
    for name in model.server.body_not_protocol:
        if name not in fields:
            yield f"{key}_not_protocol: {name} is no field of server.body ({', '.join(map(str, fields)) or 'empty'})"


def _thinking_switch(key: str, model: Model) -> Iterator[str]:
    for part, value in model.thinking_switch.items():
        name = {True: "on", False: "off"}.get(part, part)  # YAML reads a bare `on:` as true
        if name in ("on", "off"):
            if value is not None and not isinstance(value, dict):
                yield f"{key}.{name}={value}: must be arguments of the chat template, such as {{thinking: true}}"
        elif name != "tags":
            yield str(unknown_name(key, str(name), ("on", "off", "tags")))
        elif not isinstance(value, list) or not all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(tag, str) and tag for tag in pair)
            and pair[0] != pair[1]
            for pair in value
        ):
            yield f"{key}.tags={value}: must be pairs of an opening and a closing tag, such as [[<think>, </think>]]"


def address_problems(key: str, urls: object) -> Iterator[str]:
    """Messages on problems of a base URL (a text), or of a list of different ones for replicas of one checkpoint; any
    other ``urls`` and an empty list give one, too.

    ``key``: the setting that holds them.
    """
    listed = urls if isinstance(urls, list | tuple) else [urls]
    if not listed or not all(isinstance(url, str) for url in listed):
        yield f"{key}={urls}: must be an address or a list of addresses, such as [http://A:8000/v1,http://B:8000/v1]"
        return
    if listed is urls and DEMO in listed:
        yield f"{key}={urls}: '{DEMO}' starts one embedded server; it cannot be one of several replicas"
    names = [str(url).rstrip("/") for url in listed]
    for double in sorted({name for name in names if names.count(name) > 1}):
        yield f"{key}: {double} is named {names.count(double)} times; each replica needs an address of its own"
    for url in listed:
        yield from _url(key, str(url))


def _url(key: str, url: str) -> Iterator[str]:
    if url == DEMO:
        return
    try:
        parts = urlsplit(url)
        secret, host, _ = "@" in parts.netloc, parts.hostname, parts.port
    except ValueError:
        yield f"{key}: '{url}' is no URL"
        return
    if secret:
        yield f"{key}: holds a user or password; put it into headers or the variable named by api_key_env"
    elif parts.scheme not in ("http", "https") or not host:
        line = f"{key}=http://{url.rpartition('://')[2]}{'' if '/' in url.rpartition('://')[2] else '/v1'}"
        yield f"{key}={url}: must begin with http:// or https:// (or be '{DEMO}'), such as {line}"
    elif parts.path.rstrip("/").endswith(("/completions", "/models")):
        root = re.sub(r"(/chat)?/(completions|models)/*$", "", url)
        yield f"{key}={url}: give the root of the API, such as {key}={root}"
