"""The account page in real browsers: who I am, how I sign in, which programs act for me, and which mails I want."""

import contextlib
import re
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from api.endpoints import all_operations
from tests.support.account import NO_TLS, PASSWORD, Account
from tests.support.browser import enter
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

READY = "#page:not([hidden])"
SERVED = {(one.method, one.path) for one in all_operations()}
exports = pytest.mark.skipif(("POST", "/v1/me/export") not in SERVED, reason="this server makes no exports")
deletes = pytest.mark.skipif(("DELETE", "/v1/me") not in SERVED, reason="this server deletes no accounts")


@pytest.fixture
def page(new_browser: Callable[..., Any], account: Account) -> Any:
    """The account page, reached through the sign-in form that it asks for."""
    page = new_browser()
    page.goto("/account")
    page.wait_for_url("**/")
    enter(page, account)
    page.wait_for_selector(READY)
    assert page.url.endswith("/account")
    return page


def me(account: Account) -> Any:
    return account.call("GET", "/v1/me")


def log_in(system: System, email: str, password: str) -> httpx.Response:
    body = {"email": email, "password": password}
    return httpx.post(f"{system.url}/v1/auth/login", json=body, verify=NO_TLS, headers={"User-Agent": "a program"})


def answered(page: Any, action: str) -> None:
    page.wait_for_selector(".question[open]")
    page.click(f".question button:has-text('{action}')")
    page.wait_for_selector(".question", state="detached")


def test_name_and_time_zone_are_changed_and_shown(page: Any, account: Account) -> None:
    page.fill("#profile-name", "Ada Lovelace")
    page.select_option("#profile-zone", "Europe/Lisbon")
    page.click("#profile button[type=submit]")
    page.wait_for_selector("#profile .result:has-text('Saved')")
    expect(page.locator("#me .me-name")).to_have_text("Ada Lovelace")
    assert (me(account)["name"], me(account)["time_zone"]) == ("Ada Lovelace", "Europe/Lisbon")
    page.fill("#profile-name", "  ")
    page.click("#profile button[type=submit]")
    page.wait_for_selector("#profile-name[aria-invalid=true]")
    assert me(account)["name"] == "Ada Lovelace"


def test_an_address_that_is_not_verified_gets_the_mail_again(page: Any, account: Account, system: System) -> None:
    page.click("#address-state .link")
    page.wait_for_selector("#address-state :text('A mail is on its way.')")

    def mails() -> int:
        answer = httpx.get(f"{system.url}/dev/mail", headers={"Accept": "application/json"}, verify=NO_TLS)
        return sum(account.email in mail["to"] and "Confirm" in mail["subject"] for mail in answer.json()["items"])

    eventually(lambda: mails() == 2, "the second mail has come")


def test_a_new_password_ends_other_sessions_and_this_page_goes_on(page: Any, account: Account, system: System) -> None:
    other = log_in(system, account.email, PASSWORD).json()["access_token"]
    page.fill("#password-now", "not the password")
    page.fill("#password-next", "another long password")
    page.click("#password button[type=submit]")
    page.wait_for_selector("#password-now[aria-invalid=true]")
    page.fill("#password-now", PASSWORD)
    page.click("#password button[type=submit]")
    page.wait_for_selector("#password .result:has-text('changed')")
    eventually(lambda: page.locator("#sessions .row").count() == 1, "the list shows what has ended")

    def ended() -> bool:
        headers = {"Authorization": f"Bearer {other}"}
        return httpx.get(f"{system.url}/v1/me", headers=headers, verify=NO_TLS).status_code == 401

    eventually(ended, "the other session has ended")
    assert log_in(system, account.email, PASSWORD).status_code == 401
    assert log_in(system, account.email, "another long password").status_code == 200
    page.reload()
    page.wait_for_selector(READY)


def test_a_session_is_ended_and_all_others(page: Any, account: Account, system: System) -> None:
    for _ in range(2):
        log_in(system, account.email, PASSWORD).raise_for_status()
    page.reload()
    page.wait_for_selector(READY)
    rows = page.locator("#sessions .row")
    expect(rows).to_have_count(4)
    expect(rows.locator(".badge", has_text="This browser")).to_have_count(1)
    rows.filter(has_text="a program").first.get_by_role("button").click()
    eventually(lambda: rows.count() == 3, "it is gone from the page")
    assert len(account.call("GET", "/v1/me/sessions")["items"]) == 3
    page.click("#end-others")
    answered(page, "Cancel")
    expect(rows).to_have_count(3)
    page.click("#end-others")
    answered(page, "End them")
    eventually(lambda: rows.count() == 1, "only this browser is left")
    expect(page.locator("#end-others")).to_be_hidden()


def test_a_key_is_shown_once_works_and_is_revoked(page: Any, account: Account, system: System) -> None:
    team_id = account.team("something to read")
    page.reload()
    page.wait_for_selector(READY)
    expect(page.locator("#no-keys")).to_be_visible()
    page.fill("#key-name", "Dashboard")
    page.select_option("#key-team", team_id)
    page.click("#new-key button[type=submit]")
    page.wait_for_selector("#key-token")
    token = page.input_value("#key-token")
    row = page.locator("#keys .row")
    expect(row).to_have_text(re.compile(r"Read · Team \d+ · until .+ · never used"))
    with httpx.Client(base_url=system.url, verify=NO_TLS, headers={"Authorization": f"Bearer {token}"}) as program:
        assert program.get(f"/v1/teams/{team_id}/board").status_code == 200
        assert program.post("/v1/tasks", json={"team_id": team_id, "title": "no"}).status_code == 403
        page.reload()
        page.wait_for_selector(READY)
        expect(page.locator("#key-token")).to_have_count(0)
        assert token not in page.content()
        row.get_by_role("button").click()
        answered(page, "Revoke")
        eventually(lambda: row.count() == 0, "the page shows no key")
        eventually(lambda: program.get(f"/v1/teams/{team_id}/board").status_code == 401, "the key has ended")


