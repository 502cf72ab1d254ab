"""API keys wherever access tokens are taken: what they cost, how they end, and who hears of it."""

import asyncio
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import uuid_utils.compat as uuids

from api.auth.api_keys import MOST_UNKNOWN, READ_AT_ONCE, REMEMBERED_SECONDS, UNKNOWN_SECONDS, KeyReader
from api.auth.tokens import AccessTokens, Revocations
from api.settings import AuthSettings
from core.errors import StorageUnavailable, Unauthenticated
from core.key_form import RANDOM_BYTES, write_key
from core.principal import Principal
from core.secret import Secret
from db.keyset import Keyset
from db.people.api_keys import PresentedKey, token_hash_of
from tests.support.desk import problem
from tests.support.keys import make_key
from tests.support.signing import SIGNER
from tests.support.site import Person, Site, frame, frames_until_closed, joined
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

PATH = "/v1/me/api-keys"
KEYSET = Keyset([Secret("0123456789abcdef0123456789abcdef-secret")])


def made_up(number: int) -> str:
    return write_key(number.to_bytes(RANDOM_BYTES))


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


class Stored:
    """Keys as the database would find them; everything that was looked for is in `asked`."""

    def __init__(self) -> None:
        self.keys: dict[bytes, PresentedKey] = {}
        self.asked: list[bytes] = []
        self.noted: list[UUID] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.down = self.read_only = False

    def add(self, token: str, seconds_left: float | None = None) -> PresentedKey:
        found = PresentedKey(uuids.uuid7(), uuids.uuid7(), ("read",), None, seconds_left)
        self.keys[token_hash_of(token.encode())] = found
        return found

    async def find(self, token_hash: bytes) -> PresentedKey | None:
        self.asked.append(token_hash)
        await self.answering.wait()
        if self.down:
            raise StorageUnavailable("down")
        return self.keys.get(token_hash)

    async def note_use(self, user_id: UUID, key_id: UUID) -> None:
        if self.read_only:
            raise StorageUnavailable("read only")
        self.noted.append(key_id)


class World:
    """A process's memory of credentials over stored keys, with its clocks in hand."""

    def __init__(self) -> None:
        self.now, self.stored = 1_000_000.0, Stored()
        self.revocations = Revocations(None, None, SIGNER, access_seconds=600)  # type: ignore[arg-type]
        self.tokens = AccessTokens(AuthSettings(), KEYSET, self.revocations, wall_clock=lambda: self.now)
        self.reader = KeyReader(self.stored, self.tokens, monotonic=lambda: self.now)  # type: ignore[arg-type]

    async def ask(self, token: str) -> Principal:
        await self.reader.read(bearer(token))
        return self.tokens.principal_of(bearer(token))

    async def refuse(self, token: str) -> None:
        with pytest.raises(Unauthenticated):
            await self.ask(token)


@pytest.fixture
def world() -> World:
    return World()


