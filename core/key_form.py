"""The form of an API key: `tfk_`, 43 characters of base62 for 256 random bits, 6 of base62 for a CRC-32.

The checksum (CRC-32 as in zlib, over everything before it) lets a scanner for leaked secrets tell a key from a
look-alike without asking anybody, and lets us refuse made-up ones without a query. It protects nothing: the random bits
do.
"""

import zlib
from typing import Final

__all__ = ["KEY_LENGTH", "PREFIX", "RANDOM_BYTES", "SHOWN_LENGTH", "is_key", "write_key"]

PREFIX: Final = "tfk_"
RANDOM_BYTES: Final = 32
SHOWN_LENGTH: Final = 8
"""So many characters of a key, from its beginning, may be shown so that its owner recognises it."""

_RANDOM_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_UNCHECKED_LENGTH: Final = len(PREFIX) + _RANDOM_LENGTH
KEY_LENGTH: Final = _UNCHECKED_LENGTH + _CHECKSUM_LENGTH

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT_BYTES: Final = _DIGITS.encode()
_BASE: Final = len(_DIGITS)


def write_key(random: bytes) -> str:
    """The key that stands for these random bytes, of which there must be `RANDOM_BYTES`."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an API key is made of {RANDOM_BYTES} random bytes")
    unchecked = PREFIX + _base62(int.from_bytes(random), _RANDOM_LENGTH)
    return unchecked + _checksum(unchecked.encode())


def is_key(text: bytes) -> bool:
    """Whether the text has the form of a key and the right checksum; whether there is such a key it does not say."""
    if len(text) != KEY_LENGTH or not text.startswith(PREFIX.encode()):
        return False
    if text[len(PREFIX) :].translate(None, _DIGIT_BYTES):
        return False
    return text[_UNCHECKED_LENGTH:] == _checksum(text[:_UNCHECKED_LENGTH]).encode()


def _checksum(unchecked: bytes) -> str:
    return _base62(zlib.crc32(unchecked), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    """The number with its most significant digit first, filled up with zeros to the length."""
    digits = [""] * length
    for place in range(length - 1, -1, -1):
        number, digit = divmod(number, _BASE)
        digits[place] = _DIGITS[digit]
    return "".join(digits)
