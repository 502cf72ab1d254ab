"""Forgets sessions some time after they ended, and with them their refresh tokens.

Tokens go with their session and never by themselves: a used token that comes back is recognised by its row, which must
be there as long as its session may still be used. They go first, because a session may have thousands of them and no
transaction shall delete more than a slice.
"""

from typing import Final

from piccolo.custom_types import Combinable

from db.expressions import ago, both_in, limited
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import Change, change, given
from db.tables import RefreshTokens, Sessions

__all__ = ["forget_ended_sessions"]

KEPT_DAYS: Final = 30
DAY_SECONDS: Final = 86_400.0


async def forget_ended_sessions(pool: Pool, *, days: float = KEPT_DAYS) -> int:
    """Delete what ended, by expiry or revocation, more than so many days (at least one) ago; how many sessions.

    For the worker pool, whose role may delete no others. Raises StorageUnavailable.
    """
    await _in_slices(pool, _TOKENS, days)
    return await _in_slices(pool, _SESSIONS, days)


async def _in_slices(pool: Pool, statement: Change, days: float) -> int:
    return await delete_in_slices(pool, lambda tx, limit: tx.run(statement, seconds=days * DAY_SECONDS, limit=limit))


def _ended() -> Combinable:
    """Not as the earlier of the two times: each of them has an index."""
    return (Sessions.expires_at < ago(given("seconds"))) | (Sessions.revoked_at < ago(given("seconds")))


_ENDED: Final = Sessions.select(Sessions.user_id, Sessions.id).where(_ended())
_TOKENS: Final = change(
    RefreshTokens.delete().where(
        RefreshTokens.id.is_in(
            limited(
                RefreshTokens.select(RefreshTokens.id).where(
                    both_in(RefreshTokens.user_id, RefreshTokens.session_id, _ENDED)
                ),
                given("limit"),
            )
        )
    )
)
_SESSIONS: Final = change(
    Sessions.delete().where(Sessions.id.is_in(limited(Sessions.select(Sessions.id).where(_ended()), given("limit"))))
)
