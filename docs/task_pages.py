"""mkdocs hook: one page a benchmark, made from ``tasks/*/card.yaml``, an index of all, and the table of hardware."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; nothing is written into ``docs/``."""
    cards = {path.parent.name: yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("tasks/*/card.yaml"))}
    files.append(File.generated(config, "reference/tasks/index.md", content=index(cards)))
    for name, card in cards.items():
        files.append(File.generated(config, f"reference/tasks/{name}.md", content=page(name, card)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the table of ``conf/hardware`` where a page asks for it."""
    return markdown.replace("<!-- hardware -->", hardware())


def hardware() -> str:
    """Devices that one copy of the 397B model takes, by node and precision."""
    nodes = [yaml.safe_load(path.read_text()) for path in sorted(ROOT.glob("conf/hardware/*.yaml"))]
    rows = []
    for node in nodes:
        needed = [node["tensor_parallel"].get(name) for name in ("bf16", "fp8", "fp4")]
        told = ["-" if one is None else f"{one} (two nodes)" if one > node["gpus"] else str(one) for one in needed]
        rows.append(f"| {node['title']} | {' | '.join(told)} | {cell(node['source'])} |")
    return "| node | BF16 | FP8 | NVFP4 | source |\n|---|---|---|---|---|\n" + "\n".join(rows)


def index(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """All benchmarks in one table."""
    rows = [
        f"| [{card['title']}]({name}.md) | {int(card['items']):,} | {', '.join(card['variants'])} "
        f"| {', '.join(card.get('needs') or ()) or 'nothing else'} | {'yes' if card.get('gated') else 'no'} |"
        for name, card in cards.items()
    ]
    head = "| benchmark | items | variants | needs | gated |\n|---|---|---|---|---|\n"
    note = "\nGated items are shown nowhere in plain text: not in reports, not in logs, not here.\n"
    return "# Benchmarks\n\n" + head + "\n".join(rows) + "\n" + note


def page(name: str, card: Mapping[str, Any]) -> str:
    """The description of one benchmark, from its card."""
    typical, dataset = card.get("typical_tokens") or {}, card.get("dataset") or {}
    facts = {
        "task": f"`task={name}`",
        "paper": card.get("paper"),
        "version": f"{card['version']} (what is asked, how it is graded)",
        "items": f"{int(card['items']):,}",
        "groups": ", ".join(card.get("groups") or ()) or "none",
        "licence of the data": card.get("license"),
        "dataset": dataset.get("uri"),
        "revision": dataset.get("revision"),
        "needs": ", ".join(card.get("needs") or ()) or "only the model",
        "gated": "yes: items are shown nowhere" if card.get("gated") else "no",
        "typical tokens of an answer": ", ".join(
            f"{key.replace('_', ' ')} {value:,}" for key, value in typical.items() if isinstance(value, int)
        ),
        "where those come from": typical.get("source"),
    }
    table = "\n".join(f"| {key} | {cell(value)} |" for key, value in facts.items() if value)
    variants = "\n".join(
        f"| `{key}` | {cell(one.get('what'))} | {cell(one.get('source'))} |" for key, one in card["variants"].items()
    )
    options = f"```console\n$ evalsuite run model=fp8 task={name} limit=20 dry_run=true\n$ evalsuite run model=fp8 task={name}\n```"
    return (
        f"# {card['title']}\n\n{options}\n\n| | |\n|---|---|\n{table}\n\n"
        f"## Variants\n\nThe first is the default; another is `tasks.{name}.variant=NAME`.\n\n"
        f"| variant | what is asked and how it is graded | source |\n|---|---|---|\n{variants}\n\n"
        f"[All benchmarks](index.md)\n"
    )


def cell(value: object) -> str:
    """One cell of a Markdown table."""
    return " ".join(str(value or "").split()).replace("|", "\\|")
