"""What `/readyz` asks: the services that a process depends on, and the parts of a worker."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from valkey.asyncio import Valkey

from api.health import NotReady, Probe
from db.object_store import ObjectStore
from db.pool import Pool, connected
from streams.kafka.answering import answering
from streams.relay_watch import RelayWatch
from streams.settings import KafkaSettings
from taskforge.parts.names import Part

if TYPE_CHECKING:
    from streams.kafka.monitor import BrokerMonitor

__all__ = [
    "POSTGRES_NOT_REACHED",
    "broker_probe",
    "kafka_probe",
    "objects_probe",
    "part_probe",
    "postgres_probe",
    "relay_probe",
    "valkey_probe",
]


def postgres_probe(pool: Pool) -> Probe:
    """Without Postgres nothing can be acknowledged and nothing can be relayed."""

    async def ask() -> None:
        async with connected(pool) as connection:
            await connection.fetchval("select 1")

    return Probe("postgres", ask)


def valkey_probe(valkey: Valkey) -> Probe:
    """Without Valkey everything is only slower or later."""

    async def ping() -> None:
        await valkey.ping()

    return Probe("valkey", ping, required=False)


def kafka_probe(kafka: KafkaSettings) -> Probe:
    """Whether one of the brokers answers: the API itself never talks to Kafka, it only reports."""

    async def ask() -> None:
        await answering(kafka)

    return Probe("kafka", ask, required=False)


def objects_probe(store: ObjectStore) -> Probe:
    """Without the store exports wait, and what is in it cannot be downloaded; nothing else."""
    return Probe("objects", store.check, required=False)


def relay_probe(watch: RelayWatch) -> Probe:
    """Whether some worker relays what this process commits. Without one, data teams and effects wait."""
    return Probe("relay", _unless(lambda: watch.ready, "no worker relays, or it is late"), required=False)


def broker_probe(broker: "BrokerMonitor") -> Probe:
    """What the monitor has seen by its last look."""
    return Probe("kafka", _unless(lambda: broker.statistics().reachable, "the broker is not reached"))


def part_probe(part: Part, *, required: bool) -> Probe:
    """A part of a worker under its name."""
    return Probe(part.name, _unless(lambda: part.ready, "it waits or hangs"), required)


def _unless(ready: Callable[[], bool], reason: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        if not ready():
            raise NotReady(reason)

    return check


POSTGRES_NOT_REACHED: Final = Probe("postgres", _unless(lambda: False, "not connected yet"))
"""For a process that waits for the database before it has any part."""
