"""Finds and builds tasks of lm-eval: names, groups, local data, reproducible random draws."""

import contextlib
import difflib
import functools
import logging
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from evalsuite.errors import BadInput
from evalsuite.tasks import hub
from evalsuite.tasks.datasets import Source, local_path
from evalsuite.tasks.lm_eval.imports import code_at_import, imports_nltk
from evalsuite.tasks.registry import new_import


def build(name: str, folder: Path, source: Source) -> list[Any]:
    """Build the lm-eval tasks (``lm_eval.api.task.Task``) of a task, group or tag ``name``, and load their data.

    They are checked before data is loaded. ``folder`` holds YAML files in addition to lm-eval's own; data is from the
    hub or the local folder of ``source``. Raises ``BadInput`` for unknown names, tasks that one chat reply cannot
    answer or whose modules load a metric's script on import, missing packages, missing data, and files that lm-eval
    cannot read.
    """
    import datasets
    from jinja2 import TemplateError

    try:
        manager = _manager_for(name, folder)
        index = manager.task_index
        shipped = {leaf: index[leaf] for leaf in _leaves(index, name)}
        for leaf, entry in shipped.items():
            refuse_unsupported(leaf, entry.cfg or {})
            if call := code_at_import(entry.cfg or {}):
                raise BadInput(
                    f"lm-eval task '{leaf}' runs code when it is imported, in this process and without a sandbox:"
                    f" {call}. It is not loaded; lm_eval itself runs it."
                )
        reads_nltk = any(imports_nltk(entry.cfg or {}) for entry in shipped.values())
        if reads_nltk and source.root:
            import_module("nltk.data").path.insert(0, f"{source.root}/nltk_data")
        try:
            with contextlib.redirect_stdout(sys.stderr):  # some modules print when they are imported
                if source.kind == "local":
                    index.update({leaf: _redirected(entry, Path(source.root or "")) for leaf, entry in shipped.items()})
                with hub.settled_client() if source.kind == "hub" else contextlib.nullcontext():
                    built = list(manager.load([name])["tasks"].values())
        finally:
            index.update(shipped)
        if reads_nltk:
            _check_nltk(name)
        return built
    except ImportError as error:
        hint = new_import(error)
        moved = f"; {hint}" if hint else ""
        raise BadInput(f"lm-eval task '{name}' needs a package that is missing: {error}{moved}") from error
    except ConnectionError as error:
        leaf, entry = next(iter(shipped.items()))
        raise BadInput(
            f"lm-eval task '{name}' has no data here: {error}; without the hub: data=local data.root=DIR with"
            f" DIR/{leaf}/{_splits(entry.cfg or {})[0]}.jsonl[.gz] in the dataset's own columns"
        ) from error
    except (OSError, ValueError, KeyError, SyntaxError, TemplateError, datasets.exceptions.DatasetsError) as error:
        raise BadInput(f"lm-eval task '{name}' cannot be built: {type(error).__name__}: {error}") from error


def _check_nltk(name: str) -> None:
    """Raise ``BadInput`` naming the lm-eval task ``name`` when ``punkt_tab``, the data with
    which NLTK splits sentences, is missing.
    """
    try:
        import_module("nltk.data").find("tokenizers/punkt_tab")
    except LookupError:
        raise BadInput(
            f"lm-eval task '{name}' splits sentences with NLTK's punkt_tab, which is not here: `python -m"
            " nltk.downloader -d DIR punkt_tab` and NLTK_DATA=DIR, or DIR/nltk_data with data=local data.root=DIR"
        ) from None


def _manager_for(name: str, folder: Path) -> Any:
    """Return lm-eval's ``TaskManager`` that knows ``name``; its own 14,000 YAML files are read only if ``folder`` lacks
    it or a task below it.

    Raises ``BadInput`` for an unknown name (with similar ones, if any) and when ``folder`` is not a folder.
    """
    if not folder.is_dir():
        raise BadInput(f"adapter lm_eval: include_path '{folder}' is not a folder")
    for with_defaults in (False, True):
        manager = _manager(folder, with_defaults)
        index = manager.task_index
        if name in index and all(leaf in index for leaf in _leaves(index, name)):
            return manager
    if name in index:
        return manager
    similar = difflib.get_close_matches(name, index, n=5)
    hint = f"; near names: {', '.join(similar)} (task=lm_eval:{similar[0]})" if similar else ""
    raise BadInput(
        f"unknown lm-eval task '{name}'{hint}. `lm_eval ls tasks` lists {len(index)} names; further YAMLs are read from"
        f" include_path (now '{folder}')."
    )


@functools.cache
def _manager(folder: Path, include_defaults: bool) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), include_defaults=include_defaults)


