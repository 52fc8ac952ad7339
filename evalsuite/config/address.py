"""Addresses of model servers, as messages and results may show them."""

import re
from urllib.parse import urlsplit, urlunsplit

_USER = re.compile(r"(?<=//)[^\s?#'\"]*@")
"""User and password of an address; a password may hold a slash."""
_QUERY = re.compile(r"(?<=//)([^\s?#'\"]+)[?#]\S*?(?=[)\]'\",:]*(?:\s|$))")
"""An address with its query and fragment, up to the punctuation of the sentence around it."""


def shown_url(url: str) -> str:
    """``url`` without its query and fragment: a gateway's query may hold a key.

    Else as ``urllib`` joins it: the scheme in lower case, without blanks at the beginning, tabs and line breaks. User
    and password stay: for an address that may have them use ``shown_urls``. Raises ``ValueError`` where ``urllib``
    cannot split it (such as wrong brackets of an IPv6 address); other texts are not checked.
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def shown_urls(message: str) -> str:
    """A message in which user and password of addresses become ``***@``, and query or fragment (or both) ``?***``.

    User and password: what is between ``//`` and the last ``@`` before a blank, a quote, ``?`` or ``#``. Query and
    fragment reach to the next blank or the end; closing brackets, quotes, commas and colons just before that stay.
    """
    return _QUERY.sub(r"\1?***", _USER.sub("***@", message))


def is_http_address(url: str) -> bool:
    """Whether ``url`` has the scheme ``http`` or ``https``, a host, and a port of 1 to 65535 or none.

    As ``urllib`` splits it: in any case of letters, blanks at the beginning left out.
    """
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
