"""Where webhooks may go: no packet leaves for an address that is not the internet's, whatever a URL or a name says.

What the sockets are asked for is counted, below everything of ours.
"""

import asyncio
import ipaddress
import json
import random
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream

from core.webhooks import Outcome
from streams.webhooks.addresses import Address, is_deliverable
from streams.webhooks.client import MOST_BODY, WebhookClient
from streams.webhooks.urls import Rules
from tests.support.asked_sockets import counting
from tests.support.mail_sink import make_certificate
from tests.support.receivers import Behaviour, Receiver, receiving

pytestmark = pytest.mark.anyio

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors" / "urltestdata.json"
needs_vectors = pytest.mark.skipif(not VECTORS.exists(), reason="WPT's urltestdata.json is not beside the repository")

INSIDE = (
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1"),
    *("192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:7f00:1", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2600::5efe:7f00:1", "2600::200:5efe:a00:1"),
)
"""Addresses of every block that is not given out on the internet, or hides another address."""
OUTSIDE = ("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1")
OUTSIDE_V6 = ("2606:4700:4700::1111", "2a00:1450:4001:800::200e", "2001:4860:4860::8888", "2400:cb00::1")


def spellings(address: ipaddress.IPv4Address) -> Iterator[str]:
    """One IPv4 address as the libraries of the world read it: decimal, octal, hexadecimal, with fewer parts."""
    number, parts = int(address), address.packed
    yield str(address)
    yield str(number)
    yield hex(number)
    yield oct(number).replace("0o", "0")
    yield ".".join(hex(part) for part in parts)
    yield ".".join(f"0{part:o}" for part in parts)
    yield ".".join(f"{part:03d}" for part in parts)
    yield f"{parts[0]}.{number & 0xFFFFFF}"
    yield f"{parts[0]}.{parts[1]}.{number & 0xFFFF}"
    yield f"0x{parts[0]:x}.{number & 0xFFFFFF}"
    yield f"{address}."
    yield f"[::ffff:{address}]"
    yield f"[::{address}]"
    yield f"[64:ff9b::{address}]"
    yield f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::]"
    yield "".join(chr(0xFF10 + int(one)) if one.isdigit() else one for one in str(address))
    yield str(address).replace(".", "。")
    yield f"①{str(address)[1:]}"


def forms() -> list[str]:
    """URLs that lead inside, or to where nobody can say."""
    v4 = [ipaddress.IPv4Address(one) for one in INSIDE if ":" not in one]
    found = [f"https://{host}/" for address in v4 for host in spellings(address)]
    found += [f"https://[{one}]/" for one in INSIDE if ":" in one]
    found += [f"https://[{one}%25eth0]/" for one in INSIDE if ":" in one]
    found += [f"https://{one}/" for one in ("localhost", "LOCALHOST", "localhost.", "a.localhost", "db.internal")]
    found += [f"https://{one}/" for one in ("metadata.google.internal", "printer.local", "router.lan", "x", "x.onion")]
    found += [f"http://{one}/" for one in ("hooks.example.com", "1.1.1.1")]
    found += ["https://hooks.example.com:22/", "https://hooks.example.com:65536/", "https://hooks.example.com:0443/"]
    found += ["https://a@hooks.example.com/", "https://a:b@hooks.example.com/", "https://hooks.example.com@127.0.0.1/"]
    found += ["https://127.0.0.1#@hooks.example.com/", "https://hooks.example.com\\@127.0.0.1/", "//127.0.0.1/"]
    found += ["https://hooks.example.com/\r\nHost: x", "https://hooks.example.com/ x", "https://hooks\texample.com/"]
    found += [
        "gopher://127.0.0.1/",
        "file:///etc/passwd",
        "https:///etc",
        "https://",
        "",
        "https://[::1",
        "https://%31/",
    ]
    return found


