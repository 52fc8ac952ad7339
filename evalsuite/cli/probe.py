"""The ``probe`` command: is a candidate's arithmetic sane, and where not? Reads the baseline's answers again."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

from evalsuite.analysis.fidelity import DivergentToken, Probe, evaluate
from evalsuite.config.compose import load_settings
from evalsuite.config.paths import expanded
from evalsuite.config.settings import DEMO, Model, Run
from evalsuite.endpoint import environment
from evalsuite.endpoint.client import Client
from evalsuite.engine.embedded import serve_demo
from evalsuite.engine.identity.preflight import close_all
from evalsuite.engine.probe import reference as stored_reference
from evalsuite.engine.probe.answers import ANSWERS, StoredAnswer, choose_answers
from evalsuite.engine.probe.reference import Reference
from evalsuite.engine.probe.session import read_baseline, read_candidate, reference_path, text_around
from evalsuite.errors import BadInput, EndpointUnusable, Exit
from evalsuite.report import console
from evalsuite.report.probe import FOLDER, probe_tables, verdict_line
from evalsuite.store.artefact import open_artefact
from evalsuite.store.manifest import write_json
from evalsuite.store.runs import TableCell, find_run, run_cells


def probe(settings: Run) -> Exit:
    """Get the probabilities that each candidate's server gives the tokens of stored answers of the baseline, and
    compare them with those of the baseline's own server.

    The latter are kept below ``results_dir``; they are asked for where there are none, and again if the baseline is
    among the models. Writes ``probe/<candidate>.json`` into the run of ``run_id``, else into the baseline's run (where
    the baseline is a file: into ``results_dir``), or the file ``to=FILE`` instead; prints the result.

    Returns ``DONE`` without an alarm and where only the baseline was read, ``FAIL`` with an alarm, ``INCOMPLETE`` where
    nothing can be seen; of several candidates the worst (``FAIL`` before ``INCOMPLETE``). Raises ``BadInput`` for a
    baseline without answers, one that was asked with other questions than are here, or one that was not read and that
    no configuration names, for ``to=`` with several candidates, and for an ``accepted=`` that is no such file;
    ``EndpointUnusable`` for servers that cannot be used, ``NoLogprobs`` for one that gives no probabilities of given
    tokens.
    """
    accepted = _accepted(settings.accepted)
    with ExitStack() as stack:
        cells = _baseline(settings, stack)
        chosen = choose_answers(cells, settings.data, settings.answers or ANSWERS)
        return asyncio.run(_probe_all(settings, cells, chosen, accepted))


async def _probe_all(
    settings: Run, cells: Sequence[TableCell], chosen: Sequence[StoredAnswer], accepted: Mapping[str, Any] | None
) -> Exit:
    name = cells[0].model.removesuffix("-nothink")
    candidates = [model for model in settings.models if model != name]
    if settings.to is not None and len(candidates) > 1:
        raise BadInput(f"to= names one file, and there are {len(candidates)} candidates: give one, or leave out to=")
    file = reference_path(Path(settings.results_dir), chosen, str(cells[0].identity.get("checkpoint")))
    reference = stored_reference.load(file, chosen)
    wanted = dict(settings.models)
    if reference is None and name not in wanted:
        wanted = _with_baseline(settings, name, wanted)
    thinking = cells[0].identity.get("thinking") is not False
    wanted = {model: replace(served, thinking=thinking) for model, served in wanted.items()}
    with ExitStack() as stack:
        served = serve_demo(wanted, stack)
        if name in served and (reference is None or name in settings.models):
            _report(name, "the baseline")
            reference = await read_baseline(served[name], settings.engine, chosen, lambda text: _report(name, text))
            stored_reference.save(file, reference)
        if reference is None:
            raise BadInput(f"the baseline has not been read: serve it, then evalsuite probe model={name} ...")
        greedy = all((cell.identity.get("sampling") or {}).get("temperature") == 0 for cell in cells)
        codes = [
            await _candidate(settings, model, served[model], (name, reference, greedy, accepted))
            for model in candidates
        ]
    if not codes:
        console.standard_output().print(f"the baseline is on record: evalsuite probe model=CANDIDATE ... ({file})")
    return max(codes, key=_SEVERITY.index, default=Exit.DONE)


_SEVERITY = (Exit.DONE, Exit.INCOMPLETE, Exit.FAIL)


async def _candidate(
    settings: Run, name: str, model: Model, known: tuple[str, Reference, bool, Mapping[str, Any] | None]
) -> Exit:
    baseline, reference, greedy, accepted = known
    reading, clients = await read_candidate(model, settings.engine, reference, lambda text: _report(name, text))
    try:
        result = evaluate(
            (baseline, name),
            reference,
            (reading.together, reading.alone),
            prompts_differ=reading.prompts_differ,
            greedy=greedy,
            accepted=accepted,
        )
        result = replace(result, worst=tuple([await _shown(place, reference, clients[0]) for place in result.worst]))
    finally:
        await close_all(clients)
    return _write(settings, result)


async def _shown(place: DivergentToken, reference: Reference, client: Client) -> DivergentToken:
    answer = next(answer for answer in reference.answers if answer.stored.key == place.answer)
    text = "" if answer.stored.gated else await text_around(client, answer.answer, place.place)
    return replace(place, text=text)


def _write(settings: Run, result: Probe) -> Exit:
    content = result.to_json()
    path = Path(settings.to) if settings.to is not None else _folder(settings) / FOLDER / f"{result.model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    output = console.standard_output()
    console.show(probe_tables(content), "", output)
    output.print(f"\n{result.model}: {verdict_line(content)}", soft_wrap=True, markup=False)
    output.print(f"probe: {path}", soft_wrap=True, markup=False)
    if result.alarms:
        return Exit.FAIL
    return Exit.INCOMPLETE if result.blind else Exit.DONE


def _folder(settings: Run) -> Path:
    """The folder in which ``probe/`` is put: that of ``run_id`` in ``results_dir``, else the baseline's run, or
    ``results_dir`` where the baseline is a file. Raises ``BadInput`` if the baseline's run is needed and is not there;
    ``run_id`` is not checked.
    """
    results = Path(settings.results_dir)
    if settings.run_id is not None:
        return results / settings.run_id
    baseline = str(settings.baseline_run)
    return find_run(baseline, results) if not expanded(baseline).is_file() else results


def _baseline(settings: Run, stack: ExitStack) -> tuple[TableCell, ...]:
    """The cells of the baseline: all of an artefact (open until ``stack`` is closed), or those of one model of a run.

    That model is ``baseline=``, else the one that ``settings.models`` name as their baseline, else the only one there
    that is one of ``settings.models``, else the only one there. Raises ``BadInput`` if it is not clear or not there, or
    there is no such run.
    """
    path = expanded(str(settings.baseline_run))
    if path.is_file():
        return stack.enter_context(open_artefact(path)).cells
    available = run_cells(find_run(str(settings.baseline_run), Path(settings.results_dir)))
    names = list(dict.fromkeys(cell.model for cell in available))
    declared = {model.baseline for model in settings.models.values()} | set(settings.models)
    found = [settings.baseline] if settings.baseline else [name for name in names if name in declared] or names
    roots = [name for name in found if name is not None]
    bases = {model.baseline for model in settings.models.values()} & set(roots)
    chosen = sorted(str(name) for name in bases) or roots
    cells = tuple(cell for cell in available if cell.model == chosen[0])
    if len(chosen) != 1 or not cells:
        raise BadInput(f"baseline_run={settings.baseline_run} holds {', '.join(names)}: choose one with baseline=NAME")
    return cells


def _with_baseline(settings: Run, name: str, wanted: Mapping[str, Model]) -> dict[str, Model]:
    """The models ``wanted`` (name -> settings), and before them the baseline ``name`` as its file describes it.

    Raises ``BadInput`` if no configuration names it, ``EndpointUnusable`` if an address of it (other than ``demo``) is
    also a candidate's, as text without a slash at the end.
    """
    try:
        known = load_settings([f"model={name}"], settings.config_dir, "doctor").models[name]
    except BadInput as error:
        problem = f"the baseline {name} has not been read, and no configuration names its server"
        raise BadInput(f"{problem}: {error}") from None
    others = {url.rstrip("/") for model in wanted.values() for url in environment.base_urls(model)} - {DEMO}
    if others.intersection(url.rstrip("/") for url in environment.base_urls(known)):
        raise EndpointUnusable(
            f"the baseline {name} has not been read, and its address {known.base_url} is the candidate's: serve the "
            f"baseline, give evalsuite probe model={name} baseline_run={settings.baseline_run}, then the candidate"
        )
    return {name: known, **wanted}


def _accepted(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        sizes = [float(content[name]["value"]) for name in ("nats", "flips")]
        sizes += [float(stratum["nats"]) for stratum in content["strata"] if stratum["name"]]
        if not all(map(isfinite, sizes)):
            raise ValueError("a size that is no number")
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise BadInput(f"accepted={path}: not the probe.json of an accepted candidate ({error})") from None
    return dict(content)


def _report(name: str, text: str) -> None:
    console.lines_output(stderr=True).print(f"{name}: {text}")
