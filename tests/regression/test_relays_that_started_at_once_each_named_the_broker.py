"""Three processes met a broker without a name at once, and each gave it one: the first two took that for a loss.

What they had published went again, although nothing was gone.
"""

from typing import Any

import anyio
import pytest

from streams.kafka import relay_state, topics
from streams.kafka.broker import administrating, producing, reading
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.relay_state import BROKER
from streams.settings import KafkaSettings
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_they_agree_on_the_first_name(kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monitors, read, nameless = [BrokerMonitor(kafka) for _ in range(3)], relay_state.read, 0

    async def read_with_the_others(consumer: Any) -> dict[str, bytes]:
        nonlocal nameless
        state = await read(consumer)
        if BROKER not in state:
            turn = nameless = nameless + 1
            # All have read that there is no name; then each gives one after the other has gone to work with its own.
            await until(lambda: nameless == 3 and sum(bool(m.statistics().incarnation) for m in monitors) == turn - 1)
        return state

    async with administrating(kafka) as admin:  # The topics are there; nobody has named the broker.
        await topics.create(admin, topics.plans(kafka), 1)
    monkeypatch.setattr(relay_state, "read", read_with_the_others)
    async with anyio.create_task_group() as group:
        for monitor in monitors:
            await group.start(monitor.run)
        names = {await monitor.known() for monitor in monitors}
        for monitor in monitors:
            await monitor.look()
        group.cancel_scope.cancel()

    assert nameless == 3
    assert len(names | {monitor.statistics().incarnation for monitor in monitors}) == 1
    assert [monitor.statistics().losses for monitor in monitors] == [0, 0, 0]


async def test_a_name_counts_only_after_the_one_it_was_written_for(kafka: KafkaSettings) -> None:
    async with administrating(kafka) as admin, producing(kafka) as producer, reading(kafka) as consumer:
        await topics.create(admin, topics.plans(kafka), 1)
        for name, after in ((b"one", b""), (b"two", b""), (b"three", b"one"), (b"four", b"one"), (b"five", None)):
            await relay_state.write(producer, BROKER, name, after=after)
            if name != b"five":
                expected = b"one" if name in {b"one", b"two"} else b"three"
                assert (await relay_state.read(consumer))[BROKER] == expected
        assert (await relay_state.read(consumer))[BROKER] == b"five"
