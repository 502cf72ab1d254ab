"""Another issuer on loopback: its keys, its tokens, and how often it was asked for what."""

import asyncio
import json
import re
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from api.issuer_settings import IssuerSettings

__all__ = [
    "AUDIENCE",
    "DISCOVERY",
    "JWKS",
    "TOKENS",
    "USERINFO",
    "FakeIssuer",
    "b64",
    "faking",
    "new_key",
    "public_jwk",
]

AUDIENCE: Final = "https://tasks.example.org"
JWKS, DISCOVERY, TOKENS, USERINFO = "/keys", "/.well-known/openid-configuration", "/tokens", "/userinfo"


def b64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def new_key(algorithm: str) -> Any:
    if algorithm.startswith("ES"):
        curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
        return ec.generate_private_key(curves[algorithm])
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


def public_jwk(kid: str, algorithm: str, key: Any) -> dict[str, Any]:
    kind: Any = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}[algorithm[0]]
    kind = OKPAlgorithm if algorithm == "EdDSA" else kind
    jwk = kind.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": kid, "alg": algorithm, "use": "sig"}


class FakeIssuer:
    """`keys` are private ones by `kid`, each with its algorithm.

    `asked` counts requests by path, `received` has head and body of the last one.

    `down` makes it end connections without an answer, `answers` replaces what it says at a path, status included.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.received: dict[str, tuple[bytes, bytes]] = {}
        self.down = False
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.now = time.time

    def rotate(self, kid: str, algorithm: str = "ES256") -> None:
        """From now on only this key, a new one."""
        self.keys = {kid: (algorithm, new_key(algorithm))}

    def settings(self, **changes: Any) -> IssuerSettings:
        given: dict[str, Any] = {"name": "fake", "issuer": self.url, "audience": AUDIENCE, "jwks_url": self.url + JWKS}
        return IssuerSettings(**{**given, **changes})

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims with these changes; what is changed to `...` is left out."""
        now = int(self.now())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def token(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token signed with the newest key; `header` changes the header as `claims` do the claims."""
        kid, (algorithm, key) = list(self.keys.items())[-1]
        whole = {"alg": algorithm, "kid": kid, "typ": "JWT", **(header or {})}
        whole = {name: value for name, value in whole.items() if value is not ...}
        return self.sign(
            json.dumps(whole).encode(), json.dumps(self.claims(**claims)).encode(), algorithm, key
        ).decode()

    def sign(self, header: bytes, payload: bytes, algorithm: str = "", key: Any = None) -> bytes:
        """Any bytes as header and payload, signed by the newest key unless another is given."""
        if key is None:
            algorithm, key = list(self.keys.values())[-1]
        signed = b64(header) + b"." + b64(payload)
        return signed + b"." + b64(jwt.get_algorithm_by_name(algorithm).sign(signed, key))

    def jwks(self) -> bytes:
        keys = [public_jwk(kid, algorithm, key) for kid, (algorithm, key) in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def discovery(self) -> bytes:
        places = {"jwks_uri": JWKS, "authorization_endpoint": "/authorize?x=1", "token_endpoint": TOKENS}
        places["userinfo_endpoint"] = USERINFO
        return json.dumps({"issuer": self.url, **{name: self.url + path for name, path in places.items()}}).encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            length = re.search(rb"content-length: (\d+)", head.lower())
            self.received[path] = (head, await reader.readexactly(int(length[1]) if length else 0))
            self.asked[path] += 1
            if not self.down:
                known = {JWKS: self.jwks(), DISCOVERY: self.discovery()}
                status, headers, body = self.answers.get(path, (200, {}, known.get(path, b"")))
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def faking() -> AsyncIterator[FakeIssuer]:
    """An issuer that listens, with one ES256 key."""
    issuer = FakeIssuer(0)
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    issuer.rotate("first")
    try:
        yield issuer
    finally:
        server.close()
        await server.wait_closed()
