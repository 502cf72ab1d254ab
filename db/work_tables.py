"""Piccolo's view of a team's work: tasks, what hangs on them, and their journal. The other half of `tables.py`."""

from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    BigInt,
    Boolean,
    Bytea,
    Date,
    DoublePrecision,
    Integer,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.table import Table

from db.dialect import POSTGRES

__all__ = [
    "Attachments",
    "BoardSnapshotDrops",
    "BoardSnapshots",
    "CheckpointThings",
    "Checkpoints",
    "Columns",
    "Comments",
    "Labels",
    "RedactionsDue",
    "RelayCursors",
    "Reports",
    "SearchDocuments",
    "TaskEvents",
    "Tasks",
    "TeamEpochs",
    "TeamSeen",
    "WebhookAttempts",
    "WebhookDeliveries",
    "WebhookSubscriptions",
]


class Labels(Table, tablename="labels", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    name = Text()
    color = Text()


class Columns(Table, tablename="columns", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    name = Text()
    category = Text()
    wip_limit = Integer(null=True, default=None)
    rank = Text()
    closing_into = UUID(null=True, default=None)
    closing_by = UUID(null=True, default=None)


class Tasks(Table, tablename="tasks", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    number = BigInt()
    title = Text()
    description = Text()
    status = Text()
    priority = Text()
    assignee_id = UUID(null=True, default=None)
    label_ids = Array(base_column=UUID())
    due_at = Timestamptz(null=True, default=None)
    estimate = DoublePrecision(null=True, default=None)
    parent_id = UUID(null=True, default=None)
    blocked_by = Array(base_column=UUID())
    rank = Text()
    external_id = Text(null=True, default=None)
    external_source = Text(null=True, default=None)
    comment_count = Integer()
    attachment_count = Integer()
    created_by = UUID()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    completed_at = Timestamptz(null=True, default=None)
    archived_at = Timestamptz(null=True, default=None)
    version = BigInt()
    column_id = UUID()
    due_on = Date(null=True, default=None)
    recurrence = JSONB(null=True, default=None)


class TaskEvents(Table, tablename="task_events", db=POSTGRES):
    team_id = UUID()
    seq = BigInt(primary_key=True)
    type = Text()
    subject_id = UUID()
    actor_id = UUID()
    payload = Text()
    traceparent = Text()
    at = Timestamptz()
    salt = Bytea(null=True, default=None)
    digest = Bytea()
    actor_kind = Text(default="user")
    via = UUID(null=True, default=None)
    schema_version = SmallInt(default=1)


class TeamEpochs(Table, tablename="team_epochs", db=POSTGRES):
    team_id = UUID()
    epoch = Integer(primary_key=True)
    from_seq = BigInt()


class RelayCursors(Table, tablename="relay_cursors", db=POSTGRES):
    team_id = UUID(primary_key=True, default=None)
    published_seq = BigInt()
    updated_at = Timestamptz()


class Checkpoints(Table, tablename="checkpoints", db=POSTGRES):
    team_id = UUID(primary_key=True, default=None)
    format = SmallInt()
    epoch = Integer(default=1)
    seq = BigInt(default=0)
    digest = Bytea(default=b"")
    chain = Bytea(default=bytes(32))
    redacted_seq = BigInt(default=0)
    at = Timestamptz(null=True, default=None)
    published_seq = BigInt(default=0)
    published_epoch = Integer(default=1)
    published_at = Timestamptz()
    incarnation = Text(default="")


class CheckpointThings(Table, tablename="checkpoint_things", db=POSTGRES):
    team_id = UUID()
    kind = Text()
    id = UUID(primary_key=True, default=None)
    task_id = UUID(null=True, default=None)
    hash = Bytea()


class Comments(Table, tablename="comments", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    task_id = UUID()
    author_id = UUID()
    body = Text()
    mentions = Array(base_column=UUID())
    created_at = Timestamptz()
    updated_at = Timestamptz()
    version = BigInt()


class BoardSnapshots(Table, tablename="board_snapshots", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    epoch = Integer()
    seq = BigInt()
    digest = Bytea()
    format = Text()
    key = Text(null=True, default=None)
    size = BigInt(null=True, default=None)
    sha256 = Bytea(null=True, default=None)
    made_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)


class BoardSnapshotDrops(Table, tablename="board_snapshot_drops", db=POSTGRES):
    team_id = UUID(primary_key=True, default=None)
    drops = BigInt()


class RedactionsDue(Table, tablename="redactions_due", db=POSTGRES):
    team_id = UUID()
    task_id = UUID()
    subject_id = UUID(primary_key=True, default=None)
    created_at = Timestamptz()


class TeamSeen(Table, tablename="team_seen", db=POSTGRES):
    team_id = UUID()
    user_id = UUID(primary_key=True, default=None)
    epoch = Integer()
    seq = BigInt()
    seen_at = Timestamptz()


class Attachments(Table, tablename="attachments", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    task_id = UUID()
    name = Text()
    media_type = Text()
    size = BigInt()
    digest = Text()
    created_by = UUID()
    created_at = Timestamptz()


class Reports(Table, tablename="reports", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    kind = Text()
    since = Timestamptz()
    until = Timestamptz()
    pages = Integer()
    seq = BigInt()
    created_by = UUID()
    created_at = Timestamptz()


class SearchDocuments(Table, tablename="search_documents", db=POSTGRES):
    team_id = UUID()
    task_id = UUID(primary_key=True, default=None)
    seq = BigInt()
    text = Text()


class WebhookSubscriptions(Table, tablename="webhook_subscriptions", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    url = Text()
    description = Text()
    event_types = Array(base_column=Text())
    statuses = Array(base_column=Text())
    label_ids = Array(base_column=UUID())
    assignee_ids = Array(base_column=UUID())
    format = Text()
    in_order = Boolean()
    secret = Bytea()
    previous_secret = Bytea(null=True, default=None)
    previous_until = Timestamptz(null=True, default=None)
    created_by = UUID()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    start_seq = BigInt()
    last_seq = BigInt()
    disabled_reason = Text(null=True, default=None)
    disabled_at = Timestamptz(null=True, default=None)
    failing_since = Timestamptz(null=True, default=None)
    noticed_at = Timestamptz(null=True, default=None)
    throttle = SmallInt()
    paused_until = Timestamptz()
    due_at = Timestamptz()
    older_secrets = Array(base_column=Bytea())
    older_until = Array(base_column=Timestamptz())


class WebhookDeliveries(Table, tablename="webhook_deliveries", db=POSTGRES):
    team_id = UUID()
    id = UUID(primary_key=True, default=None)
    subscription_id = UUID()
    event_type = Text()
    epoch = Integer()
    seq = BigInt()
    prev_seq = BigInt()
    task_id = UUID(null=True, default=None)
    happened_at = Timestamptz()
    created_at = Timestamptz()
    status = Text()
    step = SmallInt()
    attempts = Integer()
    claim = UUID(null=True, default=None)
    next_at = Timestamptz()
    ended_at = Timestamptz(null=True, default=None)
    last_status = SmallInt(null=True, default=None)
    last_error = Text(null=True, default=None)
    last_duration_ms = Integer(null=True, default=None)


class WebhookAttempts(Table, tablename="webhook_attempts", db=POSTGRES):
    team_id = UUID()
    delivery_id = UUID()
    number = Integer(primary_key=True)
    at = Timestamptz()
    status = SmallInt(null=True, default=None)
    error = Text(null=True, default=None)
    duration_ms = Integer(null=True, default=None)
    response = Text()
