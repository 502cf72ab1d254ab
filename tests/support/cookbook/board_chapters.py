"""The cookbook's chapters about what is on a board: its columns, its tasks, and what is said and attached to them."""

from typing import Final

from tests.support.cookbook.step import Chapter, Step

__all__ = ["BOARD"]

# One pixel.
_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP438AAAAQBAYD718vxAAAAAElFTkSuQmCC"

_COLUMNS: Final = Chapter(
    "Columns",
    "A board begins with some; the `category` of a column is the `status` of the tasks in it.",
    (
        Step(operation="listColumns", says="From the first to the last.", gives={"FIRST": "items.0.id"}),
        Step(operation="createColumn", says="It comes after the others.", gives={"COLUMN": "id"}),
        Step(operation="getColumn", says="One of them."),
        Step(operation="updateColumn", says="Null lifts the limit.", body={"name": "On hold", "wip_limit": None}),
        Step(operation="moveColumn", says="Right behind the first one.", body={"after_id": "$FIRST"}),
        Step(
            operation="deleteColumn",
            says="Tasks in it would go to `move_to`; without any in it, it is gone at once (204).",
            query={"move_to": "$FIRST"},
        ),
    ),
)

_TASKS: Final = Chapter(
    "Tasks",
    "Each change has the team's next number, `seq`; it is the task's `version` and its `ETag`.",
    (
        Step(
            operation="createTask",
            says="An `Idempotency-Key` makes trying again safe.",
            headers={"Idempotency-Key": "cookbook-$NOW"},
            body={"team_id": "$TEAM", "title": "Ship the board", "assignee_id": "$USER", "label_ids": ["$LABEL"]},
            gives={"TASK": "id", "NUMBER": "number", "VERSION": "version"},
        ),
        Step(operation="getTask", says='With `If-None-Match: "<version>"` an unchanged task is a 304.'),
        Step(operation="getTaskByNumber", says="As people say it."),
        Step(
            operation="listTasks",
            says="Filters are joined by *and*; `next_cursor` leads to the next page.",
            query={"team_id": "$TEAM", "status": "open,in_progress", "sort": "-updated_at", "limit": "10"},
        ),
        Step(
            operation="updateTask",
            says="`If-Match` refuses to overwrite what somebody else has changed meanwhile (412).",
            headers={"If-Match": '"$VERSION"'},
            body={"title": "Ship the board today", "priority": "high"},
        ),
        Step(
            operation="moveTask",
            says="To the bottom of another column.",
            body={"status": "in_progress"},
        ),
        Step(
            operation="undoTask",
            says="Back where it stood; without `seq`, the newest change of whoever asks.",
            body={},
            gives={"VERSION": "version"},
        ),
        Step(
            operation="batchTasks",
            says="One range of `seq`; with `if_seq` only if what it rests on has not changed since (412).",
            body={
                "team_id": "$TEAM",
                "if_seq": "1:$VERSION",
                "reads": ["$TASK"],
                "operations": [
                    {"op": "create", "title": "Tell everybody"},
                    {"op": "update", "id": "$TASK", "estimate": 3},
                ],
            },
        ),
        Step(operation="getBoard", says="All columns at one `seq`.", query={"per_column": "20"}),
        Step(operation="deleteTask", says="It can come back."),
        Step(operation="restoreTask", says="It is back."),
        Step(operation="getTaskActivity", says="What was done to it, newest first."),
        Step(operation="deleteLabel", says="The task has lost it."),
    ),
)

_COMMENTS: Final = Chapter(
    "Comments",
    "In Markdown, with the HTML that is made of it.",
    (
        Step(
            operation="addComment",
            says="Grace mentions Ada, who is notified.",
            by="GRACE_TOKEN",
            body={"body": "@Ada Lovelace it is **done**."},
            gives={"COMMENT": "id", "VERSION": "version"},
        ),
        Step(operation="listComments", says="In the order they were written in; `sort` turns it around."),
        Step(operation="getComment", says="One of them."),
        Step(
            operation="editComment",
            says="Only whoever wrote it may.",
            by="GRACE_TOKEN",
            headers={"If-Match": '"$VERSION"'},
            body={"body": "@Ada Lovelace it is *nearly* done."},
        ),
        Step(operation="listCommentEdits", says="What it said before, newest first."),
        Step(operation="deleteComment", says="Its author may, and an admin; Ada owns the team."),
    ),
)

_FILES: Final = Chapter(
    "Attachments",
    "Files come in a form, or straight to the store by a signed address.",
    (
        Step(
            operation="addAttachment",
            says="One form with one file.",
            first=f"base64 -d <<<'{_PNG}' > pixel.png",
            files={"file": "pixel.png"},
            gives={"ATTACHMENT": "id"},
        ),
        Step(operation="getAttachment", says="Its type is what its bytes say."),
        Step(
            operation="downloadAttachment",
            says="A 302 to an address that is good for five minutes, for whoever follows it.",
            curl=(
                'curl -sS --fail-with-body -L "$BASE/v1/attachments/$ATTACHMENT/download" \\\n'
                '  -H "Authorization: Bearer $TOKEN" -o got.png\ncmp pixel.png got.png'
            ),
            httpie=(
                'http -I --check-status --follow -A bearer -a "$TOKEN" \\\n'
                '  GET "$BASE/v1/attachments/$ATTACHMENT/download" > got.png\ncmp pixel.png got.png'
            ),
        ),
        Step(
            operation="getThumbnail",
            says="A WebP of an image. It is made soon after the file has come, and is a 404 before that.",
            first="TRIES=50",
            curl=(
                'until curl -sS --fail-with-body -L "$BASE/v1/attachments/$ATTACHMENT/thumbnail" \\\n'
                '  -H "Authorization: Bearer $TOKEN" -o small.webp || ((TRIES-- == 0))\n'
                "do sleep 0.2; done\n"
                "grep -aq WEBP small.webp"
            ),
            httpie=(
                'until http -I --check-status --follow -A bearer -a "$TOKEN" \\\n'
                '  GET "$BASE/v1/attachments/$ATTACHMENT/thumbnail" > small.webp || ((TRIES-- == 0))\n'
                "do sleep 0.2; done\n"
                "grep -aq WEBP small.webp"
            ),
        ),
        Step(
            operation="beginUpload",
            says="What will come, and where to send it.",
            first="printf 'The plan.' > plan.txt\nDIGEST=$(sha256sum plan.txt | cut -c-64)",
            body={"name": "plan.txt", "size": 9, "media_type": "text/plain", "digest": "$DIGEST"},
            gives={"UPLOAD": "upload_id", "ADDRESS": "url"},
        ),
        Step(
            operation="putObject",
            says="The address is all that it takes.",
            curl='curl -sS --fail-with-body -T plan.txt -H Content-Type:application/octet-stream "$(at "$ADDRESS")"',
            httpie='http -I --check-status PUT "$(at "$ADDRESS")" Content-Type:application/octet-stream @plan.txt',
        ),
        Step(
            operation="completeUpload",
            says="Once the file has the size and the digest that were named, it is attached.",
            gives={"ATTACHMENT": "id"},
        ),
        Step(operation="listAttachments", says="Oldest first."),
        Step(operation="deleteAttachment", says="For good."),
    ),
)

BOARD: Final = (_COLUMNS, _TASKS, _COMMENTS, _FILES)
