"""``urls=[A,B]``: a first comparison of servers that no file describes yet; the first one is the baseline."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from evalsuite.cli.model_description import Description, describe
from evalsuite.config.address import shown_urls
from evalsuite.config.files import ConfigSource, config_source
from evalsuite.config.model_checks import NAME, RESERVED, address_problems
from evalsuite.config.sampling import fields, model_sampling, sampling_origin
from evalsuite.config.settings import Run
from evalsuite.endpoint.identity.checkpoint import read_files
from evalsuite.endpoint.identity.survey import Survey, survey
from evalsuite.errors import BadInput
from evalsuite.report import console

COMMANDS = ("run", "doctor")
_USAGE = "write evalsuite run 'urls=[http://A:PORT/v1,http://B:PORT/v1]' task=NAME"


def models_at(
    command: str, overrides: Sequence[str], config_dir: str | None
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """(the other overrides, key -> settings of the model at each address of ``urls=``), asked of the servers.

    The first is the baseline of the others; sampling limits are added to the overrides. Raises ``BadInput`` for fewer
    than two addresses or one that is given twice, invalid ones, a command other than ``run`` and ``doctor``, and
    ``model=`` or ``launch=`` beside them; ``EndpointUnusable`` for a server that does not answer or refuses the key.
    """
    others = [word for word in overrides if not word.startswith("urls=")]
    urls = [
        url.strip(" '\"") for word in overrides if word.startswith("urls=") for url in word[5:].strip("[]").split(",")
    ]
    if command not in COMMANDS:
        raise BadInput(f"urls= is for {' and '.join(COMMANDS)}; for {command}: evalsuite models new NAME base_url=URL")
    if len(urls) < 2 or len(set(urls)) < len(urls):
        raise BadInput(f"urls= takes two addresses or more, each another one: {_USAGE}")
    if any(word.startswith(("model=", "launch=")) for word in others):
        raise BadInput("urls= gives the models of this process: leave model= and launch= out, or describe the models "
                       "once with evalsuite models new NAME base_url=URL")  # fmt: skip
    problems = [problem for url in urls for problem in address_problems("urls", url)]
    if problems:
        raise BadInput("\n".join(problems))
    surveys = asyncio.run(_survey_all(urls))
    source = config_source("run", Run, ("model",), config_dir)
    found = _described(surveys, source)
    return [*others, *_own_limits(found, others)], {model.name: _settings(model, found[0]) for model in found}


async def _survey_all(urls: Sequence[str]) -> list[Survey]:
    return await asyncio.gather(*(survey(url) for url in urls))


def _described(surveys: Sequence[Survey], source: ConfigSource) -> list[Description]:
    names: list[str] = []
    for server in surveys:
        stated = str(server.canonical.get("checkpoint") or next(iter(server.names), "") or "model")
        names.append(_name(stated, server.base_url, names))
    found = []
    for name, server in zip(names, surveys, strict=True):
        files = read_files(str(server.canonical.get("checkpoint") or ""), download=False)
        found.append(describe(name, "", files, server, source))
    return found


def _name(stated: str, url: str, taken: Sequence[str]) -> str:
    """A key for the model that a server at ``url`` calls ``stated``, from its last part: lower-case letters, digits and
    ``_``, ``model`` where it has none.

    The port or a number is added where the key is in ``taken`` or reserved.
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "_", stated.rstrip("/").rpartition("/")[2]).strip("_").lower()[:60] or "model"
    if plain in taken or plain in RESERVED or not NAME.fullmatch(plain):
        plain = f"{plain}_{urlsplit(url).port or len(taken) + 1}"
    return plain if plain not in taken else f"{plain}_{len(taken) + 1}"


def _settings(model: Description, first: Description) -> dict[str, Any]:
    """The settings (``models.KEY``) of one model of ``urls=``; ``first`` is the baseline of all others.

    Without launch command; the first keeps its stated sampling if that holds a temperature, the others get none, so
    that the baseline's holds for them.
    """
    values = {key: value for key, value in model.values.items() if key not in ("launch", "baseline", "sampling")}
    values["title"] = str(model.values["checkpoint"])
    own = first.values.get("sampling", {})
    if model is not first:
        values["baseline"] = first.name
    elif "temperature" in own:
        values["sampling"] = own
    return values


def _own_limits(found: Sequence[Description], overrides: Sequence[str]) -> list[str]:
    """Overrides for each model: ``max_tokens`` that fits all servers, and ``top_k=null`` where no source states the
    first model's temperature.

    Empty where the sampling of a card or a known baseline, or ``sampling=`` of ``overrides``, decides; a value that
    ``overrides`` set for all is left alone.
    """
    stated = [model.values["sampling"] for model in found if "sampling" in model.values]
    if len(stated) < len(found) or any(word.startswith("sampling=") for word in overrides):
        return []
    limits = {"max_tokens": str(min(own["max_tokens"] for own in stated))}
    if "temperature" not in stated[0]:
        limits["top_k"] = "null"
    given = {word.partition("=")[0] for word in overrides}
    return [
        f"models.{model.name}.sampling.{name}={value}"
        for model in found
        for name, value in limits.items()
        if f"sampling.{name}" not in given
    ]


def print_models(run: Run) -> None:
    """Print a line for each model of ``urls=`` to standard error: key, checkpoint, address, baseline,
    sampling with sources.
    """
    output = console.lines_output(stderr=True)
    for name, model in run.models.items():
        sampling = model_sampling(run.sampling, model)
        origin = sampling_origin(sampling)
        words = ", ".join(f"{field}={value} ({origin[field]})" for field, value in fields(sampling).items())
        role = f"compared with {model.baseline}" if model.baseline else "the baseline"
        place = shown_urls(str(model.base_url))
        output.print(f"{name}: {model.checkpoint} at {place}, {role}; {words}", markup=False)
