"""The bell on the board and the inbox behind it: counted, read, followed to the card, on any screen."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import AXE, sign_in, violations
from tests.support.panel import guest_of
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def told(account: Account, system: System) -> Any:
    """A team of the account's, in which a guest has mentioned them on the task Paint."""
    team_id, guest = account.team("Paint", "Sand"), Account(system.url)
    with closing(guest.http):
        guest_of(account, guest, team_id, "member")
        guest.call("PATCH", "/v1/me", name="Zoë <b>")
        task = account.task(team_id, "Paint")
        me = account.call("GET", "/v1/me")["id"]
        guest.call("POST", f"/v1/tasks/{task['id']}/comments", body=f"<@{me}> is it dry?")
        await_unread(account, 1)
        yield team_id, task, guest


def await_unread(account: Account, count: int) -> None:
    """A page that opens before is told of nothing, and asks again in a minute."""
    path = "/v1/me/notifications/unread"
    eventually(lambda: account.call("GET", path)["unread"] == count, f"{count} are unread")


def counted(page: Any, count: str) -> None:
    """The count comes with the page, and again within seconds of an event."""
    expect(page.locator("#bell-count")).to_have_text(count, timeout=30_000)


def test_what_others_say_is_counted_read_and_followed_to_its_card(
    told: Any, account: Account, new_browser: Callable[..., Any]
) -> None:
    team_id, task, guest = told
    page = new_browser()
    sign_in(page, account, team_id)
    account.call("POST", f"/v1/tasks/{task['id']}/comments", body="I do not know.")
    guest.call("POST", f"/v1/tasks/{task['id']}/comments", body="Or still wet?")
    counted(page, "2")
    page.click("#bell")
    words = page.locator(".notice-words")
    expect(words).to_have_count(2)
    expect(words.nth(0)).to_contain_text(f"Zoë <b> commented on {task['key']} “Paint”.")
    expect(words.nth(1)).to_contain_text(f"Zoë <b> mentioned you in {task['key']} “Paint”.")
    page.locator(".notice").nth(1).click()
    expect(page.locator("#panel-key")).to_have_text(task["key"])
    expect(page.locator(".inbox[open]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#bell-count")).to_have_text("1")
    page.click("#bell")
    expect(page.locator(".notice[data-unread=true]")).to_have_count(1)
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".notice[data-unread=true]")).to_have_count(0)
    expect(page.locator("#bell-count")).to_have_text("")
    assert account.call("GET", "/v1/me/notifications/unread") == {"unread": 0, "more": False}


def test_a_link_from_a_mail_opens_the_card(told: Any, account: Account, new_browser: Callable[..., Any]) -> None:
    team_id, task, _ = told
    page = new_browser()
    sign_in(page, account, f"{team_id}/{task['id']}")
    expect(page.locator("#panel-key")).to_have_text(task["key"])
    page.keyboard.press("Escape")
    page.evaluate(f"location.hash = '#/{team_id}/{account.task(team_id, 'Sand')['id']}'")
    expect(page.locator("#p-title")).to_have_value("Sand")
    page.keyboard.press("Escape")
    account.call("DELETE", f"/v1/tasks/{task['id']}")
    expect(page.locator(".card-face", has_text="Paint")).to_have_count(0)
    page.evaluate(f"location.hash = '#/{team_id}/{task['id']}'")
    expect(page.locator("#toasts")).to_contain_text("not on the board any more")


def test_moments_are_by_the_zone_of_the_account_and_a_mail_leads_to_the_reports(
    told: Any, account: Account, new_browser: Callable[..., Any]
) -> None:
    team_id, _, _ = told
    account.call("PATCH", "/v1/me", time_zone="Asia/Kathmandu")
    at = datetime.fromisoformat(account.call("GET", "/v1/me/notifications")["items"][0]["created_at"])
    there = at.astimezone(ZoneInfo("Asia/Kathmandu"))
    page = new_browser(timezone_id="America/New_York", locale="en-GB")
    sign_in(page, account, f"{team_id}/reports")
    expect(page.locator("#reports[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#reports[open]")).to_have_count(0)
    page.click("#bell")
    expect(page.locator(".notice-where time")).to_contain_text(f"{there:%H:%M}")


def test_an_inbox_of_many_pages_and_one_of_nothing(
    told: Any, account: Account, system: System, new_browser: Callable[..., Any]
) -> None:
    team_id, task, guest = told
    for number in range(24):
        guest.call(
            "POST", f"/v1/tasks/{task['id']}/comments", body=f"<@{account.call('GET', '/v1/me')['id']}> {number}"
        )
    await_unread(account, 25)
    page = new_browser()
    sign_in(page, account, team_id)
    counted(page, "25")
    page.click("#bell")
    expect(page.locator(".notice")).to_have_count(20)
    page.get_by_role("button", name="Earlier ones").click()
    expect(page.locator(".notice")).to_have_count(25)
    expect(page.get_by_role("button", name="Earlier ones")).to_be_hidden()
    nobody = Account(system.url)
    with closing(nobody.http):
        other = new_browser()
        sign_in(other, nobody, nobody.team())
        other.click("#bell")
        expect(other.locator(".inbox .empty")).to_be_visible()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci --prefix tests/support/axe")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_inbox(
    told: Any, account: Account, new_browser: Callable[..., Any], scheme: str
) -> None:
    team_id, _, _ = told
    page = new_browser(color_scheme=scheme)
    sign_in(page, account, team_id)
    counted(page, "1")
    assert violations(page) == []
    page.click("#bell")
    page.locator(".notice").wait_for()
    assert violations(page) == []
