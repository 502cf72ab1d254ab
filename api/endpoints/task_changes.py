"""Changing tasks. Each endpoint turns its body into a command and asks the team; the team decides."""

from typing import Literal, assert_never
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import Struct

from actors.envelope import CommandResult
from actors.ports import Representation
from api import paths
from api.access import Access
from api.answers import Answer
from api.asks import ask_of, unkeyed_ask
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.changes import Changes, Render
from api.endpoints.task_docs import CHANGES as OPERATIONS
from api.etags import version_tag
from api.paths import link, pattern
from api.preconditions import if_match, refuse_if_match
from api.rest_v1 import REST_V1
from api.schemas import (
    ArchiveOperation,
    BatchOperation,
    BatchRequest,
    CreateOperation,
    MoveOperation,
    MoveRequest,
    NewTask,
    RestoreOperation,
    UpdateOperation,
    seen,
)
from api.services import Services
from api.used_keys import UsedKeys
from core.commands import (
    AnyCommand,
    ArchiveTask,
    Basis,
    Batch,
    CreateTask,
    DeleteTask,
    MoveTask,
    RestoreTask,
    TaskCommand,
    UpdateTask,
)
from core.permissions import Right
from core.rights import DELETE_TASKS, WRITE_TASKS
from core.task import TaskFields, TaskPatch

__all__ = ["OPERATIONS", "register"]


class DeleteQuery(Struct, frozen=True, kw_only=True):
    """`permanent` deletes for good; admins only."""

    permanent: Literal["true", "false"] = "false"


class BatchQuery(Struct, frozen=True, kw_only=True):
    """`dry_run` answers as if, and writes nothing."""

    dry_run: Literal["true", "false"] = "false"


