"""What `streams` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["FeedSettings", "KafkaSettings"]


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """The Kafka-compatible broker that carries the topics."""

    bootstrap_servers: Annotated[str, Meta(min_length=1, description="host:port, several separated by commas.")]
    partitions: Annotated[int, Meta(ge=1, le=10_000, description="Partitions of a topic when we create it.")] = 6
    idempotent: Annotated[bool, Meta(description="Idempotent producer: on for Apache Kafka, off for Tansu.")] = False


class FeedSettings(Struct, frozen=True, kw_only=True):
    """Live feeds: how far back a reader may resume and how slow it may be."""

    retention_seconds: Annotated[int, Meta(ge=60, description="Resume works at least this far back in time.")] = 86_400
    retention_events: Annotated[int, Meta(ge=1, description="Resume works at least this many events back.")] = 10_000
    heartbeat_seconds: Annotated[float, Meta(gt=0, description="Between two heartbeats on a silent feed.")] = 25.0
    queue_events: Annotated[int, Meta(ge=1, description="Events queued before a slow reader is cut off.")] = 1000
    queue_bytes: Annotated[int, Meta(ge=1024, description="Bytes queued before a slow reader is cut off.")] = (
        1024 * 1024
    )
    connection_seconds: Annotated[int, Meta(ge=1, description="Life of one feed connection, give or take 20 %.")] = 900
