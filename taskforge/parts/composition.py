"""The making of a process: what all roles share, and each part after what it stands on. Nothing runs yet."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING

from valkey.asyncio import Valkey

from actors.system import TeamSystem
from api.health import Health, Probe
from api.metrics import Metrics, Sample
from db.highest_epoch import HighestEpoch
from db.ids import new_id
from db.journal.journal import PostgresJournal
from db.keyset import Keyset
from db.object_store import ObjectStore, open_store
from db.pool import Pool, Pools
from db.signed import Signer
from db.snapshots import ValkeySnapshots
from db.zones import zone_named
from streams.feeds.hub import Hub
from taskforge.clock import SystemClock
from taskforge.parts.background import Background, Teams, at_once
from taskforge.parts.format_watch import FormatWatch
from taskforge.parts.history_watch import watch_history
from taskforge.parts.names import Part
from taskforge.parts.process import Process
from taskforge.parts.team_samples import feed_samples, team_samples
from taskforge.settings import Settings
from taskforge.tuning import give_memory_back

if TYPE_CHECKING:
    from api.services import Services
    from streams.dead_letters.watching import FailureWatch
    from streams.kafka.monitor import BrokerMonitor
    from streams.operations.runner import OperationRunner
    from streams.webhooks.sender import WebhookSender

__all__ = ["Composition"]


class Composition:
    """A process while it is made. Parts go into one of three tiers; each tier stands on those before it.

    `broker` and `services` are made by the roles that need them (`taskforge.parts.work`, `taskforge.parts.serving`).
    """

    def __init__(
        self,
        settings: Settings,
        pools: Pools,
        valkey: Valkey,
        health: Health,
        metrics: Metrics,
        format_pool: Pool,
        keys: Keyset,
        highest: HighestEpoch,
    ) -> None:
        self.settings, self.pools, self.valkey, self.health, self.metrics = settings, pools, valkey, health, metrics
        self.keys, self.highest = keys, highest
        self.clock = SystemClock()
        self.format = FormatWatch(format_pool, health)
        self.base: list[Part] = [
            Background("format", at_once(self.format.run)),
            Background("restores", at_once(partial(watch_history, pools, highest))),
        ]
        self.middle: list[Part] = []
        self.work: list[Part] = []
        self.probes: list[Probe] = []
        self.broker: BrokerMonitor | None = None
        self.failures: FailureWatch | None = None
        self.services: Services | None = None
        self.operations: OperationRunner | None = None
        self.webhooks: WebhookSender | None = None
        self.reports: OperationRunner | None = None
        self._samples: list[Callable[[], Iterable[Sample]]] = []

    def show(self, samples: Callable[[], Iterable[Sample]]) -> None:
        """Show these numbers in `/metrics` while the process runs."""
        self._samples.append(samples)

    def samples(self) -> Iterator[Sample]:
        """All numbers of the process at this moment."""
        for samples in self._samples:
            yield from samples()

    def process(self) -> Process:
        """What was made, to be run."""
        return Process(
            pools=self.pools,
            valkey=self.valkey,
            health=self.health,
            metrics=self.metrics,
            format=self.format,
            tiers=(self.base, self.middle, self.work),
            teams=vars(self).get("teams"),
            broker=self.broker,
            failures=self.failures,
            services=self.services,
        )

    @cached_property
    def signer(self) -> Signer:
        return Signer(self.keys)

    @cached_property
    def objects(self) -> ObjectStore | None:
        """The object store, if there is one."""
        return open_store(self.settings.objects)

    @cached_property
    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.pools, self.highest)

    @cached_property
    def hub(self) -> Hub:
        """The live feeds, without which no team commits: they announce what it does to the other processes."""
        hub = Hub(self.journal, self.settings.feeds, (self.valkey, self.signer), quotas=self.settings.quotas)
        self.base.append(Background("feeds", hub.run, statistics=hub.statistics, finish=hub.flush))
        self.show(lambda: feed_samples(hub.statistics()))
        return hub

    @cached_property
    def teams(self) -> TeamSystem:
        """The door to every team, made for the first who needs it."""
        teams = TeamSystem(
            journal=self.journal,
            snapshots=ValkeySnapshots(self.valkey, self.signer),
            feed=self.hub,
            clock=self.clock,
            new_id=new_id,
            settings=self.settings.actors,
            freed=give_memory_back,
            quotas=self.settings.quotas,
            zones=zone_named,
        )
        self.hub.attach(teams)
        self.middle.append(Teams(teams))
        self.show(lambda: team_samples(teams.statistics()))
        return teams
