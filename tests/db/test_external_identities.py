"""Identities at other issuers: whose they are, when they join an account, and that none of it is decided twice."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec import structs

from core.errors import BadInput, Conflict
from db.people.external_identities import ExternalIdentities, ExternalIdentity
from db.people.external_sign_ins import ExternalSignIns, forget_external_sign_ins
from db.people.identity import Identity
from db.people.sessions import Client, Lifetimes
from db.pool import Pools
from db.redaction.users import close_account, forget_user
from db.transaction import reading, writing

pytestmark = pytest.mark.anyio

EVE = ExternalIdentity("https://issuer.example.org", "eve", "eve@example.org", True, "Eve")


@pytest.fixture
def identities(pools: Pools) -> ExternalIdentities:
    return ExternalIdentities(pools.api)


@pytest.fixture
def accounts(pools: Pools) -> Identity:
    return Identity(pools.api, Lifetimes(idle=600, absolute=600, grace=10))


async def account(accounts: Identity, pools: Pools, email: str, *, verified: bool) -> UUID:
    user_id = (await accounts.sign_up(email, "Eve", "hash", Client())).principal.user_id
    if verified:
        async with writing(pools.api, user_id) as tx:
            assert await accounts.verify_email_in(tx, user_id, None)
    return user_id


async def test_first_sight_makes_an_account_with_a_verified_address_and_no_password(
    identities: ExternalIdentities, accounts: Identity
) -> None:
    owned = await identities.find_or_make(EVE)
    user = await accounts.user(owned.user_id)
    assert (user.email, user.name, user.email_verified_at is not None) == ("eve@example.org", "Eve", True)
    assert await accounts.password_of(owned.user_id) is None
    assert await identities.find_or_make(EVE) == owned == await identities.find(EVE)


async def test_an_address_that_the_issuer_does_not_vouch_for_is_not_kept(
    identities: ExternalIdentities, accounts: Identity
) -> None:
    for identity in (structs.replace(EVE, verified=False), structs.replace(EVE, subject="x", email=None)):
        user = await accounts.user((await identities.find_or_make(identity)).user_id)
        assert (user.email, user.email_verified_at) == (None, None)


async def test_sixteen_first_sights_at_once_make_one_account(identities: ExternalIdentities, superuser: Any) -> None:
    owned = await asyncio.gather(*(identities.find_or_make(EVE) for _ in range(16)))
    assert len(set(owned)) == 1
    assert await superuser.fetchval("select count(*) from users") == 1


async def test_the_same_subject_of_another_issuer_is_somebody_else(identities: ExternalIdentities) -> None:
    other = structs.replace(EVE, issuer=EVE.issuer + "e", subject="ve", email=None)
    near = structs.replace(EVE, subject="Eve", email=None)
    found = [await identities.find_or_make(one) for one in (EVE, other, near)]
    assert len({one.user_id for one in found}) == 3


@pytest.mark.parametrize(("here", "there"), [(True, True), (True, False), (False, True), (False, False)])
async def test_an_identity_joins_an_account_only_where_both_addresses_are_verified(
    identities: ExternalIdentities, accounts: Identity, pools: Pools, here: bool, there: bool
) -> None:
    user_id = await account(accounts, pools, "Eve@Example.org", verified=here)
    identity = structs.replace(EVE, verified=there)
    if here and there:
        assert (await identities.find_or_make(identity)).user_id == user_id
        return
    with pytest.raises(Conflict) as caught:
        await identities.find_or_make(identity)
    assert caught.value.reason == "email-taken"
    assert await identities.find(identity) is None


async def test_an_identity_opens_no_account_that_is_closed(
    identities: ExternalIdentities, accounts: Identity, pools: Pools
) -> None:
    """It keeps its address for a last mail; until that is forgotten the address is nobody's to join."""
    user_id = await account(accounts, pools, "eve@example.org", verified=True)
    async with writing(pools.worker) as tx:
        await close_account(tx, user_id)
    with pytest.raises(Conflict) as caught:
        await identities.find_or_make(EVE)
    assert caught.value.reason == "email-taken"
    async with writing(pools.worker) as tx:
        await forget_user(tx, user_id)
    assert (await identities.find_or_make(EVE)).user_id != user_id


