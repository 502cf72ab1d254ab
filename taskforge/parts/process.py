"""One running process, as the composition root hands it over."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from valkey.asyncio import Valkey

from actors.system import TeamSystem
from api.health import Health
from api.metrics import Metrics
from db.pool import Pools
from taskforge.parts.draining import Tiers
from taskforge.parts.format_watch import FormatWatch
from taskforge.parts.names import Part

if TYPE_CHECKING:
    from api.services import Services
    from streams.dead_letters.watching import FailureWatch
    from streams.kafka.monitor import BrokerMonitor

__all__ = ["Process"]

T = TypeVar("T")


class Process:
    """The parts of a process in tiers, what they share, and what its roles have brought along."""

    def __init__(
        self,
        *,
        pools: Pools,
        valkey: Valkey,
        health: Health,
        metrics: Metrics,
        format: FormatWatch,  # noqa: A002 (the word of this project)
        tiers: Tiers,
        teams: TeamSystem | None,
        broker: "BrokerMonitor | None",
        failures: "FailureWatch | None",
        services: "Services | None",
    ) -> None:
        self.pools, self.valkey, self.health, self.metrics, self.tiers = pools, valkey, health, metrics, tiers
        self.format = format
        self._teams, self._broker, self._services, self._failures = teams, broker, services, failures

    @property
    def parts(self) -> Sequence[Part]:
        """All parts in the order of their start."""
        return [part for tier in self.tiers for part in tier]

    @property
    def teams(self) -> TeamSystem:
        """The door to every team. Raises LookupError in a process without the roles `api` and `teams`."""
        return _given(self._teams, "teams")

    @property
    def broker(self) -> "BrokerMonitor":
        """Raises LookupError in a process without a part of a worker."""
        return _given(self._broker, "the broker")

    @property
    def failures(self) -> "FailureWatch":
        """How all consumers do. Raises LookupError in a process without a part of a worker."""
        return _given(self._failures, "the watch over consumers")

    @property
    def services(self) -> "Services":
        """What requests reach. Raises LookupError in a process without the role `api`."""
        return _given(self._services, "what requests reach")


def _given(value: T | None, what: str) -> T:
    if value is None:
        raise LookupError(f"this process was started without {what}")
    return value
