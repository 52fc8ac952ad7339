"""Table of the benchmarks; each class is imported when it is used.

A user's own class is named ``my_pkg.my_module:MyTask``. It is a dataclass with the fields ``variant``, ``seed`` and
``source``, one field for each of its options, the class attributes ``version`` and ``variants`` (the first is the
default), and the methods of ``Adapter``.
"""

import dataclasses
import json
import linecache
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast, get_type_hints

from evalsuite.config.schema_types import spelled
from evalsuite.errors import BadInput, unknown_name
from evalsuite.tasks.base import Adapter
from evalsuite.tasks.datasets import Source

ADAPTERS: Mapping[str, str] = {
    "aa_lcr": "evalsuite.tasks.aa_lcr:AALCR",
    "aime": "evalsuite.tasks.aime:AIME",
    "gpqa_diamond": "evalsuite.tasks.gpqa_diamond:GPQADiamond",
    "gsm8k": "evalsuite.tasks.gsm8k:GSM8K",
    "hle": "evalsuite.tasks.hle:HLE",
    "ifbench": "evalsuite.tasks.ifbench.adapter:IFBench",
    "livecodebench": "evalsuite.tasks.livecodebench.adapter:LiveCodeBench",
    "jsonl": "evalsuite.tasks.jsonl:JSONLTask",
    "lm_eval": "evalsuite.tasks.lm_eval.adapter:LMEvalTask",
    "mmlu_pro": "evalsuite.tasks.mmlu_pro:MMLUPro",
    "mmmu_pro": "evalsuite.tasks.mmmu.pro:MMMUPro",
    "mmmu_val": "evalsuite.tasks.mmmu.val:MMMUVal",
    "scicode": "evalsuite.tasks.scicode.adapter:SciCode",
    "tau2_telecom": "evalsuite.tasks.tau2_telecom.adapter:Tau2Telecom",
    "tool_calls": "evalsuite.tasks.tool_calls.adapter:ToolCalls",
    "word_problems": "evalsuite.tasks.word_problems:WordProblems",
}
"""Name -> "module:Class"."""

MOVED: Mapping[str, str] = {
    "evalsuite.adapters.base": "from evalsuite import Tools, graded, single_turn",
    "evalsuite.adapters.lm_eval": "evalsuite.tasks.lm_eval.adapter",
    "evalsuite.adapters": "evalsuite.tasks",
    "evalsuite.data": "from evalsuite import HUB, Source, pin, rows",
    "evalsuite.grading.extract": "evalsuite.tasks.grading.extract",
    "evalsuite.grading.judge": "evalsuite.tasks.grading.judge_prompt",
    "evalsuite.grading.mmmu": "evalsuite.tasks.mmmu.parsing",
    "evalsuite.grading.sandbox": "evalsuite.sandbox",
    "evalsuite.grading": "evalsuite.tasks.grading",
}
"""Import path of evalsuite 0.1 that adapters used -> the import that replaces it; the longest matching prefix
counts."""

COMMON = ("variant", "seed", "source")
"""Fields of every adapter; the others are its options."""


def build(adapter: str, *, variant: str, options: Mapping[str, Any], source: Source, seed: int) -> Adapter:
    """Create the adapter ``adapter`` (a name of ``ADAPTERS`` or ``package.module:Class``) with validated options.

    ``options`` maps option -> plain value as in YAML; ``source`` is where questions come from; ``seed`` is for its
    random draws. Raises ``BadInput`` for an unknown adapter, option or (where the class lists its ``variants``)
    variant, for a value of the wrong type, and what the class itself raises when it is created.
    """
    adapter_class = load(adapter)
    known: tuple[str, ...] = getattr(adapter_class, "variants", ())
    if known and variant not in known:  # without declared variants the class checks them itself
        raise unknown_name(f"variant of {adapter}", variant, known)
    checked = {name: value for name, (_, value) in _readings(adapter, options).items()}
    return cast("Adapter", adapter_class(variant=variant, seed=seed, source=source, **checked))


