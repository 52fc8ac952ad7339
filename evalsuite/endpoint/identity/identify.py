"""Which model a base URL serves: what the server states is stored and checked against the configuration.

The commonest mistake is that the previous checkpoint is still served on the port, so this runs before the first
question.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from evalsuite.config.settings import Model
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.faults import Rejected, Transient
from evalsuite.endpoint.identity.facts import canonical, checkpoint_facts, scalars
from evalsuite.endpoint.identity.persistence import persist, token_limit
from evalsuite.endpoint.thinking import switch_fields
from evalsuite.endpoint.transport import Response
from evalsuite.errors import EndpointUnusable, SampleFailed
from evalsuite.records import Reply, Request

PROBE = "What is 2 + 2? Answer with the number only."
PROBE_TOKENS, LONG_PROBE_TOKENS = 512, 4096
"""Tokens for the answer to the test question; the second where the first ended inside the thinking."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
NAME_FILES = ("llama_cpp", "transformers")
"""Dialects whose model path is a file or folder of the server's machine; a relative one looks like a repository."""


class ServerUnreachable(EndpointUnusable):
    """No server answers at the address, which leaves its model unknown."""


class WrongCheckpoint(EndpointUnusable):
    """The server states that it serves another checkpoint."""

    def __init__(self, message: str, served: str) -> None:
        super().__init__(message)
        self.served = served
        """The repository that it names."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What one endpoint states."""

    served_name: str
    """The model's name for requests."""
    facts: Mapping[str, Any]
    """Flat ``name: scalar``, without secrets, as the server names them; ``facts.canonical`` gives them one set of
    names."""


async def identify(client: Client) -> Identity:
    """Ask the server what it serves and check that against the model's configuration (name, checkpoint, ``expect``).

    Returns the model's name for requests and all facts, with those of the checkpoint's files where they can be read.
    Raises ``ServerUnreachable`` when it cannot be reached, ``WrongCheckpoint`` when it names another repository, and
    ``EndpointUnusable`` when it refuses the key, is otherwise not as configured or it is unclear which of its models is
    meant.
    """
    model = client.model
    listed = await listed_models(client)
    name = _served_name(model, listed)
    entry = next((listed_model for listed_model in listed if listed_model.get("id") == name), {})
    facts: dict[str, Any] = {"base_url": model.base_url, "served_name": name, "dialect": model.server.dialect}
    facts |= {key: value for key, value in scalars(entry).items() if key not in ("id", "created", "object")}
    for path in model.server.identity:
        facts |= scalars(await stated_at(client, path))
    if model.server.dialect == "transformers":
        facts["root"] = name  # it loads what a request names
    facts |= await asyncio.to_thread(checkpoint_facts, facts, model.base_url, model.revision)
    _check_checkpoint(model, facts)
    _check_expected(model, facts)
    return Identity(name, facts)


async def probe_thinking(
    client: Client, sampling: Mapping[str, Any], context: int | None = None
) -> tuple[Mapping[str, Any], Reply]:
    """Ask one easy question with the run's own fields ``sampling`` and see whether the model thinks as configured; once
    more with a higher cap, if one is allowed, where the answer was cut before any text.

    ``context``: tokens that the server's context holds, None where it is not known. Returns (facts ``probe_thinks``,
    ``probe_finish`` and ``probe_model``, the reply). Raises ``EndpointUnusable`` with the server's message when it
    refuses the fields or does not answer, or when the request switches thinking on and there is none, or off and there
    is some.
    """
    model = client.model
    few, many = (token_limit(most, sampling, context) for most in (PROBE_TOKENS, LONG_PROBE_TOKENS))
    try:
        reply = await _ask(client, few, sampling)
        if reply.truncated and not reply.text.strip() and many > few:
            reply = await _ask(client, many, sampling)
    except Rejected as error:
        raise EndpointUnusable(f"{model.base_url} refuses the run's request fields: {error}") from None
    except SampleFailed as error:
        raise EndpointUnusable(f"{model.base_url} does not answer a test question: {error}") from None
    thinks = bool(reply.reasoning.strip())  # transformers serve hands out the empty block of thinking=off
    switch = switch_fields(model)
    if switch and thinks != model.thinking:
        asked, got = ("on", "none came") if model.thinking else ("off", "there was some")
        raise EndpointUnusable(
            f"{model.base_url}: thinking={asked} was asked with {orjson.dumps(switch).decode()}, but {got}. Check the "
            "server's chat template and reasoning parser, name the model's own switch and tags with "
            "models.NAME.thinking_switch, or set models.NAME.thinking"
        )
    return {"probe_thinks": thinks, "probe_finish": reply.finish_reason, "probe_model": reply.model}, reply


async def _ask(client: Client, most: int, sampling: Mapping[str, Any]) -> Reply:
    """The reply to the test question ``PROBE``, of at most ``most`` tokens, after retries.

    ``sampling``: the run's request fields, sent with seed 0. Raises ``SampleFailed`` or ``EndpointUnusable`` as
    ``Client.send``.
    """
    fields = {**sampling, "max_tokens": most, "seed": 0}
    request = Request(({"role": "user", "content": PROBE},), sampling=fields)
    return await persist(lambda: client.send(request), client.engine)


