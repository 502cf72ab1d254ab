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


def test_the_panel_turns_an_instant_into_a_date_and_takes_it_away(
    new_browser: Callable[..., Any], account: Account
) -> None:
    team_id, task_id = team_with(account, due_at="2030-05-06T20:00:00Z")
    page = new_browser()
    sign_in(page, account, team_id)
    for day, due_on in (("2030-05-09", "2030-05-09"), ("", None)):
        page.click(".card-face")
        expect(page.locator("#p-due")).to_have_value("2030-05-07" if due_on else "2030-05-09")
        page.fill("#p-due", day)
        with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
            page.click("#panel-save")
        task = account.call("GET", f"/v1/tasks/{task_id}")
        assert (task["due_at"], task["due_on"]) == (None, due_on)
        page.wait_for_selector("#panel:not([open])", state="attached")


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
