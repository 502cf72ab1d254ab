"""What every worker says about all consumers: how far behind each group is, what it tries again, what it gave up."""

from typing import Final

from db import outbox
from streams.consumers import (
    history,
    mail,
    notifications,
    operations,
    recurrence,
    redaction,
    reports,
    search,
    thumbnails,
    webhooks,
)
from streams.dead_letters.watching import FailureWatch, Group
from streams.kafka.monitor import BrokerMonitor
from streams.kafka.topics import TASK_EVENTS
from taskforge.parts.background import Background, at_once
from taskforge.parts.composition import Composition
from taskforge.parts.work_samples import backlog_samples

__all__ = ["GROUPS", "add_failure_watch"]

GROUPS: Final = (
    *(
        Group(name, TASK_EVENTS)
        for name in (notifications.NAME, redaction.NAME, search.NAME, history.NAME, webhooks.NAME)
    ),
    Group(mail.NAME, outbox.MAIL),
    *(Group(name, outbox.JOBS) for name in (operations.NAME, thumbnails.NAME, recurrence.NAME, reports.NAME)),
)
"""The consumers of this version with the topics that they read."""


def add_failure_watch(made: Composition, broker: BrokerMonitor) -> None:
    """The part that measures, and its numbers."""
    watch = made.failures = FailureWatch(made.pools.worker, made.settings.kafka, broker, GROUPS)
    made.base.append(Background("backlogs", at_once(watch.run), statistics=watch.statistics))
    made.show(lambda: backlog_samples(watch.statistics()))
