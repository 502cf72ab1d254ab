"""Piccolo's queries in our transactions: compiled once, typed, under row security, on one connection."""

import asyncio
import subprocess
import sys
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids
from msgspec import Struct
from piccolo.query.methods.delete import DeletionError

from db import tables, work_tables
from db.dialect import POSTGRES
from db.expressions import NOW, Host, ahead, any_of, both_in, folded, limited
from db.pool import Pool, Pools
from db.statements import Statement, change, columns, given, insert, returned, rows, values
from db.tables import Inbox, Notifications, Sessions, Users
from db.transaction import reading, writing
from tests.support.refused import refused
from tests.support.source import ROOT

pytestmark = pytest.mark.anyio


class Person(Struct, frozen=True):
    id: UUID
    email: str
    name: str


PEOPLE = rows(Person, Users.select(*columns(Users, Person)).order_by(Users.id))
PERSON = rows(Person, Users.select(*columns(Users, Person)).where(Users.id == given("user_id")))
NAMES = values(str, Users.select(Users.name).order_by(Users.id))
RENAME = change(Users.update({Users.name: given("name"), Users.updated_at: NOW}).where(Users.id == given("user_id")))
RENAMED = returned(
    Person,
    Users.update({Users.name: given("name")}).where(Users.id == given("user_id")).returning(*columns(Users, Person)),
)
ADD = change(
    insert(
        Users,
        id=given("user_id"),
        email=given("email"),
        name=given("name"),
        password_hash=None,
        email_verified_at=None,
        created_at=NOW,
        updated_at=NOW,
        time_zone="UTC",
        mail_digest=True,
        mail_mentions=True,
        mail_assignments=True,
        digest_hour=7,
        erased_at=None,
    )
)


async def person(pools: Pools, name: str) -> UUID:
    user_id = uuids.uuid7()
    async with writing(pools.api, user_id) as tx:
        assert await tx.run(ADD, user_id=user_id, email=f"{name}@example.com", name=name) == 1
    return user_id


@pytest.fixture
async def ada(pools: Pools) -> UUID:
    return await person(pools, "Ada")


@pytest.fixture
async def bob(pools: Pools) -> UUID:
    return await person(pools, "Bob")


async def test_rows_come_back_as_the_structs_that_were_asked_for(pools: Pools, ada: UUID) -> None:
    async with writing(pools.api, ada) as tx:
        assert await tx.one(PERSON, user_id=ada) == Person(ada, "Ada@example.com", "Ada")
        assert await tx.run(RENAME, name="Ada L.", user_id=ada) == 1
        assert await tx.one(RENAMED, name="Lady Ada", user_id=ada) == Person(ada, "Ada@example.com", "Lady Ada")
        assert await tx.all(NAMES) == ["Lady Ada"]
        assert await tx.one(PERSON, user_id=uuids.uuid7()) is None


async def test_row_security_hides_everybody_else_from_piccolos_queries_too(pools: Pools, ada: UUID, bob: UUID) -> None:
    async with writing(pools.api, ada) as tx:
        assert [found.id for found in await tx.all(PEOPLE)] == [ada]
        assert await tx.one(PERSON, user_id=bob) is None
        assert await tx.run(RENAME, name="x", user_id=bob) == 0
    async with reading(pools.api, None) as tx:
        assert await tx.all(PEOPLE) == []
    with refused():
        async with writing(pools.api, ada) as tx:
            await tx.run(ADD, user_id=uuids.uuid7(), email="x@example.com", name="x")


class OneConnection:
    """A pool that lends the same connection to everybody, one after the other."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def acquire(self, *, timeout: float) -> Any:
        return self.connection

    async def release(self, connection: Any, *, timeout: float) -> None:
        pass


async def test_nothing_of_a_transaction_is_left_on_its_connection(pools: Pools, ada: UUID) -> None:
    """However it ends: the change is taken back, and the next one on that connection is nobody."""

    async def failing(pool: Pool) -> None:
        async with writing(pool, ada) as tx:
            await tx.run(RENAME, name="x", user_id=ada)
            raise ZeroDivisionError

    async def refused(pool: Pool) -> None:
        async with writing(pool, ada) as tx:
            await tx.run(RENAME, name="", user_id=ada)

    async def cancelled(pool: Pool) -> None:
        async with writing(pool, ada) as tx:
            await tx.run(RENAME, name="x", user_id=ada)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await tx.all(PEOPLE)

    async with pools.api.acquire() as connection:
        pool: Any = OneConnection(connection)
        for ending, error in (
            (failing, ZeroDivisionError),
            (refused, asyncpg.CheckViolationError),
            (cancelled, asyncio.CancelledError),
        ):
            with pytest.raises(error):
                await asyncio.create_task(ending(pool))
            async with reading(pool, None) as tx:
                assert await tx.all(PEOPLE) == []
            async with reading(pool, ada) as tx:
                assert await tx.all(NAMES) == ["Ada"]


async def test_tasks_side_by_side_share_neither_connection_nor_user(pools: Pools, ada: UUID, bob: UUID) -> None:
    """Piccolo's own transactions are inherited by child tasks; ours are only where they are handed to."""
    met = asyncio.Barrier(2)

    async def names(user_id: UUID) -> list[str]:
        async with reading(pools.api, user_id) as tx:
            await met.wait()
            return [name for _ in range(20) for name in await tx.all(NAMES)]

    async with writing(pools.api, ada) as outer:
        assert [*await asyncio.gather(names(ada), names(bob))] == [["Ada"] * 20, ["Bob"] * 20]
        assert await outer.all(NAMES) == ["Ada"]


