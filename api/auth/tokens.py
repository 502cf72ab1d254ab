"""Access tokens: JWTs of at most ten minutes (RFC 9068, RFC 8725), and what ends them early.

A verified token is remembered under its SHA-256 until it expires, so that a busy client costs one hash per request. API
keys and the tokens of other issuers are remembered here as well, once `api.auth.api_keys` has read them.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import anyio
import jwt
from anyio.abc import TaskStatus
from msgspec import Struct
from valkey.asyncio import Valkey

from api.request_ids import REQUEST
from api.settings import AuthSettings
from core.errors import StorageUnavailable, Unauthenticated
from core.key_form import PREFIX
from core.principal import Principal
from db.ids import uuid_of
from db.keyset import Keyset
from db.signed import Forged, Signer
from db.valkey import QuietLog, ValkeyUnavailable, listen, valkey_errors

__all__ = ["AccessTokens", "Revocations", "RevokedCredentials", "RevokedOfAll", "key_in", "refused"]

logger = logging.getLogger(__name__)

ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
CLAIMS: Final = ("iss", "aud", "sub", "sid", "exp", "nbf", "iat", "jti", "typ")
HEADERS: Final = frozenset({"alg", "typ", "kid"})
LEEWAY_SECONDS: Final = 5
LONGEST_HEADER: Final = 4096
KEY_PREFIX: Final = PREFIX.encode()
REMEMBERED: Final = 50_000

CHANNEL: Final = b"taskforge:revoked"
SAID_SECONDS: Final = 60.0
"""How long a message may be on its way, clocks that differ included; whatever comes later was polled long before."""
POLL_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 1.0
OVERLAP_SECONDS: Final = 60.0
"""A revocation carries the time of its statement but shows when it commits: each poll looks back this much further."""
CLOCK_MARGIN_SECONDS: Final = 2 * 3600
"""How far a worker's wall clock may be off: revoked sessions are remembered this much longer than their tokens live."""


class _Known(Struct, frozen=True):
    """Who asks with a token; it is remembered until `ends_at`, and good until `expires_at` (Unix seconds)."""

    principal: Principal
    credential_id: UUID | None
    ends_at: float
    expires_at: float


