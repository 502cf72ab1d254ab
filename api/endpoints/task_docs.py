"""How the task endpoints are documented."""

from typing import Any, Final

from api import paths
from api.binding import MERGE_PATCH
from api.listing import SEVERAL
from api.openapi import IF_MATCH, IF_NONE_MATCH, MIN_SEQ, PAGE, POSITION_SCHEMA, TEAM_HINT, Operation, Parameter, Reply
from api.rest_v1 import Task
from api.schemas import BatchAnswer, BatchRequest, Board, MoveRequest, NewTask, TaskPage
from core.query import SORT_FIELDS
from core.rights import DELETE_TASKS, READ, WRITE_TASKS, in_team
from core.task import PRIORITIES, STATUSES, TaskPatch

__all__ = ["CHANGED", "CHANGES", "DECIDED", "READS"]

TEAM_ID: Final = "019a3b1e-5c00-7000-8000-00000000000a"
COLUMN_ID: Final = "6f2d8a53-91f0-5c0e-8a6b-3d9b2a7c4e10"
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
    "column_id": COLUMN_ID,
    "due_on": None,
    "recurrence": None,
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
BOARD_COLUMN: Final = {"id": COLUMN_ID, "name": "In progress", "category": "in_progress", "wip_limit": 5}
OF_TEAM: Final = ("TaskForge-Team", "TaskForge-Seq", "TaskForge-Epoch")
CACHED: Final = ("ETag", "Cache-Control", *OF_TEAM)
UNCHANGED: Final = Reply(description="You have this already.", headers=CACHED)


def _words(name: str, words: tuple[str, ...]) -> tuple[Parameter, Parameter]:
    """Any of some words, and none of them."""
    one = "|".join(words)
    schema = {"type": "string", "pattern": f"^({one})(,({one}))*$"}
    about = "Any of these, separated by commas."
    return _schema(name, schema, about, words[0]), _negated(
        name, schema, "None of these, separated by commas", words[0]
    )


def _things(words: str) -> dict[str, Any]:
    """Ids, or some words, between commas."""
    one = f"({words}|{_UUID})"
    return {"type": "string", "pattern": f"^{one}(,{one}){{0,{SEVERAL - 1}}}$"}


def _negated(name: str, schema: dict[str, Any], about: str, example: str) -> Parameter:
    spelt = f"{about}; written `{name}!={example}`, or with the `!` as `%21`."
    return _schema(f"{name}!", schema, spelt, example)


def _schema(name: str, schema: dict[str, Any], about: str, example: Any = None) -> Parameter:
    return Parameter(name=name, schema=schema, description=about, example=example)


