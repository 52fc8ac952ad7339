"""``evalsuite report card=NAME`` without a run: what a model card says, held against arithmetic alone."""

from pathlib import Path

from evalsuite import console, store
from evalsuite.errors import Exit, StorageFailed
from evalsuite.records import SCHEMA
from evalsuite.report import markdown
from evalsuite.report.card import card_named
from evalsuite.report.card_check import card_reports
from evalsuite.report.card_tables import published_tables
from evalsuite.settings import Report


def check_card(settings: Report) -> Exit:
    """Print the card's tables; with ``out=DIR`` write them as ``report.md``, and ``cards`` of ``comparison.json``.

    Raises ``BadInput`` for an unknown or unreadable card, ``StorageFailed`` where nothing can be written.
    """
    card = card_named(str(settings.card))
    tables = published_tables(None, (card,))
    headline = f"evalsuite: {card.title}; no run, so that nothing is measured beside it"
    output = console.standard_output()
    console.show(tables, headline, output)
    if settings.out is not None:
        out = Path(settings.out)
        content = {"schema": SCHEMA, "cards": [found.to_json() for found in card_reports(None, (card,))]}
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "report.md").write_text(markdown.document(headline, (), tables, ()), encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"cannot write to {out}: {error.strerror or error}") from None
        store.write_json(out / "comparison.json", content)
        output.print(f"\nreport: {out / 'report.md'}", soft_wrap=True, markup=False)
    return Exit.DONE
