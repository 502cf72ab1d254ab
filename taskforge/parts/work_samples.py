"""What the parts of a worker count, as numbers for Prometheus. Names are the contract with dashboards."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from api.metrics import Sample, total
from streams.consumers.retries import DELAYS
from streams.consumers.runner import ConsumerStatistics
from streams.dead_letters.watching import Backlog, WatchStatistics
from streams.housekeeping import HousekeepingStatistics
from streams.kafka.monitor import MonitorStatistics
from streams.mail.leaving import LeavingStatistics
from streams.operations.runner import OperationStatistics
from streams.relay.checkpoints import CheckpointStatistics
from streams.relay.outbox import OutboxStatistics
from streams.relay.relay import RelayStatistics
from streams.scheduler.scheduler import SchedulerStatistics
from streams.webhooks.sender import SenderStatistics

__all__ = [
    "backlog_samples",
    "broker_samples",
    "checkpoint_samples",
    "consumer_samples",
    "housekeeping_samples",
    "leaving_samples",
    "operation_samples",
    "outbox_samples",
    "printing_samples",
    "relay_samples",
    "webhook_samples",
    "scheduler_samples",
]

CONSUMER_TOTALS: Final = {
    "applied": "Events whose effect was applied.",
    "passed": "Events that needed no effect.",
    "expired": "Events too old for an effect that leaves the system.",
    "retried": "Records sent to the retry topic.",
    "dead": "Records sent to the dead-letter topic.",
    "restarts": "Times the consumer began anew.",
}


def broker_samples(statistics: MonitorStatistics) -> Iterator[Sample]:
    yield Sample("broker_reachable", "1 when the last look reached the broker.", float(statistics.reachable))
    yield total("broker_losses", "Times the broker was found without its topics.", statistics.losses)
    yield Sample("broker_topics_differing", "What topics have other than the settings say.", statistics.differing)


def backlog_samples(statistics: WatchStatistics) -> Iterator[Sample]:
    """Every worker sees the same: where several share their metrics, these numbers are not added up."""
    yield Sample("backlog_age_seconds", "How old the numbers of backlogs are.", statistics.age, greatest=True)
    for backlog in statistics.backlogs:
        yield from _backlog(backlog)


def _backlog(backlog: Backlog) -> Iterator[Sample]:
    name, about = "consumer_partition_lag", "Records of the partition that the consumer group has not finished."
    of_consumer = {"consumer": backlog.consumer}
    for partition, lag in backlog.lag.items():
        yield Sample(name, about, lag, {**of_consumer, "partition": str(partition)}, greatest=True)
    name, about = "consumer_retries_waiting", "Records that wait to be tried again, by the delay in seconds."
    for level, waiting in backlog.retries.items():
        delay = f"{DELAYS[level % len(DELAYS)]:g}"
        yield Sample(name, about, waiting, {**of_consumer, "delay": delay}, greatest=True)
    about = "Dead letters that nobody had tried again."
    yield Sample("dead_letters", about, backlog.dead, of_consumer, greatest=True)
    about = "Age of the oldest of them; 0 where there is none."
    yield Sample("dead_letters_oldest_seconds", about, _age(backlog.oldest_dead), of_consumer, greatest=True)
    about = "Age of the oldest record that waits to be tried again; 0 where there is none."
    yield Sample("consumer_retries_oldest_seconds", about, _age(backlog.oldest_retry), of_consumer, greatest=True)


def _age(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())


def relay_samples(statistics: RelayStatistics) -> Iterator[Sample]:
    yield total("relay_published", "Events published.", statistics.published)
    yield total("relay_spared", "Events found in the topic already after a crash.", statistics.spared)
    yield total("relay_refills", "Ranges published anew from the journal.", statistics.refills)
    yield Sample("relay_ranges", "Ranges of teams leased by this worker.", len(statistics.ranges))
    yield Sample("relay_halted_teams", "Teams stopped at a hole in their journal.", len(statistics.halted))
    for number, lag in statistics.lag.items():
        of_range = {"range": str(number)}
        yield Sample("relay_lag_events", "Events to publish, by range.", lag.events, of_range)
        yield Sample("relay_lag_seconds", "Age of the oldest event to publish.", lag.seconds, of_range)


def outbox_samples(statistics: OutboxStatistics) -> Iterator[Sample]:
    yield total("outbox_moved", "Rows moved from the outbox to their topics.", statistics.moved)
    yield total("outbox_discarded", "Rows deleted from the outbox that were never to leave.", statistics.discarded)
    yield total("outbox_given_back", "Rows that wait again since the broker lives another life.", statistics.given_back)
    yield Sample("outbox_waiting", "Rows that wait in the outbox.", statistics.waiting, greatest=True)
    yield Sample("outbox_lag_seconds", "Age of the oldest row in the outbox.", statistics.seconds, greatest=True)


def checkpoint_samples(statistics: CheckpointStatistics) -> Iterator[Sample]:
    yield total("checkpoints_published", "Checkpoints of teams published.", statistics.published)
    yield total("checkpoint_pages", "Pages of events taken in for checkpoints.", statistics.pages)


def consumer_samples(name: str, statistics: ConsumerStatistics) -> Iterator[Sample]:
    for field, about in CONSUMER_TOTALS.items():
        yield total(f"consumer_{field}", about, getattr(statistics, field), consumer=name)
    yield Sample("consumer_lag", "Records not read yet.", statistics.lag, {"consumer": name})
    yield Sample("consumer_held", "Partitions that wait.", statistics.held, {"consumer": name})


def operation_samples(statistics: OperationStatistics) -> Iterator[Sample]:
    yield total("operation_steps", "Steps of operations that were done.", statistics.steps)
    yield total("operation_steps_undone", "Steps of operations that were taken back.", statistics.undone)
    yield total("operation_attempts_failed", "Attempts at a step that came to nothing.", statistics.failed)
    yield total("operations_ended", "Operations that came to an end here.", statistics.ended)
    yield Sample("operations_stuck", "Operations that somebody should look at.", statistics.stuck, greatest=True)


def printing_samples(statistics: OperationStatistics) -> Iterator[Sample]:
    yield total("report_attempts_failed", "Attempts at a step of a report that came to nothing.", statistics.failed)
    yield total("reports_ended", "Reports that came to an end here, printed or not.", statistics.ended)


def housekeeping_samples(statistics: HousekeepingStatistics) -> Iterator[Sample]:
    for what, rows in statistics.forgotten.items():
        yield total("forgotten_rows", "Rows deleted because their time was up.", rows, what=what)


def leaving_samples(statistics: LeavingStatistics) -> Iterator[Sample]:
    yield total("notification_mails_left", "Mails of notifications that left for the outbox.", statistics.left)


def webhook_samples(statistics: SenderStatistics) -> Iterator[Sample]:
    for outcome in ("delivered", "failed", "throttled", "gone", "expired"):
        yield total(
            "webhook_attempts", "Attempts at webhooks by outcome.", getattr(statistics, outcome), outcome=outcome
        )
    yield Sample("webhook_busy", "Requests to endpoints on their way.", statistics.busy)


def scheduler_samples(statistics: SchedulerStatistics) -> Iterator[Sample]:
    yield Sample("scheduler_leads", "1 in the worker that fires the schedules.", float(statistics.leads))
    for name, number in statistics.firings.items():
        yield total(
            "schedule_firings", "Times a schedule was fired, in slices where it had much to do.", number, schedule=name
        )
    for name, number in statistics.failures.items():
        yield total(
            "schedule_failures", "Times a firing came to nothing and was left for later.", number, schedule=name
        )
    for name, seconds in statistics.behind.items():
        yield Sample("schedule_behind_seconds", "How far back a schedule has been fired.", seconds, {"schedule": name})
