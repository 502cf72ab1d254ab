"""A team's settings in real browsers: what each role may see and do, and that others see it without a reload."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import LIVE, enter, sign_in
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

READY = "#page:not([hidden])"


@pytest.fixture
def guest(system: System) -> Any:
    guest = Account(system.url)
    yield guest
    guest.http.close()


def opened(new_browser: Callable[..., Any], account: Account, team_id: str) -> Any:
    page = new_browser()
    page.goto(f"/team-settings#/{team_id}")
    page.wait_for_selector("#sign-in:not([hidden])")
    enter(page, account)
    page.wait_for_selector(READY)
    page.evaluate("window.stayed = true")
    return page


def joined(owner: Account, guest: Account, team_id: str, role: str) -> str:
    """The guest's id, once they are in the team."""
    token = owner.call("POST", f"/v1/teams/{team_id}/invitations", role=role)["token"]
    user_id: str = guest.call("POST", "/v1/invitations/accept", token=token)["user_id"]
    return user_id


def answered(page: Any, action: str) -> None:
    page.wait_for_selector(".question[open]")
    page.click(f".question button:has-text('{action}')")
    page.wait_for_selector(".question", state="detached")


def test_a_link_is_made_used_and_who_came_gets_another_role_and_is_removed(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    team_id = account.team("a task")
    here = opened(new_browser, account, team_id)
    here.check("input[name=way][value=link]")
    here.select_option("#invite-role", "viewer")
    here.click("#invite-send")
    here.wait_for_selector("#link-text")
    expect(here.locator("#open-invitations .row")).to_have_count(1)

    there = new_browser()
    there.goto(here.input_value("#link-text"))
    there.wait_for_selector("#sign-in:not([hidden])")
    enter(there, guest)
    there.wait_for_selector("#invite:not([hidden])")
    there.click("#invite button[type=submit]")
    there.wait_for_selector(LIVE)
    expect(there.locator("#columns")).to_have_attribute("data-readonly", "true")

    row = here.locator("#members .row", has_text=guest.name)
    row.wait_for()
    eventually(lambda: here.locator("#open-invitations .row").count() == 0, "the link is used up, and gone")
    row.locator("select").select_option("member")
    user_id = row.get_attribute("data-member")

    def role() -> str:
        members = account.call("GET", f"/v1/teams/{team_id}/members")["items"]
        return next((one["role"] for one in members if one["user_id"] == user_id), "")

    eventually(lambda: role() == "member", "the server knows the role")
    row.get_by_role("button", name="Remove").click()
    answered(here, "Remove")
    eventually(lambda: row.count() == 0, "the row is gone")
    there.wait_for_selector(".toast-error:has-text('no longer a member')")
    here.click("#former summary")
    expect(here.locator("#former-members")).to_contain_text(guest.name)
    assert here.evaluate("window.stayed === true"), "the page was reloaded"


def test_name_and_policy_are_saved_and_shown_where_the_board_is_open(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id = account.team("a task")
    board = new_browser()
    sign_in(board, account, team_id)
    expect(board.locator("#team-settings")).to_have_attribute("href", f"/team-settings#/{team_id}")
    board.click("#team-settings")
    board.wait_for_selector(READY)
    board.fill("#general-name", "Renamed")
    board.select_option("#general-wip", "block")
    board.click("#general-save")
    board.wait_for_selector("#general .result:has-text('Saved')")
    team = account.call("GET", f"/v1/teams/{team_id}")
    assert (team["name"], team["wip"]) == ("Renamed", "block")
    board.click("#back")
    board.wait_for_selector(LIVE)
    expect(board.locator("#teams option:checked")).to_have_text("Renamed")


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_may_not_manage_sees_and_is_offered_nothing_to_do(
    new_browser: Callable[..., Any], account: Account, guest: Account, role: str
) -> None:
    team_id = account.team()
    joined(account, guest, team_id, role)
    page = opened(new_browser, guest, team_id)
    expect(page.locator("#members .row")).to_have_count(2)
    expect(page.locator("#members :is(select, button)")).to_have_count(0)
    expect(page.locator("#invitations")).to_be_hidden()
    expect(page.locator("#general-name")).to_be_disabled()
    expect(page.locator("#general-save")).to_be_hidden()


def test_an_admin_is_not_offered_what_only_owners_may(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    team_id = account.team()
    user_id = joined(account, guest, team_id, "admin")
    page = opened(new_browser, guest, team_id)
    expect(page.locator("#members .row", has_text=account.name).locator("select, button")).to_have_count(0)
    own = page.locator(f"#members [data-member='{user_id}']")
    expect(own.locator("option")).to_have_text(["Admin", "Member", "Viewer"])
    expect(page.locator("#invite-role option")).to_have_text(["Admin", "Member", "Viewer"])


def test_the_last_owner_is_told_why_they_cannot_go_and_others_leave(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    team_id = account.team()
    joined(account, guest, team_id, "member")
    page = opened(new_browser, account, team_id)
    page.click("#leave")
    answered(page, "Leave")
    page.wait_for_selector(".toast-error:has-text('last owner')")
    own = page.locator("#members .row", has_text="You").locator("select")
    own.select_option("viewer")
    eventually(lambda: page.locator(".toast-error").count() == 2, "the server refuses that, too")
    expect(own).to_have_value("owner")

    other = opened(new_browser, guest, team_id)
    other.click("#leave")
    answered(other, "Leave")
    other.wait_for_selector("#founding:not([hidden])")
    eventually(lambda: page.locator("#members .row").count() == 1, "the first page shows it without a reload")


def test_an_invitation_by_mail_is_listed_refused_where_it_must_be_and_revoked(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    team_id = account.team()
    joined(account, guest, team_id, "member")
    page = opened(new_browser, account, team_id)
    for email in ("", "nobody", guest.email):
        page.fill("#invite-email", email)
        page.click("#invite-send")
        page.wait_for_selector("#invite-email[aria-invalid=true]")
        page.fill("#invite-email", "")
    page.fill("#invite-email", "grace@example.com")
    page.click("#invite-send")
    page.wait_for_selector("#new-invitation .result:has-text('grace@example.com')")
    row = page.locator("#open-invitations .row", has_text="grace@example.com")
    row.get_by_role("button").click()
    answered(page, "Revoke")
    eventually(lambda: row.count() == 0, "it is gone")
    assert account.call("GET", f"/v1/teams/{team_id}/invitations")["items"] == []


def test_a_team_that_is_not_mine_looks_like_none(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    foreign = guest.team()
    for team_id in (foreign, "019a0000-0000-7000-8000-00000000dead", "nonsense"):
        page = opened(new_browser, account, team_id)
        expect(page.locator("#page")).to_contain_text("There is no such team")


def test_who_has_asked_too_often_is_told_so_at_once(new_browser: Callable[..., Any], account: Account) -> None:
    team_id, asked = account.team(), list[str]()
    page = opened(new_browser, account, team_id)

    def refused(route: Any) -> None:
        asked.append(route.request.method)
        body = json.dumps({"code": "rate-limited", "detail": "Too many requests: try again in 600 seconds."})
        headers = {"Retry-After": "600", "Content-Type": "application/problem+json"}
        route.fulfill(status=429, headers=headers, body=body)

    page.route("**/invitations", refused)
    page.fill("#invite-email", "grace@example.com")
    page.click("#invite-send")
    page.wait_for_selector("#new-invitation .wrong-form:has-text('Try again in 10 minutes')")
    assert asked == ["POST"], "it is not asked for again and again"
