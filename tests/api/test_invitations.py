"""Invitations over HTTP: who makes them, who accepts them, and that one membership comes of one."""

import asyncio
import hashlib
from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from msgspec import structs

from core.commands import AddMember, RemoveMember
from core.quotas import Quotas
from db.keyset import Keyset
from db.people.invitations import for_mail, forget_expired_invitations
from db.settings import DatabaseSettings
from db.transaction import reading, writing
from tests.support.asking import by
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

ACCEPT = "/v1/invitations/accept"
UNKNOWN = "tfi_" + "A" * 43


async def newcomer(desk: Desk, name: str = "newcomer", *, verified: bool = False) -> str:
    """Somebody in no team, under this name at the desk; their address."""
    desk.people[name] = await desk.site.person()
    if verified:
        await verify(desk.site, desk[name])
    return str((await desk.get("/v1/me", name)).json()["email"])


async def verify(site: Site, person: Person) -> None:
    """What following the link of a verification mail does."""
    async with writing(site.services.pools.api, UUID(person.user_id)) as tx:
        await tx.execute("update users set email_verified_at = now()")


async def invited(desk: Desk, team: str, who: str = "owner", **more: Any) -> dict[str, Any]:
    answer = await desk.post(f"/v1/teams/{team}/invitations", {"role": "member", **more}, who)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/teams/{team}/invitations/{made['id']}"
    return made


async def accept(desk: Desk, token: str, who: str = "newcomer", **headers: str) -> httpx.Response:
    return await desk.post(ACCEPT, {"token": token}, who, **headers)


async def mailed(site: Site, invitation_id: str) -> str:
    """The token in the mail of an invitation, as the consumer of mail jobs finds it."""
    async with reading(site.services.pools.worker, None) as tx:
        jobs = await tx.fetch("select id, payload, topic from outbox where key = $1", invitation_id)
        mail = await for_mail(tx, keyset(site), UUID(invitation_id), jobs[0]["id"])
    assert mail is not None
    assert [(job["topic"], msgspec.json.decode(job["payload"])["purpose"]) for job in jobs] == [
        ("taskforge.mail.v1", "invitation")
    ]
    assert mail.token not in jobs[0]["payload"]
    assert mail.email not in jobs[0]["payload"]
    return mail.token


def keyset(site: Site) -> Keyset:
    return site.services.invitations._keyset


async def members(desk: Desk, team: str) -> dict[str, str]:
    page = (await desk.get(f"/v1/teams/{team}/members")).json()
    return {member["user_id"]: member["role"] for member in page["items"]}


async def test_a_link_is_shown_once_and_brings_one_person_in(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team, role="viewer")
    assert (made["email"], made["max_uses"], made["uses"], made["valid"]) == (None, 1, 0, True)
    await newcomer(desk)
    answer = await accept(desk, made["token"])
    assert (answer.status_code, answer.headers["location"]) == (200, f"/v1/teams/{team}")
    joined = answer.json()
    assert (joined["team_id"], joined["user_id"]) == (team, desk["newcomer"].user_id)
    assert (joined["role"], joined["name"]) == ("viewer", "Ada")
    assert (await members(desk, team))[desk["newcomer"].user_id] == "viewer"
    events = (await desk.get(f"/v1/teams/{team}/events?after=0")).json()["items"]
    added = [event for event in events if event["type"].endswith("member.added")][-1]
    assert (added["seq"], added["actor"]) == (int(answer.headers["taskforge-seq"]), desk["owner"].user_id)
    await newcomer(desk, "late")
    problem(await accept(desk, made["token"], "late"), 404, "not-found")
    assert (await desk.get(f"/v1/teams/{team}/invitations")).json()["items"] == []


async def test_a_link_for_several_brings_so_many_in_and_no_more(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team, max_uses=3)
    for number in range(5):
        await newcomer(desk, f"n{number}")
    answers = await asyncio.gather(*(accept(desk, made["token"], f"n{number}") for number in range(5)))
    assert Counter(answer.status_code for answer in answers) == {200: 3, 404: 2}
    assert len(await members(desk, team)) == 4


