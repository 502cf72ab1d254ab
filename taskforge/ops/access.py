"""Who may see the operators' page, and whose forms count."""

import base64
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from api.auth.fetching import is_loopback
from taskforge.settings import Settings

__all__ = ["Access", "Operator", "from_the_page"]

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]{1,5})?")


class Operator(Struct, frozen=True):
    """Who is there: by the name that was given with the token, or somebody on this machine, who is asked for a name."""

    name: str = ""


class Access:
    """The guard of the page, by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.ops.token
        self._open = settings.mode != "production"

    def operator(self, environ: Mapping[str, Any]) -> "Operator | Literal['unknown', 'nobody']":
        """Who asks; `unknown` may say the token, to `nobody` the page does not exist."""
        if self._token:
            return self._signed_in(environ.get("HTTP_AUTHORIZATION", ""))
        near = is_loopback(environ.get("REMOTE_ADDR", "")) and is_loopback(_host(environ.get("HTTP_HOST", "")))
        return Operator() if self._open and near else "nobody"

    def _signed_in(self, header: str) -> "Operator | Literal['unknown']":
        """RFC 7617."""
        kind, _, credentials = header.partition(" ")
        try:
            name, colon, given = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:  # It is no base64, has letters that are none of ASCII, or no UTF-8 inside.
            return "unknown"
        known = hmac.compare_digest(given.encode(), self._token.reveal().encode())
        return Operator(name) if kind.lower() == "basic" and colon and name.strip() and known else "unknown"


def from_the_page(environ: Mapping[str, Any]) -> bool:
    """Whether a form was sent from our own page: browsers send what they know of the user along with anybody's."""
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    if origin is None:
        return bool(site == "same-origin")
    try:
        return bool(urlsplit(origin).netloc == environ.get("HTTP_HOST", ""))
    except ValueError:
        return False


def _host(header: str) -> str:
    """Without the port; nothing where it is no host and port (RFC 9110, 7.2).

    A name that somebody has made to point here is no name of ours.
    """
    found = _HOST.fullmatch(header)
    return "" if found is None else (found[1] or found[2]).lower()
