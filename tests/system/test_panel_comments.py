"""The comments in the panel of a task: written, mentioned in, edited, deleted, and seen by others at once."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.panel import guest_of, open_panel
from tests.support.system import System

pytestmark = pytest.mark.timeout(120)


def test_a_comment_appears_in_the_other_open_panel(
    account: Account, system: System, new_browser: Callable[..., Any]
) -> None:
    team_id, guest = account.team("Paint"), Account(system.url)
    with closing(guest.http):
        guest_of(account, guest, team_id, "member")
        here, there = new_browser(), new_browser()
        open_panel(here, account, team_id, "Paint")
        open_panel(there, guest, team_id, "Paint")
    expect(here.locator("#comments-none")).to_be_visible()
    here.fill("#comment-body", "It is **done**, <b>really</b>.")
    here.press("#comment-body", "Control+Enter")
    for page in (here, there):
        expect(page.locator(".comment-text")).to_have_text("It is done, <b>really</b>.")
        expect(page.locator(".comment-text strong")).to_have_text("done")
    expect(here.locator("#comment-body")).to_have_value("")
    expect(there.locator(".comment [data-does]")).to_have_count(0)
    here.click(".comment [data-does=edit]")
    here.fill(".editor textarea", "Not yet.")
    here.click(".editor .primary")
    expect(here.locator(".comment [data-does=edit]")).to_be_focused()
    expect(there.locator(".comment-text")).to_have_text("Not yet.")
    expect(there.locator(".edited")).to_be_visible()
    here.click(".comment [data-does=delete]")
    here.click(".question .destructive")
    for page in (here, there):
        expect(page.locator(".comment")).to_have_count(0)
    expect(here.locator("#comments-heading")).to_be_focused()
    expect(here.locator(".card .talk")).to_have_count(0)


def test_names_are_offered_to_the_keyboard_and_the_mouse(
    account: Account, system: System, new_browser: Callable[..., Any]
) -> None:
    team_id, guest = account.team("Paint"), Account(system.url)
    with closing(guest.http):
        guest.call("PATCH", "/v1/me", name="Zoë Zimmer")
        guest_of(account, guest, team_id, "member")
    page = new_browser()
    open_panel(page, account, team_id, "Paint")
    box = page.locator("#comment-body")
    box.press_sequentially("Hello @")
    expect(page.locator("#comment-form [role=option]")).to_have_count(2)
    box.press("ArrowDown")
    expect(page.locator("[role=option][aria-selected=true]")).to_contain_text("Zoë Zimmer")
    box.press("Enter")
    expect(box).to_have_value("Hello @Zoë Zimmer ")
    box.press_sequentially("and @zimm")
    page.click("[role=option]:has-text('Zoë Zimmer')")
    expect(box).to_have_value("Hello @Zoë Zimmer and @Zoë Zimmer ")
    box.press_sequentially("@z")
    box.press("Escape")
    expect(page.locator("[role=option]")).to_have_count(0)
    expect(page.locator("#panel")).to_be_visible()
    page.click("#comment-send")
    expect(page.locator(".comment .mention")).to_have_text(["@Zoë Zimmer", "@Zoë Zimmer"])


def test_older_comments_come_when_asked_for(account: Account, new_browser: Callable[..., Any]) -> None:
    team_id = account.team("Paint")
    task_id = account.task(team_id, "Paint")["id"]
    for number in range(25):
        account.call("POST", f"/v1/tasks/{task_id}/comments", body=f"number {number}")
    page = new_browser()
    open_panel(page, account, team_id, "Paint")
    expect(page.locator(".comment-text")).to_have_text([f"number {number}" for number in range(5, 25)])
    page.click("#comments-earlier")
    expect(page.locator(".comment-text")).to_have_text([f"number {number}" for number in range(25)])
    expect(page.locator("#comments-earlier")).to_be_hidden()


def test_a_comment_that_is_not_sent_keeps_the_panel_open(account: Account, new_browser: Callable[..., Any]) -> None:
    page = new_browser()
    open_panel(page, account, account.team("Paint"), "Paint")
    page.fill("#comment-body", "half a thou")
    page.keyboard.press("Escape")
    unsent = "Your comment is not sent: Comment sends it."
    expect(page.locator("#panel-note")).to_have_text(f"{unsent} Cancel drops what you wrote.")
    page.fill("#p-title", "Paint it")
    page.keyboard.press("Escape")
    expect(page.locator("#panel-note")).to_have_text(
        f"There are unsaved changes: Save keeps them. {unsent} Cancel drops what you wrote."
    )
    page.click("#panel-save")
    expect(page.locator("#panel-note")).to_have_text(f"Saved. {unsent}")
    expect(page.locator("#comment-body")).to_have_value("half a thou")
    page.click("#comment-send")
    expect(page.locator(".comment-text")).to_have_text("half a thou")
    expect(page.locator("#panel-note")).to_have_text("")
    page.click(".comment [data-does=edit]")
    page.fill(".editor textarea", "a whole thought")
    page.focus("#p-title")
    page.keyboard.press("Escape")
    expect(page.locator("#panel-note")).to_contain_text("A comment is being edited: Save below it")


def test_a_line_break_and_an_address_in_a_comment_are_what_they_look_like(
    account: Account, new_browser: Callable[..., Any]
) -> None:
    page = new_browser()
    open_panel(page, account, account.team("Paint"), "Paint")
    page.fill("#comment-body", "First line\nsee https://example.com/a.")
    page.click("#comment-send")
    expect(page.locator(".comment-text br")).to_have_count(1)
    link = page.locator(".comment-text a")
    expect(link).to_have_text("https://example.com/a")
    expect(link).to_have_attribute("rel", "nofollow noopener noreferrer")
    expect(link).to_have_attribute("target", "_blank")
    expect(page.locator(".card .talk svg")).to_be_visible()
    expect(page.locator(".card .talk")).to_have_text("1")


def test_whoever_only_looks_sees_everything_and_changes_nothing(
    account: Account, system: System, new_browser: Callable[..., Any]
) -> None:
    team_id, guest = account.team("Paint"), Account(system.url)
    task_id = account.task(team_id, "Paint")["id"]
    with closing(guest.http):
        user_id = guest_of(account, guest, team_id, "viewer")
        account.call("POST", f"/v1/tasks/{task_id}/comments", body="Look")
        account.http.post(
            f"/v1/tasks/{task_id}/attachments", files={"file": ("plan.txt", b"a plan")}
        ).raise_for_status()
        page = new_browser()
        open_panel(page, guest, team_id, "Paint")
    expect(page.locator(".comment-text")).to_have_text("Look")
    expect(page.locator(".file-name")).to_have_text("plan.txt")
    expect(page.locator(".happened")).to_have_count(3)
    expect(page.locator("#comment-form")).to_be_hidden()
    expect(page.locator("#file-choose")).to_be_hidden()
    expect(page.locator("#panel [data-does]:visible")).to_have_count(0)
    expect(page.locator(".happened button")).to_have_count(0)
    account.call("PATCH", f"/v1/teams/{team_id}/members/{user_id}", role="admin")
    expect(page.locator("#comment-form")).to_be_visible()
    expect(page.locator(".comment [data-does=delete]")).to_be_visible()
    expect(page.locator(".comment [data-does=edit]")).to_have_count(0)
