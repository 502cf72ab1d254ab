"""How a task repeats, in the panel of real browsers: chosen, foretold, kept as it was written, and taken away."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import AXE, sign_in, violations

pytestmark = pytest.mark.timeout(180)

NOTE = "#p-repeat-note"


def opened(page: Any, account: Account, **fields: Any) -> str:
    """A task with these fields, open in the panel; its id."""
    team_id = account.team("Water the plants")
    task_id: str = account.task(team_id, "Water the plants")["id"]
    if fields:
        account.call("PATCH", f"/v1/tasks/{task_id}", **fields)
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.wait_for_selector("#panel[open]")
    return task_id


def saved(page: Any, account: Account, task_id: str) -> Any:
    """Save the panel and open it again; the task's recurrence."""
    with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        page.click("#panel-save")
    page.wait_for_selector("#panel:not([open])", state="attached")
    page.click(".card-face")
    return account.call("GET", f"/v1/tasks/{task_id}")["recurrence"]


def test_a_task_repeats_by_what_is_chosen_and_shows_which_dates_come(
    new_browser: Callable[..., Any], account: Account
) -> None:
    page = new_browser(locale="en-GB")
    task_id = opened(page, account)
    expect(page.locator("#p-repeat")).to_be_disabled()
    expect(page.locator(NOTE)).to_have_text("A task that has a due date can repeat.")
    page.fill("#p-due", "2040-03-05")  # A Monday.
    page.select_option("#p-repeat", "WEEKLY")
    expect(page.locator("#p-repeat-days input[value=MO]")).to_be_checked()
    expect(page.locator(NOTE)).to_have_text("Next: Mon, 12 Mar 2040, then 19 Mar, 26 Mar.")
    page.locator(".day-choice", has_text="Thu").click()
    page.fill("#p-repeat-every", "2")
    expect(page.locator("#p-repeat-unit")).to_have_text("weeks")
    expect(page.locator(NOTE)).to_have_text("Next: Thu, 8 Mar 2040, then 19 Mar, 22 Mar.")
    page.select_option("#p-repeat-when", "done")
    series = saved(page, account, task_id)
    assert (series["rule"], series["when"]) == ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH", "done")
    expect(page.locator("#p-repeat-days input:checked")).to_have_count(2)
    expect(page.locator("#p-repeat-when")).to_have_value("done")
    expect(page.locator("#panel-save")).to_be_disabled()

    page.select_option("#p-repeat", "MONTHLY")
    page.fill("#p-repeat-every", "1")
    expect(page.locator("#p-repeat-monthly option")).to_have_text(
        ["on day 5", "on the last day", "on the first Monday"]
    )
    page.select_option("#p-repeat-monthly", label="on the first Monday")
    expect(page.locator(NOTE)).to_contain_text("Next: Mon, 2 Apr 2040")
    assert saved(page, account, task_id)["rule"] == "FREQ=MONTHLY;BYDAY=1MO"
    page.select_option("#p-repeat", "")
    assert saved(page, account, task_id) is None


def test_a_rule_by_hand_stays_as_it_was_written_and_a_wrong_one_is_explained(
    new_browser: Callable[..., Any], account: Account
) -> None:
    page = new_browser(locale="en-GB")
    rule = "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"
    task_id = opened(page, account, due_on="2040-03-05", recurrence={"rule": rule})
    expect(page.locator("#p-repeat")).to_have_value("RULE")
    expect(page.locator("#p-repeat-rule")).to_have_value(rule)
    expect(page.locator(NOTE)).to_contain_text("Next: Fri, 30 Mar 2040")
    expect(page.locator("#panel-save")).to_be_disabled()
    page.fill("#p-repeat-rule", "FREQ=SOMETIMES")
    expect(page.locator(NOTE)).to_have_text("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY.")
    page.click("#panel-save")
    expect(page.locator("#panel-note")).to_contain_text("FREQ must be DAILY")
    page.fill("#p-repeat-rule", "FREQ=DAILY;COUNT=2")
    expect(page.locator(NOTE)).to_have_text("Next: Tue, 6 Mar 2040; that is the last one.")
    assert saved(page, account, task_id)["rule"] == "FREQ=DAILY;COUNT=2"


def test_what_is_touched_elsewhere_leaves_the_series_and_without_a_due_date_there_is_none(
    new_browser: Callable[..., Any], account: Account
) -> None:
    page = new_browser(timezone_id="America/Los_Angeles")
    series = {"rule": "FREQ=YEARLY", "when": "done"}
    task_id = opened(page, account, due_at="2040-03-05T02:30:00Z", recurrence=series)
    before = account.call("GET", f"/v1/tasks/{task_id}")["recurrence"]
    expect(page.locator("#p-due")).to_have_value("2040-03-04")
    page.fill("#p-title", "Water them")
    page.fill("#p-due", "2040-03-20")
    assert saved(page, account, task_id) == before, "putting a task off moves this task alone"
    page.fill("#p-due", "")
    page.fill("#p-due-time", "")
    assert saved(page, account, task_id) is None


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci --prefix tests/support/axe")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 420)])
def test_axe_finds_nothing_in_the_panel_of_a_task_that_repeats(
    new_browser: Callable[..., Any], account: Account, scheme: str, width: int
) -> None:
    page = new_browser(color_scheme=scheme, viewport={"width": width, "height": 900})
    opened(page, account, due_on="2040-03-05", recurrence={"rule": "FREQ=WEEKLY;BYDAY=MO"})
    for kind in ("WEEKLY", "MONTHLY", "RULE"):
        page.select_option("#p-repeat", kind)
        assert violations(page) == []
        assert page.evaluate("document.querySelector('#panel-scroll').scrollWidth <= innerWidth"), "nothing sticks out"