async def test_a_mailed_invitation_is_for_its_address_only_and_verifies_it(desk: Desk) -> None:
    """Who has the token has read the mail: a second one, to confirm the address, would prove the same."""
    team = await desk.new_team()
    email = await newcomer(desk)
    await newcomer(desk, "other", verified=True)
    made = await invited(desk, team, email=email.upper())
    assert "token" not in made
    token = await mailed(desk.site, made["id"])
    assert "another e-mail address" in problem(await accept(desk, token, "other"), 403, "forbidden")["detail"]
    assert (await desk.get("/v1/me", "newcomer")).json()["email_verified_at"] is None
    assert (await accept(desk, token)).json()["role"] == "member"
    assert (await desk.get("/v1/me", "newcomer")).json()["email_verified_at"] is not None
    problem(await accept(desk, token, "other"), 404, "not-found")


async def test_a_link_verifies_nobodys_address(desk: Desk) -> None:
    await newcomer(desk)
    made = await invited(desk, await desk.new_team())
    assert (await accept(desk, made["token"])).status_code == 200
    assert (await desk.get("/v1/me", "newcomer")).json()["email_verified_at"] is None


async def test_the_mail_says_who_invites_where_and_nothing_is_sent_once_it_is_over(desk: Desk) -> None:
    team = await desk.new_team()
    email = await newcomer(desk)
    made = await invited(desk, team, email=email)
    keys, invitation_id = keyset(desk.site), UUID(made["id"])
    async with reading(desk.site.services.pools.worker, None) as tx:
        job_id = await tx.fetchval("select id from outbox where key = $1", made["id"])
        mail = await for_mail(tx, keys, invitation_id, job_id)
        assert mail is not None
        assert (mail.email, mail.role, mail.team_name, mail.inviter_name) == (email, "member", "Engineering", "Ada")
    assert (await desk.delete(f"/v1/teams/{team}/invitations/{made['id']}")).status_code == 204
    async with reading(desk.site.services.pools.worker, None) as tx:
        assert await for_mail(tx, keys, invitation_id, job_id) is None


async def test_an_admin_takes_no_invitation_away_that_an_admin_could_not_give(desk: Desk) -> None:
    path = f"/v1/teams/{desk.team}/invitations"
    made = (await desk.post(path, {"role": "owner"})).raise_for_status().json()
    problem(await desk.delete(f"{path}/{made['id']}", "admin"), 403, "forbidden")
    assert (await desk.get(f"{path}/{made['id']}")).status_code == 200
    assert (await desk.delete(f"{path}/{made['id']}")).status_code == 204


async def test_revoked_expired_used_and_unknown_tokens_get_one_answer(
    own_site: Site, superuser: asyncpg.Connection
) -> None:
    desk = await Desk.open(own_site)
    revoked, expired, used = [await invited(desk, desk.team) for _ in range(3)]
    assert (await desk.delete(f"/v1/teams/{desk.team}/invitations/{revoked['id']}")).status_code == 204
    await superuser.execute("update invitations set expires_at = now() where id = $1", UUID(expired["id"]))
    await newcomer(desk, "first")
    assert (await accept(desk, used["token"], "first")).status_code == 200
    await newcomer(desk)
    tokens = (UNKNOWN, revoked["token"], expired["token"], used["token"], "x", "tfi_ü")
    answers = [await accept(desk, token) for token in tokens]
    assert len({answer.content for answer in answers}) == 1
    problem(answers[0], 404, "not-found")
    assert (await desk.get(f"/v1/teams/{desk.team}/invitations")).json()["items"] == []


async def test_members_accept_again_and_use_nothing_up(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team, role="admin")
    answer = await accept(desk, made["token"], "owner")
    assert (answer.status_code, answer.json()["role"]) == (200, "owner")
    assert (await desk.get(f"/v1/teams/{team}/invitations/{made['id']}")).json()["uses"] == 0
    await newcomer(desk)
    first = await accept(desk, made["token"])
    again = await accept(desk, made["token"])
    assert (first.json(), first.json()["role"]) == (again.json(), "admin")


