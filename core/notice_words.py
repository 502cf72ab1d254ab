"""What a notification says, in one English sentence, by the clock of whoever reads it."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final

__all__ = ["SERIES", "due_in_words", "said"]

SERIES: Final = "series"
"""Who did it, as `by` of a notification's data: a series of tasks, and nobody in person."""

_REPORTS: Final[Mapping[str, str]] = {
    "board": "Your report of the board",
    "overdue": "Your report of what is overdue",
    "activity": "Your report of what happened",
}
_OFF: Final[Mapping[str, str]] = {
    "gone": "its endpoint said that it is gone (410)",
    "failing": "its endpoint has taken nothing for five days",
}


def said(kind: str, actor: str, data: Mapping[str, Any], zone: tzinfo = UTC) -> str:
    """What happened. Moments are those of `zone`; a kind that this version does not know is named.

    `data` has the `key` and `title` of the task, where it is about one, and `due` of one that is due; of a report its
    kind as `report` and its `period`; of a webhook the `reason`, and its `host` and `description` where the reader may
    know them.
    """
    words = _WORDS.get(kind)
    return f"{kind}." if words is None else words(_actor(actor, data), data, zone)


def due_in_words(due: date | datetime, zone: tzinfo) -> str:
    """`28 November 2026` of a date, `28 November 2026, 14:00` of a moment, by the clock of the zone."""
    there = due.astimezone(zone) if isinstance(due, datetime) else due
    clock = f", {there:%H:%M}" if isinstance(there, datetime) else ""
    return f"{there.day} {there:%B} {there.year}{clock}"


def _actor(actor: str, data: Mapping[str, Any]) -> str:
    return "The series" if data.get("by") == SERIES else actor or "Somebody"


def _task(data: Mapping[str, Any]) -> str:
    return f"{data.get('key', '')} “{data.get('title', '')}”"


def _due(data: Mapping[str, Any], zone: tzinfo) -> str:
    """Notifications that were written before dates were told of have none."""
    due: str = data.get("due", "")
    if not due:
        return ""
    return due_in_words(date.fromisoformat(due) if "T" not in due else datetime.fromisoformat(due), zone)


def _due_soon(_: str, data: Mapping[str, Any], zone: tzinfo) -> str:
    due = _due(data, zone)
    return f"{_task(data)} is due {f'on {due}' if due else 'soon'}."


def _overdue(_: str, data: Mapping[str, Any], zone: tzinfo) -> str:
    due = _due(data, zone)
    return f"{_task(data)} is overdue{f': it was due on {due}' if due else ''}."


def _report(_: str, data: Mapping[str, Any], __: tzinfo) -> str:
    period = data.get("period", "")
    return f"{_REPORTS.get(data.get('report', ''), 'Your report')}{f', {period},' if period else ''} is ready."


def _webhook(data: Mapping[str, Any]) -> str:
    host, description = data.get("host", ""), data.get("description", "")
    if not host:
        return "A webhook"
    return f"The webhook to {host}{f' (“{description}”)' if description else ''}"


def _disabled(_: str, data: Mapping[str, Any], __: tzinfo) -> str:
    reason = _OFF.get(data.get("reason") or "")
    return f"{_webhook(data)} was switched off{f': {reason}' if reason else ''}."


_WORDS: Final[Mapping[str, Callable[[str, Mapping[str, Any], tzinfo], str]]] = {
    "comment.mentioned": lambda actor, data, _: f"{actor} mentioned you in {_task(data)}.",
    "task.assigned": lambda actor, data, _: f"{actor} assigned {_task(data)} to you.",
    "comment.added": lambda actor, data, _: f"{actor} commented on {_task(data)}.",
    "task.due_soon": _due_soon,
    "task.overdue": _overdue,
    "report.ready": _report,
    "webhook.failing": lambda _, data, __: f"{_webhook(data)} has failed for a day; after five it is switched off.",
    "webhook.disabled": _disabled,
}