class TaskChanges:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services, representation: Representation) -> None:
        self._access, self._representation = Access(services), representation
        self._changes = Changes(services)
        self._locations = services.locations
        self._new_task = decoder_for(NewTask)
        self._patch = decoder_for(TaskPatch)
        self._move = decoder_for(MoveRequest)
        self._batch = decoder_for(BatchRequest)

    async def create(self, request: Request) -> Response:
        """POST /v1/tasks."""
        call = call_of(request)
        no_query(call)
        refuse_if_match(call)
        new = await body_of(request, self._new_task)
        team_id = new.team_id
        await self._access.team(call, team_id)

        def render(result: CommandResult) -> Answer:
            task, body = result.items[0].task, result.items[0].encoded(self._representation)
            self._locations.remember(task.id, team_id)
            own = ((b"location", link(paths.TASK, task.id)), (b"etag", version_tag(result.epoch, task.version)))
            return Answer(201, body, self._changes.headers(team_id, result, own))

        return await self._make(call, team_id, CreateTask(new.fields()), render)

    async def update(self, request: Request) -> Response:
        """PATCH /v1/tasks/{task_id}."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        team_id, _ = await self._access.task(call, task_id)
        patch = await body_of(request, self._patch, *MERGE_PATCH)
        command = UpdateTask(task_id, patch, if_match(call))
        return await self._make(call, team_id, command, self._shown(team_id))

    async def move(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/move."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        team_id, _ = await self._access.task(call, task_id)
        wanted = await body_of(request, self._move)
        command = MoveTask(
            task_id=task_id,
            status=wanted.status,
            column_id=wanted.column_id,
            before_id=wanted.before_id,
            after_id=wanted.after_id,
            if_match=if_match(call),
        )
        return await self._make(call, team_id, command, self._shown(team_id))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/tasks/{task_id}: archive, or delete for good."""
        call, task_id = call_of(request), path_value(request, "task_id")
        query = query_of(request, DeleteQuery)
        team_id, _ = await self._access.task(call, task_id)
        version = if_match(call)
        if query.permanent == "false":
            return await self._make(call, team_id, ArchiveTask(task_id, version), self._shown(team_id))

        def gone(result: CommandResult) -> Answer:
            return Answer(204, b"", self._changes.headers(team_id, result), b"")

        return await self._make(call, team_id, DeleteTask(task_id, version), gone)

    async def restore(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/restore."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        team_id, _ = await self._access.task(call, task_id)
        return await self._make(call, team_id, RestoreTask(task_id, if_match(call)), self._shown(team_id))

    async def batch(self, request: Request) -> Response:
        """POST /v1/tasks/batch."""
        call = call_of(request)
        dry_run = query_of(request, BatchQuery).dry_run == "true"
        ask = unkeyed_ask(call) if dry_run else None
        refuse_if_match(call)
        wanted = await body_of(request, self._batch)
        team_id = wanted.team_id
        basis = await self._basis(call, wanted)
        command = Batch(tuple(map(command_of, wanted.operations)), basis)

        def render(result: CommandResult) -> Answer:
            items = b",".join([item.encoded(self._representation) for item in result.items])
            first = result.seq - len(result.events) + 1
            answer = b'{"seq_from":%d,"seq_to":%d,"items":[%s]}' % (first, result.seq, items)
            headers = self._changes.headers(team_id, result, seq=call.seq if dry_run else None)
            return Answer(200, answer, headers)

        if ask is not None:
            return (await self._changes.preview(ask, team_id, command, render)).response()
        return await self._make(call, team_id, command, render)

    async def _basis(self, call: Call, wanted: BatchRequest) -> Basis | None:
        """What the batch rests on, once its sender is known to be a member of a team that has been there."""
        if (place := wanted.place) is None:
            await self._access.team(call, wanted.team_id)
            return None
        view = await self._access.team_at(call, wanted.team_id, place)
        return wanted.basis(place, view.epoch)

    async def _make(self, call: Call, team_id: UUID, command: AnyCommand, render: Render) -> Response:
        return (await self._changes.make(await ask_of(call), team_id, command, render)).response()

    def _shown(self, team_id: UUID) -> "Shown":
        return Shown(self._changes, team_id, self._representation)


class Shown:
    """Renders the one task that a command was about."""

    __slots__ = ("_changes", "_representation", "_team_id")

    def __init__(self, changes: Changes, team_id: UUID, representation: Representation) -> None:
        self._changes, self._team_id, self._representation = changes, team_id, representation

    def __call__(self, result: CommandResult) -> Answer:
        """200 with the task as it is now."""
        item = result.items[0]
        etag = version_tag(result.epoch, item.task.version)
        headers = self._changes.headers(self._team_id, result, ((b"etag", etag),))
        return Answer(200, item.encoded(self._representation), headers)


def command_of(operation: BatchOperation) -> TaskCommand:
    """The command of one operation in a batch."""
    match operation:
        case CreateOperation():
            fields = {name: getattr(operation, name) for name in TaskFields.__struct_fields__}
            return CreateTask(TaskFields(**fields))
        case UpdateOperation():
            return UpdateTask(operation.id, operation.patch(), seen(operation.if_match))
        case MoveOperation():
            return MoveTask(
                task_id=operation.id,
                status=operation.status,
                column_id=operation.column_id,
                before_id=operation.before_id,
                after_id=operation.after_id,
                if_match=seen(operation.if_match),
            )
        case ArchiveOperation():
            return ArchiveTask(operation.id, seen(operation.if_match))
        case RestoreOperation():
            return RestoreTask(operation.id, seen(operation.if_match))
        case _:
            assert_never(operation)


def right_now(call: Call) -> Right:
    """What changing a task takes that is gone since, so that its team has nothing to decide."""
    return DELETE_TASKS if call.method == "DELETE" and b"permanent=true" in call.query else WRITE_TASKS


def register(router: Router, services: Services) -> None:
    """The changing endpoints of tasks."""
    changes, keyed = TaskChanges(services, REST_V1), UsedKeys(services).around
    router.add_post(pattern(paths.TASKS), keyed(changes.create))
    router.add_post(pattern(paths.TASK_BATCH), keyed(changes.batch))
    router.add_patch(pattern(paths.TASK), keyed(changes.update, right_now))
    router.add_delete(pattern(paths.TASK), keyed(changes.delete, right_now))
    router.add_post(pattern(paths.TASK_MOVE), keyed(changes.move, right_now))
    router.add_post(pattern(paths.TASK_RESTORE), keyed(changes.restore, right_now))
