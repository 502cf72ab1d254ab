"""Dates on the board page: they are the team's wherever somebody looks from, and overdue cards look overdue."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import sign_in

pytestmark = pytest.mark.timeout(180)

ZONE = "Pacific/Kiritimati"
"""Fourteen hours ahead of UTC, where it is tomorrow for most of us."""


def team_with(account: Account, **due: Any) -> tuple[str, str]:
    team_id = account.team("plan")
    account.call("PATCH", f"/v1/teams/{team_id}", time_zone=ZONE)
    task_id: str = account.task(team_id, "plan")["id"]
    account.call("PATCH", f"/v1/tasks/{task_id}", **due)
    return team_id, task_id


@pytest.mark.parametrize("viewer", ["America/Los_Angeles", ZONE])
def test_a_date_is_the_same_for_whoever_looks(new_browser: Callable[..., Any], account: Account, viewer: str) -> None:
    team_id, _ = team_with(account, due_on="2031-05-06")
    page = new_browser(timezone_id=viewer, locale="en-GB")
    sign_in(page, account, team_id)
    expect(page.locator(".due")).to_contain_text("6 May 2031")
    expect(page.locator(".due")).to_have_attribute("data-state", "calm")
    page.click(".card-face")
    expect(page.locator("#p-due")).to_have_value("2031-05-06")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_overdue_card_looks_overdue(new_browser: Callable[..., Any], account: Account, scheme: str) -> None:
    team_id, task_id = team_with(account, due_on="2020-02-29")
    page = new_browser(color_scheme=scheme)
    sign_in(page, account, team_id)
    late = page.locator(".due[data-state=late]")
    expect(late).to_contain_text("overdue since")
    expect(late).to_have_css("color", "rgb(179, 38, 30)" if scheme == "light" else "rgb(255, 154, 143)")
    expect(page.locator(".card-face")).to_have_css("border-left-width", "3px")
    account.call("PATCH", f"/v1/tasks/{task_id}", status="done")
    expect(page.locator(".due")).to_have_attribute("data-state", "calm")


def test_a_card_becomes_overdue_while_the_board_is_open(new_browser: Callable[..., Any], account: Account) -> None:
    team_id, _ = team_with(account, due_on="2030-01-01")
    page = new_browser()
    page.clock.install(time="2030-01-01T09:59:00Z")  # A minute before midnight there.
    sign_in(page, account, team_id)
    expect(page.locator(".due")).to_have_attribute("data-state", "soon")
    page.clock.fast_forward("02:00")
    expect(page.locator(".due")).to_have_attribute("data-state", "late")


def saved(page: Any, account: Account, task_id: str) -> tuple[str | None, str | None]:
    """Save the open panel; the task's `due_at` and `due_on` then."""
    with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        page.click("#panel-save")
    page.wait_for_selector("#panel:not([open])", state="attached")
    task = account.call("GET", f"/v1/tasks/{task_id}")
    return task["due_at"], task["due_on"]


def test_an_instant_has_its_time_on_the_card_and_in_the_panel_and_keeps_it(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id, task_id = team_with(account, due_at="2031-12-24T15:00:30Z")
    page = new_browser(timezone_id="Europe/Berlin", locale="en-GB")
    sign_in(page, account, team_id)
    expect(page.locator(".due")).to_contain_text("24 Dec 2031, 16:00")
    page.click(".card-face")
    expect(page.locator("#p-due")).to_have_value("2031-12-24")
    expect(page.locator("#p-due-time")).to_have_value("16:00")
    expect(page.locator("#p-due-note")).to_have_text(f"Your time (Europe/Berlin). The team lives by {ZONE}.")
    page.fill("#p-due", "2031-07-01")  # In summer four in the afternoon is another instant.
    assert saved(page, account, task_id) == ("2031-07-01T14:00:30Z", None)
    page.click(".card-face")
    expect(page.locator("#p-due-time")).to_have_value("16:00")
    page.fill("#p-due-time", "09:15")
    assert saved(page, account, task_id) == ("2031-07-01T07:15:00Z", None)
    expect(page.locator(".due")).to_contain_text("1 Jul 2031, 09:15")


def test_a_time_makes_a_date_an_instant_and_without_it_it_is_a_date_again(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id, task_id = team_with(account, due_on="2030-05-06")
    page = new_browser(timezone_id=ZONE)
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.fill("#p-due-time", "08:00")
    expect(page.locator("#p-due-note")).to_have_text("")  # The reader's zone is the team's.
    assert saved(page, account, task_id) == ("2030-05-05T18:00:00Z", None)
    page.click(".card-face")
    expect(page.locator("#p-due")).to_have_value("2030-05-06")
    page.fill("#p-due-time", "")
    assert saved(page, account, task_id) == (None, "2030-05-06")
    page.click(".card-face")
    page.fill("#p-due", "")
    expect(page.locator("#p-due-time")).to_be_disabled()
    assert saved(page, account, task_id) == (None, None)


def test_an_instant_is_taken_away_and_half_a_time_is_not_saved(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id, task_id = team_with(account, due_at="2030-05-06T20:00:00Z")
    page = new_browser()
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.focus("#p-due-time")
    page.keyboard.press("Backspace")
    expect(page.locator("#p-due-note")).to_contain_text("whole date and time")
    expect(page.locator("#panel-save")).to_be_disabled()
    page.fill("#p-due", "")
    page.fill("#p-due-time", "")
    assert saved(page, account, task_id) == (None, None)


def test_an_untouched_instant_stays_what_it_is(new_browser: Callable[..., Any], account: Account) -> None:
    team_id, task_id = team_with(account, due_at="2030-05-06T20:00:00Z")
    page = new_browser()
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.fill("#p-title", "another name")
    with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        page.click("#panel-save")
    task = account.call("GET", f"/v1/tasks/{task_id}")
    assert (task["title"], task["due_at"]) == ("another name", "2030-05-06T20:00:00Z")
