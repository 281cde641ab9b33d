"""The sink behaves as its OpenAPI document says, for valid and for wrong requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from starlette.routing import Route

from dataart_mp.devsink import SinkProcess
from dataart_mp.devsink.control.app import control_app
from dataart_mp.devsink.control.openapi import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

EXAMPLES = 8
KEY = "right"


def operations() -> Iterator[tuple[str, str, GenerationMode]]:
    """Yield every operation, with valid requests and, if there can be any, with wrong ones."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if path == "/_sink/live":  # a stream that does not end: see test_live.py
                continue
            yield path, method.upper(), GenerationMode.POSITIVE
            if "requestBody" in operation or operation.get("parameters"):
                yield path, method.upper(), GenerationMode.NEGATIVE


load_all_checks()


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProcess]:
    with SinkProcess(api_key=KEY) as sink:
        yield sink
        assert sink.log == ""


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def test_the_document_describes_every_route(sink: SinkProcess) -> None:
    routes = control_app(cast("Any", None)).routes
    methods = {
        f"/_sink{route.path}": (route.methods or set()) - {"HEAD"}
        for route in routes
        if isinstance(route, Route)
    }
    paths = document()["paths"]
    own = {path: set(map(str.upper, paths[path])) for path in paths if path.startswith("/_sink/")}
    assert own == methods
    assert requests.get(f"{sink.url}/_sink/openapi.json", timeout=10).json() == document()


@pytest.mark.parametrize(("path", "method", "mode"), list(operations()))
def test_the_sink_behaves_as_the_document_says(
    sink: SinkProcess, session: requests.Session, path: str, method: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(document())
    operation = schema[path][method]

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Case[Any]) -> None:
        response = case.call(sink.url, session, headers={"X-API-Key": KEY})
        case.validate_response(response)

    sink.reset()
    call()
