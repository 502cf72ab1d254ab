"""What goes in and out of the endpoints of invitations, and how they are documented."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api import paths
from api.endpoints.team_examples import INVITATION, JOINED, page
from api.openapi import MIN_SEQ, PAGE, Operation, Reply
from core.field_error import FieldError
from core.permissions import Role
from core.rights import MANAGE_MEMBERS, SESSION, in_team

__all__ = ["OPERATIONS", "Acceptance", "InvitationAnswer", "InvitationPage", "Joined", "NewInvitation"]

DAY: Final = 86_400


class NewInvitation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `email` it is sent there, for the account with that address only, and verifies it; without, it is a link."""

    role: Role
    email: (
        Annotated[str, Meta(min_length=3, max_length=320, description="At most 254 bytes after trimming.")] | None
    ) = None
    expires_in: Annotated[int, Meta(ge=60, le=30 * DAY, description="Seconds; at most 30 days.")] = 7 * DAY
    max_uses: Annotated[int, Meta(ge=1, le=100, description="How many may join by a link.")] = 1

    def __post_init__(self) -> None:
        if self.email is not None and self.max_uses != 1:
            raise FieldError("max_uses", "an invitation to an address is good once")


class InvitationAnswer(Struct, frozen=True, kw_only=True):
    """An open invitation. `token` is there once, in the answer that makes a link.

    `valid` is false while whoever made it may not give that role (any more): it cannot be accepted then.
    """

    id: UUID
    email: str | None
    role: Role
    invited_by: UUID
    valid: bool
    created_at: datetime
    expires_at: datetime
    max_uses: int
    uses: int
    token: str | UnsetType = UNSET


class InvitationPage(Struct, frozen=True):
    """Open invitations, newest first."""

    items: tuple[InvitationAnswer, ...]
    next_cursor: str | None


class Acceptance(Struct, frozen=True, forbid_unknown_fields=True):
    """The token of a mail or a link."""

    token: Annotated[str, Meta(min_length=1, max_length=200)]


class Joined(Struct, frozen=True):
    """The membership that the caller has now."""

    team_id: UUID
    user_id: UUID
    role: Role
    name: str
    joined_at: datetime


_OF_TEAM: Final = ("TaskForge-Team", "TaskForge-Seq", "TaskForge-Epoch")
_MANAGED: Final = ("not-found", "forbidden", "ahead-of-history", "history-rewritten")

_REQUIRES: Final = in_team(MANAGE_MEMBERS)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path=paths.TEAM_INVITATIONS,
        limit="invitations",
        id="createInvitation",
        summary="Invite somebody by mail, or make a link",
        tag="Members",
        description=(
            "You may invite to every role that you may give. Whoever accepts becomes a member in your name: as long as "
            "you may not give that role (any more), the invitation is not `valid` and cannot be accepted."
        ),
        parameters=(MIN_SEQ,),
        body=NewInvitation,
        body_example={"role": "member", "email": "grace@example.com"},
        replies={
            201: Reply(
                description="The invitation; that of a link has its `token`, which is never shown again.",
                body=InvitationAnswer,
                headers=("Location", "Cache-Control", *_OF_TEAM),
                example=INVITATION,
            )
        },
        problems=(*_MANAGED, "conflict", "quota-reached"),
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.TEAM_INVITATIONS,
        id="listInvitations",
        summary="Open invitations",
        tag="Members",
        description="What is used up, expired or revoked is not among them.",
        parameters=(*PAGE, MIN_SEQ),
        replies={
            200: Reply(
                description="A page, newest first, without tokens.",
                body=InvitationPage,
                headers=_OF_TEAM,
                example=page(INVITATION),
            )
        },
        problems=_MANAGED,
        requires=_REQUIRES,
    ),
    Operation(
        method="GET",
        path=paths.TEAM_INVITATION,
        id="getInvitation",
        summary="An open invitation",
        tag="Members",
        description="Its token was shown once, when it was made, and never again.",
        parameters=(MIN_SEQ,),
        replies={
            200: Reply(
                description="The invitation, without its token.",
                body=InvitationAnswer,
                headers=_OF_TEAM,
                example=INVITATION,
            )
        },
        problems=_MANAGED,
        requires=_REQUIRES,
    ),
    Operation(
        method="DELETE",
        path=paths.TEAM_INVITATION,
        id="revokeInvitation",
        summary="Revoke an invitation",
        tag="Members",
        description="Its token is as unknown as any other from then on. Who has joined by it stays.",
        parameters=(MIN_SEQ,),
        replies={204: Reply(description="It is gone.", headers=_OF_TEAM)},
        problems=_MANAGED,
        keyed=True,
        requires=_REQUIRES,
    ),
    Operation(
        method="POST",
        path=paths.ACCEPT_INVITATION,
        limit="accept",
        id="acceptInvitation",
        summary="Join a team by an invitation",
        tag="Members",
        description=(
            "An invitation to an address is for the account with that address (else 403 `forbidden`), and verifies it. "
            "Tokens that are unknown, used, expired or revoked get the same 404. Members get their membership, and the "
            "invitation stays as it was. One that was used by somebody who has left since does not bring them back."
        ),
        body=Acceptance,
        body_example={"token": "tfi_…"},
        replies={
            200: Reply(description="The membership.", body=Joined, headers=("Location", *_OF_TEAM), example=JOINED)
        },
        problems=("not-found", "forbidden", "quota-reached", "ahead-of-history", "history-rewritten"),
        keyed=True,
        requires=SESSION,
    ),
)
