"""Asks a team for what a file wishes: in batches, falling back to single commands to find the guilty row."""

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Struct

from actors.envelope import CommandResult
from api.auth.emails import clean_email
from api.problems import status_of
from api.services import Services
from core.ask import Ask
from core.commands import BATCH_LIMIT, AnyCommand, Batch, CreateLabel, CreateTask, UpdateTask
from core.errors import Conflict, DomainError, Unavailable
from core.principal import Principal
from core.rights import check_allowed
from core.task import Task
from core.team import TeamState
from core.text import fold_name
from core.writes import StoredReply
from db.people import directory
from taskforge.transfer.cells import Wish
from taskforge.transfer.files import Reject
from taskforge.transfer.planning import Known, Plan, by_name, column_of, link, named, plan
from taskforge.transfer.targets import SECONDS, Target

__all__ = ["Importer", "Tally"]

ATTEMPTS: Final = 6
BATCH_BYTES: Final = 512 * 1024
COLORS: Final = ("#2563eb", "#16a34a", "#d97706", "#dc2626", "#9333ea", "#0891b2", "#be185d", "#4b5563")
LOOK_UP: Final = 1000


Became = Literal["created", "updated", "unchanged", "failed"]


class Tally(Struct, frozen=True):
    """What became of the rows. Each counts once; `nameless` of the created ones could not be found again."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    nameless: int = 0

    def __str__(self) -> str:
        return f"created {self.created}, updated {self.updated}, unchanged {self.unchanged}, failed {self.failed}"


class Importer:
    """One import into one team. `rejects` holds the rows that were refused; `advance` is told of rows done with.

    `dry_run` asks what would be refused and writes nothing; `keep` leaves tasks that exist as they are.
    """

    def __init__(
        self,
        services: Services,
        target: Target,
        *,
        advance: Callable[[int], None],
        dry_run: bool = False,
        keep: bool = False,
    ) -> None:
        self._services, self._target, self._advance = services, target, advance
        self._principal = Principal.of_user(target.actor_id)
        self._dry_run, self._keep = dry_run, keep
        self._known = Known({}, {}, {}, {}, {}, {}, frozenset())
        self._became: dict[int, Became] = {}
        self._nameless: set[int] = set()
        self.rejects: list[Reject] = []
        self.strange_columns: list[str] = []
        """Columns that the file names and the team does not have: their tasks go by status."""

    async def run(self, wishes: Sequence[Wish]) -> Tally:
        """Import the wishes in their order. Raises Forbidden when nothing may be written, Unavailable in the end."""
        state = await self._state()
        check_allowed(state, Batch(()), self._principal)
        fresh = self._once(wishes)
        await self._look_up(fresh, state)
        linking = [one for batch in self._batches(fresh) for one in await self._import(batch)]
        await self._link(linking)
        counts = Counter(self._became.values())
        created = {number for number, became in self._became.items() if became == "created"}
        return Tally(
            counts["created"], counts["updated"], counts["unchanged"], counts["failed"], len(self._nameless & created)
        )

    def _reject(self, wish: Wish, error: Exception, context: str = "") -> None:
        self._became[wish.row.number] = "failed"
        self.rejects.append(
            Reject(wish.row, context + (error.detail if isinstance(error, DomainError) else str(error)))
        )

    async def _state(self) -> TeamState:
        return (await self._services.teams.view(self._target.team_id, deadline=SECONDS)).state

    def _once(self, wishes: Iterable[Wish]) -> list[Wish]:
        """Each task is wished for once: two rows about one would undo each other at every import."""
        seen, once = dict[object, int](), list[Wish]()
        for wish in wishes:
            name = wish.external or wish.id
            if name is not None and name in seen:
                self._reject(wish, ValueError(f"row {seen[name]} is about the same task"))
                self._advance(1)
                continue
            if name is not None:
                seen[name] = wish.row.number
            if wish.external is None:
                self._nameless.add(wish.row.number)
            once.append(wish)
        return once

    async def _look_up(self, wishes: Sequence[Wish], state: TeamState) -> None:
        """Everything that names in the file may mean, before the first command."""
        emails = {name: clean_email(name) or name for wish in wishes if isinstance(name := wish.assignee, str)}
        found = await directory.find_users(self._services.pools.worker, sorted(set(emails.values()))) if emails else {}
        keys = {task.key: task.id for task in state.tasks.values()}
        keys |= {str(task.id): task.id for task in state.tasks.values()}
        self._known = Known(
            labels=by_name((label.name, label.id) for label in state.labels.values()),
            columns=by_name((column.name, column) for column in state.columns.values()),
            users={name: found[email].id for name, email in emails.items() if email in found},
            archived=await self._archived(wishes, state),
            keys=keys,
            made={},
            coming=frozenset(name for wish in wishes for name in _names(wish)),
        )
        self.strange_columns = sorted(
            {wish.column for wish in wishes if wish.column and not column_of(wish, self._known)}
        )
        for wish in wishes:
            await self._make_labels(wish)
            self._remember(wish, _known_id(wish, state))

    async def _archived(self, wishes: Sequence[Wish], state: TeamState) -> dict[UUID, Task]:
        named = [wish.id for wish in wishes if wish.id is not None]
        named += [found for wish in wishes if wish.external and (found := state.external.get(wish.external))]
        absent = [task_id for task_id in dict.fromkeys(named) if task_id not in state.tasks]
        archived: dict[UUID, Task] = {}
        for start in range(0, len(absent), LOOK_UP):
            part = absent[start : start + LOOK_UP]
            tasks = await self._services.journal.archived_tasks(self._target.team_id, part)
            archived |= {task.id: task for task in tasks}
        return archived

    async def _make_labels(self, wish: Wish) -> None:
        """Missing labels are made with a colour that follows from the name."""
        for name in wish.labels if wish.labels is not UNSET else ():
            folded = fold_name(name)
            if named(self._known.labels, name) is not None:
                continue
            color = COLORS[hashlib.sha256(folded.encode()).digest()[0] % len(COLORS)]
            if self._dry_run:
                self._known.labels[folded] = self._services.new_id()
                continue
            try:
                result = await self._ask(CreateLabel(name, color))
                self._known.labels[folded] = result[0]
            except Conflict:  # Somebody made it at this moment.
                state = await self._state()
                self._known.labels |= by_name((label.name, label.id) for label in state.labels.values())

    def _batches(self, wishes: Sequence[Wish]) -> Iterator[list[Wish]]:
        """At most a hundred rows and half a mebibyte, so that no commit holds up the team for long."""
        batch, size = list[Wish](), 0
        for wish in wishes:
            weight = len(str(wish.patch.description)) + 500
            if batch and (len(batch) == BATCH_LIMIT or size + weight > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(wish)
            size += weight
        if batch:
            yield batch

    async def _import(self, wishes: Sequence[Wish]) -> list[Wish]:
        """One batch of rows; gives those whose references must wait for other rows."""
        plans = [made for wish in wishes if (made := await self._planned(wish)) is not None]
        asked = [one for one in plans if one.command is not None]
        done: list[tuple[Plan, UUID]] = []
        try:
            ids = await self._ask(Batch(tuple(one.command for one in asked if one.command is not None)))
            done = list(zip(asked, ids, strict=True))
        except DomainError:
            done = [(one, task_id) for one in asked if (task_id := await self._alone(one)) is not None]
        for one, task_id in done:
            self._became[one.wish.row.number] = "created" if isinstance(one.command, CreateTask) else "updated"
            if not self._dry_run:
                self._remember(one.wish, task_id)
        for one in plans:
            if one.command is None:
                self._became[one.wish.row.number] = "unchanged"
        self._advance(len(wishes))
        return [one.wish for one in plans if one.pending and self._became[one.wish.row.number] != "failed"]

    async def _planned(self, wish: Wish) -> Plan | None:
        state = await self._state()
        if self._keep and (task_id := _known_id(wish, state)) is not None:
            return Plan(wish, None, task_id)
        try:
            return plan(wish, state, self._known)
        except ValueError as error:
            self._reject(wish, error)
            return None

    async def _alone(self, one: Plan) -> UUID | None:
        """The row by itself. What came in from elsewhere at this moment is compared with once more."""
        command = one.command
        assert command is not None
        try:
            try:
                return (await self._ask(command))[0]
            except Conflict as conflict:
                if conflict.reason != "external-id-taken":
                    raise
                again = plan(one.wish, await self._state(), self._known)
                return again.task_id if again.command is None else (await self._ask(again.command))[0]
        except (DomainError, ValueError) as error:
            self._reject(one.wish, error)
            return None

    def _remember(self, wish: Wish, task_id: UUID | None) -> None:
        if task_id is not None:
            self._known.made |= dict.fromkeys(_names(wish), task_id)

    async def _link(self, wishes: Sequence[Wish]) -> None:
        """Parents and blockers among the rows themselves, now that all of them are tasks."""
        if self._dry_run:
            return
        for wish in wishes:
            state = await self._state()
            task = state.tasks.get(self._known.made[_names(wish)[0]])
            try:
                command = None if task is None else link(wish, task, self._known)
                if command is not None:
                    await self._ask(command)
                    if self._became[wish.row.number] == "unchanged":
                        self._became[wish.row.number] = "updated"
            except (DomainError, ValueError) as error:
                self._reject(wish, error, "the task is there, but not linked to the others: ")

    async def _ask(self, command: AnyCommand) -> list[UUID]:
        """The ids of the tasks (or the label) that the command is about.

        Trying again is safe: the idempotency key is the same, and commits with the effect.
        """
        if isinstance(command, Batch) and not command.operations:
            return []
        if self._dry_run:
            return await self._preview(command)
        ask = Ask(self._principal, secrets.token_urlsafe(24), secrets.token_bytes(32), deadline=SECONDS)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = await self._services.teams.ask(self._target.team_id, command, ask, _stored)
            except Unavailable as error:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(error.retry_after)
            else:
                return _ids(result)
        raise AssertionError("the last attempt returns or raises")

    async def _preview(self, command: AnyCommand) -> list[UUID]:
        """What would be refused, without labels that are not made in a dry run."""
        result = await self._services.teams.preview(
            self._target.team_id, _without_labels(command), Ask(self._principal)
        )
        return [item.task.id for item in result.items]


def _names(wish: Wish) -> list[str]:
    """What other rows of the file may call this one; a row nobody can name gets a name of its own."""
    given = [str(wish.id) if wish.id else None, wish.key, wish.external[1] if wish.external else None]
    return [name for name in given if name is not None] or [f"row {wish.row.number}"]


def _known_id(wish: Wish, state: TeamState) -> UUID | None:
    if wish.id is not None and wish.id in state.tasks:
        return wish.id
    return None if wish.external is None else state.external.get(wish.external)


def _without_labels(command: AnyCommand) -> AnyCommand:
    match command:
        case Batch(operations=operations):
            return Batch(tuple(_without_labels(one) for one in operations))  # type: ignore[misc]
        case CreateTask(fields=fields):
            return CreateTask(msgspec.structs.replace(fields, label_ids=()))
        case UpdateTask(task_id=task_id, patch=patch):
            return UpdateTask(task_id, msgspec.structs.replace(patch, label_ids=UNSET))
        case _:
            return command


class _Stored(Struct):
    """What is kept beside the idempotency key: the ids, or why the command was refused."""

    ids: list[UUID]
    refused: str | None = None


def _stored(answer: CommandResult | DomainError) -> StoredReply:
    if isinstance(answer, DomainError):
        return StoredReply(status_of(answer), (), msgspec.json.encode(_Stored([], answer.detail)), 0)
    return StoredReply(200, (), msgspec.json.encode(_Stored(_ids(answer))), answer.seq)


def _ids(result: CommandResult) -> list[UUID]:
    if result.replayed is not None:
        stored = msgspec.json.decode(result.replayed.body, type=_Stored)
        if stored.refused is not None:
            raise Conflict("constraint", stored.refused)
        return stored.ids
    return [item.task.id for item in result.items] or [event.row.subject for event in result.events]
