"""``dry_run=true``: the first request of every task, and nothing is sent."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalsuite.config.settings import Model, Run
from evalsuite.endpoint.body import request_body
from evalsuite.engine.conversation import request_seed
from evalsuite.engine.manifests import run_spec
from evalsuite.errors import BadInput, Exit
from evalsuite.report.console import lines_output
from evalsuite.tasks.loading import LoadedTask


def dry_run(settings: Run) -> Exit:
    """Print the first full request of every single-turn task, once for each body that differs in more than the model's
    name; no request is sent.

    Also prints where each sampling value comes from and how many items are asked. Dialogues and gated questions are not
    shown, texts that begin with ``data:`` (pictures) are cut. Returns ``DONE``; loads the questions. Raises
    ``BadInput`` without a model and where a task cannot be loaded: one line, or the table of all that a run lacks.
    """
    try:
        spec = run_spec(settings)
        if not spec.models:
            raise BadInput("no model is chosen: add model=NAME")
    except BadInput:
        from evalsuite.cli.missing import check_complete  # only here: it imports what a plan needs

        check_complete(settings)
        raise
    console = lines_output()
    for task in spec.tasks.values():
        shown: list[dict[str, Any]] = []
        if not task.single_turn:
            console.print(f"# {task.name}: a dialogue of several requests; only a run makes them")
        for name, model in spec.models.items() if task.single_turn else ():
            body = first_body(task, model)
            if task.gated:
                body["messages"] = "(not shown: the items of this task are gated)"
            if (rest := {key: value for key, value in body.items() if key != "model"}) not in shown:
                shown.append(rest)
                console.print(f"# {task.name} ({task.settings.variant}, version {task.adapter.version}) to {name}:")
                console.print_json(data=_abbreviated(body))
        for names, origins in _origins(task, spec.models).items():
            console.print(f"# sampling of {names} and where it comes from: {origins}")
        console.print(f"# {len(task.items)} of {task.total} items x {task.settings.repeats} repeats. Nothing was sent.")
    return Exit.DONE


def _origins(task: LoadedTask, models: Mapping[str, Model]) -> dict[str, str]:
    """Names of models with the same sampling values from the same sources, joined by commas -> ``field=value (source),
    ...`` as one text."""
    alike: dict[str, list[str]] = {}
    for name, model in models.items():
        own = task.for_model(model)
        words = ", ".join(f"{field}={own.sampling[field]} ({origin})" for field, origin in own.origin.items())
        alike.setdefault(words, []).append(name)
    return {", ".join(names): words for words, names in alike.items()}


def first_body(task: LoadedTask, model: Model) -> dict[str, Any]:
    """The JSON body of the first request (first item, repeat 0) of a task to a model; the adapter must have a
    ``prompt`` and the task an item. Its ``model`` is the checkpoint where the name is to be taken from the server
    (``served_name: auto``).
    """
    task = task.for_model(model)
    request = task.first_request()
    assert request is not None
    fields = {**task.sampling, "seed": request_seed(task.seed, task.items[0].id, 0)}
    name = model.checkpoint if model.served_name == "auto" else model.served_name
    return request_body(model, name, replace(request, sampling=fields))


def _abbreviated(value: Any) -> Any:
    """A copy of a JSON value for people: of every text in it that begins with ``data:`` the first 40 characters and its
    length."""
    if isinstance(value, dict):
        return {key: _abbreviated(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_abbreviated(part) for part in value]
    if isinstance(value, str) and value.startswith("data:"):
        return f"{value[:40]}... ({len(value):,} characters)"
    return value
