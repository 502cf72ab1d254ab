"""Where partitions end by the broker's answers to fetches, for where its list of offsets cannot be believed.

The embedded broker lists the offset after the *first* record of the last batch, so that a group which has read that
batch seems to have come from another life of the broker. It also lists offsets of records that it took for a topic
which did not exist yet, and serves none of them. Its answer to a fetch carries the right number in both cases.
"""

from collections.abc import Mapping
from typing import Final

import anyio
from aiokafka import AIOKafkaConsumer, TopicPartition

__all__ = ["HighWaters"]

PATIENCE_SECONDS: Final = 2.0
ANSWER_MS: Final = 50
ASK_AGAIN: Final = 12
"""Looks after which everything is asked for anew, listed as before or not."""


class HighWaters:
    """Asks once for each end that the broker lists, and remembers the answers."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._known: dict[TopicPartition, tuple[int, int]] = {}
        self._looks = 0

    async def ask(self, reader: AIOKafkaConsumer, listed: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """The high watermarks of the partitions whose ends are `listed`, without those that did not answer in time.

        `reader` keeps them assigned, and paused. Raises what the client raises.
        """
        self._looks += 1
        if self._looks % ASK_AGAIN == 0:
            self._known = {}
        self._known = {place: known for place, known in self._known.items() if listed.get(place) == known[0]}
        new = {place: end for place, end in listed.items() if place not in self._known}
        found = await _fetched(reader, new, self._patience) if new else {}
        self._known |= {place: (listed[place], end) for place, end in found.items()}
        return {place: end for place, (_, end) in self._known.items()}


async def _fetched(
    reader: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int], patience: float
) -> dict[TopicPartition, int]:
    """The numbers that come with answers to fetches from these offsets on; the records in them are not wanted."""
    found: dict[TopicPartition, int] = {}
    reader.assign(list(offsets))
    for place, offset in offsets.items():
        reader.seek(place, offset)
    with anyio.move_on_after(patience):
        while waiting := offsets.keys() - found.keys():
            await reader.getmany(timeout_ms=ANSWER_MS, max_records=1)
            answers = {place: end for place in waiting if (end := reader.highwater(place)) is not None}
            reader.pause(*answers)
            found |= answers
    # Not unsubscribed: a client that is stopped while it gives up a fetch for that waits for an assignment for ever.
    reader.pause(*offsets)
    return found