class AccessTokens:
    """Issues and verifies our own access tokens, and knows API keys and tokens of other issuers that were read."""

    def __init__(
        self,
        settings: AuthSettings,
        keyset: Keyset,
        revocations: "Revocations",
        *,
        wall_clock: Callable[[], float] = time.time,
        remembered: int = REMEMBERED,
    ) -> None:
        self._settings = settings
        self._revocations = revocations
        self._wall_clock = wall_clock
        keys = keyset.derive("tokens")
        self._kid, self._key = keys[0].id.hex(), keys[0].signing
        self._keys = {key.id.hex(): key.signing for key in keys}
        self._jwt = jwt.PyJWT(options={"require": list(CLAIMS)})
        self._beginnings = tuple(b"Bearer " + self._header(kid) for kid in self._keys)
        self._young: dict[bytes, _Known] = {}
        self._old: dict[bytes, _Known] = {}
        self._generation = max(1, remembered // 2)

    @property
    def expires_in(self) -> int:
        """Life of a new token in seconds."""
        return self._settings.access_seconds

    def issue(self, principal: Principal) -> str:
        """A signed token for the session."""
        now = int(self._wall_clock())
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": str(principal.user_id),
            "sid": str(principal.session_id),
            "iat": now,
            "nbf": now,
            "exp": now + self._settings.access_seconds,
            "jti": uuid4().hex,
            "typ": TYPE,
        }
        return self._jwt.encode(claims, self._key, ALGORITHM, headers={"typ": TYPE, "kid": self._kid})

    def _header(self, kid: str) -> bytes:
        """How every token begins that `issue` makes with this key, the dot included."""
        token = self._jwt.encode({}, self._keys[kid], ALGORITHM, headers={"typ": TYPE, "kid": kid})
        return token.encode().split(b".", 1)[0] + b"."

    def is_own(self, authorization: bytes) -> bool:
        """Whether the value has a token that begins as ours do, so that nobody else needs to be asked about it."""
        return authorization.startswith(self._beginnings)

    def principal_of(self, authorization: bytes) -> Principal:
        """Who sends this `Authorization` value. Raises Unauthenticated; the reason goes to the log only."""
        digest = hashlib.sha256(authorization).digest()
        known = self._young.get(digest) or self._remember_again(digest)
        if known is None:
            known = self._admit(digest, authorization)
        if known.ends_at <= self._wall_clock() or self._revocations.is_revoked(known.credential_id):
            raise refused("expired or revoked", known.principal.user_id)
        return known.principal

    def seconds_left(self, authorization: bytes) -> float:
        """How long the credential of a value that `principal_of` has just accepted is good for; it may be infinite."""
        digest = hashlib.sha256(authorization).digest()
        known = self._young.get(digest) or self._old.get(digest)
        return 0.0 if known is None else known.expires_at - self._wall_clock()

    def knows(self, authorization: bytes) -> bool:
        """Whether the value is remembered, so that `principal_of` has only to look it up."""
        digest = hashlib.sha256(authorization).digest()
        known = self._young.get(digest) or self._old.get(digest)
        return known is not None and known.ends_at > self._wall_clock()

    def remember_read(
        self, authorization: bytes, principal: Principal, credential_id: UUID | None, *, seconds: float, left: float
    ) -> None:
        """Accept this value from now on, unless the credential is revoked.

        For so many seconds, of the `left` ones until the API key or the other issuer's token in it expires.
        """
        now, digest = self._wall_clock(), hashlib.sha256(authorization).digest()
        known = _Known(principal, credential_id, now + min(seconds, left), now + left)
        self._remember(digest, known)

    def _remember_again(self, digest: bytes) -> _Known | None:
        known = self._old.get(digest)
        if known is not None:
            self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, known: _Known) -> None:
        """Two generations instead of a list of uses: what was not asked for in a whole generation is forgotten."""
        if len(self._young) >= self._generation:
            self._old, self._young = self._young, {}
        self._young[digest] = known

    def _admit(self, digest: bytes, authorization: bytes) -> _Known:
        if len(authorization) > LONGEST_HEADER or authorization[:7].lower() != b"bearer ":
            raise refused("not a bearer token")
        if key_in(authorization):
            raise refused("an API key that is unknown, expired or revoked, or was not read yet")
        known = self._verify(authorization[7:].strip(b" "))
        self._remember(digest, known)
        return known

    def _verify(self, token: bytes) -> _Known:
        """Check header, signature and every claim of a token."""
        try:
            claims = self._jwt.decode(
                token,
                self._key_for(jwt.get_unverified_header(token)),
                algorithms=[ALGORITHM],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
            )
            return self._known(claims)
        except jwt.ExpiredSignatureError as error:
            raise refused(type(error).__name__, self._user_of(token)) from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise refused(type(error).__name__) from error

    def _user_of(self, token: bytes) -> UUID | None:
        """Whose token it is, of one whose signature is good: that is checked before any claim."""
        try:
            return uuid_of(self._jwt.decode(token, options={"verify_signature": False, "require": []})["sub"])
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            return None

    def _key_for(self, header: dict[str, Any]) -> bytes:
        """The key of our own set that the header names; nothing else of the header is ever followed."""
        key = self._keys.get(header.get("kid", ""))
        if key is None or header.get("typ") != TYPE or not HEADERS.issuperset(header):
            raise jwt.InvalidTokenError("typ, kid or an unknown header")
        return key

    def _known(self, claims: dict[str, Any]) -> _Known:
        if claims["typ"] != TYPE or claims["exp"] - claims["iat"] > self._settings.access_seconds:
            raise jwt.InvalidTokenError("typ, or a longer life than ours have")
        principal = Principal.of_user(uuid_of(claims["sub"]), uuid_of(claims["sid"]))
        return _Known(principal, principal.credential_id, claims["exp"] + LEEWAY_SECONDS, claims["exp"])


class RevokedCredentials(Protocol):
    """Where sessions or API keys that were revoked are recorded for good (`Sessions`, `ApiKeys` in `db.people`)."""

    async def revoked_within(self, seconds: float) -> Iterable[UUID]:
        """Those revoked in the last so many seconds of database time. Raises StorageUnavailable."""
        ...


class RevokedOfAll:
    """Several such records as one."""

    def __init__(self, *records: RevokedCredentials) -> None:
        self._records = records

    async def revoked_within(self, seconds: float) -> Iterable[UUID]:
        return [one for record in self._records for one in await record.revoked_within(seconds)]


