"""Comments on tasks: written, edited, deleted, read in pages, and what they said before."""

from typing import Literal
from uuid import UUID

from blacksheep import Request, Response, Router
from msgspec import UnsetType

from actors.board import TeamView
from actors.envelope import CommandResult
from api import paths
from api.access import Access
from api.answers import Answer, about_team, encode, json
from api.asks import ask_of
from api.binding import MERGE_PATCH, body_of, decoder_for, no_query, path_value, query_of
from api.calls import Call, call_of
from api.changes import Changes, Render
from api.comments import CommentPage, CommentVersion, CommentVersionPage, Shows
from api.endpoints.comment_docs import OPERATIONS, CommentPatch, NewComment
from api.etags import team_headers, version_tag
from api.paging import COMMENT_EDITS, COMMENTS, PageQuery, page_of
from api.paths import link, pattern
from api.preconditions import if_match, refuse_if_match
from api.services import Services
from api.used_keys import UsedKeys
from core.codec import JournalRow, decode
from core.commands import AddComment, AnyCommand, DeleteComment, EditComment
from core.comment import Comment
from core.errors import BadInput, HistoryRewritten, NotFound
from core.events import CommentEvent
from core.mentions import with_names
from core.permissions import Right
from core.rights import WRITE_TASKS
from db.comments import Place, comment_location, comment_versions, list_comments, stored_comment

__all__ = ["OPERATIONS", "register"]


class CommentsQuery(PageQuery, frozen=True, kw_only=True):
    """`sort` says whether the oldest or the newest come first."""

    sort: Literal["created_at", "-created_at"] = "created_at"


