"""The export of everything about a user (contract.md, Privacy): two steps, and an archive that is there for a week."""

from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from db import objects
from db.object_store import ObjectStore, ObjectTooLarge, Stored
from db.pool import Pool
from db.transaction import Writing
from streams.operations.archive import archive
from streams.operations.kinds import Context, Kind, Plan, Refused, Step

__all__ = ["EXPORT", "EXPORT_DAYS", "ExportPorts", "export"]

EXPORT: Final = Plan("export", ("reserve", "write"))
EXPORT_DAYS: Final = 7
MEDIA_TYPE: Final = "application/zip"
OBJECT_KIND: Final = "exports"


class ExportPorts(Struct, frozen=True):
    """What an export works with: the API's pool, in which it reads as its user, and the store (None: there is none)."""

    api: Pool
    store: ObjectStore | None
    largest_bytes: int


def export(ports: ExportPorts) -> Kind:
    """The kind of operation that makes one."""
    steps = _Steps(ports)
    return Kind(
        EXPORT,
        (
            Step(name="reserve", effect=steps.reserve, undo=steps.give_up),
            Step(name="write", role="pivot", outside=steps.write, effect=steps.hand_over),
        ),
    )


class _Steps:
    def __init__(self, ports: ExportPorts) -> None:
        self._ports = ports

    async def reserve(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """A row for the archive, so that whatever is written of it is found and deleted."""
        name = f"taskforge-export-{datetime.now(UTC):%Y-%m-%d}.zip"
        object_id = await objects.reserve(
            tx, user_id=context.user_id, kind=OBJECT_KIND, name=name, media_type=MEDIA_TYPE
        )
        return {"object_id": object_id, "name": name}

    async def give_up(self, context: Context, tx: Writing) -> None:
        """Housekeeping deletes what was written, and the row."""
        if "object_id" in context.data:
            await objects.expire(tx, UUID(context.data["object_id"]))

    async def write(self, context: Context) -> Stored:
        """Write the archive under a key of this attempt's own: of two that are written, one is handed over."""
        if self._ports.store is None:
            raise Refused("No object store is set, in which an export could be kept.")
        key = objects.new_key(OBJECT_KIND, UUID(context.data["object_id"]))
        made = archive(self._ports.api, context.user_id, datetime.now(UTC), context.report)
        try:
            async with aclosing(made) as chunks:
                return await self._ports.store.put(
                    key, chunks, limit=self._ports.largest_bytes, media_type=MEDIA_TYPE, name=context.data["name"]
                )
        except ObjectTooLarge as error:
            raise Refused("There is more about you than one archive may hold: ask whoever runs TaskForge.") from error

    async def hand_over(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """From here on the user can download it."""
        stored: Stored = context.outcome
        object_id = UUID(context.data["object_id"])
        until = await objects.complete(tx, object_id, stored, seconds=EXPORT_DAYS * 86_400.0)
        return {
            "result": {
                "object_id": object_id,
                "name": context.data["name"],
                "size": stored.size,
                "sha256": stored.sha256.hex(),
                "expires_at": until,
            }
        }