async def test_sixteen_accepts_at_once_make_one_membership(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team)
    await newcomer(desk)
    answers = await asyncio.gather(*(accept(desk, made["token"]) for _ in range(16)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    events = (await desk.get(f"/v1/teams/{team}/events?after=0")).json()["items"]
    assert Counter(event["type"] for event in events if "member" in event["type"]).total() == 2


async def test_sixteen_accepts_and_invites_at_once_with_one_key_have_one_effect(desk: Desk) -> None:
    team = await desk.new_team()
    path, keyed = f"/v1/teams/{team}/invitations", {"Idempotency-Key": new_key()}
    made = await asyncio.gather(*(desk.post(path, {"role": "viewer"}, **keyed) for _ in range(16)))
    assert {answer.status_code for answer in made} <= {201, 409}
    bodies = {answer.content for answer in made if answer.status_code == 201}
    assert len(bodies) == len((await desk.get(path)).json()["items"]) == 1
    token = msgspec.json.decode(bodies.pop())["token"]
    await newcomer(desk)
    keyed = {"Idempotency-Key": new_key()}
    answers = await asyncio.gather(*(accept(desk, token, **keyed) for _ in range(16)))
    for answer in answers:
        if answer.status_code != 200:
            problem(answer, 409, "idempotency-key-in-flight")
    joined = {answer.content for answer in answers if answer.status_code == 200}
    assert {(await accept(desk, token, **keyed)).content} == joined
    assert len(await members(desk, team)) == 2


async def test_people_at_two_workers_share_the_uses(database: DatabaseSettings, valkey_url: str) -> None:
    settings = settings_for(database, valkey_url)
    async with serving(settings) as here, serving(settings) as there:
        desk = await Desk.open(here)
        made = await invited(desk, desk.team, max_uses=2)
        for number in range(8):
            await newcomer(desk, f"n{number}")
        answers = await asyncio.gather(
            *(
                site.client.post(ACCEPT, json={"token": made["token"]}, headers=desk[f"n{number}"].headers)
                for number in range(8)
                for site in (here, there)
            )
        )
        assert Counter(answer.status_code for answer in answers) == {200: 4, 404: 12}
        assert len(await members(desk, desk.team)) == 6


async def test_whoever_was_removed_does_not_come_back_by_the_link_they_used(desk: Desk) -> None:
    team, key = await desk.new_team(), new_key()
    made = await invited(desk, team, max_uses=5)
    await newcomer(desk)
    assert (await accept(desk, made["token"], **{"Idempotency-Key": key})).status_code == 200
    replayed = await accept(desk, made["token"], **{"Idempotency-Key": key})
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (200, "true")
    assert (await desk.delete(f"/v1/teams/{team}/members/{desk['newcomer'].user_id}")).status_code == 204
    problem(await accept(desk, made["token"], **{"Idempotency-Key": key}), 404, "not-found")
    problem(await accept(desk, made["token"]), 404, "not-found")
    assert desk["newcomer"].user_id not in await members(desk, team)


async def test_a_use_that_was_taken_before_a_crash_is_the_same_persons_afterwards(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team)
    await newcomer(desk)
    await newcomer(desk, "late")
    taken = await desk.site.services.acceptances.take(UUID(desk["newcomer"].user_id), made["token"])
    assert not taken.member
    problem(await accept(desk, made["token"], "late"), 404, "not-found")
    assert (await accept(desk, made["token"])).status_code == 200
    assert desk["newcomer"].user_id in await members(desk, team)


async def test_an_invitation_is_as_good_as_what_its_inviter_may_give_now(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "admin", "admin")
    made = await invited(desk, team, "admin")
    assert (await desk.patch(f"/v1/teams/{team}/members/{desk['admin'].user_id}", {"role": "member"})).is_success
    assert (await desk.get(f"/v1/teams/{team}/invitations/{made['id']}")).json()["valid"] is False
    await newcomer(desk)
    problem(await accept(desk, made["token"]), 404, "not-found")
    assert (await desk.patch(f"/v1/teams/{team}/members/{desk['admin'].user_id}", {"role": "admin"})).is_success
    # The refused attempt has not used it up.
    assert (await accept(desk, made["token"])).status_code == 200


async def test_a_full_team_refuses_and_the_invitation_stays_good(database: DatabaseSettings, valkey_url: str) -> None:
    quotas = Quotas(members_per_team=4, invitations_per_team=2)
    settings = structs.replace(settings_for(database, valkey_url), quotas=quotas)
    async with serving(settings) as site:
        desk = await Desk.open(site)
        made = await invited(desk, desk.team)
        await newcomer(desk)
        assert problem(await accept(desk, made["token"]), 409, "quota-reached")["quota"] == "members-per-team"
        assert (await desk.delete(f"/v1/teams/{desk.team}/members/{desk['viewer'].user_id}")).status_code == 204
        assert (await accept(desk, made["token"])).status_code == 200
        await invited(desk, desk.team)
        await invited(desk, desk.team)
        refused = await desk.post(f"/v1/teams/{desk.team}/invitations", {"role": "member"})
        assert problem(refused, 409, "quota-reached")["limit"] == 2


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("owner", "owner", 201),
        ("admin", "admin", 201),
        ("admin", "owner", 403),
        ("member", "viewer", 403),
        ("viewer", "viewer", 403),
        ("stranger", "viewer", 404),
    ],
)
async def test_one_invites_to_what_one_may_give(desk: Desk, who: str, role: str, status: int) -> None:
    path = f"/v1/teams/{desk.team}/invitations"
    assert (await desk.post(path, {"role": role}, who)).status_code == status
    if who != "owner":
        readable = 200 if status != 404 and who == "admin" else status
        assert (await desk.get(path, who)).status_code == readable


