"""How the task endpoints are documented."""

from typing import Any, Final

from api import paths
from api.binding import MERGE_PATCH
from api.openapi import IF_MATCH, IF_NONE_MATCH, MIN_SEQ, PAGE, TEAM_HINT, Operation, Parameter, Reply
from api.rest_v1 import Task
from api.schemas import ActivityPage, BatchAnswer, BatchRequest, Board, MoveRequest, NewTask, TaskPage
from core.query import SORT_FIELDS
from core.rights import DELETE_TASKS, READ, WRITE_TASKS, in_team
from core.task import PRIORITIES, STATUSES, TaskPatch

__all__ = ["CHANGES", "READS"]

TEAM_ID: Final = "019a3b1e-5c00-7000-8000-00000000000a"
TASK: Final = {
    "id": "019a3b1e-6d00-7000-8000-00000000002a",
    "team_id": TEAM_ID,
    "number": 42,
    "key": "ENG-42",
    "title": "Ship the board",
    "description": "",
    "status": "in_progress",
    "priority": "high",
    "assignee_id": None,
    "label_ids": [],
    "due_at": "2026-03-01T12:00:00Z",
    "estimate": 3.0,
    "parent_id": None,
    "blocked_by": [],
    "rank": "a0",
    "external_id": None,
    "external_source": None,
    "comment_count": 0,
    "attachment_count": 0,
    "created_by": "019a3b1e-5b00-7000-8000-000000000001",
    "created_at": "2026-02-01T09:00:00Z",
    "updated_at": "2026-02-02T10:30:00Z",
    "completed_at": None,
    "archived_at": None,
    "version": 117,
}
CHANGE: Final = {
    "specversion": "1.0",
    "id": f"{TEAM_ID}:1:117",
    "source": paths.link(paths.TEAM, TEAM_ID).decode(),
    "type": "task.updated",
    "subject": TASK["id"],
    "time": "2026-02-02T10:30:00Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:taskforge:schema:task.updated:1",
    "teamid": TEAM_ID,
    "seq": 117,
    "epoch": 1,
    "actor": TASK["created_by"],
    "actorkind": "user",
    "salt": "Zm9ydHktdHdvIGJ5dGVzIQ==",
    "data": {"task": TASK, "previous": {"priority": "none"}},
}
"""The CloudEvent of a change: what feeds, topics and a task's activity have of it."""
BATCH: Final = {"seq_from": 118, "seq_to": 119, "items": [{**TASK, "version": 118}, {**TASK, "version": 119}]}
OF_TEAM: Final = ("TaskForge-Team", "TaskForge-Seq", "TaskForge-Epoch")
CACHED: Final = ("ETag", "Cache-Control", *OF_TEAM)
UNCHANGED: Final = Reply(description="You have this already.", headers=CACHED)


def _words(name: str, words: tuple[str, ...], about: str) -> Parameter:
    one = "|".join(words)
    schema = {"type": "string", "pattern": f"^({one})(,({one}))*$"}
    return Parameter(name=name, schema=schema, description=about, example=words[0])


def _schema(name: str, schema: dict[str, Any], about: str, example: Any = None) -> Parameter:
    return Parameter(name=name, schema=schema, description=about, example=example)


