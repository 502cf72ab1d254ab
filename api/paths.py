"""Every documented path but the operators', once: as OpenAPI writes it, as the router reads it, and as a link.

A parameter's name says its kind: `…_id` is a UUID, `number` a whole number, anything else text.
"""

import re
from typing import Final
from uuid import UUID

from streams.paths import TEAM, TEAM_BOARD, TEAM_EVENTS, UNSUBSCRIBE

__all__ = ["KINDS", "PARAMETER", "TEAM", "TEAM_BOARD", "TEAM_EVENTS", "UNSUBSCRIBE", "kind_of", "link", "pattern"]

SIGN_UP: Final = "/v1/auth/signup"
LOG_IN: Final = "/v1/auth/login"
REFRESH: Final = "/v1/auth/refresh"
LOG_OUT: Final = "/v1/auth/logout"
PASSWORD_RESET: Final = "/v1/auth/password-reset"  # noqa: S105 (a path)
PASSWORD_RESET_CONFIRM: Final = "/v1/auth/password-reset/confirm"  # noqa: S105 (a path)
PASSWORD_CHANGE: Final = "/v1/auth/password-change"  # noqa: S105 (a path)
VERIFY_EMAIL: Final = "/v1/auth/verify-email"
OIDC: Final = "/v1/auth/oidc"
OIDC_BEGIN: Final = "/v1/auth/oidc/{issuer}"
OIDC_CALLBACK: Final = "/v1/auth/oidc/{issuer}/callback"
OIDC_TOKENS: Final = "/v1/auth/oidc/tokens"

ME: Final = "/v1/me"
MY_SESSIONS: Final = "/v1/me/sessions"
MY_SESSION: Final = "/v1/me/sessions/{session_id}"
MY_API_KEYS: Final = "/v1/me/api-keys"
MY_API_KEY: Final = "/v1/me/api-keys/{key_id}"
MY_IDENTITIES: Final = "/v1/me/identities"
MY_IDENTITY: Final = "/v1/me/identities/{identity_id}"
MY_EMAIL_VERIFICATION: Final = "/v1/me/email-verification"
MY_NOTIFICATIONS: Final = "/v1/me/notifications"
MY_READ_NOTIFICATIONS: Final = "/v1/me/notifications/read"
MY_UNREAD_NOTIFICATIONS: Final = "/v1/me/notifications/unread"
MY_NOTIFICATION_PREFERENCES: Final = "/v1/me/notification-preferences"
MY_EXPORT: Final = "/v1/me/export"

TASKS: Final = "/v1/tasks"
TASK_BATCH: Final = "/v1/tasks/batch"
TASK: Final = "/v1/tasks/{task_id}"
TASK_ACTIVITY: Final = "/v1/tasks/{task_id}/activity"
TASK_MOVE: Final = "/v1/tasks/{task_id}/move"
TASK_RESTORE: Final = "/v1/tasks/{task_id}/restore"
TASK_UNDO: Final = "/v1/tasks/{task_id}/undo"
TASK_COMMENTS: Final = "/v1/tasks/{task_id}/comments"
COMMENT: Final = "/v1/comments/{comment_id}"
COMMENT_EDITS: Final = "/v1/comments/{comment_id}/edits"

TASK_ATTACHMENTS: Final = "/v1/tasks/{task_id}/attachments"
TASK_UPLOADS: Final = "/v1/tasks/{task_id}/attachments/uploads"
TASK_UPLOAD_COMPLETE: Final = "/v1/tasks/{task_id}/attachments/uploads/{upload_id}/complete"
ATTACHMENT: Final = "/v1/attachments/{attachment_id}"
ATTACHMENT_DOWNLOAD: Final = "/v1/attachments/{attachment_id}/download"
ATTACHMENT_THUMBNAIL: Final = "/v1/attachments/{attachment_id}/thumbnail"

