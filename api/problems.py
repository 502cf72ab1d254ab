"""Errors as RFC 9457 problem documents. The only file of the project with error status codes (a lint proves it).

`type` is `/problems/<code>` and stable; `detail` is for people; nothing here ever shows an exception we did not raise.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from api.answers import PROBLEM, Answer, Header, encode
from api.calls import BodyTooLarge, BodyTooSlow
from api.etags import version_tag
from api.ranges import NOT_SATISFIABLE, NoSuchRange
from core import errors
from core.errors import DomainError, TaskForgeError

__all__ = [
    "FIRST_ERROR",
    "HEADERS",
    "INTERNAL",
    "LAST_ERROR",
    "NOT_READY",
    "PROBLEMS",
    "REFUSED_HANDSHAKE",
    "AddressTooLong",
    "FieldsTooLarge",
    "MethodNotAllowed",
    "NoSuchPath",
    "Problem",
    "UnsupportedCoding",
    "UnsupportedMedia",
    "UpgradeRequired",
    "known_problems",
    "problem_answer",
    "status_of",
]

log = logging.getLogger(__name__)


class NoSuchPath(Exception):
    """No endpoint has this path."""


class MethodNotAllowed(Exception):
    """The path exists, but not with this method; `allowed` are those it has."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class FieldsTooLarge(Exception):
    """The header fields are together longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class AddressTooLong(Exception):
    """Path and query are together longer than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class UpgradeRequired(Exception):
    """The path is that of a WebSocket, and the request is none."""


class UnsupportedCoding(Exception):
    """The body has a content coding, such as gzip; none is read."""


class UnsupportedMedia(Exception):
    """The body is of a media type that this endpoint does not read; `expected` are those it does.

    With `charset` the type would do, and its text is in another one.
    """

    def __init__(self, *expected: str, charset: str | None = None) -> None:
        super().__init__(expected)
        self.expected, self.charset = expected, charset


class Problem(Struct, frozen=True):
    """A kind of problem: its stable code, its status, its title, and what to do about it."""

    code: str
    status: int
    title: str
    about: str


