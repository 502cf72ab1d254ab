"""What each consumer is there for: how it is caused, and what has come of it. One entry for each that a worker has."""

import email
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.policy import SMTP
from typing import Final

from msgspec import Struct, to_builtins

from core.commands import AddMember, DeleteTask
from core.recurrence import RecurrenceRule
from core.webhooks import Filter
from db import objects, outbox, recurring
from db.ids import new_id
from db.keyset import Keyset
from db.reports import OBJECT_KIND
from db.transaction import writing
from db.webhooks.secrets import WebhookSecrets
from db.webhooks.subscriptions import Wanted as WantedHook
from db.webhooks.subscriptions import create_subscription
from streams.consumers import history
from streams.consumers.plan import ConsumerPlan
from streams.kafka.topics import TASK_EVENTS
from streams.operations.export import EXPORT
from streams.operations.redaction import TASK_REDACTION
from streams.operations.report import REPORT, Wanted
from taskforge.parts.composition import Composition
from taskforge.parts.work import CONSUMERS
from tests.support.effect_stage import Stage, fingerprint
from tests.support.pictures import an_image, png

__all__ = ["EFFECTS", "EVERY", "Cause", "Effect", "Occurrence", "Planted", "frequent", "once_each"]

EVERY: Final = 4
"""Events between two snapshots of a team's past, for these tests."""

Occurrence = tuple[str, str]
"""What happened: by which cause, and as what. A mail or webhook that comes again is the same to the byte."""


async def _ended() -> bool:
    """There is nothing to wait for once something has come of each cause."""
    return True


class Planted(Struct, frozen=True):
    """Causes by name, a look at all that has come of them so far, and whether what was begun of that has `ended`."""

    causes: frozenset[str]
    seen: Callable[[], Awaitable[Sequence[Occurrence]]]
    ended: Callable[[], Awaitable[bool]] = _ended

    async def complete(self) -> bool:
        """Whether something has come of each cause, and nothing is on its way."""
        return self.causes <= {cause for cause, _ in await self.seen()} and await self.ended()


Cause = Callable[[Stage, int], Awaitable[Planted]]
"""Brings about so many causes, each to have one effect."""


class Effect(Struct, frozen=True):
    """`most` is how many of the thousand a proof causes, where each takes a process or a file of its own."""

    plant: Cause
    topic: str = TASK_EVENTS
    most: int = 1_000


def once_each(planted: Planted, seen: Sequence[Occurrence], *, copies: int = 1) -> None:
    """Fail unless each cause has had one effect, which came at most so many times."""
    effects, times = Counter(cause for cause, _ in set(seen)), Counter(cause for cause, _ in seen)
    assert effects == Counter(dict.fromkeys(planted.causes, 1))
    again = {cause: number for cause, number in times.items() if number > copies}
    assert not again, f"came too often: {again}"


async def assigned(stage: Stage, number: int) -> Planted:
    """Tasks that become somebody's: a row in the inbox each."""
    team, ann = await stage.team(), await stage.user()
    await stage.ask(team, AddMember(ann, "Ann", "member"))
    tasks = await stage.tasks(team, number, assignee_id=ann)

    async def seen() -> Sequence[Occurrence]:
        rows = await stage.superuser.fetch("select task_id, id, kind from notifications where user_id = $1", ann)
        return [(str(row["task_id"]), str(row["id"])) for row in rows if row["kind"] == "task.assigned"]

    return Planted(frozenset(str(task.id) for task in tasks), seen)


async def found_by_search(stage: Stage, number: int) -> Planted:
    """Tasks with words: a document each."""
    team = await stage.team()
    tasks = await stage.tasks(team, number)

    async def seen() -> Sequence[Occurrence]:
        rows = await stage.superuser.fetch("select task_id, seq from search_documents where team_id = $1", team.id)
        return [(str(row["task_id"]), str(row["seq"])) for row in rows]

    return Planted(frozenset(str(task.id) for task in tasks), seen)