def with_name(client: Client, identity: Identity) -> Client:
    """A copy of ``client`` (with the same connections) that requests the model under the name that was identified."""
    return replace(client, served_name=identity.served_name)


async def listed_models(client: Client) -> list[dict[str, Any]]:
    """The entries that ``/models`` below the base URL lists; empty for an HTTP error, as where the server has no such
    path, and for a reply of another form.

    Raises ``ServerUnreachable`` if no server answers, ``EndpointUnusable`` if it refuses the key (401, 403) or its
    certificate is not trusted.
    """
    try:
        response = await client.get("/models")
    except Transient as fault:
        raise ServerUnreachable(f"no server answers: {fault}; start the server, or set base_url") from None
    if response.status in (401, 403):
        raise EndpointUnusable(
            f"{client.model.base_url} refuses the key in ${client.model.api_key_env} (HTTP {response.status}): "
            "set that variable to a key that it knows"
        )
    body = _json(response)  # some servers do not list their models; the first request shows it
    listed = body.get("data") if isinstance(body, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


async def stated_at(client: Client, path: str) -> Any:
    """The JSON at ``path`` below the server's root, requested once more after a fault; an empty object for an HTTP
    error, no JSON or a second fault. Raises ``EndpointUnusable`` for a certificate that is not trusted."""
    try:
        return _json(await persist(lambda: client.get(path, root=True), client.engine, most=1))
    except Transient:
        return {}


def _json(response: Response) -> Any:
    """The JSON of a response; an empty object where it is none, or its status is 300 or more."""
    if response.status >= 300:
        return {}
    try:
        return orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}


def _served_name(model: Model, listed: list[dict[str, Any]]) -> str:
    names = [str(entry["id"]) for entry in listed if entry.get("id")]
    lists_cache = model.server.dialect == "transformers"  # the models of the hub's cache, whatever it was started with
    if model.served_name != "auto":
        if names and model.served_name not in names and not lists_cache:
            raise EndpointUnusable(
                f"{model.base_url} serves {', '.join(names)}, not served_name={model.served_name}: set it to one of "
                "these, or to auto"
            )
        return model.served_name
    if model.checkpoint in names:
        return model.checkpoint
    if lists_cache:
        raise EndpointUnusable(
            f"{model.base_url}: transformers serve does not list what it was started with. Give that repository or "
            "folder: models.NAME.served_name=REPOSITORY_OR_FOLDER"
        )
    if len(names) == 1:
        return names[0]
    what = f"serves {', '.join(names)}" if names else "does not list its models"
    raise EndpointUnusable(f"{model.base_url} {what}: name the one that is meant with models.NAME.served_name=")


def _check_checkpoint(model: Model, facts: Mapping[str, Any]) -> None:
    """Raise ``WrongCheckpoint`` if the server's facts name another repository than the configured checkpoint.

    A file or folder proves nothing either way, so llama.cpp and transformers, whose relative paths look like
    repositories, always pass.
    """
    if model.server.dialect in NAME_FILES:
        return
    for source in ("model_path", "vllm_config.model_config.model", "root"):
        served = facts.get(source)
        if not isinstance(served, str) or not REPOSITORY.fullmatch(served) or served.endswith(".gguf"):
            continue
        if served != model.checkpoint:
            raise WrongCheckpoint(
                f"{model.base_url} serves {served}, but {model.checkpoint} was asked ({source}). "
                "Is the previous checkpoint still on this port?",
                served,
            )


def _check_expected(model: Model, facts: Mapping[str, Any]) -> None:
    """Raise ``EndpointUnusable`` for facts that contradict ``model.expect``; a key ``*_min`` is a lower bound.

    What the server does not state passes.
    """
    wrong = []
    stated = {**canonical(facts), **{name: value for name, value in facts.items() if value is not None}}
    for key, wanted in model.expect.items():
        name = key.removesuffix("_min")
        value = stated.get(name)
        if value is None:
            continue
        if not (_is_at_least(value, wanted) if key.endswith("_min") else _is_as_expected(value, wanted)):
            wrong.append(f"{name} is {value}, expected {'at least ' if key.endswith('_min') else ''}{wanted}")
    if wrong:
        raise EndpointUnusable(f"{model.base_url} is not as configured: {'; '.join(wrong)}")


def _is_at_least(value: Any, wanted: Any) -> bool:
    try:
        return float(value) >= float(wanted)
    except (TypeError, ValueError):
        return False


def _is_as_expected(value: Any, wanted: Any) -> bool:
    """Whether the fact ``value`` equals ``wanted``, as text without regard to case, as numbers, or as yes/no for a
    truth value.

    The fact's type decides: a text ``0.10`` is another version than 0.1.
    """
    if str(value).lower() == str(wanted).lower():
        return True
    if isinstance(value, bool):
        return str(wanted).lower() in (("yes", "on") if value else ("no", "off"))
    return isinstance(value, int | float) and _is_at_least(value, wanted) and _is_at_least(wanted, value)
