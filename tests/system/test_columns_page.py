"""The columns of the board in real browsers: what an admin does to them, and what everybody else sees of it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import AXE, sign_in, violations
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

NAMES = ".column .column-name"


def row(page: Any, name: str) -> Any:
    return page.locator(".column-row").filter(has=page.get_by_label(f"Name of {name}", exact=True))


def write(page: Any, label: str, text: str) -> None:
    """Into a field of the dialog, and on to the next: the row may be drawn anew under the key."""
    page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Tab")


def test_columns_are_added_renamed_limited_reordered_and_deleted(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id = account.team("first", "second")
    page, other = new_browser(), new_browser()
    sign_in(page, account, team_id)
    sign_in(other, account, team_id)
    page.click("#edit-columns")
    page.fill("#new-column", "Testing")
    page.select_option("#new-category", "in_review")
    page.click(".column-add button[type=submit]")
    expect(page.locator(NAMES)).to_have_text(["Open", "In progress", "In review", "Done", "Cancelled", "Testing"])
    row(page, "Testing").get_by_label("Move Testing up").click()
    expect(other.locator(NAMES)).to_have_text(["Open", "In progress", "In review", "Done", "Testing", "Cancelled"])
    expect(page.locator(NAMES)).to_have_text(["Open", "In progress", "In review", "Done", "Testing", "Cancelled"])
    write(page, "Name of Testing", "On trial")
    write(page, "Most tasks in On trial", "3")
    expect(other.locator(".column", has_text="On trial").locator(".count")).to_have_text("0 / 3")
    write(page, "Name of On trial", "DONE")
    expect(page.locator(".columns-dialog [role=alert]")).to_have_text("Another column of this team has that name.")
    page.get_by_label("Delete Open", exact=True).click()
    page.locator(".column-deletion select").select_option(label="On trial")
    page.locator(".column-deletion .destructive").click()
    expect(page.locator(".columns-dialog [role=alert]")).to_contain_text("always has a column of open")
    page.get_by_label("Delete Cancelled", exact=True).click()
    expect(other.locator(NAMES)).to_have_text(["Open", "In progress", "In review", "Done", "On trial"])
    assert list(account.columns(team_id)) == ["Open", "In progress", "In review", "Done", "On trial"]


@pytest.mark.parametrize("limit", ["0", "-3", "2.5", "10001"])
def test_a_limit_that_is_none_is_answered_with_a_sentence(
    new_browser: Callable[..., Any], account: Account, limit: str
) -> None:
    page = new_browser()
    sign_in(page, account, account.team("first"))
    page.click("#edit-columns")
    write(page, "Most tasks in Open", limit)
    said = "A limit is a whole number from 1 to 10000; leave it empty for no limit."
    expect(page.locator(".columns-dialog [role=alert]")).to_have_text(said)
    expect(page.get_by_label("Most tasks in Open", exact=True)).to_have_value("")


def test_the_columns_dialog_shows_its_fields_whole_on_a_phone(
    new_browser: Callable[..., Any], account: Account
) -> None:
    page = new_browser(viewport={"width": 390, "height": 800})
    sign_in(page, account, account.team("first"))
    page.click("#edit-columns")
    expect(page.locator(".column-row")).to_have_count(5)
    # What does not fit into a field scrolls in it; a placeholder needs the width that its letters have as a value.
    cut = """fields => fields.filter((field) => {
        const empty = field.value === "";
        if (empty) { field.type = "text"; field.value = field.placeholder; }
        const cut = field.scrollWidth > field.clientWidth;
        if (empty) { field.value = ""; field.type = "number"; }
        return cut;
    }).length"""
    assert page.locator(".column-row input").evaluate_all(cut) == 0
    heights = "all => new Set(all.map((one) => Math.round(one.getBoundingClientRect().height))).size"
    assert page.locator(".column-add :is(input, select)").evaluate_all(heights) == 1
    wide = "dialog => dialog.scrollWidth <= dialog.clientWidth"
    assert page.locator(".columns-dialog").evaluate(wide)


def test_cards_are_dragged_into_a_column_of_ones_own_and_leave_it_when_it_goes(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id = account.team("first", "second", "third")
    made = account.call("POST", f"/v1/teams/{team_id}/columns", name="Waiting", category="in_progress")
    page, other = new_browser(), new_browser()
    sign_in(page, account, team_id)
    sign_in(other, account, team_id)
    waiting = f".column[data-column='{made['id']}']"
    for title in ("first", "second"):
        page.locator(".card-face", has_text=title).drag_to(page.locator(f"{waiting} .scroll"))
        expect(other.locator(f"{waiting} .card-face", has_text=title)).to_be_visible()
    expect(page.locator(f"{waiting} .count")).to_have_text("2")
    page.click("#edit-columns")
    page.get_by_label("Delete Waiting", exact=True).click()
    expect(page.locator(".column-deletion label")).to_have_text("2 tasks go from Waiting to")
    page.locator(".column-deletion select").select_option(label="Done")
    page.locator(".column-deletion .destructive").click()
    for one in (page, other):
        expect(one.locator(waiting)).to_have_count(0)
        expect(one.locator(".column[data-status=done] .card-title")).to_have_count(2)
    board = account.call("GET", f"/v1/teams/{team_id}/board")
    assert [len(column["tasks"]) for column in board["columns"]] == [1, 0, 0, 2, 0]


def test_whoever_may_not_manage_the_team_is_not_offered_its_columns(
    new_browser: Callable[..., Any], account: Account, system: System
) -> None:
    team_id, guest = account.team("first"), Account(system.url)
    link = account.call("POST", f"/v1/teams/{team_id}/invitations", role="member")
    user_id = guest.call("POST", "/v1/invitations/accept", token=link["token"])["user_id"]
    page = new_browser()
    sign_in(page, guest, team_id)
    expect(page.locator("#edit-columns")).to_be_hidden()
    account.call("PATCH", f"/v1/teams/{team_id}/members/{user_id}", role="admin")
    expect(page.locator("#edit-columns")).to_be_visible()
    guest.http.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dialog_has_no_violations(new_browser: Callable[..., Any], account: Account, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed")
    team_id = account.team("first")
    page = new_browser(color_scheme=scheme)
    sign_in(page, account, team_id)
    page.click("#edit-columns")
    page.get_by_label("Delete Open", exact=True).click()
    assert violations(page) == []


def test_a_column_that_somebody_renames_is_told_in_an_open_dialog(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id = account.team("first")
    page = new_browser()
    sign_in(page, account, team_id)
    page.click("#edit-columns")
    column = account.columns(team_id)["In review"]
    account.call("PATCH", f"/v1/teams/{team_id}/columns/{column['id']}", name="Second look")
    expect(page.get_by_label("Name of Second look", exact=True)).to_be_visible()
    eventually(lambda: "Second look" in account.columns(team_id), "the server has the name")
