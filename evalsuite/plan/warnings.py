"""Warnings of a plan: missing baselines, missing judges and simulators, and time windows that are too short."""

from collections.abc import Iterator, Mapping

from evalsuite.config.settings import Run
from evalsuite.plan.benchmarks import TaskFacts
from evalsuite.plan.cost import ModelCost, Speed
from evalsuite.plan.recorded import RecordedBaseline


def baseline_warnings(
    run: Run, baseline: str | None, tasks: Mapping[str, TaskFacts], recorded: Mapping[str, RecordedBaseline]
) -> Iterator[str]:
    """Yield warnings: that no model declares a baseline; or, for one that is not part of the run, about each complete
    recorded cell with fewer items than planned, and one naming all tasks for which nothing is recorded. A recorded cell
    that is not complete gives no warning.

    ``baseline`` is its key (None: no model declares one), ``tasks`` the planned tasks, ``recorded`` its recorded cells
    by task.
    """
    if baseline is None:
        yield "No model here declares a baseline: chances are for a comparison with a model measured in the same way."
        return
    if baseline in run.models:
        return
    for name, cell in recorded.items():
        if cell.complete and cell.items < tasks[name].items:
            yield (
                f"{name}: the recorded baseline has {cell.items:,} of {tasks[name].items:,} items; only these are "
                "compared."
            )
    missing = [name for name in tasks if name not in recorded]
    if missing:
        yield (
            f"The baseline {baseline} is not part of this plan and not recorded for {', '.join(missing)}: it must be "
            f"asked too, as many tokens again. To plan it: 'model=[{baseline},...]'."
        )


def auxiliary_warnings(run: Run, tasks: Mapping[str, TaskFacts]) -> Iterator[str]:
    """Yield a warning for a judge and one for a simulator, each if some of ``tasks`` need it and the run does not have
    it.
    """
    judged = [name for name, facts in tasks.items() if facts.typical["judge"] is not None]
    if judged and run.judge is None:
        yield f"{', '.join(judged)}: no judge is chosen; answers wait for `evalsuite judge run=ID judge=NAME`."
    simulated = [name for name, facts in tasks.items() if facts.typical["simulator"] is not None]
    if simulated and run.simulator is None:
        yield f"{', '.join(simulated)}: needs a simulator (simulator=NAME) and is not asked without one."


def window_warnings(costs: tuple[ModelCost, ...], speed: Speed) -> Iterator[str]:
    """Yield warnings about what does not fit into a time window; none without rate or window.

    First one for each model and task whose requests fit (``TaskCost.fits``), but with 0.5 or more attempts expected to
    be longer than a window (``TaskCost.unfit``). Then one for each duration, rounded to tenths of an hour, of requests
    that do not fit, with their tasks and models.
    """
    if speed.window is None or speed.rate is None:
        return
    too_long: dict[str, list[dict[str, str]]] = {}
    attempts: dict[str, int] = {}
    for model in costs:
        for task in model.tasks:
            if task.fits is False:
                duration = f"{(task.request_seconds or 0) / 3600:.1f}"
                too_long.setdefault(duration, []).append({"model": model.model, "task": task.task})
                attempts[duration] = attempts.get(duration, 0) + task.attempts
            elif task.unfit >= 0.5:
                share = f"about {task.unfit:,.0f} of {task.attempts:,} attempts"
                yield f"{model.model}, {task.task}: {share} fit no window."
    for duration, cells in too_long.items():
        models, tasks = (", ".join(dict.fromkeys(row[key] for row in cells)) for key in ("model", "task"))
        yield (
            f"A request may take {duration} h and fits no window of {speed.window / 3600:g} h ({tasks}; {models}): "
            f"none of these {attempts[duration]:,} attempts is sent. Fewer requests at a time make each faster; "
            "recorded lengths (baseline_run=) are a closer bound than max_tokens."
        )
