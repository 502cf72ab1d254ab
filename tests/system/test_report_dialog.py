"""Printing a report from the board in real browsers: chosen, followed by the feed, downloaded, told when it fails."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.account import Account
from tests.support.browser import AXE, sign_in, violations

pytestmark = pytest.mark.timeout(180)


def opened(page: Any, account: Account, team_id: str) -> None:
    """Sign in and open the dialog by the board's menu."""
    sign_in(page, account, team_id)
    page.click("#more")
    page.click("#print-report")
    expect(page.locator("#report-form")).to_be_visible()


def asked(page: Any) -> Any:
    """Send the form; the body of the request."""
    with page.expect_request(lambda request: request.method == "POST" and request.url.endswith("/reports")) as sent:
        page.click("#report-form button[type=submit]")
    return sent.value.post_data_json


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 420)])
def test_a_report_is_printed_and_downloaded_and_kept(
    new_browser: Callable[..., Any], account: Account, scheme: str, width: int
) -> None:
    page = new_browser(color_scheme=scheme, viewport={"width": width, "height": 900})
    opened(page, account, account.team("Paint the fence"))
    assert asked(page)["kind"] == "board"
    expect(page.locator("#report-state")).to_contain_text("It is ready: ")
    ready = page.locator("#report-state button")
    expect(ready).to_be_focused()
    for button in (ready, page.locator("#report-list button")):
        with page.expect_download() as download:
            button.click()
        assert Path(download.value.path()).read_bytes().startswith(b"%PDF-")
    assert page.evaluate("window.stayed === true"), "the board is still there"
    page.click("#report-close")
    expect(page.locator("#bell-count")).not_to_be_empty(timeout=30_000)
    page.click("#bell")
    page.click(".notice:has-text('Your report of')")
    expect(page.locator("#report-list button")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    if AXE.is_file():
        assert violations(page) == []


def test_the_period_is_of_the_teams_days_and_fits_the_kind(new_browser: Callable[..., Any], account: Account) -> None:
    team_id = account.team("Paint the fence")
    account.call("PATCH", f"/v1/teams/{team_id}", time_zone="Pacific/Kiritimati")
    page = new_browser(timezone_id="America/Los_Angeles")
    page.clock.install(time="2031-03-01T12:00:00Z")
    page.clock.resume()
    page.route("**/reports", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    opened(page, account, team_id)
    today = date(2031, 3, 2)  # There it is the next day already.
    page.select_option("#report-period", "7")
    assert asked(page) == {"kind": "board", "from": str(today - timedelta(days=6)), "to": str(today)}
    page.reload()
    page.click("#more")
    page.click("#print-report")
    page.check("input[value=overdue]")
    expect(page.locator("#report-period")).to_have_value("all")
    assert asked(page) == {"kind": "overdue"}


def test_dates_that_are_no_period_are_refused_at_their_field(new_browser: Callable[..., Any], account: Account) -> None:
    page = new_browser()
    opened(page, account, account.team())
    page.check("input[value=activity]")
    page.select_option("#report-period", "own")
    page.fill("#report-from", "2026-02-02")
    page.fill("#report-to", "2026-02-01")
    page.click("#report-form button[type=submit]")
    expect(page.locator("#report-to[aria-invalid=true]")).to_be_focused()
    expect(page.locator("#report-form-to-wrong")).to_have_text("The end of the period must be after its beginning.")
    page.fill("#report-from", "2020-01-01")
    page.click("#report-form button[type=submit]")
    expect(page.locator("#report-form-from-wrong")).to_have_text("A report is of at most 366 days.")


def test_how_far_it_is_shows_and_why_it_failed_is_told(new_browser: Callable[..., Any], account: Account) -> None:
    page, state = new_browser(), {"status": "running", "progress": 0.5}

    def operation(route: Any) -> None:
        answer = route.fetch()
        body = answer.json() | state
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route_web_socket("**/live?*", without_notices)
    page.route("**/v1/operations/*", operation)
    opened(page, account, account.team("Paint the fence"))
    page.click("#report-form button[type=submit]")
    expect(page.locator("#report-state progress")).to_have_js_property("value", 0.5)
    state |= {"status": "failed", "error": "The report is too large to be set."}
    expect(page.locator("#report-state [role=alert]")).to_have_text(
        "It could not be printed. The report is too large to be set."
    )


def without_notices(here: Any) -> None:
    """The feed as it comes, but for its notices: they may be lost."""
    there = here.connect_to_server()
    there.on_message(lambda text: None if json.loads(text)["type"] == "notice" else here.send(text))


def test_the_feed_alone_tells_that_it_is_ready(new_browser: Callable[..., Any], account: Account) -> None:
    page, asked_for = new_browser(), list[str]()
    page.add_init_script("const set = setTimeout; window.setTimeout = (work, ms) => (ms === 2000 ? 0 : set(work, ms));")
    page.on("request", lambda request: asked_for.append(request.url) if "/operations/" in request.url else None)
    opened(page, account, account.team("Paint the fence"))
    page.click("#report-form button[type=submit]")
    expect(page.locator("#report-state button")).to_be_visible()
    assert len(asked_for) == 1, "the operation was asked for its result, and for nothing else"
