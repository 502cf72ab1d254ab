"""The JSON Schema of problem documents, for the OpenAPI document."""

from typing import Any, Final, get_args

from api.problems import FIRST_ERROR, LAST_ERROR
from core import errors

__all__ = ["SCHEMA"]

SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": FIRST_ERROR, "maximum": LAST_ERROR},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "parameter": {"type": "string", "description": "The query parameter or header at fault."},
        "reason": {
            "type": "string",
            "enum": list(get_args(errors.ConflictReason)),
            "description": "Which rule, for a conflict.",
        },
        "permission": {"type": "string", "description": "What the role lacks."},
        "quota": {"type": "string", "description": "The limit that is reached, such as labels-per-team."},
        "policy": {"type": "string", "description": "The rate limit that is reached, as RateLimit-Policy names it."},
        "limit": {"type": "integer", "description": "How many that limit allows."},
        "task_id": {"type": "string", "format": "uuid", "description": "The task that stands in the way."},
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The fields that cannot be put back, for an undo that conflicts.",
        },
        "current_version": {"type": "integer", "description": "The version that If-Match missed."},
        "base_known": {
            "type": "boolean",
            "description": "False when If-Match is of a history that was restored away: what it began with is not "
            "known, so that conflicts[] has every field with another value than yours, with a base of null.",
        },
        "changed": {
            "type": "array",
            "items": {"type": "string", "format": "uuid"},
            "description": "What has changed since if_seq, of all that the batch rests on; of a whole team, the first "
            "100 changes.",
        },
        "epoch": {"type": "integer", "description": "The team's epoch, when a position is of an earlier one."},
        "seq": {"type": "integer", "description": "Where the team is in that epoch."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
        "conflicts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "base", "theirs", "yours"],
                "properties": {"field": {"type": "string"}, "base": {}, "theirs": {}, "yours": {}},
            },
        },
    },
}
