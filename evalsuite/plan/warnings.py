"""What must be said beside a plan: baselines that are not there, aides that are missing, windows that are too short."""

from collections.abc import Iterator, Mapping

from evalsuite.config.settings import Run
from evalsuite.plan.benchmarks import TaskFacts
from evalsuite.plan.cost import ModelCost, Speed
from evalsuite.plan.recorded import RecordedBaseline


def of_baseline(
    run: Run, baseline: str | None, tasks: Mapping[str, TaskFacts], here: Mapping[str, RecordedBaseline]
) -> Iterator[str]:
    """How far a baseline (its key; None: nobody declares one) is recorded (``here``: by task) or still to be asked."""
    if baseline is None:
        yield "No model here declares a baseline: chances are for a comparison with an arm asked in the same way."
        return
    if baseline in run.models:
        return
    for name, cell in here.items():
        if cell.complete and cell.items < tasks[name].items:
            yield (
                f"{name}: the recorded baseline has {cell.items:,} of {tasks[name].items:,} items; only these are "
                "compared."
            )
    lacking = [name for name in tasks if name not in here]
    if lacking:
        yield (
            f"The baseline {baseline} is not part of this plan and not recorded for {', '.join(lacking)}: it must be "
            f"asked too, as many tokens again. To plan it: 'model=[{baseline},...]'."
        )


def of_aides(run: Run, tasks: Mapping[str, TaskFacts]) -> Iterator[str]:
    """Judge and simulator that tasks need and the run lacks."""
    judged = [name for name, one in tasks.items() if one.typical["judge"] is not None]
    if judged and run.judge is None:
        yield f"{', '.join(judged)}: no judge is chosen; answers wait for `evalsuite judge run=ID judge=NAME`."
    talking = [name for name, one in tasks.items() if one.typical["simulator"] is not None]
    if talking and run.simulator is None:
        yield f"{', '.join(talking)}: needs a simulator (simulator=NAME) and is not asked without one."


def of_windows(costs: tuple[ModelCost, ...], speed: Speed) -> Iterator[str]:
    """Requests and attempts that no window can finish."""
    if speed.window is None or speed.rate is None:
        return
    never: dict[str, list[dict[str, str]]] = {}
    lost: dict[str, int] = {}
    for one in costs:
        for task in one.tasks:
            if task.fits is False:
                taken = f"{(task.request_seconds or 0) / 3600:.1f}"
                never.setdefault(taken, []).append({"model": one.model, "task": task.task})
                lost[taken] = lost.get(taken, 0) + task.attempts
            elif task.unfit >= 0.5:
                yield f"{one.model}, {task.task}: about {task.unfit:,.0f} of {task.attempts:,} attempts fit no window."
    for taken, where in never.items():
        models, tasks = (", ".join(dict.fromkeys(row[place] for row in where)) for place in ("model", "task"))
        yield (
            f"A request may take {taken} h and fits no window of {speed.window / 3600:g} h ({tasks}; {models}): none "
            f"of these {lost[taken]:,} attempts is sent. Fewer requests at a time make each faster; "
            "recorded lengths (baseline_run=) are a closer bound than max_tokens."
        )
