"""Reports as their readers have them: asked for, printed by a worker's hands, and their pages read by poppler."""

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from core.columns import Category
from db import objects
from db.insights.throughput import Week
from db.object_store import Stored
from db.pool import Pool
from db.report_data.team import Column, Line, Team
from db.reports import OBJECT_KIND, Report, keep
from db.transaction import writing
from streams.reports.pages import Cover
from tests.support.long_work import Hands
from tests.support.site import Person

__all__ = [
    "ADA",
    "BOB",
    "NOW",
    "SCRIPTS",
    "Printed",
    "a_cover",
    "a_line",
    "a_team",
    "kept_report",
    "make",
    "printed",
    "text_of",
    "throughput_of",
    "words_of",
]


class Printed:
    """A report that was printed: the operation's result, and the PDF."""

    def __init__(self, result: dict[str, Any], data: bytes) -> None:
        self.result, self.data = result, data

    @property
    def text(self) -> str:
        """What stands on its pages."""
        return text_of(self.data)


async def make(hands: Hands, person: Person, team_id: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """Ask for a report."""
    path = f"/v1/teams/{team_id}/reports"
    return await hands.site.client.post(path, json=body, headers={**person.headers, **headers})


async def printed(hands: Hands, person: Person, team_id: str, **body: Any) -> Printed:
    """A report, printed and downloaded."""
    asked = await make(hands, person, team_id, body)
    assert asked.status_code == 202, asked.text
    await hands.finish()
    operation = (await hands.get(asked.headers["location"], person)).json()
    assert operation["status"] == "succeeded", operation
    answer = await hands.site.client.get(operation["result"]["download_url"])
    assert answer.status_code == 200, answer.text
    return Printed(operation["result"], answer.content)


async def kept_report(worker: Pool, user_id: str, team_id: str) -> str:
    """The id of a report of the team's, whose file nobody reads."""
    now = datetime.now(UTC)
    async with writing(worker) as tx:
        report_id = await objects.reserve(
            tx,
            user_id=UUID(user_id),
            kind=OBJECT_KIND,
            name="a.pdf",
            media_type="application/pdf",
            team_id=UUID(team_id),
        )
        made = Report(
            id=report_id,
            team_id=UUID(team_id),
            kind="board",
            since=now - timedelta(days=1),
            until=now,
            pages=1,
            size=1,
            sha256=bytes(32),
            seq=1,
            created_by=UUID(user_id),
            created_at=now,
            expires_at=now,
        )
        stored = Stored(objects.new_key(OBJECT_KIND, report_id), 1, bytes(32))
        await keep(tx, made, stored, seconds=3600, made_after=0)
    return str(report_id)


def text_of(pdf: bytes) -> str:
    """The text of all pages, line by line; what is right-to-left is in reading order."""
    done = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode()


def words_of(pdf: Path) -> list[tuple[str, float]]:
    """The words on the pages in the order of the text, each with where its left edge is, in points."""
    done = subprocess.run(["pdftotext", "-bbox", str(pdf), "-"], capture_output=True, check=True)
    found = re.findall(r'<word xMin="([\d.]+)"[^>]*>([^<]*)</word>', done.stdout.decode())
    return [(text, float(left)) for left, text in found]


SCRIPTS = {
    "Latin": "Fix the login page, señor Łukasz",
    "Cyrillic": "Исправить страницу входа",
    "Greek": "Διόρθωση της σελίδας",
    "Arabic": "إصلاح صفحة تسجيل الدخول",
    "Hebrew": "תיקון דף הכניסה",
    "Devanagari": "लॉगिन पृष्ठ ठीक करें",
    "Bengali": "লগইন পৃষ্ঠা ঠিক করুন",
    "Tamil": "உள்நுழைவு பக்கத்தை சரிசெய்",
    "Georgian": "შესვლის გვერდი",
    "Armenian": "Մուտքի էջը",
    "Ethiopic": "የመግቢያ ገጽ",
    "Thai": "แก้ไขหน้าเข้าสู่ระบบ",
    "Chinese": "修复登录页面",
    "Traditional Chinese": "修復登入頁面",
    "Japanese": "ログインページを修正する",
    "Korean": "로그인 페이지 수정",
    "emoji": "Ship it 🚀 ✅ 🎉",
    "signs": "→ ≤ ½ € ₹ № ✓ ★ ©",
}
"""Titles in the writing of most people."""

ZONE = "Europe/Berlin"
NOW = datetime(2026, 11, 28, 3, 20, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)


def a_team(
    columns: Sequence[tuple[str, Category]] = (("Open", "open"), ("Doing", "in_progress"), ("Done", "done")),
) -> Team:
    """A team with Ada and Bob."""
    return Team(
        id=UUID(int=9),
        name="Engineering",
        key="ENG",
        time_zone=ZONE,
        seq=1,
        members={ADA: "Ada Lovelace", BOB: "Bob"},
        columns=[Column(UUID(int=100 + number), *column) for number, column in enumerate(columns)],
    )


def a_cover(team: Team | None = None, days: int = 28) -> Cover:
    """Of the days before NOW."""
    until = datetime(2026, 11, 28, 23, tzinfo=UTC)
    return Cover(team or a_team(), until - timedelta(days=days), until, NOW, "Ada Lovelace")


def a_line(number: int, title: str = "A task", **fields: Any) -> Line:
    """A task in the team's first column."""
    usual: dict[str, Any] = {"status": "open", "priority": "none", "assignee_id": None, "due_at": None, "due_on": None}
    return Line(number=number, title=title, column_id=UUID(int=100), **{**usual, **fields})


def throughput_of(cover: Cover) -> list[Week]:
    """Something was created and done in each part of the period."""
    return [Week(3 + 5 * n % 7, 2 + 3 * n % 5) for n, _ in enumerate(cover.parts.days)]
