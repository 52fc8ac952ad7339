"""The ``models new`` command: the configuration of a model of your own, from its server and its checkpoint."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

from evalsuite.cli.model_description import Description, describe, to_yaml
from evalsuite.config.compose import load_settings
from evalsuite.config.files import config_source
from evalsuite.config.model_checks import address_problems, model_name_problems
from evalsuite.config.paths import expanded
from evalsuite.config.settings import Run
from evalsuite.endpoint.identity.checkpoint import read_files
from evalsuite.endpoint.identity.survey import Survey, survey
from evalsuite.errors import BadInput, EndpointUnusable, Exit, StorageFailed
from evalsuite.report import console
from evalsuite.tasks import hub

USAGE = "write evalsuite models new NAME checkpoint=ORG/REPO base_url=URL [--config-dir DIR]"
PORT_ONLY = "http://localhost:8000/v1"
OTHERS = "sglang, vllm and llama_cpp take the thinking switch and top_k, too"


def models_new(settings: Run) -> Exit:
    """Write ``DIR/model/NAME.yaml`` (DIR is ``config_dir``, else ``mine``), with comments on what states the values,
    and print its path and how to run it.

    Asks the server what it serves and reads the checkpoint's files, from the hub if need be; what cannot be reached is
    a comment. Returns ``DONE``. Raises ``BadInput`` without a name, with neither ``checkpoint=`` nor ``base_url=``, for
    an invalid name or address, a key in the address, where the file is there already, and where it is no valid
    configuration (it is deleted then); ``StorageFailed`` where it cannot be written.
    """
    name, checkpoint, url = settings.name, settings.checkpoint or "", settings.base_url
    if name is None or not (checkpoint or url):
        raise BadInput(USAGE)
    problems = [*model_name_problems("model", name), *(address_problems("base_url", url) if url else ())]
    if problems:
        raise BadInput("\n".join(problems))
    if url and re.search(r"key|token|secret|sig|password", urlsplit(url).query, re.IGNORECASE):
        raise BadInput(
            "base_url=: its query seems to hold a key, which no file may hold: use EVALSUITE_API_KEY or headers"
        )
    folder = expanded(settings.config_dir or "mine")
    path = folder / "model" / f"{name}.yaml"
    if path.exists():
        raise BadInput(f"{path} is there already: edit it, or choose another name")
    server, note = _server(url)
    if not checkpoint:
        checkpoint = str(server.canonical.get("checkpoint") or "")
    files = read_files(checkpoint, download=_hub_answers())
    where = str(folder) if folder.is_dir() else None
    given = settings.checkpoint or ""
    found = describe(name, given, files, server, config_source("run", Run, ("model",), where))
    found.missing |= {what: why for what, why in (("the server", note), ("the checkpoint's files", files.note)) if why}
    _write(path, to_yaml(found))
    try:
        load_settings([f"model={name}"], str(folder), "doctor")
    except BadInput:
        path.unlink()
        raise
    _show(path, found, folder)
    return Exit.DONE


def _hub_answers() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and hub.accepts_connections(constants.ENDPOINT)


def _server(url: str | None) -> tuple[Survey, str]:
    """(what the server at ``url`` states, why it states nothing).

    The second is empty if it could be asked. Without a ``url`` nothing is asked and the address is port 8000 of this
    machine.
    """
    if url is None:
        where = f"ours: no server was asked; {OTHERS}"
        return Survey(PORT_ONLY, dialect_source=where), "base_url= was not given; the address is ours"
    try:
        return asyncio.run(survey(url)), ""
    except EndpointUnusable as error:
        return Survey(url, dialect_source=f"ours: the server did not answer; {OTHERS}"), str(error)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"cannot write {path}: {error.strerror or error}") from None


def _show(path: Path, found: Description, folder: Path) -> None:
    output = console.standard_output()
    left_out = ", ".join(found.missing)
    lines = [f"{path}: {', '.join(found.values)}" + (f"; left out, see its comments: {left_out}" if left_out else "")]
    lines.append(f"evalsuite run --config-dir {folder} model={found.name} task=NAME")
    for line in lines:
        output.print(line, soft_wrap=True, markup=False)
