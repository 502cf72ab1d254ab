"""Addresses of single objects: signed under the keyset, good for five minutes, for one method, object and user.

The address is the credential: whoever has it needs no other. It is judged again when it is used, as its user and by
what is true then, so that it ends with the object, the account and the membership.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from api import paths
from api.paths import link
from core.errors import NotFound
from db.ids import uuid_of
from db.keyset import Keyset

__all__ = ["LINK_SECONDS", "ObjectLink", "ObjectLinks"]

LINK_SECONDS: Final = 300
LONGEST: Final = 200
Method = Literal["GET", "PUT", "IMG"]
"""IMG is a GET, too: of the object's thumbnail."""

# Method, object, user, end of validity (unix seconds).
_PAYLOAD: Final = struct.Struct(">3s16s16sQ")
_LABEL: Final = b"link\0"


class ObjectLink(Struct, frozen=True):
    """What an address allows, and to whom it was given."""

    object_id: UUID
    user_id: UUID
    method: Method = "GET"


class ObjectLinks:
    """Makes and reads addresses. `site` is what comes before the path: scheme and host, or nothing."""

    def __init__(self, keys: Keyset, site: str = "") -> None:
        self._keys, self._site = keys, site.rstrip("/")

    def make(self, method: Method, object_id: UUID, user_id: UUID, now: float) -> str:
        """An address for five minutes from `now` (unix seconds)."""
        payload = _PAYLOAD.pack(method.encode(), object_id.bytes, user_id.bytes, int(now) + LINK_SECONDS)
        token = urlsafe_b64encode(payload + self._keys.sign("objects", _LABEL + payload)).rstrip(b"=")
        return self._site + link(paths.OBJECT, token.decode()).decode()

    def read(self, methods: tuple[Method, ...], token: str, now: float) -> ObjectLink:
        """What the address allows, if it is one of these.

        Raises NotFound for any other and for one that is not ours, whatever is wrong with it.
        """
        data = _decoded(token)
        payload, signature = data[: _PAYLOAD.size], data[_PAYLOAD.size :]
        if len(payload) < _PAYLOAD.size or not self._keys.verify("objects", _LABEL + payload, signature):
            raise NotFound("object")
        its_method, object_id, user_id, ends = _PAYLOAD.unpack(payload)
        method = next((one for one in methods if one.encode() == its_method), None)
        if method is None or ends < now:
            raise NotFound("object")
        return ObjectLink(uuid_of(object_id), uuid_of(user_id), method)


def _decoded(token: str) -> bytes:
    """The bytes of a token in the one spelling that we write; none of any other."""
    if len(token) > LONGEST:
        return b""
    try:
        given = token.encode("ascii")
        data = urlsafe_b64decode(given + b"=" * (-len(given) % 4))
    except (UnicodeError, binascii.Error):
        return b""
    return data if urlsafe_b64encode(data).rstrip(b"=") == given else b""
