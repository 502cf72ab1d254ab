"""The numbers of one process for Prometheus, the same way for API processes and workers.

A part says what it counts in its `statistics()`; once a second, and before each scrape, those become gauges and
counters. Several API processes share one port: in prometheus-client's multi-process mode their numbers meet in files,
which knows no collectors that are asked at the moment of the scrape, hence this copying.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "Metrics", "Sample", "total"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
SHARED_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

Kind = TypeVar("Kind", Gauge, Counter)
Labels = tuple[str, ...]


class Sample(Struct, frozen=True):
    """One number at this moment, called `taskforge_<name>`. A `total` only grows, and counts since its part began.

    Where processes share their metrics, numbers are added up, unless `greatest` says that only the greatest counts.
    """

    name: str
    about: str
    value: float
    labels: Mapping[str, str] = {}
    total: bool = False
    greatest: bool = False


def total(name: str, about: str, value: float, **labels: str) -> Sample:
    """A number that only grows."""
    return Sample(name, about, value, labels, total=True)


class Metrics:
    """The registry of a process, and what fills it before it is read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sources: list[Callable[[], Iterable[Sample]]] = []
        self._before: list[Callable[[], None]] = []
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._counted: dict[tuple[str, Labels], float] = {}
        self._shown: set[tuple[str, Labels]] = set()

    @contextmanager
    def showing(self, source: Callable[[], Iterable[Sample]]) -> Iterator[None]:
        """Until the block ends, show what the source says whenever the metrics are read. Then its gauges become 0."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)
            self.flush()

    def before_flush(self, callback: Callable[[], None]) -> None:
        """Call this first: for what is counted outside and handed over in bulk."""
        self._before.append(callback)

    def flush(self) -> None:
        """Bring everything up to date."""
        for callback in self._before:
            callback()
        shown = {self._show(sample) for source in self._sources for sample in source()}
        # What a part does not mention any more (a range leased by another worker now) must not stay as it last was.
        for name, labels in self._shown - shown:
            _labelled(self._gauges[name], labels).set(0)
        self._shown = {key for key in shown if key[0] in self._gauges}

    def text(self) -> bytes:
        """In Prometheus' text format: of all processes that share a directory for it, else of this one."""
        if SHARED_DIRECTORY not in os.environ:
            return generate_latest(self.registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)

    def _show(self, sample: Sample) -> tuple[str, Labels]:
        key = sample.name, tuple(sample.labels.values())
        if sample.total:
            self._count(sample, key)
        else:
            gauge = self._gauges.get(sample.name) or self._gauge(sample)
            _labelled(gauge, key[1]).set(sample.value)
        return key

    def _count(self, sample: Sample, key: tuple[str, Labels]) -> None:
        """Add what came since the last time; a part that began anew counts from zero again."""
        counter = self._counters.get(sample.name) or self._counter(sample)
        before = self._counted.get(key, 0.0)
        _labelled(counter, key[1]).inc(sample.value - before if sample.value >= before else sample.value)
        self._counted[key] = sample.value

    def _gauge(self, sample: Sample) -> Gauge:
        gauge = self._gauges[sample.name] = Gauge(
            f"taskforge_{sample.name}",
            sample.about,
            tuple(sample.labels),
            multiprocess_mode="livemax" if sample.greatest else "livesum",
            registry=self.registry,
        )
        return gauge

    def _counter(self, sample: Sample) -> Counter:
        counter = self._counters[sample.name] = Counter(
            f"taskforge_{sample.name}", sample.about, tuple(sample.labels), registry=self.registry
        )
        return counter


def _labelled(metric: Kind, labels: Labels) -> Kind:
    return metric.labels(*labels) if labels else metric
