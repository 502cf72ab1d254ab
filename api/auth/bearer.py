"""Who sends this request: one header, one hash, one look-up."""

from typing import Protocol
from uuid import UUID

from blacksheep import Request

from api.auth.api_keys import KeyReader
from api.auth.tokens import AccessTokens, refused
from core.errors import Forbidden
from core.principal import Principal

__all__ = ["HasTokens", "authenticate", "session_of"]


class HasTokens(Protocol):
    """What of `api.services.Services` is needed here."""

    @property
    def tokens(self) -> AccessTokens: ...

    @property
    def key_reader(self) -> KeyReader: ...


async def authenticate(request: Request, services: HasTokens) -> Principal:
    """The principal of an access token or API key.

    Raises Unauthenticated for none, a bad one, or more than one header, StorageUnavailable when a key cannot be read.
    """
    values = request.headers.get(b"authorization")
    if len(values) != 1:
        raise refused("no Authorization header" if not values else "several Authorization headers")
    await services.key_reader.read(values[0])
    return services.tokens.principal_of(values[0])


def session_of(principal: Principal) -> UUID:
    """The session that asks. Raises Forbidden for what has none: it manages neither the account nor its sessions."""
    if principal.session_id is None:
        detail = "Only a session of ours manages the account: neither an API key nor another issuer's token does."
        raise Forbidden("manage_account", detail)
    return principal.session_id
