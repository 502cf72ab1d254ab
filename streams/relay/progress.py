"""What a relay says of itself: how much it has published, and how far behind it is."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct

from db.journal.relay_cursors import Lag, range_of

__all__ = ["RangeLag", "RelayStatistics", "lag_by_range"]


class RangeLag(Struct, frozen=True):
    """What the teams of the last look have left to publish: events, and the age of the oldest in seconds."""

    events: int
    seconds: float


class RelayStatistics(Struct, frozen=True):
    """`published` counts events and `tasks` records of the compacted topic, once their cursors have been stepped;
    `spared` events found in the topic already; `refills` ranges published anew; `halted` the teams stopped at a hole;
    `lag` by held range; `ready` while broker and database answer."""

    ranges: frozenset[int] = frozenset()
    published: int = 0
    tasks: int = 0
    spared: int = 0
    rounds: int = 0
    refills: int = 0
    halted: frozenset[UUID] = frozenset()
    lag: Mapping[int, RangeLag] = {}
    ready: bool = False


def lag_by_range(held: Iterable[int], behind: Iterable[Lag]) -> Mapping[int, RangeLag]:
    """The lag of each held range, as these teams have it."""
    now = datetime.now(UTC)
    lag = dict.fromkeys(held, RangeLag(0, 0.0))
    for team in behind:
        number = range_of(team.team_id)
        age = 0.0 if team.oldest is None else max(0.0, (now - team.oldest).total_seconds())
        sofar = lag.get(number, RangeLag(0, 0.0))
        lag[number] = RangeLag(sofar.events + team.events, max(sofar.seconds, age))
    return lag
