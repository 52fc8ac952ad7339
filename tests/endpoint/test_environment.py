import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.config.settings import Model, Server
from evalsuite.endpoint.environment import fit_open_files, is_local, key_of, prepare, proxy_of
from evalsuite.errors import BadInput, EndpointUnusable

KEY = "EVALSUITE_TEST_KEY"
MARK = "sk-9f"


def model(url: str = "http://models.example:8000/v1", **changes: Any) -> Model:
    return Model("M", "c", None, "bf16", base_url=url, api_key_env=KEY, server=Server("vllm"), **changes)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "REQUEST_METHOD":
            monkeypatch.delenv(name)


@contextmanager
def key_variable(value: str) -> Iterator[None]:
    os.environ[KEY] = value
    try:
        yield
    finally:
        del os.environ[KEY]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_key_is_sent_as_a_header_can_be_or_refused_without_showing_it(value: str) -> None:
    key = f"{MARK}{value}".strip()
    with key_variable(f" {MARK}{value}"):
        if all("!" <= character <= "~" for character in key):
            assert key_of(model()) == key
            return
        with pytest.raises(BadInput) as caught:
            key_of(model())
    message = str(caught.value)
    assert f"${KEY}" in message
    assert MARK not in message
    assert len(message.splitlines()) == 1
    assert message.isascii()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "a.localhost", "0.0.0.0", "LOCALHOST."])
def test_this_machine(host: str) -> None:
    assert is_local(host)
    assert is_local(socket.gethostname())


@pytest.mark.parametrize("host", ["models.example", "192.0.2.1", "2001:db8::1", "8.8.8.8", "localhost.example"])
def test_another_machine(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({"http_proxy": "http://p:1"}, "http://models.example/v1", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://models.example/v1", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://models.example/v1", None),
        ({"ALL_PROXY": "http://p:1"}, "http://models.example/v1", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1", "HTTP_PROXY": "http://q:2"}, "http://models.example/v1", "http://q:2"),
        ({"HTTP_PROXY": "p:1"}, "http://models.example/v1", "http://p:1"),
        ({"HTTP_PROXY": " "}, "http://models.example/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "models.example"}, "http://models.example/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "x, .example"}, "http://models.example/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*.example"}, "http://models.example/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "models.example:8000"}, "http://models.example:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "models.example:9"}, "http://models.example:8000/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "ample"}, "http://models.example/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "192.0.2.0/24"}, "http://192.0.2.9/v1", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, "http://models.example/v1", None),
        ({"ALL_PROXY": "socks://p:1"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "socks://p:1"}, "http://[::1]:8000/v1", None),
    ],
)
def test_which_proxy_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_of(model(url), url)
    assert (None if found is None else found.url) == expected


@pytest.mark.parametrize(
    "value", ["socks://p:1", "socks5h://me:secret@p:1", "ftp://p", "http://", "http://p:99999", "http://[::1"]
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(BadInput, match=r"ALL_PROXY=.* cannot be used on the way to models.example") as caught:
        proxy_of(model(), "http://models.example/v1")
    assert "secret" not in str(caught.value)


def test_a_dead_proxy_is_named_by_its_source() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EndpointUnusable, match=r"the proxy models\.M\.proxy=http://127.0.0.1:\d+ on the way"):
            prepare({"M": model(proxy=dead)}, {}, 2.0)


def test_a_header_that_is_no_ascii_is_named_and_not_shown() -> None:
    with pytest.raises(BadInput, match=r"models\.M\.headers\.X-Team holds a character") as caught:
        prepare({"M": model(headers={"X-Team": "gehe\u00efm"})}, {}, 2.0)
    assert "gehe" not in str(caught.value)


def test_concurrency_is_shared_out_where_files_are_few() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    models = {"a": model(concurrency=3 * hard), "b": model(concurrency=hard)}
    try:
        fitted, lines = fit_open_files(models, {"judge": model(concurrency=32)})
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(lines) == 1
    assert f"a {fitted['a'].concurrency} instead of {3 * hard}" in lines[0]
    assert sum(one.concurrency for one in fitted.values()) < hard
    assert fitted["a"].concurrency == pytest.approx(3 * fitted["b"].concurrency, abs=3)
    assert fit_open_files({"a": model(concurrency=2)}, {}) == ({"a": model(concurrency=2)}, [])
