"""An empty replay buffer is falsy (it has a length), and was once taken for a missing one: `self.buffer or …`."""

import pytest

from tests.support.feed_harness import FeedSource, a_hub, take
from tests.support.journal_writer import SOMEBODY

pytestmark = pytest.mark.anyio


async def test_a_late_first_event_does_not_restart_an_empty_buffer_and_cut_off_its_readers() -> None:
    source = FeedSource()
    team, hub = source.team(), a_hub(source)
    with await hub.subscribe(team, SOMEBODY) as reader:
        first, second = source.commit(team, 2)
        hub.publish(team, [second])
        hub.publish(team, [first])
        assert await take(reader, 2) == [1, 2]
    assert source.reads == 0
