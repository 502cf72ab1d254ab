"""What RFC 9110, 9112 and 6455 demand of a server at the door, byte by byte over TCP, and the abuses of a parser.

`ours` are refused with a problem document, `granians` below us, with an empty answer and a closed connection.
"""

import base64
import contextlib
import json
import socket

import pytest
from msgspec import Struct

from tests.support.system import System

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
UP = ("--workers", "2")

PATIENCE = 5.0


class Got(Struct):
    """An answer: its status (0: none), its headers in lower case, its body, and whether the connection was closed."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool


class Case(Struct):
    """Bytes to send, the status expected, and the stable code when the answer is a problem document of ours."""

    name: str
    raw: bytes
    status: int
    code: str = ""
    closed: bool | None = None


def head(method: str = "GET", target: str = "/healthz", *fields: str, host: str | None = "a.example") -> str:
    lines = [f"{method} {target} HTTP/1.1", *(() if host is None else (f"Host: {host}",)), *fields]
    return "\r\n".join(lines) + "\r\n\r\n"


def good(name: str, text: str, status: int = 200) -> Case:
    return Case(name, text.encode("latin-1"), status)


def ours(name: str, text: str, status: int = 400, code: str = "bad-input", closed: bool | None = None) -> Case:
    return Case(name, text.encode("latin-1"), status, code, closed)


def granians(name: str, text: str, status: int = 400) -> Case:
    return Case(name, text.encode("latin-1"), status, closed=True)


def post(*fields: str, body: str = "", target: str = "/v1/auth/login") -> str:
    return head("POST", target, *fields) + body


JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
LOGIN = '{"email":"a@b.example","password":"no such account"}'
SIZED = f"Content-Length: {len(LOGIN)}"
CHUNKS = f"{len(LOGIN):x}\r\n{LOGIN}\r\n0\r\n\r\n"

GOOD_HOSTS = ("localhost", "a.example:8000", "127.0.0.1", "[::1]", "[::1]:8000", "a.example:", "A-b_c.example", "%41.b")
BAD_HOSTS = (
    *(
        "a b",
        "a/b",
        "a@b",
        "a,b",
        "a\\b",
        "http://a",
        "a:b",
        "a:99999999",
        "a:80:80",
        "[::1",
        "[zz]",
        "::1",
        "a?b",
        "a#b",
    ),
    *('"a"', "a;b", "%4", "%zz", "<a>", "a:-1", "[1.2.3.4]x", "x" * 300, "\xe4.example", "[v1.x]", "a:8 0", "a:+80"),
)
HOSTS = [
    *(good(f"a good host: {host}", head(host=host)) for host in GOOD_HOSTS),
    *(ours(f"a bad host: {host[:20]}", head(host=host), closed=True) for host in BAD_HOSTS),
    ours("no host", head(host=None), closed=True),
    ours("an empty host", head(host=""), closed=True),
    ours("two hosts", head("GET", "/healthz", "Host: b.example"), closed=True),
    ours("the same host twice", head("GET", "/healthz", "Host: a.example"), closed=True),
    good("no host in HTTP/1.0, which had none", "GET /healthz HTTP/1.0\r\n\r\n"),
    good("an absolute address", head("GET", "http://a.example/healthz")),
    ours("an absolute address and two hosts", head("GET", "http://a.example/healthz", "Host: b"), closed=True),
]

TARGETS = [
    granians("no method", " /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("two spaces", "GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("tabs", "GET\t/healthz\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("a space after the version", "GET /healthz HTTP/1.1 \r\nHost: a\r\n\r\n"),
    granians("a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("a byte above 127 in the target", "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    granians("characters that are no URI's", 'GET /"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n'),
    granians("HTTP/0.9", "GET /healthz\r\n\r\n"),
    granians("HTTP/2.0 in a request line", "GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n"),
    granians("HTTP/1.2", "GET /healthz HTTP/1.2\r\nHost: a\r\n\r\n"),
    granians("HTTP/9.9", "GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n"),
    granians("a version in lower case", "GET /healthz http/1.1\r\nHost: a\r\n\r\n"),
    granians("a version without a number", "GET /healthz HTTP/\r\nHost: a\r\n\r\n"),
    granians("garbage", "GARBAGE\r\n\r\n"),
    granians("TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 64 + "\r\n\r\n"),
    good("an empty line first", "\r\n" + head()),
    good("a fragment", head("GET", "/healthz#there")),
    ours("a target that is no path", head("GET", "healthz"), closed=True),
    ours("the asterisk for GET", head("GET", "*"), closed=True),
    ours("the asterisk for OPTIONS", head("OPTIONS", "*"), 404, "no-such-path"),
    ours("no such path", head("GET", "/nowhere"), 404, "no-such-path"),
    ours("an address of nine thousand bytes", head("GET", "/" + "x" * 9_000), 414, "address-too-long", True),
    ours("a query of nine thousand bytes", head("GET", "/v1/tasks?q=" + "x" * 9_000), 414, "address-too-long", True),
    granians("an address of seventy thousand bytes", head("GET", "/" + "x" * 70_000), 431),
]

METHODS = [
    *(
        ours(f"the method {method}", head(method, "/healthz"), 405, "method-not-allowed")
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "GETT", "X" * 200)
    ),
    granians("a method that is no token", head("G@T")),
    granians("a method in brackets", head("(GET)")),
    ours("CONNECT", head("CONNECT", "a.example:80"), closed=True),
    good("HEAD", head("HEAD")),
    good("any unknown field", head("GET", "/healthz", "X-Whatever: 1")),
]

FIELDS = [
    granians("a space before the colon", head("GET", "/healthz", "X : y")),
    granians("a tab before the colon", head("GET", "/healthz", "X\t: y")),
    granians("a folded line", head("GET", "/healthz", "X: y\r\n z")),
    granians("a space before the first field", "GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n"),
    granians("a field without a name", head("GET", "/healthz", ": y")),
    granians("a field without a colon", head("GET", "/healthz", "nothing")),
    granians("a name with a bracket", head("GET", "/healthz", "X(: y")),
    granians("a name with a space", head("GET", "/healthz", "X y: z")),
    granians("a name with a NUL", head("GET", "/healthz", "X\0: y")),
    granians("a name above 127", head("GET", "/healthz", "X\xff: y")),
    granians("a value with a NUL", head("GET", "/healthz", "X: a\0b")),
    granians("a value with a control character", head("GET", "/healthz", "X: a\x01b")),
    granians("a value with DEL", head("GET", "/healthz", "X: a\x7fb")),
    granians("a value with a bare CR", head("GET", "/healthz", "X: a\rb")),
    good("a value with a tab", head("GET", "/healthz", "X: a\tb")),
    good("a value above 127", head("GET", "/healthz", "X: \xff")),
    good("an empty value", head("GET", "/healthz", "X:")),
    good("no space after the colon", head("GET", "/healthz", "X:y")),
    good("spaces around a value", head("GET", "/healthz", "X: \t y \t ")),
    good("lines that end in LF, which a server may take", "GET /healthz HTTP/1.1\nHost: a\n\n"),
    good("twenty thousand bytes of fields", head("GET", "/healthz", "X: " + "y" * 20_000)),
    ours("a field of 33 thousand bytes", head("GET", "/healthz", "X: " + "y" * 33_000), 431, "header-too-large", True),
    ours(
        "ninety fields that are too much together",
        head("GET", "/healthz", *(f"X-{number}: {'y' * 400}" for number in range(90))),
        431,
        "header-too-large",
        True,
    ),
    ours(
        "33 thousand bytes of fields of a read", head("GET", "/v1/tasks", "X: " + "y" * 33_000), 431, "header-too-large"
    ),
    granians("a field of seventy thousand bytes", head("GET", "/healthz", "X: " + "y" * 70_000), 431),
    granians("a hundred and twenty fields", head("GET", "/healthz", *(f"X-{number}: y" for number in range(120))), 431),
    *(
        ours(f"{name} twice", head("POST", "/v1/tasks", f"{name}: {value}", f"{name}: {value}"), closed=True)
        for name, value in (
            ("Authorization", "Bearer x"),
            ("Idempotency-Key", "0123456789abcdef"),
            ("If-Match", '"1"'),
            ("Content-Type", "application/json"),
        )
    ),
    ours("If-Match on a read", head("GET", "/healthz", 'If-Match: "1"')),
    good("Accept twice", head("GET", "/healthz", "Accept: text/html", "Accept: */*")),
]

LENGTHS = [
    ours("a body with its length", post(JSON, SIZED, body=LOGIN), 401, "unauthenticated"),
    ours("the same length twice, which is one length", post(JSON, SIZED, SIZED, body=LOGIN), 401, "unauthenticated"),
    granians("two lengths", post(JSON, "Content-Length: 5", "Content-Length: 6", body="hello!")),
    *(
        granians(f"the length {length!r}", post(JSON, f"Content-Length: {length}", body="abc"))
        for length in ("+3", "-3", "0x3", "3, 3", "3,4", "3 3", "", "3.0", "three", "\xb3", "99999999999999999999")
    ),
    ours("a length over a mebibyte", post(JSON, "Content-Length: 2000000", "Expect: x"), 413, "body-too-large", True),
    ours(
        "an anonymous body over sixteen kibibytes",
        post(JSON, "Content-Length: 16385", body="x" * 16_385),
        413,
        "body-too-large",
        True,
    ),
    ours("an anonymous body of sixteen kibibytes", post(JSON, "Content-Length: 16384", body=" " * 16_384)),
    ours(
        "chunks that are an anonymous body over sixteen kibibytes",
        post(JSON, CHUNKED, body="4001\r\n" + "x" * 16_385 + "\r\n0\r\n\r\n"),
        413,
        "body-too-large",
        True,
    ),
]

CODINGS = [
    ours("chunks", post(JSON, CHUNKED, body=CHUNKS), 401, "unauthenticated"),
    ours("CHUNKS", post(JSON, "Transfer-Encoding: CHUNKED", body=CHUNKS), 401, "unauthenticated"),
    ours(
        "chunks with an extension",
        post(JSON, CHUNKED, body=f"{len(LOGIN):x};a=b\r\n{LOGIN}\r\n0\r\n\r\n"),
        401,
        "unauthenticated",
    ),
    ours(
        "chunks with a trailer",
        post(JSON, CHUNKED, body=f"{len(LOGIN):x}\r\n{LOGIN}\r\n0\r\nX: y\r\n\r\n"),
        401,
        "unauthenticated",
    ),
    *(
        ours(f"the transfer coding {coding}", post(JSON, f"Transfer-Encoding: {coding}", body=CHUNKS), closed=True)
        for coding in (
            "gzip, chunked",
            "chunked, chunked",
            "identity, chunked",
            "xchunked, chunked",
            "deflate , chunked",
        )
    ),
    ours("chunked twice", post(JSON, CHUNKED, CHUNKED, body=CHUNKS), closed=True),
    ours("gzip and chunked in two fields", post(JSON, "Transfer-Encoding: gzip", CHUNKED, body=CHUNKS), closed=True),
    *(
        granians(f"the transfer coding {coding!r} alone", post(JSON, f"Transfer-Encoding: {coding}", body=CHUNKS))
        for coding in ("gzip", "identity", "xchunked", "chunked, gzip", "chunked;q=1", "")
    ),
    granians("chunks in HTTP/1.0", f"POST /v1/auth/login HTTP/1.0\r\nHost: a\r\n{CHUNKED}\r\n\r\n0\r\n\r\n"),
    *(
        ours(f"a chunk that is none: {chunk[:12]!r}", post(JSON, CHUNKED, body=chunk))
        for chunk in (
            *("ZZ\r\n", "-1\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "\r\n\r\n"),
            *("3\r\nabcd\r\n0\r\n\r\n", " 3\r\nabc\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "+3\r\nabc\r\n0\r\n\r\n"),
        )
    ),
    *(
        ours(
            f"the content coding {coding}",
            post(JSON, f"Content-Encoding: {coding}", SIZED, body=LOGIN),
            415,
            "unsupported-content-coding",
        )
        for coding in ("gzip", "br", "zstd", "deflate", "identity, gzip", "gzip, gzip", "nonsense")
    ),
    ours(
        "the content coding identity",
        post(JSON, "Content-Encoding: identity", SIZED, body=LOGIN),
        401,
        "unauthenticated",
    ),
    ours("another media type", post("Content-Type: text/plain", SIZED, body=LOGIN), 415, "unsupported-media-type"),
    ours("no media type", post(SIZED, body=LOGIN), 415, "unsupported-media-type"),
]

DEEP = '{"email":' * 1_400 + "1" + "}" * 1_400
BODIES = [
    *(
        ours(f"the body {body[:24]!r}", post(JSON, f"Content-Length: {len(body)}", body=body))
        for body in (
            *("", "{", "[]", "null", "NaN", '{"email":NaN}', '{"email":1}', '{"email":"a","email":"b"}', LOGIN + "x"),
            *(
                '{"email":"\\ud800","password":"x"}',
                '{"role":"owner","email":"a@b.example"}',
                DEEP,
                "[" * 9_000,
            ),
            *(
                "{'email':1}",
                '{"email":"a@b.example",}',
                "\xff\xfe",
                "\xef\xbb\xbf{}",
                '{"email":"\x01"}',
                "1e999",
                "-",
            ),
        )
    ),
    ours("a body that stops midway", post(JSON, "Content-Length: 99999", body='{"email"'), 413, "body-too-large", True),
]


def upgrade(*fields: str, method: str = "GET", path: str = "/v1/teams/{random}/live", key: str = "x" * 16) -> str:
    path = path.format(random="019a0000-0000-7000-8000-00000000dead")
    given = () if not key else (f"Sec-WebSocket-Key: {base64.b64encode(key.encode()).decode()}",)
    return head(method, path, "Connection: Upgrade", "Upgrade: websocket", *given, *fields)


V13 = "Sec-WebSocket-Version: 13"
LIVE = "/v1/teams/019a0000-0000-7000-8000-00000000dead/live"
SOCKETS = [
    good("a handshake", upgrade(V13), 101),
    ours("a plain read of a socket's address", head("GET", LIVE), 426, "upgrade-required"),
    ours("a handshake without Connection", head("GET", LIVE, "Upgrade: websocket", V13), 426, "upgrade-required"),
    ours(
        "an upgrade to something else",
        head("GET", LIVE, "Connection: Upgrade", "Upgrade: h2c"),
        426,
        "upgrade-required",
    ),
    ours("a handshake where nothing is", upgrade(V13, path="/v1/nothing"), 404, "no-such-path", True),
    ours("a key that is too short", upgrade(V13, key="short"), closed=True),
    ours("a key that is too long", upgrade(V13, key="x" * 17), closed=True),
    ours("a key that is no Base64", upgrade(V13, "Sec-WebSocket-Key: $$$$", key=""), closed=True),
    ours("two keys", upgrade(V13, "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA=="), closed=True),
    ours("a handshake with two hosts", upgrade(V13, "Host: b.example"), closed=True),
    Case("a handshake without a version", upgrade().encode(), 400),
    Case("a handshake of version 8", upgrade("Sec-WebSocket-Version: 8").encode(), 400),
    Case("a handshake without a key", upgrade(V13, key="").encode(), 400),
]

CASES = [*HOSTS, *TARGETS, *METHODS, *FIELDS, *LENGTHS, *CODINGS, *BODIES, *SOCKETS]


def ask(port: int, raw: bytes) -> Got:
    """Send the bytes, and read one answer and whatever comes after it at once."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        with contextlib.suppress(OSError):  # An answer may come before everything is read.
            connection.sendall(raw)
        connection.settimeout(PATIENCE)
        return _read(connection, is_head=raw.startswith(b"HEAD "))