PROBLEMS: Final[dict[type[BaseException], Problem]] = {
    errors.NotFound: Problem(
        "not-found", 404, "Not found", "The thing does not exist, or you are not a member of its team: both look alike."
    ),
    errors.Forbidden: Problem(
        "forbidden", 403, "Forbidden", "You are a member, but your role or API key does not allow what is named."
    ),
    errors.InvalidReference: Problem(
        "invalid-reference", 422, "Invalid reference", "A field names something that is not there; errors[] says which."
    ),
    errors.Contradiction: Problem(
        "contradiction",
        400,
        "Contradiction",
        "Two things that were said cannot both be; errors[] says which to change.",
    ),
    errors.Conflict: Problem(
        "conflict", 409, "Conflict", "The current state forbids this; reason names the rule. Read again, then decide."
    ),
    errors.QuotaReached: Problem(
        "quota-reached",
        409,
        "Quota reached",
        "There are as many as limit says of what quota names. Let go of one first.",
    ),
    errors.StaleVersion: Problem(
        "stale-version", 412, "Stale version", "If-Match is not the current version; conflicts[] has what both changed."
    ),
    errors.StaleRead: Problem(
        "stale-read",
        412,
        "Stale read",
        "Something that the batch rests on has changed since; changed[] says what.",
    ),
    errors.KeyReused: Problem(
        "idempotency-key-reused", 422, "Idempotency key reused", "This key belongs to another request: use a new one."
    ),
    errors.KeyInFlight: Problem(
        "idempotency-key-in-flight", 409, "Idempotency key in flight", "The first request still runs: ask again soon."
    ),
    errors.AheadOfHistory: Problem(
        "ahead-of-history", 400, "Ahead of history", "The seq asked for was never handed out by this team."
    ),
    errors.HistoryRewritten: Problem(
        "history-rewritten",
        409,
        "History rewritten",
        "The team was restored: what came after its new epoch's beginning has not happened. Load its board anew.",
    ),
    errors.Unauthenticated: Problem(
        "unauthenticated", 401, "Unauthenticated", "Credentials are missing, wrong, expired or revoked: log in again."
    ),
    errors.BadInput: Problem(
        "bad-input", 400, "Bad request", "The request is malformed; parameter or errors[] says where. Do not repeat it."
    ),
    errors.TooManyAtOnce: Problem(
        "too-many-at-once",
        429,
        "Too many at once",
        "As many are open as limit says of what quota names. Close some first.",
    ),
    errors.RateLimited: Problem(
        "rate-limited",
        429,
        "Rate limited",
        "You ask too often: policy names the limit, RateLimit what is left of it. Ask again after Retry-After.",
    ),
    errors.Overloaded: Problem(
        "overloaded", 503, "Overloaded", "Too much is waiting. Nothing was changed; ask again after Retry-After."
    ),
    errors.DeadlineExceeded: Problem(
        "deadline-exceeded", 503, "Deadline exceeded", "It took too long. Repeat it with the same Idempotency-Key."
    ),
    errors.StorageUnavailable: Problem(
        "storage-unavailable", 503, "Storage unavailable", "The database is away. Repeat with the same Idempotency-Key."
    ),
    errors.ShuttingDown: Problem(
        "shutting-down", 503, "Shutting down", "This server stops; another one answers. Ask again after Retry-After."
    ),
    errors.Unavailable: Problem("unavailable", 503, "Unavailable", "Try again after Retry-After seconds."),
    NoSuchPath: Problem("no-such-path", 404, "No such path", "There is nothing at this path; see /docs."),
    MethodNotAllowed: Problem("method-not-allowed", 405, "Method not allowed", "Allow names what this path answers."),
    BodyTooLarge: Problem("body-too-large", 413, "Body too large", "Send less at once."),
    BodyTooSlow: Problem("body-too-slow", 408, "Body too slow", "Send the whole body at once, and repeat the request."),
    FieldsTooLarge: Problem("header-too-large", 431, "Header too large", "Send fewer or shorter header fields."),
    AddressTooLong: Problem("address-too-long", 414, "Address too long", "Send a shorter path and query."),
    NoSuchRange: Problem(NOT_SATISFIABLE, 416, "Range not satisfiable", "Content-Range says how long the file is."),
    UpgradeRequired: Problem(
        "upgrade-required", 426, "Upgrade required", "Open a WebSocket here (RFC 6455), version 13, over HTTP/1.1."
    ),
    UnsupportedCoding: Problem(
        "unsupported-content-coding", 415, "Unsupported content coding", "Send the body without a Content-Encoding."
    ),
    UnsupportedMedia: Problem(
        "unsupported-media-type", 415, "Unsupported media type", "Declare the Content-Type that Accept names."
    ),
}
INTERNAL: Final = Problem(
    "internal-error", 500, "Internal error", "A mistake of ours; the X-Request-ID helps us to find it."
)
FIRST_ERROR: Final = 400
LAST_ERROR: Final = 599
"""The least status of a problem."""
NOT_READY: Final = 503
"""What `/readyz` answers while the process should get no requests; its body is no problem document."""
REFUSED_HANDSHAKE: Final = 403
"""What a server answers to a WebSocket's handshake that is closed before it is accepted (the ASGI specification)."""
HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
"""What a problem of a status carries beside the headers of every answer."""


"""JSON Schema of every problem document."""


def known_problems() -> tuple[Problem, ...]:
    """Every kind there is."""
    return (*PROBLEMS.values(), INTERNAL)


Extras = tuple[str, dict[str, Any], tuple[Header, ...]]
"""(detail, members beyond the standard ones, headers)."""


def status_of(error: BaseException) -> int:
    """The status that `problem_answer` gives an error."""
    return _problem_of(error).status


def problem_answer(error: BaseException) -> Answer:
    """The answer to an error. One that nobody raised on purpose is logged, and answered as a bare 500."""
    problem = _problem_of(error)
    if problem is INTERNAL:
        log.error("unhandled exception", exc_info=error)
        return _render(INTERNAL, ("Something went wrong on our side.", {}, ()))
    return _render(problem, _extras(error))


def _problem_of(error: BaseException) -> Problem:
    return next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), INTERNAL)


def _render(problem: Problem, extras: Extras) -> Answer:
    detail, members, headers = extras
    document = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "code": problem.code,
        **members,
    }
    return Answer(problem.status, encode(document), headers, PROBLEM)


def _extras(error: BaseException) -> Extras:
    for kind, describe in _DESCRIBE.items():
        if isinstance(error, kind):
            detail, members, headers = describe(error)
            break
    else:
        detail, members, headers = (error.detail if isinstance(error, TaskForgeError) else str(error), {}, ())
    if isinstance(error, DomainError) and error.pointer is not None:
        members = members | _pointed(error.pointer, detail)
    return detail, members, headers


