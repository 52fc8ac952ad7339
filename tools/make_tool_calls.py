"""Make the questions of the task ``tool_calls``: ``python -m tools.make_tool_calls tasks/tool_calls/questions.jsonl``.

Every request is put together from the tools of ``tool_schemas.py``, the values drawn below and one seed, so that the
file can be made again byte for byte. A request names every value that its call needs, in the words of the schema where
the schema lists values; what it does not name is optional and must be left out or at its default.
"""

import datetime
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.tool_schemas import CHAT, LANGUAGES, TOOLS, UNSERVED, SecondTurn, Tool

SEED = 20261126
TODAY = datetime.date(2027, 1, 15)
SYSTEM = (
    f"Today is {TODAY.isoformat()}. You have functions. Call a function only when the request needs one and every "
    "required value is known; several independent requests are several calls at once. Leave out optional values that "
    "were not given. Where a required value is missing, ask for it in plain text. Otherwise answer in plain text."
)
PER_TOOL = 6
"""Single calls for each tool."""
MONTHS = {
    language: tuple(names.split())
    for language, names in {
        "en": "January February March April May June July August September October November December",
        "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    }.items()
}
POOLS: dict[str, list[Any]] = {
    "city": ["Lisbon", "Nairobi", "Osaka", "Quito", "Tallinn", "Hanoi", "Cork", "Graz", "Izmir", "Halifax"],
    "person": ["Amara Okafor", "Jonas Weber", "Mei Lin", "Rosa Delgado", "Piotr Nowak", "Leila Haddad", "Tomás Silva"],
    "email": ["amara@example.org", "jonas@example.org", "mei@example.org", "rosa@example.org", "piotr@example.org"],
    "title": [
        "Quarterly review",
        "Garden planning",
        "Night shift handover",
        "Budget talk",
        "Bird walk",
        "Code reading",
    ],
    "text": ["running ten minutes late", "the keys are at the desk", "lunch is on me", "the door code has changed"],
    "word": ["lantern", "harvest", "copper", "meadow", "anchor", "thistle", "glacier", "saffron"],
    "topic": ["tidal energy", "beekeeping", "bridge design", "sourdough", "glass blowing", "soil health"],
    "currency": ["EUR", "USD", "JPY", "KES", "BRL", "CHF"],
    "airport": ["LIS", "NBO", "KIX", "UIO", "TLL", "HAN", "ORK", "GRZ"],
    "product": ["oak table", "desk lamp", "wool blanket", "bread knife", "rain coat", "steel kettle"],
    "dish": ["lentil soup", "mushroom risotto", "rye bread", "plum cake", "bean stew"],
    "host": ["alpha.example.org", "beta.example.org", "gamma.example.org", "delta.example.org"],
    "path": ["/var/log/app.log", "/srv/data/table.csv", "/home/ana/notes.txt", "/etc/motd"],
    "street": ["12 Mill Lane", "8 Harbour Road", "77 Station Street", "3 Orchard Way"],
    "zip": ["10115", "00184", "75011", "28013", "04109"],
    "tag": ["urgent-fix", "read-later", "family", "taxes", "travel"],
    "code": [f"{letters}-{number}" for letters in ("AX", "BR", "KL", "QT") for number in (204, 517, 893)],
}


def draw(kind: str, rng: random.Random) -> Any:
    """A value of a slot, by its kind: the name of a pool, or what the branches below test for."""
    head, _, rest = kind.partition(":")
    if head == "int":
        low, high = rest.split(":")
        return rng.randint(int(low), int(high))
    if head == "step":
        first, last, step = (float(part) for part in rest.split(":"))
        return round(first + step * rng.randrange(int((last - first) / step) + 1), 2)
    if head == "date":
        return (TODAY + datetime.timedelta(days=rng.randint(3, 400))).isoformat()
    if head == "past":
        return (TODAY - datetime.timedelta(days=rng.randint(7_000, 25_000))).isoformat()
    if head == "time":
        return f"{rng.randint(6, 21):02d}:{rng.choice((0, 15, 30, 45)):02d}"
    if head == "enum":
        return rng.choice(rest.split("|"))
    if head == "bool":
        return rng.choice((True, False))
    if head == "list":
        return rng.sample(POOLS[rest], rng.randint(2, 3))
    if head == "union":
        return rng.choice([rng.randint(1000, 9999), rng.choice(POOLS["code"])])
    return rng.choice(POOLS[head])


def shown(kind: str, value: Any, language: str) -> str:
    """A value as the request writes it; dates in words where the language is written in Latin letters, else as ISO."""
    if kind in ("date", "past") and language in MONTHS:
        day = datetime.date.fromisoformat(value)
        month = MONTHS[language][day.month - 1]
        return {
            "en": f"{day.day} {month} {day.year}",
            "de": f"{day.day}. {month} {day.year}",
            "fr": f"{day.day} {month} {day.year}",
            "es": f"{day.day} de {month} de {day.year}",
            "pt": f"{day.day} de {month} de {day.year}",
        }[language]
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)