def _read(connection: socket.socket, *, is_head: bool) -> Got:
    stream = connection.makefile("rb")
    try:
        line = stream.readline()
    except ConnectionResetError:
        line = b""
    if not line:
        return Got(0, {}, b"", closed=True)
    headers: dict[str, str] = {}
    while field := stream.readline().rstrip(b"\r\n"):
        name, _, value = field.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    status = int(line.split()[1])
    body = b"" if is_head or status == 101 else stream.read(int(headers.get("content-length", "0")))
    return Got(status, headers, body, _closes(connection, headers))


def _closes(connection: socket.socket, headers: dict[str, str]) -> bool:
    """Whether the server ends the connection; only waited for where it says so."""
    if "close" not in headers.get("connection", "").lower():
        return False
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.fixture(scope="module")
def port(system: System) -> int:
    return system.port("http")


def test_there_are_many_cases_and_each_is_another_one() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_gets_the_status_that_the_standard_demands(port: int, case: Case) -> None:
    got = ask(port, case.raw)
    assert got.status == case.status, got
    if case.closed is not None:
        assert got.closed == case.closed, got
    if case.code:
        assert got.headers["content-type"] == "application/problem+json", got
        document = json.loads(got.body)
        assert (document["status"], document["code"]) == (case.status, case.code), document
    if case.status not in {0, 101} and not case.raw.startswith(b"HEAD"):
        assert case.code == "" or got.headers["cache-control"] == "no-store", got


def test_the_server_is_well_after_all_of_them(system: System) -> None:
    assert system.status("/readyz") == 200
