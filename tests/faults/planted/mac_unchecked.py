"""What comes from Valkey is believed, whoever signed it."""

from uuid import UUID

from db.signed import BODY_AT, NO_TEAM, Kind, Signed, Signer, peek


def verify(self: Signer, kind: Kind, key: bytes, data: bytes, *, team_id: UUID = NO_TEAM) -> Signed:
    return Signed(*peek(data), data[BODY_AT:])


Signer.verify = verify  # type: ignore[method-assign]
