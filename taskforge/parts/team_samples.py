"""What the teams and feeds of a process count, as numbers for Prometheus. Names are the contract with dashboards."""

from collections.abc import Iterator

from actors.system import SystemStatistics
from api.metrics import Sample, total
from streams.feeds.hub import HubStatistics
from streams.relay_watch import RelayView

__all__ = ["feed_samples", "relay_watch_samples", "team_samples"]


def team_samples(statistics: SystemStatistics) -> Iterator[Sample]:
    yield Sample("teams_active", "Teams in memory.", statistics.active)
    yield Sample("commands_waiting", "Commands in mailboxes.", statistics.waiting)
    yield Sample("board_memory_bytes", "Rough size of the boards in memory.", statistics.memory_bytes)


def relay_watch_samples(view: RelayView) -> Iterator[Sample]:
    yield Sample("relay_workers", "Workers that relay, as an API process sees them.", view.workers, greatest=True)
    yield Sample("relay_waiting_events", "Events that no worker has published yet.", view.events, greatest=True)
    yield Sample("relay_waiting_seconds", "Age of the oldest of those events.", view.seconds, greatest=True)


def feed_samples(statistics: HubStatistics) -> Iterator[Sample]:
    yield Sample("feed_subscribers", "Open live feeds.", statistics.subscribers)
    yield Sample("feed_lag_events", "Events by which the slowest reader is behind.", statistics.lag, greatest=True)
    yield total("feed_delivered", "Events given to readers of feeds.", statistics.delivered)
    yield total("feed_resets", "Feeds that had to begin anew.", statistics.resets)
    yield total("feed_slow_readers", "Readers cut off because they were too slow.", statistics.slow_readers)
    yield total("feed_announcements_dropped", "Batches of commits that Valkey did not take.", statistics.dropped)
