"""The number of an event in its team's history: gap-free, from 1 on; and a place in one of its histories."""

import re
from typing import Final

from msgspec import Struct

from core.errors import BadInput

__all__ = ["ANYWHERE", "MAX_SEQ", "POSITION", "Position", "read_position"]

MAX_SEQ: Final = 2**63 - 1
"""The largest that Postgres' bigint holds: a larger one from outside was never handed out, and must not reach SQL."""
POSITION: Final = "(?:([0-9]{1,19}):)?([0-9]{1,19})"
"""How a position is written, as a regular expression."""

_POSITION: Final = re.compile(POSITION)


class Position(Struct, frozen=True):
    """A place in a team's history: everything up to `seq`. `epoch` is None where it was not said: the current one."""

    seq: int
    epoch: int | None = None


ANYWHERE: Final = Position(0)
"""Every team has reached it."""


def read_position(text: str, parameter: str) -> Position:
    """Read `<epoch>:<seq>` or `<seq>`. Raises BadInput naming `parameter` for anything else, 2^63 included."""
    match = _POSITION.fullmatch(text)
    epoch, seq = (match[1], int(match[2])) if match else (None, MAX_SEQ + 1)
    if seq > MAX_SEQ or (epoch is not None and not 0 < int(epoch) <= MAX_SEQ):
        raise BadInput(
            f"{parameter} must be <seq> or <epoch>:<seq>, in whole numbers; epochs begin at 1.", parameter=parameter
        )
    return Position(seq, int(epoch) if epoch is not None else None)
