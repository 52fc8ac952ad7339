"""The environment of a run, checked once before the first request: proxies, certificates, keys, open files.

An HTTP library meets these values in the middle of a request and answers with whatever exception its parser raises.
Here each is either used, ignored for endpoints on this machine, or named in one line with what to do about it.
"""

import ipaddress
import os
import resource
import socket
import ssl
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from evalsuite.config.address import is_http_address
from evalsuite.config.paths import expanded
from evalsuite.config.settings import DEMO, Model
from evalsuite.errors import BadInput, EndpointUnusable

RESERVED_FILES = 48
"""Files beside the connections of a run: libraries, journals, one folder's files while it is sealed."""
SMALLEST_CONCURRENCY = 1
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""OpenSSL's names for where the trusted authorities are."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy on the way to an endpoint."""

    url: str
    """May hold a password: never shown."""
    source: str
    """The variable or setting that names it."""

    @property
    def shown(self) -> str:
        """For messages: the variable or setting that names it, ``=``, and its address with ``***`` for user and
        password."""
        return f"{self.source}={_without_password(self.url)}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The models of a run as this machine can serve them."""

    models: dict[str, Model]
    """With the concurrency that the limit of open files allows."""
    notes: tuple[str, ...]
    """One line for each thing that was changed or ignored."""


def prepare(models: Mapping[str, Model], others: Mapping[str, Model], connect_seconds: float) -> Prepared:
    """Check keys, headers, certificates, proxies and open files for requests to ``models`` and ``others`` (judge,
    simulator), both by name.

    Returns ``models`` with the concurrency that this machine allows, and notes; may increase the process's limit of
    open files. Raises ``BadInput`` for what cannot be used and ``EndpointUnusable`` for a proxy that does not accept a
    connection within ``connect_seconds``. No endpoint itself is contacted.
    """
    answering: set[str] = set()
    notes: dict[str, None] = {}
    for name, model in {**others, **models}.items():
        key_of(model)
        _check_headers(name, model)
        for url in _urls(model):
            if urlsplit(url).scheme == "https":
                notes |= dict.fromkeys(certificate_notes(model))
                tls_context(model)
            proxy = proxy_of(model, url)
            if proxy is not None and proxy.url not in answering:
                _check_answers(proxy, f"models.{name}.", url, connect_seconds)
                answering.add(proxy.url)
    fitted, note = fit_open_files(models, others)
    return Prepared(fitted, (*notes, *note))


def key_of(model: Model) -> str:
    """The API key in the variable ``model.api_key_env``, without the white space around it; empty if there is none.

    Raises ``BadInput`` for a key that cannot be sent, which is never shown.
    """
    key = os.environ.get(model.api_key_env, "").strip()
    wrong = next((character for character in key if not "!" <= character <= "~"), None)
    if wrong is None:
        return key
    what = "a line break" if wrong in "\r\n" else "a space" if wrong == " " else unicodedata.name(wrong, "")
    what = what or f"the character U+{ord(wrong):04X}"
    raise BadInput(
        f"${model.api_key_env} holds {what.lower() if wrong.isascii() else what} inside the key, which no key has: "
        "copy the key again from where it was issued (the value is not shown)"
    )


def proxy_of(model: Model, url: str) -> Proxy | None:
    """The proxy on the way from here to ``url``: ``models.NAME.proxy`` whatever ``url`` is, else what the environment
    names for it; None without one.

    The environment's is not used for endpoints on this machine and those in ``NO_PROXY``; raises ``BadInput`` if it
    would be used and cannot be (SOCKS, no address).
    """
    if model.proxy is not None:
        return Proxy(model.proxy, "proxy")
    parts = urlsplit(url)
    host = parts.hostname or ""
    stated = getproxies_environment()
    kind = parts.scheme if stated.get(parts.scheme) else "all"
    value = stated.get(kind, "").strip()
    if not value or is_local(host) or _bypassed(host, parts.netloc, stated.get("no", "")):
        return None
    proxy = Proxy(value if "://" in value else f"http://{value}", _variable(kind))
    if not is_http_address(proxy.url):
        raise BadInput(
            f"{proxy.shown} cannot be used on the way to {host}: only http:// and https:// proxies can. Set "
            f"{parts.scheme.upper()}_PROXY to such a one, or reach {host} without: NO_PROXY={host}"
        )
    return proxy


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine: a loopback name or address, an unspecified address, the name that
    ``gethostname`` gives, or an address that can be bound here. Resolves no names."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # only an address of this machine can be bound
    except OSError:
        return False
    return True