def placed(arguments: dict[str, Any], path: str, value: Any) -> None:
    """Set ``a.b`` of nested arguments."""
    *parents, last = path.split(".")
    for parent in parents:
        arguments = arguments.setdefault(parent, {})
    arguments[last] = value


def one_call(tool: Tool, ask: int, language: str, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """(request text, call) of one of a tool's requests."""
    text, fixed = tool.asks[language][ask % len(tool.asks[language])]
    values = {slot: draw(kind, rng) for slot, kind in tool.slots.items() if "{" + slot.replace(".", "_") + "}" in text}
    if {"period.start", "period.end"} <= values.keys():
        values["period.start"], values["period.end"] = sorted((values["period.start"], values["period.end"]))
    words = {slot.replace(".", "_"): shown(tool.slots[slot], value, language) for slot, value in values.items()}
    arguments: dict[str, Any] = {}
    for slot, value in {**values, **fixed}.items():
        placed(arguments, slot, value)
    return text.format(**words), {"name": tool.name, "arguments": arguments}


def languages(tool: Tool) -> list[str]:
    return [language for language in LANGUAGES if language in tool.asks]


def distractors(tool: Tool, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """``tool`` and ``count`` others that share no word of its name, shuffled."""
    words = set(tool.name.split("_"))
    others = [other for other in TOOLS if other is not tool and not words & set(other.name.split("_")) - {"get", "set"}]
    offered = [tool.schema(), *(other.schema() for other in rng.sample(others, count))]
    rng.shuffle(offered)
    return offered


def row(name: str, tools: list[dict[str, Any]], turns: list[dict[str, Any]], **groups: str) -> dict[str, Any]:
    """One line of the file; the system message opens the first turn."""
    turns[0]["messages"].insert(0, {"role": "system", "content": SYSTEM})
    expects = "call" if any(turn["calls"] for turn in turns) else "no call"
    return {"id": name, "tools": tools, "turns": turns, "groups": {"expects": expects, **groups}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def singles(rng: random.Random) -> Iterator[dict[str, Any]]:
    """One call each, among three other tools."""
    for tool in TOOLS:
        for number in range(PER_TOOL):
            known = languages(tool)
            language = known[number % len(known)]
            text, call = one_call(tool, number // len(known), language, rng)
            turns = [{"messages": [user(text)], "calls": [call]}]
            yield row(
                f"single/{tool.name}/{number}", distractors(tool, 3, rng), turns, kind=tool.kind, language=language
            )


def long_lists(rng: random.Random) -> Iterator[dict[str, Any]]:
    """One call each, among thirty-one other tools."""
    for number, tool in enumerate(TOOLS[::2]):
        language = rng.choice(languages(tool))
        text, call = one_call(tool, 0, language, rng)
        turns = [{"messages": [user(text)], "calls": [call]}]
        yield row(f"long/{number}", distractors(tool, 31, rng), turns, kind="long tool list", language=language)


def parallels(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Two or three independent requests in one message."""
    for number in range(48):
        chosen = rng.sample([tool for tool in TOOLS if "en" in tool.asks], 2 + number % 2)
        if number % 3 == 0:
            chosen = [chosen[0], chosen[0]]
        parts: list[tuple[str, dict[str, Any]]] = []
        while len(parts) < len(chosen):
            part = one_call(chosen[len(parts)], 0, "en", rng)
            if part[1] not in [call for _, call in parts]:
                parts.append(part)
        text = "Please do all of this at once. " + " ".join(
            f"{place}) {part}" for place, (part, _) in enumerate(parts, 1)
        )
        unique = list({tool.name: tool for tool in chosen}.values())
        tools = [tool.schema() for tool in unique] + [
            tool.schema() for tool in rng.sample([tool for tool in TOOLS if tool not in unique], 3)
        ]
        rng.shuffle(tools)
        turns = [{"messages": [user(text)], "calls": [call for _, call in parts]}]
        yield row(f"parallel/{number}", tools, turns, kind="parallel", language="en")


def sequences(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Two turns: the second request refers to what the first call gave back."""
    for number, (tool, second) in enumerate(_followed()):
        for repeat in range(4):
            then = next(other for other in TOOLS if other.name == second.tool)
            text, call = one_call(tool, 0, "en", rng)
            value = draw(second.value, rng)
            arguments: dict[str, Any] = {}
            for path, given in {second.argument: value, **second.fixed}.items():
                placed(arguments, path, given)
            follow: dict[str, Any] = {
                "messages": [user(second.request)],
                "calls": [{"name": then.name, "arguments": arguments}],
            }
            turns = [{"messages": [user(text)], "calls": [call], "results": [{second.key: value}]}, follow]
            if repeat % 2:  # the first turn as history, so that only the second is asked
                turns = [{**follow, "messages": _history(text, call, {second.key: value}, second.request)}]
            others = [other for other in TOOLS if other not in (tool, then)]
            tools = [one.schema() for one in (tool, then, *rng.sample(others, 3))]
            rng.shuffle(tools)
            kind = "follow-up" if repeat % 2 else "sequence"
            yield row(f"turns/{number}/{repeat}", tools, turns, kind=kind, language="en")


def _followed() -> list[tuple[Tool, SecondTurn]]:
    return [(tool, tool.then) for tool in TOOLS if tool.then is not None]


def _history(text: str, call: dict[str, Any], result: dict[str, Any], follow: str) -> list[dict[str, Any]]:
    made = {
        "id": "call_0",
        "type": "function",
        "function": {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)},
    }
    return [
        user(text),
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "call_0", "content": json.dumps(result, ensure_ascii=False)},
        {"role": "assistant", "content": f"Done: {', '.join(f'{key} is {value}' for key, value in result.items())}."},
        user(follow),
    ]


def no_calls(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Nothing to call: small talk and knowledge, wishes that no tool serves, missing values, answers already given."""
    for number, (language, text) in enumerate(CHAT):
        tools = [tool.schema() for tool in rng.sample(TOOLS, 4)]
        yield row(f"none/chat/{number}", tools, [_quiet(text)], kind="needs no tool", language=language)
    for number, (language, text) in enumerate(UNSERVED):
        tools = [tool.schema() for tool in rng.sample(TOOLS, 5)]
        yield row(f"none/unserved/{number}", tools, [_quiet(text)], kind="no tool fits", language=language)
    for number, tool in enumerate(tool for tool in TOOLS if tool.lacks):
        yield row(
            f"none/missing/{number}",
            distractors(tool, 3, rng),
            [_quiet(tool.lacks)],
            kind="value missing",
            language="en",
        )
    for number, (tool, second) in enumerate(_followed()):
        text, call = one_call(tool, 0, "en", rng)
        result = {second.key: draw(second.value, rng)}
        again = f"Thanks. Just repeat the {second.key.replace('_', ' ')} that you told me, nothing else."
        turn = {"messages": _history(text, call, result, again), "calls": []}
        yield row(f"none/known/{number}", distractors(tool, 3, rng), [turn], kind="already answered", language="en")


def _quiet(text: str) -> dict[str, Any]:
    return {"messages": [user(text)], "calls": []}


def questions() -> list[dict[str, Any]]:
    """All rows, in the order of the file."""
    rng = random.Random(SEED)
    makers = (singles, long_lists, parallels, sequences, no_calls)
    return [made for maker in makers for made in maker(rng)]


if __name__ == "__main__":
    lines = [json.dumps(made, ensure_ascii=False, separators=(",", ":")) for made in questions()]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