class Comments:
    """The handlers of this module over one set of services."""

    def __init__(self, services: Services) -> None:
        self._access, self._changes = Access(services), Changes(services)
        self._pool = services.pools.api
        self._shows = Shows(services.pools.api, services.markdown)
        self._new, self._patch = decoder_for(NewComment), decoder_for(CommentPatch)

    async def add(self, request: Request) -> Response:
        """POST /v1/tasks/{task_id}/comments."""
        call, task_id = call_of(request), path_value(request, "task_id")
        no_query(call)
        refuse_if_match(call)
        team_id, view = await self._access.task(call, task_id)
        body = (await body_of(request, self._new)).body
        names = await self._shows.names(view, call.principal().user_id, ())
        prepared = await self._shows.prepare(view, body, names)

        def render(result: CommandResult) -> Answer:
            comment = _of(result)
            own = (
                (b"location", link(paths.COMMENT, comment.id)),
                (b"etag", version_tag(result.epoch, comment.version)),
            )
            return Answer(201, encode(prepared.shown(comment)), self._changes.headers(team_id, result, own))

        return await self._make(call, team_id, AddComment(task_id, body), render)

    async def edit(self, request: Request) -> Response:
        """PATCH /v1/comments/{comment_id}."""
        call, comment_id = call_of(request), path_value(request, "comment_id")
        no_query(call)
        team_id, view, comment = await self._comment(call, comment_id)
        body = (await body_of(request, self._patch, *MERGE_PATCH)).body
        text = comment.body if isinstance(body, UnsetType) else body
        names = await self._shows.names(view, call.principal().user_id, (comment,))
        prepared = await self._shows.prepare(view, text, names, comment.mentions)

        def render(result: CommandResult) -> Answer:
            after = _of(result)
            etag = (b"etag", version_tag(result.epoch, after.version))
            return Answer(
                200,
                encode(prepared.shown(after)),
                self._changes.headers(team_id, result, (etag,)),
            )

        return await self._make(call, team_id, EditComment(comment_id, text, if_match(call)), render)

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/comments/{comment_id}."""
        call, comment_id = call_of(request), path_value(request, "comment_id")
        no_query(call)
        team_id, _, _ = await self._comment(call, comment_id)

        def gone(result: CommandResult) -> Answer:
            return Answer(204, b"", self._changes.headers(team_id, result), b"")

        return await self._make(call, team_id, DeleteComment(comment_id, if_match(call)), gone)

    async def read(self, request: Request) -> Response:
        """GET /v1/comments/{comment_id}."""
        call, comment_id = call_of(request), path_value(request, "comment_id")
        no_query(call)
        _, view, comment = await self._comment(call, comment_id)
        names = await self._shows.names(view, call.principal().user_id, (comment,))
        (shown,) = await self._shows.shown(view, (comment,), names)
        return json(200, shown, team_headers(call, version_tag(call.epoch, comment.version)))

    async def list_of_task(self, request: Request) -> Response:
        """GET /v1/tasks/{task_id}/comments."""
        call, task_id = call_of(request), path_value(request, "task_id")
        user_id = call.principal().user_id
        query = query_of(request, CommentsQuery)
        newest_first = query.sort == "-created_at"
        epoch, after = _place_in(query.cursor, newest_first=newest_first)
        team_id, view = await self._access.task(call, task_id)
        if epoch is not None and epoch < view.epoch:
            raise HistoryRewritten(view.epoch, view.seq)
        found = await list_comments(
            self._pool, user_id, team_id, task_id, after=after, newest_first=newest_first, limit=query.limit + 1
        )
        shown, last = page_of(found, query.limit)
        items = await self._shows.shown(view, shown, await self._shows.names(view, user_id, shown))
        cursor = None if last is None else COMMENTS.write((view.epoch, newest_first, last.created_at, last.id))
        return json(200, CommentPage(items, cursor), about_team(call.team, call.seq, call.epoch))

    async def edits(self, request: Request) -> Response:
        """GET /v1/comments/{comment_id}/edits."""
        call, comment_id = call_of(request), path_value(request, "comment_id")
        user_id = call.principal().user_id
        query = query_of(request, PageQuery)
        epoch, before = (None, None) if query.cursor is None else COMMENT_EDITS.read(query.cursor)
        team_id, view, comment = await self._comment(call, comment_id)
        if epoch is not None and epoch < view.epoch:
            raise HistoryRewritten(view.epoch, view.seq)
        rows = await comment_versions(self._pool, user_id, team_id, comment, before=before, limit=query.limit + 1)
        shown, last = page_of(rows, query.limit)
        versions = [(row, _said_in(row)) for row in shown]
        names = await self._shows.names(view, user_id, [said for _, said in versions])
        items = tuple(
            CommentVersion(
                version=row.seq,
                at=row.at,
                body=with_names(said.body, said.mentions, names),
                redacted=row.redacted,
            )
            for row, said in versions
        )
        cursor = None if last is None else COMMENT_EDITS.write((view.epoch, last.seq))
        return json(200, CommentVersionPage(items, cursor), about_team(call.team, call.seq, call.epoch))

    async def _comment(self, call: Call, comment_id: UUID) -> tuple[UUID, TeamView, Comment]:
        """The team, its board and the comment. Raises NotFound("comment") for a random and a foreign id alike."""
        user_id = call.principal().user_id
        team_id = await comment_location(self._pool, user_id, comment_id)
        if team_id is None:
            raise NotFound("comment")
        try:
            view = await self._access.team(call, team_id)
        except NotFound:
            raise NotFound("comment") from None
        comment = await stored_comment(self._pool, user_id, team_id, comment_id)
        if comment is None:
            raise NotFound("comment")
        return team_id, view, comment

    async def _make(self, call: Call, team_id: UUID, command: AnyCommand, render: Render) -> Response:
        return (await self._changes.make(await ask_of(call), team_id, command, render)).response()


def _of(result: CommandResult) -> Comment:
    assert result.comment is not None, "a command about a comment has one"
    return result.comment


def _place_in(cursor: str | None, *, newest_first: bool) -> tuple[int | None, Place | None]:
    """The epoch of a cursor, and the place it names. Raises BadInput, also for a cursor of the other order."""
    if cursor is None:
        return None, None
    epoch, descending, at, last = COMMENTS.read(cursor)
    if descending != newest_first:
        raise BadInput("This cursor belongs to another sort order.", parameter="cursor")
    return epoch, (at, last)


def _said_in(row: JournalRow) -> Comment:
    event = decode(row)
    assert isinstance(event, CommentEvent), f"{row.type} is about a comment"
    return event.comment


def right_now(_: Call) -> Right:
    """What changing a comment takes that is gone since, so that its team has nothing to decide."""
    return WRITE_TASKS


def register(router: Router, services: Services) -> None:
    """The endpoints of comments."""
    comments, keyed = Comments(services), UsedKeys(services).around
    router.add_get(pattern(paths.TASK_COMMENTS), comments.list_of_task)
    router.add_post(pattern(paths.TASK_COMMENTS), keyed(comments.add, right_now))
    router.add_get(pattern(paths.COMMENT), comments.read)
    router.add_patch(pattern(paths.COMMENT), keyed(comments.edit, right_now))
    router.add_delete(pattern(paths.COMMENT), keyed(comments.delete, right_now))
    router.add_get(pattern(paths.COMMENT_EDITS), comments.edits)