class Names:
    """A resolver of a test's: each name has answers, of which every look-up takes the next."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise OSError("no such name")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(one) for one in found]


async def post(client: WebhookClient, url: str) -> Outcome:
    return await client.post(url, [(b"Webhook-Id", b"x")], b"{}")


async def visit(port: int) -> None:
    """Connect, and leave at once."""
    await anyio.aclose_forcefully(await anyio.connect_tcp("127.0.0.1", port))


async def test_what_others_connect_to_meanwhile_is_not_counted_and_what_a_thread_does_is() -> None:
    """The supervisor of the services looks after them in the same process, at any time."""

    def visit_in_a_thread(port: int) -> None:
        with closing(socket.create_connection(("127.0.0.1", port))):
            pass

    begin, done = anyio.Event(), anyio.Event()

    async def somebody_else(port: int) -> None:
        await begin.wait()
        await visit(port)
        done.set()

    async with receiving() as receiver, anyio.create_task_group() as others:
        others.start_soon(somebody_else, receiver.port)
        await anyio.wait_all_tasks_blocked()
        with counting() as asked:
            begin.set()
            await done.wait()
            assert asked.addresses == []
            async with anyio.create_task_group() as mine:
                mine.start_soon(visit, receiver.port)
            assert asked.addresses == ["127.0.0.1"]
            await asyncio.get_running_loop().run_in_executor(None, visit_in_a_thread, receiver.port)
        await visit(receiver.port)
    assert asked.addresses == ["127.0.0.1", "127.0.0.1"]


def test_there_are_forms_enough() -> None:
    assert len(set(forms())) >= 400


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_delivered_to(address: str) -> None:
    assert not is_deliverable(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [*OUTSIDE, *OUTSIDE_V6])
def test_an_address_of_the_internet_is(address: str) -> None:
    assert is_deliverable(ipaddress.ip_address(address))


async def test_no_form_of_an_inside_address_makes_a_packet_and_all_are_refused_alike() -> None:
    client = WebhookClient(Rules(), seconds=2.0)
    with counting() as asked:
        outcomes = [(url, (await post(client, url)).error) for url in forms()]
    assert [one for one in outcomes if one[1] != "not-allowed"] == []
    assert (asked.addresses, asked.names) == ([], [])


@needs_vectors
async def test_the_hosts_of_the_url_standards_tests_lead_nowhere_inside() -> None:
    """Each of their inputs as a URL, and as the host of one, where every name is said to be on this machine."""
    inputs = [case["input"] for case in json.loads(VECTORS.read_text()) if isinstance(case, dict)]
    hosts = {case.get("hostname", "") for case in json.loads(VECTORS.read_text()) if isinstance(case, dict)}
    urls = {*inputs, *(f"https://{host}/" for host in hosts), *(f"https://{given}/" for given in inputs)}
    assert len(urls) >= 400

    connected: list[Address] = []

    async def loopback(_host: str, _port: int) -> Sequence[Address]:
        return [ipaddress.ip_address("127.0.0.1")]

    async def connect(address: Address, _port: int) -> ByteStream:
        connected.append(address)
        raise OSError("nobody is there")

    client = WebhookClient(Rules(), resolve=loopback, connect=connect)
    with counting() as asked:
        outcomes = {url: (await post(client, url)).error for url in sorted(urls)}
    assert set(outcomes.values()) <= {"not-allowed", "connect"}
    assert sum(error == "connect" for error in outcomes.values()) == len(connected) < 10
    assert all(map(is_deliverable, connected))
    assert (asked.addresses, asked.names) == ([], [])


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["2606:4700::1", "::1"], ["::ffff:127.0.0.1"], ["fe80::1"], []],
)
async def test_a_name_with_any_inside_address_is_refused_as_one_that_is_not_there(answers: list[str]) -> None:
    client = WebhookClient(Rules(), resolve=Names(hooks_example_org=[answers]))
    with counting() as asked:
        bad = await post(client, "https://hooks.example.org/")
        missing = await post(client, "https://missing.example.org/")
    assert bad.error == missing.error == "not-allowed"
    assert asked.addresses == []


async def test_a_name_that_changes_between_look_ups_is_looked_up_once_and_checked_each_time() -> None:
    """A rebinding server answers with an outside address first, and with an inside one ever after."""
    connected: list[str] = []

    async def connect(address: Address, _port: int) -> ByteStream:
        connected.append(str(address))
        raise OSError("nobody is there")

    names = Names(rebinding_example_org=[["1.1.1.1"], ["127.0.0.1"]])
    client = WebhookClient(Rules(), resolve=names, connect=connect)
    with counting() as asked:
        first = await post(client, "https://rebinding.example.org/")
        later = [await post(client, "https://rebinding.example.org/") for _ in range(3)]
    assert first.error == "connect"
    assert {one.error for one in later} == {"not-allowed"}
    assert (connected, len(names.asked)) == (["1.1.1.1"], 4)
    assert (asked.addresses, asked.names) == ([], [])


async def test_whatever_a_rebinding_server_answers_only_addresses_of_that_very_answer_are_connected_to() -> None:
    """Five hundred attempts, each with an answer of its own, of which any inside address spoils all of it."""
    chance, connected, answers = random.Random(400), list[str](), list[list[str]]()

    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        many = [*OUTSIDE, *OUTSIDE_V6] if chance.random() < 0.5 else [*OUTSIDE, *OUTSIDE_V6, *INSIDE]
        answers.append(chance.sample(many, chance.randint(1, 4)))
        return [ipaddress.ip_address(one) for one in answers[-1]]

    async def connect(address: Address, _port: int) -> ByteStream:
        connected.append(str(address))
        raise OSError("nobody is there")

    client = WebhookClient(Rules(), resolve=resolve, connect=connect)
    spoilt = 0
    with counting() as asked:
        for _ in range(500):
            connected.clear()
            outcome = await post(client, "https://rebinding.example.org/")
            inside = set(answers[-1]) & set(INSIDE)
            spoilt += bool(inside)
            assert outcome.error == ("not-allowed" if inside else "connect")
            assert connected == ([] if inside else answers[-1])
    assert (asked.addresses, asked.names, len(answers)) == ([], [], 500)
    assert 100 < spoilt < 400


async def test_the_connection_goes_to_the_very_address_that_was_checked() -> None:
    """The name is not looked up a second time on the way to the socket."""
    async with receiving() as receiver:
        client = WebhookClient(Rules(loopback=True), resolve=Names(localhost=[["127.0.0.1"]]))
        with counting() as asked:
            outcome = await post(client, f"http://localhost:{receiver.port}/x")
    assert outcome.status == 204
    assert (asked.addresses, asked.names) == (["127.0.0.1"], [])
    (got,) = receiver.received
    assert got.headers["host"] == f"localhost:{receiver.port}"


async def test_loopback_is_open_to_loopback_only() -> None:
    client = WebhookClient(
        Rules(loopback=True), resolve=Names(localhost=[["1.1.1.1"]], hooks_example_org=[["127.0.0.1"]])
    )
    for url in ("http://localhost/", "http://10.0.0.1/", "http://hooks.example.org/", "https://169.254.169.254/"):
        assert (await post(client, url)).error == "not-allowed"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


LOCAL = Rules(loopback=True)


async def test_proxies_of_the_environment_are_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await post(WebhookClient(LOCAL), receiver.url())).status == 204


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(
        status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"}
    )
    with counting() as asked:
        outcome = await post(WebhookClient(LOCAL), receiver.url())
    assert (outcome.status, asked.addresses) == (302, ["127.0.0.1"])


async def test_of_an_endless_answer_no_more_is_read_than_is_kept(receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=200, kind="huge")
    outcome = await post(WebhookClient(LOCAL), receiver.url())
    assert outcome.status == 200
    assert len(outcome.response) <= 2_000 < MOST_BODY


@pytest.mark.parametrize(("kind", "error"), [("reset", "broken-answer"), ("garbage", "broken-answer")])
async def test_what_is_no_answer_is_said_to_be_none(receiver: Receiver, kind: Any, error: str) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(kind=kind)
    assert (await post(WebhookClient(LOCAL), receiver.url())).error == error


@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_an_answer_that_does_not_come_or_does_not_end_is_a_timeout(receiver: Receiver, kind: Any) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(kind=kind)
    with anyio.fail_after(5):
        outcome = await post(WebhookClient(LOCAL, seconds=0.4), receiver.url())
    assert outcome.error in {"timeout", "broken-answer"}
    assert outcome.duration_ms >= 100


async def test_nothing_is_unpacked(receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(
        status=200, headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b" + bytes(1_000)
    )
    outcome = await post(WebhookClient(LOCAL), receiver.url())
    assert (outcome.status, outcome.response) == (200, "")
    assert receiver.received[0].headers["accept-encoding"] == "identity"


async def test_an_answer_becomes_text_that_a_database_takes(receiver: Receiver) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=200, body=b"a\x00b\xff" + b"c" * 5_000)
    outcome = await post(WebhookClient(LOCAL), receiver.url())
    assert outcome.response.startswith("a\ufffdb\ufffdc")
    assert len(outcome.response) == 2_000


async def test_a_certificate_must_be_good_and_of_that_name(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    names = Names(localhost=[["127.0.0.1"]])
    async with receiving(ssl=served) as receiver:
        port = receiver.port
        trusted = WebhookClient(LOCAL, resolve=names, tls=trusting)
        assert (await post(trusted, f"https://localhost:{port}/")).status == 204
        assert (await post(trusted, f"https://127.0.0.1:{port}/")).status == 204
        assert (await post(trusted, f"https://127.0.0.2:{port}/")).error in {"tls", "connect"}
        assert (await post(WebhookClient(LOCAL, resolve=names), f"https://localhost:{port}/")).error == "tls"


async def test_nobody_listening_is_a_failure_to_connect(receiver: Receiver) -> None:
    async with receiving() as gone:
        url = gone.url()
    assert (await post(WebhookClient(LOCAL), url)).error == "connect"
