"""Connections to the broker: opened and closed in one place, bounded in time, failing as one exception."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.kafka.security import client_security
from streams.settings import KafkaSettings

__all__ = [
    "BROKER_ERRORS",
    "LARGEST_BATCH",
    "Backoff",
    "BrokerUnavailable",
    "administrating",
    "broker_errors",
    "calm_logs",
    "producing",
    "reading",
]

Compression = Literal["gzip"]

REQUEST_MS: Final = 5_000
# A batch that finds no leader is given up after this long. The embedded broker answers at once or has lost the topic,
# and until the batch is given up nobody may make the topic anew.
EMBEDDED_BATCH_MS: Final = 2_000
BATCH_MS: Final = 10_000
LARGEST_BATCH: Final = 512 * 1024
LARGEST_REQUEST: Final = 4 * 1024 * 1024
LINGER_MS: Final = 0  # Batches are built whole by the relay: waiting for more would only add latency.
CLOSE_SECONDS: Final = 2.5 * BATCH_MS / 1000
QUIET_SECONDS: Final = 30.0

BROKER_ERRORS: Final = (KafkaError, OSError, TimeoutError)


class BrokerUnavailable(Exception):
    """The broker cannot be reached, did not answer in time, or refused. The journal keeps everything meanwhile."""


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn whatever the client raises for a missing, slow or unwilling broker into `BrokerUnavailable`."""
    try:
        yield
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error


class Backoff:
    """Seconds to wait between tries: from `first`, doubling, up to `last`."""

    def __init__(self, first: float = 0.1, last: float = 2.0) -> None:
        self._first, self._last, self._failures = first, last, 0

    def reset(self) -> None:
        """The last try succeeded."""
        self._failures = 0

    def next(self) -> float:
        """Count one more failure; returns the seconds to wait for it."""
        seconds = min(self._last, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return seconds

    async def wait(self) -> None:
        """Wait for as long as the failures so far demand."""
        await anyio.sleep(self.next())


def _connection(settings: KafkaSettings) -> dict[str, Any]:
    """Where every client connects, and how. A certificate that cannot be read is one more broker out of reach."""
    with broker_errors():
        return {"bootstrap_servers": settings.bootstrap_servers.split(","), **client_security(settings)}


@asynccontextmanager
async def producing(
    settings: KafkaSettings, *, compression: Compression | None = None
) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that acknowledges what every in-sync replica has. Raises `BrokerUnavailable`."""
    producer = AIOKafkaProducer(
        **_connection(settings),
        client_id="taskforge-relay",
        acks="all",
        enable_idempotence=settings.idempotent,
        compression_type=compression,
        linger_ms=LINGER_MS,
        max_batch_size=LARGEST_BATCH,
        max_request_size=LARGEST_REQUEST,
        request_timeout_ms=BATCH_MS if settings.idempotent else EMBEDDED_BATCH_MS,
    )
    async with _opened(producer, producer.stop):
        yield producer


@asynccontextmanager
async def administrating(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that makes and describes topics. Raises `BrokerUnavailable`."""
    admin = AIOKafkaAdminClient(
        **_connection(settings),
        client_id="taskforge-admin",
        request_timeout_ms=REQUEST_MS,
    )
    async with _opened(admin, admin.close):
        yield admin


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, for looking at partitions by hand. Raises `BrokerUnavailable`."""
    consumer = AIOKafkaConsumer(
        **_connection(settings),
        client_id="taskforge-reader",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=REQUEST_MS,
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=LARGEST_REQUEST,
    )
    async with _opened(consumer, consumer.stop):
        yield consumer


@asynccontextmanager
async def _opened(client: Any, close: Callable[[], Any]) -> AsyncIterator[None]:
    try:
        with broker_errors():
            with anyio.fail_after(REQUEST_MS / 1000):
                await client.start()
        yield
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await close()


class _Calm(logging.Filter):
    """Lets each kind of message of a client pass once per half minute, and errors as warnings.

    A client without its broker logs hundreds of errors a second; what they mean for us, we log ourselves.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._quiet: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, str(record.msg)), self._monotonic()
        if record.levelno < logging.WARNING:
            return True
        if now < self._quiet.get(kind, 0.0):
            return False
        self._quiet[kind] = now + QUIET_SECONDS
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


@contextmanager
def calm_logs() -> Iterator[None]:
    """Keep the Kafka client's loggers calm until the block ends."""
    calm = _Calm()
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "aiokafka"]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(calm)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(calm)
