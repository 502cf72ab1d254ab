"""What a kind of operation is: ordered steps, and what takes each of them back (a saga, semantics.md).

    compensable … compensable → pivot → retry … retry

Until the pivot is done everything can be taken back, in reverse order; after it there is only forward. Whoever starts
an operation needs its plan (names alone); the worker that moves it needs the kind, made with what its steps work with.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct, field

from db import operations
from db.operations import Operation
from db.pool import Pool
from db.transaction import Writing

__all__ = ["Context", "Effect", "Kind", "NotYet", "Outside", "Plan", "Refused", "Step", "nothing_to_undo"]

Role = Literal["compensable", "pivot", "retry"]


class NotYet(Exception):
    """Something else has to happen first: the step is tried again, and nothing is wrong."""


class Refused(Exception):
    """No further attempt can help: what was done so far is taken back. The text is shown to the user."""


class Context(Struct, kw_only=True):
    """What a step knows. `attempt` counts from 1. `data` is what the operation was started with and earlier steps
    added. `outcome` is what this step's work outside came to. Effects outside are idempotent by (`id`, `step`)."""

    id: UUID
    kind: str
    user_id: UUID
    team_id: UUID | None
    step: str
    attempt: int
    data: Mapping[str, Any]
    outcome: Any = None
    progress: float = 0.0

    def report(self, progress: float) -> None:
        """Say how much of this step is done, from 0 to 1; the user hears of it within a few seconds."""
        self.progress = min(1.0, max(0.0, progress))


Effect = Callable[[Context, Writing], Awaitable[Mapping[str, Any] | None]]
"""Writes in the transaction that also records the step: either both are committed, or neither. What it returns is added
to the operation's `data`; under the key `result` it is what the user sees."""

Outside = Callable[[Context], Awaitable[Any]]
"""Acts where no transaction reaches (an object, a command to a team), before the effect, under a lease that is renewed
while it runs. It may be done more than once, and by two workers at the same moment, and must then come to the same."""


async def nothing(_context: Context, _tx: Writing) -> None:
    return


async def nothing_to_undo(_context: Context, _tx: Writing) -> None:
    """For a compensable step that leaves nothing behind."""


class Step(Struct, frozen=True, kw_only=True):
    """One step. `undo` and `undo_outside` take it back, and also succeed when it never happened or only in part."""

    name: str
    role: Role = "compensable"
    effect: Effect = nothing
    outside: Outside | None = None
    undo: Effect | None = None
    undo_outside: Outside | None = None
    pool: "Pool | None" = None
    """Whose transactions these are; by default the worker's. The role needs rights on `operations`."""


class Plan(Struct, frozen=True):
    """The name of a kind and those of its steps, in order: all that is needed to start one."""

    kind: str
    steps: tuple[str, ...]

    async def start(
        self,
        tx: Writing,
        user_id: UUID,
        *,
        team_id: UUID | None = None,
        data: Mapping[str, Any] | None = None,
        traceparent: str = "",
    ) -> Operation:
        """Start one in the transaction of its cause; see `db.operations.start`."""
        return await operations.start(
            tx, self.kind, self.steps, user_id=user_id, team_id=team_id, data=data, traceparent=traceparent
        )


ORDER: Final[Mapping[Role, int]] = {"compensable": 0, "pivot": 1, "retry": 2}


class Kind(Struct, frozen=True):
    """A plan with the steps that do it. `attempts` is how often a step that can be taken back is tried before it is.

    Raises ValueError for steps that are not the plan's, stand in another order, or could not be taken back.
    """

    plan: Plan
    steps: Sequence[Step]
    attempts: int = 8
    _by_name: dict[str, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = [ORDER[step.role] for step in self.steps]
        if tuple(step.name for step in self.steps) != self.plan.steps or not self.steps:
            raise ValueError(f"{self.plan.kind}: these are not the steps of its plan")
        if roles != sorted(roles) or roles.count(ORDER["pivot"]) > 1 or (2 in roles and 1 not in roles):
            raise ValueError(f"{self.plan.kind}: compensable steps, at most one pivot, then what is only tried again")
        for step in self.steps:
            if (step.role == "compensable") != (step.undo is not None or step.undo_outside is not None):
                raise ValueError(
                    f"{self.plan.kind}: {step.name}: compensable steps, and no others, say what undoes them"
                )
        self._by_name.update({step.name: step for step in self.steps})

    def step(self, name: str) -> Step | None:
        """The step of this name; None when another version of the program knew it."""
        return self._by_name.get(name)