def _leaves(index: Mapping[str, Any], name: str) -> list[str]:
    """Return the names of the single tasks below a group or tag ``name`` in the task index of lm-eval.

    Of a single task, and of an unknown name, it is the name itself; those of a tag are sorted, those of a group in its
    own order, maybe with repetitions.
    """
    entry = index.get(name)
    config = (entry.cfg or {}) if entry else {}
    if entry and not config and entry.tags:
        return sorted(entry.tags)
    return _below(index, config) if "group" in config else [name]


def _below(index: Mapping[str, Any], group: Mapping[str, Any]) -> list[str]:
    names = []
    for child in group.get("task") or ():
        name = child if isinstance(child, str) else child.get("group") or child["task"]
        inline = not isinstance(child, str) and "group" in child and name not in index
        names += _below(index, child) if inline else _leaves(index, name)
    return names


def refuse_unsupported(name: str, config: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for an lm-eval task that one chat reply cannot answer; ``config`` is its YAML content.

    Refused are output types other than ``generate_until``, several replies per item,
    pictures or sound, and unsafe code.
    """
    kind = config.get("output_type") or "generate_until"
    if kind != "generate_until":
        raise BadInput(
            f"lm-eval task '{name}' is of output type {kind}: it needs the log-probabilities of given continuations,"
            " which chat endpoints do not give. Use a generate_until variant of the task."
        )
    if (config.get("repeats") or 1) > 1:
        raise BadInput(f"lm-eval task '{name}' grades {config['repeats']} replies together; evalsuite grades each")
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        raise BadInput(f"lm-eval task '{name}' asks with pictures or sound, which this adapter does not send")
    if config.get("unsafe_code"):
        raise BadInput(f"lm-eval task '{name}' would run the model's code in this process, without a sandbox")


def _redirected(entry: Any, root: Path) -> Any:
    """Return lm-eval's entry of a task with its dataset replaced by JSONL files in
    ``root/<task>`` or ``root/<its folder>``.

    The first folder with the evaluated split is taken. Raises ``BadInput`` for a task that loads its data in code of
    its own, and when there is no file of the evaluated split or, in the same folder, of the split of its examples.
    """
    if entry.yaml_path is None or "class" in (entry.cfg or {}):
        raise BadInput(f"lm-eval task '{entry.name}' loads its data in code of its own; use data=hub")
    config = _resolved_yaml(entry.yaml_path)
    evaluated, examples = _splits(config)
    folders = list(dict.fromkeys((entry.name, entry.yaml_path.parent.name)))
    available = [folder for folder in folders if any((root / folder).glob(f"{evaluated}.jsonl*"))]
    if not available:
        places = " or ".join(str(root / folder) for folder in folders)
        raise BadInput(f"no {evaluated}.jsonl[.gz] for lm-eval task '{entry.name}' in {places}: check data.root")
    files = {split: str(local_path(root, available[0], split)) for split in (evaluated, examples) if split}
    config.pop("custom_dataset", None)
    local = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    metadata = {**(config.get("metadata") or {}), "dataset": config.get("dataset_path")}  # gated items are known by it
    return replace(entry, yaml_path=None, cfg={**config, **local, "metadata": metadata})


def _resolved_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a task's YAML file with its includes merged and its functions
    imported, by lm-eval's own loader.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    return dict(load_yaml(path))


def _splits(config: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return (name of the evaluated split, name of the split of the examples or None) of a task's YAML content.

    The first is the test split, else validation. The second is the stated one; else None if the YAML lists the examples
    itself; else training, else validation, else None. It is given even when no examples are used. Raises ``BadInput``
    where there is neither a test nor a validation split.
    """
    evaluated = config.get("test_split") or config.get("validation_split")
    if evaluated is None:
        raise BadInput(f"lm-eval task '{config.get('task')}' has neither a test nor a validation split")
    fewshot = config.get("fewshot_config") or {}
    stated = fewshot.get("split") or config.get("fewshot_split")
    default = None if fewshot.get("samples") else config.get("training_split") or config.get("validation_split")
    return str(evaluated), stated or default


@contextlib.contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Context manager (yields None): in the block what a task draws from the global generators of ``random`` and NumPy
    depends on ``seed`` alone (0 to 2^32 - 1).

    Progress bars of ``datasets``, its log messages below CRITICAL and those of ``lm_eval`` below ERROR are silenced,
    and cached ``Dataset.map`` results are not used, because some tasks shuffle options in them. All is restored at the
    end.
    """
    import datasets
    import numpy as np

    python, numpy, logger = random.getstate(), np.random.get_state(), logging.getLogger("lm_eval")
    caching, level = datasets.is_caching_enabled(), logger.level
    random.seed(seed)
    np.random.seed(seed)
    datasets.disable_caching()
    logger.setLevel(logging.ERROR)
    try:
        with hub.quiet():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if caching:
            datasets.enable_caching()
        logger.setLevel(level)
