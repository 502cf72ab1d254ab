"""What the rate limits of a process count, as numbers for Prometheus."""

from collections.abc import Iterator

from api.limits.door import LimitStatistics
from api.metrics import Sample, total

__all__ = ["limit_samples"]


def limit_samples(statistics: LimitStatistics) -> Iterator[Sample]:
    yield Sample("limit_subjects", "Users, keys, addresses and accounts that are counted.", statistics.subjects)
    yield Sample("limit_cut_off", "1 while a process limits without Valkey.", statistics.cut_off, greatest=True)
    yield total("limit_refused", "Requests refused for a rate limit.", statistics.refused)
    yield total("limit_waited", "Times that a request waited for the other processes.", statistics.waited)
