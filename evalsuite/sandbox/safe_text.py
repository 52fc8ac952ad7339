"""Makes text of others safe where it is shown: one function each for terminal, Markdown, HTML, CSV, XML and JSON.

A model's answer, a title in a manifest or a server's error can hold terminal commands (colours, links, the clipboard),
marks that reverse or hide what follows, HTML, links, and formulas of spreadsheets. Files that are data keep
every character: JSON as an escape.
"""

import html as standard_html
import re

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Controls, marks of direction, invisible signs, lone surrogates; tab and line break are kept."""
_MARKS = re.compile(r"[\\`*|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=[(\[:])|^\s*(?:[#>]|[+-](?=\s))")
"""Signs of Markdown, where they mean something."""
_ENTITIES = re.compile(
    r"<|&(?=#?\w+;)|@(?=[\w.-]*\.)|(?<!\w)@(?=\w)|(?<=[a-z]):(?=//)|(?<=www)\.|(?<=mailto):|(?<=xmpp):", re.IGNORECASE
)
"""Signs of HTML, and those by which Markdown finds an address in plain text."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def terminal(text: str) -> str:
    """``text`` with a visible sign in place of each control character (tab and line feed stay), mark of direction, lone
    surrogate, and other invisible character that ``_HIDDEN`` lists, such as U+200B.

    One character for one, so the length is the same.
    """
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def markdown(text: str) -> str:
    """``text`` on one line, with the signs escaped by which Markdown begins emphasis, code, formulas, table cells,
    headings, quotes, bullets, links and HTML, and finds addresses. Hidden characters become visible as by ``terminal``.

    Numbered lists (``1. x``), rules (``---``, ``===``), a lone ``-`` or ``+``, and indentation at the beginning stay,
    and what only one site links, such as ``#12`` after other text.
    """
    return _MARKS.sub(lambda match: match[0][:-1] + "\\" + match[0][-1], markdown_html(text))


def markdown_html(text: str) -> str:
    """``text`` on one line, with ``<``, ``&`` before an entity and signs of addresses escaped, for an HTML element in
    which Markdown is not read, such as ``<summary>``. Signs of Markdown stay: elsewhere use ``markdown``. Hidden
    characters become visible as by ``terminal``.
    """
    line = " ".join(terminal(text).split("\n"))
    return _ENTITIES.sub(lambda match: "&lt;" if match[0] == "<" else f"&#{ord(match[0])};", line)


def html(text: str) -> str:
    """``text`` escaped for an element or a quoted attribute of HTML; hidden characters become visible as by
    ``terminal``.
    """
    return standard_html.escape(terminal(text), quote=True)


def csv(value: object) -> object:
    """A value for a cell of CSV: a text made safe as by ``terminal``, any other value as it is.

    A text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line feed, which a spreadsheet could take for a
    formula, gets a leading apostrophe.
    """
    if not isinstance(value, str):
        return value
    text = terminal(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def json(text: str) -> str:
    r"""``text``, a valid JSON document in which no carriage return stands, with ``\u`` escapes for the characters that
    ``terminal`` replaces; its values stay the same.
    """
    return text if text.isascii() and "\x7f" not in text else _HIDDEN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def xml(text: str) -> str:
    """``text`` as by ``terminal``, so without characters that no XML file may hold; ``<`` and ``&`` are left to the
    writer.
    """
    return terminal(text)
