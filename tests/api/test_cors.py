"""Pages of other origins: the allowed ones may ask and read, all others are kept out by their browser."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from api.app import create_app
from tests.support.account import NO_TLS
from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio

PAGE = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}


def cors_of(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/tasks", {"GET", "HEAD", "POST"}),
        (f"/v1/tasks/{RANDOM}", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("/v1/auth/login", {"POST"}),
        (f"/v1/teams/{RANDOM}/events", {"GET", "HEAD"}),
    ],
)
async def test_a_preflight_of_an_allowed_page_is_told_what_it_may_send(
    desk: Desk, path: str, methods: set[str]
) -> None:
    answer = await desk.client.options(path, headers={"Origin": PAGE, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b"")
    given = cors_of(answer)
    assert given["access-control-allow-origin"] == PAGE
    assert set(given["access-control-allow-methods"].split(", ")) == methods
    sent = {name.lower() for name in given["access-control-allow-headers"].split(", ")}
    assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "last-event-id"} <= sent
    assert int(given["access-control-max-age"]) > 0
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://app.example.com", "https://app.example.com.evil.example", PAGE + ":444"],
)
async def test_a_preflight_of_another_page_is_told_nothing(desk: Desk, origin: str) -> None:
    answer = await desk.client.options("/v1/tasks", headers={"Origin": origin, **PREFLIGHT})
    problem(answer, 405, "method-not-allowed")
    assert cors_of(answer) == {}
    assert "Origin" in answer.headers["vary"]


async def test_a_preflight_for_no_path_is_not_found(desk: Desk) -> None:
    answer = await desk.client.options("/nowhere", headers={"Origin": PAGE, **PREFLIGHT})
    problem(answer, 404, "no-such-path")


async def answers(desk: Desk, origin: str | None) -> list[httpx.Response]:
    """One of each way that an answer takes: from memory, not modified, changed, refused, unknown, and a stream."""
    task = await desk.task()
    path, headers = f"/v1/tasks/{task['id']}", {"Origin": origin} if origin else {}
    async with desk.site.client.stream(
        "GET",
        f"/v1/teams/{desk.team}/events",
        headers={**desk["owner"].headers, **headers, "Accept": "text/event-stream"},
    ) as stream:
        pass
    return [
        await desk.get(path, **headers),
        await desk.get(f"/v1/teams/{desk.team}/board", **headers),
        await desk.get(path, **headers, **{"If-None-Match": f'"{task["version"]}"'}),
        await desk.get("/v1/me", **headers),
        await desk.patch(path, {"title": "y"}, **headers),
        await desk.patch(path, {"title": ""}, **headers),
        await desk.client.get("/v1/me", headers=headers),
        await desk.get("/nowhere", **headers),
        stream,
    ]


async def test_an_allowed_page_may_read_every_answer_and_our_headers(desk: Desk) -> None:
    for answer in await answers(desk, PAGE):
        given = cors_of(answer)
        assert given["access-control-allow-origin"] == PAGE, answer.request.url
        exposed = set(given["access-control-expose-headers"].split(", "))
        assert {
            "ETag",
            "Location",
            "X-Request-ID",
            "TaskForge-Seq",
            "TaskForge-Epoch",
            "TaskForge-Team",
            "Retry-After",
        } <= exposed
        assert "access-control-allow-credentials" not in given
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_no_other_page_may_read_any_answer_and_caches_know_that_it_depends(
    desk: Desk, origin: str | None
) -> None:
    for answer in await answers(desk, origin):
        assert cors_of(answer) == {}
        assert "Origin" in answer.headers["vary"]


async def test_where_no_origin_is_allowed_nothing_depends_on_it(desk: Desk) -> None:
    services: Any = desk.site.services
    app = create_app(structs.replace(services, http=structs.replace(services.http, allowed_origins=())))
    await app.start()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk", verify=NO_TLS) as client:
        answer = await client.get("/healthz", headers={"Origin": PAGE})
    assert answer.status_code == 200
    assert "Origin" not in answer.headers.get("vary", "")
    assert cors_of(answer) == {}
