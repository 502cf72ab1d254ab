"""What lets people in who are known at other issuers, made once for a process."""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from api.auth.external_issuers import ExternalIssuers
    from api.auth.oidc import OidcSignIn
    from db.people.external_identities import ExternalIdentities
    from db.people.external_sign_ins import ExternalSignIns

__all__ = ["External"]


class External(Struct, kw_only=True):
    """Plain data, as `api.services.Services`. `site` is the address that browsers see, without a slash at its end."""

    issuers: "ExternalIssuers"
    identities: "ExternalIdentities"
    oidc: "OidcSignIn"
    sign_ins: "ExternalSignIns"
    site: str