def typed_options(adapter: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with plain (JSON) values of the types that the adapter's fields
    declare: ``1`` for the text ``"1"`` where the field is a number.

    Raises ``BadInput`` for an unknown adapter or option, and for a value of the wrong type.
    """
    return {name: plain for name, (plain, _) in _readings(adapter, options).items()}


def load(adapter: str) -> Any:
    """Import and return the class of an adapter, given by a name of ``ADAPTERS`` or as ``package.module:Class``.

    Raises ``BadInput`` when it does not exist or its import raises ``ImportError`` (other errors of its module pass
    through), and when it is no dataclass with the fields ``variant``, ``seed`` and ``source`` and the members
    ``version``, ``items`` and ``attempt``.
    """
    if adapter not in ADAPTERS and (":" not in adapter or adapter.startswith((":", "."))):
        raise unknown_name("adapter", adapter, ADAPTERS, "A class of your own is named my_pkg.my_module:MyTask.")
    module_name, _, class_name = ADAPTERS.get(adapter, adapter).partition(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        hint = new_import(error) or "it must be installed or on PYTHONPATH"
        raise BadInput(f"adapter '{adapter}': {module_name} cannot be imported ({error}); {hint}") from error
    adapter_class = getattr(module, class_name, None)
    if adapter_class is None:
        raise unknown_name(f"class of {module_name}", class_name, (name for name in vars(module) if name[:1].isupper()))
    fields = (
        {field.name for field in dataclasses.fields(adapter_class)}
        if dataclasses.is_dataclass(adapter_class)
        else set()
    )
    missing = [name for name in COMMON if name not in fields]
    missing += [name for name in ("version", "items", "attempt") if not hasattr(adapter_class, name)]
    if missing:
        raise BadInput(f"adapter '{adapter}' is no adapter: it must be a dataclass and lacks {', '.join(missing)}")
    return adapter_class


def new_import(error: ImportError) -> str | None:
    """Return advice naming the import that replaces the import of evalsuite 0.1 that ``error`` reports.

    None for an error about another import, or about a name in ``evalsuite`` itself (``from evalsuite import data``).
    """
    name = error.name or ""
    if not name.startswith("evalsuite."):
        return None
    # The error names the first package that is missing ("evalsuite.adapters"); its message is no more precise.
    path = _imported_path(error) or name
    old = max((old for old in MOVED if path == old or path.startswith(f"{old}.")), key=len, default=None)
    return None if old is None else f"evalsuite 0.2 has {old} elsewhere: {MOVED[old]}"


def _imported_path(error: ImportError) -> str | None:
    """Return the dotted path (``evalsuite...``) of the import statement that raised
    ``error``, read from the source line.

    The innermost source line of the traceback counts; None unless it begins with ``from`` or ``import`` and that path.
    """
    trace = error.__traceback__
    line = ""
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
        trace = trace.tb_next
    match = re.match(r"(?:from|import)\s+(evalsuite[\w.]*)", line)
    return match[1] if match else None


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    return type(value) is type(field.default) and bool(value == field.default)


def _readings(adapter: str, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Check options against the types of an adapter's fields; return option -> (plain value, validated value).

    The plain value is JSON, the validated one what the class gets. Raises ``BadInput`` for an unknown adapter or
    option, and for a value of the wrong type.
    """
    adapter_class = load(adapter)
    fields = dataclasses.fields(adapter_class)
    known = {field.name: field for field in fields if field.init and field.name not in COMMON}
    if all(name in known and _is_default(known[name], value) for name, value in options.items()):
        return {name: (value, value) for name, value in options.items()}  # needs no import of pydantic (0.15 s)
    hints = get_type_hints(adapter_class, include_extras=True)
    for name in options:
        if name not in known:
            raise unknown_name(f"option of {adapter}", name, known)
    return {name: _reading(f"option {name} of {adapter}", value, hints[name]) for name, value in options.items()}


def _reading(what: str, value: Any, hint: Any) -> tuple[Any, Any]:
    """Return (plain value, validated value) of a setting by its type ``hint``; ``what`` names it in messages.

    Tried in order: the value as it is, with all its numbers and booleans as text, with its texts as the numbers and
    booleans that they spell. Raises ``BadInput`` when none fits the type, and for a value that JSON cannot hold.
    """
    if type(value) is hint and (hint in (bool, int) or (hint is str and value.isprintable())):
        return value, value  # most options: the import of pydantic takes longer than all others together
    from pydantic import TypeAdapter, ValidationError

    checked, reason = TypeAdapter(hint), ""
    for plain in (value, _map_scalars(value, _as_text), _map_scalars(value, _as_number)):
        try:
            return plain, checked.validate_json(json.dumps(plain), strict=True)
        except ValidationError as error:
            reason = reason or error.errors()[0]["msg"]
        except TypeError:
            raise BadInput(f"{what} is {value!r}, which no YAML file can hold") from None
    raise BadInput(f"{what} is {value!r}: {reason[:1].lower()}{reason[1:]}")


def _map_scalars(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        return [_map_scalars(element, change) for element in value]
    if isinstance(value, dict):
        return {key: _map_scalars(element, change) for key, element in value.items()}
    return change(value)


def _as_text(value: Any) -> Any:
    return spelled(value) if isinstance(value, bool | int | float) else value


def _as_number(value: Any) -> Any:
    """Convert a text to the value that it spells: ``yes``/``on``/``true`` and opposites (any case) to a boolean, what
    ``int`` or ``float`` reads (``12``, ``1e-3``, ``nan``) to a number.

    Any other text, and a value that is no text, is returned unchanged.
    """
    if not isinstance(value, str):
        return value
    truth = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(value.lower())
    if truth is not None:
        return truth
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            continue
    return value
