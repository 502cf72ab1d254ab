"""Three of a user's preferences as `/v1/me` has them, and the links in mails that switch a kind off without a login.

All preferences are in `db/notices/preferences.py`.
"""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from piccolo.columns import Boolean

from core.errors import BadInput
from core.notices import DEFAULTS, NoticeKind
from db.expressions import NOW
from db.keyset import Keyset
from db.statements import Change, change, given
from db.tables import Users
from db.tokens import shown
from db.transaction import Writing

__all__ = ["MailPreferences", "Preference", "UnsubscribeTokens", "choose_mails_in"]

Preference = Literal["digest", "mentions", "assignments"]

PREFIX: Final = "tfu_"
SIGNATURE_BYTES: Final = 40
ID_BYTES: Final = 16
MAILED: Final[Mapping[bytes, NoticeKind]] = {kind.encode(): kind for kind, channel in DEFAULTS if channel == "mail"}


class MailPreferences(Struct, frozen=True):
    """Each is a sort of mail: `true` as long as the user wants it."""

    digest: bool = True
    mentions: bool = True
    assignments: bool = True


async def choose_mails_in(tx: Writing, user_id: UUID, chosen: Mapping[Preference, bool]) -> None:
    """Change those that are named, inside a transaction of the user's."""
    for preference, wanted in chosen.items():
        await tx.run(_SWITCHES[preference], user_id=user_id, wanted=wanted)


class UnsubscribeTokens:
    """What switches the mails of one kind off for one user, without a login: signed, not stored.

    A token is always the same one and has no end, as mails have none; it is void when its key leaves the keyset.
    """

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset

    def token(self, user_id: UUID, kind: NoticeKind) -> str:
        """The token as text."""
        signed = user_id.bytes + kind.encode()
        return shown(PREFIX, signed + self._keyset.sign("unsubscribe", signed))

    def read(self, token: str) -> tuple[UUID, NoticeKind]:
        """Whose it is, and what it switches off. Raises BadInput, the same for every bad one."""
        try:
            raw = urlsafe_b64decode(token.removeprefix(PREFIX) + "==")
        except ValueError as error:
            raise _refused() from error
        signed, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        kind = MAILED.get(signed[ID_BYTES:])
        # Base64 has several spellings of the same bytes, and an idempotency key belongs to the token as text.
        if kind is None or token != shown(PREFIX, raw):
            raise _refused()
        if not self._keyset.verify("unsubscribe", signed, signature):
            raise _refused()
        return UUID(bytes=signed[:ID_BYTES]), kind


def _refused() -> BadInput:
    return BadInput("This link is unknown.", parameter="token")


def _switch(column: Boolean) -> Change:
    query = Users.update({column: given("wanted"), Users.updated_at: NOW})
    return change(query.where(Users.id == given("user_id"), column != given("wanted")))


_SWITCHES: Final[dict[Preference, Change]] = {
    "digest": _switch(Users.mail_digest),
    "mentions": _switch(Users.mail_mentions),
    "assignments": _switch(Users.mail_assignments),
}
