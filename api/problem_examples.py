"""An example of every problem document, rendered as the real ones are."""

import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from api.calls import BodyTooLarge, BodyTooSlow
from api.problems import (
    AddressTooLong,
    FieldsTooLarge,
    MethodNotAllowed,
    NoSuchPath,
    UnsupportedCoding,
    UnsupportedMedia,
    UpgradeRequired,
    known_problems,
    problem_answer,
)
from core import errors
from core.errors import FieldConflict

__all__ = ["problem_examples"]

_TASK: Final = UUID("019a3b1e-6d00-7000-8000-00000000002a")


def _stale() -> errors.StaleVersion:
    error = errors.StaleVersion(_TASK, 112, 117, {"title": "Ship it"}, {"title": "Ship the board"})
    error.conflicts = (FieldConflict("title", "Ship", "Ship the board", "Ship it"),)
    return error


def _raised() -> Iterator[BaseException]:
    """One error of each kind whose document has more to show than its code and a sentence."""
    yield errors.NotFound("task")
    yield errors.Forbidden("write_tasks")
    yield errors.InvalidReference("/assignee_id", "No such member.")
    yield errors.Conflict("not-archived", "This task is not archived.")
    yield errors.QuotaReached("labels-per-team", 200, "This team has 200 labels, as many as it may have.")
    yield _stale()
    yield errors.KeyReused()
    yield errors.KeyInFlight()
    yield errors.AheadOfHistory(130, 117)
    yield errors.HistoryRewritten(2, 117)
    yield errors.BadInput("Expected `str`, got `int`.", pointer="/title")
    yield errors.TooManyAtOnce("feeds-per-user", 50, "You have 50 feeds open, as many as you may have.", 10)
    yield errors.RateLimited("login", 10, 41)
    yield NoSuchPath()
    yield MethodNotAllowed(("GET", "PATCH"))
    yield BodyTooLarge(1_048_576)
    yield BodyTooSlow(10.0)
    yield FieldsTooLarge(16_384)
    yield AddressTooLong(8_192)
    yield UpgradeRequired()
    yield UnsupportedCoding()
    yield UnsupportedMedia("application/json")


def problem_examples() -> dict[str, dict[str, Any]]:
    """A problem document for every code that is known. Where there is nothing to fill in, `detail` is what to do."""
    found = {
        problem.code: {
            "type": f"/problems/{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.about,
            "code": problem.code,
        }
        for problem in known_problems()
    }
    rendered = [json.loads(problem_answer(error).body) for error in _raised()]
    return found | {document["code"]: document for document in rendered}
