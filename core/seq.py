"""The number of an event in its team's history: gap-free, from 1 on."""

from typing import Final

__all__ = ["MAX_SEQ"]

MAX_SEQ: Final = 2**63 - 1
"""The largest that Postgres' bigint holds: a larger one from outside was never handed out, and must not reach SQL."""
