"""What a schedule is.

To add one, write a function `fire(tx, span)` and put `Schedule(name, Rhythm(…), fire)` into the list of
`taskforge/parts/scheduling.py`; its row in Postgres makes itself. The function is given everything that lies in
`span` (later than `after`, up to and including `until`), and writes its effects in `tx`: rows, or jobs of the outbox.

    async def fire(tx: Writing, span: Span) -> bool:
        due = await due_soon(tx, span, SLICE)  # At most so many, and none that is marked.
        for done in await schedules.mark(tx, "due-soon", [Mark(task.id, task.due) for task in due]):
            await outbox.put(tx, outbox.MAIL, "due-soon", done.subject)
        return len(due) < SLICE  # False: again, in a transaction of its own.

Effects are caused exactly once because they commit with their marks, and with the step forward of the schedule itself.
An effect outside the database goes through the outbox. A span that is too much for one transaction is done in slices.
"""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from core.rhythm import Rhythm, Span
from db.transaction import Writing

__all__ = ["Fire", "Schedule"]

Fire = Callable[[Writing, Span], Awaitable[bool]]
"""Causes in the transaction what the span holds; False when there is more of it, which the next call causes."""


class Schedule(Struct, frozen=True):
    """Something that is done again and again. `name` is for ever: its row and its marks are found by it."""

    name: str
    rhythm: Rhythm
    fire: Fire