def tls_context(model: Model) -> ssl.SSLContext:
    """The TLS context with the authorities that the certificate of ``model``'s endpoint is checked against.

    They come from ``models.NAME.ca_file``, else ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` where they exist, else the
    system. Raises ``BadInput`` naming a file that is missing (``ca_file``), unreadable or without certificates, and
    where the system has neither file nor folder of them.
    """
    if model.ca_file:
        return _context("ca_file", str(expanded(model.ca_file)), None)
    file, folder = (os.environ.get(name) or None for name in CERTIFICATES)
    file = file if file and Path(file).is_file() else None
    folder = folder if folder and Path(folder).is_dir() else None
    if file or folder:
        return _context("SSL_CERT_FILE" if file else "SSL_CERT_DIR", file, folder)
    system = ssl.get_default_verify_paths()
    file = system.openssl_cafile if Path(system.openssl_cafile).is_file() else None
    folder = system.openssl_capath if Path(system.openssl_capath).is_dir() else None
    if file is None and folder is None:
        raise BadInput(
            f"no certificate authorities are on this machine, so {model.base_url} cannot be checked: install the "
            "package ca-certificates, or name a file of them with models.NAME.ca_file= or SSL_CERT_FILE"
        )
    return _context("SSL_CERT_FILE", file, folder)


def certificate_notes(model: Model) -> list[str]:
    """A line for each of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` that is set and names no existing file, or folder; none
    if ``ca_file`` is set."""
    if model.ca_file:
        return []
    return [
        f"{name}={path} does not exist and is ignored"
        for name, exists in zip(CERTIFICATES, (Path.is_file, Path.is_dir), strict=True)
        if (path := os.environ.get(name)) and not exists(Path(path))
    ]


def fit_open_files(models: Mapping[str, Model], others: Mapping[str, Model]) -> tuple[dict[str, Model], list[str]]:
    """Raise this process's limit of open files to its hard limit where it is too low; lower the models' concurrency
    where that is not enough.

    Returns (models by name, notes): the same models and no note, or copies with their share of the concurrency (at
    least 1) and one note on that. ``others`` (judge, simulator) count but are not changed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = RESERVED_FILES + sum(model.concurrency for model in (*models.values(), *others.values()))
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = _raised(soft, hard)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return dict(models), []
    share = max(soft - RESERVED_FILES, 0) / (needed - RESERVED_FILES)
    fitted = {
        name: replace(model, concurrency=max(SMALLEST_CONCURRENCY, int(model.concurrency * share)))
        for name, model in models.items()
    }
    lowered = ", ".join(
        f"{name} {fitted[name].concurrency} instead of {model.concurrency}" for name, model in models.items()
    )
    return fitted, [
        f"this shell allows {soft} open files (ulimit -n), so fewer requests are sent at a time: {lowered}. "
        f"`ulimit -n {needed}` allows all of them"
    ]


def _raised(soft: int, hard: int) -> int:
    """The soft limit of open files after an attempt to set it to the hard one; the old one where the system refuses."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS has a lower limit of its own than the one that it states
        return soft
    return hard


def base_urls(model: Model) -> tuple[str, ...]:
    """The base URLs of a model as they are configured (one or several roots of the OpenAI API), always as a tuple."""
    urls = model.base_url
    return (urls,) if isinstance(urls, str) else tuple(str(url) for url in urls)


def _urls(model: Model) -> Iterable[str]:
    return [url for url in base_urls(model) if url != DEMO]


def _check_headers(name: str, model: Model) -> None:
    for header, value in model.headers.items():
        if not value.isascii():
            raise BadInput(
                f"models.{name}.headers.{header} holds a character that is no ASCII, which no header can: write it "
                "anew (the value is not shown)"
            )


def _check_answers(proxy: Proxy, setting: str, url: str, seconds: float) -> None:
    if proxy.source == "proxy":
        proxy = replace(proxy, source=f"{setting}proxy")
    address = urlsplit(proxy.url)
    port = address.port or (443 if address.scheme == "https" else 80)
    host = urlsplit(url).hostname
    try:
        socket.create_connection((address.hostname or "", port), timeout=seconds).close()
    except (OSError, UnicodeError) as error:
        what = getattr(error, "strerror", None) or str(error)
        otherwise = f"unset {proxy.source}, or reach {host} without it: NO_PROXY={host}"
        if proxy.source.startswith("models."):
            otherwise = f"or leave {proxy.source} out"
        raise EndpointUnusable(
            f"the proxy {proxy.shown} on the way to {host} does not answer ({what}): start it, {otherwise}"
        ) from None


def _bypassed(host: str, netloc: str, listed: str) -> bool:
    """Whether ``listed``, the value of ``NO_PROXY``, names a host: itself, its domain, its network (``10.0.0.0/8``), or
    all (``*``).

    ``netloc`` is host and port as in the URL.
    """
    names = {host.lower(), netloc.rpartition("@")[2].lower()}
    for entry in (entry.strip().lower() for entry in listed.split(",")):
        domain = entry.removeprefix("*").lstrip(".")
        if entry == "*" or domain in names or (domain and host.lower().endswith(f".{domain}")):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False


def _variable(kind: str) -> str:
    """The name of the proxy variable of ``kind`` (``http``, ``https``, ``all``) as it is set; lower case counts
    first. Upper case where neither is set, or both are empty."""
    name = f"{kind}_proxy"
    return next((found for found in (name, name.upper()) if os.environ.get(found)), name.upper())


def _without_password(url: str) -> str:
    before, at, rest = url.rpartition("@")
    return f"{before.partition('://')[0]}://***@{rest}" if at else url


def _context(source: str, file: str | None, folder: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # ssl.SSLError is one
        raise BadInput(f"{source}={file or folder} cannot be read as certificates: {error}") from None
