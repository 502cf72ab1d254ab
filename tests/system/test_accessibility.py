"""axe-core over every page, light and dark: it finds nothing serious (https://github.com/dequelabs/axe-core)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import expect

from core.secret import Secret
from db.keyset import Keyset
from db.people.mail_preferences import UnsubscribeTokens
from taskforge.devstack.datadir import DataDir
from tests.support.account import Account
from tests.support.browser import AXE, LIVE, enter, sign_in, violations
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci --prefix tests/support/axe"),
]


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, new_browser: Callable[..., Any]) -> Any:
    return new_browser(color_scheme=request.param)


def test_what_is_wrong_is_found(page: Any) -> None:
    page.goto("/")
    page.wait_for_selector("#sign-in:not([hidden])")
    page.evaluate("document.querySelector('#in-email').labels[0].remove()")
    assert [found for found in violations(page) if found.startswith("label")]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/", "sign-in"),
        ("/forgot-password", "forgot"),
        ("/reset-password#token=x", "reset"),
        ("/verify-email#token=x", "verify"),
    ],
)
def test_the_forms_before_signing_in(page: Any, path: str, form: str) -> None:
    page.goto(path)
    page.wait_for_selector(f"#{form}:not([hidden])")
    assert violations(page) == []


def test_the_page_about_the_topics_unfolds_what_a_record_says(page: Any) -> None:
    page.goto("/asyncapi")
    moved = page.locator("details", has=page.locator("summary code", has_text="task.moved.1"))
    moved.locator("summary").click()
    row = moved.locator("tr", has=page.get_by_text("dataschema", exact=True))
    expect(row).to_contain_text('"urn:taskforge:schema:task.moved:1"')
    assert violations(page) == []
    moved.get_by_role("link", name="TaskData").click()
    expect(page.locator("#schema-TaskData")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"


def test_signing_up_with_what_is_wrong_beside_the_fields(page: Any) -> None:
    page.goto("/")
    page.click("#to-sign-up")
    assert violations(page) == []
    page.click("#sign-up button[type=submit]")
    page.wait_for_selector("#up-name[aria-invalid=true]")
    assert violations(page) == []


def test_the_board_a_task_and_an_invitation(page: Any, account: Account) -> None:
    team_id = account.team("first", "second")
    task_id = account.task(team_id, "first")["id"]
    label = account.call("POST", f"/v1/teams/{team_id}/labels", name="bug", color="#d73a4a")["id"]
    account.call(
        "PATCH", f"/v1/tasks/{task_id}", priority="urgent", label_ids=[label], due_at="2020-01-01T00:00:00Z", estimate=3
    )
    account.call("POST", f"/v1/tasks/{task_id}/comments", body="A **word** with a [link](https://example.com).")
    file = {"file": ("plan.txt", b"a plan")}
    account.http.post(f"/v1/tasks/{task_id}/attachments", files=file).raise_for_status()
    sign_in(page, account, team_id)
    page.locator(".card-face", has_text="first").wait_for()
    assert violations(page) == []
    page.locator(".card-face", has_text="first").click()
    for part in (".comment", ".file", ".happened"):
        page.locator(part).first.wait_for()
    page.press("#comment-body", "@")
    page.locator("[role=option]").wait_for()
    assert violations(page) == []
    page.fill("#comment-body", "")
    page.wait_for_selector("#panel[open]")
    assert violations(page) == []
    page.goto("/invitation#token=x")
    page.wait_for_selector("#invite:not([hidden])")
    assert violations(page) == []


def test_founding_a_team(page: Any, account: Account) -> None:
    page.goto("/")
    enter(page, account)
    page.wait_for_selector("#founding:not([hidden])")
    assert violations(page) == []


def test_the_account_and_what_it_asks_and_says(page: Any, account: Account) -> None:
    account.call("POST", "/v1/me/api-keys", name="Nightly import", scopes=["read"])
    page.goto("/account")
    page.wait_for_selector("#sign-in:not([hidden])")
    enter(page, account)
    page.wait_for_selector("#page:not([hidden])")
    assert violations(page) == []
    page.click("#password button[type=submit]")
    page.fill("#key-name", "Another")
    page.click("#new-key button[type=submit]")
    page.wait_for_selector("#key-token")
    assert violations(page) == []
    page.locator("#keys .row button").first.click()
    page.wait_for_selector(".question[open]")
    assert violations(page) == []


def test_the_settings_of_a_team(page: Any, account: Account) -> None:
    team_id = account.team()
    account.call("POST", f"/v1/teams/{team_id}/invitations", role="viewer")
    sign_in(page, account, team_id)
    page.goto(f"/team-settings#/{team_id}")
    page.wait_for_selector("#page:not([hidden])")
    assert violations(page) == []
    page.check("input[name=way][value=link]")
    page.click("#invite-send")
    page.wait_for_selector("#link-text")
    assert violations(page) == []


def test_the_dev_mailbox(page: Any, account: Account) -> None:
    eventually(lambda: account.email in account.http.get("/dev/mail").text, "a mail has come")
    page.goto("/dev/mail")
    page.wait_for_selector(f".letter:has-text('{account.email}')")
    assert violations(page) == []


def test_a_board_that_somebody_may_only_read(page: Any, account: Account) -> None:
    team_id = account.team("only to look at")
    page.goto("/")
    enter(page, account)
    page.goto(f"/#/{team_id}")
    page.wait_for_selector(LIVE)
    page.evaluate("document.querySelector('#columns').dataset.readonly = 'true'")
    assert violations(page) == []


def test_the_page_of_a_link_that_switches_mails_off(page: Any, account: Account, system: System) -> None:
    keys = DataDir(system.data).secrets().keyset
    tokens = UnsubscribeTokens(Keyset([Secret(key) for key in keys]))
    token = tokens.token(UUID(account.call("GET", "/v1/me")["id"]), "digest.daily")
    page.goto(f"/v1/mail/unsubscribe?token={token}")
    page.wait_for_selector("button:has-text('Unsubscribe')")
    assert violations(page) == []
    assert account.call("GET", "/v1/me")["mail"]["digest"], "to look at it changes nothing"
    page.click("button")
    page.wait_for_selector("[role=status]:has-text('you no longer get')")
    assert violations(page) == []
    assert not account.call("GET", "/v1/me")["mail"]["digest"]
