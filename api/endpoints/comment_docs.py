"""How the endpoints of comments are documented, and what their bodies are."""

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api import paths
from api.binding import MERGE_PATCH
from api.comments import CommentPage, CommentVersionPage, ShownComment
from api.endpoints.task_docs import OF_TEAM, TASK, TEAM_ID
from api.openapi import IF_MATCH, MIN_SEQ, PAGE, TEAM_HINT, Operation, Parameter, Reply
from core.comment import CommentBody, clean_comment
from core.rights import READ, WRITE_TASKS, in_team
from core.task import tidy

__all__ = ["OPERATIONS", "CommentPatch", "NewComment"]


class NewComment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to say about a task."""

    body: CommentBody

    def __post_init__(self) -> None:
        tidy(self, body=clean_comment)


class CommentPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A merge patch of a comment."""

    body: CommentBody | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy(self, body=clean_comment)


BOB: Final = {"id": "019a3b1e-5b00-7000-8000-000000000002", "name": "Bob"}
COMMENT: Final = {
    "id": "019a3b1e-7100-7000-8000-00000000000c",
    "team_id": TEAM_ID,
    "task_id": TASK["id"],
    "author": {"id": "019a3b1e-5b00-7000-8000-000000000001", "name": "Ada"},
    "body": "@Bob it is **done**.",
    "html": f'<p><span class="mention" data-user="{BOB["id"]}">@Bob</span> it is <strong>done</strong>.</p>\n',
    "mentions": [BOB],
    "created_at": "2026-02-02T10:30:00Z",
    "updated_at": "2026-02-02T10:30:00Z",
    "version": 118,
}
VERSION: Final = {"version": 118, "at": "2026-02-02T10:30:00Z", "body": COMMENT["body"], "redacted": False}
_SEEN: Final = ("not-found", "ahead-of-history", "history-rewritten")
_DECIDED: Final = ("not-found", "forbidden", "conflict", "ahead-of-history", "history-rewritten")
_TAGGED: Final = ("ETag", *OF_TEAM)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TASK_COMMENTS,
        id="listComments",
        summary="Read the comments on a task",
        tag="Comments",
        description="Also those of an archived task. Pages keep their order while others write.",
        parameters=(
            *PAGE,
            Parameter(
                name="sort",
                schema={"type": "string", "enum": ["created_at", "-created_at"], "default": "created_at"},
                description="Oldest first, or newest first.",
            ),
            TEAM_HINT,
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="A page.",
                body=CommentPage,
                headers=OF_TEAM,
                example={"items": [COMMENT], "next_cursor": None},
            )
        },
        problems=_SEEN,
        requires=in_team(READ),
    ),
    Operation(
        method="POST",
        path=paths.TASK_COMMENTS,
        id="addComment",
        summary="Comment on a task",
        tag="Comments",
        description=(
            "`@` and a member's name mentions them: the longest name that fits, without regard to case. A name that "
            "several members have stays text, and so does `\\@`. A task that is archived is not commented on (409)."
        ),
        parameters=(TEAM_HINT, MIN_SEQ),
        body=NewComment,
        body_example={"body": COMMENT["body"]},
        replies={
            201: Reply(description="The comment.", body=ShownComment, headers=("Location", *_TAGGED), example=COMMENT)
        },
        problems=_DECIDED,
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="GET",
        path=paths.COMMENT,
        id="getComment",
        summary="Read a comment",
        tag="Comments",
        description="As it is now, with its mentions under the names of today. What it said before is in its edits.",
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The comment.", body=ShownComment, headers=("Cache-Control", *_TAGGED), example=COMMENT
            )
        },
        problems=_SEEN,
        requires=in_team(READ),
    ),
    Operation(
        method="PATCH",
        path=paths.COMMENT,
        id="editComment",
        summary="Edit a comment of one's own",
        tag="Comments",
        description="A JSON merge patch (RFC 7396), by the author only. What it said before stays among its edits.",
        parameters=(IF_MATCH, MIN_SEQ),
        body=CommentPatch,
        body_media_types=MERGE_PATCH,
        body_example={"body": COMMENT["body"]},
        replies={
            200: Reply(description="The comment after the change.", body=ShownComment, headers=_TAGGED, example=COMMENT)
        },
        problems=(*_DECIDED, "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="DELETE",
        path=paths.COMMENT,
        id="deleteComment",
        summary="Delete a comment",
        tag="Comments",
        description=(
            "By its author, or by an admin (with the scope `admin`, where it is asked with a key). It is gone, its "
            "edits too, and history forgets what it said soon after."
        ),
        parameters=(IF_MATCH, MIN_SEQ),
        replies={204: Reply(description="Deleted.", headers=OF_TEAM)},
        problems=(*_DECIDED, "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="GET",
        path=paths.COMMENT_EDITS,
        id="listCommentEdits",
        summary="Read what a comment said before",
        tag="Comments",
        description="Its versions, newest first; the first of them is the comment as it is.",
        parameters=(*PAGE, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.",
                body=CommentVersionPage,
                headers=OF_TEAM,
                example={"items": [VERSION], "next_cursor": None},
            )
        },
        problems=_SEEN,
        requires=in_team(READ),
    ),
)
