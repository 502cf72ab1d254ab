"""Ids of the driver's kind are UUIDs like any other, only stricter about their text."""

from uuid import UUID

import msgspec
import pytest

from db.ids import new_id, uuid_of


def test_they_equal_hash_print_and_encode_as_standard_ones() -> None:
    mine = new_id()
    standard = UUID(str(mine))
    assert isinstance(mine, UUID)
    assert (mine, hash(mine), mine.bytes, mine.version) == (standard, hash(standard), standard.bytes, 7)
    assert {standard: 1}[mine] == {mine: 1}[standard] == 1
    assert msgspec.json.encode(mine) == msgspec.json.encode(standard) == f'"{standard}"'.encode()
    assert uuid_of(str(standard)) == uuid_of(standard.bytes) == standard


def test_they_rise() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019a0000-0000-7000-8000-00000000000",
        "019a0000-0000-7000-8000-00000000000g",
        "{019a0000-0000-7000-8000-000000000001}",
        "urn:uuid:019a0000-0000-7000-8000-000000000001",
        " 19a0000-0000-7000-8000-000000000001",
        "\u066119a0000-0000-7000-8000-00000000000",
        "\ud80019a0000-0000-7000-8000-00000000000",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|surrogate"):
        uuid_of(text)
