"""Signing in by another issuer: OpenID Connect's authorization code flow with PKCE (RFC 7636), state and nonce.

What begins a sign-in stays in the browser that began it, in a cookie sealed under the keyset: nobody else can finish it
(RFC 9700, 4.7), and no table grows by those that are never finished.
"""

import hashlib
import hmac
import secrets
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec
from msgspec import Struct

from api.auth.external_claims import identity_in, login_claims
from api.auth.external_issuers import ExternalIssuers, Issuer, ProviderMetadata
from api.auth.fetching import FetchFailed, fetch
from api.auth.jws import BadToken
from api.issuer_settings import IssuerSettings
from api.paths import OIDC_CALLBACK, link
from core.errors import NotFound, Unavailable
from db.keyset import BrokenSeal, Keyset
from db.people.external_identities import ExternalIdentity

__all__ = ["FLOW_SECONDS", "LONGEST_SEALED", "Flow", "OidcSignIn", "Proof", "SignInFailed", "SignInProblem"]

T = TypeVar("T")

SignInProblem = Literal["cancelled", "expired", "refused", "unavailable"]
"""Why somebody could not sign in, as the page is told."""

FLOW_SECONDS: Final = 600
SCOPE: Final = "openid email profile"
_BOUND, _PROVEN = b"a sign-in under way", b"an identity to link"
LONGEST_SEALED: Final = 4096


class SignInFailed(Exception):
    """The sign-in ends here; `reason` is for the log."""

    def __init__(self, problem: SignInProblem, reason: str) -> None:
        super().__init__(reason)
        self.problem = problem


class Flow(Struct, frozen=True):
    """A sign-in under way: at which issuer (its name), what must come back, and until when (Unix seconds).

    With `link` it is not to sign in, but to link the identity to the account that is signed in.
    """

    issuer: str
    state: str
    nonce: str
    verifier: str
    ends_at: float
    link: bool = False


class Proof(Struct, frozen=True):
    """That whoever began the sign-in with this state is this identity.

    It may be linked to any account that is signed in if it began for that; else only to the one with its address, so
    that nobody who was led into a stranger's sign-in gives their account away (RFC 9700, 4.7).
    """

    state: str
    identity: ExternalIdentity
    same_address: bool


class _TokenAnswer(Struct, frozen=True):
    id_token: str
    access_token: str | None = None


class OidcSignIn:
    """Begins and finishes sign-ins. `site` is the address that browsers see, without a slash at its end."""

    def __init__(
        self, issuers: ExternalIssuers, keyset: Keyset, site: str, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._keyset, self._site, self._wall_clock = keyset, site, wall_clock
        self._issuers = {name: one for name, one in issuers.by_name.items() if one.settings.client_id is not None}

    @property
    def offered(self) -> Sequence[IssuerSettings]:
        """The issuers by which people can sign in."""
        return [one.settings for one in self._issuers.values()]

    async def begin(self, name: str, *, link: bool = False) -> tuple[str, str]:
        """Where to send the browser, and what it must keep. Raises NotFound("issuer"), SignInFailed."""
        issuer = self._issuer(name)
        metadata = await _metadata(issuer)
        ends_at = self._wall_clock() + FLOW_SECONDS
        flow = Flow(name, _random(), _random(), _random(), ends_at, link)
        query = {
            "response_type": "code",
            "client_id": issuer.settings.client_id or "",
            "redirect_uri": self._redirect_uri(name),
            "scope": SCOPE,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": _challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        endpoint = metadata.authorization_endpoint or ""
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", self._seal(flow, _BOUND)

    def flow_in(self, sealed: str) -> Flow | None:
        """The sign-in that a browser has under way, while it is good."""
        flow = self._open(sealed, Flow, _BOUND)
        return flow if flow is not None and self._wall_clock() < flow.ends_at else None

    def proof_of(self, flow: Flow, identity: ExternalIdentity) -> str:
        """What the page can link the identity with, in the browser of this sign-in and as long as that is good."""
        return self._seal(Proof(flow.state, identity, not flow.link), _PROVEN)

    def proof_in(self, sealed: str, flow: Flow | None) -> Proof | None:
        """The proof, in the browser where it was made."""
        found = self._open(sealed, Proof, _PROVEN)
        return found if found is not None and flow is not None and _same(found.state, flow.state) else None

    async def finish(self, name: str, flow: Flow | None, given: Mapping[str, str]) -> ExternalIdentity:
        """Who came back from the issuer, with the query that they brought. Raises NotFound("issuer"), SignInFailed."""
        issuer = self._issuer(name)
        if flow is None or flow.issuer != name or not _same(given.get("state", ""), flow.state):
            raise SignInFailed("expired", "no sign-in under way in this browser, or another one")
        metadata = await _metadata(issuer)
        _check_sender(metadata, given)
        if "error" in given:
            raise SignInFailed("cancelled" if given["error"] == "access_denied" else "refused", "the issuer says no")
        answer = await self._exchange(issuer, metadata, flow, given.get("code", ""))
        try:
            token = await issuer.verified(answer.id_token.encode(errors="replace"))
            now, access = self._wall_clock(), answer.access_token
            claims = login_claims(issuer.settings, token, now, nonce=flow.nonce, access_token=access)
            return identity_in(issuer.settings, await _completed(issuer, metadata, claims, access))
        except BadToken as error:
            raise SignInFailed("refused", f"the ID token: {error}") from error
        except Unavailable as error:
            raise SignInFailed("unavailable", error.detail) from error

    async def _exchange(self, issuer: Issuer, metadata: ProviderMetadata, flow: Flow, code: str) -> _TokenAnswer:
        """The code for tokens (RFC 6749, 4.1.3)."""
        settings = issuer.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(settings.name),
            "code_verifier": flow.verifier,
        }
        headers = _client_authentication(settings, metadata, form)
        return await _answer(issuer, metadata.token_endpoint or "", _TokenAnswer, form=form, headers=headers)

    def _issuer(self, name: str) -> Issuer:
        issuer = self._issuers.get(name)
        if issuer is None:
            raise NotFound("issuer")
        return issuer

    def _redirect_uri(self, name: str) -> str:
        return self._site + link(OIDC_CALLBACK, name).decode()

    def _seal(self, value: Struct, bound_to: bytes) -> str:
        sealed = self._keyset.seal("sign-ins", msgspec.json.encode(value), bound_to)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _open(self, sealed: str, kind: type[T], bound_to: bytes) -> T | None:
        if not 0 < len(sealed) <= LONGEST_SEALED:
            return None
        try:
            plain = self._keyset.open("sign-ins", urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)), bound_to)
            return msgspec.json.decode(plain, type=kind)
        except (BrokenSeal, ValueError, msgspec.MsgspecError):  # The last one: of a version with other fields.
            return None