async def test_whoever_is_a_member_or_invited_already_is_not_invited(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/invitations"
    owner = (await desk.get("/v1/me")).json()["email"]
    answer = await desk.post(path, {"role": "member", "email": owner.upper()})
    assert problem(answer, 409, "conflict")["reason"] == "already-member"
    await invited(desk, team, email="grace@example.com")
    answer = await desk.post(path, {"role": "viewer", "email": "Grace@EXAMPLE.com"})
    assert problem(answer, 409, "conflict")["reason"] == "already-invited"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/role"),
        ({"role": "king"}, "/role"),
        ({"role": "member", "email": "nobody"}, "/email"),
        ({"role": "member", "email": "a@b.org\r\nBcc: c@d.org"}, "/email"),
        ({"role": "member", "expires_in": 30 * 86_400 + 1}, "/expires_in"),
        ({"role": "member", "max_uses": 0}, "/max_uses"),
        ({"role": "member", "email": "a@b.org", "max_uses": 2}, "/max_uses"),
        ({"role": "member", "token": UNKNOWN}, "/token"),
        ({"role": "member", "team_id": RANDOM}, "/team_id"),
    ],
)
async def test_a_wrong_invitation_is_pointed_at(desk: Desk, body: dict[str, Any], pointer: str) -> None:
    refused = await desk.post(f"/v1/teams/{desk.team}/invitations", body)
    assert problem(refused, 400, "bad-input")["errors"][0]["pointer"] == pointer


