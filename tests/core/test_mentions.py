"""Who is mentioned in a text, how that is stored, and what is shown of it."""

import time
from uuid import UUID

import pytest

from core.comment import COMMENT_BYTES
from core.mentions import FORMER_MEMBER, MOST_MENTIONS, resolve, with_names

ADA, ADA_LOVE, BOB, EMIL, SAME_ONE, SAME_TWO, GONE = (UUID(int=number) for number in range(1, 8))
MEMBERS = {
    ADA: "Ada",
    ADA_LOVE: "Ada Lovelace",
    BOB: "Bob",
    EMIL: "Émil Straße",
    SAME_ONE: "Kim",
    SAME_TWO: "KIM",
}


def at(user_id: UUID) -> str:
    return f"<@{user_id}>"


@pytest.mark.parametrize(
    ("written", "stored", "mentioned"),
    [
        ("nobody", "nobody", ()),
        ("@Bob", at(BOB), (BOB,)),
        ("@bOB, look", f"{at(BOB)}, look", (BOB,)),
        ("(@Bob)", f"({at(BOB)})", (BOB,)),
        ("@Bob's", f"{at(BOB)}'s", (BOB,)),
        ("@Ada and @Ada Lovelace", f"{at(ADA)} and {at(ADA_LOVE)}", (ADA, ADA_LOVE)),
        ("@Ada Lovelaces", f"{at(ADA)} Lovelaces", (ADA,)),
        ("@Ada @Ada", f"{at(ADA)} {at(ADA)}", (ADA,)),
        ("@ÉMIL STRASSE!", f"{at(EMIL)}!", (EMIL,)),
        ("@E\u0301mil Straße", at(EMIL), (EMIL,)),
        ("@Bobby", "@Bobby", ()),
        ("@Bob_", "@Bob_", ()),
        ("bob@Bob.example", "bob@Bob.example", ()),
        ("@@Bob", "@@Bob", ()),
        (r"\@Bob", r"\@Bob", ()),
        ("@Kim", "@Kim", ()),
        ("@", "@", ()),
        ("@ Bob", "@ Bob", ()),
        (f"{at(BOB)} by id", f"{at(BOB)} by id", (BOB,)),
        (f"{at(GONE)} is a stranger", f"{at(GONE)} is a stranger", ()),
        ("<@Bob>", f"<{at(BOB)}>", (BOB,)),
        ("@émil, look", f"{at(EMIL)}, look", (EMIL,)),
        ("@Émil Strasser", f"{at(EMIL)} Strasser", (EMIL,)),
        ("@Émi", "@Émi", ()),
        ("@Straße", "@Straße", ()),
    ],
)
def test_a_name_is_stored_as_the_id_of_its_only_bearer(written: str, stored: str, mentioned: tuple[UUID, ...]) -> None:
    assert resolve(written, MEMBERS) == (stored, mentioned)


def test_an_ambiguous_name_is_whoever_the_comment_has_mentioned_before() -> None:
    assert resolve("@Kim", MEMBERS, before=(SAME_TWO,)) == (at(SAME_TWO), (SAME_TWO,))
    assert resolve("@Kim", MEMBERS, before=(SAME_ONE, SAME_TWO)) == ("@Kim", ())


def test_the_first_words_of_a_name_are_enough_where_they_mean_one_member_only() -> None:
    li, maria, mario, kim = (UUID(int=number) for number in range(20, 24))
    crowd = {li: "李小龙 🐉", maria: "Maria del Carmen", mario: "Maria del Pilar", kim: "Kim Lee", BOB: "Kim"}
    assert resolve("@李小龙 看", crowd) == (f"{at(li)} 看", (li,))
    assert resolve("@李小龙 🐉!", crowd) == (f"{at(li)}!", (li,))
    assert resolve("@Maria", crowd) == ("@Maria", ())
    assert resolve("@maria del", crowd) == ("@maria del", ())
    assert resolve("@Maria del", crowd, before=(mario,)) == (at(mario), (mario,))
    assert resolve("@Maria del Pilar", crowd) == (at(mario), (mario,))
    assert resolve("@Kim", crowd) == (at(BOB), (BOB,)), "whose whole name it is"
    assert resolve("@Kim Le", crowd) == (f"{at(BOB)} Le", (BOB,))


