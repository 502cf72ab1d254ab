"""Migration 0026 with rows in it: whoever had an address is reached by it, in whichever form it is written."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import uuid_utils.compat as uuids

from api.auth.emails import clean_email
from db import migrate as runner
from db.migrate import back, migrate
from taskforge.devstack import DevStack
from tests.support import databases

pytestmark = pytest.mark.anyio

NAME = "taskforge_0026_search"
STEPS = sum(path.stem >= NAME for path in runner.FOLDER.glob("*.py"))

OLD = {
    "ada@example.com": "ada@example.com",
    "Bob@xn--bcher-kva.example": "Bob@bücher.example",
    "eve@bücher.example": "eve@bücher.example",
    "wu@xn--fsqu00a.xn--4gbrim": "wu@例子.موقع",
    "jp@xn--hckqz9bzb1cyrb.example": "jp@ジェーピーニック.example",
    "kim@sub.xn--9n2bp8q.xn--9t4b11yi5a": "kim@sub.실례.테스트",
    "fw@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com": "fw@example.com",
    "heart@xn--i-7iq.example": "heart@xn--i-7iq.example",
    "odd@xn--zzzzzzzzzzzzzzzz.example": "odd@衞鳥箥糪縖끇.example",
    "bad@xn--99999999.example": "bad@xn--99999999.example",
    "tw\u00f6@example.com": "tw\u00f6@example.com",
    # Two that are one: the first takes the form, and neither is lost.
    "one@xn--mnchen-3ya.example": "one@münchen.example",
    "one@\uff4d\u00fcnchen.example": "one@\uff4d\u00fcnchen.example",
    "both@xn--mnchen-3ya.example": "both@xn--mnchen-3ya.example",
    "both@münchen.example": "both@münchen.example",
}


@pytest.fixture
async def owner(services: DevStack, template_database: str) -> AsyncIterator[str]:
    """The owner's URL of a migrated database."""
    async with databases.copied(services, template_database) as name:
        yield services.role_url("taskforge_owner", name)


async def test_addresses_take_their_one_form_and_nobody_takes_anothers(services: DevStack, owner: str) -> None:
    await back(owner, STEPS)
    superuser = await asyncpg.connect(services.postgres.url_of(owner.rpartition("/")[2].partition("?")[0]))
    try:
        ids = {}
        for email in OLD:
            ids[email] = uuids.uuid7()
            row = (
                "insert into users (id, email, name, created_at, updated_at) values ($1, $2, 'Somebody', now(), now())"
            )
            await superuser.execute(row, ids[email], email)
            token = (
                "insert into account_tokens (id, user_id, purpose, token_hash, email, created_at, expires_at)"
                " values ($1, $1, 'verify-email', sha256($2::text::bytea), $2, now(), now())"
            )
            await superuser.execute(token, ids[email], email)
        await migrate(owner)
        found = {row["id"]: row["email"] for row in await superuser.fetch("select id, email from users")}
        assert {email: found[ids[email]] for email in OLD} == OLD
        tokens = await superuser.fetch("select user_id, email from account_tokens")
        clashing = {"one@\uff4d\u00fcnchen.example", "both@xn--mnchen-3ya.example"}
        assert all(row["email"] == found[row["user_id"]] for row in tokens if found[row["user_id"]] not in clashing)
        assert await superuser.fetchval("select count(*) from pg_proc where proname like '%_0026'") == 0
        forced = "select bool_and(relforcerowsecurity) from pg_class where relname in ('users', 'invitations')"
        assert await superuser.fetchval(forced)
    finally:
        await superuser.close()
    for old, new in OLD.items():
        if new not in clashing:
            assert clean_email(old) == new == clean_email(new)
