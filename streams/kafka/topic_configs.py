"""Topics that stand, held against the settings: what may change is changed, and what may not is told.

Retention, compaction and sizes are changed at a worker's start. The number of partitions never is: a key's partition
depends on it, so that the events of a team would go on elsewhere, beside those that a consumer has not read yet. Copies
are moved by the cluster's own tools.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from msgspec import Struct

from streams.kafka.topics import TopicPlan

__all__ = ["PARTITIONS", "REPLICAS", "Difference", "differences", "settle"]

logger = logging.getLogger(__name__)

PARTITIONS: Final = "partitions"
REPLICAS: Final = "replicas"
DYNAMIC: Final = 1
"""The source of a value that was set for this topic (DescribeConfigs, version 1 and later)."""
_NAME, _VALUE, _SOURCE = 0, 1, 3

Configs = Mapping[str, Mapping[str, tuple[str, int]]]
"""By topic and name: the value, and where it comes from."""


class Difference(Struct, frozen=True):
    """What the settings want of a topic, and what it has."""

    topic: str
    name: str
    wanted: str
    found: str

    @property
    def alterable(self) -> bool:
        """Whether it is changed while the topic stands."""
        return self.name not in {PARTITIONS, REPLICAS}

    def __str__(self) -> str:
        return f"{self.topic}: {self.name} is {self.found or 'not set'}, the settings say {self.wanted}"


async def differences(admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan], replicas: int) -> Sequence[Difference]:
    """Where topics that stand are other than planned. Raises what the client raises."""
    return [one for one, _ in await _compared(admin, plans, replicas)]


async def settle(admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan], replicas: int) -> Sequence[Difference]:
    """Change what may be changed; what is left differs, and is logged. Raises what the client raises."""
    left: list[Difference] = []
    changes: dict[str, dict[str, str]] = {}
    for difference, kept in await _compared(admin, plans, replicas):
        if difference.alterable:
            # The request replaces all that is set for the topic: what others have set stays only if it is said again.
            changes.setdefault(difference.topic, dict(kept))[difference.name] = difference.wanted
        else:
            left.append(difference)
    refused = await _alter(admin, changes) if changes else {}
    for topic, reason in refused.items():
        left += [Difference(topic, name, value, reason) for name, value in changes[topic].items()]
    for difference in left:
        logger.warning("a topic is other than the settings say: %s", difference)
    return left


async def _compared(
    admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan], replicas: int
) -> list[tuple[Difference, Mapping[str, str]]]:
    """Each difference, with all that is set for its topic."""
    standing = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics(None)}
    most = min(replicas, len((await admin.describe_cluster())["brokers"]))
    there = [plan for plan in plans if plan.name in standing]
    configs = await _configs(admin, [plan.name for plan in there])
    found: list[tuple[Difference, Mapping[str, str]]] = []
    for plan in there:
        partitions, config = standing[plan.name], configs.get(plan.name, {})
        kept = {name: value for name, (value, source) in config.items() if source == DYNAMIC}
        copies = min(len(partition["replicas"]) for partition in partitions)
        wanted = {PARTITIONS: str(plan.partitions), REPLICAS: str(most), **plan.config}
        has = {PARTITIONS: str(len(partitions)), REPLICAS: str(copies)}
        has |= {name: config.get(name, ("", 0))[0] for name in plan.config}
        found += [
            (Difference(plan.name, name, value, has[name]), kept)
            for name, value in wanted.items()
            if value != has[name]
        ]
    return found


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> Configs:
    """All values of the topics: the embedded broker hangs up on who asks for some of them by name."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, tuple[str, int]]] = {}
    for answer in await admin.describe_configs(asked) if asked else ():
        for code, message, _, name, entries in answer.resources:
            if code:
                raise KafkaError(f"topic {name} cannot be looked at: {for_code(code).__name__} {message}")
            configs[name] = {entry[_NAME]: (entry[_VALUE] or "", entry[_SOURCE]) for entry in entries}
    return configs


async def _alter(admin: AIOKafkaAdminClient, changes: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Set these values; by topic, why the broker did not."""
    logger.info("topics are changed to what the settings say: %s", ", ".join(sorted(changes)))
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, dict(values)) for name, values in changes.items()]
    try:
        answers: list[Any] = await admin.alter_configs(wanted)
    except IncompatibleBrokerVersion:
        return dict.fromkeys(changes, "what this broker cannot change")
    refused = {name: code for answer in answers for code, _, _, name in answer.resources if code}
    return {name: for_code(code).__name__ for name, code in refused.items()}
