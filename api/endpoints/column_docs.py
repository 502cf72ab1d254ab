"""How the endpoints of columns are documented."""

from typing import Final

from api import paths
from api.binding import MERGE_PATCH
from api.endpoints.task_docs import BOARD_COLUMN, COLUMN_ID, OF_TEAM
from api.openapi import MIN_SEQ, PAGE, Operation, Parameter, Reply
from api.rest_v1 import Column
from api.schemas import ColumnMove, ColumnPage, ColumnPatch, NewColumn
from core.rights import MANAGE_TEAM, READ, in_team

__all__ = ["OPERATIONS"]

COLUMN: Final = {**BOARD_COLUMN, "name": "Waiting", "position": 1, "closing_into": None}
OTHER_ID: Final = "1b0b4b0e-6d1c-5b2f-9a55-0c4f6d7e8a91"
_READ: Final = ("not-found", "ahead-of-history", "history-rewritten")
_DECIDED: Final = (*_READ, "forbidden", "conflict")
_CHANGED: Final = Reply(description="The column after the change.", body=Column, headers=OF_TEAM, example=COLUMN)
_MOVE_TO: Final = Parameter(
    name="move_to",
    schema={"type": "string", "format": "uuid"},
    description="The column that its tasks go to, in their order, below those that stand there.",
    example=OTHER_ID,
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path=paths.TEAM_COLUMNS,
        id="listColumns",
        summary="The columns of the board",
        tag="Columns",
        description="In their order, each with its category, which is the `status` of the tasks that stand in it.",
        parameters=(*PAGE, MIN_SEQ),
        replies={
            200: Reply(
                description="A page, from the first column to the last.",
                body=ColumnPage,
                headers=OF_TEAM,
                example={"items": [COLUMN], "next_cursor": None},
            )
        },
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="POST",
        path=paths.TEAM_COLUMNS,
        id="createColumn",
        summary="Create a column after the others",
        tag="Columns",
        description=(
            "A team has at most 30. `category` is the status of the tasks in it, and never changes. Names are unique "
            "without regard to case."
        ),
        parameters=(MIN_SEQ,),
        body=NewColumn,
        body_example={"name": "Waiting", "category": "in_progress", "wip_limit": 5},
        replies={
            201: Reply(description="The column.", body=Column, headers=("Location", *OF_TEAM), example=COLUMN),
        },
        problems=(*_DECIDED, "quota-reached"),
        keyed=True,
        requires=in_team(MANAGE_TEAM),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_COLUMN,
        id="getColumn",
        summary="A column of the board",
        tag="Columns",
        description="With its place among the others. `closing_into` is there while it is being deleted.",
        parameters=(MIN_SEQ,),
        replies={200: Reply(description="The column.", body=Column, headers=OF_TEAM, example=COLUMN)},
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="PATCH",
        path=paths.TEAM_COLUMN,
        id="updateColumn",
        summary="Rename a column, set or lift its limit",
        tag="Columns",
        description="What a limit does says `wip` of the team: nothing, a warning in the answer, or a refusal.",
        parameters=(MIN_SEQ,),
        body=ColumnPatch,
        body_media_types=MERGE_PATCH,
        body_example={"name": "Doing", "wip_limit": None},
        replies={200: _CHANGED},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_TEAM),
    ),
    Operation(
        method="DELETE",
        path=paths.TEAM_COLUMN,
        id="deleteColumn",
        summary="Delete a column, and move its tasks to another one",
        tag="Columns",
        description=(
            "One that holds tasks needs `move_to`: they move a few hundred at a time, and no task enters the column "
            "meanwhile. What takes longer than a request goes on by itself, and a retry answers the same. There is "
            "always a column of `open` and one of `done`."
        ),
        parameters=(_MOVE_TO, MIN_SEQ),
        replies={
            202: Reply(
                description="It is closing: its tasks are on their way to `closing_into`. It is gone once they are.",
                body=Column,
                headers=("Location", *OF_TEAM),
                example={**COLUMN, "closing_into": OTHER_ID},
            ),
            204: Reply(description="Gone.", headers=OF_TEAM),
        },
        problems=(*_DECIDED, "invalid-reference"),
        keyed=True,
        requires=in_team(MANAGE_TEAM),
    ),
    Operation(
        method="POST",
        path=paths.TEAM_COLUMN_MOVE,
        id="moveColumn",
        summary="Move a column among the others",
        tag="Columns",
        description="Right before or right after another column; with neither named, behind all others.",
        parameters=(MIN_SEQ,),
        body=ColumnMove,
        body_example={"after_id": COLUMN_ID},
        replies={200: _CHANGED},
        problems=(*_DECIDED, "invalid-reference"),
        keyed=True,
        requires=in_team(MANAGE_TEAM),
    ),
)
