"""What `db` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from core.secret import Secret

__all__ = ["DatabaseSettings", "ValkeySettings"]


class DatabaseSettings(Struct, frozen=True, kw_only=True):
    """One PostgreSQL 18 database, one URL per role: least privilege is a matter of which URL a process holds."""

    api_url: Annotated[Secret, Meta(description="Role of the API under row-level security.")]
    writer_url: Annotated[Secret, Meta(description="Role of the committer, the only writer of team data.")]
    worker_url: Annotated[Secret, Meta(description="Role of the relay and the consumers.")]
    owner_url: Annotated[
        Secret, Meta(description="Role that owns the schema; only `migrate` and `doctor` may hold it.")
    ] = Secret("")
    pool_size: Annotated[int, Meta(ge=1, le=500, description="Connections per pool and process.")] = 8

    @property
    def name(self) -> str:
        """Of the database, as its committer's URL has it."""
        return urlsplit(self.writer_url.reveal()).path.removeprefix("/")


class ValkeySettings(Struct, frozen=True, kw_only=True):
    """Valkey holds snapshots, wake-ups and rate-limit shares; losing it costs latency, never data."""

    url: Annotated[Secret, Meta(description="valkey://[:password@]host:port/db, or unix:///path.")]
