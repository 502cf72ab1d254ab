"""What the document shows of accounts: sessions, keys, notifications, identities. All examples are Ada's."""

from typing import Final

from api.endpoints.task_docs import TASK, TEAM_ID

__all__ = [
    "API_KEY",
    "IDENTITY",
    "ISSUERS",
    "MY_SESSION",
    "NEW_API_KEY",
    "NOTIFICATION",
    "PREFERENCES",
    "TICKET",
    "TOKENS",
    "USER",
]

TOKENS: Final = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6…",
    "token_type": "Bearer",
    "expires_in": 600,
    "refresh_token": "tfr_…",
}
USER: Final = {
    "id": "019a3b1e-5b00-7000-8000-000000000001",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "time_zone": "Europe/London",
    "mail": {"digest": False, "mentions": True, "assignments": True},
    "email_verified_at": "2026-02-01T07:35:00Z",
    "created_at": "2026-02-01T07:30:00Z",
    "updated_at": "2026-02-01T07:40:00Z",
}
MY_SESSION: Final = {
    "id": "019a3b1e-5b10-7000-8000-0000000000d1",
    "created_at": "2026-02-01T07:30:00Z",
    "last_used_at": "2026-02-02T10:30:00Z",
    "expires_at": "2026-03-03T07:30:00Z",
    "user_agent": "curl/8.5.0",
    "ip": "192.0.2.7",
    "current": True,
}
NOTIFICATION: Final = {
    "id": "019a3b1e-7000-7000-8000-0000000000e1",
    "kind": "task.assigned",
    "sentence": f"Grace Hopper assigned {TASK['key']} “{TASK['title']}” to you.",
    "team_id": TEAM_ID,
    "team_name": "Engineering",
    "task_id": TASK["id"],
    "actor_id": "019a3b1e-5b00-7000-8000-000000000002",
    "actor_name": "Grace Hopper",
    "event_id": f"{TEAM_ID}:1:116",
    "data": {"key": TASK["key"], "title": TASK["title"]},
    "created_at": "2026-02-02T10:25:00Z",
    "read_at": None,
}
PREFERENCES: Final = {
    "kinds": [
        {"kind": "comment.mentioned", "about": "when somebody mentions you", "in_app": True, "mail": True},
        {"kind": "digest.daily", "about": "in the morning, about what is overdue", "in_app": None, "mail": True},
    ],
    "digest_hour": 7,
}
API_KEY: Final = {
    "id": "019a3b1e-5b20-7000-8000-0000000000a1",
    "name": "Nightly import",
    "prefix": "tfk_4fQ7",
    "scopes": ["write"],
    "team_id": None,
    "created_at": "2026-02-01T07:50:00Z",
    "expires_at": None,
    "last_used_at": None,
}
NEW_API_KEY: Final = {**API_KEY, "token": "tfk_…"}
IDENTITY: Final = {
    "id": "019a3b1e-5b30-7000-8000-0000000000f1",
    "issuer": "https://login.example.com",
    "subject": "248289761001",
    "created_at": "2026-02-01T07:55:00Z",
}
ISSUERS: Final = {"items": [{"name": "example", "label": "Example Login"}], "next_cursor": None}
TICKET: Final = {"ticket": "tft_…", "expires_in": 30}
