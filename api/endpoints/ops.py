"""For those who operate it: alive, ready, metrics."""

import asyncio
import logging
import os
from typing import Final

from blacksheep import Content, Response, Router
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from api.answers import encode, json
from api.openapi import Operation, Reply
from api.problems import NOT_READY, NoSuchPath
from api.services import Probe, Services

__all__ = ["OPERATIONS", "register"]

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 1.0
NO_STORE: Final = ((b"cache-control", b"no-store"),)


class Health(Struct, frozen=True):
    """`status` is "ok"."""

    status: str


class Readiness(Struct, frozen=True):
    """`status` is "ready", "degraded" (something optional is down), "draining" or "unavailable"."""

    status: str
    checks: dict[str, str]


_READY: Final = {"status": "ready", "checks": {"postgres": "ok", "valkey": "ok", "kafka": "ok"}}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        id="health",
        summary="Whether the process is alive",
        tag="Operations",
        replies={200: Reply(description="It is.", body=Health, example={"status": "ok"})},
        secured=False,
    ),
    Operation(
        method="GET",
        path="/readyz",
        id="readiness",
        summary="Whether the process should get requests",
        tag="Operations",
        description="Without Postgres, or while draining, it should not. Without Valkey or Kafka it is only degraded.",
        replies={
            200: Reply(description="Ready, perhaps degraded.", body=Readiness, example=_READY),
            NOT_READY: Reply(description="Draining, or a dependency that is needed is down.", body=Readiness),
        },
        secured=False,
    ),
    Operation(
        method="GET",
        path="/metrics",
        id="metrics",
        summary="Prometheus metrics of all workers",
        tag="Operations",
        replies={200: Reply(description="Prometheus text format.", body=str, media_type="text/plain")},
        problems=("no-such-path",),
        secured=False,
    ),
)


async def check(probe: Probe) -> str:
    """ "ok", or "down" when the dependency does not answer well within a second; the reason goes to the log only."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe.check()
    except Exception as error:  # noqa: BLE001 (whatever a driver raises, it means the same here)
        log.warning("dependency down: %s: %s", probe.name, type(error).__name__)
        return "down"
    return "ok"


async def readiness(services: Services) -> tuple[int, Readiness]:
    """The HTTP status and the state of every dependency, asked all at once."""
    states = await asyncio.gather(*(check(probe) for probe in services.probes))
    checks = {probe.name: state for probe, state in zip(services.probes, states, strict=True)}
    if services.draining.is_set():
        return NOT_READY, Readiness("draining", checks)
    if any(probe.required and checks[probe.name] != "ok" for probe in services.probes):
        return NOT_READY, Readiness("unavailable", checks)
    return 200, Readiness("ready" if set(checks.values()) <= {"ok"} else "degraded", checks)


def metrics(services: Services) -> bytes:
    """All workers' metrics when they write to PROMETHEUS_MULTIPROC_DIR, else this process's."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(services.metrics.registry)
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return generate_latest(everyone)


def register(router: Router, services: Services) -> None:
    """/healthz, /readyz, and /metrics unless it is switched off."""

    async def get_health() -> Response:
        return json(200, b'{"status":"ok"}', NO_STORE)

    async def get_readiness() -> Response:
        status, state = await readiness(services)
        return json(status, encode(state), NO_STORE)

    async def get_metrics() -> Response:
        if not services.http.metrics_enabled:
            raise NoSuchPath
        services.metrics.flush()
        text = await asyncio.to_thread(metrics, services)
        return Response(200, list(NO_STORE), Content(CONTENT_TYPE_LATEST.encode(), text))

    router.add_get("/healthz", get_health)
    router.add_get("/readyz", get_readiness)
    router.add_get("/metrics", get_metrics)
