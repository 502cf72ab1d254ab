"""How the endpoints of teams, members and labels are documented."""

from typing import Final

from api import paths
from api.binding import MERGE_PATCH
from api.openapi import IF_NONE_MATCH, MIN_SEQ, PAGE, Operation, Parameter, Reply
from api.rest_v1 import Label, Member
from api.schemas import (
    LabelPage,
    LabelPatch,
    MemberPage,
    MemberPatch,
    NewLabel,
    NewTeam,
    TeamAnswer,
    TeamPage,
    TeamPatch,
)
from core.rights import MANAGE_LABELS, MANAGE_MEMBERS, MANAGE_TEAM, READ, SIGNED_IN, SIGNED_IN_TO_MANAGE, in_team

__all__ = ["OPERATIONS"]

OF_TEAM: Final = ("TaskForge-Team", "TaskForge-Seq", "TaskForge-Epoch")
_READ: Final = ("not-found", "ahead-of-history", "history-rewritten")
_DECIDED: Final = ("not-found", "forbidden", "conflict", "ahead-of-history", "history-rewritten")
_FORMER: Final = Parameter(
    name="former",
    schema={"type": "string", "enum": ["true", "false"], "default": "false"},
    description="`true`: people who are members no more, under their last names, with `left_at`.",
)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.TEAMS,
        id="createTeam",
        summary="Create a team and own it",
        tag="Teams",
        body=NewTeam,
        body_example={"name": "Engineering", "key": "ENG"},
        replies={201: Reply(description="The team.", body=TeamAnswer, headers=("Location", "ETag", *OF_TEAM))},
        problems=("quota-reached",),
        keyed=True,
        requires=SIGNED_IN_TO_MANAGE,
    ),
    Operation(
        method="GET",
        path=paths.TEAMS,
        id="listTeams",
        summary="My teams",
        tag="Teams",
        parameters=PAGE,
        replies={200: Reply(description="A page.", body=TeamPage)},
        requires=SIGNED_IN,
    ),
    Operation(
        method="GET",
        path=paths.TEAM,
        id="getTeam",
        summary="A team, my role in it and what it allows",
        tag="Teams",
        parameters=(IF_NONE_MATCH, MIN_SEQ),
        replies={
            200: Reply(description="The team.", body=TeamAnswer, headers=("ETag", "Cache-Control", *OF_TEAM)),
            304: Reply(description="You have this already.", headers=("ETag", "Cache-Control", *OF_TEAM)),
        },
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="PATCH",
        path=paths.TEAM,
        id="updateTeam",
        summary="Rename a team, say what its columns' limits do",
        tag="Teams",
        parameters=(MIN_SEQ,),
        body=TeamPatch,
        body_media_types=MERGE_PATCH,
        body_example={
            "name": "Platform",
            "wip": "block",
            "time_zone": "Europe/Berlin",
        },
        replies={200: Reply(description="The team after the change.", body=TeamAnswer, headers=("ETag", *OF_TEAM))},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_TEAM),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_MEMBERS,
        id="listMembers",
        summary="The members, or the former ones",
        tag="Members",
        parameters=(*PAGE, _FORMER, MIN_SEQ),
        replies={
            200: Reply(description="A page, in the order they joined, or left.", body=MemberPage, headers=OF_TEAM)
        },
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="PATCH",
        path=paths.TEAM_MEMBER,
        id="changeRole",
        summary="Give a member another role",
        tag="Members",
        parameters=(MIN_SEQ,),
        body=MemberPatch,
        body_media_types=MERGE_PATCH,
        body_example={"role": "viewer"},
        replies={200: Reply(description="The member after the change.", body=Member, headers=OF_TEAM)},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_MEMBERS),
    ),
    Operation(
        method="DELETE",
        path=paths.TEAM_MEMBER,
        id="removeMember",
        summary="Remove a member, or leave",
        tag="Members",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="No longer a member.", headers=OF_TEAM)},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_MEMBERS, unless_oneself=True),
    ),
    Operation(
        method="GET",
        path=paths.TEAM_LABELS,
        id="listLabels",
        summary="The labels",
        tag="Labels",
        parameters=(*PAGE, MIN_SEQ),
        replies={200: Reply(description="A page, by name.", body=LabelPage, headers=OF_TEAM)},
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="POST",
        path=paths.TEAM_LABELS,
        id="createLabel",
        summary="Create a label",
        tag="Labels",
        parameters=(MIN_SEQ,),
        body=NewLabel,
        body_example={"name": "bug", "color": "#d73a4a"},
        replies={201: Reply(description="The label.", body=Label, headers=("Location", *OF_TEAM))},
        problems=(*_DECIDED, "quota-reached"),
        keyed=True,
        requires=in_team(MANAGE_LABELS),
    ),
    Operation(
        method="PATCH",
        path=paths.TEAM_LABEL,
        id="updateLabel",
        summary="Rename or recolour a label",
        tag="Labels",
        parameters=(MIN_SEQ,),
        body=LabelPatch,
        body_media_types=MERGE_PATCH,
        body_example={"color": "#0e8a16"},
        replies={200: Reply(description="The label after the change.", body=Label, headers=OF_TEAM)},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_LABELS),
    ),
    Operation(
        method="DELETE",
        path=paths.TEAM_LABEL,
        id="deleteLabel",
        summary="Delete a label, and take it off every task",
        tag="Labels",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="Gone.", headers=OF_TEAM)},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_LABELS),
    ),
)
