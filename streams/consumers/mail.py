"""Sends mails: at least once, with an id by which a mailbox knows a repeat, and never what is older than two weeks."""

from datetime import datetime
from email.headerregistry import Address
from typing import Final

import msgspec

from db import outbox
from db.ids import made_at
from db.pool import Pool
from db.transaction import reading
from streams.consumers.outbound import Outbound, outbound
from streams.consumers.plan import ConsumerPlan, Permanent
from streams.mail.delivery import Delivery, Refused
from streams.mail.letters import Letters, MailJob, UnknownPurpose
from streams.mail.messages import compose

__all__ = ["NAME", "mail"]

NAME: Final = "mail"
SECONDS: Final = 40.0
BATCH: Final = 5
"""Mails between two answers to the broker: a server that hangs takes 40 s for each."""


class NoDelivery(Exception):
    """There is no mail server to send to; the mail is tried again and then kept as a dead letter."""


def mail(pool: Pool, letters: Letters, delivery: Delivery | None, sender: Address) -> ConsumerPlan:
    """The consumer group `taskforge.mail`, reading through `pool` (the worker's)."""

    async def send(_: str, job: MailJob) -> bool:
        try:
            async with reading(pool, None) as tx:
                letter = await letters.letter(tx, job)
        except UnknownPurpose as error:
            raise Permanent(str(error)) from error
        if letter is None:
            return False
        try:
            message = compose(letter, sender)
        except ValueError as error:
            raise Permanent("the address cannot stand in a header") from error
        if delivery is None:
            raise NoDelivery("no mail server is set: TASKFORGE_MAIL__URL")
        try:
            await delivery.send(message)
        except Refused as error:
            raise Permanent(str(error)) from error
        return True

    sending = Outbound(effect=send, id_of=_id_of, at_of=_at_of, seconds=SECONDS)
    return ConsumerPlan(NAME, outbox.MAIL, outbound(pool, sending), read=_read, batch_records=BATCH)


def _read(value: bytes) -> MailJob:
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise Permanent(f"not a mail job: {error}") from error


def _id_of(job: MailJob) -> str:
    return str(job.id)


def _at_of(job: MailJob) -> datetime:
    """When the mail was asked for."""
    return made_at(job.id)


_decode: Final = msgspec.json.Decoder(MailJob).decode