async def test_a_statement_is_prepared_once_per_connection_whatever_its_values(pools: Pools, ada: UUID) -> None:
    page = rows(
        Person, limited(Users.select(*columns(Users, Person)).where(any_of(Users.id, given("ids"))), given("n"))
    )
    async with pools.api.acquire() as connection:
        pool: Any = OneConnection(connection)
        for number in range(1, 6):
            async with reading(pool, ada) as tx:
                assert len(await tx.all(page, ids=[ada] * number, n=number)) == 1
        prepared = await connection.fetch(
            "select generic_plans + custom_plans as runs from pg_prepared_statements where statement = $1", page.sql
        )
        assert [row["runs"] for row in prepared] == [5]


async def test_piccolos_own_way_to_the_database_is_closed() -> None:
    with pytest.raises(RuntimeError, match=r"through db\.statements"):
        await Users.select(Users.id)
    with pytest.raises(RuntimeError, match=r"through db\.statements"):
        await Users(id=uuids.uuid7(), email="x", name="x").save()


@pytest.mark.parametrize("module", [tables, work_tables], ids=lambda module: module.__name__)
def test_every_table_speaks_through_our_dialect(module: ModuleType) -> None:
    assert {name for name in module.__all__ if getattr(module, name)._meta._db is not POSTGRES} == set()


def test_the_tables_load_neither_piccolos_configuration_nor_its_formatter() -> None:
    names = "{'black', 'jinja2', 'piccolo.conf.apps'}"
    code = f"import sys, db.statements, db.tables, db.work_tables; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_names_given_are_exactly_those_of_the_statement() -> None:
    assert RENAME.arguments({"user_id": 1, "name": "x"}) == ["x", 1]
    for wrong in ({"user_id": 1}, {"user_id": 1, "name": "x", "email": "y"}, {"user_id": 1, "nmae": "x"}):
        with pytest.raises(TypeError, match="wanted"):
            RENAME.arguments(wrong)


def test_a_new_row_names_every_column_because_defaults_would_be_those_of_the_import() -> None:
    with pytest.raises(TypeError, match="exactly these columns"):
        insert(Inbox, consumer="x", event_id="y")
    with pytest.raises(TypeError, match="exactly these columns"):
        insert(Inbox, consumer="x", event_id="y", at=NOW, more=1)


def test_a_change_of_all_rows_is_refused() -> None:
    with pytest.raises(DeletionError):
        change(Inbox.delete())


WRITTEN = [
    (
        Sessions.select(Host(Sessions.ip, alias="ip")).where(Sessions.expires_at > NOW),
        'SELECT ALL host("sessions"."ip") AS "ip" FROM "sessions" WHERE "sessions"."expires_at" > now()',
    ),
    (
        Users.select(Users.id).where(folded(given("email")) == given("other")),
        'SELECT ALL "users"."id" AS "id" FROM "users" WHERE lower($1::text collate pg_unicode_fast) = $2',
    ),
    (
        Sessions.delete().where(any_of(Sessions.id, given("ids")) | (Sessions.expires_at < ahead(given("s")))),
        ('DELETE FROM "sessions" WHERE ("sessions"."id" = any($1) OR "sessions"."expires_at" < now() +'
        " make_interval(secs => $2))"),
    ),
    (
        Inbox.delete().where(
            both_in(Inbox.consumer, Inbox.event_id, limited(Inbox.select(Inbox.consumer, Inbox.event_id), given("n")))
        ),
        ('DELETE FROM "inbox" WHERE ("inbox"."consumer", "inbox"."event_id") in'
        ' (SELECT ALL "inbox"."consumer" AS "consumer", "inbox"."event_id" AS "event_id" FROM "inbox" LIMIT $1)'),
    ),
    (
        Notifications.update({Notifications.data: b"{}"}).where(Notifications.read_at.is_null()),
        'UPDATE "notifications" SET "data" = $1 WHERE "notifications"."read_at" IS NULL',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "sql"), WRITTEN)
def test_what_is_written_with_the_builder_is_the_sql_one_would_write(query: Any, sql: str) -> None:
    assert Statement(query).sql == sql