def test_first_words_that_several_have_hide_no_name_that_one_has() -> None:
    one, other = UUID(int=20), UUID(int=21)
    crowd = {BOB: "Kim", one: "Kim Lee Ann", other: "Kim Lee Bea"}
    assert resolve("@Kim Lee", crowd) == (f"{at(BOB)} Lee", (BOB,))


def test_somebody_who_has_left_stays_mentioned_by_their_id() -> None:
    assert resolve(at(GONE), MEMBERS, before=(GONE,)) == (at(GONE), (GONE,))


def test_what_is_stored_is_shown_with_the_names_of_today() -> None:
    stored, mentioned = resolve("@Ada Lovelace asks @bob", MEMBERS)
    assert with_names(stored, mentioned, MEMBERS) == "@Ada Lovelace asks @Bob"
    assert with_names(stored, mentioned, {BOB: "Robert"}) == f"@{FORMER_MEMBER} asks @Robert"


def test_an_id_that_nobody_resolved_is_shown_as_it_was_written() -> None:
    assert with_names(f"{at(GONE)} {at(BOB)}", (BOB,), {**MEMBERS, GONE: "Not me"}) == f"{at(GONE)} @Bob"


def test_more_people_than_one_comment_may_mention_stay_names() -> None:
    crowd = {UUID(int=100 + number): f"P{number:03}" for number in range(MOST_MENTIONS + 5)}
    stored, mentioned = resolve(" ".join(f"@{name}" for name in crowd.values()), crowd)
    assert mentioned == tuple(crowd)[:MOST_MENTIONS]
    assert stored.endswith(f"@P{MOST_MENTIONS + 4:03}")
    assert resolve(f"{stored} @P000", crowd)[1] == mentioned, "one more of the same is no other person"


def test_what_is_stored_is_never_longer_than_a_comment_may_be() -> None:
    full = "@Bob " * (COMMENT_BYTES // 5 - 1_000)
    stored, mentioned = resolve(full, MEMBERS)
    assert mentioned == (BOB,)
    assert len(full) < len(stored.encode()) <= COMMENT_BYTES
    assert with_names(stored, mentioned, MEMBERS) == full


@pytest.mark.parametrize("text", ["(@", "@", "@a", "@a ", "<@", f"{at(GONE)}@", "@" + "a" * 99 + " "])
def test_a_hostile_text_does_not_hold_the_loop(text: str) -> None:
    crowd = {UUID(int=100 + number): "a" * (1 + number % 100) + f"{number}" for number in range(500)}
    hostile = (text * COMMENT_BYTES)[:COMMENT_BYTES]
    began = time.process_time()
    stored, _ = resolve(hostile, crowd)
    assert time.process_time() - began < 0.5, "25 ms are usual for the worst"
    assert len(stored.encode()) <= COMMENT_BYTES


MARKED = "a" + "\u0334\u0301\u0316" * 33


@pytest.mark.parametrize("name", [MARKED, "a" * 100, "\u1e09" * 100, "a" + "\u0301" * 30 + "b" * 60])
def test_a_hostile_name_does_not_hold_the_loop(name: str) -> None:
    began = time.process_time()
    for written in (name[:31], name, name[:-1]):
        resolve(f"@{written} " * (COMMENT_BYTES // (2 * len(written) + 3)), {BOB: name})
    assert time.process_time() - began < 0.5, "30 ms are usual for the worst"


@pytest.mark.parametrize("written", ["\u01f0\u0323", "J\u030c\u0323", "j\u0323\u030c"])
def test_marks_in_another_order_are_the_same_name(written: str) -> None:
    assert resolve(f"@{written}o", {BOB: "\u01f0\u0323o"}) == (at(BOB), (BOB,))