class TestMemory:
    async def test_a_key_is_looked_for_once_and_then_known(self, world: World) -> None:
        found = world.stored.add(made_up(1))
        with pytest.raises(Unauthenticated):
            world.tokens.principal_of(bearer(made_up(1)))
        principals = [await world.ask(made_up(1)) for _ in range(10)]
        assert {id(one) for one in principals} == {id(principals[0])}
        assert principals[0] == found.principal()
        assert len(world.stored.asked) == 1

    async def test_sixteen_at_once_wait_for_one_look(self, world: World) -> None:
        world.stored.add(made_up(1))
        world.stored.answering.clear()
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(world.ask(made_up(1))) for _ in range(16)]
            lost = [group.create_task(world.refuse(made_up(2))) for _ in range(16)]
            await until(lambda: len(world.stored.asked) == 2)
            world.stored.answering.set()
        assert all(one.done() for one in (*asking, *lost))
        assert len(world.stored.asked) == 2

    async def test_a_flood_of_made_up_keys_leaves_connections_to_others(self, world: World) -> None:
        world.stored.answering.clear()
        async with asyncio.TaskGroup() as group:
            flood = [group.create_task(world.refuse(made_up(number))) for number in range(20)]
            await until(lambda: len(world.reader._reading) == 20)
            assert len(world.stored.asked) == READ_AT_ONCE
            world.stored.answering.set()
        assert all(one.done() for one in flood)
        assert len(world.stored.asked) == 20

    async def test_a_wrong_checksum_is_never_looked_for_and_a_good_one_once(self, world: World) -> None:
        for number in range(100):
            key = made_up(number)
            await world.refuse(key[:-1] + ("0" if key[-1] != "0" else "1"))
            await world.refuse(key[:20])
        assert world.stored.asked == []
        for _ in range(10):
            await world.refuse(made_up(7))
            await world.reader.read(b"BEARER  " + made_up(7).encode())
        assert len(world.stored.asked) == 1

    async def test_an_unknown_key_is_looked_for_again_some_seconds_later(self, world: World) -> None:
        await world.refuse(made_up(1))
        world.stored.add(made_up(1))
        await world.refuse(made_up(1))
        world.now += UNKNOWN_SECONDS
        await world.ask(made_up(1))

    async def test_a_flood_of_made_up_keys_fills_no_memory(self, world: World) -> None:
        for number in range(MOST_UNKNOWN + 50):
            await world.refuse(made_up(number))
        assert len(world.reader._unknown) == MOST_UNKNOWN
        world.now += UNKNOWN_SECONDS
        await world.refuse(made_up(1))
        assert len(world.reader._unknown) == 1
        assert not world.reader._reading

    async def test_a_known_key_is_read_again_before_its_revocation_could_be_forgotten(self, world: World) -> None:
        world.stored.add(made_up(1))
        await world.ask(made_up(1))
        world.stored.keys.clear()
        world.now += REMEMBERED_SECONDS - 1
        await world.ask(made_up(1))
        world.now += 1
        await world.refuse(made_up(1))
        assert len(world.stored.asked) == 2
        assert world.revocations._keep > REMEMBERED_SECONDS

    async def test_a_key_expires_to_the_second_though_it_is_known(self, world: World) -> None:
        token = made_up(1)
        world.stored.add(token, seconds_left=30.0)
        await world.ask(token)
        assert world.tokens.seconds_left(bearer(token)) == 30.0
        world.now += 29.9
        await world.ask(token)
        world.stored.keys.clear()
        world.now += 0.2
        await world.refuse(token)

    async def test_a_revoked_key_is_refused_though_it_is_known(self, world: World) -> None:
        found = world.stored.add(made_up(1))
        await world.ask(made_up(1))
        world.revocations._hear([found.id])
        await world.refuse(made_up(1))
        assert len(world.stored.asked) == 1

    async def test_while_the_database_is_down_nobody_is_called_unknown(self, world: World) -> None:
        world.stored.add(made_up(1))
        world.stored.down = True
        with pytest.raises(StorageUnavailable):
            await world.ask(made_up(1))
        world.stored.down = False
        await world.ask(made_up(1))
        assert not world.reader._reading

    async def test_uses_are_noted_aside_and_go_on_after_a_failure(self, world: World) -> None:
        first, _, third = [world.stored.add(made_up(number)) for number in (1, 2, 3)]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.reader.run())
            for _ in range(5):
                await world.ask(made_up(1))
            await until(lambda: world.stored.noted == [first.id])
            world.stored.read_only = True
            await world.ask(made_up(2))
            await until(lambda: not world.reader._used)
            world.stored.read_only = False
            await world.ask(made_up(3))
            await until(lambda: world.stored.noted == [first.id, third.id])
            running.cancel()

    async def test_the_memory_holds_no_key(self, world: World) -> None:
        world.stored.add(made_up(1))
        await world.ask(made_up(1))
        await world.refuse(made_up(2))
        for token in (made_up(1), made_up(2)):
            assert token not in str((world.tokens._young, world.reader._unknown, world.reader._used))


async def is_refused(site: Site, person: Person) -> bool:
    return (await site.client.get("/v1/me", headers=person.headers)).status_code == 401


