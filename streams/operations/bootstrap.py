"""The making of a bootstrap: a place for the file, everything that is there after one event, and nothing else there.

    reserve ──► write ──► tidy
                  ▲ pivot: from here on whoever asked finds it

It is an object of the team's and of whoever asked for it, without a row of its own: what the journal forgets drops all
of the team's. Who dies while writing has it written once more, under a key of that attempt's own; one is kept.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import anyio
from msgspec import Struct, convert

from core.checkpoints import Checkpoint
from db import objects
from db.bootstrap.folding import Beginning, begun, folded
from db.bootstrap.keeping import keep
from db.bootstrap.spool import Spool
from db.object_store import ObjectStore, ObjectTooLarge, Stored
from db.pool import Pool
from db.transaction import Writing
from streams.bootstrap import ExtraMissing, Format, media_type_of, write
from streams.operations.kinds import Context, Kind, Plan, Refused, Step
from streams.paths import TEAM_EVENTS
from streams.scratch import scratch_folder

__all__ = ["BOOTSTRAP", "BOOTSTRAP_DAYS", "BootstrapPorts", "Wanted", "bootstrap"]

BOOTSTRAP: Final = Plan("bootstrap", ("reserve", "write", "tidy"))
BOOTSTRAP_DAYS: Final = 7
"""How long a bootstrap is kept."""
LARGEST_BYTES: Final = 16 * 1024**3
"""A bound for a store that would otherwise be filled by a mistake."""
FOLDED: Final = 0.8
"""The share of the work that is done once the journal is folded."""


class Wanted(Struct, frozen=True):
    """What an operation of this kind is started with: its `data`. Without a `seq` it is the last when it is made."""

    format: Format
    seq: int | None = None


class BootstrapPorts(Struct, frozen=True):
    """What bootstraps are made with: the worker's pool and the store (None: there is none)."""

    worker: Pool
    store: ObjectStore | None


class _Written(Struct, frozen=True):
    """What an attempt at writing came to."""

    stored: Stored
    checkpoint: Checkpoint
    beginning: Beginning
    digest: bytes


def bootstrap(ports: BootstrapPorts) -> Kind:
    """The kind of operation that makes one; its `data` is a `Wanted`."""
    steps = _Steps(ports)
    return Kind(
        BOOTSTRAP,
        (
            Step(name="reserve", effect=steps.reserve, undo=steps.give_up),
            Step(name="write", role="pivot", outside=steps.write, effect=steps.hand_over),
            Step(name="tidy", role="retry", outside=steps.tidy),
        ),
    )


class _Steps:
    def __init__(self, ports: BootstrapPorts) -> None:
        self._ports = ports

    async def reserve(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """A row for the file, so that whatever is written of it is found and deleted."""
        form = _wanted(context).format
        name = f"taskforge-bootstrap-{datetime.now(UTC):%Y-%m-%d}.{form}"
        object_id = await objects.reserve(
            tx,
            user_id=context.user_id,
            kind=objects.BOOTSTRAPS,
            name=name,
            media_type=media_type_of(form),
            team_id=_team_of(context),
        )
        return {"object_id": object_id, "name": name}

    async def give_up(self, context: Context, tx: Writing) -> None:
        """Housekeeping deletes what was written, and the row."""
        if "object_id" in context.data:
            await objects.expire(tx, UUID(context.data["object_id"]))

    async def write(self, context: Context) -> _Written:
        """Fold, write and store it, under a key of this attempt's own."""
        if self._ports.store is None:
            raise Refused("No object store is set, in which a bootstrap could be kept.")
        wanted = _wanted(context)
        beginning = await begun(self._ports.worker, _team_of(context), wanted.seq, member=context.user_id)
        if beginning is None:
            raise Refused("You are not a member of the team any more, or it was taken back behind the seq.")
        with scratch_folder("bootstrap") as folder:
            return await self._write(self._ports.store, context, beginning, folder)

    async def _write(self, store: ObjectStore, context: Context, beginning: Beginning, folder: Path) -> _Written:
        form, path = _wanted(context).format, folder / "file"
        with Spool(folder / "spool") as spool:
            checkpoint = await folded(
                self._ports.worker, beginning, spool, lambda share: context.report(share * FOLDED)
            )
            try:
                await asyncio.to_thread(write, form, path, checkpoint, spool)
            except ExtraMissing as error:
                raise Refused(str(error)) from error
            digest = spool.digest
        key = objects.new_key(objects.BOOTSTRAPS, UUID(context.data["object_id"]))
        async with await anyio.open_file(path, "rb") as file:
            try:
                stored = await store.put(
                    key, file, limit=LARGEST_BYTES, media_type=media_type_of(form), name=context.data["name"]
                )
            except ObjectTooLarge as error:
                raise Refused("The team is larger than a bootstrap may be: ask whoever runs TaskForge.") from error
        return _Written(stored, checkpoint, beginning, digest)

    async def hand_over(self, context: Context, tx: Writing) -> Mapping[str, Any]:
        """From here on whoever asked can download it. Raises Unkept."""
        written: _Written = context.outcome
        checkpoint, stored = written.checkpoint, written.stored
        object_id = UUID(context.data["object_id"])
        until = await keep(tx, object_id, stored, written.beginning, written.digest, seconds=BOOTSTRAP_DAYS * 86_400.0)
        tail = f"{TEAM_EVENTS.format(team_id=checkpoint.team)}?after={checkpoint.epoch}:{checkpoint.seq}"
        return {
            "key": stored.key,
            "result": {
                "object_id": object_id,
                "team_id": checkpoint.team,
                "format": _wanted(context).format,
                "checkpoint": checkpoint,
                "tail": tail,
                "name": context.data["name"],
                "bytes": stored.size,
                "digest": stored.sha256.hex(),
                "expires_at": until,
            },
        }

    async def tidy(self, context: Context) -> None:
        """Delete what other attempts have written."""
        assert self._ports.store is not None, "the file is in it"
        for key in await self._ports.store.keys(objects.path_of(objects.BOOTSTRAPS, UUID(context.data["object_id"]))):
            if key != context.data["key"]:
                await self._ports.store.delete(key)


def _wanted(context: Context) -> Wanted:
    return convert({name: context.data[name] for name in Wanted.__struct_fields__}, Wanted)


def _team_of(context: Context) -> UUID:
    assert context.team_id is not None, "a bootstrap is of a team"
    return context.team_id
