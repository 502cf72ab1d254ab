"""Which mails a user wants, of those that can be switched off, and the links in them that do it without a login."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Final, Literal, get_args
from uuid import UUID

from msgspec import Struct
from piccolo.columns import Boolean

from core.errors import BadInput
from db.expressions import NOW
from db.keyset import Keyset
from db.statements import Change, change, given, rows
from db.tables import Users
from db.tokens import shown
from db.transaction import Reading, Writing

__all__ = ["MailPreferences", "Preference", "UnsubscribeTokens", "choose_mails_in", "mails_of"]

Preference = Literal["digest", "mentions", "assignments"]

PREFIX: Final = "tfu_"
SIGNATURE_BYTES: Final = 40
ID_BYTES: Final = 16
PREFERENCES: Final[dict[bytes, Preference]] = {name.encode(): name for name in get_args(Preference)}


class MailPreferences(Struct, frozen=True):
    """Each is a sort of mail: `true` as long as the user wants it."""

    digest: bool = True
    mentions: bool = True
    assignments: bool = True


async def mails_of(tx: Reading, user_id: UUID) -> MailPreferences | None:
    """What the user wants; None when the account is gone."""
    return await tx.one(_MAILS, user_id=user_id)


async def choose_mails_in(tx: Writing, user_id: UUID, chosen: Mapping[Preference, bool]) -> None:
    """Change those that are named, inside a transaction of the user's."""
    for preference, wanted in chosen.items():
        await tx.run(_SWITCHES[preference], user_id=user_id, wanted=wanted)


class UnsubscribeTokens:
    """What switches one sort of mail off for one user, without a login: signed, not stored.

    A token is always the same one and has no end, as mails have none; it is void when its key leaves the keyset.
    """

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset

    def token(self, user_id: UUID, preference: Preference) -> str:
        """The token as text."""
        signed = user_id.bytes + preference.encode()
        return shown(PREFIX, signed + self._keyset.sign("unsubscribe", signed))

    def read(self, token: str) -> tuple[UUID, Preference]:
        """Whose it is, and what it switches off. Raises BadInput, the same for every bad one."""
        try:
            raw = urlsafe_b64decode(token.removeprefix(PREFIX) + "==")
        except ValueError as error:
            raise _refused() from error
        signed, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        preference = PREFERENCES.get(signed[ID_BYTES:])
        # Base64 has several spellings of the same bytes, and an idempotency key belongs to the token as text.
        if preference is None or token != shown(PREFIX, raw):
            raise _refused()
        if not self._keyset.verify("unsubscribe", signed, signature):
            raise _refused()
        return UUID(bytes=signed[:ID_BYTES]), preference


def _refused() -> BadInput:
    return BadInput("This link is unknown.", parameter="token")


def _switch(column: Boolean) -> Change:
    query = Users.update({column: given("wanted"), Users.updated_at: NOW})
    return change(query.where(Users.id == given("user_id"), column != given("wanted")))


_MAILS: Final = rows(
    MailPreferences,
    Users.select(
        Users.mail_digest.as_alias("digest"),
        Users.mail_mentions.as_alias("mentions"),
        Users.mail_assignments.as_alias("assignments"),
    ).where(Users.id == given("user_id")),
)
_SWITCHES: Final[dict[Preference, Change]] = {
    "digest": _switch(Users.mail_digest),
    "mentions": _switch(Users.mail_mentions),
    "assignments": _switch(Users.mail_assignments),
}
