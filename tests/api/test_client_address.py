"""Who a client is: the peer, or whom a trusted proxy names; what a client writes itself is never believed."""

from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from api.client_address import ClientAddresses
from db.settings import DatabaseSettings
from taskforge.settings import SettingsError, load
from tests.support.site import Site, serving, settings_for
from tests.taskforge.test_settings import REQUIRED

PROXIES = ("10.0.0.0/8", "192.0.2.7", "fd00::/8")
PROXY, OTHER, CLIENT = "10.1.2.3", "198.51.100.9", "203.0.113.4"


def client(peer: str, *values: str, header: str = "x-forwarded-for", trusted: tuple[str, ...] = PROXIES) -> str:
    headers = [(header.encode(), value.encode("latin-1")) for value in values]
    scope = {"client": (peer, 4711), "headers": [(b"host", b"x"), *headers]}
    addresses = ClientAddresses(trusted, header)
    assert addresses.of(scope) == addresses.of(scope), "remembered as found"
    return addresses.of(scope)


def test_without_trusted_proxies_nobody_names_another() -> None:
    assert client(PROXY, CLIENT, trusted=()) == PROXY
    assert not ClientAddresses()
    assert ClientAddresses().of({"client": None, "headers": []}) == ""


def test_a_peer_that_is_no_trusted_proxy_is_the_client_whatever_it_says() -> None:
    for value in (CLIENT, "127.0.0.1", PROXY, f"{CLIENT}, {PROXY}", "nonsense", ""):
        assert client(OTHER, value) == OTHER


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((CLIENT,), CLIENT),
        ((f"{CLIENT}:4711",), CLIENT),
        (("127.0.0.1, 1.1.1.1, " + CLIENT,), CLIENT),
        ((f"{CLIENT}, 10.9.9.9, 192.0.2.7",), CLIENT),
        ((f"1.1.1.1,{CLIENT}", "10.9.9.9"), CLIENT),
        (("10.4.4.4, 10.5.5.5",), "10.4.4.4"),
        (("2001:db8::1",), "2001:db8::1"),
        (("[2001:DB8::1]:80",), "2001:db8::1"),
        (("[2001:db8::1]",), "2001:db8::1"),
        (("::ffff:203.0.113.4",), CLIENT),
        ((f"{CLIENT}, fd00::5",), CLIENT),
        (("nonsense, " + CLIENT,), CLIENT),
    ],
)
def test_the_list_is_read_from_the_right_past_trusted_proxies(values: tuple[str, ...], found: str) -> None:
    assert client(PROXY, *values) == found


@pytest.mark.parametrize(
    "value",
    [
        *("", "nonsense", f"{CLIENT}, nonsense", f"{CLIENT},", "unknown", f"{CLIENT}:", f"{CLIENT}:x", "[2001:db8::1"),
        *("[]", "1.2.3", "1.2.3.4.5", "0x7f000001", f"{CLIENT} {CLIENT}", "é", "[2001:db8::1]x", f"for={CLIENT}"),
        "01.2.3.4",
    ],
)
def test_of_a_malformed_list_nothing_is_believed(value: str) -> None:
    assert client(PROXY, value) == PROXY


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((f"for={CLIENT}",), CLIENT),
        ((f'For="{CLIENT}:4711";proto=https;by=10.0.0.1',), CLIENT),
        (('for="[2001:db8::1]:80"',), "2001:db8::1"),
        ((f"for=1.1.1.1, for={CLIENT};host=x, for=10.2.2.2",), CLIENT),
        ((f'for=1.1.1.1;by="a,for=9.9.9.9;x\\"", for={CLIENT}',), CLIENT),
        (("for=1.1.1.1", f"for={CLIENT}"), CLIENT),
        ((f"for=_hidden, for={CLIENT}",), CLIENT),
        (("for=unknown",), PROXY),
        (("for=_hidden",), PROXY),
        (("proto=https",), PROXY),
        ((f"for={CLIENT};for=1.1.1.1",), PROXY),
        ((f"for={CLIENT} for=1.1.1.1",), PROXY),
        ((f"{CLIENT}",), PROXY),
        (("for=2001:db8::1",), PROXY),
        (('for="unclosed',), PROXY),
        (("",), PROXY),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(values: tuple[str, ...], found: str) -> None:
    assert client(PROXY, *values, header="forwarded") == found


