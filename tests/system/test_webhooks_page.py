"""The dashboard of webhooks in real browsers: made, tried, followed, mended and deleted, by who may and nobody else."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import expect
from standardwebhooks import Webhook

from core.events import EVENT_TYPES
from tests.support.account import Account
from tests.support.browser import AXE, enter, violations
from tests.support.panel import guest_of
from tests.support.receivers import Behaviour, Receiver, receiving
from tests.support.system import System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

READY = "#page:not([hidden])"
HOSTILE = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'> is <b>broken</b>"
WEBHOOKS = "/v1/webhooks/subscriptions"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Endpoints beside the browser, which has this thread for itself."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(receiving()) as receiver:
        yield receiver


@pytest.fixture
def guest(system: System) -> Iterator[Account]:
    guest = Account(system.url)
    with closing(guest.http):
        yield guest


def opened(new_browser: Callable[..., Any], account: Account, team_id: str, rest: str = "", **options: Any) -> Any:
    page = new_browser(**options)
    page.goto(f"/dashboard/webhooks#/{team_id}{rest}")
    page.wait_for_selector("#sign-in:not([hidden])")
    enter(page, account)
    page.wait_for_selector(READY)
    page.evaluate("window.stayed = true")
    return page


def hook_of(account: Account, team_id: str, url: str, **wanted: Any) -> str:
    hook_id: str = account.call("POST", WEBHOOKS, team_id=team_id, url=url, **wanted)["id"]
    return hook_id


def answered(page: Any, action: str) -> None:
    page.wait_for_selector(".question[open]")
    page.click(f".question button:has-text('{action}')")
    page.wait_for_selector(".question", state="detached")


def test_one_is_made_tried_rotated_switched_off_and_deleted(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    team_id = account.team()
    page = opened(new_browser, account, team_id)
    page.click("#no-webhooks a")
    expect(page.locator("#hook-address")).to_be_focused()
    page.keyboard.type(receiver.url("/in"))
    page.keyboard.press("Enter")
    expect(page.locator("#secret-text")).to_be_focused()
    first = page.input_value("#secret-text")
    page.click("#test")
    row = page.locator(".delivery")
    expect(row).to_have_attribute("data-status", "delivered")
    expect(row.locator(".attempt")).to_contain_text("204")
    request = receiver.received[0]
    assert Webhook(first).verify(request.body, dict(request.headers))["type"] == "webhook.test"

    page.click("#rotate")
    answered(page, "Rotate")
    expect(page.locator("#secret-text")).to_be_focused()
    expect(page.locator("#secret-text")).not_to_have_value(first)
    expect(page.locator("#secret-text")).to_have_value(re.compile("^whsec_"))
    expect(page.locator("#hook-since")).to_contain_text("signed by the old secret, too, until")
    page.click("#toggle")
    expect(page.locator("#hook-title .badge")).to_have_text("Switched off")
    expect(page.locator("#test")).to_be_disabled()
    page.click("#toggle")
    expect(page.locator("#hook-title .badge")).to_have_text("Active")
    page.click("#to-all")
    expect(page.locator(".hook .badge")).to_have_text("Active")
    page.click(".hook-name")
    expect(page.locator("#hook-url")).to_have_text(receiver.url("/in"))
    expect(page.locator("#secret-text")).to_have_count(0)
    page.click("#delete")
    answered(page, "Delete")
    expect(page.locator("#no-webhooks")).to_be_visible()
    expect(page.locator("#all h1")).to_be_focused()
    assert account.call("GET", f"{WEBHOOKS}?team_id={team_id}")["items"] == []
    assert page.evaluate("window.stayed === true"), "the page was reloaded"


def test_what_is_chosen_in_the_form_is_what_the_server_has_and_shows_again(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    team_id = account.team()
    label = account.call("POST", f"/v1/teams/{team_id}/labels", name="bug", color="#d73a4a")["id"]
    page = opened(new_browser, account, team_id, "/new")
    page.check("input[value=some]")
    offered = page.locator("#types input").evaluate_all("boxes => boxes.map((box) => box.value)")
    assert set(offered) == set(EVENT_TYPES)
    page.fill("#hook-address", receiver.url("/chat"))
    page.click("#form-save")
    expect(page.locator("#editing .wrong")).to_have_text("Choose at least one type, or every event.")
    page.check("input[value='task.moved']")
    page.fill("#hook-description", "The chat")
    page.select_option("#hook-format", "slack")
    page.check("#hook-in-order")
    page.click("#filter summary")
    page.check("#filter-status input[value=done]")
    page.check(f"#filter-label input[value='{label}']")
    page.click("#form-save")
    expect(page.locator("#hook-wish")).to_have_text(
        "1 type of events · of some tasks only · Slack-compatible · in order"
    )
    hook = account.call("GET", f"{WEBHOOKS}?team_id={team_id}")["items"][0]
    assert (hook["format"], hook["in_order"], hook["event_types"]) == ("slack", True, ["task.moved"])
    assert hook["filter"] == {"status": ["done"], "label": [label], "assignee": []}
    account.call("DELETE", f"/v1/teams/{team_id}/labels/{label}")

    page.click("#edit")
    expect(page.locator("#filter-label .choice")).to_have_text("one that is gone")
    expect(page.locator("#filter-label input")).to_be_checked()
    expect(page.locator("#types input:checked")).to_have_count(1)
    page.uncheck("#filter-label input")
    page.check("input[value=all]")
    page.click("#form-save")
    expect(page.locator("#hook-wish")).to_contain_text("every event")
    hook = account.call("GET", f"{WEBHOOKS}/{hook['id']}")
    assert (hook["event_types"], hook["filter"]["label"], hook["filter"]["status"]) == ([], [], ["done"])


def test_an_address_that_nothing_is_sent_to_is_refused_at_its_field(
    new_browser: Callable[..., Any], account: Account
) -> None:
    page = opened(new_browser, account, account.team(), "/new")
    for address in ("", "http://example.com/", "https://10.0.0.1/", "nonsense", "https://x:y@example.com"):
        page.fill("#hook-address", address)
        page.fill("#hook-description", "so that the focus is elsewhere")
        page.click("#form-save")
        expect(page.locator("#hook-address[aria-invalid=true]")).to_be_focused()
        said = "Please fill this in." if address == "" else "Webhooks are sent by https, on port 443, to hosts on"
        expect(page.locator("#webhook-form-url-wrong")).to_contain_text(said)


def test_a_failing_endpoint_is_shown_with_its_answer_as_text_and_is_sent_again_once_it_is_mended(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(
        status=410, headers={"Content-Type": "text/html"}, body=HOSTILE.encode()
    )
    team_id = account.team()
    hook_id = hook_of(account, team_id, receiver.url("/in"), description="<i>Mine</i>", event_types=["task.created"])
    page = opened(new_browser, account, team_id, f"/{hook_id}")
    expect(page.locator("#hook-title .hook-name")).to_have_text("<i>Mine</i>")
    task = account.call("POST", "/v1/tasks", team_id=team_id, title="Paint")
    row = page.locator(".delivery")
    expect(row).to_have_attribute("data-status", "failed")
    expect(page.locator("#hook-title .badge")).to_have_text("Disabled")
    expect(page.locator("#hook-why")).to_contain_text("410 Gone")
    row.locator("summary").click()
    expect(row.locator(".response")).to_have_text(HOSTILE)
    for shown in (row.locator(".delivery-when time").first, row.locator(".attempt time")):
        expect(shown).to_have_attribute("title", page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone"))
        expect(shown).to_have_text(re.compile(r"\d:\d\d:\d\d"))
    expect(row.locator("a")).to_have_attribute("href", f"/#/{team_id}/{task['id']}")
    expect(page.locator(".latency svg .plot-bad")).to_have_count(1)
    expect(page.locator(".latency figcaption")).to_contain_text("The last request took")
    row.get_by_role("button", name="Redeliver").click()
    page.wait_for_selector(".toast-error:has-text('disabled: enable it first')")

    receiver.behave = lambda _path, _headers: Behaviour()
    page.click("#toggle")
    expect(page.locator("#recover-since")).to_be_visible()
    page.click("#recover-form button")
    expect(page.locator("#recover-form .result")).to_have_text("One delivery is sent again.")
    expect(row).to_have_attribute("data-status", "delivered")
    expect(page.locator("#hook-title .badge")).to_have_text("Active")
    row.locator("summary").click()
    expect(row.locator(".attempt")).to_have_count(2)
    row.get_by_role("button", name="Redeliver").click()
    expect(row.locator(".attempt")).to_have_count(3)
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert page.evaluate("window.attacked === undefined && window.stayed === true")
    page.click("#back")
    page.click("#bell")
    page.click(".notice:has-text('webhook')")
    expect(page.locator("#hook-url")).to_have_text(receiver.url("/in"))


def test_what_cannot_be_recovered_is_said_at_the_field(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    team_id = account.team()
    page = opened(new_browser, account, team_id, f"/{hook_of(account, team_id, receiver.url('/in'))}")
    page.click("#recover summary")
    page.click("#recover-form button")
    expect(page.locator("#recover-form .result")).to_have_text("Nothing has failed or waits since then.")
    page.fill("#recover-since", "2020-01-01T00:00")
    page.click("#recover-form button")
    expect(page.locator("#recover-since[aria-invalid=true]")).to_be_focused()
    expect(page.locator("#recover-since-wrong, #recover-form .wrong")).to_contain_text("too long ago")


def test_what_waits_behind_another_says_so_and_is_sent_at_once_when_the_endpoint_is_well_again(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=429, headers={"Retry-After": "3600"})
    team_id = account.team()
    hook_id = hook_of(account, team_id, receiver.url("/in"), event_types=["task.created"], in_order=True)
    for number in range(3):
        account.call("POST", "/v1/tasks", team_id=team_id, title=f"Task {number}")
    page = opened(new_browser, account, team_id, f"/{hook_id}")
    rows = page.locator(".delivery")
    expect(rows).to_have_count(3)
    expect(rows.last.locator(".badge").first).to_have_text("Retrying")
    expect(rows.first.locator(".badge").first).to_have_text("Behind another")
    rows.first.locator("summary").click()
    rows.first.get_by_role("button", name="what waits before it").click()
    expect(rows.last.locator("details")).to_have_attribute("open", "")
    expect(rows.last.locator("summary")).to_be_focused()
    if AXE.is_file():
        assert violations(page) == []

    receiver.behave = lambda _path, _headers: Behaviour()
    page.click("#send-now")
    for number in range(3):
        expect(rows.nth(number)).to_have_attribute("data-status", "delivered")
    expect(page.locator("#send-now")).to_be_hidden()
    page.click("#toggle")
    expect(page.locator("#hook-title .badge")).to_have_text("Switched off")
    account.call("POST", "/v1/tasks", team_id=team_id, title="Nobody hears of it")
    expect(rows.first).to_have_attribute("data-status", "failed")
    rows.first.locator("summary").click()
    expect(rows.first.locator(".facts")).to_contain_text("given up because the webhook was disabled")


def test_the_log_is_paged_filtered_and_follows_the_feed(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    bad = {"5", "7"}
    receiver.behave = lambda _path, headers: Behaviour(status=500 if headers["taskforge-seq"] in bad else 200)
    team_id = account.team()
    hook_id = hook_of(account, team_id, receiver.url("/in"), event_types=["task.created"])
    for number in range(30):
        account.call("POST", "/v1/tasks", team_id=team_id, title=f"Task {number}")
    eventually(lambda: len(receiver.received) >= 30, "all have been sent once")
    page = opened(new_browser, account, team_id, f"/{hook_id}")
    rows = page.locator(".delivery")
    expect(rows).to_have_count(25)
    page.click("#deliveries-more")
    expect(rows).to_have_count(30)
    expect(page.locator("#deliveries-more")).to_be_hidden()
    rows.last.locator("summary").click()
    account.call("POST", "/v1/tasks", team_id=team_id, title="One more")
    expect(rows).to_have_count(31)
    expect(rows.first).to_have_attribute("data-status", "delivered")
    expect(rows.last.locator("details")).to_have_attribute("open", "")
    page.select_option("#deliveries-status", "pending")
    expect(rows).to_have_count(2)
    expect(rows.first.locator(".badge").first).to_have_text("Retrying")
    page.select_option("#deliveries-status", "expired")
    expect(page.locator("#no-deliveries")).to_have_text("There is none of this status.")


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_who_may_not_manage_the_team_reads_a_sentence_and_is_offered_no_way_there(
    new_browser: Callable[..., Any], account: Account, guest: Account, role: str
) -> None:
    team_id = account.team()
    guest_of(account, guest, team_id, role)
    page = opened(new_browser, guest, team_id)
    expect(page.locator("#refusal")).to_contain_text("are for its owners and admins")
    expect(page.locator("#all")).to_be_hidden()
    page.click("#refusal a")
    page.click("#more")
    expect(page.locator("#menu")).to_be_visible()
    expect(page.locator("#webhooks")).to_be_hidden()


def test_who_may_not_manage_it_any_more_sees_nothing_of_it_at_once(
    new_browser: Callable[..., Any], account: Account, guest: Account
) -> None:
    team_id = account.team()
    user_id = guest_of(account, guest, team_id, "admin")
    page = opened(new_browser, guest, team_id)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    account.call("PATCH", f"/v1/teams/{team_id}/members/{user_id}", role="member")
    expect(page.locator("#refusal")).to_contain_text("are for its owners and admins")
    account.call("DELETE", f"/v1/teams/{team_id}/members/{user_id}")
    page.goto(f"/dashboard/webhooks#/{team_id}")
    page.reload()
    expect(page.locator("#refusal")).to_contain_text("There is no such team")


def test_the_ways_to_the_page(new_browser: Callable[..., Any], account: Account, guest: Account) -> None:
    team_id, foreign = account.team(), guest.team()
    page = opened(new_browser, account, team_id)
    page.click("#back")
    page.click("#more")
    page.click("#menu a:has-text('Webhooks')")
    page.wait_for_selector("#all:not([hidden])")
    page.goto(f"/team-settings#/{team_id}")
    page.click("#webhooks")
    page.wait_for_selector("#all:not([hidden])")
    page.goto("/account")
    page.click("#api-keys a:has-text('webhook')")
    page.wait_for_selector("#all:not([hidden])")
    assert page.url.endswith(f"#/{team_id}"), "the team that was open last"
    for place in (foreign, "nonsense"):
        page.goto(f"/dashboard/webhooks#/{place}")
        expect(page.locator("#refusal")).to_contain_text("There is no such team")
    page.goto(f"/dashboard/webhooks#/{team_id}/019a0000-0000-7000-8000-00000000dead")
    expect(page.locator("#refusal")).to_contain_text("There is no such webhook")


def test_many_webhooks_with_long_addresses_fit_and_are_found(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver
) -> None:
    team_id = account.team()
    one = account.call("GET", f"{WEBHOOKS}/{hook_of(account, team_id, receiver.url('/' + 'x' * 1900))}")
    hooks = [
        one | {"id": f"{one['id'][:-3]}{number:03}", "description": f"Number {number}" * (1 + number % 2 * 30)}
        for number in range(200)
    ]

    def listed(route: Any) -> None:
        rest = "cursor=" in route.request.url
        body = {"items": hooks[100:] if rest else hooks[:100], "next_cursor": None if rest else "more"}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page = new_browser(viewport={"width": 420, "height": 900})
    page.route(f"**{WEBHOOKS}?*", listed)
    page.goto(f"/dashboard/webhooks#/{team_id}")
    enter(page, account)
    expect(page.locator(".hook")).to_have_count(200)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    page.fill("#search-words", "Number 142")
    expect(page.locator(".hook")).to_have_count(1)
    expect(page.locator("#search-result")).to_have_text("1 of 200")


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci --prefix tests/support/axe")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 420)])
def test_axe_finds_nothing_on_any_of_its_views(
    new_browser: Callable[..., Any], account: Account, receiver: Receiver, scheme: str, width: int
) -> None:
    receiver.behave = lambda _path, _headers: Behaviour(status=500, body=HOSTILE.encode() + b"x" * 1500)
    team_id = account.team("Paint")
    hook_id = hook_of(account, team_id, receiver.url("/" + "x" * 300), description="A receiver")
    hook_of(account, team_id, receiver.url("/other"))
    account.call("POST", "/v1/tasks", team_id=team_id, title="Paint")
    page = opened(new_browser, account, team_id, color_scheme=scheme, viewport={"width": width, "height": 900})

    def fine() -> None:
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"

    fine()
    page.click(f"[data-webhook='{hook_id}'] a")
    page.locator(".delivery summary").first.click()
    page.wait_for_selector(".response")
    page.click("#recover summary")
    fine()
    page.click("#edit")
    page.check("input[value=some]")
    page.click("#filter summary")
    page.click("#form-save")
    page.wait_for_selector("#editing .wrong")
    fine()
