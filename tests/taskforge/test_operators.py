"""What operators see of a worker: alive, ready within a second, measured; and a hanging event loop as such."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from api.health import Health, Probe
from api.metrics import Metrics, Sample
from taskforge import operators
from taskforge.operators import listening
from taskforge.processes import http_get
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"


async def ask(port: int, path: str) -> tuple[int, bytes]:
    return await http_get(HOST, port, path)


def probe(name: str, check: Callable[[], Awaitable[None]], *, required: bool = True) -> Probe:
    return Probe(name, check, required)


async def well() -> None:
    """Answers at once."""


async def hanging() -> None:
    await asyncio.Event().wait()


async def test_health_readiness_and_metrics_have_the_same_answers_as_those_of_the_api() -> None:
    health, metrics = Health([probe("postgres", well), probe("relay", well)]), Metrics()
    source = [Sample("relay_published", "Events published.", 3, total=True)]
    async with listening(HOST, 0, health, metrics) as port:
        with metrics.showing(lambda: source):
            assert await ask(port, "/healthz") == (200, b'{"status":"ok"}')
            status, body = await ask(port, "/readyz")
            assert (status, json.loads(body)) == (
                200,
                {"status": "ready", "checks": {"postgres": "ok", "relay": "ok"}},
            )
            status, body = await ask(port, "/metrics")
            assert status == 200
            assert b"taskforge_relay_published_total 3.0" in body
            assert (await ask(port, "/other"))[0] == 404
    assert (await ask(port, "/healthz"))[0] == 0


async def test_a_hanging_part_is_named_within_a_second() -> None:
    async with listening(HOST, 0, Health([probe("postgres", hanging), probe("relay", well)]), Metrics()) as port:
        began = time.monotonic()
        status, body = await ask(port, "/readyz")
        assert time.monotonic() - began < 1.0
    assert (status, json.loads(body)) == (
        503,
        {"status": "unavailable", "checks": {"postgres": "frozen", "relay": "ok"}},
    )


async def test_a_draining_worker_is_not_ready_and_names_its_parts_still() -> None:
    health = Health([probe("relay", well)])
    health.draining.set()
    async with listening(HOST, 0, health, Metrics()) as port:
        status, body = await ask(port, "/readyz")
    assert (status, json.loads(body)) == (503, {"status": "draining", "checks": {"relay": "ok"}})


async def test_an_event_loop_that_hangs_is_seen_from_outside_within_a_second() -> None:
    async with listening(HOST, 0, Health([probe("relay", well)]), Metrics()) as port:
        waiting, hangs = threading.Event(), threading.Event()

        def ask_while_it_hangs() -> tuple[list[tuple[int, bytes]], float]:
            waiting.set()
            hangs.wait()
            return asyncio.run(_all_at_once(port))

        answering = asyncio.ensure_future(asyncio.to_thread(ask_while_it_hangs))
        await until(waiting.is_set)
        hangs.set()
        until_then = time.monotonic() + 2
        while time.monotonic() < until_then:
            time.sleep(0.05)  # noqa: ASYNC251 (that is the point)
        answers, seconds = await answering
    assert [status for status, _ in answers] == [503, 503, 503]
    assert all(json.loads(body)["checks"] == {"event_loop": "down"} for _, body in answers)
    assert seconds < 1.3


async def _all_at_once(port: int) -> tuple[list[tuple[int, bytes]], float]:
    began = time.monotonic()
    answers = await asyncio.gather(*(ask(port, path) for path in ("/healthz", "/readyz", "/metrics")))
    return answers, time.monotonic() - began


async def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server((HOST, 0)) as stranger:
        for shared in (False, True):
            with pytest.raises(OSError, match="in use"):
                async with listening(HOST, stranger.getsockname()[1], Health(), Metrics(), shared=shared):
                    pytest.fail("it must not listen")


async def test_the_processes_of_one_server_share_a_port_and_any_of_them_answers() -> None:
    async with listening(HOST, 0, Health(), Metrics(), shared=True) as port:
        async with listening(HOST, port, Health(), Metrics(), shared=True) as other:
            assert other == port
            assert (await ask(port, "/healthz"))[0] == 200
        assert (await ask(port, "/healthz"))[0] == 200


async def test_many_clients_at_once_are_answered_at_once() -> None:
    async with listening(HOST, 0, Health(), Metrics()) as port:
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(port, "/healthz") for _ in range(operators.CONNECTIONS // 2)))
        assert [status for status, _ in answers] == [200] * len(answers)
        assert time.monotonic() - began < 1.0  # A connection that the queue drops is tried again after a second.


async def test_a_client_that_drips_is_cut_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One such client once kept a worker from ending, for as long as it liked."""
    monkeypatch.setattr(operators, "CONNECTION_SECONDS", 0.5)
    caplog.set_level(logging.INFO)

    async def drip(port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        answer = asyncio.ensure_future(reader.read())
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        while not (await asyncio.wait([answer], timeout=0.02))[0]:
            writer.write(b"X")
        answer.exception()
        writer.close()

    async with asyncio.TaskGroup() as group:
        async with listening(HOST, 0, Health(), Metrics()) as port:
            group.create_task(drip(port))
            assert (await ask(port, "/healthz"))[0] == 200
        assert caplog.records == []
