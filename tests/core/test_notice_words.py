"""What a notification says, whose doing it was, and when something is due by the reader's clock."""

from zoneinfo import ZoneInfo

import pytest

from core.notice_words import said
from core.notices import DEFAULTS

TASK = {"key": "ENG-1", "title": "Shed"}
TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(
    ("kind", "actor", "data", "sentence"),
    [
        ("task.assigned", "Ann", TASK, "Ann assigned ENG-1 “Shed” to you."),
        ("task.assigned", "", TASK | {"by": "series"}, "The series assigned ENG-1 “Shed” to you."),
        ("comment.added", "", TASK, "Somebody commented on ENG-1 “Shed”."),
        ("comment.mentioned", "{task}", TASK, "{task} mentioned you in ENG-1 “Shed”."),
        ("task.due_soon", "", TASK | {"due": "2026-11-29"}, "ENG-1 “Shed” is due on 29 November 2026."),
        (
            "task.due_soon",
            "",
            TASK | {"due": "2026-11-28T18:30:00+00:00"},
            "ENG-1 “Shed” is due on 29 November 2026, 03:30.",
        ),
        ("task.due_soon", "", TASK, "ENG-1 “Shed” is due soon."),
        (
            "task.overdue",
            "",
            TASK | {"due": "2026-11-29"},
            "ENG-1 “Shed” is overdue: it was due on 29 November 2026.",
        ),
        ("report.ready", "", {}, "Your report is ready."),
        (
            "report.ready",
            "",
            {"report": "overdue", "period": "until 3 May 2026"},
            "Your report of what is overdue, until 3 May 2026, is ready.",
        ),
        ("webhook.failing", "", {}, "A webhook has failed for a day; after five it is switched off."),
        (
            "webhook.disabled",
            "",
            {"reason": "gone", "host": "hooks.example.com", "description": "Pager"},
            "The webhook to hooks.example.com (“Pager”) was switched off: its endpoint said that it is gone (410).",
        ),
        (
            "webhook.disabled",
            "",
            {"reason": "failing", "host": "hooks.example.com", "description": ""},
            "The webhook to hooks.example.com was switched off: its endpoint has taken nothing for five days.",
        ),
        ("task.cloned", "Ann", {}, "task.cloned."),
    ],
)
def test_a_sentence_says_what_happened(kind: str, actor: str, data: dict[str, str], sentence: str) -> None:
    assert said(kind, actor, data, TOKYO) == sentence


def test_every_kind_that_stands_in_the_inbox_has_words() -> None:
    for kind, channel in DEFAULTS:
        if channel == "in_app":
            assert said(kind, "Ann", TASK) != f"{kind}.", kind