class Revocations:
    """Which sessions and API keys ended while they still look good.

    Heard at once over Valkey, and within a few seconds from Postgres whatever happens to Valkey. Remembered for longer
    than any access token lives, and any key is remembered without being read again, by the monotonic clock.
    """

    def __init__(
        self,
        record: RevokedCredentials,
        valkey: Valkey,
        signer: Signer,
        *,
        access_seconds: int,
        poll_seconds: float = POLL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._valkey = valkey
        self._signer = signer
        self._poll_seconds = poll_seconds
        self._monotonic = monotonic
        self._keep = access_seconds + LEEWAY_SECONDS + CLOCK_MARGIN_SECONDS
        self._revoked: dict[UUID, float] = {}
        self._log = QuietLog(logger)

    def is_revoked(self, credential_id: UUID | None) -> bool:
        """Whether this process has heard that the session or API key ended; without one nothing can end."""
        return credential_id in self._revoked

    async def announce(self, credential_ids: Iterable[UUID]) -> None:
        """Say that these are revoked, after the commit that did it: here at once, elsewhere over Valkey."""
        ended = list(credential_ids)
        self._hear(ended)
        if not ended:
            return
        said = b"".join(one.bytes for one in ended)
        try:
            with valkey_errors():
                message = self._signer.sign("revocations", CHANNEL, said, seconds=SAID_SECONDS)
                await self._valkey.publish(CHANNEL, message)
        except ValkeyUnavailable as error:
            self._log.warning("revocation not announced, other processes will poll it: %s", error)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep watching until cancelled; started once everything revoked so far is known."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._listening)
            await group.start(self._polling)
            task_status.started()

    async def _polling(self, *, task_status: TaskStatus[None]) -> None:
        covered: float | None = None
        while True:
            asked = self._monotonic()
            if await self._poll(self._keep if covered is None else asked - covered + OVERLAP_SECONDS):
                if covered is None:
                    task_status.started()
                covered = asked
            self._forget()
            await anyio.sleep(RETRY_SECONDS if covered is None else self._poll_seconds)

    async def _poll(self, seconds: float) -> bool:
        try:
            self._hear(await self._record.revoked_within(seconds))
        except StorageUnavailable as error:
            self._log.warning("revoked sessions and keys not read: %s", error)
            return False
        return True

    async def _listening(self) -> None:
        """Subscribe, and again after every failure; what was said in between comes by the next poll."""
        away = partial(self._log.warning, "revocations not heard, only polled: %s")
        await listen(self._valkey, CHANNEL, self._hear_from_afar, away)

    def _hear_from_afar(self, data: bytes) -> None:
        """What is not signed by one of us ends nobody's session; the next poll says what did end."""
        try:
            said = self._signer.verify("revocations", CHANNEL, data)
        except Forged as error:
            self._log.warning("a message about revocations is not one of ours: %s", error)
        else:
            self._hear(_ids_in(said.body))

    def _hear(self, credential_ids: Iterable[UUID]) -> None:
        self._revoked.update(dict.fromkeys(credential_ids, self._monotonic() + self._keep))

    def _forget(self) -> None:
        now = self._monotonic()
        for credential_id in [one for one, until in self._revoked.items() if until <= now]:
            del self._revoked[credential_id]


def refused(reason: str, user_id: UUID | None = None) -> Unauthenticated:
    """The one answer to every bad credential; only the log knows which part failed, and whose it was if that is sure.

    Where the request came from is on the record as on every one of a request. What is asked of memory before there is
    one says nothing: it is asked again.
    """
    if REQUEST.get(None) is not None:
        logger.info("access token refused: %s", reason, extra={} if user_id is None else {"user_id": str(user_id)})
    return Unauthenticated("The access token or API key is missing, expired, revoked or not one of ours.")


def key_in(authorization: bytes) -> bytes | None:
    """The API key in an `Authorization` value that has one, whatever it is good for."""
    token = authorization[7:].strip(b" ")
    return token if token.startswith(KEY_PREFIX) and authorization[:7].lower() == b"bearer " else None


def _ids_in(data: bytes) -> list[UUID]:
    """The ids in a message; a message of another length is not ours and says nothing."""
    if len(data) % 16:
        return []
    return [uuid_of(data[at : at + 16]) for at in range(0, len(data), 16)]
