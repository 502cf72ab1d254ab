"""What `db` needs to know at start. Read from the environment by `taskforge.settings`."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from core.secret import Secret

__all__ = ["DatabaseSettings", "ObjectSettings", "ValkeySettings"]


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


class ObjectSettings(Struct, frozen=True, kw_only=True):
    """Where large things are kept: exports, and what is attached to tasks."""

    url: Annotated[
        str,
        Meta(
            description="file:///directory, which all processes share, or s3://bucket?endpoint=…&region=…&prefix=…; "
            "empty: there is no store, except in `up`."
        ),
    ] = ""
    access_key_id: Annotated[
        str, Meta(description="Of the bucket; empty: as the machine, or the environment of AWS's own tools, has it.")
    ] = ""
    secret_access_key: Annotated[Secret, Meta(description="The secret that goes with that key.")] = Secret("")
    export_bytes: Annotated[int, Meta(ge=1024, description="How large the export of one user may be.")] = (
        1024 * 1024 * 1024
    )
    attachment_bytes: Annotated[int, Meta(ge=1024, description="How large a file of a task may be.")] = 25 * 1024 * 1024
