"""Errors become problem documents: every one of ours, and nothing of anybody else's."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from api.answers import PROBLEM
from api.binding import pointer_of
from api.problems import PROBLEMS, known_problems, problem_answer
from core import errors
from core.errors import TaskForgeError
from tests.support.desk import Desk

ID = UUID("019a0000-0000-7000-8000-000000000001")


def leaves(kind: type[TaskForgeError]) -> Iterator[type[TaskForgeError]]:
    """The errors that are raised: those without subclasses in `core.errors`, and those that stand for themselves."""
    children = [child for child in kind.__subclasses__() if child.__module__ == "core.errors"]
    if not children or kind is errors.Unavailable:
        yield kind
    for child in children:
        yield from leaves(child)


def example(kind: type[TaskForgeError]) -> TaskForgeError:
    arguments: dict[type[TaskForgeError], tuple[Any, ...]] = {
        errors.NotFound: ("task",),
        errors.Forbidden: ("write_tasks",),
        errors.InvalidReference: ("/parent_id", "No such task."),
        errors.Contradiction: ("/status", "The column is not of that status."),
        errors.Conflict: ("cycle", "Round and round."),
        errors.StaleVersion: (ID, 3, 5, {}, {}),
        errors.StaleRead: (3, 5, (ID,)),
        errors.QuotaReached: ("labels-per-team", 200, "Enough."),
        errors.TooManyAtOnce: ("feeds-per-user", 50, "Enough.", 10),
        errors.RateLimited: ("login", 10, 41),
        errors.KeyReused: (),
        errors.KeyInFlight: (),
        errors.AheadOfHistory: (9, 5),
        errors.HistoryRewritten: (2, 5),
    }
    return kind(*arguments.get(kind, ("A sentence.",)))


@pytest.mark.parametrize("kind", list(leaves(TaskForgeError)), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_error_tree_is_mapped(kind: type[TaskForgeError]) -> None:
    assert PROBLEMS[kind].code == kind.code
    answer = problem_answer(example(kind))
    assert 400 <= answer.status < 600
    assert answer.status == PROBLEMS[kind].status
    assert answer.media_type == PROBLEM


def test_codes_are_unique_and_fit_for_addresses() -> None:
    codes = [problem.code for problem in known_problems()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert all(problem.about and problem.title for problem in known_problems())


def test_an_error_nobody_raised_on_purpose_shows_nothing() -> None:
    answer = problem_answer(ZeroDivisionError("the password is hunter2"))
    assert answer.status == 500
    assert b"hunter2" not in answer.body


def test_a_subclass_is_mapped_like_its_parent() -> None:
    class Special(errors.StorageUnavailable):
        """Known to nobody."""

    answer = problem_answer(Special("Away."))
    assert (answer.status, dict(answer.headers)[b"retry-after"]) == (503, b"1")


@pytest.mark.parametrize(
    ("place", "pointer"),
    [("$", ""), ("$.a", "/a"), ("$.a[0].b", "/a/0/b"), ("$[...]", "/..."), ("$.a[12][3]", "/a/12/3")],
)
def test_a_place_becomes_a_pointer(place: str, pointer: str) -> None:
    assert pointer_of(place) == pointer


@pytest.mark.anyio
async def test_every_problem_type_has_a_page(desk: Desk) -> None:
    for problem in known_problems():
        answer = await desk.client.get(f"/problems/{problem.code}")
        assert answer.status_code == 200
        assert problem.title in answer.text
    assert (await desk.client.get("/problems/unheard-of")).status_code == 404