async def test_hot_reads_answer_a_key_from_memory_once_it_is_known(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    key, statistics = await make_key(site, ada), site.services.key_reader.statistics
    before = statistics().read
    answers = [
        await site.client.get(path, headers=key.headers)
        for path in (f"/v1/tasks?team_id={team}", f"/v1/teams/{team}/board") * 5
    ]
    assert {answer.status_code for answer in answers} == {200}
    by_hand = await site.client.get(f"/v1/teams/{team}/board", headers=ada.headers)
    assert by_hand.content == answers[-1].content
    assert statistics().read == before + 1


async def test_the_last_use_shows_in_the_list(site: Site) -> None:
    ada = await site.person()
    key = await make_key(site, ada)

    async def last_used() -> Any:
        return (await site.client.get(f"{PATH}/{key.id}", headers=ada.headers)).json()["last_used_at"]

    assert await last_used() is None
    await site.client.get("/v1/me", headers=key.headers)
    await until_answered(last_used)
    assert abs(datetime.fromisoformat(await last_used()) - datetime.now(UTC)) < timedelta(seconds=60)


async def test_an_expired_key_is_refused_and_its_feed_ends(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    ends = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    key = await make_key(site, ada, expires_at=ends)
    async with site.live(team, key.person) as live:
        await frame(live, "hello")
        assert (await site.client.get("/v1/me", headers=key.headers)).status_code == 200
        async with asyncio.timeout(10):
            assert await frames_until_closed(live) == ([], 4401, "authenticate again")
    await until_answered(lambda: is_refused(site, key.person))
    problem(await site.client.get("/v1/me", headers=key.headers), 401, "unauthenticated")
    assert key.id not in (await site.client.get(PATH, headers=ada.headers)).text


async def test_a_feed_of_a_key_outlives_access_tokens(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    key = await make_key(site, ada)
    async with site.live(team, key.person) as live, site.stream(team, key.person) as stream:
        await frame(live, "hello")
        await stream.next()
        guards = [feed.guard for feed in site.services.hub._open if str(feed.user_id) == ada.user_id]
        assert len(guards) == 2
        assert {guard._token_ends for guard in guards if guard is not None} == {math.inf}  # type: ignore[attr-defined]


async def test_both_kinds_of_feed_carry_what_happens_to_a_key(site: Site) -> None:
    ada = await site.person()
    team = await site.team(ada)
    key = await make_key(site, ada, team_id=team)
    async with site.live(team, key.person) as live, site.stream(team, key.person) as stream:
        await frame(live, "hello")
        task = await site.task(ada, team)
        assert (await frame(live, "event"))["event"]["subject"] == task["id"]
        assert await stream.seqs(1) == [task["version"]]


async def test_a_key_renews_a_socket_of_its_user_and_team_only(site: Site) -> None:
    ada, eve = await site.person(), await site.person()
    team, other = await site.team(ada), await site.team(ada)
    await joined(site, team, ada, eve)
    mine, hers = await make_key(site, ada, team_id=team), await make_key(site, eve)
    elsewhere = await make_key(site, ada, team_id=other)
    for wrong in (hers.token, elsewhere.token, made_up(1), "tfk_x"):
        async with site.live(team, ada) as live:
            await frame(live, "hello")
            await live.send(json.dumps({"type": "auth", "token": mine.token}))
            assert (await frame(live))["type"] == "heartbeat"
            await live.send(json.dumps({"type": "auth", "token": wrong}))
            assert await frames_until_closed(live) == ([], 4401, "authenticate again")


async def test_feeds_of_another_team_do_not_exist_for_a_key_of_one(site: Site) -> None:
    ada = await site.person()
    team, other = await site.team(ada), await site.team(ada)
    key = await make_key(site, ada, team_id=team)
    for wanted in (other, str(uuids.uuid7())):
        async with site.live(wanted, key.person) as live:
            assert await frames_until_closed(live) == ([], 4403, "not a member of this team")
        answer = await site.client.get(
            f"/v1/teams/{wanted}/events", headers={**key.headers, "Accept": "text/event-stream"}
        )
        problem(answer, 404, "not-found")


async def test_a_key_of_a_removed_member_loses_the_team(site: Site) -> None:
    ada, bob = await site.person(), await site.person()
    team = await site.team(ada)
    await joined(site, team, ada, bob)
    key = await make_key(site, bob, "write")
    path = f"/v1/teams/{team}/board"
    assert (await site.client.get(path, headers=key.headers)).status_code == 200
    await site.client.delete(f"/v1/teams/{team}/members/{bob.user_id}", headers=ada.headers)
    problem(await site.client.get(path, headers=key.headers), 404, "not-found")
