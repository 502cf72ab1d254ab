"""Everything that is about one user, section by section, as JSON texts: what an export is made of.

Read through the API's pool, as that user: row-level security is the second wall, and what others wrote in teams that
the user has left is not theirs to take. A test compares `SECTIONS` and `LEFT_OUT` with the catalogue, so that no table
with a user in it is forgotten.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Final
from uuid import UUID

from msgspec import Struct

from db.pool import Pool
from db.transaction import reading

__all__ = ["LEFT_OUT", "LEFT_OUT_COLUMNS", "SECTIONS", "Section", "rows_of"]

ROWS_AT_ONCE: Final = 100
"""A task's description has up to 64 KiB, an event a few times as much."""

SEQS_AT_ONCE: Final = 10_000
"""Of a long journal in which somebody did little, no statement may look through all of it: it would take too long."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "refresh_tokens": "secrets of sessions, which are listed themselves",
    "external_sign_ins": "secrets of sign-ins on their way, for some minutes",
    "live_tickets": "secrets that are good for half a minute",
    "team_places": "places of teams that are being made, for a minute",
    "moved_mornings": "what the hour of the morning and the zone were until minutes ago",
    "notification_mails": "mails that leave within minutes, about what is in the export",
    "idempotency_keys": "copies of answers about what is in the export, kept for a week",
}
"""Tables with somebody in them that an export does not have, and why."""


_BECAUSE: Final[Mapping[str, str]] = {
    "users.password_hash account_tokens.token_hash api_keys.token_hash invitations.token_hash"
    " external_identities.identity_hash": "hashes of secrets, or of what is there itself",
    "task_events.digest task_events.salt objects.key"
    " objects.thumbnail_key": "what the program proves and finds its things by",
    "task_events.schema_version task_events.traceparent comments.version operations.attempts operations.data"
    " operations.next_at operations.traceparent operations.undoing operations.version": "how it was done, not what",
    "webhook_subscriptions.secret webhook_subscriptions.previous_secret webhook_subscriptions.previous_until"
    " webhook_subscriptions.older_secrets webhook_subscriptions.older_until"
    " webhook_subscriptions.start_seq webhook_subscriptions.last_seq webhook_subscriptions.failing_since"
    " webhook_subscriptions.noticed_at webhook_subscriptions.throttle webhook_subscriptions.paused_until"
    " webhook_subscriptions.due_at": "the team's, and how its events get there",
    "users.erased_at": "whoever has one has no export",
    "teams.deleted_at teams.deleted_by teams.forgetting_at teams.forgotten_at": "whoever is in a team finds none",
    "teams.created_at teams.epoch teams.seq teams.time_zone teams.top_number teams.updated_at teams.version"
    " teams.wip": "the team's, and nobody's in it",
}
LEFT_OUT_COLUMNS: Final = {column: reason for columns, reason in _BECAUSE.items() for column in columns.split()}
"""Columns of exported tables that an export does not have, and why."""


class Section(Struct, frozen=True):
    """A file of the export: rows of `tables`, found by `query` for the user $1, one JSON text each.

    With `by_seq` the query is for the team $2 and its `seq` from $3 on and below $4.
    """

    name: str
    about: str
    tables: tuple[str, ...]
    query: str
    by_seq: bool = False


def _json(query: str) -> str:
    return f"select row_to_json(found)::text from ({query}) found"  # noqa: S608 (texts of our own)


SECTIONS: Final = (
    Section(
        "account",
        "The account. The password is stored as a hash only, which is not here.",
        ("users",),
        _json("select id, email, name, email_verified_at, created_at, updated_at from users where id = $1"),
    ),
    Section(
        "preferences",
        "How things are shown, and what is told by mail.",
        ("users",),
        _json("select time_zone, mail_digest, mail_mentions, mail_assignments, digest_hour from users where id = $1"),
    ),
    Section(
        "notification_preferences",
        "What the account has switched on or off, by what is told and how.",
        ("notification_preferences",),
        _json("select kind, channel, wanted from notification_preferences where user_id = $1 order by kind, channel"),
    ),
    Section(
        "sessions",
        "Where the account is or was signed in.",
        ("sessions",),
        _json(
            "select id, created_at, last_used_at, expires_at, revoked_at, user_agent, host(ip) as ip from sessions"
            " where user_id = $1 order by id"
        ),
    ),
    Section(
        "external_identities",
        "Identities at other issuers by which the account signs in.",
        ("external_identities",),
        _json("select id, issuer, subject, created_at from external_identities where user_id = $1 order by id"),
    ),
    Section(
        "api_keys",
        "API keys. The keys themselves are stored as hashes only, which are not here.",
        ("api_keys",),
        _json(
            "select id, prefix, name, scopes, team_id, created_at, expires_at, last_used_at, revoked_at from api_keys"
            " where user_id = $1 order by id"
        ),
    ),
    Section(
        "account_mails",
        "Mails with a link that were asked for: to verify the address, to choose a new password.",
        ("account_tokens",),
        _json(
            "select id, purpose, email, created_at, expires_at, used_at from account_tokens"
            " where user_id = $1 order by id"
        ),
    ),
    Section(
        "memberships",
        "Teams that the account is a member of.",
        ("memberships", "teams"),
        _json(
            "select m.team_id, t.name as team, t.key as team_key, m.role, m.name, m.joined_at,"
            " t.created_by = $1 as created_by_me from memberships m join teams t on t.id = m.team_id"
            " where m.user_id = $1 order by m.team_id"
        ),
    ),
    Section(
        "seen",
        "How far the account has looked at its teams.",
        ("team_seen",),
        _json("select team_id, epoch, seq, seen_at from team_seen where user_id = $1 order by team_id"),
    ),
    Section(
        "former_memberships",
        "Teams that the account has left.",
        ("former_members",),
        _json("select team_id, role, name, joined_at, left_at from former_members where user_id = $1 order by team_id"),
    ),
    Section(
        "invitations_made",
        "Invitations that the account has made, as long as they are good.",
        ("invitations",),
        _json(
            "select id, team_id, email, role, created_at, expires_at, max_uses, uses from invitations"
            " where invited_by = $1 order by id"
        ),
    ),
    Section(
        "invitations_accepted",
        "Invitations that the account has accepted.",
        ("invitation_acceptances",),
        _json(
            "select invitation_id, team_id, accepted_at, joined_at from invitation_acceptances"
            " where user_id = $1 order by invitation_id"
        ),
    ),
    Section(
        "notifications",
        "What the account was notified of.",
        ("notifications",),
        _json(
            "select id, kind, team_id, task_id, actor_id, actor_name, event_id, data, in_app,"
            " mail_id is not null as mailed, created_at, read_at from notifications where user_id = $1 order by id"
        ),
    ),
    Section(
        "webhooks",
        "Webhooks that the account has made, in teams that it is a member of now. Their secrets are the teams'.",
        ("webhook_subscriptions",),
        _json(
            "select id, team_id, url, description, event_types, statuses, label_ids, assignee_ids, format, in_order,"
            " created_at, updated_at, disabled_at, disabled_reason from webhook_subscriptions"
            " where created_by = $1 order by id"
        ),
    ),
    Section(
        "tasks",
        "Tasks that the account has created or is to do, archived ones too, in teams that it is a member of now.",
        ("tasks",),
        _json(
            "select t.* from tasks t where team_id in (select team_id from memberships where user_id = $1)"
            " and (created_by = $1 or assignee_id = $1) order by team_id, id"
        ),
    ),
    Section(
        "comments",
        "Comments that the account has written, in teams that it is a member of now.",
        ("comments",),
        _json(
            "select id, team_id, task_id, body, mentions, created_at, updated_at from comments"
            " where team_id in (select team_id from memberships where user_id = $1) and author_id = $1"
            " order by team_id, id"
        ),
    ),
    Section(
        "attachments",
        "Files that the account has attached to tasks, in teams that it is a member of now. The files are the teams'.",
        ("attachments",),
        _json(
            "select id, team_id, task_id, name, media_type, size, digest, created_at from attachments"
            " where team_id in (select team_id from memberships where user_id = $1) and created_by = $1"
            " order by team_id, id"
        ),
    ),
    Section(
        "reports",
        "Reports that the account has had made, in teams that it is a member of now. The files are the teams'.",
        ("reports",),
        _json(
            "select id, team_id, kind, since, until, pages, seq, created_at from reports"
            " where team_id in (select team_id from memberships where user_id = $1) and created_by = $1"
            " order by team_id, id"
        ),
    ),
    Section(
        "events",
        "Changes that the account has made, in teams that it is a member of now.",
        ("task_events",),
        _json(
            "select team_id, seq, type, subject_id as subject, at as time, actor_kind, via, case when exists ("
            "select from redactions_due d where d.team_id = task_events.team_id and d.task_id = task_events.subject_id"
            " and (d.subject_id = d.task_id"
            ' or starts_with(task_events.payload, \'{"comment":{"id":"\' || d.subject_id::text || \'"\'))'
            ") then '{\"redacted\":true}' else payload::json end as data"
            " from task_events where actor_id = $1 and team_id = $2 and seq >= $3 and seq < $4 order by seq"
        ),
        by_seq=True,
    ),
    Section(
        "operations",
        "Long work that the account has started, such as this export.",
        ("operations",),
        _json(
            "select id, kind, team_id, status, steps, progress, result, error, created_at, updated_at, ended_at"
            " from operations"
            " where user_id = $1 order by id"
        ),
    ),
    Section(
        "objects",
        "Files that are kept for the account.",
        ("objects",),
        _json(
            "select id, team_id, task_id, kind, name, media_type, size, encode(sha256, 'hex') as sha256, claimed_size,"
            " encode(claimed_sha256, 'hex') as claimed_sha256, thumbnail_size, created_at, expires_at"
            " from objects where user_id = $1 order by id"
        ),
    ),
)


async def rows_of(pool: Pool, section: Section, user_id: UUID) -> AsyncGenerator[list[str], None]:
    """The rows of a section, each as JSON, some at a time; for the API's pool. Raises StorageUnavailable."""
    places: list[tuple[object, ...]] = [()]
    if section.by_seq:
        async with reading(pool, user_id) as tx:
            teams = await tx.fetch(_TEAMS, user_id)
        places = [
            (team["id"], start, start + SEQS_AT_ONCE)
            for team in teams
            for start in range(1, team["seq"] + 1, SEQS_AT_ONCE)
        ]
    for place in places:
        async with reading(pool, user_id) as tx:
            async for portion in tx.portions(ROWS_AT_ONCE, section.query, user_id, *place):
                yield [row[0] for row in portion]


_TEAMS: Final = """
select t.id, t.seq from memberships m join teams t on t.id = m.team_id where m.user_id = $1 order by t.id
"""