async def test_the_token_of_a_link_is_sealed_where_its_answer_is_stored_and_hashed_elsewhere(
    own_site: Site, superuser: asyncpg.Connection
) -> None:
    desk, key = await Desk.open(own_site), new_key()
    path, headers = f"/v1/teams/{desk.team}/invitations", {"Idempotency-Key": key}
    first = await desk.post(path, {"role": "member"}, **headers)
    again = await desk.post(path, {"role": "member"}, **headers)
    assert (first.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert len((await desk.get(path)).json()["items"]) == 1
    token = first.json()["token"].encode()
    for table in ("invitations", "idempotency_keys", "outbox", "task_events"):
        for (row,) in await superuser.fetch(f"select t::text from {table} t"):
            assert token.decode() not in row
            assert token.hex() not in row
    stored = await superuser.fetchval("select token_hash from invitations")
    assert stored == hashlib.sha256(token).digest()
    assert (await desk.patch(f"/v1/teams/{desk.team}/members/{desk['admin'].user_id}", {"role": "admin"})).is_success
    keyed = {"Idempotency-Key": new_key()}
    assert (await desk.post(path, {"role": "member"}, "admin", **keyed)).status_code == 201
    assert (await desk.patch(f"/v1/teams/{desk.team}/members/{desk['admin'].user_id}", {"role": "viewer"})).is_success
    problem(await desk.post(path, {"role": "member"}, "admin", **keyed), 403, "forbidden")


async def test_open_invitations_come_in_pages_newest_first_and_without_tokens(desk: Desk) -> None:
    team = await desk.new_team()
    made = [(await invited(desk, team))["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = await desk.get(f"/v1/teams/{team}/invitations?limit=2{cursor}")
        assert "token" not in page.text
        seen += [one["id"] for one in page.json()["items"]]
        if page.json()["next_cursor"] is None:
            break
        cursor = f"&cursor={page.json()['next_cursor']}"
    assert seen == made[::-1]


async def test_an_invitation_of_another_team_looks_like_a_random_one(desk: Desk) -> None:
    team = await desk.new_team()
    made = await invited(desk, team)
    foreign = await invited(desk, desk.other_team, "stranger")
    for method in ("GET", "DELETE"):
        answers = [await desk.ask(method, f"/v1/teams/{team}/invitations/{one}") for one in (foreign["id"], RANDOM)]
        assert answers[0].content == answers[1].content
        problem(answers[0], 404, "not-found")
    assert (await desk.get(f"/v1/teams/{desk.other_team}/invitations/{foreign['id']}", "stranger")).status_code == 200
    assert (await desk.get(f"/v1/teams/{team}/invitations/{made['id']}")).status_code == 200


async def test_expired_invitations_are_forgotten_and_open_ones_are_not(
    own_site: Site, superuser: asyncpg.Connection
) -> None:
    desk = await Desk.open(own_site)
    gone, kept = await invited(desk, desk.team), await invited(desk, desk.team)
    await superuser.execute(
        "update invitations set expires_at = now() - interval '1 s' where id = $1", UUID(gone["id"])
    )
    assert await forget_expired_invitations(own_site.services.pools.worker) == 1
    assert [str(row["id"]) for row in await superuser.fetch("select id from invitations")] == [kept["id"]]


async def test_former_members_keep_their_names_until_they_join_again(desk: Desk) -> None:
    team = await desk.new_team()
    for name in ("one", "two", "three"):
        await newcomer(desk, name)
        await desk.join(team, "owner", name, "member")
    for name in ("two", "one"):
        assert (await desk.delete(f"/v1/teams/{team}/members/{desk[name].user_id}")).status_code == 204
    path = f"/v1/teams/{team}/members?former=true"
    page = (await desk.get(f"{path}&limit=1")).json()
    left = page["items"]
    left += (await desk.get(f"{path}&limit=1&cursor={page['next_cursor']}")).json()["items"]
    assert [(one["user_id"], one["name"], one["role"]) for one in left] == [
        (desk[name].user_id, name.title(), "member") for name in ("two", "one")
    ]
    assert left[0]["joined_at"] < left[0]["left_at"] <= left[1]["left_at"]
    assert all("left_at" not in one for one in (await desk.get(f"/v1/teams/{team}/members")).json()["items"])
    await desk.join(team, "owner", "two", "viewer")
    assert [one["user_id"] for one in (await desk.get(path)).json()["items"]] == [desk["one"].user_id]
    problem(await desk.get(path, "one"), 404, "not-found")
    problem(await desk.get(f"/v1/teams/{team}/members?former=yes"), 400, "bad-input")


async def test_a_batch_of_joins_and_departures_at_once_leaves_each_in_one_place(desk: Desk) -> None:
    team = await desk.new_team()
    ask = desk.site.services.teams.ask
    names = [f"m{number}" for number in range(6)]
    for name in names:
        await newcomer(desk, name)
        await desk.join(team, "owner", name, "member")
    people = [UUID(desk[name].user_id) for name in names]
    owner = by(desk["owner"].user_id)
    await asyncio.gather(
        *(ask(UUID(team), RemoveMember(person), owner) for person in people),
        *(ask(UUID(team), AddMember(person, "Back", "viewer"), owner) for person in people[:3]),
    )
    now = await members(desk, team)
    former = (await desk.get(f"/v1/teams/{team}/members?former=true")).json()["items"]
    assert {one["user_id"] for one in former} == {str(person) for person in people[3:]}
    assert {str(person) for person in people[:3]} < set(now)
