"""Addresses of model servers, as messages and results may show them."""

from urllib.parse import urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """``url`` without its query and fragment: a gateway's query may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
