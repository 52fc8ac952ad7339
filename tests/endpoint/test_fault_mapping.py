"""Error responses whose headers and bodies have other types than any server documents."""

import json
from typing import Any

import pytest

from evalsuite.config.settings import Model, Server
from evalsuite.endpoint.fault_mapping import status_fault
from evalsuite.endpoint.faults import Rejected
from evalsuite.endpoint.transport import Response
from evalsuite.errors import EndpointUnusable

MODEL = Model("M", "c", None, "bf16", base_url="http://models.example/v1", server=Server("vllm"))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example/v1?key=1", "other.example"),
        ("/login", "/login"),
        ("http://[bad", "nowhere"),
        ("", "nowhere"),
    ],
)
def test_a_redirect_names_its_target_if_it_has_one(location: str, shown: str) -> None:
    fault = status_fault(Response(302, {"Location": location}, b""), MODEL)
    assert isinstance(fault, EndpointUnusable)
    assert f"redirects to {shown} (HTTP 302)" in str(fault)


@pytest.mark.parametrize(
    ("loc", "shown"), [(["body", "seed"], "body.seed: no"), ("seed", "seed: no"), (5, "5: no"), (None, ": no")]
)
def test_a_refused_field_is_named_whatever_its_place_looks_like(loc: Any, shown: str) -> None:
    body = json.dumps({"detail": [{"loc": loc, "msg": "no"}, 7]}).encode()
    fault = status_fault(Response(422, {}, body), MODEL)
    assert isinstance(fault, Rejected)
    assert shown in str(fault)
