"""The relay's part when a database was restored: the topic as a witness of it, and the compacted topic written anew.

A database that was put back as a whole, with the disk it stands on, is the same as before in all that it says of
itself. The topic knows better: it has events that the journal lacks, or others under the same numbers.
"""

import logging
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from core.codec import JournalRow, decode
from core.events import TeamDeleted, TeamRestored
from db.highest_epoch import HighestEpoch
from db.journal import relay_cursors as cursors
from db.journal.epochs import raise_due_epochs
from db.journal.lost_histories import Lost, Witnessed, contradicted, first_differences, note_lost
from db.journal.relay_cursors import Page, range_of
from db.pool import Pool
from streams.cloud_events import parse_cloud_event
from streams.kafka.topics import TASK_EVENTS, TASKS
from streams.relay.records import Record, records_of, state_records
from streams.relay.topic_ends import DEPTH, Numbered, TopicRecord, numbered, read_topic
from streams.settings import KafkaSettings

__all__ = ["FIRST", "STATE_ANEW", "Histories"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

ASKED_AT_ONCE: Final = 1_000
"""Events that are held against the journal in one query."""
TASKS_AT_ONCE: Final = 500
STATE_ANEW: Final = frozenset({TeamRestored.type, TeamDeleted.type})
"""Events after which the compacted topic is to say of a whole team what is so."""
FIRST: Final[Numbered] = (1, 0)
"""Before every event."""


class Histories:
    """`pool` is the worker's, `writer` may note that epochs are due."""

    def __init__(self, pool: Pool, writer: Pool, kafka: KafkaSettings, highest: HighestEpoch | None) -> None:
        self._pool, self._writer, self._kafka, self._highest = pool, writer, kafka, highest
        self._lost: dict[UUID, tuple[Numbered, set[UUID]]] = {}

    def forget(self) -> None:
        """Others may have written to the compacted topic since it was looked at."""
        self._lost.clear()

    async def compare(self, partitions: Collection[int], ranges: Collection[int]) -> int:
        """Hold the topic's newest event of each team of the ranges against the journal, which is read after it.

        Teams that have lost events get a new epoch; how many did. Raises BrokerUnavailable, StorageUnavailable.
        """
        newest: dict[UUID, tuple[Numbered, TopicRecord]] = {}
        async with aclosing(read_topic(self._kafka, TASK_EVENTS, partitions, depth=DEPTH)) as slices:
            async for records in slices:
                for record in records:
                    if (event := numbered(record)) is None or range_of(event[0]) not in ranges:
                        continue
                    team_id, epoch, seq = event
                    if team_id not in newest or newest[team_id][0] <= (epoch, seq):
                        newest[team_id] = ((epoch, seq), record)
        events = [_witnessed(team_id, number, record) for team_id, (number, record) in newest.items()]
        lost = {team_id for slice_ in _slices(events) for team_id in await contradicted(self._pool, slice_)}
        if lost:
            await self._restore({event.team_id: event.epoch for event in events if event.team_id in lost}, partitions)
        return len(lost)

    async def _restore(self, last_epochs: Mapping[UUID, int], partitions: Collection[int]) -> None:
        logger.error("the topic has events of %d teams that the journal has lost: it was restored", len(last_epochs))
        firsts: dict[UUID, int] = {}
        async with aclosing(read_topic(self._kafka, TASK_EVENTS, partitions)) as slices:
            async for records in slices:
                numbers = [(record, event) for record in records if (event := numbered(record)) is not None]
                events = [
                    _witnessed(team_id, (epoch, seq), record)
                    for record, (team_id, epoch, seq) in numbers
                    if team_id in last_epochs and epoch <= last_epochs[team_id]
                ]
                for team_id, seq in (await first_differences(self._pool, events) if events else {}).items():
                    firsts[team_id] = min(seq, firsts.get(team_id, seq))
        lost = {team_id: Lost(epoch, firsts.get(team_id)) for team_id, epoch in last_epochs.items()}
        # The cursors first: were they left behind by a crash, what the new epoch begins with would never go out.
        await cursors.back_to_differences(self._pool, {team_id: firsts.get(team_id) for team_id in lost})
        await note_lost(self._writer, lost)
        while await raise_due_epochs(self._writer, highest=self._highest):
            pass

    async def announcements(
        self, pages: Iterable[Page], sent: Mapping[UUID, Numbered], incarnation: str
    ) -> Sequence[Record]:
        """What goes ahead of these pages, where an epoch begins with events that were there before it was noticed.

        A reader must hear first that what it has under these seqs has not happened: the event that says so comes here,
        and once more in its place. `sent` has what was published last. Raises StorageUnavailable.
        """
        begun = {page.team_id for page in pages if page.rows[-1].epoch > sent.get(page.team_id, FIRST)[0]}
        rows = await cursors.announcements(self._pool, begun) if begun else ()
        return [record for row in rows for record in records_of(row, {}, incarnation)]

    async def state_anew(
        self, rows: Sequence[JournalRow], partitions: Collection[int], ranges: Collection[int], incarnation: str
    ) -> AsyncGenerator[Sequence[Record]]:
        """What the compacted topic is to say of the teams that these events restored or deleted, in slices.

        Of a deleted team it is the end of all tasks. Of a restored one these are all tasks that there are now, for the
        lost history may have deleted one and its end be forgotten, and the end of those that it had made. Raises
        BrokerUnavailable, StorageUnavailable.
        """
        restored = [row for row in rows if row.type == TeamRestored.type]
        firsts = {row.team_id: (row.epoch, _from_seq(row)) for row in restored}
        if any(self._lost.get(team_id, (None,))[0] != first for team_id, first in firsts.items()):
            # The topic is read once for all teams that wait: it may be long.
            await self._find_lost(dict(await cursors.restored(self._pool, ranges)) | firsts, partitions)
        for row in {row.team_id: row for row in restored}.values():
            lost = self._lost[row.team_id][1]
            for some in _slices(sorted(lost), TASKS_AT_ONCE):
                there = await cursors.tasks(self._pool, {(row.team_id, task_id) for task_id in some})
                yield state_records(row, (), [task_id for task_id in some if task_id not in there], incarnation)
            after: UUID | None = None
            while tasks := await cursors.tasks_after(self._pool, row.team_id, after, TASKS_AT_ONCE):
                yield state_records(row, tasks, (), incarnation)
                after = tasks[-1].id
        for row in rows:
            if row.type == TeamDeleted.type:
                async with aclosing(self._ends_of_tasks(row, incarnation)) as slices:
                    async for records in slices:
                        yield records

    async def _ends_of_tasks(self, row: JournalRow, incarnation: str) -> AsyncGenerator[Sequence[Record]]:
        """The end of every task that the team ever had, which this event has deleted; in slices.

        The journal knows them all, also when the topics are filled anew long after. Raises StorageUnavailable.
        """
        after: UUID | None = None
        while gone := await cursors.tasks_ever_after(self._pool, row.team_id, row.seq, after, TASKS_AT_ONCE):
            yield state_records(row, (), gone, incarnation)
            after = gone[-1]

    async def _find_lost(self, firsts: Mapping[UUID, Numbered], partitions: Collection[int]) -> None:
        """Which tasks the compacted topic has by events of an epoch before that of `first`, from its seq on."""
        self._lost = {team_id: (first, set()) for team_id, first in firsts.items()}
        async with aclosing(read_topic(self._kafka, TASKS, partitions)) as slices:
            async for records in slices:
                for record in records:
                    if (event := numbered(record)) is None or event[0] not in firsts:
                        continue
                    team_id, epoch, seq = event
                    if epoch < firsts[team_id][0] and seq >= firsts[team_id][1]:
                        self._lost[team_id][1].add(UUID(record.key.decode()))


def _from_seq(row: JournalRow) -> int:
    event = decode(row)
    assert isinstance(event, TeamRestored), "only such rows come here"
    return event.from_seq


def _witnessed(team_id: UUID, number: Numbered, record: TopicRecord) -> Witnessed:
    try:
        digest = parse_cloud_event(record.value or b"").digest
    except msgspec.MsgspecError:
        digest = b""
    return Witnessed(team_id, *number, digest)


def _slices(items: Sequence[T], size: int = ASKED_AT_ONCE) -> Iterable[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
