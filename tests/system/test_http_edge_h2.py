"""The same door over HTTP/2 without TLS (RFC 9113), with prior knowledge, frame by frame."""

import socket

import h2.config
import h2.connection
import h2.events
import pytest
from msgspec import Struct

from tests.support.system import System

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
UP = ("--workers", "2")

PATIENCE = 5.0
LOGIN = b'{"email":"a@b.example","password":"no such account"}'
RESET = 0
"""Instead of a status: the stream was reset, or the connection ended, as a malformed request deserves."""

Fields = tuple[tuple[str, str], ...]


class Case(Struct):
    """A request, the status expected and what its body holds."""

    name: str
    fields: Fields
    status: int
    holds: bytes = b""
    body: bytes = b""


def pseudo(method: str = "GET", path: str = "/healthz", authority: str | None = "a.example") -> Fields:
    given = () if authority is None else ((":authority", authority),)
    return ((":method", method), (":scheme", "http"), (":path", path), *given)


POST = pseudo("POST", "/v1/auth/login")
JSON = ("content-type", "application/json")
CASES = [
    Case("a read", pseudo(), 200),
    Case("a body", (*POST, JSON), 401, b'"unauthenticated"', LOGIN),
    Case(
        "a body with its length", (*POST, JSON, ("content-length", str(len(LOGIN)))), 401, b'"unauthenticated"', LOGIN
    ),
    Case("no authority", pseudo(authority=None), 400, b"Host"),
    Case("a host instead of an authority", (*pseudo(authority=None), ("host", "a.example")), 200),
    Case("a malformed host", (*pseudo(authority=None), ("host", "a b")), 400, b"Host"),
    Case("two hosts", (*pseudo(authority=None), ("host", "a"), ("host", "b")), 400, b"twice"),
    Case("fields over 32 KiB", (*pseudo(), *((f"x-{number}", "y" * 1_000) for number in range(40))), 431),
    Case("one field over 32 KiB", (*pseudo(), ("x", "y" * 33_000)), 431),
    Case("fields of 20 KiB", (*pseudo(), ("x", "y" * 20_000)), 200),
    Case("an address of nine thousand bytes", pseudo(path="/" + "x" * 9_000), 414, b"address-too-long"),
    Case("an unknown method", pseudo("PROPFIND"), 405, b"method-not-allowed"),
    Case("no such path", pseudo(path="/nowhere"), 404, b"no-such-path"),
    Case("the asterisk", pseudo("OPTIONS", "*"), 404, b"no-such-path"),
    Case("a content coding", (*POST, JSON, ("content-encoding", "gzip")), 415, b"unsupported-content-coding", LOGIN),
    Case("an anonymous body over 16 KiB", (*POST, JSON), 413, b"body-too-large", b"x" * 16_385),
    Case(
        "authorization twice", (*pseudo(), ("authorization", "Bearer x"), ("authorization", "Bearer y")), 400, b"twice"
    ),
    Case("a read of a socket's address", pseudo(path="/v1/teams/019a0000-0000-7000-8000-00000000dead/live"), 426),
    Case("a transfer coding, which HTTP/2 has not", (*POST, JSON, ("transfer-encoding", "chunked")), RESET, body=LOGIN),
    Case("a connection field, which HTTP/2 has not", (*pseudo(), ("connection", "close")), RESET),
    Case("a name in capitals", (*pseudo(), ("X-Capital", "y")), RESET),
    Case("an unknown pseudo field", (*pseudo(), (":what", "y")), RESET),
    Case("a pseudo field after others", (("x", "y"), *pseudo()), RESET),
    Case("no method", pseudo()[1:], RESET),
    Case("no path", ((":method", "GET"), (":scheme", "http"), (":authority", "a")), RESET),
    Case("a length that is too small", (*POST, JSON, ("content-length", "3")), RESET, body=LOGIN),
    Case("a length that is too great", (*POST, JSON, ("content-length", "999")), RESET, body=LOGIN),
]


def ask(port: int, case: Case) -> tuple[int, bytes]:
    """One request on a connection of its own: the status (or RESET) and the body."""
    # What a client's library would mend or refuse is sent as it stands.
    lax = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    protocol = h2.connection.H2Connection(lax)
    protocol.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        protocol.send_headers(1, list(case.fields), end_stream=not case.body)
        for start in range(0, len(case.body), 16_384):
            protocol.send_data(1, case.body[start : start + 16_384], end_stream=start + 16_384 >= len(case.body))
        connection.sendall(protocol.data_to_send())
        return _answer(protocol, connection)


LAST = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)


def _answer(protocol: h2.connection.H2Connection, connection: socket.socket) -> tuple[int, bytes]:
    status, body = RESET, b""
    while data := connection.recv(65_536):
        for event in protocol.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, LAST):
                return status, body
        connection.sendall(protocol.data_to_send())
    return status, body


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_over_http2_gets_the_status_that_the_standard_demands(system: System, case: Case) -> None:
    status, body = ask(system.port("http"), case)
    assert status == case.status, body
    assert case.holds in body


def test_the_server_is_well_after_all_of_them(system: System) -> None:
    assert system.status("/readyz") == 200
