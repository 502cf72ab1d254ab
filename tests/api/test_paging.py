"""Cursors: what they give back, and that a forged one is bad input and nothing worse."""

import base64
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from api import paging
from api.paging import (
    ACTIVITY,
    LABELS,
    MEMBERS,
    NOTIFICATIONS,
    SESSIONS,
    TEAMS,
    VERSION,
    Cursors,
    page_json,
    page_of,
    task_cursor,
    task_place,
)
from core.errors import BadInput
from core.query import SORT_FIELDS, SortField, TaskQuery, sort_key
from core.seq import MAX_SEQ
from core.task import Task
from tests.support.core_team import CoreTeam

SOME = UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY_LIST: list[tuple[Cursors[Any], Any]] = [
    (ACTIVITY, (1, 12)),
    (ACTIVITY, (2, MAX_SEQ)),
    (LABELS, ("straße", SOME)),
    (MEMBERS, (NOON, SOME)),
    (NOTIFICATIONS, SOME),
    (SESSIONS, SOME),
    (TEAMS, SOME),
]


@pytest.fixture(scope="module")
def team() -> CoreTeam:
    team = CoreTeam()
    team.task("Parent", priority="urgent", estimate=3.0)
    team.task("Überfällig", due_at=datetime(2026, 1, 1, tzinfo=UTC), description="needs COFFEE")
    team.task("😀" * 500)
    return team


@pytest.mark.parametrize(("cursors", "place"), EVERY_LIST)
def test_a_cursor_gives_its_place_back(cursors: Cursors[Any], place: Any) -> None:
    token = cursors.write(place)
    assert token.isascii()
    assert "=" not in token
    assert cursors.read(token) == place


@pytest.mark.parametrize(("cursors", "place"), EVERY_LIST)
def test_a_cursor_of_another_list_is_refused(cursors: Cursors[Any], place: Any) -> None:
    for other, _ in EVERY_LIST:
        if other is not cursors:
            with pytest.raises(BadInput) as refused:
                other.read(cursors.write(place))
            assert refused.value.parameter == "cursor"


def test_a_cursor_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    token = TEAMS.write(SOME)
    monkeypatch.setattr(paging, "VERSION", VERSION + 1)
    with pytest.raises(BadInput, match="first page"):
        TEAMS.read(token)


OLD: list[tuple[Cursors[Any], str]] = [
    (TEAMS, str(SOME)),
    (MEMBERS, str(SOME)),
    (LABELS, str(SOME)),
    (SESSIONS, base64.urlsafe_b64encode(SOME.bytes).rstrip(b"=").decode()),
    (NOTIFICATIONS, base64.urlsafe_b64encode(SOME.bytes).rstrip(b"=").decode()),
    (ACTIVITY, base64.urlsafe_b64encode(b"s117").rstrip(b"=").decode()),
]


@pytest.mark.parametrize(("cursors", "token"), OLD)
def test_a_cursor_from_before_there_were_versions_is_told_what_to_do(cursors: Cursors[Any], token: str) -> None:
    with pytest.raises(BadInput, match="begin with the first page"):
        cursors.read(token)


def test_a_task_cursor_from_before_there_were_versions_is_told_what_to_do() -> None:
    old = base64.urlsafe_b64encode(msgspec.msgpack.encode(["title", True, False, "a", SOME])).rstrip(b"=").decode()
    with pytest.raises(BadInput, match="begin with the first page"):
        task_place(old, "title", descending=True)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("field", SORT_FIELDS)
def test_a_task_cursor_gives_its_sort_key_back(team: CoreTeam, field: SortField, descending: bool) -> None:
    for task in team.state.tasks.values():
        key = sort_key(task, field)
        for epoch in (paging.NO_EPOCH, 1, MAX_SEQ):
            token = task_cursor(TaskQuery(sort=field, descending=descending), key, epoch)
            assert len(token) <= paging.LONGEST_CURSOR
            assert task_place(token, field, descending=descending) == (key, epoch)


def test_a_cursor_of_another_order_is_refused(team: CoreTeam) -> None:
    key = sort_key(next(iter(team.state.tasks.values())), "title")
    token = task_cursor(TaskQuery(sort="title", descending=True), key)
    orders: list[tuple[SortField, bool]] = [("title", False), ("number", True)]
    for field, descending in orders:
        with pytest.raises(BadInput) as refused:
            task_place(token, field, descending=descending)
        assert refused.value.parameter == "cursor"


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).rstrip(b"=").decode()


def forged_task(sort: str, *rest: Any) -> str:
    return forged(VERSION, "tasks", [sort, True, *rest])


