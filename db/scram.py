"""Password verifiers as PostgreSQL stores them (RFC 5802, RFC 7677), made here so that the password never travels."""

import base64
import hashlib
import hmac
import secrets

__all__ = ["scram_verifier"]

ITERATIONS = 4096


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """The SCRAM-SHA-256 verifier of `password`, with a fresh salt of 16 bytes unless one is given.

    Raises ValueError for characters outside printable ASCII, for which SASLprep would have to be applied.
    """
    if not password or not all(" " <= character <= "~" for character in password):
        raise ValueError("role passwords must be printable ASCII")
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    server = _mac(salted, b"Server Key")
    return f"SCRAM-SHA-256${ITERATIONS}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
