"""How the endpoints of teams, members and labels are documented."""

from typing import Final

from api import paths
from api.binding import MERGE_PATCH
from api.endpoints.team_examples import LABEL, MEMBER, TEAM, page
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
        description="Whoever asks owns it. The `key` begins the numbers of its tasks (`ENG-42`) and never changes.",
        body=NewTeam,
        body_example={"name": "Engineering", "key": "ENG"},
        replies={
            201: Reply(description="The team.", body=TeamAnswer, headers=("Location", "ETag", *OF_TEAM), example=TEAM)
        },
        problems=("not-found", "quota-reached"),
        keyed=True,
        requires=SIGNED_IN_TO_MANAGE,
    ),
    Operation(
        method="GET",
        path=paths.TEAMS,
        id="listTeams",
        summary="My teams",
        tag="Teams",
        description=(
            "Those that the caller is a member of, in the order they were made; with a key for one team, that one."
        ),
        parameters=PAGE,
        replies={200: Reply(description="A page.", body=TeamPage, example=page(TEAM))},
        requires=SIGNED_IN,
    ),
    Operation(
        method="GET",
        path=paths.TEAM,
        id="getTeam",
        summary="A team, my role in it and what it allows",
        tag="Teams",
        description="`permissions` is what `my_role` allows, so that a client shows only what can be done.",
        parameters=(IF_NONE_MATCH, MIN_SEQ),
        replies={
            200: Reply(
                description="The team.", body=TeamAnswer, headers=("ETag", "Cache-Control", *OF_TEAM), example=TEAM
            ),
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
        description=(
            "A JSON merge patch: what is left out stays. `wip` says what becomes of its columns' limits: they are "
            "ignored (`off`), warned of in answers (`warn`), or enforced (`block`)."
        ),
        parameters=(MIN_SEQ,),
        body=TeamPatch,
        body_media_types=MERGE_PATCH,
        body_example={
            "name": "Platform",
            "wip": "block",
            "time_zone": "Europe/Berlin",
        },
        replies={
            200: Reply(
                description="The team after the change.", body=TeamAnswer, headers=("ETag", *OF_TEAM), example=TEAM
            )
        },
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
        description="With `former=true` those who left or were removed, under their last names.",
        parameters=(*PAGE, _FORMER, MIN_SEQ),
        replies={
            200: Reply(
                description="A page, in the order they joined, or left.",
                body=MemberPage,
                headers=OF_TEAM,
                example=page(MEMBER),
            )
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
        description=(
            "Nobody gives or takes a role above their own. The last owner keeps theirs (409 `conflict`, `last-owner`)."
        ),
        parameters=(MIN_SEQ,),
        body=MemberPatch,
        body_media_types=MERGE_PATCH,
        body_example={"role": "viewer"},
        replies={200: Reply(description="The member after the change.", body=Member, headers=OF_TEAM, example=MEMBER)},
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
        description=(
            "Everybody may leave; removing others takes the permission `manage_members`. Sessions and feeds of the "
            "removed see nothing of the team from then on. The last owner stays (409 `conflict`, `last-owner`)."
        ),
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
        description="All labels of the team by name, page by page.",
        parameters=(*PAGE, MIN_SEQ),
        replies={200: Reply(description="A page, by name.", body=LabelPage, headers=OF_TEAM, example=page(LABEL))},
        problems=_READ,
        requires=in_team(READ),
    ),
    Operation(
        method="POST",
        path=paths.TEAM_LABELS,
        id="createLabel",
        summary="Create a label",
        tag="Labels",
        description="Names are unique in the team (409 `conflict`, `name-taken`). Tasks name labels by their ids.",
        parameters=(MIN_SEQ,),
        body=NewLabel,
        body_example={"name": "bug", "color": "#d73a4a"},
        replies={201: Reply(description="The label.", body=Label, headers=("Location", *OF_TEAM), example=LABEL)},
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
        description="A JSON merge patch. Tasks keep the label under its new name.",
        parameters=(MIN_SEQ,),
        body=LabelPatch,
        body_media_types=MERGE_PATCH,
        body_example={"color": "#0e8a16"},
        replies={200: Reply(description="The label after the change.", body=Label, headers=OF_TEAM, example=LABEL)},
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
        description="One event takes it off every task. It cannot be restored.",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="Gone.", headers=OF_TEAM)},
        problems=_DECIDED,
        keyed=True,
        requires=in_team(MANAGE_LABELS),
    ),
)
