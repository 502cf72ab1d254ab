"""The keyset: purposes do not mix, old keys still verify and open, nothing else does."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secret import Secret
from db.keyset import BrokenSeal, Keyset, Purpose

OLD, NEW, STRANGE = (Secret(letter * 40) for letter in "onx")
BEFORE, DURING, AFTER = Keyset([OLD]), Keyset([NEW, OLD]), Keyset([NEW])
STRANGER = Keyset([STRANGE])


def test_the_first_key_signs_and_an_older_one_still_verifies() -> None:
    old, new = BEFORE.sign("mail", b"m"), DURING.sign("mail", b"m")
    assert old != new
    assert new == AFTER.sign("mail", b"m")
    assert DURING.verify("mail", b"m", old)
    assert DURING.verify("mail", b"m", new)
    assert not AFTER.verify("mail", b"m", old)
    assert not BEFORE.verify("mail", b"m", new)


def test_the_first_key_seals_and_an_older_one_still_opens() -> None:
    old, new = BEFORE.seal("sealed-answers", b"plain", b"row"), DURING.seal("sealed-answers", b"plain", b"row")
    assert DURING.open("sealed-answers", old, b"row") == DURING.open("sealed-answers", new, b"row") == b"plain"
    assert AFTER.open("sealed-answers", new, b"row") == b"plain"
    for keyset, sealed in ((AFTER, old), (BEFORE, new), (STRANGER, new)):
        with pytest.raises(BrokenSeal, match="not in the set"):
            keyset.open("sealed-answers", sealed, b"row")


def test_what_one_purpose_signed_or_sealed_says_nothing_to_another() -> None:
    for purpose in get_args(Purpose):
        signature, sealed = DURING.sign("mail", b"m"), DURING.seal("mail", b"m")
        assert DURING.verify(purpose, b"m", signature) is (purpose == "mail")
        if purpose != "mail":
            with pytest.raises(BrokenSeal):
                DURING.open(purpose, sealed)


def test_all_keys_of_all_purposes_differ() -> None:
    keys = [key for purpose in get_args(Purpose) for key in DURING.derive(purpose)]
    assert len({part for key in keys for part in (key.id, key.signing, key.sealing)}) == 3 * 2 * len(get_args(Purpose))


def test_the_derivation_never_changes() -> None:
    """Another derivation would silently end every token, seal and signature that is out there."""
    key = Keyset([Secret("a fixed secret of at least 32 bytes")]).derive("tokens")[0]
    assert (key.id.hex(), key.signing.hex(), key.sealing.hex()) == (
        "3e867ba4a35bf4d2",
        "03a68eec8dec44ea0c348595ed775a9f40e49edffd7375460ae88723348fdab3",
        "aaa5c5326199476c9f6f6a284082932477ecf871c58f276138c03c1ac81c516c",
    )


def test_a_signature_is_the_same_every_time_and_a_seal_never() -> None:
    assert DURING.sign("mail", b"m") == DURING.sign("mail", b"m")
    assert DURING.seal("mail", b"m") != DURING.seal("mail", b"m")


def test_what_was_sealed_for_one_place_does_not_open_in_another() -> None:
    sealed = DURING.seal("webhook-secrets", b"plain", b"one row")
    with pytest.raises(BrokenSeal, match="bound to something else"):
        DURING.open("webhook-secrets", sealed, b"another row")


@given(st.integers(0, 47), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(at: int, flip: int) -> None:
    signature, sealed = bytearray(DURING.sign("valkey", b"m")), bytearray(DURING.seal("valkey", b"plain message"))
    if at < len(signature):
        signature[at] ^= flip
        assert not DURING.verify("valkey", b"m", bytes(signature))
    sealed[at] ^= flip
    with pytest.raises(BrokenSeal):
        DURING.open("valkey", bytes(sealed))


@given(st.integers(0, 47))
def test_no_part_of_a_signature_or_a_seal_is_one(length: int) -> None:
    signature, sealed = DURING.sign("valkey", b"m"), DURING.seal("valkey", b"plain message")
    assert DURING.verify("valkey", b"m", signature[:length]) is (length >= len(signature))
    assert not DURING.verify("valkey", b"m", signature + b"x")
    with pytest.raises(BrokenSeal):
        DURING.open("valkey", sealed[:length])


@pytest.mark.parametrize("secrets", [[], [OLD, OLD]])
def test_a_keyset_needs_keys_and_each_of_them_once(secrets: list[Secret]) -> None:
    with pytest.raises(ValueError, match="one or more secrets, each of them once"):
        Keyset(secrets)


def test_no_key_shows_itself() -> None:
    shown = f"{DURING!r}{DURING.derive('mail')!r}"
    for key in DURING.derive("mail"):
        assert key.signing.hex() not in shown
        assert repr(key.signing) not in shown
    assert OLD.reveal() not in shown
