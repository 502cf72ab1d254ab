"""The fold of a journal, a page at a time, in a thread: the event loop and the other teams go on."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import msgspec
from msgspec import structs

from core.codec import JournalRow, decode
from core.errors import StorageUnavailable
from core.loading import PAUSE_SECONDS
from core.redaction import TASK_TEXTS
from core.team import TeamState, evolve
from core.upcasts import UnknownEvent

__all__ = ["PAGE", "folded", "without"]

PAGE: Final = 250
"""Rows of the journal that are in memory, and folded, at once."""
SLICE: Final = 50
"""Events between two pauses: a thread that never waits would keep the interpreter from the event loop."""


async def folded(state: TeamState, rows: Sequence[JournalRow]) -> TeamState:
    """The state after the rows, which come next in its team's journal; it is changed in place.

    Raises StorageUnavailable for an event that a newer program wrote: another server can read it.
    """
    try:
        return await asyncio.to_thread(_folded, state, rows)
    except (UnknownEvent, msgspec.MsgspecError) as error:
        raise StorageUnavailable("A newer program wrote this history: another server answers.") from error


def without(state: TeamState, due: Collection[UUID]) -> TeamState:
    """The state without what is written in these tasks, which are to be forgotten; it is changed in place."""
    for task in filter(None, map(state.tasks.get, due)):
        state.tasks.put(task.id, structs.replace(task, **TASK_TEXTS))
    return state.merge()


def _folded(state: TeamState, rows: Sequence[JournalRow]) -> TeamState:
    for number, row in enumerate(rows, 1):
        evolve(state, decode(row))
        state.digest = row.digest
        if number % SLICE == 0:
            time.sleep(PAUSE_SECONDS)
    return state.merge()
