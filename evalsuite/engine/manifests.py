"""What a run asks for: its models, its benchmarks with their questions, and the manifest of every cell."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evalsuite.config.aa import arm_identity, check_names, with_second_arms
from evalsuite.config.settings import DEMO, AuxiliaryModel, Model, Run
from evalsuite.endpoint.thinking import stated_switch
from evalsuite.records import SCHEMA
from evalsuite.store.extents import new_extent
from evalsuite.store.runs import CellName, model_label
from evalsuite.tasks.loading import LoadedTask, load_tasks
from evalsuite.version import __version__


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The models, the tasks and the cells of one run."""

    models: Mapping[str, Model]
    """Model -> its settings, with the run's thinking switch applied."""
    tasks: Mapping[str, LoadedTask]
    manifests: Mapping[CellName, dict[str, Any]]
    """(model label, task) -> the manifest as it is asked for now."""
    judge: AuxiliaryModel | None = None
    simulator: AuxiliaryModel | None = None
    accepted: Mapping[str, str] = field(default_factory=dict)
    """What a person accepts in the results of this run, each with a reason; kept in the manifests."""

    @property
    def auxiliaries(self) -> dict[str, Model]:
        """Role -> settings of the judge and the simulator, where a task of this run needs them and they are
        configured."""
        needed = {role for task in self.tasks.values() for role in task.needs}
        roles = {"judge": self.judge, "simulator": self.simulator}
        return {role: model for role, model in roles.items() if role in needed and model is not None}


def run_spec(settings: Run, tasks: Mapping[str, LoadedTask] | None = None) -> RunSpec:
    """Describe the models, tasks and cells of a run. Sends nothing to models and writes no cell.

    ``tasks``: name -> loaded task; None: they are loaded from the settings' data (which may be a download), and their
    first request is built. Raises ``BadInput`` for a model's name that is reserved for a second arm; loading raises as
    ``load_tasks``.
    """
    check_names(settings.models)
    models = with_second_arms(settings.models) if settings.aa else dict(settings.models)
    if settings.thinking is not None:
        models = {name: replace(model, thinking=settings.thinking) for name, model in models.items()}
    if settings.varies:
        models = {name: replace(model, varies=settings.varies) for name, model in models.items()}
    if tasks is None:
        tasks = load_tasks(settings)
        for task in tasks.values():
            task.first_request()  # what is missing for a prompt shows before anything is sent
    manifests = {
        (model_label(name, model.thinking), task.name): cell_manifest(
            name, model, task.for_model(model), settings.baseline
        )
        for name, model in models.items()
        for task in tasks.values()
    }
    reasons = {"degenerate": settings.accept_degenerate}
    accepted = {what: reason for what, reason in reasons.items() if reason is not None}
    return RunSpec(models, tasks, manifests, settings.judge, settings.simulator, accepted)


def cell_manifest(name: str, model: Model, task: LoadedTask, baseline: str | None) -> dict[str, Any]:
    """The manifest of a new cell of the model with key ``name``; ``identity`` in it holds what a continuation must
    share.

    ``baseline`` is the model that the run is compared with; None: the model's own baseline. That of a second arm is
    its first arm whatever ``baseline`` is.
    """
    arm = arm_identity(name)
    return {
        "schema": SCHEMA,
        "identity": {
            "model": name,
            "checkpoint": model.checkpoint,
            "revision": model.revision,
            "thinking": model.thinking,
            "task": task.name,
            "adapter": task.settings.adapter,
            "protocol": task.adapter.version.partition(".")[0],
            "variant": task.settings.variant,
            "options": _options(task),
            "sampling": dict(task.sampling),
            "seed": task.seed,
            "data_sha": task.data_sha,
            **arm,
            **({"thinking_switch": switch} if (switch := stated_switch(model)) else {}),
            **({"body": body} if (body := _body(model)) else {}),
        },
        "version": task.adapter.version,
        "title": model.title,
        "precision": model.precision,
        "quantized": dict(model.quantized),
        **({} if model.launch.weights_gb is None else {"weights_gb": model.launch.weights_gb}),
        "baseline": model.same_as if arm else baseline or model.baseline,
        "same_as": model.same_as,
        **({"varies": list(model.varies)} if model.varies else {}),
        "sampling_origin": dict(task.origin),
        "items": [item.id for item in task.items],
        "total_items": task.total,
        "selection": task.selection,
        "repeats": task.settings.repeats,
        "data": dict(task.data),
        "extents": [new_extent(task.order, task.selection, task.settings.repeats)],
        **({"gated": True} if task.gated else {}),
        "imported": None,
        "demo": model.base_url == DEMO or name.startswith("demo_"),
        "server": [],
        "evalsuite": __version__,
    }


def _body(model: Model) -> dict[str, Any]:
    """The fields of the model's ``server.body`` that are part of what is measured (all but ``body_not_protocol``)."""
    return {name: value for name, value in model.server.body.items() if name not in model.server.body_not_protocol}


def _options(task: LoadedTask) -> dict[str, Any]:
    """Option -> value of a task for the manifest: what defines what is asked and how it is graded, without paths of
    this machine."""
    local: tuple[str, ...] = getattr(task.adapter, "local_options", ())
    return {name: value for name, value in task.settings.options.items() if name not in local}
