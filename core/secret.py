"""A string that does not show itself."""

import hmac
from typing import NoReturn

__all__ = ["Secret"]

MASK = "********"


class Secret:
    """A password, key or URL with a password in it: masked by `repr`, `str` and formatting, refused by pickle.

    Only `reveal()` returns the value, so that every place where a secret leaves the process can be searched for.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __len__(self) -> int:
        """Length in UTF-8 bytes, the unit in which key strength is checked."""
        return len(self._value.encode())

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised; hand it over by the environment")
