"""Alive, ready, measured."""

import asyncio
import re

import pytest
from msgspec import structs

from api.app import create_app
from api.health import Health, Probe
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
    state = answer.json()
    # Here nobody relays, which is forgiven for some seconds.
    assert state["checks"].pop("relay") in {"ok", "down"}
    checks = {"postgres": "ok", "valkey": "ok", "kafka": "down", "objects": "ok"}
    assert state == {"status": "degraded", "checks": checks}


@pytest.mark.parametrize(
    ("probes", "ready", "state"),
    [
        ((Probe("a", well), Probe("b", well, required=False)), True, "ready"),
        ((Probe("a", well), Probe("b", hanging, required=False)), True, "degraded"),
        ((Probe("a", broken), Probe("b", well, required=False)), False, "unavailable"),
        ((Probe("a", hanging),), False, "unavailable"),
    ],
)
async def test_readiness_is_the_sum_of_the_dependencies(
    monkeypatch: pytest.MonkeyPatch, probes: tuple[Probe, ...], ready: bool, state: str
) -> None:
    monkeypatch.setattr("api.health.PROBE_SECONDS", 0.05)
    answer = await Health(probes).readiness()
    assert (answer.ready, answer.status) == (ready, state)


async def test_draining_is_not_ready() -> None:
    health = Health([Probe("a", well)])
    health.draining.set()
    answer = await health.readiness()
    assert (answer.ready, answer.status, answer.checks) == (False, "draining", {"a": "ok"})


async def test_probes_of_a_block_are_asked_until_it_ends() -> None:
    health = Health([Probe("a", broken)])
    with health.probing([Probe("b", well)]):
        assert (await health.readiness()).checks == {"b": "ok"}
    assert (await health.readiness()).checks == {"a": "down"}


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
    await app({**scope, "headers": [(b"host", b"desk")]}, None, send)
    assert sent[0] == 404