_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_EXTERNAL: Final = {"type": "string", "minLength": 1, "maxLength": 200}
_TIME: Final = {"type": "string", "format": "date-time"}
FILTERS: Final = (
    _schema("team_id", {"type": "string", "format": "uuid"}, "One team; without it, all of mine."),
    _words("status", STATUSES, "Any of these, separated by commas."),
    _schema("assignee", {"type": "string", "pattern": f"^(me|none|{_UUID})$"}, "A user, `me` or `none`.", "me"),
    _schema("label", {"type": "string", "pattern": f"^{_UUID}(,{_UUID}){{0,19}}$"}, "All of these labels."),
    _words("priority", PRIORITIES, "Any of these, separated by commas."),
    _schema("due_before", _TIME, "Due before this moment.", "2026-03-01T00:00:00Z"),
    _schema("updated_after", _TIME, "Changed at this moment or later.", "2026-02-01T00:00:00Z"),
    _schema("external_id", _EXTERNAL, "What has this id where it came from.", "JIRA-7"),
    _schema("external_source", _EXTERNAL, "What came from there.", "jira"),
    _schema("parent", {"type": "string", "pattern": f"^(none|{_UUID})$"}, "Subtasks of a task, or `none`."),
    _schema("q", {"type": "string", "minLength": 1, "maxLength": 200}, "Text in title or description.", "board"),
    _schema("archived", {"type": "string", "enum": ["true", "false"], "default": "false"}, "Archived tasks instead."),
    _schema(
        "sort",
        {"type": "string", "pattern": f"^-?({'|'.join(SORT_FIELDS)})$", "default": "-created_at"},
        "A field; `-` for descending. Missing values come last.",
    ),
)

READS: Final = (
    Operation(
        method="GET",
        path=paths.TASKS,
        id="listTasks",
        summary="List tasks of a team, or of all my teams",
        tag="Tasks",
        description=(
            "To follow a team by asking again and again, ask for `team_id`, `sort=updated_at` and `updated_after` with "
            "the greatest `updated_at` seen, page by page. What was changed at that very moment comes again, so that "
            "nothing is missed; `version` says what is known already. What left the board is among `archived=true`."
        ),
        parameters=(*FILTERS, *PAGE, IF_NONE_MATCH, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.", body=TaskPage, headers=CACHED, example={"items": [TASK], "next_cursor": None}
            ),
            304: UNCHANGED,
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TASK,
        id="getTask",
        summary="Read a task, archived or not",
        tag="Tasks",
        description=(
            "Its `ETag` is its version. Archived tasks are answered, too; one that was deleted for good is a 404."
        ),
        parameters=(IF_NONE_MATCH, TEAM_HINT, MIN_SEQ),
        replies={200: Reply(description="The task.", body=Task, headers=CACHED, example=TASK), 304: UNCHANGED},
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_TASK_BY_NUMBER,
        id="getTaskByNumber",
        summary="Read a task by its number (`42` of `ENG-42`)",
        tag="Tasks",
        description=(
            "Numbers are a team's own and are never given twice. The answer is that of `GET /v1/tasks/{task_id}`."
        ),
        parameters=(IF_NONE_MATCH, MIN_SEQ),
        replies={200: Reply(description="The task.", body=Task, headers=CACHED, example=TASK), 304: UNCHANGED},
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TASK_ACTIVITY,
        id="getTaskActivity",
        summary="What happened to a task",
        tag="Tasks",
        description="CloudEvents, newest first: the same bytes that feeds, topics and webhooks carry.",
        parameters=(*PAGE, TEAM_HINT, MIN_SEQ),
        replies={
            200: Reply(
                description="A page.",
                body=ActivityPage,
                headers=OF_TEAM,
                example={"items": [CHANGE], "next_cursor": None},
            )
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_BOARD,
        id="getBoard",
        summary="Read the board, whole or the top of each column",
        tag="Boards",
        description="All tasks that are not archived, by column, at one `seq`; follow the team's events from there.",
        parameters=(
            _schema(
                "per_column",
                {"type": "integer", "minimum": 1, "maximum": 100},
                "Only the first tasks of each column, with its `count` and `next_cursor`.",
            ),
            IF_NONE_MATCH,
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="The board.",
                body=Board,
                headers=CACHED,
                example={"seq": 117, "epoch": 1, "columns": [{"status": "in_progress", "tasks": [TASK]}]},
            ),
            304: UNCHANGED,
        },
        problems=("not-found", "ahead-of-history", "history-rewritten"),
        requires=in_team(READ),
    ),
)

_DECIDED: Final = ("not-found", "forbidden", "conflict", "ahead-of-history", "history-rewritten")
_CHANGED: Final = Reply(description="The task after the change.", body=Task, headers=("ETag", *OF_TEAM), example=TASK)