@pytest.mark.parametrize(
    ("sort", "token"),
    [
        ("title", "not a cursor"),
        ("title", "é"),
        ("title", ""),
        ("title", "A"),
        ("title", forged()),
        ("title", forged(VERSION, "tasks")),
        ("title", forged(VERSION, "tasks", None)),
        ("title", forged(2**64 - 1, "tasks", ["title", True, False, "a", SOME])),
        ("title", forged("1", "tasks", ["title", True, False, "a", SOME])),
        ("title", forged(VERSION, ["tasks"], ["title", True, False, "a", SOME])),
        ("title", forged(VERSION, "teams", SOME)),
        ("title", forged_task("title", False, 5, SOME)),
        ("title", forged_task("title", False, "a\0b", SOME)),
        ("rank", forged_task("rank", False, None, SOME)),
        ("number", forged_task("number", False, True, SOME)),
        ("number", forged_task("number", False, -1, SOME)),
        ("number", forged_task("number", False, 2**63, SOME)),
        ("priority", forged_task("priority", False, -(2**31) - 1, SOME)),
        ("priority", forged_task("priority", False, 2**31, SOME)),
        ("number", forged_task("number", False, 1.5, SOME)),
        ("estimate", forged_task("estimate", False, "1", SOME)),
        ("estimate", forged_task("estimate", False, True, SOME)),
        ("estimate", forged_task("estimate", False, float("nan"), SOME)),
        ("created_at", forged_task("created_at", False, "2026-01-01", SOME)),
        ("created_at", forged_task("created_at", False, datetime(1, 1, 1, tzinfo=UTC), SOME)),
        ("created_at", forged_task("created_at", False, datetime(9999, 12, 31, tzinfo=UTC), SOME)),
        ("due_at", forged_task("due_at", True, datetime(2026, 1, 1, tzinfo=UTC), SOME)),
        ("due_at", forged_task("due_at", True, False, SOME)),
        ("title", forged_task("title", True, "a", SOME)),
        ("title", forged_task("title", False, [["a"]], SOME)),
        ("title", base64.urlsafe_b64encode(b"\x93\x01\xa5tasks\x95\xa5title\xc3\xc2" + b"\x91" * 20_000).decode()),
        ("title", base64.urlsafe_b64encode(b"\x93\x01\xa5tasks" + b"\x91" * 20_000).decode()),
        ("title", base64.urlsafe_b64encode(b"\x93\x01\xa5tasks\x95\xa5title\xc3\xc2\xa2\xed\xa0\xc4\x00").decode()),
        ("title", forged_task("title", False, "a", "no id")),
        ("title", forged_task("colour", False, "a", SOME)),
    ],
)
def test_a_forged_cursor_is_bad_input_and_nothing_worse(sort: SortField, token: str) -> None:
    with pytest.raises(BadInput) as refused:
        task_place(token, sort, descending=True)
    assert refused.value.parameter == "cursor"


@pytest.mark.parametrize(
    ("cursors", "place"),
    [
        (ACTIVITY, (1, 0)),
        (ACTIVITY, (0, 1)),
        (ACTIVITY, 12),
        (ACTIVITY, (1, MAX_SEQ + 1)),
        (ACTIVITY, (1, "12")),
        (ACTIVITY, (1, True)),
        (TEAMS, 12),
        (TEAMS, "x"),
        (TEAMS, b"x" * 15),
        (MEMBERS, ["2026-01-01T12:00:00", SOME]),
        (MEMBERS, [NOON]),
        (LABELS, [1, SOME]),
    ],
)
def test_a_place_that_no_item_has_is_bad_input(cursors: Cursors[Any], place: Any) -> None:
    with pytest.raises(BadInput):
        cursors.read(forged(VERSION, cursors._name, place))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([*(cursors for cursors, _ in EVERY_LIST), paging._TASKS]), st.binary(max_size=60))
def test_random_bytes_never_break_more_than_the_request(cursors: Cursors[Any], raw: bytes) -> None:
    prefix = msgspec.msgpack.encode([VERSION, cursors._name, None])[:-1]
    for token in (raw, prefix + raw):
        try:
            cursors.read(base64.urlsafe_b64encode(token).decode())
        except BadInput:
            continue


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(SORT_FIELDS), st.booleans(), plain)
def test_whatever_a_cursor_says_it_compares_with_every_task(sort: SortField, missing: bool, value: Any) -> None:
    try:
        key, _ = task_place(forged_task(sort, missing, value, SOME), sort, descending=True)
    except BadInput:
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    bare = Task(
        id=SOME, team_id=SOME, number=1, key="E-1", title="T", rank="a0", created_by=SOME, created_at=start,
        updated_at=start, version=1,
    )  # fmt: skip
    for task in (bare, structs.replace(bare, due_at=start, estimate=2.0)):
        assert (sort_key(task, sort) < key) in {True, False}


@pytest.mark.parametrize("count", [0, 3, 4])
def test_one_item_more_than_the_limit_says_that_there_is_a_next_page(count: int) -> None:
    found = list(range(count))
    random.Random(count).shuffle(found)
    shown, last = page_of(found, 3)
    assert (list(shown), last) == ((found[:3], found[2]) if count > 3 else (found, None))


def test_a_page_is_written_as_json() -> None:
    assert page_json([], None) == b'{"items":[],"next_cursor":null}'
    assert page_json([b"1", b"{}"], "abc") == b'{"items":[1,{}],"next_cursor":"abc"}'
