"""Command lines that work in the place of ones that do not: keys at another place, names of other harnesses, flags."""

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from evalsuite.config.files import GUEST, MULTI, ConfigSource, check_suite, config_key
from evalsuite.config.schema_types import kind_at
from evalsuite.config.settings import Data, Engine, Model, Run, Sampling, Select, Server, Task
from evalsuite.errors import BadInput, unknown_name

_PLACES = (
    (Run, ""), (Sampling, "sampling."), (Task, "tasks.TASK."), (Select, "tasks.TASK.select."),
    (Model, "models.MODEL."), (Server, "models.MODEL.server."), (Engine, "engine."), (Data, "data."),
)  # fmt: skip
"""Dataclasses of the schema and where they stand, in the order in which a key is looked for."""
_FIRST = {"concurrency": "models.MODEL.concurrency", "groups": "tasks.TASK.select.groups", "kind": "data"}
"""Keys of several places, or whose place has a shorter name."""
_ALIASES = {
    "max_length": "max_tokens", "max_new_tokens": "max_tokens", "max_gen_toks": "max_tokens",
    "max_completion_tokens": "max_tokens", "temp": "temperature", "n_samples": "limit", "num_samples": "limit",
    "max_samples": "limit", "samples": "limit", "num_examples": "limit", "n": "repeats", "k": "repeats",
    "epochs": "repeats", "num_repeats": "repeats", "num_trials": "repeats", "batch_size": "concurrency",
    "num_concurrent": "concurrency", "max_connections": "concurrency", "parallel": "concurrency",
    "num_workers": "concurrency", "num_threads": "concurrency", "output_dir": "results_dir",
    "output_path": "results_dir", "out_dir": "results_dir", "log_dir": "results_dir", "results": "results_dir",
    "results_folder": "results_dir", "url": "base_url", "endpoint": "base_url", "api_base": "base_url",
    "model_url": "base_url", "api_url": "base_url", "tasks": "task", "dataset": "task", "datasets": "task",
    "benchmark": "task", "benchmarks": "task", "models": "model", "model_name": "served_name",
    "enable_thinking": "thinking", "reasoning": "thinking", "timeout": "total_seconds",
    "request_timeout": "total_seconds", "max_retries": "retries", "num_retries": "retries",
    "subject": "tasks.TASK.select.groups.subject", "subjects": "tasks.TASK.select.groups.subject",
    "few_shot": "num_fewshot", "fewshot": "num_fewshot", "shots": "num_fewshot",
    "random_seed": "seed", "data_dir": "data.root", "data_root": "data.root", "run": "run_id", "dialect": "server",
    "reasoning_effort": "+models.MODEL.server.body.reasoning_effort", "extra_body": "models.MODEL.server.body",
    "frequency_penalty": "+models.MODEL.server.body.frequency_penalty",
}  # fmt: skip
"""Names of other harnesses and APIs -> ours, or the whole key."""
_KEYS = ("api_key", "apikey", "key", "token", "openai_api_key", "hf_token")
"""Settings whose value is a secret, which is never one of ours."""


def key_hint(error: BadInput, override: str, composed: Mapping[str, Any]) -> BadInput:
    """Return the error for one override, with lines to write in its place where they are known.

    ``error``: what was raised for it, returned unchanged where no line is known; ``composed``: the settings without it,
    as plain values. For a key whose name is that of a secret, the message states where a secret is put.
    """
    key, _, value = override.lstrip("+~").partition("=")
    if "is not a ListConfig" in str(error):
        return BadInput(f"{override}: takes a list; write {quoted(f'{key}=[{value}]')}")
    if not str(error).startswith(("unknown key", "a server belongs")):
        return error
    tasks, models = ([str(name) for name in composed.get(group, {})] for group in ("tasks", "models"))
    if message := secret_hint(key, models):
        return BadInput(message)
    lines = [line for line in working_lines(key, value, models, tasks, composed) if line.strip("'") != override]
    if lines and "did you mean" not in str(error).partition("Known")[0]:
        return BadInput(f"unknown key '{key}'; write {' or '.join(lines)}")
    if lines and key.rpartition(".")[2] in _ALIASES | _places():
        return BadInput(f"unknown key '{key}'; write {' or '.join(lines)}")
    near = difflib.get_close_matches(key.rpartition(".")[2], [*_places(), *_ALIASES], 1, 0.8)
    lines = (
        working_lines(f"{key.rpartition('.')[0]}.{near[0]}".lstrip("."), value, models, tasks, composed) if near else []
    )
    return BadInput(f"{error} Write {' or '.join(lines)}.") if lines else error


