"""Trying dead letters again: what would become of each, and sending them to their consumers, with an audit.

A letter goes to its consumer's topic of delays, due at once. An event is read from the journal anew, so that nothing
that was redacted since is repeated; what is no event of ours goes as it lies there.
"""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

import anyio
from aiokafka import AIOKafkaProducer
from msgspec import Struct, structs

from core.codec import parse_event_id
from core.seq import MAX_SEQ
from db import dead_letters, inbox
from db.dead_letters import Mark, Place, Replay
from db.ids import new_id
from db.pool import Pool
from db.transaction import reading
from streams.cloud_events import cloud_event
from streams.consumers.retries import Outgoing, again
from streams.dead_letters.letters import DeadLetter, Wanted
from streams.dead_letters.reading import incarnation_of, letters
from streams.kafka.broker import broker_errors, producing
from streams.kafka.topics import TASK_EVENTS, retry_topic, team_key
from streams.settings import KafkaSettings

__all__ = ["VERDICTS", "Judged", "Judge", "Outcome", "Verdict", "count", "judged", "replay"]

logger = logging.getLogger(__name__)

SEND_SECONDS: Final = 15.0

Verdict = Literal["open", "applied", "replayed", "too old", "rewritten", "cut"]
VERDICTS: Final[Mapping[Verdict, str]] = {
    "open": "is tried again",
    "applied": "is sent again, and changes nothing: its effect has happened meanwhile",
    "replayed": "was sent again before, and stays (unless asked for with --again)",
    "too old": "is older than 14 days, and stays",
    "rewritten": "is of a history that was rewritten or is gone, and stays",
    "cut": "was too large to be kept, and stays",
}
"""What becomes of a dead letter, in words."""
SENT: Final[frozenset[Verdict]] = frozenset({"open", "applied"})


class Judged(Struct, frozen=True):
    """A letter, what would become of it, who sent it last, and what would be sent."""

    letter: DeadLetter
    verdict: Verdict
    mark: Mark | None = None
    outgoing: Outgoing | None = None


class Outcome(Struct, frozen=True):
    """How many letters there were by what became of them. `replay_id` is that of the audit; None in a dry run."""

    counts: Mapping[Verdict, int]
    replay_id: UUID | None = None

    @property
    def sent(self) -> int:
        """How many are, or would be, sent again."""
        return sum(number for verdict, number in self.counts.items() if verdict in SENT)


class Judge(Struct, frozen=True):
    """What judging letters takes: the worker's pool, the broker, and the time."""

    pool: Pool
    kafka: KafkaSettings
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


async def judged(judge: Judge, wanted: Wanted) -> AsyncGenerator[Sequence[Judged]]:
    """The letters that are wanted, each with what would become of it. Raises BrokerUnavailable, StorageUnavailable."""
    incarnation = await incarnation_of(judge.kafka)
    marks: dict[str, Mapping[Place, Mark]] = {}
    async with aclosing(letters(judge.kafka, wanted)) as slices:
        async for found in slices:
            consumer = found[0].consumer
            if consumer not in marks:
                marks[consumer] = await dead_letters.marks(judge.pool, incarnation, consumer, wanted.first)
            yield [await _judge(judge, letter, marks[consumer].get(letter.place), wanted) for letter in found]


async def count(judge: Judge, wanted: Wanted) -> Outcome:
    """What `replay` would do. Raises BrokerUnavailable, StorageUnavailable."""
    counts: Counter[Verdict] = Counter()
    async with aclosing(judged(judge, wanted)) as slices:
        async for found in slices:
            counts.update(one.verdict for one in found)
    return Outcome(counts)


async def replay(
    judge: Judge, wanted: Wanted, *, who: str, why: str, told: Callable[[int], None] = lambda _: None
) -> Outcome:
    """Send the letters that are wanted to their consumers once more; `told` hears how many were sent.

    The audit knows of it before the first is sent. Cut off in between, it has sent what is marked, and perhaps one
    slice more. Raises BrokerUnavailable, StorageUnavailable.
    """
    incarnation, replay_id = await incarnation_of(judge.kafka), new_id()
    await dead_letters.begin(judge.pool, Replay(id=replay_id, who=who, why=why, wanted=wanted.words()))
    counts: Counter[Verdict] = Counter()
    async with producing(judge.kafka) as producer, aclosing(judged(judge, wanted)) as slices:
        async for found in slices:
            going = [one for one in found if one.verdict in SENT]
            for one in going:
                await _send(producer, one, str(replay_id))
            if going:
                places = [one.letter.place for one in going]
                await dead_letters.marked(judge.pool, replay_id, incarnation, going[0].letter.consumer, places)
            counts.update(one.verdict for one in found)
            told(sum(counts[verdict] for verdict in SENT))
    await dead_letters.end(judge.pool, replay_id)
    outcome = Outcome(counts, replay_id)
    logger.info("%s had %d dead letters tried again: %s", who, outcome.sent, wanted.words())
    return outcome


async def _judge(judge: Judge, letter: DeadLetter, mark: Mark | None, wanted: Wanted) -> Judged:
    if mark is not None and not wanted.again:
        return Judged(letter, "replayed", mark)
    if letter.is_too_old(judge.now()):
        return Judged(letter, "too old", mark)
    outgoing = again(letter.record, "")
    if (event := _event_of(letter)) is not None:
        row = await dead_letters.event(judge.pool, event[0], event[2])
        if row is None or (row.team_id, row.epoch, row.seq) != event:
            return Judged(letter, "rewritten", mark)
        outgoing = structs.replace(outgoing, key=team_key(row.team_id), value=cloud_event(row))
    elif letter.cut:
        return Judged(letter, "cut", mark)
    return Judged(letter, "applied" if await _is_applied(judge.pool, letter) else "open", mark, outgoing)


def _event_of(letter: DeadLetter) -> tuple[UUID, int, int] | None:
    """Team, epoch and seq of the event of ours that the letter is about, if it is about one."""
    if letter.topic != TASK_EVENTS:
        return None
    try:
        event = parse_event_id(letter.event_id)
    except ValueError:
        return None
    return event if event[2] <= MAX_SEQ else None


async def _is_applied(pool: Pool, letter: DeadLetter) -> bool:
    async with reading(pool, None) as tx:
        return bool(letter.event_id) and await inbox.is_applied(tx, letter.consumer, letter.event_id)


async def _send(producer: AIOKafkaProducer, one: Judged, replay_id: str) -> None:
    assert one.outgoing is not None, f"a letter that {one.verdict} is not sent"
    topic, headers = retry_topic(one.letter.consumer), again(one.letter.record, replay_id).headers
    with broker_errors(), anyio.fail_after(SEND_SECONDS):
        first = min(await producer.partitions_for(topic))
        await producer.send_and_wait(topic, one.outgoing.value, key=one.outgoing.key, partition=first, headers=headers)