async def _metadata(issuer: Issuer) -> ProviderMetadata:
    """The issuer's addresses. Raises SignInFailed when it cannot be asked, or lets nobody sign in."""
    metadata = await issuer.metadata.get()
    if metadata is None or not metadata.authorization_endpoint or not metadata.token_endpoint:
        raise SignInFailed("unavailable", "no discovery document, or one without the endpoints")
    return metadata


def _check_sender(metadata: ProviderMetadata, given: Mapping[str, str]) -> None:
    """Raise SignInFailed for an answer of another issuer (RFC 9207)."""
    said = given.get("iss")
    if (said is None and metadata.authorization_response_iss_parameter_supported) or said not in (
        None,
        metadata.issuer,
    ):
        raise SignInFailed("refused", "an answer of another issuer")


def _client_authentication(
    settings: IssuerSettings, metadata: ProviderMetadata, form: dict[str, str]
) -> tuple[tuple[str, str], ...]:
    """How we prove who we are: a header, or more fields of the form (RFC 6749, 2.3.1)."""
    client_id = settings.client_id or ""
    if settings.client_secret is None:
        form["client_id"] = client_id
        return ()
    secret = settings.client_secret.reveal()
    if "client_secret_basic" not in metadata.token_endpoint_auth_methods_supported:
        form |= {"client_id": client_id, "client_secret": secret}
        return ()
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return (("Authorization", f"Basic {b64encode(pair.encode()).decode()}"),)


async def _completed(
    issuer: Issuer, metadata: ProviderMetadata, claims: dict[str, Any], access_token: str | None
) -> dict[str, Any]:
    """The claims with what only the userinfo endpoint says; address and name are there unless asked for in the token.

    (OpenID Connect Core, 5.4.) It must speak of the same subject (5.3.2).
    """
    if "email" in claims or access_token is None or metadata.userinfo_endpoint is None:
        return claims
    headers = (("Authorization", f"Bearer {access_token}"),)
    more = await _answer(issuer, metadata.userinfo_endpoint, dict[str, Any], headers=headers)
    if more.get("sub") != claims.get("sub"):
        raise SignInFailed("refused", "userinfo of somebody else")
    return {**more, **claims}


async def _answer(
    issuer: Issuer,
    url: str,
    kind: type[T],
    *,
    form: dict[str, str] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> T:
    """What an endpoint of the issuer answers. Raises SignInFailed."""
    try:
        return msgspec.json.decode(await fetch(url, form=form, headers=headers, tls=issuer.tls), type=kind)
    except FetchFailed as error:
        problem: SignInProblem = "refused" if error.status else "unavailable"
        raise SignInFailed(problem, f"{url}: {error}") from error
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise SignInFailed("refused", f"{url}: an answer of another form") from error


def _random() -> str:
    return secrets.token_urlsafe(32)


def _challenge(verifier: str) -> str:
    """S256 (RFC 7636, 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
