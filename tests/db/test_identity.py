"""Accounts, sessions and refresh tokens on the real database, as the API's role."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import uuid_utils.compat as uuids

from core.errors import Conflict, Unauthenticated
from db.people.identity import Identity
from db.people.sessions import Client, Grant, Lifetimes, Reused
from db.pool import Pools
from db.transaction import reading, writing
from tests.support.asking import session_of

pytestmark = pytest.mark.anyio

LIFETIMES = Lifetimes(idle=7 * 86_400, absolute=30 * 86_400, grace=10)
CLIENT = Client("a browser", "192.0.2.1")


@pytest.fixture
def identity(pools: Pools) -> Identity:
    return Identity(pools.api, LIFETIMES)


async def signed_up(identity: Identity, email: str = "ada@example.com") -> Grant:
    return await identity.sign_up(email, "Ada", "hash", CLIENT)


async def refreshed(identity: Identity, token: str) -> Grant:
    answer = await identity.sessions.refresh(token)
    assert isinstance(answer, Grant)
    return answer


async def later(superuser: "asyncpg.Connection", seconds: float) -> None:
    """Let so much time pass for every session and token."""
    by = timedelta(seconds=seconds)
    await superuser.execute(
        "update refresh_tokens set issued_at = issued_at - $1::interval, expires_at = expires_at - $1::interval,"
        " consumed_at = consumed_at - $1::interval",
        by,
    )
    await superuser.execute(
        "update sessions set created_at = created_at - $1::interval, expires_at = expires_at - $1::interval", by
    )


async def test_sign_up_makes_a_user_with_one_session(identity: Identity) -> None:
    grant = await signed_up(identity)
    user = await identity.user(grant.principal.user_id)
    assert (user.email, user.name, user.email_verified_at) == ("ada@example.com", "Ada", None)
    (session,) = await identity.sessions.list(user.id, before=None, limit=50)
    assert (session.id, session.user_agent, session.ip) == (session_of(grant.principal), "a browser", "192.0.2.1")
    assert session.expires_at - session.created_at == timedelta(days=30)


@pytest.mark.parametrize("again", ["ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com"])
async def test_an_address_is_taken_whatever_its_case(identity: Identity, again: str) -> None:
    await signed_up(identity)
    with pytest.raises(Conflict) as refused:
        await signed_up(identity, again)
    assert refused.value.reason == "email-taken"


async def test_twenty_sign_ups_at_once_with_one_address_make_one_user(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    answers = await asyncio.gather(*(signed_up(identity) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, Grant) for answer in answers) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 19
    assert await superuser.fetchval("select count(*) from users") == 1
    assert await superuser.fetchval("select count(*) from sessions") == 1


async def test_credentials_are_found_by_address_whatever_its_case(identity: Identity) -> None:
    grant = await signed_up(identity, "Straße@example.com")
    for address in ("straße@example.com", "STRAßE@EXAMPLE.COM"):
        found = await identity.credentials(address)
        assert found is not None
        assert (found.user_id, found.password_hash) == (grant.principal.user_id, "hash")
    assert await identity.credentials("nobody@example.com") is None


async def test_a_hash_is_upgraded_only_if_it_is_still_the_one_that_was_verified(identity: Identity) -> None:
    grant = await signed_up(identity)
    await identity.upgrade_hash(grant.principal.user_id, "another", "newest")
    await identity.upgrade_hash(grant.principal.user_id, "hash", "newer")
    found = await identity.credentials("ada@example.com")
    assert found is not None
    assert found.password_hash == "newer"


async def test_a_user_that_is_gone_is_not_authenticated(identity: Identity) -> None:
    with pytest.raises(Unauthenticated):
        await identity.user(uuids.uuid7())


async def test_refreshing_rotates_the_token_and_keeps_the_session(identity: Identity) -> None:
    first = await signed_up(identity)
    second = await refreshed(identity, first.refresh_token)
    third = await refreshed(identity, second.refresh_token)
    assert first.principal == second.principal == third.principal
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_the_database_holds_no_token_that_can_be_presented(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    first = await signed_up(identity)
    second = await refreshed(identity, first.refresh_token)
    rows = await superuser.fetch("select * from refresh_tokens")
    assert len(rows) == 2
    stored = b"".join(value for row in rows for value in row.values() if isinstance(value, bytes))
    for token in (first.refresh_token, second.refresh_token):
        assert token.encode() not in stored
        assert token.encode()[4:] not in stored


async def test_two_tabs_refreshing_at_once_get_the_same_successor_and_go_on(identity: Identity) -> None:
    first = await signed_up(identity)
    one, other = await asyncio.gather(
        refreshed(identity, first.refresh_token), refreshed(identity, first.refresh_token)
    )
    assert one == other
    assert (await refreshed(identity, one.refresh_token)).principal == first.principal


async def test_sixty_four_refreshes_at_once_make_one_successor(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    first = await signed_up(identity)
    answers = await asyncio.gather(*(refreshed(identity, first.refresh_token) for _ in range(64)))
    assert len({answer.refresh_token for answer in answers}) == 1
    assert await superuser.fetchval("select count(*) from refresh_tokens") == 2
    assert await superuser.fetchval("select count(*) from refresh_tokens where consumed_at is null") == 1


async def test_a_used_token_after_the_grace_revokes_the_session(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    first = await signed_up(identity)
    second = await refreshed(identity, first.refresh_token)
    await later(superuser, 11)
    assert await identity.sessions.refresh(first.refresh_token) == Reused(session_of(first.principal))
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(second.refresh_token)
    assert list(await identity.sessions.revoked_within(60)) == [session_of(first.principal)]


async def test_a_thief_who_refreshes_first_is_found_out_by_the_victim(identity: Identity) -> None:
    stolen = await signed_up(identity)
    thief = await refreshed(identity, stolen.refresh_token)
    thief = await refreshed(identity, thief.refresh_token)
    assert isinstance(await identity.sessions.refresh(stolen.refresh_token), Reused)
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(thief.refresh_token)


async def test_a_thief_who_refreshes_after_the_victim_ends_the_session_of_both(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    stolen = await signed_up(identity)
    victim = await refreshed(identity, stolen.refresh_token)
    await later(superuser, 60)
    assert isinstance(await identity.sessions.refresh(stolen.refresh_token), Reused)
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(victim.refresh_token)


async def test_within_the_grace_only_the_direct_parent_of_the_newest_token_is_forgiven(identity: Identity) -> None:
    grandparent = await signed_up(identity)
    parent = await refreshed(identity, grandparent.refresh_token)
    leaf = await refreshed(identity, parent.refresh_token)
    assert await refreshed(identity, parent.refresh_token) == leaf
    assert isinstance(await identity.sessions.refresh(grandparent.refresh_token), Reused)


async def test_reuse_revokes_one_session_and_leaves_the_users_others_alone(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    stolen = await signed_up(identity)
    other = await identity.sessions.start(stolen.principal.user_id, Client())
    await refreshed(identity, stolen.refresh_token)
    await later(superuser, 11)
    assert isinstance(await identity.sessions.refresh(stolen.refresh_token), Reused)
    assert (await refreshed(identity, other.refresh_token)).principal == other.principal


async def test_a_token_idles_out_without_revoking_anything(identity: Identity, superuser: "asyncpg.Connection") -> None:
    grant = await signed_up(identity)
    await later(superuser, 7 * 86_400 + 1)
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(grant.refresh_token)
    assert list(await identity.sessions.revoked_within(60)) == []
    assert list(await identity.sessions.list(grant.principal.user_id, before=None, limit=10)) == []


async def test_a_session_ends_after_thirty_days_however_often_it_was_used(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    grant = await signed_up(identity)
    for _ in range(5):
        await later(superuser, 5 * 86_400)
        grant = await refreshed(identity, grant.refresh_token)
    left = await superuser.fetchval("select max(expires_at) - now() from refresh_tokens where consumed_at is null")
    assert left < timedelta(days=5, seconds=1)
    await later(superuser, 5 * 86_400)
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(grant.refresh_token)


@pytest.mark.parametrize(
    "token",
    ["", "tfr_", "tfr_" + "A" * 43, "A" * 47, "tfr_" + "A" * 42, "tfr_" + "é" * 43, "tfr_" + "\0" * 43, "x" * 10_000],
)
async def test_what_is_no_refresh_token_is_refused(identity: Identity, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(token)
    assert await identity.sessions.revoke_by_token(token) is None


async def test_a_revoked_session_cannot_be_refreshed_even_within_the_grace(identity: Identity) -> None:
    first = await signed_up(identity)
    second = await refreshed(identity, first.refresh_token)
    assert await identity.sessions.revoke(first.principal.user_id, session_of(first.principal))
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(Unauthenticated):
            await identity.sessions.refresh(token)
    assert not await identity.sessions.revoke(first.principal.user_id, session_of(first.principal))


async def test_revoking_while_refreshing_never_leaves_a_live_session(
    identity: Identity, superuser: "asyncpg.Connection"
) -> None:
    for number in range(10):
        grant = await signed_up(identity, f"user{number}@example.com")
        answers = await asyncio.gather(
            identity.sessions.refresh(grant.refresh_token),
            identity.sessions.revoke(grant.principal.user_id, session_of(grant.principal)),
            return_exceptions=True,
        )
        assert answers[1] is True
        tokens = [grant.refresh_token, *(answer.refresh_token for answer in answers if isinstance(answer, Grant))]
        for token in tokens:
            with pytest.raises(Unauthenticated):
                await identity.sessions.refresh(token)


async def test_logging_out_by_a_used_token_ends_the_session_too(identity: Identity) -> None:
    first = await signed_up(identity)
    second = await refreshed(identity, first.refresh_token)
    assert await identity.sessions.revoke_by_token(first.refresh_token) == session_of(first.principal)
    with pytest.raises(Unauthenticated):
        await identity.sessions.refresh(second.refresh_token)
    assert await identity.sessions.revoke_by_token(first.refresh_token) is None


async def test_all_sessions_or_all_but_this_one_are_revoked(identity: Identity, pools: Pools) -> None:
    first = await signed_up(identity)
    user_id = first.principal.user_id
    others = [await identity.sessions.start(user_id, Client()) for _ in range(3)]
    keep = session_of(first.principal)
    async with writing(pools.api, user_id) as tx:
        ended = await identity.sessions.revoke_all_in(tx, user_id, keep=keep)
    assert set(ended) == {session_of(other.principal) for other in others}
    async with writing(pools.api, user_id) as tx:
        assert list(await identity.sessions.revoke_all_in(tx, user_id)) == [keep]


async def test_sessions_are_listed_newest_first_in_pages(identity: Identity) -> None:
    first = await signed_up(identity)
    user_id = first.principal.user_id
    ids = [session_of(first.principal)]
    ids += [session_of((await identity.sessions.start(user_id, Client())).principal) for _ in range(4)]
    seen: list[UUID] = []
    before: UUID | None = None
    while page := await identity.sessions.list(user_id, before=before, limit=2):
        seen += [session.id for session in page]
        before = page[-1].id
    assert seen == ids[::-1]


async def test_another_users_session_is_neither_seen_nor_revoked(identity: Identity) -> None:
    ada, bob = await signed_up(identity), await signed_up(identity, "bob@example.com")
    assert not await identity.sessions.revoke(ada.principal.user_id, session_of(bob.principal))
    assert len(await identity.sessions.list(ada.principal.user_id, before=None, limit=50)) == 1
    assert (await refreshed(identity, bob.refresh_token)).principal == bob.principal


async def test_row_security_hides_people_from_each_other_whatever_the_sql_says(
    identity: Identity, pools: Pools
) -> None:
    ada = await signed_up(identity)
    await signed_up(identity, "bob@example.com")
    for table in ("users", "sessions", "refresh_tokens"):
        async with reading(pools.api, ada.principal.user_id) as tx:
            assert await tx.fetchval(f"select count(*) from {table}") == 1
        async with reading(pools.api, None) as tx:
            assert await tx.fetchval(f"select count(*) from {table}") == 0


async def test_revoked_sessions_are_shown_to_the_watch_only(identity: Identity, pools: Pools) -> None:
    ada = await signed_up(identity)
    await identity.sessions.revoke(ada.principal.user_id, session_of(ada.principal))
    assert list(await identity.sessions.revoked_within(60)) == [session_of(ada.principal)]
    async with reading(pools.api, None) as tx:
        assert await tx.fetchval("select count(*) from sessions") == 0


async def test_a_session_without_a_readable_address_is_still_a_session(identity: Identity) -> None:
    ada = await signed_up(identity)
    await identity.sessions.start(ada.principal.user_id, Client("x" * 5_000, "unix:"))
    newest, _ = await identity.sessions.list(ada.principal.user_id, before=None, limit=2)
    assert (len(newest.user_agent), newest.ip) == (1_000, None)