_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_COLUMNS: Final = {"type": "string", "pattern": f"^{_UUID}(,{_UUID}){{0,{SEVERAL - 1}}}$"}
_EXTERNAL: Final = {"type": "string", "minLength": 1, "maxLength": 200}
_TIME: Final = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
FILTERS: Final = (
    _schema("team_id", {"type": "string", "format": "uuid"}, "One team; without it, all of mine."),
    *_words("status", STATUSES),
    _schema("column", _COLUMNS, "Any of these columns, separated by commas.", COLUMN_ID),
    _negated("column", _COLUMNS, "None of these columns, separated by commas", COLUMN_ID),
    _schema(
        "assignee",
        _things("me|none"),
        "Any of these: users, `me`, and `none` for nobody, separated by commas.",
        "me",
    ),
    _negated("assignee", _things("me|none"), "None of these: `none` leaves out what nobody is to do", "me"),
    _schema(
        "label",
        {"type": "string", "pattern": f"^(none|{_UUID}(,{_UUID}){{0,{SEVERAL - 1}}})$"},
        "All of these labels, separated by commas; or `none`, alone, for tasks without any.",
        "none",
    ),
    _negated("label", _things("none"), "None of these labels; `none` leaves out tasks without any", "none"),
    *_words("priority", PRIORITIES),
    _schema(
        "parent",
        _things("none"),
        "Subtasks of any of these, separated by commas, and with `none` those of no task.",
        "none",
    ),
    _negated("parent", _things("none"), "Subtasks of none of these; `none` leaves out what is no subtask", "none"),
    _schema("due_before", _TIME, "Due before this date (in the team's time zone) or instant.", "2026-03-01"),
    _schema("due_after", _TIME, "Due then or later.", "2026-03-01T00:00:00Z"),
    _schema("due_on", _TIME, "Due on this date, or at this very instant.", "2026-03-01"),
    _schema("created_before", _TIME, "Made before this date or instant.", "2026-03-01"),
    _schema("created_after", _TIME, "Made then or later.", "2026-02-01"),
    _schema("updated_before", _TIME, "Changed last before this date or instant.", "2026-03-01T00:00:00Z"),
    _schema("updated_after", _TIME, "Changed last then or later.", "2026-02-01T00:00:00Z"),
    _schema(
        "changed_since_seq",
        POSITION_SCHEMA,
        "Changed after this `seq` of the team, which `team_id` must name; as `<epoch>:<seq>` it names its epoch, too.",
        "117",
    ),
    _schema("completed_before", _TIME, "Done before this date or instant.", "2026-03-01"),
    _schema("completed_after", _TIME, "Done then or later.", "2026-02-01"),
    _schema(
        "overdue",
        {"type": "string", "enum": ["true", "false"]},
        "Whether it is past its `due_at` or the day of its `due_on`, and neither done, cancelled nor archived.",
    ),
    _schema("external_id", _EXTERNAL, "What has this id where it came from.", "JIRA-7"),
    _schema("external_source", _EXTERNAL, "What came from there.", "jira"),
    _schema(
        "q",
        {"type": "string", "minLength": 1, "maxLength": 200},
        "Text in title, description or comments, in any case and with or without accents; or the whole key.",
        "board",
    ),
    _schema("archived", {"type": "string", "enum": ["true", "false"], "default": "false"}, "Archived tasks instead."),
    _schema(
        "sort",
        {"type": "string", "pattern": f"^-?({'|'.join(SORT_FIELDS)})$", "default": "-created_at"},
        "A field; `-` for descending. Missing values come last in both directions, and equal ones by their ids.",
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
            "Filters add up, and `!` turns one round: `status!=done`. What has no value is none of the given ones. To"
            " follow a team by asking again and again, ask for `team_id`, `sort=updated_at` and `updated_after` with "
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
        summary="Read a task by its number (42 of ENG-42)",
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
            _schema(
                "as_of",
                POSITION_SCHEMA,
                "The whole board as it was after this `seq`; as `<epoch>:<seq>` it names its epoch, too. 0 is before "
                "the team was made. What was deleted for good since is missing, and who was erased has no name.",
            ),
            IF_NONE_MATCH,
            MIN_SEQ,
        ),
        replies={
            200: Reply(
                description="The board.",
                body=Board,
                headers=CACHED,
                example={"seq": 117, "epoch": 1, "columns": [{**BOARD_COLUMN, "tasks": [TASK]}]},
            ),
            304: UNCHANGED,
        },
        problems=("not-found", "ahead-of-history", "history-rewritten", "overloaded"),
        requires=in_team(READ),
    ),
)

DECIDED: Final = ("not-found", "forbidden", "conflict", "ahead-of-history", "history-rewritten")
WARNED: Final = (*OF_TEAM, "TaskForge-Warning")
CHANGED: Final = Reply(description="The task after the change.", body=Task, headers=("ETag", *WARNED), example=TASK)

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
        replies={201: Reply(description="The task.", body=Task, headers=("Location", "ETag", *WARNED), example=TASK)},
        problems=(*DECIDED, "invalid-reference", "contradiction"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
    Operation(
        method="POST",
        path=paths.TASK_BATCH,
        id="batchTasks",
        summary="Up to 100 operations, all or nothing",
        tag="Tasks",
        description="One contiguous range of `seq`; each operation sees the ones before it. A dry run writes nothing. "
        "With `if_seq` the batch is a serialisable transaction: it is refused (`stale-read`) when a task that it "
        "operates on, or anything named in `reads`, has changed, gone or come since. A column or a label stands for "
        "itself, not for the tasks that have it; `*` stands for everything in the team.",
        parameters=(
            _schema("dry_run", {"type": "string", "enum": ["true", "false"], "default": "false"}, "Only pretend."),
            MIN_SEQ,
        ),
        body=BatchRequest,
        body_example={
            "team_id": TEAM_ID,
            "operations": [{"op": "create", "title": "One"}, {"op": "archive", "id": TASK["id"]}],
            "if_seq": 117,
            "reads": [TASK["id"]],
        },
        replies={200: Reply(description="What it came to.", body=BatchAnswer, headers=WARNED, example=BATCH)},
        problems=(*DECIDED, "invalid-reference", "contradiction", "stale-version", "stale-read"),
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
        replies={200: CHANGED},
        problems=(*DECIDED, "invalid-reference", "contradiction", "stale-version"),
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
            "Archives: the task leaves the board, keeps its number, and comes back by `restore`. A finished one that "
            "recurs has its next task made at once; an unfinished one takes its series with it. With "
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
        replies={200: CHANGED, 204: Reply(description="Deleted for good.", headers=OF_TEAM)},
        problems=(*DECIDED, "stale-version"),
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
        replies={200: CHANGED},
        problems=(*DECIDED, "invalid-reference", "contradiction", "stale-version"),
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
        replies={200: CHANGED},
        problems=(*DECIDED, "stale-version"),
        keyed=True,
        requires=in_team(WRITE_TASKS),
    ),
)