async def deleted_for_good(stage: Stage, number: int) -> Planted:
    """Tasks that are deleted: an operation each, which redacts."""
    team = await stage.team()
    tasks = await stage.tasks(team, number)
    for task in tasks:
        await stage.ask(team, DeleteTask(task.id))

    async def seen() -> Sequence[Occurrence]:
        query = "select data ->> 'task_id' as task, id from operations where team_id = $1 and kind = $2"
        rows = await stage.superuser.fetch(query, team.id, TASK_REDACTION.kind)
        return [(row["task"], str(row["id"])) for row in rows]

    return Planted(frozenset(str(task.id) for task in tasks), seen)


async def past_snapshots(stage: Stage, number: int) -> Planted:
    """Events enough: a snapshot of the board each so many."""
    team = await stage.team()
    await stage.tasks(team, number * EVERY)
    head = await stage.superuser.fetchval("select seq from teams where id = $1", team.id)

    async def seen() -> Sequence[Occurrence]:
        query = "select seq, key from board_snapshots where team_id = $1 and expires_at is null"
        rows = await stage.superuser.fetch(query, team.id)
        return [(str(row["seq"]), row["key"]) for row in rows]

    return Planted(frozenset(str(seq) for seq in range(EVERY, head + 1, EVERY)), seen)


async def recurring_tasks(stage: Stage, number: int) -> Planted:
    """Tasks whose time has come: the next one of each."""
    team = await stage.team()
    late = datetime.now(UTC) - timedelta(hours=1)
    tasks = await stage.tasks(team, number, due_at=late, recurrence=RecurrenceRule(rule="FREQ=DAILY"))
    async with writing(stage.pools.worker) as tx:
        await outbox.put_all(tx, outbox.JOBS, recurring.PURPOSE, [task.id for task in tasks])

    async def seen() -> Sequence[Occurrence]:
        query = "select title, id from tasks where team_id = $1 and id <> all($2::uuid[])"
        rows = await stage.superuser.fetch(query, team.id, [task.id for task in tasks])
        return [(row["title"], str(row["id"])) for row in rows]

    return Planted(frozenset(task.title for task in tasks), seen)


async def mails(stage: Stage, number: int) -> Planted:
    """People whose password was changed: a mail each."""
    people = [await stage.user() for _ in range(number)]
    async with writing(stage.pools.worker) as tx:
        await outbox.put_all(tx, outbox.MAIL, "password-changed", people)

    async def seen() -> Sequence[Occurrence]:
        found = [(email.message_from_bytes(data, policy=SMTP), data) for data in list(stage.sink.mails)]
        return [
            (one["To"].addresses[0].username, f"{one['Message-ID']} {fingerprint(data)}")
            for one, data in found
            if one["Subject"] == "Your password was changed"
        ]

    return Planted(frozenset(map(str, people)), seen)


async def pictures(stage: Stage, number: int) -> Planted:
    """Images: a thumbnail each."""
    images = [await an_image(stage.pools, stage.store, png(400, 300)) for _ in range(number)]

    async def seen() -> Sequence[Occurrence]:
        query = "select id from objects where id = any($1::uuid[]) and thumbnail_size is not null"
        rows = await stage.superuser.fetch(query, images)
        keys = [await stage.store.keys(f"{objects.path_of('attachment', row['id'])}/thumbnail") for row in rows]
        return [(str(row["id"]), "a picture") for row, some in zip(rows, keys, strict=True) for _ in some]

    return Planted(frozenset(map(str, images)), seen)


async def exports(stage: Stage, number: int) -> Planted:
    """People who ask for what is kept about them: an archive each."""
    people = [await stage.user() for _ in range(number)]
    for user_id in people:
        async with writing(stage.pools.worker) as tx:
            await EXPORT.start(tx, user_id)

    async def seen() -> Sequence[Occurrence]:
        query = "select user_id, id, kind from objects where user_id = any($1::uuid[]) and key is not null"
        rows = await stage.superuser.fetch(query, people)
        keys = [await stage.store.keys(objects.path_of(row["kind"], row["id"])) for row in rows]
        return [(str(row["user_id"]), str(row["id"])) for row, some in zip(rows, keys, strict=True) for _ in some]

    return Planted(frozenset(map(str, people)), seen)


