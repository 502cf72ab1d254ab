"""Tokens that other issuers signed: whose keys verify them, and which account they speak for.

A token is verified by the keys of the issuer that it claims, and by no other's. It is then remembered like our own, for
a minute, so that an identity that was unlinked or an account that is gone is not believed longer.
"""

import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from api.auth.external_claims import SKEW_SECONDS, access_identity, expiry_of
from api.auth.fetching import FetchFailed, fetch
from api.auth.jws import BadToken, Jws, KeySet, claimed_issuer, keys_in, parse, secret_keys
from api.auth.refetched import Refetched, RefetchedStatistics
from api.auth.shared_fetches import SharedFetches
from api.auth.tokens import AccessTokens
from api.issuer_settings import Issuers, IssuerSettings
from core.errors import Unavailable
from core.principal import Principal
from db.people.external_identities import ExternalIdentities, ExternalIdentity

__all__ = ["ExternalIssuers", "Issuer", "ProviderMetadata"]

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS: Final = 60.0
LONGEST_URL: Final = 2000

Url = Annotated[str, Meta(max_length=LONGEST_URL)]


class ProviderMetadata(Struct, frozen=True):
    """What of a discovery document is used (OpenID Connect Discovery, 3; RFC 8414; RFC 9207)."""

    issuer: str
    jwks_uri: Url
    authorization_endpoint: Url | None = None
    token_endpoint: Url | None = None
    userinfo_endpoint: Url | None = None
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Issuer:
    """One issuer with what was fetched of it. `tls` is for tests with certificates of their own."""

    def __init__(
        self,
        settings: IssuerSettings,
        *,
        shared: SharedFetches | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings, self.tls = settings, tls
        self._secret = None if settings.secret is None else secret_keys(settings.secret)
        place, clock = f"of {settings.issuer}", monotonic
        self.metadata = Refetched(
            f"discovery {place}", self._discover, self._metadata_in, shared=shared, monotonic=clock
        )
        self.keys = Refetched(f"keys {place}", self._fetch_keys, self._keys_in, shared=shared, monotonic=clock)

    async def keys_for(self, token: Jws) -> KeySet:
        """Keys that may have signed the token, fetched anew if it names one that is not known.

        Raises Unavailable only while no key has ever been fetched: afterwards those that are known go on.
        """
        if self._secret is not None:
            return self._secret
        keys = await self.keys.get(lambda known: bool(token.candidates(known)))
        if keys is None and not self.keys.was_fetched:
            raise Unavailable("The issuer's keys cannot be fetched at the moment.", self.keys.retry_after)
        return keys or ()

    async def verified(self, token: bytes) -> Jws:
        """The token, once its signature is good. Raises BadToken, Unavailable."""
        parsed = parse(token, self.settings.algorithms)
        parsed.check_signature(await self.keys_for(parsed))
        return parsed

    async def check(self) -> int:
        """How many keys there are that we can use, asked for at this moment. Raises FetchFailed."""
        return len(self._keys_in(await self._fetch_keys()))

    async def _fetch_keys(self) -> bytes:
        url = self.settings.jwks_url
        if url is None:
            metadata = await self.metadata.get()
            if metadata is None:
                raise FetchFailed("its discovery document is not known")
            url = metadata.jwks_uri
        return await fetch(url, tls=self.tls)

    def _keys_in(self, document: bytes) -> KeySet:
        try:
            return keys_in(document, self.settings.algorithms)
        except BadToken as error:
            raise FetchFailed(str(error)) from error

    async def _discover(self) -> bytes:
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        return await fetch(url, tls=self.tls)

    def _metadata_in(self, document: bytes) -> ProviderMetadata:
        try:
            found = msgspec.json.decode(document, type=ProviderMetadata)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise FetchFailed("no discovery document") from error
        if found.issuer != self.settings.issuer:
            raise FetchFailed("a discovery document of another issuer")
        urls = (found.jwks_uri, found.authorization_endpoint, found.token_endpoint, found.userinfo_endpoint)
        if not all(url is None or self._is_safe(url) for url in urls):
            raise FetchFailed("a discovery document with addresses that are not https")
        return found

    def _is_safe(self, url: str) -> bool:
        """An issuer on https names no address without it."""
        try:
            return urlsplit(url).scheme in {"https", urlsplit(self.settings.issuer).scheme}
        except ValueError:
            return False


class ExternalIssuers:
    """The issuers of an installation. `wall_clock` gives Unix seconds, `monotonic` steady ones."""

    def __init__(
        self,
        issuers: Issuers,
        identities: ExternalIdentities,
        tokens: AccessTokens,
        *,
        shared: SharedFetches | None = None,
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.identities, self._tokens, self._wall_clock = identities, tokens, wall_clock
        made = [Issuer(one, shared=shared, monotonic=monotonic, tls=tls) for one in issuers]
        self._by_issuer = {one.settings.issuer: one for one in made if one.settings.audience is not None}
        self.by_name = {one.settings.name: one for one in made}

    def statistics(self) -> dict[str, RefetchedStatistics]:
        """How often the keys of each issuer were fetched."""
        return {name: one.keys.statistics() for name, one in self.by_name.items()}

    def is_unread(self, authorization: bytes) -> bool:
        """Whether the value has a token that claims to be of one of them, and is not known yet."""
        return (
            bool(self._by_issuer)
            and not self._tokens.is_own(authorization)
            and not self._tokens.knows(authorization)
            and self._issuer_of(authorization) is not None
        )

    async def read(self, authorization: bytes) -> None:
        """Verify the token in the value, and remember whose it is; at first sight it makes an account.

        A bad one is not remembered: the log says why. Raises Unavailable, StorageUnavailable, Conflict("email-taken").
        """
        try:
            identity, expires_at = await self.identity_of(_token_in(authorization))
        except BadToken as error:
            logger.info("another issuer's token refused: %s", error)
            return
        owned = await self.identities.find_or_make(identity)
        left = expires_at + SKEW_SECONDS - self._wall_clock()
        principal = Principal.of_user(owned.user_id)
        self._tokens.remember_read(authorization, principal, owned.id, seconds=REMEMBERED_SECONDS, left=left)

    async def identity_of(self, token: bytes) -> tuple[ExternalIdentity, float]:
        """Who sends an access token, and when it ends (Unix seconds). Raises BadToken, Unavailable."""
        issuer = self._by_issuer.get(claimed_issuer(token) or "")
        if issuer is None:
            raise BadToken("of no issuer that is known")
        verified = await issuer.verified(token)
        return access_identity(issuer.settings, verified, self._wall_clock()), expiry_of(verified)

    def _issuer_of(self, authorization: bytes) -> Issuer | None:
        if authorization[:7].lower() != b"bearer ":
            return None
        return self._by_issuer.get(claimed_issuer(_token_in(authorization)) or "")


def _token_in(authorization: bytes) -> bytes:
    return authorization[7:].strip(b" ")
