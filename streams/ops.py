"""Optional HTTP for operators of a worker: `/healthz`, `/readyz` and Prometheus `/metrics`, on a thread of its own."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from msgspec import json
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.consumers.runner import ConsumerStatistics
from streams.kafka.monitor import MonitorStatistics
from streams.relay.relay import RelayStatistics

__all__ = ["WorkerCollector", "serving"]

Start = Callable[[str, list[tuple[str, str]]], Any]


class WorkerCollector(Collector):
    """Gauges and counters made from statistics at the moment of the scrape."""

    def __init__(
        self,
        monitor: Callable[[], MonitorStatistics],
        relay: Callable[[], RelayStatistics | None],
        consumers: Callable[[], dict[str, ConsumerStatistics]],
    ) -> None:
        self._monitor, self._relay, self._consumers = monitor, relay, consumers

    def collect(self) -> Iterable[Metric]:
        monitor = self._monitor()
        yield _gauge("taskforge_broker_reachable", "1 when the last look reached the broker.", float(monitor.reachable))
        yield _counter("taskforge_broker_losses", "Times the broker was found without its topics.", monitor.losses)
        if (relay := self._relay()) is not None:
            yield from _relay_metrics(relay)
        yield from _consumer_metrics(self._consumers())


def _relay_metrics(relay: RelayStatistics) -> Iterable[Metric]:
    yield _counter("taskforge_relay_published", "Events published.", relay.published)
    yield _counter("taskforge_relay_spared", "Events found in the topic already after a crash.", relay.spared)
    yield _counter("taskforge_relay_refills", "Ranges published anew from the journal.", relay.refills)
    yield _gauge("taskforge_relay_ranges", "Ranges of teams leased by this worker.", len(relay.ranges))
    yield _gauge("taskforge_relay_halted_teams", "Teams stopped at a hole in their journal.", len(relay.halted))
    events = GaugeMetricFamily("taskforge_relay_lag_events", "Events to publish, by range.", labels=["range"])
    seconds = GaugeMetricFamily("taskforge_relay_lag_seconds", "Age of the oldest event to publish.", labels=["range"])
    for number, lag in relay.lag.items():
        events.add_metric([str(number)], lag.events)
        seconds.add_metric([str(number)], lag.seconds)
    yield from (events, seconds)


def _consumer_metrics(consumers: dict[str, ConsumerStatistics]) -> Iterable[Metric]:
    for name, help_text in _CONSUMER_COUNTERS.items():
        family = CounterMetricFamily(f"taskforge_consumer_{name}", help_text, labels=["consumer"])
        for consumer, statistics in consumers.items():
            family.add_metric([consumer], getattr(statistics, name))
        yield family
    for name, help_text in _CONSUMER_GAUGES.items():
        gauge = GaugeMetricFamily(f"taskforge_consumer_{name}", help_text, labels=["consumer"])
        for consumer, statistics in consumers.items():
            gauge.add_metric([consumer], getattr(statistics, name))
        yield gauge


_CONSUMER_COUNTERS: Final = {
    "applied": "Events whose effect was applied.",
    "passed": "Events that needed no effect.",
    "expired": "Events too old for an effect that leaves the system.",
    "retried": "Records handed to the retry topic.",
    "dead": "Records handed to the dead-letter topic.",
    "restarts": "Times the consumer began anew.",
}
_CONSUMER_GAUGES: Final = {
    "lag": "Records not read yet.",
    "held": "Partitions that wait.",
}


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, help_text, value=value)


@contextmanager
def serving(host: str, port: int, collector: Collector, ready: Callable[[], dict[str, bool]]) -> Iterator[int]:
    """Serve until the block ends; gives the port (0 asks for a free one). Raises OSError when it is taken.

    `/readyz` is 200 when all parts of `ready` are true, else 503, and names them.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    metrics = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/healthz":
                return _answer(start, "200 OK", {"status": "ok"})
            case "/readyz":
                parts = ready()
                return _answer(start, "200 OK" if all(parts.values()) else "503 Service Unavailable", parts)
            case "/metrics":
                body: Iterable[bytes] = metrics(environ, start)
                return body
            case _:
                return _answer(start, "404 Not Found", {"status": "not found"})

    server = make_server(host, port, application, server_class=WSGIServer, handler_class=_Silent)
    thread = threading.Thread(target=server.serve_forever, name="worker-ops", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(start: Start, status: str, body: object) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [json.encode(body)]


class _Silent(WSGIRequestHandler):
    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Scrapes are not worth a line each."""
