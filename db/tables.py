"""Piccolo's view of the schema, for its command line and for the queries that are written with it (see README.md).

The migrations are the source; a test compares every column here with the migrated database. What Piccolo cannot say
(composite keys, row-level security, partial indexes) is only there.
"""

from piccolo.columns import (
    UUID,
    Array,
    BigInt,
    Boolean,
    Bytea,
    DoublePrecision,
    Integer,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.table import Table

from db.column_types import Inet, Json
from db.dialect import POSTGRES

__all__ = [
    "ApiKeys",
    "AccountTokens",
    "DeadLetterReplays",
    "EpochsDue",
    "ExternalIdentities",
    "ExternalSignIns",
    "FormerMembers",
    "IdempotencyKeys",
    "Inbox",
    "Installation",
    "InvitationAcceptances",
    "Invitations",
    "LiveTickets",
    "Memberships",
    "MovedMornings",
    "NotificationMails",
    "NotificationPreferences",
    "Notifications",
    "Objects",
    "Operations",
    "Outbox",
    "OutboxSent",
    "Projections",
    "RefreshTokens",
    "ReplayedDeadLetters",
    "ScheduleMarks",
    "Schedules",
    "Sessions",
    "TeamPlaces",
    "Teams",
    "Users",
]


class Users(Table, tablename="users", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    email = Text(null=True, default=None)
    name = Text()
    password_hash = Text(null=True, default=None)
    email_verified_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    time_zone = Text(default="UTC")
    erased_at = Timestamptz(null=True, default=None)
    mail_digest = Boolean(default=True)
    mail_mentions = Boolean(default=True)
    mail_assignments = Boolean(default=True)
    digest_hour = SmallInt(default=7)


class AccountTokens(Table, tablename="account_tokens", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    purpose = Text()
    token_hash = Bytea()
    email = Text(null=True, default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz()
    used_at = Timestamptz(null=True, default=None)


class ExternalIdentities(Table, tablename="external_identities", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    identity_hash = Bytea()
    issuer = Text()
    subject = Text()
    created_at = Timestamptz()


class ExternalSignIns(Table, tablename="external_sign_ins", db=POSTGRES):
    state_hash = Bytea(primary_key=True, default=None)
    code_hash = Bytea()
    user_id = UUID()
    expires_at = Timestamptz()
    used_at = Timestamptz(null=True, default=None)


class Sessions(Table, tablename="sessions", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    created_at = Timestamptz()
    last_used_at = Timestamptz()
    expires_at = Timestamptz()
    revoked_at = Timestamptz(null=True, default=None)
    user_agent = Text()
    ip = Inet()


class RefreshTokens(Table, tablename="refresh_tokens", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    token_hash = Bytea()
    session_id = UUID()
    user_id = UUID()
    parent_id = UUID(null=True, default=None)
    successor_id = UUID(null=True, default=None)
    successor_sealed = Bytea(null=True, default=None)
    issued_at = Timestamptz()
    consumed_at = Timestamptz(null=True, default=None)
    expires_at = Timestamptz()


class ApiKeys(Table, tablename="api_keys", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    token_hash = Bytea()
    prefix = Text()
    name = Text()
    scopes = Array(base_column=Text())
    team_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)


class Teams(Table, tablename="teams", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    seq = BigInt()
    epoch = Integer(default=1)
    name = Text()
    key = Text()
    top_number = BigInt()
    created_by = UUID()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    version = BigInt()
    time_zone = Text(default="UTC")
    wip = Text(default="warn")
    deleted_at = Timestamptz(null=True, default=None)
    deleted_by = UUID(null=True, default=None)
    forgetting_at = Timestamptz(null=True, default=None)
    forgotten_at = Timestamptz(null=True, default=None)


class Memberships(Table, tablename="memberships", db=POSTGRES):
    team_id = UUID()
    user_id = UUID(primary_key=True, default=None)
    role = Text()
    name = Text()
    joined_at = Timestamptz()


class FormerMembers(Table, tablename="former_members", db=POSTGRES):
    team_id = UUID()
    user_id = UUID(primary_key=True, default=None)
    role = Text()
    name = Text()
    joined_at = Timestamptz()
    left_at = Timestamptz()


class Invitations(Table, tablename="invitations", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    token_hash = Bytea()
    email = Text(null=True, default=None)
    role = Text()
    invited_by = UUID()
    created_at = Timestamptz()
    expires_at = Timestamptz()
    max_uses = Integer()
    uses = Integer()


class InvitationAcceptances(Table, tablename="invitation_acceptances", db=POSTGRES):
    team_id = UUID()
    invitation_id = UUID()
    user_id = UUID(primary_key=True, default=None)
    accepted_at = Timestamptz()
    joined_at = Timestamptz(null=True, default=None)


class IdempotencyKeys(Table, tablename="idempotency_keys", db=POSTGRES):
    principal = UUID()
    key = Text(primary_key=True)
    team_id = UUID(null=True, default=None)
    fingerprint = Bytea()
    status = SmallInt()
    headers = Json()
    body = Bytea()
    seq = BigInt()
    created_at = Timestamptz()


class Inbox(Table, tablename="inbox", db=POSTGRES):
    consumer = Text()
    event_id = Text(primary_key=True)
    at = Timestamptz()
    claimed_until = Timestamptz(null=True, default=None)


class DeadLetterReplays(Table, tablename="dead_letter_replays", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    at = Timestamptz()
    who = Text()
    why = Text()
    wanted = Text()
    letters = Integer()
    ended_at = Timestamptz(null=True, default=None)


class ReplayedDeadLetters(Table, tablename="replayed_dead_letters", db=POSTGRES):
    incarnation = Text()
    consumer = Text()
    partition = Integer()
    position = BigInt(primary_key=True)
    replay_id = UUID()


class Installation(Table, tablename="installation", db=POSTGRES):
    id = SmallInt(primary_key=True, default=1)
    format = Integer()
    system_identifier = BigInt(null=True, default=None)
    timeline = Integer(null=True, default=None)
    database_oid = BigInt()
    journal_oid = BigInt()


class EpochsDue(Table, tablename="epochs_due", db=POSTGRES):
    team_id = UUID(primary_key=True, default=None)
    above_epoch = Integer(default=0)
    from_seq = BigInt(null=True, default=None)


class Projections(Table, tablename="projections", db=POSTGRES):
    name = Text()
    team_id = UUID(primary_key=True, default=None)
    seq = BigInt(default=0)
    epoch = Integer(default=1)


class LiveTickets(Table, tablename="live_tickets", db=POSTGRES):
    ticket_hash = Bytea(primary_key=True, default=None)
    user_id = UUID()
    session_id = UUID()
    team_id = UUID(null=True, default=None)
    expires_at = Timestamptz()
    network = Inet()


class TeamPlaces(Table, tablename="team_places", db=POSTGRES):
    team_id = UUID(primary_key=True, default=None)
    user_id = UUID()
    expires_at = Timestamptz()


class Notifications(Table, tablename="notifications", db=POSTGRES):
    user_id = UUID()
    id = UUID(primary_key=True, default=None)
    team_id = UUID()
    kind = Text()
    task_id = UUID(null=True, default=None)
    actor_id = UUID(null=True, default=None)
    event_id = Text()
    data = Json()
    created_at = Timestamptz()
    read_at = Timestamptz(null=True, default=None)
    in_app = Boolean(default=True)
    mail_id = UUID(null=True, default=None)
    actor_name = Text(default="")


class NotificationPreferences(Table, tablename="notification_preferences", db=POSTGRES):
    user_id = UUID()
    kind = Text()
    channel = Text(primary_key=True)
    wanted = Boolean()


class NotificationMails(Table, tablename="notification_mails", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    subject_id = UUID()
    first_at = Timestamptz()
    leaves_at = Timestamptz()


class Outbox(Table, tablename="outbox", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    position = BigInt()
    topic = Text()
    key = Text()
    payload = Text()
    discard = Boolean()
    traceparent = Text()
    created_at = Timestamptz()


class OutboxSent(Table, tablename="outbox_sent", db=POSTGRES):
    position = BigInt(primary_key=True, default=None)
    id = UUID()
    topic = Text()
    key = Text()
    payload = Text()
    traceparent = Text()
    created_at = Timestamptz()
    life = Text()
    sent_at = Timestamptz()


class Operations(Table, tablename="operations", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    kind = Text()
    user_id = UUID()
    team_id = UUID(null=True, default=None)
    status = Text()
    undoing = Boolean()
    steps = Json()
    progress = DoublePrecision()
    data = Json()
    result = Json(null=True)
    error = Text(null=True, default=None)
    version = BigInt()
    attempts = Integer()
    next_at = Timestamptz()
    traceparent = Text()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    ended_at = Timestamptz(null=True, default=None)


class Objects(Table, tablename="objects", db=POSTGRES):
    id = UUID(primary_key=True, default=None)
    user_id = UUID()
    team_id = UUID(null=True, default=None)
    kind = Text()
    key = Text(null=True, default=None)
    name = Text()
    media_type = Text()
    size = BigInt(null=True, default=None)
    sha256 = Bytea(null=True, default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)
    task_id = UUID(null=True, default=None)
    claimed_size = BigInt(null=True, default=None)
    claimed_sha256 = Bytea(null=True, default=None)
    thumbnail_key = Text(null=True, default=None)
    thumbnail_size = BigInt(null=True, default=None)


class MovedMornings(Table, tablename="moved_mornings", db=POSTGRES):
    user_id = UUID()
    schedule = Text(primary_key=True)
    time_zone = Text()
    digest_hour = SmallInt()
    moved_at = Timestamptz()


class Schedules(Table, tablename="schedules", db=POSTGRES):
    name = Text(primary_key=True, default=None)
    fired_until = Timestamptz()
    moved_at = Timestamptz()


class ScheduleMarks(Table, tablename="schedule_marks", db=POSTGRES):
    schedule = Text()
    subject_id = UUID(primary_key=True, default=None)
    occurrence = Text()
    marked_at = Timestamptz()