TEAMS: Final = "/v1/teams"
TEAM_MEMBERS: Final = "/v1/teams/{team_id}/members"
TEAM_MEMBER: Final = "/v1/teams/{team_id}/members/{user_id}"
TEAM_INVITATIONS: Final = "/v1/teams/{team_id}/invitations"
TEAM_INVITATION: Final = "/v1/teams/{team_id}/invitations/{invitation_id}"
TEAM_LABELS: Final = "/v1/teams/{team_id}/labels"
TEAM_LABEL: Final = "/v1/teams/{team_id}/labels/{label_id}"
TEAM_COLUMNS: Final = "/v1/teams/{team_id}/columns"
TEAM_COLUMN: Final = "/v1/teams/{team_id}/columns/{column_id}"
TEAM_COLUMN_MOVE: Final = "/v1/teams/{team_id}/columns/{column_id}/move"
TEAM_TASK_BY_NUMBER: Final = "/v1/teams/{team_id}/tasks/by-number/{number}"
TEAM_AUDIT: Final = "/v1/teams/{team_id}/audit"
TEAM_OVERDUE: Final = "/v1/teams/{team_id}/overdue"
TEAM_STATS: Final = "/v1/teams/{team_id}/stats"
TEAM_RECURRENCE: Final = "/v1/teams/{team_id}/recurrence"
TEAM_REPORTS: Final = "/v1/teams/{team_id}/reports"
TEAM_REPORT: Final = "/v1/teams/{team_id}/reports/{report_id}"
TEAM_BOOTSTRAPS: Final = "/v1/teams/{team_id}/bootstraps"
TEAM_SEEN: Final = "/v1/teams/{team_id}/seen"
TEAM_LIVE: Final = "/v1/teams/{team_id}/live"

ACCEPT_INVITATION: Final = "/v1/invitations/accept"

LIVE_TICKETS: Final = "/v1/live-tickets"

WEBHOOKS: Final = "/v1/webhooks/subscriptions"
WEBHOOK: Final = "/v1/webhooks/subscriptions/{subscription_id}"
WEBHOOK_TEST: Final = "/v1/webhooks/subscriptions/{subscription_id}/test"
WEBHOOK_ROTATE: Final = "/v1/webhooks/subscriptions/{subscription_id}/rotate-secret"
WEBHOOK_RECOVER: Final = "/v1/webhooks/subscriptions/{subscription_id}/recover"
WEBHOOK_DELIVERIES: Final = "/v1/webhooks/subscriptions/{subscription_id}/deliveries"
DELIVERY: Final = "/v1/webhooks/deliveries/{delivery_id}"
DELIVERY_REDELIVER: Final = "/v1/webhooks/deliveries/{delivery_id}/redeliver"

OPERATION: Final = "/v1/operations/{operation_id}"
OBJECT: Final = "/v1/objects/{token}"

SCHEMAS: Final = "/schemas"
SCHEMA: Final = "/schemas/{urn}"

PAGES: Final = ("/", "/sign-in", "/forgot-password", "/reset-password", "/verify-email", "/invitation")
"""All of them are the board page: which of its screens shows, its script sees by the address."""
ACCOUNT_PAGE: Final = "/account"
TEAM_SETTINGS_PAGE: Final = "/team-settings"
"""The team is behind #, as the board's."""
WEBHOOKS_PAGE: Final = "/dashboard/webhooks"
DEV_MAIL: Final = "/dev/mail"

PARAMETER: Final = re.compile(r"{([a-z_]+)}")
KINDS: Final = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer", "minimum": 1},
    "": {"type": "string"},
}
"""JSON Schema of each kind of parameter."""


def kind_of(name: str) -> str:
    """The router's word for a parameter's kind: "uuid", "int", or "" for text."""
    return "uuid" if name.endswith("_id") else "int" if name == "number" else ""


def pattern(path: str) -> str:
    """The path as `api.routing` reads it: `/v1/tasks/{uuid:task_id}`."""
    return PARAMETER.sub(lambda found: f"{{{kind_of(found[1])}:{found[1]}}}" if kind_of(found[1]) else found[0], path)


def link(path: str, *ids: UUID | str) -> bytes:
    """The path to one thing, for `Location`: its ids take the parameters' places, in order; texts are not quoted."""
    return PARAMETER.sub("%s", path).encode() % tuple(str(one).encode() for one in ids)
