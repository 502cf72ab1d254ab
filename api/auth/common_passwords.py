"""The commonest passwords, which whoever guesses tries first (NIST SP 800-63B, 3.1.1.2): the list that zxcvbn ships."""

from functools import cache
from typing import Final

__all__ = ["is_common"]

_TAIL: Final = "0123456789!?.,;:*#$%&+-_@"


def is_common(password: str) -> bool:
    """Whether it is, in lower case, one of the 30,000 commonest, or one of them with digits and signs after it."""
    common = _list()
    return password in common or password.rstrip(_TAIL) in common


@cache
def _list() -> frozenset[str]:
    # Late, because it takes 50 ms and most processes of ours never see a new password.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

    return frozenset(FREQUENCY_LISTS["passwords"])
