"""What can go wrong, drawn once. Codes and data only; `api/problems.py` alone knows HTTP.

TaskForgeError
├── DomainError                what a team's actor decided against a command (stored with an idempotency key)
│   ├── NotFound               the thing does not exist, or not for this principal
│   ├── Forbidden              a member, but the role or the API key does not allow it
│   ├── InvalidReference       a field names something that is not there (assignee, label, parent, neighbour)
│   ├── Contradiction          two things that were said of a task cannot both be (a column and a status, two due dates)
│   ├── Conflict               the state forbids it (`reason` says which rule)
│   ├── QuotaReached           there are as many as there may be (`quota` says of what)
│   ├── StaleVersion           If-Match named a version that is not the current one
│   ├── StaleRead              what a batch rests on has changed since
│   └── HistoryRewritten       a position was named that belongs to an epoch before the team's
├── KeyReused                  the idempotency key was used with another request
├── KeyInFlight                the first request with this key is still running
├── AheadOfHistory             a seq was asked for that was never handed out
├── Unauthenticated            no valid credentials
├── BadInput                   the request itself is malformed
├── TooManyAtOnce              as much is open at this moment as may be (`quota` says of what)
├── RateLimited                asked too often within a time (`policy` says by which limit)
└── Unavailable                try again later
    ├── Overloaded             the mailbox is full
    ├── DeadlineExceeded       dropped unexecuted, or its outcome was not known in time
    ├── StorageUnavailable     Postgres cannot be reached
    └── ShuttingDown           the process drains
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from core.quotas import Quota

ConflictReason = Literal[
    "archived",
    "not-archived",
    "cycle",
    "external-id-taken",
    "team-exists",
    "last-owner",
    "name-taken",
    "already-member",
    "already-invited",
    "wip-limit",
    "no-column",
    "column-closing",
    "column-not-empty",
    "last-column",
    "email-taken",
    "identity-taken",
    "last-way-in",
    "export-running",
    "bootstrap-running",
    "reports-running",
    "series-passed-on",
    "nothing-to-undo",
    "undo-conflict",
    "undo-redacted",
    "already-attached",
    "upload-missing",
    "upload-differs",
    "webhook-disabled",
    "too-many-rotations",
    "too-old",
    "constraint",
]


class TaskForgeError(Exception):
    """Base of every error this system raises on purpose.

    `code` is stable and public; `detail` is a sentence for a person and never holds secrets.
    """

    code: ClassVar[str] = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class DomainError(TaskForgeError):
    """A team's rules refused a command; neighbours in the batch are untouched.

    `pointer` (RFC 6901) names the part of the request that was refused, where there is one.
    """

    pointer: str | None = None

    def within(self, place: str) -> None:
        """Say that what was refused stands at `place` of a larger request."""
        self.pointer = place + (self.pointer or "")


class NotFound(DomainError):
    """`what` is the kind of thing ("team", "task"), never its id: a foreign id looks like a random one."""

    code = "not-found"

    def __init__(self, what: str) -> None:
        super().__init__(f"No such {what}.")
        self.what = what


class Forbidden(DomainError):
    """The role in the team does not carry `permission`, or the API key that asks does not reach that far."""

    code = "forbidden"

    def __init__(self, permission: str, detail: str | None = None) -> None:
        super().__init__(detail or f"Your role in this team does not allow {permission}.")
        self.permission = permission


class InvalidReference(DomainError):
    """`pointer` names the field whose value points at nothing."""

    code = "invalid-reference"

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Contradiction(DomainError):
    """The request says two things that cannot both be, or one that what it leaves as it is does not allow.

    `pointer` names the field to change. It is the request that is wrong, so that no answer is kept for its key.
    """

    code = "contradiction"

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


class Conflict(DomainError):
    """The current state forbids the command; `reason` is the stable rule name.

    `task_id` is the task that stands in the way, where it is one; `fields` are those that do, of the task itself.
    """

    code = "conflict"

    def __init__(
        self,
        reason: ConflictReason,
        detail: str,
        *,
        pointer: str | None = None,
        task_id: UUID | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.reason, self.pointer, self.task_id, self.fields = reason, pointer, task_id, fields


class QuotaReached(DomainError):
    """There are `limit` of what `quota` counts: one has to go before there can be another."""

    code = "quota-reached"

    def __init__(self, quota: Quota, limit: int, detail: str) -> None:
        super().__init__(detail)
        self.quota, self.limit = quota, limit


class FieldConflict:
    """One field that both sides changed: the value the client started from, the current one, and the wanted one."""

    __slots__ = ("base", "field", "theirs", "yours")

    def __init__(self, field: str, base: Any, theirs: Any, yours: Any) -> None:
        self.field, self.base, self.theirs, self.yours = field, base, theirs, yours


class StaleVersion(DomainError):
    """If-Match named `expected`, the task (or a comment on it, as `what` says) is at `current`.

    `yours` holds the fields the client wanted to set. `epoch` is the team's, `expected_epoch` that in which the client
    saw its version. `conflicts` is filled in by the actor from the journal: fields changed since `expected` that the
    client also sets. A version of a history that was taken back is in no journal: `base_known` is false then, and every
    field with another value conflicts.
    """

    code = "stale-version"

    def __init__(
        self,
        task_id: UUID,
        expected: int,
        current: int,
        yours: Mapping[str, Any],
        theirs: Mapping[str, Any],
        *,
        epoch: int = 1,
        expected_epoch: int = 1,
        what: str = "task",
    ) -> None:
        super().__init__(_stale_detail(what, expected, current, epoch, expected_epoch))
        self.task_id = task_id
        self.expected, self.current = expected, current
        self.epoch, self.expected_epoch = epoch, expected_epoch
        self.yours, self.theirs = yours, theirs
        self.conflicts: tuple[FieldConflict, ...] = ()
        self.base_known = True


def _stale_detail(what: str, expected: int, current: int, epoch: int, expected_epoch: int) -> str:
    if epoch != expected_epoch:
        return (
            f"The team's history was restored to an earlier state: the {what} is at version {current} of epoch "
            f"{epoch}, not {expected} of epoch {expected_epoch}."
        )
    if current != expected:
        return f"The {what} is at version {current}, not {expected}."
    return f"If-Match has no strong ETag of the {what}'s version {current}."


class StaleRead(DomainError):
    """A batch rests on the team as it was at `expected`; the team is at `current`, and `changed` has changed between.

    `whole` says that all of the team was read: the actor then adds to `changed` what the journal names, as far as it
    fits into a problem.
    """

    code = "stale-read"

    def __init__(self, expected: int, current: int, changed: tuple[UUID, ...], *, whole: bool = False) -> None:
        super().__init__(f"Something that this batch rests on has changed since {expected}: the team is at {current}.")
        self.expected, self.current = expected, current
        self.changed, self.whole = changed, whole


class KeyReused(TaskForgeError):
    """Same idempotency key, other fingerprint."""

    code = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used with a different request.")


class KeyInFlight(TaskForgeError):
    """The first request with this key has not finished; retry after a second."""

    code = "idempotency-key-in-flight"

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key is still being worked on.")


class AheadOfHistory(TaskForgeError):
    """A client asked for a `seq` that the journal has not reached: it was never handed out."""

    code = "ahead-of-history"

    def __init__(self, wanted: int, seq: int, *, epoch: int | None = None, wanted_epoch: int | None = None) -> None:
        """The epochs are named when the client named one that the team has not had."""
        names = f"{wanted_epoch}:{wanted}" if wanted_epoch is not None else f"{wanted}"
        place = f"seq {seq}" if epoch is None else f"{epoch}:{seq}"
        super().__init__(f"This team is at {place}; {names} was never handed out.")
        self.wanted, self.seq = wanted, seq


class HistoryRewritten(DomainError):
    """A client named a position of an epoch before the team's: what it knows may not have happened.

    The team is at `seq` of `epoch`.
    """

    code = "history-rewritten"

    def __init__(self, epoch: int, seq: int) -> None:
        super().__init__(
            f"The team was restored, and is now at {epoch}:{seq}: what was after the place you name may not have "
            "happened. Load its board anew."
        )
        self.epoch, self.seq = epoch, seq


class Unauthenticated(TaskForgeError):
    """Credentials are missing, malformed, expired or revoked; the detail never says which part failed."""

    code = "unauthenticated"


class BadInput(TaskForgeError):
    """The request is malformed; `pointer` (RFC 6901) or `parameter` says where, when known."""

    code = "bad-input"

    def __init__(self, detail: str, *, pointer: str | None = None, parameter: str | None = None) -> None:
        super().__init__(detail)
        self.pointer, self.parameter = pointer, parameter


class TooManyAtOnce(TaskForgeError):
    """`limit` of what `quota` counts are open now; some will be free again, perhaps in `retry_after` seconds."""

    code = "too-many-at-once"

    def __init__(self, quota: Quota, limit: int, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.quota, self.limit, self.retry_after = quota, limit, retry_after


class RateLimited(TaskForgeError):
    """More than `limit` requests in the window of `policy`; the next one is admitted in `retry_after` seconds."""

    code = "rate-limited"

    def __init__(self, policy: str, limit: int, retry_after: int) -> None:
        super().__init__(f"There may be no more than {limit} such requests in a while: ask again after Retry-After.")
        self.policy, self.limit, self.retry_after = policy, limit, retry_after


class Unavailable(TaskForgeError):
    """Nothing is wrong with the request; `retry_after` is in seconds."""

    code = "unavailable"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """The team's mailbox is full."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The command waited past its deadline."""

    code = "deadline-exceeded"


class StorageUnavailable(Unavailable):
    """Postgres cannot be reached, or refused to commit."""

    code = "storage-unavailable"


class ShuttingDown(Unavailable):
    """The process is draining; another one will answer."""

    code = "shutting-down"
