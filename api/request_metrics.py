"""How many requests, of which route and outcome, and how long they took.

A request only counts in plain integers; once a second, and before each scrape, they go to prometheus-client in bulk.
In multi-process mode that is a memory-mapped file, and a tenth of the cost of one update per request.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Histogram

from api.metrics import Metrics

__all__ = ["RequestMetrics"]

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""
FLUSH_SECONDS: Final = 1.0


class _BulkHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Iterable[int], seconds: float) -> None:
        """Add so many observations to each bucket, and their total."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(seconds)


class _Series:
    """One (route, method, status) since the last flush."""

    __slots__ = ("count", "counts", "histogram", "requests", "seconds")

    def __init__(self, requests: Counter, histogram: _BulkHistogram) -> None:
        self.requests, self.histogram = requests, histogram
        self.clear()

    def clear(self) -> None:
        self.count, self.seconds = 0, 0.0
        self.counts = [0] * (len(BUCKETS) + 1)


class RequestMetrics:
    """Counts requests into the metrics of the process. One per process."""

    def __init__(self, metrics: Metrics) -> None:
        labels = ("route", "method", "status")
        registry = metrics.registry
        self._metrics = metrics
        self._requests = Counter("taskforge_http_requests", "HTTP requests answered.", labels, registry=registry)
        self._duration = _BulkHistogram(
            "taskforge_http_request_duration_seconds",
            "From the first byte read to the last byte handed to the server.",
            labels,
            registry=registry,
            buckets=BUCKETS,
        )
        self._series: dict[tuple[str, str, int], _Series] = {}
        self._scheduled = False
        metrics.before_flush(self._flush)

    def record(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request. Cheap: no lock, no file."""
        key = (route, method, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._open(key)
        series.count += 1
        series.seconds += seconds
        series.counts[bisect_left(BUCKETS, seconds)] += 1
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._metrics.flush)

    def _flush(self) -> None:
        """Hand everything counted since the last time to prometheus-client."""
        self._scheduled = False
        for series in self._series.values():
            if series.count:
                series.requests.inc(series.count)
                series.histogram.add(series.counts, series.seconds)
                series.clear()

    def _open(self, key: tuple[str, str, int]) -> _Series:
        labels = [str(part) for part in key]
        histogram = self._duration.labels(*labels)
        return _Series(self._requests.labels(*labels), histogram)
