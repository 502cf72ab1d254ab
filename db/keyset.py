"""The installation's keys: one list of secrets, from which every purpose gets keys of its own (HKDF-SHA256, RFC 5869).

The first secret signs and seals; all of them verify and open. A new secret is added at the end first, so that every
process knows it; then it is moved to the front; the old one leaves when nothing that it signed or sealed is alive.
"""

import hmac
import secrets
from collections.abc import Iterable
from typing import Final, Literal, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from core.secret import Secret

__all__ = ["BrokenSeal", "DerivedKey", "Keyset", "Purpose"]

Purpose = Literal["tokens", "valkey", "objects", "webhook-secrets", "mail", "unsubscribe", "sealed-answers", "sign-ins"]

ID_BYTES: Final = 8
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAC_BYTES: Final = 32


class BrokenSeal(Exception):
    """What should be opened was changed, belongs elsewhere, or was sealed under a key that is not in the set."""


class DerivedKey(Struct, frozen=True):
    """A secret's keys for one purpose. `id` (8 bytes, public) names them in whatever they signed or sealed."""

    id: bytes
    signing: bytes
    sealing: bytes

    def __repr__(self) -> str:
        return f"DerivedKey({self.id.hex()})"


class Keyset:
    """Signs, verifies, seals and opens under the keys of a purpose. Everything is derived once, when it is made."""

    def __init__(self, master_secrets: Iterable[Secret]) -> None:
        """Raises ValueError when there is no secret, or the same one twice."""
        masters = [secret.reveal().encode() for secret in master_secrets]
        if not masters or len(set(masters)) != len(masters):
            raise ValueError("a keyset has one or more secrets, each of them once")
        self._derived: dict[Purpose, tuple[DerivedKey, ...]] = {
            purpose: tuple(_derive(master, purpose) for master in masters) for purpose in get_args(Purpose)
        }

    def derive(self, purpose: Purpose) -> tuple[DerivedKey, ...]:
        """The keys of a purpose; the first is the one to sign and seal with."""
        return self._derived[purpose]

    def sign(self, purpose: Purpose, message: bytes) -> bytes:
        """A signature of 40 bytes: the key's id and the HMAC-SHA256. The same message always has the same one."""
        key = self._derived[purpose][0]
        return key.id + hmac.digest(key.signing, message, "sha256")

    def digests(self, purpose: Purpose, message: bytes) -> tuple[bytes, ...]:
        """The HMAC-SHA256 of the message under each key of the set, that of the first key first."""
        return tuple(hmac.digest(key.signing, message, "sha256") for key in self._derived[purpose])

    def verify(self, purpose: Purpose, message: bytes, signature: bytes) -> bool:
        """Whether `sign` made the signature for this message, under any key of the set; in constant time."""
        key = self._named(purpose, signature)
        if key is None or len(signature) != ID_BYTES + MAC_BYTES:
            return False
        return hmac.compare_digest(hmac.digest(key.signing, message, "sha256"), signature[ID_BYTES:])

    def seal(self, purpose: Purpose, plain: bytes, bound_to: bytes = b"") -> bytes:
        """`plain` encrypted (AES-256-GCM, random nonce); it opens only together with the same `bound_to`."""
        key = self._derived[purpose][0]
        nonce = secrets.token_bytes(NONCE_BYTES)
        return key.id + nonce + AESGCM(key.sealing).encrypt(nonce, plain, bound_to)

    def open(self, purpose: Purpose, sealed: bytes, bound_to: bytes = b"") -> bytes:
        """What `seal` was given. Raises BrokenSeal."""
        key = self._named(purpose, sealed)
        if key is None:
            raise BrokenSeal("sealed under a key that is not in the set")
        nonce, rest = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES], sealed[ID_BYTES + NONCE_BYTES :]
        try:
            return AESGCM(key.sealing).decrypt(nonce, rest, bound_to)
        except (InvalidTag, ValueError) as error:  # ValueError: too short to have a nonce.
            raise BrokenSeal("changed, or bound to something else") from error

    def _named(self, purpose: Purpose, data: bytes) -> DerivedKey | None:
        """The key whose id the data begins with."""
        return next((key for key in self._derived[purpose] if data.startswith(key.id)), None)


def _derive(master: bytes, purpose: Purpose) -> DerivedKey:
    hkdf = HKDF(SHA256(), length=ID_BYTES + 2 * KEY_BYTES, salt=None, info=b"taskforge " + purpose.encode())
    material = hkdf.derive(master)
    signing_ends = ID_BYTES + KEY_BYTES
    return DerivedKey(material[:ID_BYTES], material[ID_BYTES:signing_ends], material[signing_ends:])
