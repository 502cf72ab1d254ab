"""What answers say of rate limits, whichever way they take, and what happens when one is reached."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from msgspec import structs
from websockets.exceptions import InvalidStatus

from api.endpoints import all_operations
from api.limits.policies import BY_PRINCIPAL, WITH_ACCOUNT
from api.limits.rules import is_exempt
from api.paths import PAGES
from core.key_form import write_key
from db.settings import DatabaseSettings
from tests.support.desk import RANDOM, Desk, new_key, problem
from tests.support.rates import few
from tests.support.site import Person, Site, serving, settings_for

pytestmark = pytest.mark.anyio

POLICY = re.compile(r'"[a-z-]+";q=[0-9]+;w=[0-9]+(, "[a-z-]+";q=[0-9]+;w=[0-9]+)*')
STATE = re.compile(r'"[a-z-]+";r=[0-9]+;t=[0-9]+(, "[a-z-]+";r=[0-9]+;t=[0-9]+)*')

Limited = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture
def limited(database: DatabaseSettings, valkey_url: str) -> Limited:
    """A worker with few of what is named; `behind` are the proxies that it trusts."""

    @asynccontextmanager
    async def open_site(behind: tuple[str, ...] = (), **limits: int) -> AsyncIterator[Site]:
        settings = settings_for(database, valkey_url)
        http = structs.replace(settings.http, trusted_proxies=behind)
        async with serving(structs.replace(settings, http=http, limits=few(**limits))) as site:
            yield site

    return open_site


def stated(answer: httpx.Response) -> None:
    """Both headers are there once, and well-formed."""
    assert len(answer.headers.get_list("ratelimit-policy")) == len(answer.headers.get_list("ratelimit")) == 1
    assert POLICY.fullmatch(answer.headers["ratelimit-policy"]), answer.headers["ratelimit-policy"]
    assert STATE.fullmatch(answer.headers["ratelimit"]), answer.headers["ratelimit"]


def left(answer: httpx.Response) -> int:
    return int(re.findall(r"r=([0-9]+)", answer.headers["ratelimit"])[-1])


def refused(answer: httpx.Response, policy: str, limit: int, most_seconds: int = 60) -> None:
    document = problem(answer, 429, "rate-limited")
    assert (document["policy"], document["limit"]) == (policy, limit)
    assert 1 <= int(answer.headers["retry-after"]) <= most_seconds
    assert answer.headers["ratelimit"] == f'"{policy}";r=0;t={answer.headers["retry-after"]}'
    assert answer.headers["ratelimit-policy"].startswith(f'"{policy}";q={limit};w=')


KINDS: dict[str, Callable[[Desk, str], Awaitable[httpx.Response]]] = {
    "a list from memory": lambda desk, _: desk.get(f"/v1/tasks?team_id={desk.team}"),
    "a list compressed": lambda desk, _: desk.get(f"/v1/tasks?team_id={desk.team}", **{"Accept-Encoding": "gzip"}),
    "a board from memory": lambda desk, _: desk.get(f"/v1/teams/{desk.team}/board"),
    "a task from memory": lambda desk, task: desk.get(f"/v1/tasks/{task}"),
    "a head": lambda desk, task: desk.ask("HEAD", f"/v1/tasks/{task}"),
    "a read of the database": lambda desk, task: desk.get(f"/v1/tasks/{task}/activity"),
    "an account": lambda desk, _: desk.get("/v1/me"),
    "a change": lambda desk, _: desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"}),
    "a deletion": lambda desk, task: desk.delete(f"/v1/tasks/{task}"),
    "no such task": lambda desk, _: desk.get(f"/v1/tasks/{RANDOM}"),
    "a foreign task": lambda desk, _: desk.get(f"/v1/tasks/{desk.other_task['id']}"),
    "no such path": lambda desk, _: desk.get("/v1/nowhere"),
    "no such method": lambda desk, _: desk.ask("PUT", "/v1/tasks"),
    "a method nobody knows": lambda desk, _: desk.ask("BREW", "/v1/tasks"),
    "a bad body": lambda desk, _: desk.post("/v1/tasks", {"nonsense": 1}),
    "a body too large": lambda desk, _: desk.ask("POST", "/v1/tasks", content=b"x" * 2_000_000),
    "a bad head": lambda desk, _: desk.client.get("/v1/tasks", headers=[("If-Match", "a"), ("If-Match", "b")]),
    "an address too long": lambda desk, _: desk.get("/v1/tasks?q=" + "x" * 9_000),
    "no credentials": lambda desk, _: desk.client.get("/v1/me"),
    "bad credentials": lambda desk, _: desk.client.get("/v1/me", headers={"Authorization": "Bearer nonsense"}),
    "a viewer's change": lambda desk, _: desk.post("/v1/tasks", {"team_id": desk.team, "title": "x"}, "viewer"),
    "a login": lambda desk, _: desk.client.post("/v1/auth/login", json={"email": "a@b.example", "password": "x" * 10}),
    "a used refresh token": lambda desk, _: desk.client.post("/v1/auth/refresh", json={"refresh_token": "tfr_x"}),
    "no socket": lambda desk, _: desk.get(f"/v1/teams/{desk.team}/live"),
    "a preflight": lambda desk, _: desk.client.options(
        "/v1/tasks", headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    ),
    "a probe": lambda desk, _: desk.client.get("/healthz"),
    "readiness": lambda desk, _: desk.client.get("/readyz"),
    "the page": lambda desk, _: desk.client.get("/"),
    "a file of the page": lambda desk, _: desk.client.get("/assets/board/nothing.js"),
    "the document": lambda desk, _: desk.client.get("/openapi.json"),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_answer_says_how_the_limits_stand(desk: Desk, kind: str) -> None:
    stated(await KINDS[kind](desk, (await desk.task())["id"]))


async def test_an_unchanged_list_says_so_too(desk: Desk) -> None:
    path = f"/v1/tasks?team_id={desk.team}"
    etag = (await desk.get(path)).headers["etag"]
    answer = await desk.get(path, **{"If-None-Match": etag})
    assert answer.status_code == 304
    stated(answer)


async def test_a_replay_a_stream_and_a_mistake_of_ours_say_so_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        body, key = {"team_id": desk.team, "title": "x"}, {"Idempotency-Key": new_key()}
        stated(await desk.post("/v1/tasks", body, **key))
    async with desk.site.stream(desk.team, desk["owner"]) as stream:
        stated(stream.answer)

    async def explode(*_: object, **__: object) -> None:
        raise RuntimeError("innards")

    monkeypatch.setattr(desk.site.services.identity, "user", explode)
    answer = await desk.post("/v1/teams", {"name": "x", "key": "ENG"})
    assert answer.status_code == 500
    stated(answer)


async def test_a_refused_handshake_says_so_too(desk: Desk) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with desk.site.live(desk.team, desk["owner"], Host="a b"):
            pass
    headers = caught.value.response.headers
    assert POLICY.fullmatch(headers["ratelimit-policy"])
    assert STATE.fullmatch(headers["ratelimit"])


async def test_a_principal_has_so_many_requests_whichever_way_they_are_answered(limited: Limited) -> None:
    async with limited(principal=12) as site:
        ada, eve = await site.person(), await site.person()
        team, _ = await site.team(ada), await site.team(eve)
        path = f"/v1/tasks?team_id={team}"  # `person` and `team` have asked twice.
        assert left(await site.client.get(path, headers=ada.headers)) == 9
        ways = [path, "/v1/me", path, f"/v1/teams/{team}/board", f"/v1/tasks/{RANDOM}", path, path, path, "/v1/teams"]
        counted = [left(await site.client.get(way, headers=ada.headers)) for way in ways]
        assert counted == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        for way in (path, "/v1/me"):
            refused(await site.client.get(way, headers=ada.headers), "default", 12)
        body = {"team_id": team, "title": "x"}
        refused(await site.client.post("/v1/tasks", json=body, headers=ada.headers), "default", 12)
        assert left(await site.client.get("/v1/me", headers=eve.headers)) == 9


async def test_a_refused_change_changes_nothing_and_its_key_is_free(limited: Limited) -> None:
    async with limited(principal=3, principal_seconds=2) as site:
        ada = await site.person()
        team = await site.team(ada)
        await site.client.get("/v1/me", headers=ada.headers)
        body, headers = {"team_id": team, "title": "once"}, {**ada.headers, "Idempotency-Key": new_key()}
        answer = await site.client.post("/v1/tasks", json=body, headers=headers)
        if answer.status_code == 429:  # Else the window has ended meanwhile, on a slow machine.
            refused(answer, "default", 3, 2)
            answer = await until_admitted(site, "/v1/tasks", body, headers)
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (201, False)


async def until_admitted(site: Site, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    """The answer after the window has ended: a refused request does not make it longer."""
    for _ in range(10_000):
        answer = await site.client.post(path, json=body, headers=headers)
        if answer.status_code != 429:
            return answer
    raise AssertionError("it never ends")


async def test_an_address_without_credentials_is_limited_and_good_credentials_are_not(limited: Limited) -> None:
    async with limited(address=5) as site:
        ada = await site.person()  # One of the five: the sign-up.
        bad = [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic x"}]
        for headers in (*bad, {}):
            problem(await site.client.get("/v1/me", headers=headers), 401, "unauthenticated")
        for headers in bad:
            refused(await site.client.get("/v1/me", headers=headers), "address", 5)
        refused(await site.client.get("/v1/nowhere"), "address", 5)
        assert (await site.client.get("/v1/me", headers=ada.headers)).status_code == 200
        for path in ("/healthz", "/", "/openapi.json", "/schemas"):
            answer = await site.client.get(path)
            assert answer.status_code == 200
            assert answer.headers["ratelimit"].startswith('"address";r=0;t=')
        with pytest.raises(InvalidStatus) as caught:
            async with site.live(RANDOM, ada):
                pass
        assert caught.value.response.status_code == 429
        assert caught.value.response.headers["ratelimit"].startswith('"address";r=0;t=')


async def test_probes_and_files_are_not_counted(limited: Limited) -> None:
    async with limited(address=3) as site:
        for _ in range(20):
            for path in ("/healthz", "/readyz", "/metrics", "/", "/docs"):
                assert left(await site.client.get(path)) == 3


async def test_a_limit_of_zero_is_off_and_says_nothing(limited: Limited) -> None:
    async with limited(principal=0, address=0) as site:
        ada = await site.person()
        answer = await site.client.get("/v1/me", headers=ada.headers)
        assert (answer.status_code, "ratelimit" in answer.headers) == (200, False)


def log_in(site: Site, email: str, password: str = "wrong enough", **headers: str) -> Awaitable[httpx.Response]:
    return site.client.post("/v1/auth/login", json={"email": email, "password": password}, headers=headers)


async def email_of(site: Site, person: Person) -> str:
    return str((await site.client.get("/v1/me", headers=person.headers)).json()["email"])


async def test_logins_of_an_address_are_limited_and_a_foreign_header_does_not_help(limited: Limited) -> None:
    async with limited(login=4) as site:
        email = await email_of(site, await site.person())
        for number in range(4):
            answer = await log_in(site, email, **{"X-Forwarded-For": f"203.0.113.{number}"})
            problem(answer, 401, "unauthenticated")
        for number in range(4):
            forged = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
            refused(await log_in(site, email, "correct horse battery", **forged), "login", 4)


async def test_a_known_and_an_unknown_account_look_alike_when_limited(limited: Limited) -> None:
    async with limited(login_account=3, login_account_seconds=900) as site:
        known = await email_of(site, await site.person())
        answers = {}
        for email in (known, "nobody@example.com"):
            tries = [await log_in(site, email) for _ in range(3)]
            assert [answer.status_code for answer in tries] == [401, 401, 401]
            for written in (email, f" {email.upper()} "):
                refused(last := await log_in(site, written), "login-account", 3, 900)
            answers[email] = (last.json() | {"detail": ""}, sorted(last.headers), last.headers["content-length"])
        assert answers[known] == answers["nobody@example.com"]


async def test_nobody_locks_the_account_of_another_address(limited: Limited) -> None:
    async with limited(("127.0.0.1",), login_account=3) as site:
        email = await email_of(site, await site.person())
        attacker, networks = {"X-Forwarded-For": "203.0.113.4"}, ["203.0.113.5", "2001:db8:0:2::1"]
        for _ in range(5):
            answer = await log_in(site, email, **attacker)
        refused(answer, "login-account", 3, 900)
        for address in networks:
            forwarded = {"X-Forwarded-For": address}
            assert (await log_in(site, email, "correct horse battery", **forwarded)).status_code == 200


async def test_an_ipv6_client_is_its_network(limited: Limited) -> None:
    async with limited(("127.0.0.1",), login=3) as site:
        addresses = [f"2001:db8:0:1::{number:x}" for number in range(1, 6)]
        answers = [await log_in(site, "nobody@example.com", **{"X-Forwarded-For": one}) for one in addresses]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]


async def test_sign_up_and_refresh_have_limits_of_their_own(limited: Limited) -> None:
    async with limited(signup=2, refresh=2) as site:
        ada, _ = await site.person(), await site.person()
        body = {"email": "third@example.com", "password": "correct horse battery", "name": "Third"}
        refused(await site.client.post("/v1/auth/signup", json=body), "signup", 2, 3_600)
        tokens = {"refresh_token": ada.refresh_token}
        first = await site.client.post("/v1/auth/refresh", json=tokens)
        assert (first.status_code, left(first)) == (200, 999_999_990 // 10_000_000 * 10_000_000)
        assert '"refresh";r=1;t=' in first.headers["ratelimit"]
        await site.client.post("/v1/auth/refresh", json=tokens)
        refused(await site.client.post("/v1/auth/refresh", json=tokens), "refresh", 2)


def test_every_endpoint_that_takes_a_secret_without_a_session_names_a_class() -> None:
    """A new one cannot forget it. Providers of mail switch mails off for all their users, from few addresses; and what
    is sent to a signed address was counted when the address was asked for."""
    open_doors = [one for one in all_operations() if not one.secured and one.body is not None]
    assert {one.id for one in open_doors if one.limit is None} == {"unsubscribe", "putObject"}


def test_classes_count_those_who_are_known_where_they_are_used() -> None:
    for operation in all_operations():
        if operation.limit in BY_PRINCIPAL:
            assert operation.secured, operation.id
    assert BY_PRINCIPAL.isdisjoint(WITH_ACCOUNT)


def test_what_is_described_as_exempt_is_not_said_to_be_refused() -> None:
    assert all(map(is_exempt, (*PAGES, "/healthz")))
    assert not is_exempt("/v1/tasks")
    assert not is_exempt("")


async def test_api_keys_that_are_made_up_are_refused_by_address_and_a_good_one_is_counted_by_itself(
    limited: Limited,
) -> None:
    async with limited(address=4, principal=9) as site:
        ada = await site.person()  # One request of the address, and one of the user.
        wanted = {"name": "a program", "scopes": ["read"]}
        made = await site.client.post("/v1/me/api-keys", json=wanted, headers=ada.headers)
        assert made.status_code == 201, made.text
        key = {"Authorization": f"Bearer {made.json()['token']}"}
        assert left(await site.client.get("/v1/me", headers=key)) == 8
        forged = [{"Authorization": f"Bearer {write_key(bytes([number] * 32))}"} for number in range(6)]
        answers = [await site.client.get("/v1/me", headers=one) for one in forged]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429, 429]
        assert left(await site.client.get("/v1/me", headers=key)) == 7
        assert left(await site.client.get("/v1/me", headers=ada.headers)) == 6