def secret_hint(key: str, models: Sequence[str]) -> str:
    """A message on where to put a secret, if the last part of the dotted ``key`` is a name of one (``api_key``,
    ``token`` ...); else empty. ``models``: the first is named in the example.
    """
    if key.rpartition(".")[2].lower().replace("-", "_") not in _KEYS:
        return ""
    model = models[0] if models else "NAME"
    return (
        f"'{key}' is no setting: a key stands in the environment, so that no file or log has it (the value is not "
        f"shown). Write export EVALSUITE_API_KEY=KEY before the command, or models.{model}.api_key_env=VARIABLE"
    )


def working_lines(
    key: str, value: str, models: Sequence[str], tasks: Sequence[str], composed: Mapping[str, Any] | None = None
) -> list[str]:
    """Words ``KEY=VALUE``, quoted for a shell, at the places where a setting of this name exists; empty where none
    does. ``value`` is not checked; a key of a list gets ``KEY=[VALUE]``.

    The name is the first part of ``key`` (behind ``models.X.`` or ``tasks.X.``, if it begins so, and ``options.``),
    with ``_`` for ``-``, or the setting of which this is an alias; parts behind it are kept unchecked. ``models`` and
    ``tasks`` are names, of which ``X`` replaces the one or the other list.

    - A setting of the run gives one word, also behind ``models.X.`` or ``tasks.X.``; but a field of ``sampling`` behind
      ``tasks.X.`` is that of the task.
    - One of models or tasks gives a word for each of the first two names, with ``NAME`` if there are none.
    - Else an option of tasks gives a word for each of ``tasks`` that has it in ``composed`` (the settings as plain
      values; None: no options are known).
    """
    owner, _, rest = key.partition(".")
    name, _, inner = rest.partition(".")
    if owner in ("models", "tasks") and inner:
        models, tasks = ([name], tasks) if owner == "models" else (models, [name])
        key = inner.removeprefix("options.")
    head, dot, tail = key.partition(".")
    head = head.replace("-", "_")
    head = _ALIASES.get(head, head)
    options = _with_option(head, tasks, composed or {})
    if options and head not in _places():
        keys = [f"tasks.{task}.options.{head}" for task in options]
    else:
        place = head if "." in head else _places().get(head, "")
        if owner == "tasks" and inner and head in _names(Sampling):
            place = f"tasks.TASK.sampling.{head}"
        if owner == "tasks" and inner and head in _names(Task):
            place = f"tasks.TASK.{head}"
        many = tasks if "TASK" in place else models
        named = many[:2] or ["NAME"]
        keys = [place.replace("TASK", one).replace("MODEL", one) for one in named] if place else []
        keys = list(dict.fromkeys(keys))
    return [_line(f"{one}{dot}{tail}", value) for one in keys]


_COMMANDS = {
    "eval": "run", "evaluate": "run", "start": "run", "benchmark": "run", "resume": "run", "list": "tasks",
    "ls": "tasks", "models": "tasks", "compare": "report", "summary": "report", "results": "show", "view": "show",
    "download": "fetch", "pull": "fetch", "data": "fetch", "check": "doctor", "verify": "doctor", "test": "doctor",
    "serve": "demo", "score": "rescore", "grade": "judge", "delete": "forget", "remove": "forget", "rm": "forget",
    "estimate": "plan", "cost": "plan", "save": "baseline save", "baseline": "baseline save", "logs": "show",
}  # fmt: skip
"""Commands of other programs -> ours."""