def test_only_the_header_that_the_proxy_writes_is_read() -> None:
    scope = {"client": (PROXY, 1), "headers": [(b"forwarded", b"for=1.1.1.1"), (b"x-forwarded-for", CLIENT.encode())]}
    assert ClientAddresses(PROXIES).of(scope) == CLIENT
    assert ClientAddresses(PROXIES, "forwarded").of(scope) == "1.1.1.1"


def test_what_is_remembered_is_bounded() -> None:
    addresses = ClientAddresses(PROXIES)
    for number in range(10_000):
        value = f"203.0.{number // 256 % 256}.{number % 256}"
        assert addresses.of({"client": (PROXY, 1), "headers": [(b"x-forwarded-for", value.encode())]}) == value
    assert len(addresses._known) <= 4_096


@pytest.mark.parametrize("network", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example", "0.0.0.0/0", "::/0"])
def test_a_setting_that_is_no_network_is_refused_at_the_start(network: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(REQUIRED | {"TASKFORGE_HTTP__TRUSTED_PROXIES": f"10.0.0.0/8,{network}"})
    assert [line.split(":")[0] for line in caught.value.problems] == ["TASKFORGE_HTTP__TRUSTED_PROXIES"]


class TestEverywhere:
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def behind(self, database: DatabaseSettings, valkey_url: str) -> AsyncIterator[Site]:
        settings = settings_for(database, valkey_url)
        http = structs.replace(settings.http, trusted_proxies=("127.0.0.0/8",))
        quotas = structs.replace(settings.quotas, tickets_per_address=2)
        async with serving(structs.replace(settings, http=http, quotas=quotas)) as site:
            yield site

    async def test_sessions_and_tickets_are_those_of_the_client_behind_the_proxy(self, behind: Site) -> None:
        ada = await behind.person()
        team = await behind.team(ada)
        me = (await behind.client.get("/v1/me", headers=ada.headers)).json()
        body = {"email": me["email"], "password": "correct horse battery"}
        forwarded = {"X-Forwarded-For": f"1.1.1.1, {CLIENT}"}
        await behind.client.post("/v1/auth/login", json=body, headers=forwarded)
        sessions = (await behind.client.get("/v1/me/sessions", headers=ada.headers)).json()["items"]
        assert sorted(one["ip"] for one in sessions) == ["127.0.0.1", CLIENT]

        async def ticket(address: str) -> int:
            headers = {**ada.headers, "X-Forwarded-For": address}
            return (await behind.client.post("/v1/live-tickets", json={"team_id": team}, headers=headers)).status_code

        assert [await ticket(CLIENT) for _ in range(3)] == [201, 201, 429]
        assert await ticket(OTHER) == 201

    async def test_without_trusted_proxies_what_a_client_writes_is_nothing(
        self, database: DatabaseSettings, valkey_url: str
    ) -> None:
        async with serving(settings_for(database, valkey_url)) as site:
            ada = await site.person()
            me = (await site.client.get("/v1/me", headers=ada.headers)).json()
            body = {"email": me["email"], "password": "correct horse battery"}
            for header, value in (("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT}"), ("X-Real-IP", CLIENT)):
                await site.client.post("/v1/auth/login", json=body, headers={header: value})
            sessions = (await site.client.get("/v1/me/sessions", headers=ada.headers)).json()["items"]
            assert {one["ip"] for one in sessions} == {"127.0.0.1"}
