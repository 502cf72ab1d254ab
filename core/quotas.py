"""How much of a kind there may be at once, for one user, client address or team. Read by `taskforge.settings`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Quota", "Quotas"]

Quota = Literal[
    "feeds-per-user",
    "feeds-per-address",
    "tickets-per-user",
    "tickets-per-address",
    "teams-per-user",
    "api-keys-per-user",
    "labels-per-team",
    "columns-per-team",
    "members-per-team",
    "invitations-per-team",
    "webhooks-per-team",
    "uploads-per-user",
    "attachments-per-task",
    "attachments-per-team",
    "attachment-bytes-per-team",
    "links-per-command",
]
"""The stable public name of a limit that refuses. Sessions have none: the oldest one ends instead."""


class Quotas(Struct, frozen=True, kw_only=True, gc=False):
    """Limits on counts. What is above a limit when it is lowered stays; only more of it is refused.

    An address of IPv6 stands for its /64 network, which is what one client has.
    """

    feeds_per_user: Annotated[int, Meta(ge=1, description="Open feeds of one user, in each API process.")] = 50
    feeds_per_address: Annotated[
        int,
        Meta(ge=0, description="Open feeds of one client address, in each API process; 0: no limit."),
    ] = 100
    tickets_per_user: Annotated[int, Meta(ge=1, description="Live tickets of one user that are not used yet.")] = 60
    tickets_per_address: Annotated[
        int, Meta(ge=0, description="Unused live tickets asked for from one client address; 0: no limit.")
    ] = 120
    sessions_per_user: Annotated[
        int, Meta(ge=1, description="Sessions of one user; a further one ends the one not used for longest.")
    ] = 50
    teams_per_user: Annotated[
        int, Meta(ge=1, description="Teams that a user owns, before creating a further one is refused.")
    ] = 50
    api_keys_per_user: Annotated[int, Meta(ge=1, description="API keys of one user that have not ended.")] = 50
    labels_per_team: Annotated[int, Meta(ge=1, description="Labels of one team.")] = 200
    members_per_team: Annotated[int, Meta(ge=1, description="Members of one team.")] = 500
    invitations_per_team: Annotated[int, Meta(ge=1, description="Open invitations of one team.")] = 200
    webhooks_per_team: Annotated[int, Meta(ge=1, description="Webhooks of one team.")] = 50
    uploads_per_user: Annotated[int, Meta(ge=1, description="Files of one user that are on their way to a task.")] = 50
    attachments_per_task: Annotated[int, Meta(ge=1, description="Attachments of one task.")] = 100
    attachments_per_team: Annotated[int, Meta(ge=1, description="Attachments of one team.")] = 20_000
    attachment_bytes_per_team: Annotated[int, Meta(ge=1, description="Bytes of all attachments of one team.")] = (
        10 * 1024**3
    )