def command_hint(words: Sequence[str], known: Sequence[str]) -> str:
    """The command line that ``words`` probably mean, whose first (there must be one) is no command of ``known``; empty
    where none is likely.
    """
    first, rest = words[0], list(words[1:])
    if "=" in first:
        return " ".join(["evalsuite", "run", *map(quoted, words)])
    near = difflib.get_close_matches(first, known, n=1)
    ours = _COMMANDS.get(first) or (near[0] if near else "")
    return " ".join(["evalsuite", ours, *map(quoted, rest)]) if ours else ""


def flag_hint(flag: str, value: str, words: Sequence[str]) -> str:
    """A message with the setting to write in the place of ``--flag value``; for the name of a secret, where to put it.

    Where no setting of that name or alias exists, the message has ``FLAG=VALUE`` all the same. ``flag`` has its dashes;
    for an empty ``value`` the message has ``VALUE``, or ``true`` for a switch; ``words``: the whole command line, which
    names models and tasks.
    """
    key = flag.lstrip("-").replace("-", "_")
    chosen = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
    models, tasks = (chosen.get(group, "").strip("[]").split(",") for group in ("model", "task"))
    models, tasks = [name for name in models if name], [name for name in tasks if name]
    if message := secret_hint(key, models):
        return message
    kind = kind_at(Run, [key])
    given = value or ("true" if kind is not None and kind.type is bool else "VALUE")
    lines = working_lines(key, given, models, tasks) or [_line(key, given)]
    return f"settings have no dashes: write {' or '.join(lines)} instead of {flag}{f' {value}' if value else ''}"


def check_words(source: ConfigSource, overrides: Sequence[str]) -> None:
    """Raise ``BadInput`` with what to write for an override that is no ``KEY=VALUE``, or a list cut by the shell.

    Also for ``models=`` and ``tasks=`` (unless the value begins with ``{``) and groups without a name. A word without
    ``=`` passes where nothing is known to write for it, or where it begins with ``~``.
    """
    for number, word in enumerate(overrides):
        key, equals, value = word.partition("=")
        following = overrides[number + 1 :]
        if equals and value.startswith("[") and "]" not in value and any("]" in other for other in following):
            end = next(place for place, other in enumerate(following) if "]" in other)
            whole = re.sub(r",+", ",", ",".join([word, *following[: end + 1]]).replace("[,", "[").replace(",]", "]"))
            raise BadInput(f"the shell has cut the list at its blanks: write '{whole}'")
        if equals and key in MULTI.values() and not value.startswith("{"):
            group = next(group for group, dictionary in MULTI.items() if dictionary == key)
            raise BadInput(f"{word}: write {quoted(f'{group}={value}')}")
        if equals and not value and key in source.groups:
            known = ", ".join(source.options(key))
            raise BadInput(f"{word} needs a name: write {key}={source.options(key)[-1]}. Known: {known}.")
        if not equals and not word.startswith("~"):
            after = following[0] if following and "=" not in following[0] else ""
            stated = dict(other.split("=", 1) for other in overrides if "=" in other)
            lines = _bare_word(source, word, after, Path(stated.get("results_dir", "results")))
            if lines:
                raise BadInput(f"'{word}' is not an override (KEY=VALUE): write {lines}")