CHANGES: Final = (
    Operation(
        method="POST",
        path=paths.TASKS,
        id="createTask",
        summary="Create a task",
        tag="Tasks",
        description=(
            "Everything but `team_id` and `title` may be left out. The task gets the team's next number and goes to "
            "the bottom of its column; what `assignee_id`, `label_ids`, `parent_id` and `blocked_by` name must be "
            "the team's (else 422)."
        ),
        parameters=(MIN_SEQ,),
        body=NewTask,
        body_example={"team_id": TEAM_ID, "title": "Ship the board", "priority": "high"},
        replies={201: Reply(description="The task.", body=Task, headers=("Location", "ETag", *OF_TEAM), example=TASK)},
        problems=(*_DECIDED, "invalid-reference"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="POST",
        path=paths.TASK_BATCH,
        id="batchTasks",
        summary="Up to 100 operations, all or nothing",
        tag="Tasks",
        description="One contiguous range of `seq`; each operation sees the ones before it. A dry run writes nothing.",
        parameters=(
            _schema("dry_run", {"type": "string", "enum": ["true", "false"], "default": "false"}, "Only pretend."),
            MIN_SEQ,
        ),
        body=BatchRequest,
        body_example={
            "team_id": TEAM_ID,
            "operations": [{"op": "create", "title": "One"}, {"op": "archive", "id": TASK["id"]}],
        },
        replies={200: Reply(description="What it came to.", body=BatchAnswer, headers=OF_TEAM, example=BATCH)},
        problems=(*_DECIDED, "invalid-reference", "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="PATCH",
        path=paths.TASK,
        id="updateTask",
        summary="Change fields of a task",
        tag="Tasks",
        description="A JSON merge patch (RFC 7396). Without If-Match the last writer wins, field by field.",
        parameters=(IF_MATCH, TEAM_HINT, MIN_SEQ),
        body=TaskPatch,
        body_media_types=MERGE_PATCH,
        body_example={"status": "done"},
        replies={200: _CHANGED},
        problems=(*_DECIDED, "invalid-reference", "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="DELETE",
        path=paths.TASK,
        id="deleteTask",
        summary="Archive a task, or delete it for good",
        tag="Tasks",
        description=(
            "Archives: the task leaves the board, keeps its number, and comes back by `restore`. With "
            "`permanent=true` it is gone, and its text with it; that takes the permission `delete_tasks`."
        ),
        parameters=(
            _schema(
                "permanent",
                {"type": "string", "enum": ["true", "false"], "default": "false"},
                "For good; admins and owners only.",
            ),
            IF_MATCH,
            TEAM_HINT,
            MIN_SEQ,
        ),
        replies={200: _CHANGED, 204: Reply(description="Deleted for good.", headers=OF_TEAM)},
        problems=(*_DECIDED, "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS, also=(("permanent=true", DELETE_TASKS),)),
    ),
    Operation(
        method="POST",
        path=paths.TASK_MOVE,
        id="moveTask",
        summary="Move a task within or between columns",
        tag="Tasks",
        description=(
            "`before_id` or `after_id` names a task of the column that it goes to; with neither it goes to the "
            "bottom. Without a column it stays in its own."
        ),
        parameters=(IF_MATCH, TEAM_HINT, MIN_SEQ),
        body=MoveRequest,
        body_example={"status": "done"},
        replies={200: _CHANGED},
        problems=(*_DECIDED, "invalid-reference", "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="POST",
        path=paths.TASK_RESTORE,
        id="restoreTask",
        summary="Put an archived task back onto the board",
        tag="Tasks",
        description=(
            "It goes to the bottom of the column that it was in. A task that is not archived is a 409 (`conflict`, "
            "reason `not-archived`)."
        ),
        parameters=(IF_MATCH, TEAM_HINT, MIN_SEQ),
        replies={200: _CHANGED},
        problems=(*_DECIDED, "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
)