async def reports(stage: Stage, number: int) -> Planted:
    """Reports that somebody asks for: a PDF each, and word of it in the inbox."""
    team, now = await stage.team(), datetime.now(UTC)
    await stage.tasks(team, 3)
    data = to_builtins(Wanted("board", now - timedelta(days=7), now))
    asked = []
    for _ in range(number):
        async with writing(stage.pools.worker) as tx:
            asked.append(str((await REPORT.start(tx, team.owner, team_id=team.id, data=data)).id))

    async def seen() -> Sequence[Occurrence]:
        rows = await stage.superuser.fetch(_PRINTED, team.id, team.owner)
        keys = {row["report"]: await stage.store.keys(objects.path_of(OBJECT_KIND, row["report"])) for row in rows}
        pdfs = [(str(row["operation"]), "a PDF") for row in rows for _ in keys[row["report"]]]
        return pdfs + [(f"word of {row['operation']}", "a row") for row in rows for _ in range(row["words"])]

    return Planted(frozenset([*asked, *(f"word of {one}" for one in asked)]), seen)


_PRINTED: Final = """
select o.id as operation, r.id as report,
       (select count(*) from notifications n where n.user_id = $2 and n.event_id = 'report:' || r.id) as words
from operations o join reports r on r.id::text = o.data ->> 'report_id' where o.team_id = $1
"""


async def webhooks(stage: Stage, number: int) -> Planted:
    """Events that an endpoint wants: a chain of attempts each, under one id."""
    team, hook_id, path = await stage.team(), new_id(), f"/{new_id()}"
    _, sealed = WebhookSecrets(Keyset(stage.settings.keys)).new(hook_id)
    wanted = WantedHook(
        url=stage.receiver.url(path), description="", event_types=(), filter=Filter(), format="cloudevents",
        in_order=False,
    )  # fmt: skip
    async with writing(stage.pools.api, team.owner) as tx:
        await create_subscription(tx, hook_id, team.id, team.owner, wanted, sealed, most=10)
    first = await stage.superuser.fetchval("select seq from teams where id = $1", team.id)
    await stage.tasks(team, number)

    async def seen() -> Sequence[Occurrence]:
        came = stage.receiver.at(path)
        return [(str(one.seq), f"{one.headers['webhook-id']} {fingerprint(one.body)}") for one in came]

    async def ended() -> bool:
        query = "select count(*) from webhook_deliveries where subscription_id = $1 and status = 'delivered'"
        return bool(await stage.superuser.fetchval(query, hook_id) == number)

    return Planted(frozenset(str(first + n) for n in range(1, number + 1)), seen, ended)


EFFECTS: Final[Mapping[str, Effect]] = {
    "notifications": Effect(assigned),
    "mail": Effect(mails, outbox.MAIL),
    "operations": Effect(exports, outbox.JOBS, most=100),
    "redaction": Effect(deleted_for_good),
    "thumbnails": Effect(pictures, outbox.JOBS, most=50),
    "search": Effect(found_by_search),
    "history": Effect(past_snapshots, most=100),
    "recurrence": Effect(recurring_tasks, outbox.JOBS),
    "webhooks": Effect(webhooks),
    "reports": Effect(reports, outbox.JOBS, most=20),
}
"""By the names of the consumers. One without an entry fails `test_one_effect.py`."""


def frequent() -> Mapping[str, Callable[[Composition], ConsumerPlan]]:
    """The consumers of a worker, with snapshots of the past so often that a few tasks suffice for one."""
    return {**CONSUMERS, history.NAME: lambda made: history.history(made.pools.worker, made.objects, every=EVERY)}
