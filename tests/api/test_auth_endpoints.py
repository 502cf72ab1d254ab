"""`/v1/auth` and `/v1/me` over HTTP, on the real database and Valkey."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import anyio
import asyncpg
import httpx
import pytest
import uuid_utils.compat as uuids
from blacksheep import Request

from actors.settings import ActorSettings
from actors.system import TeamSystem
from api.app import TaskForge
from api.auth.api_keys import KeyReader
from api.auth.bearer import authenticate
from api.auth.passwords import Passwords
from api.auth.tokens import AccessTokens, Revocations
from api.endpoints import auth, me, notifications
from api.health import Health
from api.metrics import Metrics
from api.object_links import ObjectLinks
from api.problems import PROBLEMS
from api.request_metrics import RequestMetrics
from api.routing import EdgeRouter
from api.services import Services
from api.settings import AuthSettings, HttpSettings
from core.errors import Unauthenticated
from core.events import TaskCreated
from core.quotas import Quotas
from core.secret import Secret
from core.task import Task
from db.keyset import Keyset
from db.notices.notify import Collecting
from db.notices.tasks import add_assigned
from db.past.boards import PastBoards
from db.people.account_tokens import AccountTokens
from db.people.api_keys import ApiKeys
from db.people.identity import Identity
from db.people.mail_preferences import UnsubscribeTokens
from db.people.sessions import Lifetimes
from db.people.team_places import TeamPlaces
from db.people.tickets import Tickets
from db.pool import Pools
from db.sealed_replies import SealedReplies
from db.transaction import writing
from db.valkey import open_valkey
from taskforge.clock import SystemClock
from taskforge.devstack import DevStack
from tests.support.signing import SIGNER

pytestmark = pytest.mark.anyio

PASSWORD = "a long enough password"
NOBODYS = "019a0000-0000-7000-8000-00000000dead"
ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}


@pytest.fixture
async def parts(pools: Pools, valkey_url: str) -> AsyncIterator[Services]:
    """What the auth endpoints need of an API process; teams and feeds are not among it."""
    async with open_valkey(valkey_url) as valkey:
        yield _parts(pools, valkey)


def _parts(pools: Pools, valkey: Any) -> Services:
    settings = AuthSettings()
    identity = Identity(pools.api, Lifetimes(idle=7 * 86_400, absolute=30 * 86_400, grace=10))
    revocations = Revocations(identity.sessions, valkey, SIGNER, access_seconds=600, poll_seconds=0.05)
    absent, clock = Mock(), SystemClock()
    keyset = Keyset([Secret("0123456789abcdef0123456789abcdef")])
    teams = TeamSystem(
        journal=absent, snapshots=absent, feed=absent, clock=clock, new_id=uuids.uuid7, settings=ActorSettings()
    )
    tokens, api_keys = AccessTokens(settings, keyset, revocations), ApiKeys(pools.api, 50)
    return Services(
        http=HttpSettings(),
        auth=settings,
        teams=teams,
        hub=absent,
        journal=absent,
        pools=pools,
        past=PastBoards(pools.api, None),
        object_links=ObjectLinks(keyset),
        valkey=valkey,
        identity=identity,
        tokens=tokens,
        revocations=revocations,
        api_keys=api_keys,
        key_reader=KeyReader(api_keys, tokens),
        passwords=Passwords(time_cost=1, memory_kib=64, lanes=1),
        account_tokens=AccountTokens(keyset),
        unsubscribe_tokens=UnsubscribeTokens(keyset),
        tickets=Tickets(pools.api, Quotas()),
        team_places=TeamPlaces(pools.api, 50),
        invitations=absent,
        acceptances=absent,
        sealed=SealedReplies(keyset),
        webhook_secrets=absent,
        webhook_rules=absent,
        external=absent,
        clock=clock,
        new_id=uuids.uuid7,
        health=Health(),
        metrics=(metrics := Metrics()),
        requests=RequestMetrics(metrics),
    )


def client_of(services: Services) -> httpx.AsyncClient:
    router = EdgeRouter()
    auth.register(router, services)
    me.register(router, services)
    notifications.register(router, services)
    transport = httpx.ASGITransport(TaskForge(services, router))
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers={"user-agent": "a browser"})


@pytest.fixture
async def http(parts: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(parts) as client:
        yield client


async def sign_up(http: httpx.AsyncClient, **changes: str) -> dict[str, Any]:
    answer = await http.post("/v1/auth/signup", json={**ADA, **changes})
    assert answer.status_code == 201, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def by(tokens: dict[str, Any], **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {tokens['access_token']}", **headers}


def check_problem(answer: httpx.Response, status: int, code: str, pointer: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    if pointer is not None:
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_signing_up_answers_201_with_tokens_that_work(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/auth/signup", json={**ADA, "email": " Ada@EXAMPLE.com ", "name": " Ada "})
    tokens = answer.json()
    assert answer.status_code == 201
    assert (answer.headers["cache-control"], answer.headers["location"]) == ("no-store", "/v1/me")
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    user = (await http.get("/v1/me", headers=by(tokens))).json()
    assert (user["email"], user["name"], user["email_verified_at"]) == ("Ada@example.com", "Ada", None)
    assert set(user) == {"id", "email", "name", "time_zone", "mail", "email_verified_at", "created_at", "updated_at"}


async def test_an_address_that_is_taken_is_a_conflict(http: httpx.AsyncClient) -> None:
    await sign_up(http)
    answer = await http.post("/v1/auth/signup", json={**ADA, "email": "ADA@example.com"})
    check_problem(answer, 409, "conflict")
    assert answer.json()["reason"] == "email-taken"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"email": "a\0da@example.com"}, "/email"),
        ({"email": 5}, "/email"),
        ({"password": "short"}, "/password"),
        ({"password": ADA["email"]}, "/password"),
        ({"password": "x" * 2_000}, "/password"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\0b"}, "/name"),
        ({"role": "owner"}, "/role"),
        ({"id": str(uuids.uuid7())}, "/id"),
        ({"email_verified_at": "2026-01-01T00:00:00Z"}, "/email_verified_at"),
    ],
)
async def test_a_sign_up_with_a_wrong_field_names_the_field(
    http: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    check_problem(await http.post("/v1/auth/signup", json={**ADA, **change}), 400, "bad-input", pointer)


@pytest.mark.parametrize("path", ["signup", "login", "refresh"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b'{"email":"\\ud800","password":"x","name":"y"}'])
async def test_what_is_no_body_is_a_bad_request(http: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await http.post(f"/v1/auth/{path}", content=body, headers={"content-type": "application/json"})
    check_problem(answer, 400, "bad-input")


@pytest.mark.parametrize("path", ["signup", "login", "refresh"])
async def test_another_media_type_is_refused(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(f"/v1/auth/{path}", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", "  ada@example.com "])
async def test_logging_in_opens_a_second_session(http: httpx.AsyncClient, email: str) -> None:
    await sign_up(http)
    answer = await http.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    sessions = (await http.get("/v1/me/sessions", headers=by(answer.json()))).json()["items"]
    assert [session["current"] for session in sessions] == [True, False]
    assert {session["user_agent"] for session in sessions} == {"a browser"}


async def test_an_unknown_address_and_a_wrong_password_answer_the_same_to_the_byte(http: httpx.AsyncClient) -> None:
    await sign_up(http)
    wrong = await http.post("/v1/auth/login", json={"email": ADA["email"], "password": "a wrong password"})
    bodies = set()
    for email in ("nobody@example.com", "not an address", "nul\0@example.com"):
        answer = await http.post("/v1/auth/login", json={"email": email, "password": PASSWORD})
        check_problem(answer, 401, "unauthenticated")
        bodies.add(answer.content)
    assert bodies == {wrong.content}


async def test_a_hash_of_older_parameters_is_renewed_by_logging_in(
    parts: Services, http: httpx.AsyncClient, superuser: "asyncpg.Connection"
) -> None:
    await sign_up(http)
    older = await Passwords(time_cost=2, memory_kib=64, lanes=1).hash(PASSWORD)
    await superuser.execute("update users set password_hash = $1", older)
    assert (await http.post("/v1/auth/login", json={k: ADA[k] for k in ("email", "password")})).status_code == 200
    stored = await superuser.fetchval("select password_hash from users")
    assert stored != older
    assert ",t=1," in stored
    assert (await http.post("/v1/auth/login", json={k: ADA[k] for k in ("email", "password")})).status_code == 200


async def test_refreshing_gives_a_new_pair_and_both_tabs_the_same(http: httpx.AsyncClient) -> None:
    first = await sign_up(http)
    spent = {"refresh_token": first["refresh_token"]}
    tabs = await asyncio.gather(*(http.post("/v1/auth/refresh", json=spent) for _ in range(2)))
    assert [tab.status_code for tab in tabs] == [200, 200]
    assert {tab.headers["cache-control"] for tab in tabs} == {"no-store"}
    assert len({tab.json()["refresh_token"] for tab in tabs}) == 1
    for tab in tabs:
        assert (await http.get("/v1/me", headers=by(tab.json()))).status_code == 200
    again = await http.post("/v1/auth/refresh", json={"refresh_token": tabs[0].json()["refresh_token"]})
    assert again.status_code == 200


async def test_a_stolen_refresh_token_ends_the_session_and_its_access_tokens(http: httpx.AsyncClient) -> None:
    stolen = await sign_up(http)
    thief = (await http.post("/v1/auth/refresh", json={"refresh_token": stolen["refresh_token"]})).json()
    thief = (await http.post("/v1/auth/refresh", json={"refresh_token": thief["refresh_token"]})).json()
    assert (await http.get("/v1/me", headers=by(thief))).status_code == 200
    victim = await http.post("/v1/auth/refresh", json={"refresh_token": stolen["refresh_token"]})
    check_problem(victim, 401, "unauthenticated")
    for tokens in (stolen, thief):
        check_problem(await http.get("/v1/me", headers=by(tokens)), 401, "unauthenticated")
    last = await http.post("/v1/auth/refresh", json={"refresh_token": thief["refresh_token"]})
    check_problem(last, 401, "unauthenticated")


async def test_sixty_four_refreshes_at_once_have_one_outcome(http: httpx.AsyncClient) -> None:
    first = await sign_up(http)
    spent = {"refresh_token": first["refresh_token"]}
    answers = await asyncio.gather(*(http.post("/v1/auth/refresh", json=spent) for _ in range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


@pytest.mark.parametrize("token", ["", "x", "tfr_" + "A" * 43, "\0", "é" * 47])
async def test_a_token_nobody_gave_is_unauthenticated(http: httpx.AsyncClient, token: str) -> None:
    check_problem(await http.post("/v1/auth/refresh", json={"refresh_token": token}), 401, "unauthenticated")


async def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    answer = await http.post("/v1/auth/refresh", json={"refresh_token": tokens["access_token"]})
    assert answer.status_code in {400, 401}
    swapped = {"access_token": tokens["refresh_token"]}
    check_problem(await http.get("/v1/me", headers=by(swapped)), 401, "unauthenticated")


async def test_logging_out_ends_the_session_at_once(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    answer = await http.post("/v1/auth/logout", headers=by(tokens))
    assert (answer.status_code, answer.content) == (204, b"")
    check_problem(await http.get("/v1/me", headers=by(tokens)), 401, "unauthenticated")
    check_problem(
        await http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}), 401, "unauthenticated"
    )


async def test_logging_out_by_refresh_token_needs_no_access_token_and_tells_nothing(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    for _ in range(2):
        answer = await http.post("/v1/auth/logout", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 204
    assert (await http.post("/v1/auth/logout", json={"refresh_token": "nonsense"})).status_code == 204
    check_problem(await http.get("/v1/me", headers=by(tokens)), 401, "unauthenticated")
    check_problem(await http.post("/v1/auth/logout"), 401, "unauthenticated")


async def test_another_process_refuses_a_revoked_session_within_five_seconds_even_without_valkey(
    parts: Services, pools: Pools, http: httpx.AsyncClient
) -> None:
    tokens = await sign_up(http)
    async with open_valkey("valkey://127.0.0.1:1/0") as nobody, anyio.create_task_group() as group:
        elsewhere = _parts(pools, nobody)
        await group.start(elsewhere.revocations.run)
        async with client_of(elsewhere) as other:
            assert (await other.get("/v1/me", headers=by(tokens))).status_code == 200
            await http.post("/v1/auth/logout", headers=by(tokens))
            with anyio.fail_after(5):
                while (await other.get("/v1/me", headers=by(tokens))).status_code != 401:
                    await asyncio.sleep(0.01)
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/me"),
        ("PATCH", "/v1/me"),
        ("GET", "/v1/me/sessions"),
        ("DELETE", "/v1/me/sessions"),
        ("DELETE", f"/v1/me/sessions/{NOBODYS}"),
        ("GET", "/v1/me/notifications"),
        ("POST", "/v1/me/notifications/read"),
    ],
)
async def test_nothing_of_mine_is_shown_without_a_token(http: httpx.AsyncClient, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer x.y.z"}, {"authorization": "Basic YTpi"}):
        answer = await http.request(method, path, headers=headers)
        check_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_two_authorization_headers_are_refused(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    pair = [("authorization", by(tokens)["authorization"])] * 2
    assert (await http.get("/v1/me", headers=pair)).status_code in {400, 401}


async def test_a_name_is_changed_and_nothing_else_can_be(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    for media_type in ("application/merge-patch+json", "application/json"):
        headers = by(tokens, **{"content-type": media_type})
        answer = await http.patch("/v1/me", content=b'{"name": " Ada L. "}', headers=headers)
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada L.")
    assert (await http.patch("/v1/me", json={}, headers=by(tokens))).json()["name"] == "Ada L."
    for field in ("email", "id", "password", "password_hash", "role"):
        check_problem(await http.patch("/v1/me", json={field: "x"}, headers=by(tokens)), 400, "bad-input", f"/{field}")
    check_problem(await http.patch("/v1/me", json={"name": None}, headers=by(tokens)), 400, "bad-input", "/name")


async def test_a_keyed_change_is_replayed_even_after_a_refresh(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    key = {"idempotency-key": "0123456789abcdef"}
    first = await http.patch("/v1/me", json={"name": "First"}, headers=by(tokens, **key))
    tokens = (await http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    await http.patch("/v1/me", json={"name": "Second"}, headers=by(tokens))
    again = await http.patch("/v1/me", json={"name": "First"}, headers=by(tokens, **key))
    assert (again.status_code, again.content) == (200, first.content)
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    check_problem(
        await http.patch("/v1/me", json={"name": "Other"}, headers=by(tokens, **key)), 422, "idempotency-key-reused"
    )
    assert (await http.get("/v1/me", headers=by(tokens))).json()["name"] == "Second"
    bad = await http.patch("/v1/me", json={"name": "x"}, headers=by(tokens, **{"idempotency-key": "short"}))
    check_problem(bad, 400, "bad-input")


async def test_sessions_are_paged_and_ended_one_by_one_or_all(http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    login = {k: ADA[k] for k in ("email", "password")}
    others = [(await http.post("/v1/auth/login", json=login)).json() for _ in range(4)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await http.get("/v1/me/sessions", params=params, headers=by(tokens))).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [session["current"] for session in seen] == [False] * 4 + [True]

    key = {"idempotency-key": "fedcba9876543210"}
    for replayed in (False, True):
        answer = await http.delete(f"/v1/me/sessions/{seen[0]['id']}", headers=by(tokens, **key))
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (204, replayed)
    check_problem(await http.delete(f"/v1/me/sessions/{seen[0]['id']}", headers=by(tokens)), 404, "not-found")
    check_problem(await http.get("/v1/me", headers=by(others[3])), 401, "unauthenticated")

    assert (await http.delete("/v1/me/sessions?others=true", headers=by(tokens))).status_code == 204
    assert (await http.get("/v1/me", headers=by(tokens))).status_code == 200
    assert {(await http.get("/v1/me", headers=by(other))).status_code for other in others} == {401}
    assert (await http.delete("/v1/me/sessions", headers=by(tokens))).status_code == 204
    assert (await http.get("/v1/me", headers=by(tokens))).status_code == 401


async def test_a_foreign_session_looks_like_one_that_does_not_exist(http: httpx.AsyncClient) -> None:
    ada, bob = await sign_up(http), await sign_up(http, email="bob@example.com")
    (session,) = (await http.get("/v1/me/sessions", headers=by(bob))).json()["items"]
    foreign = await http.delete(f"/v1/me/sessions/{session['id']}", headers=by(ada))
    random = await http.delete(f"/v1/me/sessions/{uuids.uuid7()}", headers=by(ada))
    check_problem(foreign, 404, "not-found")
    assert foreign.content == random.content
    assert (await http.get("/v1/me", headers=by(bob))).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor=" + "A" * 23, "no=1", "limit=1&limit=1", "cursor=%00"],
)
@pytest.mark.parametrize("path", ["/v1/me/sessions", "/v1/me/notifications"])
async def test_a_page_out_of_bounds_is_a_bad_request(http: httpx.AsyncClient, path: str, query: str) -> None:
    tokens = await sign_up(http)
    check_problem(await http.get(f"{path}?{query}", headers=by(tokens)), 400, "bad-input")


async def notified(pools: Pools, superuser: "asyncpg.Connection", user_id: UUID, count: int) -> UUID:
    """Make so many assignments known to a user who is a member of a new team."""
    team, now = uuids.uuid7(), datetime.now(UTC)
    await superuser.execute(
        "insert into teams (id, name, key, created_by, created_at, updated_at, version)"
        " values ($1, 'Team', 'ENG', $2, now(), now(), 1)",
        team,
        user_id,
    )
    await superuser.execute("insert into memberships values ($1, $2, 'member', 'Ada', now())", team, user_id)
    for seq in range(1, count + 1):
        task = Task(
            id=uuids.uuid7(),
            team_id=team,
            number=seq,
            key=f"ENG-{seq}",
            title="Feed the cat",
            assignee_id=user_id,
            rank="a0",
            created_by=team,
            created_at=now,
            updated_at=now,
            version=seq,
        )
        event = TaskCreated(team_id=team, seq=seq, actor_id=team, at=now, task=task)
        async with writing(pools.worker) as tx:
            assert await add_assigned(tx, user_id, event, f"{team}:1:{seq}", now=now, collecting=Collecting())
    return team


async def test_notifications_are_listed_and_ticked_off(
    pools: Pools, superuser: "asyncpg.Connection", http: httpx.AsyncClient
) -> None:
    tokens = await sign_up(http)
    user_id = UUID((await http.get("/v1/me", headers=by(tokens))).json()["id"])
    assert (await http.get("/v1/me/notifications", headers=by(tokens))).json() == {"items": [], "next_cursor": None}
    team = await notified(pools, superuser, user_id, 5)

    page = (await http.get("/v1/me/notifications?limit=3", headers=by(tokens))).json()
    rest = (await http.get(f"/v1/me/notifications?limit=3&cursor={page['next_cursor']}", headers=by(tokens))).json()
    items = page["items"] + rest["items"]
    assert [item["event_id"] for item in items] == [f"{team}:1:{seq}" for seq in (5, 4, 3, 2, 1)]
    assert rest["next_cursor"] is None
    assert items[0]["data"] == {"key": "ENG-5", "title": "Feed the cat"}

    read = "/v1/me/notifications/read"
    answer = await http.post(read, json={"ids": [items[0]["id"], str(uuids.uuid7())]}, headers=by(tokens))
    assert (answer.status_code, answer.json()) == (200, {"marked": 1})
    unread = (await http.get("/v1/me/notifications?unread=true", headers=by(tokens))).json()["items"]
    assert [item["id"] for item in unread] == [item["id"] for item in items[1:]]
    assert (await http.post(read, json={"all": True}, headers=by(tokens))).json() == {"marked": 4}

    bob = await sign_up(http, email="bob@example.com")
    assert (await http.get("/v1/me/notifications", headers=by(bob))).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [{}, {"all": False}, {"ids": []}, {"ids": ["x"]}, {"all": True, "ids": [str(uuids.uuid7())]}, {"user_id": 1}],
)
async def test_which_notifications_were_read_must_be_said_in_one_way(
    http: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    tokens = await sign_up(http)
    check_problem(await http.post("/v1/me/notifications/read", json=body, headers=by(tokens)), 400, "bad-input")


async def test_without_postgres_the_answer_is_503_and_recovery_needs_no_restart(
    services: DevStack, parts: Services, http: httpx.AsyncClient
) -> None:
    tokens = await sign_up(http)
    await services.postgres.kill()
    try:
        answer = await http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        check_problem(answer, 503, "storage-unavailable")
        assert "retry-after" in answer.headers
    finally:
        await services.postgres.start()
    with anyio.fail_after(10):
        while (await http.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})).status_code != 200:
            await asyncio.sleep(0.05)


def test_every_documented_problem_exists() -> None:
    known = {problem.code for problem in PROBLEMS.values()}
    for operation in (*auth.OPERATIONS, *me.OPERATIONS):
        assert set(operation.problems) <= known


async def test_authenticate_takes_exactly_one_header(parts: Services, http: httpx.AsyncClient) -> None:
    tokens = await sign_up(http)
    value = by(tokens)["authorization"].encode()
    principal = await authenticate(Request("GET", b"/", [(b"Authorization", value)]), parts)
    assert principal == parts.tokens.principal_of(value)
    for headers in ([], [(b"authorization", value)] * 2):
        with pytest.raises(Unauthenticated):
            await authenticate(Request("GET", b"/", headers), parts)