def test_what_i_am_told_is_switched_off_and_on_by_hand(page: Any, account: Account) -> None:
    page.uncheck("#told input[name='comment.mentioned/mail']")
    expect(page.locator("#mail-result")).to_have_text("Saved.")
    assert me(account)["mail"] == {"digest": True, "mentions": False, "assignments": True}
    page.uncheck("#told input[name='comment.added/in_app']")
    expect(page.locator("#mail-result")).to_have_text("Saved.")
    page.select_option("#digest-hour", "6")
    expect(page.locator("#mail-result")).to_have_text("Saved.")
    expect(page.locator("#told input[name='digest.daily/in_app']")).to_have_count(0)
    page.reload()
    page.wait_for_selector(READY)
    expect(page.locator("#told input[name='comment.mentioned/mail']")).not_to_be_checked()
    expect(page.locator("#told input[name='comment.added/in_app']")).not_to_be_checked()
    expect(page.locator("#told input[name='comment.added/mail']")).to_be_checked()
    expect(page.locator("#digest-hour")).to_have_value("6")
    page.check("#told input[name='comment.mentioned/mail']")
    expect(page.locator("#mail-result")).to_have_text("Saved.")
    assert me(account)["mail"]["mentions"]


def test_somebody_who_is_signed_out_elsewhere_comes_back_after_signing_in(page: Any, account: Account) -> None:
    account.call("DELETE", "/v1/me/sessions")
    page.evaluate("localStorage.setItem('taskforge.refresh', 'tfr_not_one_of_ours')")
    page.reload()
    page.wait_for_selector("#gate-note:has-text('Your session has ended')")
    enter(page, account)
    page.wait_for_selector(READY)
    assert page.url.endswith("/account")


def test_the_name_in_the_bar_leads_here_and_markup_in_names_stays_text(page: Any, account: Account) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\">"
    team_id = account.team()
    page.fill("#profile-name", attack)
    page.click("#profile button[type=submit]")
    page.wait_for_selector("#profile .result:has-text('Saved')")
    page.goto(f"/#/{team_id}")
    page.wait_for_selector("#connection[data-state=live]")
    expect(page.locator("#me .me-name")).to_have_text(attack)
    page.click("#me")
    page.wait_for_selector(READY)
    page.fill("#key-name", attack)
    page.click("#new-key button[type=submit]")
    page.wait_for_selector("#keys .row")
    expect(page.locator("#page img, #me img")).to_have_count(0)
    assert "owned" not in page.title()


@exports
def test_an_export_is_followed_and_downloaded(page: Any, account: Account) -> None:
    page.click("#export")
    page.get_by_role("button", name="Download").wait_for(timeout=60_000)
    expect(page.locator("#export-result")).to_contain_text("It is here until")
    with page.expect_download() as started:
        page.get_by_role("button", name="Download").click()
    file = started.value.path()
    with zipfile.ZipFile(file) as archive:
        files = [archive.read(name) for name in archive.namelist()]
    assert any(account.email.encode() in file for file in files)
    assert any(b"mail_mentions" in file for file in files), "what is wanted is in it, too"


@deletes
def test_an_account_is_deleted_once_no_team_is_left_alone_by_it(page: Any, account: Account, system: System) -> None:
    team_id = account.team()
    page.fill("#deletion-password", "not the password")
    page.click("#deletion button[type=submit]")
    page.wait_for_selector("#deletion .wrong")
    page.fill("#deletion-password", PASSWORD)
    page.click("#deletion button[type=submit]")
    page.wait_for_selector(f"#deletion-owned a[href='/team-settings#/{team_id}']")
    with contextlib.closing(Account(system.url).http) as http:
        token = account.call("POST", f"/v1/teams/{team_id}/invitations", role="owner")["token"]
        http.post("/v1/invitations/accept", json={"token": token}).raise_for_status()
    page.click("#deletion button[type=submit]")
    page.wait_for_selector("#gate-note:has-text('Your account is being deleted')")
    eventually(lambda: log_in(system, account.email, PASSWORD).status_code == 401, "nobody signs in with it any more")


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_makes_no_exports_and_deletes_no_accounts_is_said_to_be_one(page: Any, status: int) -> None:
    """An older worker, while a newer one has served the page already."""
    problem = {"status": status, "content_type": "application/problem+json", "body": '{"code": "no-such-path"}'}
    page.route("**/v1/me/export", lambda route: route.fulfill(**problem))
    page.route("**/v1/me", lambda route: route.fulfill(**problem))
    page.click("#export")
    page.wait_for_selector("#export-result:has-text('makes no exports')")
    page.fill("#deletion-password", PASSWORD)
    page.click("#deletion button[type=submit]")
    page.wait_for_selector("#deletion .wrong-form:has-text('deletes no accounts')")