def check_names(source: ConfigSource, group: str, line: str, names: Sequence[str]) -> None:
    """Raise ``BadInput`` unless the names chosen for a group are files of it, with unequal keys.

    For ``task`` any ``lm_eval:NAME`` passes; a suite's file must also have its header and its name. ``line``: the
    override, for the message.
    """
    keys = [config_key(name) for name in names]
    if doubled := [name for name, key in zip(names, keys, strict=True) if keys.count(key) > 1]:
        raise BadInput(f"{line}: {', '.join(doubled)} have one key, {config_key(doubled[0])}; choose one of them")
    for name in names:
        if group == "task" and name.startswith(GUEST):
            if name == GUEST:
                raise BadInput(f"{line}: {GUEST} stands before a name, such as task=lm_eval:gsm8k")
            continue  # lm-eval knows its tasks; the name is checked when they are loaded
        if name not in source.options(group):
            raise unknown_name(group, name, source.options(group), other_group(source, group, name))
        if group == "suite":
            check_suite(source, name)


def other_group(source: ConfigSource, group: str, name: str) -> str:
    """One or two sentences on what to write for ``name``, which is no file of ``group``: the group that has it, how to
    set a single value of ``sampling``, how to choose a task of lm-eval, or how to add a file of one's own.
    """
    for other in source.groups:
        if other != group and name in source.options(other):
            return f"{name} is a {other}: write {other}={name}."
    if group == "model" and re.search(r"[/:]|^(gpt|claude|gemini|llama|qwen|deepseek|mistral)", name, re.IGNORECASE):
        return (
            f"A model of your own: evalsuite models new mine checkpoint={name if '/' in name else 'ORG/REPO'} "
            "base_url=http://HOST:PORT/v1"
        )
    if group == "sampling":
        return f"A single value: sampling.temperature={name}."
    guests = "A task of lm-eval: task=lm_eval:NAME. " if group == "task" else ""
    return f"{guests}Your own: --config-dir DIR with {group}/."


def newest_run(results: Path) -> str:
    """Name of the folder in ``results`` that was changed last, a run or not, except hidden ones; ``ID`` where there is
    none."""
    folders = results.iterdir() if results.is_dir() else ()
    runs = [path for path in folders if path.is_dir() and not path.name.startswith(".")]
    return max(runs, key=lambda path: path.stat().st_mtime).name if runs else "ID"


def quoted(line: str) -> str:
    """A word of a command line as ``shlex.quote`` writes it: in single quotes if it is empty or has other characters
    than ASCII letters, digits and ``@%+=:,./-_``.
    """
    return shlex.quote(line)


def _bare_word(source: ConfigSource, word: str, after: str, results: Path) -> str:
    if source.primary == "report" and word not in _names(source.schema):
        return f"run={word if Path(word).is_dir() or (results / word).is_dir() else newest_run(results)}"
    if word in source.groups:
        return f"{word}={source.options(word)[-1]}. Known: {', '.join(source.options(word))}."
    if word in _names(source.schema) or word in _ALIASES:
        return " or ".join(working_lines(word, after or "VALUE", [], [])) or f"{word}={after or 'VALUE'}"
    for group in ("model", "task", "suite"):
        if group in source.groups and word in source.options(group):
            return f"{group}={word}"
    return ""


def _line(key: str, value: str) -> str:
    kind = kind_at(Run, key.lstrip("+").split("."))
    is_list = kind is not None and getattr(kind.type, "__origin__", None) is list
    return quoted(f"{key}=[{value}]" if is_list and not value.startswith("[") else f"{key}={value}")


def _with_option(name: str, tasks: Sequence[str], composed: Mapping[str, Any]) -> list[str]:
    settings = composed.get("tasks", {})
    return [task for task in tasks if name in (settings.get(task, {}).get("options") or {})]


def _names(schema: type) -> list[str]:
    return [field.name for field in fields(schema)]


def _places() -> dict[str, str]:
    """Name of a setting of ``run`` -> the key to write, with TASK and MODEL for the names; of several places the
    preferred one.
    """
    known: dict[str, str] = {}
    for schema, prefix in _PLACES:
        for name in _names(schema):
            known.setdefault(name, f"{prefix}{name}")
    return known | _FIRST | {"server": "server@models.MODEL.server", "task": "task", "model": "model", "data": "data"}
