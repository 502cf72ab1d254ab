"""Time zones by their names in the IANA database."""

from functools import cache
from typing import Final
from zoneinfo import available_timezones

from core.errors import BadInput

__all__ = ["check_time_zone"]

NOT_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})
"""In the database, or beside it on some systems, and nobody's time."""


def check_time_zone(name: str, pointer: str = "/time_zone") -> str:
    """The name. Raises BadInput unless it is one of the IANA database, written as it is there."""
    if name not in _known():
        raise BadInput("This is not a time zone of the IANA database, such as Europe/Berlin.", pointer=pointer)
    return name


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones()) - NOT_ZONES
