"""Tokens that arrive by mail: who has one proves an address, or may choose a new password. Single use, short-lived.

A token is the HMAC of purpose and job of its mail under the keyset, so that every attempt to send the mail writes the
same bytes and no token is stored or travels; its SHA-256 is written with the request.
"""

from typing import Final, Literal
from uuid import UUID

from msgspec import Struct
from piccolo.query.functions.aggregate import Count

from core.errors import BadInput
from db import outbox
from db.expressions import CLOCK, NOW, ago, ahead, limited
from db.keyset import Keyset
from db.pool import Pool
from db.slices import delete_in_slices
from db.statements import change, given, insert, returned, rows, values
from db.tables import AccountTokens as Table
from db.tokens import mail_token, mail_token_of_hash, token_hash
from db.transaction import Reading, Writing

__all__ = ["AccountTokens", "Proof", "Purpose", "TokenMail", "forget_account_tokens"]

Purpose = Literal["verify-email", "reset-password"]

LIFE_SECONDS: Final[dict[Purpose, float]] = {"verify-email": 7 * 86_400.0, "reset-password": 1_800.0}
"""A link to verify waits for whoever reads mail weekly; one that opens an account does not."""
SPAM_SECONDS: Final = 900.0
SPAM_MAILS: Final = 3
"""So many mails of one purpose reach an address within a quarter of an hour, whoever asks for them."""
KEPT_SECONDS: Final = 86_400.0
PREFIX: Final = "tfm_"
LENGTH: Final = len(PREFIX) + 43
REFUSED: Final = "This link is unknown, was used before, or has expired."


class Proof(Struct, frozen=True):
    """What a token proved: who has it, and to which address it was sent (None: the account's)."""

    user_id: UUID
    email: str | None


class TokenMail(Struct, frozen=True):
    """What a mail with a token needs; `email` is None for the account's own."""

    user_id: UUID
    email: str | None
    token: str


class _Stored(Struct, frozen=True):
    user_id: UUID
    email: str | None
    token_hash: bytes


class AccountTokens:
    """Asks for mails with tokens, and spends the tokens. For transactions of the API; `for_mail` is the worker's."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset

    async def ask_in(
        self, tx: Writing, purpose: Purpose, user_id: UUID, *, email: str | None = None, nobody: bool = False
    ) -> None:
        """Have a mail leave for the user once `tx`, which is theirs, commits.

        `nobody` does all of the same for a made-up user, and no mail leaves; nor does one too many.
        """
        recent = await tx.one(_RECENT, user_id=user_id, purpose=purpose, seconds=SPAM_SECONDS) or 0
        job_id = await outbox.put(tx, outbox.MAIL, purpose, user_id, discard=nobody or recent >= SPAM_MAILS)
        token = mail_token(self._keyset, PREFIX, purpose, job_id)
        await tx.run(
            _ASK,
            id=job_id,
            user_id=user_id,
            purpose=purpose,
            token_hash=token_hash(token),
            email=email,
            seconds=LIFE_SECONDS[purpose],
        )

    async def owner_in(self, tx: Reading, purpose: Purpose, token: str) -> UUID:
        """Whose good token this is. Raises BadInput, the same for every bad one."""
        if len(token) != LENGTH or not token.startswith(PREFIX) or not token.isascii():
            raise refused()
        digest = token_hash(token)
        await tx.scope("app.token_hash", digest.hex())
        user_id = await tx.one(_OWNER, token_hash=digest, purpose=purpose)
        if user_id is None:
            raise refused()
        return user_id

    async def spend_in(self, tx: Writing, purpose: Purpose, user_id: UUID, token: str) -> Proof:
        """Use the token up in a transaction of its owner's: its row decides when it is presented twice at once.

        Raises BadInput.
        """
        proof = await tx.one(_SPEND, token_hash=token_hash(token), user_id=user_id, purpose=purpose)
        if proof is None:
            raise refused()
        return proof

    async def void_in(self, tx: Writing, purpose: Purpose, user_id: UUID) -> None:
        """No token of this purpose that the user was ever sent is good any more."""
        await tx.run(_VOID, user_id=user_id, purpose=purpose)

    async def for_mail(self, tx: Reading, purpose: Purpose, job_id: UUID) -> TokenMail | None:
        """What the mail of a job says; None when its token was used, has expired, or its key is gone."""
        stored = await tx.one(_FOR_MAIL, id=job_id)
        if stored is None:
            return None
        token = mail_token_of_hash(self._keyset, PREFIX, purpose, job_id, stored.token_hash)
        return None if token is None else TokenMail(stored.user_id, stored.email, token)


async def forget_account_tokens(pool: Pool) -> int:
    """Delete tokens that expired a day ago; how many. For the worker pool. Raises StorageUnavailable."""
    return await delete_in_slices(pool, lambda tx, limit: tx.run(_FORGET, limit=limit, seconds=KEPT_SECONDS))


def refused() -> BadInput:
    """The one answer to every bad token."""
    return BadInput(REFUSED, pointer="/token")


_ASK: Final = change(
    insert(
        Table,
        id=given("id"),
        user_id=given("user_id"),
        purpose=given("purpose"),
        token_hash=given("token_hash"),
        email=given("email"),
        created_at=NOW,
        expires_at=ahead(given("seconds")),
        used_at=None,
    )
)
_OF_USER: Final = (Table.user_id == given("user_id"), Table.purpose == given("purpose"))
_RECENT: Final = values(int, Table.select(Count()).where(*_OF_USER, Table.created_at > ago(given("seconds"))))
_GOOD: Final = (
    Table.token_hash == given("token_hash"),
    Table.purpose == given("purpose"),
    Table.used_at.is_null(),
    Table.expires_at > NOW,
)
_OWNER: Final = values(UUID, Table.select(Table.user_id).where(*_GOOD))
_SPEND: Final = returned(
    Proof,
    Table.update({Table.used_at: CLOCK})
    .where(*_GOOD, Table.user_id == given("user_id"))
    .returning(Table.user_id, Table.email),
)
_VOID: Final = change(Table.update({Table.used_at: CLOCK}).where(*_OF_USER, Table.used_at.is_null()))
_FOR_MAIL: Final = rows(
    _Stored,
    Table.select(Table.user_id, Table.email, Table.token_hash).where(
        Table.id == given("id"), Table.used_at.is_null(), Table.expires_at > NOW
    ),
)
_FORGET: Final = change(
    Table.delete().where(
        Table.id.is_in(limited(Table.select(Table.id).where(Table.expires_at < ago(given("seconds"))), given("limit")))
    )
)
