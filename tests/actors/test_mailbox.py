"""The mailbox by itself: bounds, deadlines, keys."""

import asyncio

import pytest

from actors.envelope import Envelope, slot_for
from actors.mailbox import Mailbox
from core.commands import ArchiveTask
from core.errors import DeadlineExceeded, KeyInFlight, Overloaded, ShuttingDown
from tests.support.actor_harness import MEMBER, OWNER, keyed, stored
from tests.support.asking import by

pytestmark = pytest.mark.anyio


def envelope(deadline: float = 10.0, key: str | None = None) -> Envelope:
    ask, reply = by(OWNER) if key is None else keyed(key), asyncio.get_running_loop().create_future()
    return Envelope(ArchiveTask(MEMBER), ask, deadline, slot_for(ask, stored), reply)


async def test_what_waits_past_its_deadline_is_failed_wherever_it_stands() -> None:
    mailbox = Mailbox(10)
    early, late = envelope(deadline=1.0, key="a" * 16), envelope(deadline=9.0)
    mailbox.put(late)
    mailbox.put(early)
    mailbox.expire(5.0)
    assert isinstance(early.reply.exception(), DeadlineExceeded)
    assert mailbox.take(10, 5.0) == [late]
    mailbox.put(envelope(key="a" * 16))
    assert mailbox.statistics().expired == 1


async def test_a_key_is_in_flight_until_its_envelope_is_released() -> None:
    mailbox = Mailbox(10)
    first = envelope(key="a" * 16)
    mailbox.put(first)
    taken = mailbox.take(10, 0.0)
    with pytest.raises(KeyInFlight):
        mailbox.put(envelope(key="a" * 16))
    mailbox.release(taken[:1])
    mailbox.put(envelope(key="a" * 16))


async def test_a_full_mailbox_says_so_and_counts_it() -> None:
    mailbox = Mailbox(1)
    mailbox.put(envelope())
    with pytest.raises(Overloaded):
        mailbox.put(envelope())
    statistics = mailbox.statistics()
    assert (statistics.waiting, statistics.highest, statistics.refused) == (1, 1, 1)


async def test_failing_all_answers_every_envelope_and_frees_their_keys() -> None:
    mailbox = Mailbox(10)
    waiting = [envelope(key="a" * 16), envelope()]
    for one in waiting:
        mailbox.put(one)
    waiting[1].reply.cancel()
    mailbox.fail_all(lambda: ShuttingDown("bye"))
    assert isinstance(waiting[0].reply.exception(), ShuttingDown)
    assert len(mailbox.waiting) == 0
    mailbox.put(envelope(key="a" * 16))


async def test_a_batch_is_taken_in_order_and_no_larger_than_asked() -> None:
    mailbox = Mailbox(10)
    waiting = [envelope() for _ in range(5)]
    for one in waiting:
        mailbox.put(one)
    assert mailbox.take(3, 0.0) == waiting[:3]
    assert mailbox.take(3, 0.0) == waiting[3:]