async def test_who_is_signed_in_links_an_identity_whatever_its_address(
    identities: ExternalIdentities, accounts: Identity, pools: Pools
) -> None:
    user_id = await account(accounts, pools, "other@example.org", verified=False)
    for _ in range(2):
        async with writing(pools.api, user_id) as tx:
            linked = await identities.link_in(tx, user_id, EVE)
    assert (await identities.find_or_make(EVE)).user_id == user_id
    assert [one.id for one in await identities.list(user_id, before=None, limit=10)] == [linked.id]


async def test_an_identity_of_somebody_else_cannot_be_linked(
    identities: ExternalIdentities, accounts: Identity, pools: Pools
) -> None:
    owner = await identities.find_or_make(EVE)
    user_id = await account(accounts, pools, "other@example.org", verified=True)
    with pytest.raises(Conflict) as caught:
        async with writing(pools.api, user_id) as tx:
            await identities.link_in(tx, user_id, EVE)
    assert caught.value.reason == "identity-taken"
    async with writing(pools.api, user_id) as tx:
        assert not await identities.unlink_in(tx, user_id, owner.id)


async def test_the_last_way_in_stays(identities: ExternalIdentities, accounts: Identity, pools: Pools) -> None:
    owned = await identities.find_or_make(EVE)
    with pytest.raises(Conflict) as caught:
        async with writing(pools.api, owned.user_id) as tx:
            await identities.unlink_in(tx, owned.user_id, owned.id)
    assert caught.value.reason == "last-way-in"
    async with writing(pools.api, owned.user_id) as tx:
        second = await identities.link_in(tx, owned.user_id, structs.replace(EVE, subject="second"))
        assert await identities.unlink_in(tx, owned.user_id, owned.id)
    async with writing(pools.api, owned.user_id) as tx:
        await accounts.set_password_in(tx, owned.user_id, "hash")
        assert await identities.unlink_in(tx, owned.user_id, second.id)


async def test_an_identity_goes_with_its_account(identities: ExternalIdentities, superuser: Any) -> None:
    owned = await identities.find_or_make(EVE)
    await superuser.execute("delete from users where id = $1", owned.user_id)
    assert await identities.find(EVE) is None
    assert (await identities.find_or_make(EVE)).user_id != owned.user_id


async def test_a_code_is_good_once_in_the_browser_that_began(identities: ExternalIdentities, pools: Pools) -> None:
    sign_ins, owned = ExternalSignIns(pools.api), await identities.find_or_make(EVE)
    code = await sign_ins.begin(owned.user_id, "a state")
    for bad, state in ((code, "another state"), (code[:-1] + "~", "a state"), ("tfs_", "a state"), ("é" * 47, "")):
        with pytest.raises(BadInput):
            async with reading(pools.api, None) as tx:
                await sign_ins.owner_in(tx, bad, state)
    async with reading(pools.api, None) as tx:
        assert await sign_ins.owner_in(tx, code, "a state") == owned.user_id

    async def spend() -> bool:
        try:
            async with writing(pools.api, owned.user_id) as tx:
                await sign_ins.spend_in(tx, owned.user_id, code)
        except BadInput:
            return False
        return True

    assert sum(await asyncio.gather(*(spend() for _ in range(16)))) == 1
    with pytest.raises(BadInput):
        async with reading(pools.api, None) as tx:
            await sign_ins.owner_in(tx, code, "a state")


async def test_a_state_comes_back_once(identities: ExternalIdentities, pools: Pools) -> None:
    sign_ins, owned = ExternalSignIns(pools.api), await identities.find_or_make(EVE)
    await sign_ins.begin(owned.user_id, "a state")
    with pytest.raises(BadInput):
        await sign_ins.begin(owned.user_id, "a state")


async def test_codes_end_after_a_minute_and_are_forgotten_when_no_state_can_come_back(
    identities: ExternalIdentities, pools: Pools, superuser: "asyncpg.Connection[Any]"
) -> None:
    sign_ins, owned = ExternalSignIns(pools.api), await identities.find_or_make(EVE)
    code = await sign_ins.begin(owned.user_id, "a state")
    await superuser.execute("update external_sign_ins set expires_at = expires_at - interval '61 seconds'")
    with pytest.raises(BadInput):
        async with reading(pools.api, None) as tx:
            await sign_ins.owner_in(tx, code, "a state")
    assert await forget_external_sign_ins(pools.worker) == 0
    await superuser.execute("update external_sign_ins set expires_at = expires_at - interval '15 minutes'")
    assert await forget_external_sign_ins(pools.worker) == 1
