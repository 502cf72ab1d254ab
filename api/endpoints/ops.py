"""For those who operate it: alive, ready, metrics."""

import asyncio
from typing import Final

from blacksheep import Content, Response, Router
from msgspec import Struct

from api.answers import NO_STORE, encode, json
from api.health import Readiness
from api.metrics import CONTENT_TYPE
from api.openapi import Operation, Reply
from api.problems import NOT_READY, NoSuchPath
from api.services import Services
from core.rights import ANYBODY

__all__ = ["OPERATIONS", "register"]


class Health(Struct, frozen=True):
    """`status` is "ok"."""

    status: str


_READY: Final = {"status": "ready", "checks": {"postgres": "ok", "valkey": "ok", "kafka": "ok", "relay": "ok"}}

_DRAINING: Final = {**_READY, "status": "draining"}
_METRICS: Final = 'taskforge_http_requests_total{method="GET",route="/v1/tasks",status="200"} 42.0\n'

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        id="health",
        summary="Whether the process is alive",
        tag="Operations",
        description=(
            "Asks nothing of the services below, so that a process is not restarted because a database is down."
        ),
        replies={200: Reply(description="It is.", body=Health, example={"status": "ok"})},
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="GET",
        path="/readyz",
        id="readiness",
        summary="Whether the process should get requests",
        tag="Operations",
        description=(
            "Without Postgres, or while draining, it should not. Without Valkey, Kafka or a worker that relays it is "
            "only degraded. Each check is `ok`, `down`, or `frozen` when there is no answer at all."
        ),
        replies={
            200: Reply(description="Ready, perhaps degraded.", body=Readiness, example=_READY),
            NOT_READY: Reply(
                description="Draining, or a dependency that is needed is down.", body=Readiness, example=_DRAINING
            ),
        },
        secured=False,
        requires=ANYBODY,
    ),
    Operation(
        method="GET",
        path="/metrics",
        id="metrics",
        summary="Prometheus metrics of all workers",
        tag="Operations",
        description=(
            "Of all API workers of this host, added up. A 404 where it is switched off "
            "(`TASKFORGE_HTTP__METRICS_ENABLED`)."
        ),
        replies={
            200: Reply(description="Prometheus text format.", body=str, media_type="text/plain", example=_METRICS)
        },
        problems=("no-such-path",),
        secured=False,
        requires=ANYBODY,
    ),
)


def register(router: Router, services: Services) -> None:
    """/healthz, /readyz, and /metrics unless it is switched off."""

    async def get_health() -> Response:
        return json(200, b'{"status":"ok"}', (NO_STORE,))

    async def get_readiness() -> Response:
        state = await services.health.readiness()
        return json(200 if state.ready else NOT_READY, encode(state), (NO_STORE,))

    async def get_metrics() -> Response:
        if not services.http.metrics_enabled:
            raise NoSuchPath
        services.metrics.flush()
        text = await asyncio.to_thread(services.metrics.text)
        return Response(200, [NO_STORE], Content(CONTENT_TYPE.encode(), text))

    router.add_get("/healthz", get_health)
    router.add_get("/readyz", get_readiness)
    router.add_get("/metrics", get_metrics)
