"""A change is acknowledged when it leaves for the database."""

from actors.team import TeamActor
from core.writes import TeamWrites

_genuine = TeamActor.take_writes


def take_writes(self: TeamActor) -> TeamWrites | None:
    writes = _genuine(self)
    if writes is not None:
        self._in_flight[-1].answer()
    return writes


TeamActor.take_writes = take_writes  # type: ignore[method-assign]
