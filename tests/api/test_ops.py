"""Alive, ready, measured."""

import asyncio
import re

import pytest
from msgspec import structs

from api.app import create_app
from api.endpoints.ops import readiness
from api.services import Probe
from tests.support.desk import RANDOM, Desk

pytestmark = pytest.mark.anyio


async def well() -> None:
    """A dependency that answers."""


async def broken() -> None:
    raise OSError("down")


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_alive_is_alive(desk: Desk) -> None:
    answer = await desk.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_without_kafka_is_degraded(desk: Desk) -> None:
    answer = await desk.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "checks": {"postgres": "ok", "valkey": "ok", "kafka": "down"}}


@pytest.mark.parametrize(
    ("probes", "status", "state"),
    [
        ((Probe("a", well), Probe("b", well, required=False)), 200, "ready"),
        ((Probe("a", well), Probe("b", hanging, required=False)), 200, "degraded"),
        ((Probe("a", broken), Probe("b", well, required=False)), 503, "unavailable"),
        ((Probe("a", hanging),), 503, "unavailable"),
    ],
)
async def test_readiness_is_the_sum_of_the_dependencies(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, probes: tuple[Probe, ...], status: int, state: str
) -> None:
    monkeypatch.setattr("api.endpoints.ops.PROBE_SECONDS", 0.05)
    got, answer = await readiness(structs.replace(desk.site.services, probes=probes))
    assert (got, answer.status) == (status, state)


async def test_draining_is_not_ready(desk: Desk) -> None:
    services = structs.replace(desk.site.services, draining=asyncio.Event(), probes=())
    services.draining.set()
    assert (await readiness(services))[1].status == "draining"


async def test_metrics_count_requests_by_route_method_and_status(desk: Desk) -> None:
    before = await count(desk, "/v1/tasks/{uuid:task_id}", "GET", 404)
    for _ in range(3):
        await desk.get(f"/v1/tasks/{RANDOM}")
    await desk.client.get("/nowhere")
    assert await count(desk, "/v1/tasks/{uuid:task_id}", "GET", 404) == before + 3
    assert await count(desk, "", "GET", 404) >= 1
    text = (await desk.client.get("/metrics")).text
    assert 'taskforge_http_request_duration_seconds_bucket{le="+Inf",method="GET",route="/healthz"' in text
    assert re.search(r"^taskforge_teams_active [1-9]", text, re.MULTILINE)


async def count(desk: Desk, route: str, method: str, status: int) -> float:
    text = (await desk.client.get("/metrics")).text
    line = f'taskforge_http_requests_total{{method="{method}",route="{route}",status="{status}"}} '
    found = re.search(re.escape(line) + r"([\d.]+)", text)
    return float(found[1]) if found else 0.0


async def test_metrics_can_be_switched_off(desk: Desk) -> None:
    services = desk.site.services
    closed = structs.replace(services, http=structs.replace(services.http, metrics_enabled=False))
    app = create_app(closed)
    await app.start()
    sent: list[int] = []

    async def send(message: dict[str, int]) -> None:
        sent.append(message.get("status", 0))

    scope = {"type": "http", "method": "GET", "path": "/metrics", "raw_path": b"/metrics", "query_string": b""}
    await app({**scope, "headers": []}, None, send)
    assert sent[0] == 404