def _conflict(error: errors.Conflict) -> Extras:
    members: dict[str, Any] = {"reason": error.reason}
    if error.task_id is not None:
        members["task_id"] = str(error.task_id)
    if error.fields:
        members["fields"] = list(error.fields)
    return (error.detail, members, ())


def _quota(error: errors.QuotaReached) -> Extras:
    return (error.detail, {"quota": error.quota, "limit": error.limit}, ())


def _at_once(error: errors.TooManyAtOnce) -> Extras:
    members = {"quota": error.quota, "limit": error.limit}
    return (error.detail, members, ((b"retry-after", b"%d" % error.retry_after),))


def _rate(error: errors.RateLimited) -> Extras:
    members = {"policy": error.policy, "limit": error.limit}
    return (error.detail, members, ((b"retry-after", b"%d" % error.retry_after),))


def _pointed(pointer: str, detail: str) -> dict[str, Any]:
    return {"errors": [{"pointer": pointer, "detail": detail}]}


def _stale(error: errors.StaleVersion) -> Extras:
    conflicts = [
        {"field": one.field, "base": one.base, "theirs": one.theirs, "yours": one.yours} for one in error.conflicts
    ]
    members = {"current_version": error.current, "base_known": error.base_known, "conflicts": conflicts}
    return (error.detail, members, ((b"etag", version_tag(error.epoch, error.current)),))


def _stale_read(error: errors.StaleRead) -> Extras:
    return (error.detail, {"seq": error.current, "changed": error.changed}, ())


def _rewritten(error: errors.HistoryRewritten) -> Extras:
    return (error.detail, {"epoch": error.epoch, "seq": error.seq}, ())


def _bad_input(error: errors.BadInput) -> Extras:
    if error.pointer is not None:
        return (error.detail, _pointed(error.pointer, error.detail), ())
    members = {} if error.parameter is None else {"parameter": error.parameter}
    return (error.detail, members, ())


def _method(error: MethodNotAllowed) -> Extras:
    allowed = ", ".join(error.allowed)
    return (f"This path answers {allowed}.", {}, ((b"allow", allowed.encode()),))


def _media(error: UnsupportedMedia) -> Extras:
    expected = ", ".join(error.expected)
    coded = "" if error.charset is None else f" in {error.charset}: say so, or leave the charset out"
    return (f"The body must be {expected}{coded}.", {}, ((b"accept", expected.encode()),))


_DESCRIBE: Final[dict[type[BaseException], Callable[[Any], Extras]]] = {
    errors.StaleVersion: _stale,
    errors.StaleRead: _stale_read,
    errors.HistoryRewritten: _rewritten,
    errors.BadInput: _bad_input,
    errors.Conflict: _conflict,
    errors.QuotaReached: _quota,
    errors.TooManyAtOnce: _at_once,
    errors.RateLimited: _rate,
    errors.Forbidden: lambda error: (error.detail, {"permission": error.permission}, ()),
    errors.KeyInFlight: lambda error: (error.detail, {}, ((b"retry-after", b"1"),)),
    errors.Unauthenticated: lambda error: (error.detail, {}, ((b"www-authenticate", b'Bearer realm="taskforge"'),)),
    errors.Unavailable: lambda error: (error.detail, {}, ((b"retry-after", b"%d" % error.retry_after),)),
    NoSuchPath: lambda _: ("There is nothing at this path.", {}, ()),
    MethodNotAllowed: _method,
    UnsupportedMedia: _media,
    FieldsTooLarge: lambda error: (f"The header fields must be at most {error.limit} bytes.", {}, ()),
    AddressTooLong: lambda error: (f"Path and query must be at most {error.limit} bytes.", {}, ()),
    NoSuchRange: lambda error: ("The file has no such part.", {}, ((b"content-range", b"bytes */%d" % error.size),)),
    UpgradeRequired: lambda _: ("This is the address of a WebSocket.", {}, ((b"upgrade", b"websocket"),)),
    UnsupportedCoding: lambda _: ("The body must have no content coding.", {}, ((b"accept-encoding", b"identity"),)),
    BodyTooSlow: lambda error: (f"The body must arrive within {error.seconds:g} seconds.", {}, ()),
    BodyTooLarge: lambda error: (f"The body must be at most {error.limit} bytes.", {}, ()),
}
