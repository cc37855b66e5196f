"""A route of FastAPI may return Results, annotated or not: it writes what JSON can hold of them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from support.factories import failed_result, header_map, make_result
from support.servers import need

from fetchq import Cause, Result, Results
from fetchq.core.redirect_hop import HopTiming, RedirectHop

FULL = make_result(
    body=b"\x89PNG\xff",
    headers=[("Set-Cookie", "a"), ("set-cookie", "b")],
    trailers=header_map([("Digest", "x")]),
    hops=(RedirectHop(301, "http://a/", 0.1, HopTiming()),),
)
FAILED = failed_result(Cause.DNS, index=1, started=None)


@pytest.fixture
def client() -> Any:
    """The client of an app with routes that return Results."""
    need(find_spec("fastapi") and find_spec("httpx2"), "fastapi or httpx2 is not installed")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()

    @app.get("/plain")
    async def plain():  # type: ignore[no-untyped-def]  # FastAPI asks pydantic only where there is an annotation
        return Results([FULL, FAILED])

    @app.get("/any")
    async def anything() -> Any:
        return Results([FULL, FAILED])

    @app.get("/inside")
    async def inside() -> Any:
        return {"result": FULL}

    @app.get("/list")
    async def as_list() -> list[Result]:
        return [FULL, FAILED]

    @app.get("/results")
    async def as_results() -> Results:
        return Results([FULL, FAILED])

    return TestClient(app)


@pytest.mark.parametrize("path", ["plain", "any", "list", "results"])
def test_a_fastapi_route_may_return_results_with_bodies_of_any_bytes(client: Any, path: str) -> None:
    answer = client.get(f"/{path}")
    assert answer.status_code == 200
    first, second = answer.json()
    assert (first["status"], first["timing"]["wait"], second["cause"]) == (200, 0.5, "dns")
    assert "body" not in first


def test_a_fastapi_app_with_such_routes_describes_itself(client: Any) -> None:
    assert client.get("/openapi.json").status_code == 200
    assert client.get("/inside").json()["result"]["headers"] == {"Set-Cookie": "a"}
