"""Passwords: what is accepted, how it is stored, and that an unknown user costs the same work."""

import threading
from unittest.mock import patch

import anyio
import pytest
from argon2 import PasswordHasher

from api.auth.emails import clean_email, clean_name
from api.auth.passwords import Passwords, check_password
from core.errors import BadInput, Overloaded

CHEAP = {"time_cost": 1, "memory_kib": 64, "lanes": 1}
MAIL = "ada@example.com"


@pytest.mark.anyio
async def test_a_password_is_right_or_wrong() -> None:
    passwords = Passwords(**CHEAP)
    stored = await passwords.hash("correct horse")
    assert "correct" not in stored
    assert (await passwords.verify(stored, "correct horse")).ok
    assert not (await passwords.verify(stored, "wrong horse")).ok


@pytest.mark.anyio
async def test_the_same_password_typed_on_another_keyboard_is_the_same() -> None:
    passwords = Passwords(**CHEAP)
    assert (await passwords.verify(await passwords.hash("Ångström pässword"), "A\u030angstro\u0308m pa\u0308ssword")).ok


@pytest.mark.anyio
async def test_by_default_hashes_have_owasps_parameters() -> None:
    assert (await Passwords().hash("correct horse")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.anyio
async def test_a_hash_of_older_parameters_is_renewed_on_the_next_right_password() -> None:
    old, new = Passwords(**CHEAP), Passwords(time_cost=2, memory_kib=64, lanes=1)
    stored = await old.hash("correct horse")
    check = await new.verify(stored, "correct horse")
    assert check.rehash is not None
    assert (await new.verify(check.rehash, "correct horse")).rehash is None
    assert (await new.verify(stored, "wrong horse")).rehash is None


@pytest.mark.anyio
@pytest.mark.parametrize("stored", ["", "$argon2id$broken", "not a hash"])
async def test_a_damaged_hash_matches_nothing_and_fails_nothing(stored: str) -> None:
    assert not (await Passwords(**CHEAP).verify(stored, "the password of nobody")).ok


@pytest.mark.anyio
async def test_an_unknown_user_costs_one_verification_of_the_same_parameters() -> None:
    passwords = Passwords(**CHEAP)
    stored = await passwords.hash("correct horse")
    verified: list[str] = []
    real = PasswordHasher.verify

    def counting(hasher: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002 (argon2's name)
        verified.append(hash.rpartition("$")[0].rpartition("$")[0])
        return real(hasher, hash, password)

    with patch.object(PasswordHasher, "verify", counting):
        assert not (await passwords.verify(None, "the password of nobody")).ok
        assert not (await passwords.verify(stored, "wrong horse")).ok
    assert len(verified) == 2
    assert len(set(verified)) == 1


@pytest.mark.anyio
async def test_hashing_runs_in_few_threads_and_a_flood_is_turned_away() -> None:
    passwords = Passwords(**CHEAP, at_once=2)
    running, most, gate, lock = 0, 0, threading.Event(), threading.Lock()
    refused = 0

    def slow(_hasher: PasswordHasher, _password: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(10)
        with lock:
            running -= 1
        return "hash"

    async def ask() -> None:
        nonlocal refused
        try:
            await passwords.hash("correct horse")
        except Overloaded:
            refused += 1
            if refused == 98:
                gate.set()

    with patch.object(PasswordHasher, "hash", slow):
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(ask)
    assert most <= 2
    assert refused == 98


@pytest.mark.parametrize("password", ["ten chars!", "x y" * 50, "пароль-подлиннее", "8640912753", "a" * 9 + "b" * 247])
def test_length_is_all_that_counts(password: str) -> None:
    check_password(password, MAIL)


@pytest.mark.parametrize(
    "password", ["", "nine char", "a" * 9 + "b" * 248, MAIL, "ADA@EXAMPLE.COM", " ada@example.com ", "a" * 30]
)
def test_what_is_no_password_is_refused(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_password(password, MAIL)
    assert refused.value.pointer == "/password"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" Ada@EXAMPLE.Com ", "Ada@example.com"),
        ("e\u0301ric@example.com", "\u00e9ric@example.com"),
        ("a.b+c'd@sub.example.co.uk", "a.b+c'd@sub.example.co.uk"),
        ("user@localhost", "user@localhost"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("a@B\u00dcCHER.example", "a@b\u00fccher.example"),
        ("a@xn--bcher-kva.Example", "a@b\u00fccher.example"),
        ("a@bu\u0308cher.example", "a@b\u00fccher.example"),
        ("a@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d", "a@example.com"),
        ("a@stra\u00dfe.example", "a@stra\u00dfe.example"),
        (
            "a@\u0939\u093f\u0928\u094d\u0926\u0940.\u092d\u093e\u0930\u0924",
            "a@\u0939\u093f\u0928\u094d\u0926\u0940.\u092d\u093e\u0930\u0924",
        ),
        ("a@x.xn--zzzzzzzzzzzz", "a@x.xn--zzzzzzzzzzzz"),
    ],
)
def test_an_address_is_trimmed_composed_and_its_domain_lowered(given: str, kept: str) -> None:
    assert clean_email(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "ada@exa mple.com",
        "ada@-example.com",
        "ada@example..com",
        "ada@example.com\x00x",
        "ada\u202e@example.com",
        "a@b@c",
        "x" * 65 + "@example.com",
        "a@" + "b" * 64,
        "a@" + "b." * 130 + "c",
        "ada@example.com\r\nBcc: x@y",
        '"quoted"@example.com',
        "ada@example_.com",
    ],
)
def test_what_is_no_address_is_none(given: str) -> None:
    assert clean_email(given) is None


def test_a_name_is_trimmed_and_has_one_to_a_hundred_visible_characters() -> None:
    assert clean_name("  Ada Lovelace ") == "Ada Lovelace"
    assert (
        clean_name("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645")
        == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    )
    assert clean_name("x" * 100) == "x" * 100
    for bad in ("", "   ", "x" * 101, "a\0b", "a\nb", "a\u202eb", "\u200b\u2060"):
        with pytest.raises(BadInput):
            clean_name(bad)
