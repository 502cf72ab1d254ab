"""What is signed for one place holds there, unchanged and in time, and nowhere else."""

from collections.abc import Iterator

import pytest
import uuid_utils.compat as uuids

from core.secret import Secret
from db.keyset import Keyset
from db.signed import BODY_AT, HEADER, Forged, Signer
from tests.support.signing import SIGNER, STRANGER

TEAM, OTHER = uuids.uuid7(), uuids.uuid7()
KEY, BODY = b"taskforge:somewhere", b"what we say"


def genuine(signer: Signer = SIGNER) -> bytes:
    return signer.sign("snapshot", KEY, BODY, seconds=60, team_id=TEAM, epoch=3, seq=2**40)


def test_what_was_signed_is_verified() -> None:
    signed = SIGNER.verify("snapshot", KEY, genuine(), team_id=TEAM)
    assert (signed.epoch, signed.seq, signed.body) == (3, 2**40, BODY)


def mutants(data: bytes) -> Iterator[bytes]:
    """Every byte changed in three ways, every prefix, and something at both ends."""
    for at in range(len(data)):
        for change in (0x01, 0x80, 0xFF):
            yield data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
        yield data[:at]
    yield from (data + b"\0", b"\0" + data, data + data, b"")


def test_no_mutant_of_hundreds_passes() -> None:
    tried = 0
    for mutant in mutants(genuine()):
        tried += 1
        with pytest.raises(Forged):
            SIGNER.verify("snapshot", KEY, mutant, team_id=TEAM)
    assert tried > 4 * (BODY_AT + len(BODY))


def test_it_holds_in_no_other_place_and_for_nobody_else() -> None:
    data = genuine()
    with pytest.raises(Forged):
        SIGNER.verify("commits", KEY, data, team_id=TEAM)
    for key in (KEY + b"x", KEY[:-1], b""):
        with pytest.raises(Forged):
            SIGNER.verify("snapshot", key, data, team_id=TEAM)
    with pytest.raises(Forged):
        SIGNER.verify("snapshot", KEY, data, team_id=OTHER)
    with pytest.raises(Forged):
        SIGNER.verify("snapshot", KEY, genuine(STRANGER), team_id=TEAM)


def test_the_key_and_what_follows_it_cannot_change_places() -> None:
    """Bytes moved from the key into the team and back would be signed by the same message, were lengths not in it."""
    data = SIGNER.sign("commits", KEY + TEAM.bytes, BODY, seconds=60, team_id=OTHER)
    with pytest.raises(Forged):
        SIGNER.verify("commits", KEY, data, team_id=TEAM)


def test_it_ends() -> None:
    now = 1_000_000.0
    signer = Signer(Keyset([Secret("a secret that is long enough")]), lambda: now)
    data = signer.sign("commits", KEY, BODY, seconds=60)
    now += 60
    signer.verify("commits", KEY, data)
    now += 1
    with pytest.raises(Forged):
        signer.verify("commits", KEY, data)


def test_a_new_first_key_signs_and_the_old_one_still_verifies() -> None:
    old, new = Secret("the old secret of an installation"), Secret("the new secret of an installation")
    before, during, after = (Signer(Keyset(secrets)) for secrets in ([old], [new, old], [new]))
    data = genuine(before)
    assert during.verify("snapshot", KEY, data, team_id=TEAM).body == BODY
    with pytest.raises(Forged):
        after.verify("snapshot", KEY, data, team_id=TEAM)
    assert after.verify("snapshot", KEY, genuine(during), team_id=TEAM).body == BODY


def test_epoch_and_seq_stand_where_valkeys_script_reads_them() -> None:
    data = genuine()
    assert HEADER.size == 24
    assert int.from_bytes(data[12:16]) == 3
    assert int.from_bytes(data[16:24]) == 2**40
