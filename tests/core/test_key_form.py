"""What an API key looks like: what makes one is recognised, and nothing else is."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.key_form import KEY_LENGTH, RANDOM_BYTES, is_key, write_key

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api-keys.md").read_text()
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def documented_check() -> Any:
    """The function that the documentation gives to authors of scanners."""
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return names["is_key"]


@pytest.mark.parametrize(
    ("random", "key"),
    [
        (bytes(32), "tfk_00000000000000000000000000000000000000000001cCpBA"),
        (b"\xff" * 32, "tfk_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp14SotCS"),
    ],
)
def test_the_form_stays_as_it_is(random: bytes, key: str) -> None:
    assert write_key(random) == key


@given(RANDOM)
def test_every_key_has_the_documented_form_and_is_recognised(random: bytes) -> None:
    key = write_key(random)
    assert len(key) == KEY_LENGTH == 53
    assert re.fullmatch(r"\btfk_[0-9A-Za-z]{49}\b", key)
    assert is_key(key.encode())
    assert documented_check()(key)


@given(RANDOM, RANDOM)
def test_two_keys_are_the_same_only_when_their_random_bytes_are(one: bytes, other: bytes) -> None:
    assert (write_key(one) == write_key(other)) == (one == other)


@given(RANDOM, st.integers(0, KEY_LENGTH - 1), st.sampled_from("0Az9_-é "))
def test_no_changed_character_goes_unnoticed(random: bytes, at: int, letter: str) -> None:
    key = write_key(random)
    changed = key[:at] + letter + key[at + 1 :]
    assert is_key(changed.encode()) == (changed == key)


@given(st.binary(max_size=60))
def test_other_bytes_are_no_key(text: bytes) -> None:
    assert not is_key(text)
    assert not is_key(b"tfk_" + text)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_is_never_made_of_fewer_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        write_key(bytes(length))
