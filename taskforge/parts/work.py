"""The parts of a worker: relay, consumers and the scheduler. Loaded by workers only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from api.metrics import Sample
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
from streams.consumers.plan import ConsumerPlan
from streams.consumers.runner import ConsumerRunner
from streams.housekeeping import Housekeeper
from streams.kafka.monitor import BrokerMonitor
from streams.mail.delivery import delivery_of
from streams.mail.leaving import LeavingMails
from streams.mail.letters import Letters
from streams.mail.notice_letters import notice_kinds
from streams.mail.senders import sender_address
from streams.relay import wakeups
from streams.relay.checkpoints import CheckpointWriter
from streams.relay.outbox import OutboxRelay
from streams.relay.relay import Relay
from streams.scheduler.scheduler import Scheduler
from streams.search_filling import SearchFiller
from taskforge.parts.background import Background, at_once
from taskforge.parts.collecting import collecting_of
from taskforge.parts.composition import Composition
from taskforge.parts.failures import add_failure_watch
from taskforge.parts.long_work import operation_runner, report_runner
from taskforge.parts.names import Part
from taskforge.parts.outgoing import webhook_sender
from taskforge.parts.probes import broker_probe, objects_probe, part_probe, postgres_probe, valkey_probe
from taskforge.parts.scheduling import scheduler
from taskforge.parts.work_samples import (
    broker_samples,
    checkpoint_samples,
    consumer_samples,
    housekeeping_samples,
    leaving_samples,
    outbox_samples,
    relay_samples,
)

__all__ = ["CONSUMERS", "add_work"]


def _notifications(made: Composition) -> ConsumerPlan:
    return notifications.notifications(made.pools.worker, collecting_of(made), made.clock.now)


def _mail(made: Composition) -> ConsumerPlan:
    mails, site = made.settings.mail, made.settings.http.site
    letters = Letters(made.keys, site, notice_kinds(made.keys, site), made.clock.now)
    return mail.mail(made.pools.worker, letters, delivery_of(mails), sender_address(mails.from_))


def _operations(made: Composition) -> ConsumerPlan:
    assert made.operations is not None, "the runner is made before what wakes it"
    return operations.operations(made.operations.wake)


def _reports(made: Composition) -> ConsumerPlan:
    assert made.reports is not None, "the runner is made before what wakes it"
    return reports.reports(made.reports.wake)


def _redaction(made: Composition) -> ConsumerPlan:
    return redaction.redaction(made.pools.worker)


def _thumbnails(made: Composition) -> ConsumerPlan:
    return thumbnails.thumbnails(made.pools.worker, made.objects)


def _search(made: Composition) -> ConsumerPlan:
    return search.search(made.pools.worker)


def _history(made: Composition) -> ConsumerPlan:
    return history.history(made.pools.worker, made.objects)


def _recurrence(made: Composition) -> ConsumerPlan:
    return recurrence.recurrence(made.pools.worker, made.teams)


def _webhooks(made: Composition) -> ConsumerPlan:
    assert made.webhooks is not None, "the sender is made before what wakes it"
    return webhooks.webhooks(made.pools.worker, made.webhooks.wake)


CONSUMERS: Final[Mapping[str, Callable[[Composition], ConsumerPlan]]] = {
    notifications.NAME: _notifications,
    mail.NAME: _mail,
    operations.NAME: _operations,
    redaction.NAME: _redaction,
    thumbnails.NAME: _thumbnails,
    search.NAME: _search,
    history.NAME: _history,
    recurrence.NAME: _recurrence,
    webhooks.NAME: _webhooks,
    reports.NAME: _reports,
}
"""The consumers of this version by the names of their parts."""


def add_work(made: Composition, names: Sequence[str]) -> None:
    """The named parts, what they stand on, and their probes: a worker is of no use without all that it works with."""
    broker = made.broker = BrokerMonitor(made.settings.kafka, CONSUMERS)
    _add_base(made, broker)
    add_failure_watch(made, broker)
    for name in names:
        for part in _parts(made, broker, name):
            made.work.append(part)
            # In a process that serves requests, too, it is one thing among others.
            made.probes.append(part_probe(part, required=made.services is None))
            made.show(partial(_readiness, part))


def _parts(made: Composition, broker: BrokerMonitor, name: str) -> Iterator[Part]:
    if name == Relay.name:
        yield from _relay(made, broker)
        return
    if name == Scheduler.name:
        yield scheduler(made)
        return
    if name == operations.NAME:
        yield operation_runner(made)
    elif name == webhooks.NAME:
        yield webhook_sender(made)
    elif name == reports.NAME:
        yield report_runner(made)
    elif name == search.NAME:
        filler = SearchFiller(made.pools.worker)
        made.base.append(Background("filling", at_once(filler.run), statistics=filler.statistics))
    elif name == notifications.NAME:
        window = timedelta(seconds=made.settings.mail.window_seconds)
        leaving = LeavingMails(made.pools.worker, now=made.clock.now, window=window)
        made.base.append(Background("leaving", at_once(leaving.run), statistics=leaving.statistics))
        made.show(lambda: leaving_samples(leaving.statistics()))
    yield from _consumer(made, broker, name)


def _add_base(made: Composition, broker: BrokerMonitor) -> None:
    housekeeper = Housekeeper(made.pools.worker, made.objects)
    statistics = broker.statistics
    made.base += [
        Background("broker", broker.run, ready=lambda: statistics().reachable, statistics=statistics),
        Background("housekeeping", at_once(housekeeper.run), statistics=housekeeper.statistics),
    ]
    made.show(lambda: broker_samples(statistics()))
    made.show(lambda: housekeeping_samples(housekeeper.statistics()))
    if made.services is None:
        made.probes += [postgres_probe(made.pools.worker), valkey_probe(made.valkey), broker_probe(broker)]
        if made.objects is not None:
            made.probes.append(objects_probe(made.objects))


def _relay(made: Composition, broker: BrokerMonitor) -> Iterator[Part]:
    """What leaves the journal and the outbox, the wake-ups that make it prompt, and what proves it whole."""
    pool, kafka = made.pools.worker, made.settings.kafka
    relay, outbox = Relay(pool, kafka, broker, made.pools.writer, made.highest), OutboxRelay(pool, kafka, broker)
    checkpoints = CheckpointWriter(pool, kafka, broker)
    listening = partial(wakeups.listen, made.valkey, relay.wake, relay.sweep_soon)
    made.base.append(Background("wakeups", at_once(listening)))
    made.show(lambda: relay_samples(relay.statistics()))
    made.show(lambda: outbox_samples(outbox.statistics()))
    made.show(lambda: checkpoint_samples(checkpoints.statistics()))
    yield relay
    yield outbox
    yield checkpoints


def _consumer(made: Composition, broker: BrokerMonitor, name: str) -> Iterator[Part]:
    runner = ConsumerRunner(CONSUMERS[name](made), made.settings.kafka, broker)
    made.show(lambda: consumer_samples(name, runner.statistics()))
    yield runner


def _readiness(part: Part) -> Iterator[Sample]:
    yield Sample("part_ready", "1 while the part does its work.", float(part.ready), {"part": part.name})
