"""The files of tasks: listed, handed out by signed addresses, deleted. How they come is in `uploads.py`."""

from uuid import UUID

from blacksheep import Request, Response, Router

from actors.envelope import CommandResult
from api import paths
from api.access import Access
from api.answers import NO_STORE, Answer, about_team, empty, encode, json
from api.asks import ask_of
from api.binding import no_query, path_value, query_of
from api.calls import Call, call_of
from api.changes import Changes
from api.endpoints.attachment_docs import READS as OPERATIONS
from api.object_links import Method
from api.paging import ATTACHMENTS, PageQuery, page_json, page_of
from api.paths import pattern
from api.rest_v1 import attachment
from api.services import Services
from api.used_keys import UsedKeys
from core.commands import DeleteAttachment
from core.errors import NotFound
from core.permissions import Right
from core.rights import WRITE_TASKS
from db import objects
from db.attachments import Located, attachments_of, find_attachment
from db.transaction import reading

__all__ = ["OPERATIONS", "register"]


class Attachments:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._access, self._changes = Access(services), Changes(services)
        self._pool, self._clock, self._links = services.pools.api, services.clock, services.object_links

    async def list_of_task(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}/attachments."""
        call, task_id = call_of(request), path_value(request, "task_id")
        user_id, query = call.principal().user_id, query_of(request, PageQuery)
        after = None if query.cursor is None else ATTACHMENTS.read(query.cursor)
        team_id, _ = await self._access.task(call, task_id)
        found = await attachments_of(self._pool, user_id, team_id, task_id, after=after, limit=query.limit + 1)
        shown, last = page_of(found, query.limit)
        body = page_json(
            [encode(attachment(one)) for one in shown], None if last is None else ATTACHMENTS.write(last.id)
        )
        return Answer(200, body, self._about(call)).response()

    async def get(self, request: Request) -> Response:
        """GET /v1/attachments/{attachment_id}."""
        call = call_of(request)
        no_query(call)
        found = await self._located(call, path_value(request, "attachment_id"))
        return json(200, encode(attachment(found.attachment)), self._about(call))

    async def download(self, request: Request) -> Response:
        """GET /v1/attachments/{attachment_id}/download."""
        call = call_of(request)
        no_query(call)
        found = await self._located(call, path_value(request, "attachment_id"))
        return self._redirect(call, "GET", found.attachment.id)

    async def thumbnail(self, request: Request) -> Response:
        """GET /v1/attachments/{attachment_id}/thumbnail."""
        call = call_of(request)
        no_query(call)
        found = await self._located(call, path_value(request, "attachment_id"))
        async with reading(self._pool, call.principal().user_id) as tx:
            stored = await objects.find(tx, found.attachment.id)
        if stored is None or stored.thumbnail_key is None:
            raise NotFound("thumbnail")
        return self._redirect(call, "IMG", found.attachment.id)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/attachments/{attachment_id}."""
        call, attachment_id = call_of(request), path_value(request, "attachment_id")
        no_query(call)
        found = await self._located(call, attachment_id)

        def gone(result: CommandResult) -> Answer:
            return Answer(204, b"", self._changes.headers(found.team_id, result), b"")

        command = DeleteAttachment(attachment_id)
        return (await self._changes.make(await ask_of(call), found.team_id, command, gone)).response()

    async def _located(self, call: Call, attachment_id: UUID) -> Located:
        """The attachment, for a member of its team. Raises NotFound("attachment") for everybody else."""
        found = await find_attachment(self._pool, call.principal().user_id, attachment_id)
        if found is None:
            raise NotFound("attachment")
        try:
            await self._access.team(call, found.team_id)
        except NotFound:
            raise NotFound("attachment") from None
        return found

    def _redirect(self, call: Call, method: Method, attachment_id: UUID) -> Response:
        now = self._clock.now().timestamp()
        address = self._links.make(method, attachment_id, call.principal().user_id, now)
        return empty(302, ((b"location", address.encode()), NO_STORE, *self._about(call)))

    def _about(self, call: Call) -> tuple[tuple[bytes, bytes], ...]:
        return about_team(call.team, call.seq, call.epoch)


def right_now(_: Call) -> Right:
    """What changing the files of a task takes."""
    return WRITE_TASKS


def register(router: Router, services: Services) -> None:
    """Add the endpoints to the router."""
    attachments, keyed = Attachments(services), UsedKeys(services).around
    router.add_get(pattern(paths.TASK_ATTACHMENTS), attachments.list_of_task)
    router.add_get(pattern(paths.ATTACHMENT), attachments.get)
    router.add_get(pattern(paths.ATTACHMENT_DOWNLOAD), attachments.download)
    router.add_get(pattern(paths.ATTACHMENT_THUMBNAIL), attachments.thumbnail)
    router.add_delete(pattern(paths.ATTACHMENT), keyed(attachments.delete, right_now))
