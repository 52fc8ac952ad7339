"""What a server of which nothing is known states about itself: its family, its models, its facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalsuite.config.settings import Engine, Model, Server
from evalsuite.endpoint.client import Client
from evalsuite.endpoint.environment import prepare
from evalsuite.endpoint.identity.facts import canonical, scalars
from evalsuite.endpoint.identity.identify import listed_models, stated_at
from evalsuite.endpoint.pool import connect_all

_PATHS = ("/server_info", "/get_server_info", "/version", "/props")
_OWNERS = {"sglang": "sglang", "vllm": "vllm", "llamacpp": "llama_cpp"}
"""``owned_by`` of a listed model -> dialect."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What one server states."""

    base_url: str
    dialect: str = "openai"
    dialect_source: str = (
        "ours: no server was asked; sglang, vllm and llama_cpp take the thinking switch and top_k, too"
    )
    """What shows the dialect."""
    names: tuple[str, ...] = ()
    """What ``/v1/models`` lists."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Flat facts as the server names them, without secrets."""
    chat_template: str = ""

    @property
    def canonical(self) -> Mapping[str, Any]:
        """The facts under evalsuite's names (canonical name -> value); what is null or missing is left out."""
        return canonical(self.facts)


async def survey(base_url: str) -> Survey:
    """Ask the server at ``base_url`` for its models and its facts; no question is asked of a model.

    Raises ``EndpointUnusable`` when it, or the proxy before it, cannot be reached, or when it refuses the key or its
    certificate is not trusted, ``BadInput`` for an environment that cannot be used (key, proxy, certificates) and for a
    ``base_url`` with a user, a password or a port that is none.
    """
    plain = Server(dialect="openai", thinking_via=None)
    model = Model(title="", checkpoint="", precision="", base_url=base_url, server=plain)
    model = prepare({"server": model}, {}, Engine().connect_seconds).models["server"]
    client = connect_all(model, Engine())[0]
    try:
        return await _ask(client, base_url)
    finally:
        await client.close()


async def _ask(client: Client, base_url: str) -> Survey:
    listed = await listed_models(client)
    pages = {path: await stated_at(client, path) for path in _PATHS}
    pages = {path: page for path, page in pages.items() if isinstance(page, Mapping) and page}
    entry = listed[0] if len(listed) == 1 else {}
    facts = {key: value for key, value in scalars(entry).items() if key not in ("id", "created", "object")}
    for page in pages.values():
        facts |= scalars(page)
    dialect, source = _dialect(listed, pages)
    template = pages.get("/props", {}).get("chat_template")
    names = tuple(str(model.get("id")) for model in listed if model.get("id"))
    return Survey(base_url, dialect, source, names, facts, template if isinstance(template, str) else "")


def _dialect(listed: list[dict[str, Any]], pages: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    for model in listed:
        if (owner := str(model.get("owned_by"))) in _OWNERS:
            return _OWNERS[owner], f"/v1/models is owned by {owner}"
    for path in ("/server_info", "/get_server_info"):
        page = pages.get(path, {})
        if "vllm_config" in page:
            return "vllm", f"{path} states vllm_config"
        if "model_path" in page or "tp_size" in page:
            return "sglang", f"{path} states model_path or tp_size"
    if "default_generation_settings" in pages.get("/props", {}):
        return "llama_cpp", "/props states default_generation_settings"
    return "openai", "nothing shows another one"
