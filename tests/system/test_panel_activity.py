"""The activity in the panel of a task: what others do appears, and what one did oneself can be taken back."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.panel import guest_of, open_panel
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)


def test_a_change_of_ones_own_is_taken_back_unless_somebody_changed_it_since(
    account: Account, system: System, new_browser: Callable[..., Any]
) -> None:
    team_id, guest = account.team("Paint"), Account(system.url)
    path = f"/v1/tasks/{account.task(team_id, 'Paint')['id']}"
    account.call("PATCH", path, priority="high")
    page = new_browser()
    open_panel(page, account, team_id, "Paint")
    expect(page.locator(".happened")).to_have_count(2)
    page.locator(".happened button").first.click()
    expect(page.locator("#p-priority")).to_have_value("none")
    expect(page.locator(".happened")).to_have_count(3)
    expect(page.locator("#activity-note")).to_be_empty()
    expect(page.locator(".happened").nth(1)).to_contain_text("Taken back")
    expect(page.locator(".happened").nth(1).locator("button")).to_have_count(0)
    expect(page.locator(".happened").nth(0).locator("button")).to_have_text("Undo")  # Which is a redo.
    account.call("PATCH", path, title="Paint it")
    expect(page.locator(".happened")).to_have_count(4)
    with closing(guest.http):
        guest_of(account, guest, team_id, "member")
        guest.call("PATCH", path, title="Paint it blue")
        expect(page.locator(".happened").first).to_contain_text(guest.name)
    expect(page.locator(".happened").first.locator("button")).to_have_count(0)
    page.locator(".happened").nth(1).locator("button").click()
    expect(page.locator("#activity-note")).to_contain_text("title")
    expect(page.locator("#p-title")).to_have_value("Paint it blue")


def test_a_deleted_comment_leaves_readable_lines_behind(account: Account, new_browser: Callable[..., Any]) -> None:
    team_id = account.team("Paint")
    comments = f"/v1/tasks/{account.task(team_id, 'Paint')['id']}/comments"
    comment_id = account.call("POST", comments, body="a secret")["id"]
    account.call("DELETE", f"/v1/comments/{comment_id}")
    page = new_browser()

    def forgotten() -> bool:
        items = account.call("GET", comments.replace("comments", "activity"))["items"]
        return any(item["redacted"] for item in items)

    eventually(forgotten, "the worker has taken the text out of the journal")
    open_panel(page, account, team_id, "Paint")
    expect(page.locator(".happened")).to_contain_text(["deleted a comment", "added a comment", "created it"])
    expect(page.locator(".happened", has_text="something that is forgotten")).to_have_count(0)


def test_what_happened_before_comes_when_asked_for(account: Account, new_browser: Callable[..., Any]) -> None:
    team_id = account.team("Paint")
    path = f"/v1/tasks/{account.task(team_id, 'Paint')['id']}"
    for number in range(14):
        account.call("PATCH", path, estimate=number)
    page = new_browser()
    open_panel(page, account, team_id, "Paint")
    expect(page.locator(".happened")).to_have_count(10)
    page.click("#activity-more")
    expect(page.locator(".happened")).to_have_count(15)
    expect(page.locator("#activity-more")).to_be_hidden()
    account.call("PATCH", path, estimate=99)
    expect(page.locator(".happened")).to_have_count(16)
