"""How often the keys of other issuers were fetched, as numbers for Prometheus."""

from collections.abc import Iterator, Mapping

from api.auth.refetched import RefetchedStatistics
from api.metrics import Sample, total

__all__ = ["issuer_samples"]


def issuer_samples(statistics: Mapping[str, RefetchedStatistics]) -> Iterator[Sample]:
    for name, one in statistics.items():
        yield total("issuer_fetched", "Times that the keys of another issuer were asked for.", one.fetched, issuer=name)
        yield total("issuer_failed", "Times that they could not be fetched.", one.failed, issuer=name)
