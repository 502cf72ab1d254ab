"""The board page in real browsers against the whole system as processes: what people see, and what survives a crash."""

import random
import re
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.support.account import NO_TLS, PASSWORD, Account
from tests.support.browser import LIVE, enter, sign_in
from tests.support.system import UP_SECONDS, System
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(180)

STATUSES = ("open", "in_progress", "in_review", "done", "cancelled")


def shown(page: Any) -> dict[str, list[str]]:
    """Task ids per status, from top to bottom, as they stand on the page."""
    found: dict[str, list[str]] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('.column')].map((column) =>
             [column.dataset.status, [...column.querySelectorAll('.card')].map((card) => card.dataset.task)]))"""
    )
    return found


def groups(page: Any) -> list[int]:
    """How many cards are in each group of them on the page."""
    found: list[int] = page.evaluate("[...document.querySelectorAll('.group')].map((one) => one.childElementCount)")
    return found


def shows(page: Any, board: Callable[[], dict[str, list[str]]]) -> None:
    """Wait until the page has every task where the server has it."""
    eventually(lambda: shown(page) == board(), "the page agrees with the server")


def face(page: Any, title: str | re.Pattern[str], status: str = "") -> Any:
    scope = f".column[data-status={status}] " if status else ""
    return page.locator(f"{scope}.card-face", has_text=title)


def test_a_newcomer_signs_up_founds_a_team_and_adds_tasks(new_browser: Callable[[], Any]) -> None:
    page = new_browser()
    page.goto("/")
    page.click("#to-sign-up")
    page.fill("#up-name", "Ada Newcomer")
    page.fill("#up-email", "newcomer@example.com")
    page.fill("#up-password", PASSWORD)
    page.click("#sign-up button[type=submit]")
    page.fill("#found-name", "Platform Engineering")
    expect(page.locator("#found-key")).to_have_value("PE")
    page.click("#found button[type=submit]")
    page.wait_for_selector(LIVE)
    page.click(".column[data-status=open] .add")
    for title in ("Draw the plan", "Forge the parts"):
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        face(page, title, "open").wait_for()
    expect(page.locator(".card-key")).to_have_text(["PE-1", "PE-2"])
    expect(page.locator(".column[data-status=open] .count")).to_have_text("2")


def test_whoever_has_no_team_yet_sees_who_they_are_and_can_leave(
    new_browser: Callable[[], Any], account: Account, system: System
) -> None:
    page = new_browser()
    page.goto("/")
    enter(page, account)
    page.wait_for_selector("#found")
    expect(page.locator("#found .who")).to_have_text(account.email)
    page.click("#found .out")
    page.wait_for_selector("#sign-in")
    owner = Account(system.url)
    with closing(owner.http):
        link = owner.call("POST", f"/v1/teams/{owner.team()}/invitations", role="viewer")
    page.goto(f"/invitation#token={link['token']}")
    enter(page, account)
    page.wait_for_selector(f"#invite .who:has-text('{account.email}')")
    page.click("#invite button[type=submit]")
    page.wait_for_selector(LIVE)


def test_what_is_wrong_is_said_next_to_the_field(new_browser: Callable[[], Any], account: Account) -> None:
    page = new_browser()
    page.goto("/")
    page.fill("#in-email", account.email)
    page.fill("#in-password", "not the password")
    page.click("#sign-in button[type=submit]")
    expect(page.locator("#sign-in .wrong")).not_to_be_empty()
    page.click("#to-sign-up")
    page.fill("#up-name", "Somebody")
    page.fill("#up-email", "somebody@example.com")
    page.fill("#up-password", "short")
    page.click("#sign-up button[type=submit]")
    page.wait_for_selector("#up-password[aria-invalid=true]")
    expect(page.locator("#sign-up .field .wrong")).not_to_be_empty()


def test_a_drag_in_one_browser_appears_in_the_other(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team("first", "second", "third")
    here, there = new_browser(), new_browser()
    for page in (here, there):
        sign_in(page, account, team_id)
    face(here, "second").drag_to(here.locator(".column[data-status=in_progress] .scroll"))
    face(there, "second", "in_progress").wait_for()
    face(here, "third").drag_to(face(here, "first"), target_position={"x": 60, "y": 4})
    face(there, "third", "open").and_(there.locator(".card:first-child .card-face")).wait_for()
    board = account.board(team_id)
    titles = {account.task(team_id, title)["id"]: title for title in ("first", "second", "third")}
    assert [titles[task_id] for task_id in board["open"]] == ["third", "first"]
    assert [titles[task_id] for task_id in board["in_progress"]] == ["second"]
    for page in (here, there):
        shows(page, lambda: board)


def test_a_new_name_limit_and_role_reach_an_open_board(
    new_browser: Callable[[], Any], account: Account, system: System
) -> None:
    page, team_id, guest = new_browser(), account.team("Paint"), Account(system.url)
    link = account.call("POST", f"/v1/teams/{team_id}/invitations", role="member")
    with closing(guest.http):
        user_id = guest.call("POST", "/v1/invitations/accept", token=link["token"])["user_id"]
    sign_in(page, guest, team_id)
    add = page.locator(".add").first
    expect(add).to_be_visible()
    account.call("PATCH", f"/v1/teams/{team_id}", name="Renamed")
    account.limit(team_id, open=4)
    account.call("PATCH", f"/v1/teams/{team_id}/members/{user_id}", role="viewer")
    add.wait_for(state="hidden")
    expect(page.locator("#teams option:checked")).to_have_text("Renamed")
    expect(page.locator("text='1 / 4'")).to_be_visible()
    account.call("PATCH", f"/v1/teams/{team_id}/members/{user_id}", role="admin")
    add.wait_for(state="visible")
    assert page.evaluate("window.stayed")


def test_the_keyboard_moves_a_card_as_well(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team("first", "second", "third")
    page = new_browser()
    sign_in(page, account, team_id)
    face(page, "first").focus()
    for key in ("Shift+ArrowDown", "Shift+ArrowDown", "Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_function("document.activeElement.closest('.column')?.dataset.status === 'in_review'")
    first = account.task(team_id, "first")["id"]
    eventually(lambda: account.board(team_id)["in_review"] == [first], "the server has all four moves")


def test_a_refused_move_brings_the_card_back(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team("first", "second")
    account.limit(team_id, done=1)
    page = new_browser()
    sign_in(page, account, team_id)
    before = shown(page)
    done = page.locator(".column[data-status=done] .scroll")
    face(page, "first").drag_to(done)
    face(page, "first", "done").wait_for()
    face(page, "second").drag_to(done)
    page.wait_for_selector(".toast-error")
    face(page, "second", "open").wait_for()
    shows(page, lambda: account.board(team_id))
    assert shown(page) != before


def test_markup_in_titles_labels_and_names_stays_text(new_browser: Callable[[], Any], account: Account) -> None:
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    team_id = account.team(attack)
    account.call("PATCH", f"/v1/teams/{team_id}", name=attack[:100])
    page = new_browser()
    sign_in(page, account, team_id)
    expect(page.locator(".card-title")).to_have_text(attack)
    page.click(".card-face")
    expect(page.locator("#p-title")).to_have_value(attack)
    expect(page.locator("#columns img, #columns script, #panel img")).to_have_count(0)
    assert "owned" not in page.title().split(" · ")


def test_saving_over_a_change_by_somebody_else_asks_which_to_keep(
    new_browser: Callable[[], Any], account: Account
) -> None:
    team_id = account.team("plan")
    task_id = account.task(team_id, "plan")["id"]
    page = new_browser()
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.fill("#p-title", "my plan")
    account.call("PATCH", f"/v1/tasks/{task_id}", title="their plan", priority="high")
    page.wait_for_selector(".clash")
    expect(page.locator("#p-priority")).to_have_value("high")
    expect(page.locator("#panel-save")).to_be_disabled()
    expect(page.locator("#panel-note")).to_have_text(
        "Somebody changed the same field. Choose theirs or yours above; then you can save."
    )
    page.click(".clash button:has-text('Keep mine')")
    expect(page.locator("#panel-note")).to_be_empty()
    page.click("#panel-save")
    page.wait_for_selector("#panel", state="hidden")
    face(page, "my plan").wait_for()
    task = account.call("GET", f"/v1/tasks/{task_id}")
    assert (task["title"], task["priority"]) == ("my plan", "high")


def test_a_card_is_edited_and_archived_in_the_panel(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team("plan")
    task_id = account.task(team_id, "plan")["id"]
    page = new_browser()
    sign_in(page, account, team_id)
    page.click(".card-face")
    page.select_option("#p-column", label="In review")
    page.fill("#p-due", "2030-02-03")
    page.fill("#p-description", "All of it.")
    # The card moves before the answer comes.
    with page.expect_response(lambda answer: answer.request.method == "PATCH" and answer.ok):
        page.click("#panel-save")
    face(page, "plan", "in_review").wait_for()
    task = account.call("GET", f"/v1/tasks/{task_id}")
    assert (task["status"], task["description"]) == ("in_review", "All of it.")
    assert (task["due_on"], task["due_at"]) == ("2030-02-03", None)
    page.click(".card-face")
    with page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.ok):
        page.click("#panel-archive")
    page.wait_for_selector(".card", state="detached")
    assert account.board(team_id)["in_review"] == []


def test_a_reload_and_a_second_tab_stay_signed_in(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team("plan")
    page = new_browser()
    sign_in(page, account, team_id)
    page.reload()
    page.wait_for_selector(LIVE)
    second = page.context.new_page()
    second.goto("/")
    second.wait_for_selector(LIVE)
    page.reload()
    page.wait_for_selector(LIVE)
    page.click("#sign-out")
    for tab in (page, second):
        tab.wait_for_selector("#sign-in")


def test_both_browsers_resume_without_reload_after_the_api_was_killed(
    new_browser: Callable[[], Any], account: Account, system: System
) -> None:
    team_id = account.team(*(f"task {number}" for number in range(8)))
    here, there = new_browser(), new_browser()
    for page in (here, there):
        sign_in(page, account, team_id)
    system.kill_part("taskforge api")
    for page in (here, there):
        page.wait_for_selector("#connection[data-state=reconnecting]")
    face(here, "task 3").drag_to(here.locator(".column[data-status=done] .scroll"))
    face(here, "task 3", "done").wait_for()
    eventually(system.ready, "the API is back", UP_SECONDS)
    for page in (here, there):
        page.wait_for_selector(LIVE, timeout=30_000)
    face(there, "task 3", "done").wait_for()
    face(there, "task 5").drag_to(there.locator(".column[data-status=in_review] .scroll"))
    face(here, "task 5", "in_review").wait_for()
    account.call("POST", "/v1/tasks", team_id=team_id, title="after the crash", status="done")
    for page in (here, there):
        face(page, "after the crash", "done").wait_for()
        shows(page, lambda: account.board(team_id))
        assert page.evaluate("window.stayed === true"), "the page was reloaded"


def test_a_board_of_three_thousand_tasks_stays_usable(new_browser: Callable[[], Any], account: Account) -> None:
    team_id = account.team()
    fill(account, team_id, 3000, STATUSES)
    page = new_browser()
    sign_in(page, account, team_id)
    eventually(lambda: scrolled_down(page) == 3000, "all cards are drawn")
    page.evaluate("for (const scroll of document.querySelectorAll('.scroll')) scroll.scrollTop = 0")
    started = time.monotonic()
    face(page, re.compile(r"task 0$"), "open").drag_to(page.locator(".column[data-status=done] .scroll"))
    face(page, re.compile(r"task 0$"), "done").wait_for()
    assert time.monotonic() - started < 5
    shows(page, lambda: account.board(team_id))
    # The browser watches each group of cards in every frame. When it was each card, a drag took thrice as long.
    assert len(groups(page)) <= 3000 / 50 + len(STATUSES)


def test_cards_that_come_to_the_top_of_a_column_begin_new_groups(
    new_browser: Callable[[], Any], account: Account
) -> None:
    team_id = account.team()
    fill(account, team_id, 200, ("open",))
    page = new_browser()
    sign_in(page, account, team_id)
    eventually(lambda: scrolled_down(page) == 200, "all cards are drawn")
    for _ in range(110):
        *_, last = account.board(team_id)["open"]
        first, *_ = account.board(team_id)["open"]
        account.call("POST", f"/v1/tasks/{last}/move", before_id=first)
    shows(page, lambda: account.board(team_id))
    assert max(groups(page)) <= 100
    assert sum(groups(page)) == 200
    for task_id in account.board(team_id)["open"][:60]:
        account.call("DELETE", f"/v1/tasks/{task_id}")
    shows(page, lambda: account.board(team_id))
    assert min(groups(page)) > 0


def test_a_large_column_opens_with_its_top_and_counts_the_rest(
    new_browser: Callable[[], Any], account: Account
) -> None:
    team_id = account.team()
    fill(account, team_id, 2000, ("open",))
    page, asked = new_browser(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    # Nothing is in sight, so that nothing more is loaded by itself.
    page.add_init_script("window.IntersectionObserver = class { observe() {} unobserve() {} }")
    sign_in(page, account, team_id)
    eventually(lambda: page.locator(".card").count() == 50, "the top is drawn")
    boards = [url for url in asked if "/board" in url and team_id in url]
    assert len(boards) == 1
    assert boards[0].endswith("?per_column=50")
    assert not [url for url in asked if "/v1/tasks" in url]
    top = account.board(team_id)["open"]
    eventually(lambda: (count(page, "open"), shown(page)["open"]) == ("2000", top[:50]), "the top, and how many")
    more = page.locator(".column[data-status=open] .more")
    expect(more).to_have_text("Show more (1950)")

    account.call("PATCH", f"/v1/tasks/{top[1500]}", title="behind the edge")
    account.call("DELETE", f"/v1/tasks/{top[1999]}")
    eventually(lambda: count(page, "open") == "1999", "an archived task that was never loaded is counted off")
    account.call("POST", "/v1/tasks", team_id=team_id, title="at the bottom")
    eventually(lambda: count(page, "open") == "2000", "a new one behind the edge is counted")
    eventually(lambda: shown(page)["open"] == top[:50], "the top has stayed")
    account.call("POST", f"/v1/tasks/{top[1500]}/move", before_id=top[0])
    face(page, "behind the edge", "open").and_(page.locator(".card:first-child .card-face")).wait_for()
    account.call("POST", f"/v1/tasks/{top[1499]}/move", status="done")
    face(page, re.compile("task 1499$"), "done").wait_for()
    account.call("POST", f"/v1/tasks/{top[3]}/move", after_id=top[1800])
    eventually(lambda: top[3] not in shown(page)["open"], "what moves behind the edge leaves the screen")
    eventually(lambda: (count(page, "open"), count(page, "done")) == ("1999", "1"), "the columns are counted")

    page.click(f".card[data-task='{top[5]}'] .card-face")
    account.call("POST", f"/v1/tasks/{top[5]}/move", after_id=top[1800])
    eventually(lambda: top[5] not in shown(page)["open"], "what moves behind the edge leaves the screen")
    account.call("PATCH", f"/v1/tasks/{top[5]}", title="still open in the panel")
    eventually(lambda: page.input_value("#p-title") == "still open in the panel", "its panel follows it there")
    page.click("#panel-close")

    more.click()
    eventually(lambda: len(shown(page)["open"]) == 99, "the next page is drawn")
    eventually(lambda: shown(page)["open"] == account.board(team_id)["open"][:99], "it is the server's")
    face(page, re.compile("task 0$")).focus()
    page.keyboard.press("Shift+ArrowUp")
    face(page, re.compile("task 0$")).and_(page.locator(".card:first-child .card-face")).wait_for()
    last = shown(page)["open"][-1]
    page.locator(f".card[data-task='{last}'] .card-face").focus()
    page.keyboard.press("ArrowDown")
    eventually(lambda: len(shown(page)["open"]) == 149, "walking over the edge loads the next page")
    page.keyboard.press("Shift+ArrowDown")
    board = eventually(lambda: agreed(page, account, team_id), "the page and the server agree")
    assert board is not None
    assert len(board["open"]) == 149


def test_a_large_column_stays_true_while_it_is_scrolled_and_changed(
    new_browser: Callable[[], Any], account: Account
) -> None:
    team_id = account.team()
    fill(account, team_id, 1500, ("open", "open", "done"))
    page, chance = new_browser(), random.Random(20261127)
    sign_in(page, account, team_id)
    tasks = [task_id for column in account.board(team_id).values() for task_id in column]
    for turn in range(120):
        task_id, other = chance.sample(tasks, 2)
        match turn % 4:
            case 0:
                account.call("POST", f"/v1/tasks/{task_id}/move", status=chance.choice(("open", "done", "in_review")))
            case 1:
                ids = account.board(team_id)["open"]
                account.call("POST", f"/v1/tasks/{chance.choice(ids)}/move", before_id=ids[chance.randrange(60)])
            case 2:
                account.call("PATCH", f"/v1/tasks/{other}", title=f"changed in turn {turn}")
            case 3:
                account.call("POST", "/v1/tasks", team_id=team_id, title=f"made in turn {turn}", status="done")
        if turn % 10 == 0:
            scrolled_down(page)
    eventually(lambda: agreed(page, account, team_id), "the page and the server agree")
    eventually(lambda: scrolled_down(page) == 1530, "all cards are drawn")
    shows(page, lambda: account.board(team_id))


def test_ranks_that_are_spread_anew_around_the_edge_leave_no_hole(
    new_browser: Callable[[], Any], account: Account
) -> None:
    team_id = account.team()
    fill(account, team_id, 200, ("open",))
    page, asked = new_browser(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script("window.IntersectionObserver = class { observe() {} unobserve() {} }")
    sign_in(page, account, team_id)
    eventually(lambda: page.locator(".card").count() == 50, "the top is drawn")
    ids = account.board(team_id)["open"]
    for turn in range(300):  # Each halves one gap, until its ranks are too long.
        account.call("POST", f"/v1/tasks/{ids[100 + turn % 100]}/move", after_id=ids[48])
    eventually(lambda: agreed(page, account, team_id), "the page and the server agree")
    assert sum("/board?" in url for url in asked) > 1, "the ranks were never spread anew: this test shows nothing"
    page.locator(".column[data-status=open] .more").click()
    eventually(lambda: len(shown(page)["open"]) >= 100, "the next page is drawn")
    assert agreed(page, account, team_id)


def fill(account: Account, team_id: str, tasks: int, statuses: tuple[str, ...]) -> None:
    """So many tasks, dealt to these columns in turn."""
    for start in range(0, tasks, 100):
        operations = [
            {"op": "create", "title": f"task {number}", "status": statuses[number % len(statuses)]}
            for number in range(start, start + 100)
        ]
        account.call("POST", "/v1/tasks/batch", team_id=team_id, operations=operations)


def count(page: Any, status: str) -> str:
    text: str = page.inner_text(f".column[data-status={status}] .count")
    return text


def scrolled_down(page: Any) -> int:
    """Scroll every column to its foot; how many cards are drawn."""
    drawn: int = page.evaluate(
        """() => {
             for (const scroll of document.querySelectorAll('.scroll')) scroll.scrollTop = scroll.scrollHeight;
             return document.querySelectorAll('.card').length;
           }"""
    )
    return drawn


def agreed(page: Any, account: Account, team_id: str) -> dict[str, list[str]] | None:
    """What the page shows, if of every column it is a prefix of the server's, and the counts are the server's."""
    board, seen = account.board(team_id), shown(page)
    same = all(board[status][: len(ids)] == ids for status, ids in seen.items())
    return seen if same and all(count(page, status) == str(len(board[status])) for status in STATUSES) else None


def test_the_page_is_revalidated_and_allows_nothing_from_elsewhere(system: System) -> None:
    with httpx.Client(base_url=system.url, verify=NO_TLS) as client:
        check_pages(client)


def check_pages(client: httpx.Client) -> None:
    for path in ("/", "/account", "/team-settings"):
        check_page(client, path)
    missing = client.get("/assets/board/../board.py")
    assert missing.status_code == 404
    for name in ("nothing.js", "index.html", "account.html"):
        assert client.get(f"/assets/board/{name}").status_code == 404


def check_page(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<style|style=|https?://|<script(?![^>]*src=)", page.text)
    for address in (path, *re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text)):
        plain = client.get(address, headers={"accept-encoding": "identity"})
        assert plain.status_code == 200, address
        assert not plain.headers["etag"].startswith("W/")
        for coding in ("identity", "gzip", "br"):
            first = client.get(address, headers={"accept-encoding": coding})
            assert (first.status_code, first.content, first.headers["vary"]) == (200, plain.content, "accept-encoding")
            wanted = None if coding == "identity" or len(plain.content) <= 1024 else coding
            assert first.headers.get("content-encoding") == wanted, address
            known = {"accept-encoding": coding, "if-none-match": first.headers["etag"]}
            again = client.get(address, headers=known)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"]), (
                address
            )


def test_a_newcomer_confirms_the_address_and_replaces_a_forgotten_password(
    new_browser: Callable[[], Any], system: System
) -> None:
    """The mails are those of the dev mailbox; each link opens the page, and is good once."""
    email, forgotten, replaced = f"newcomer-{random.random()}@example.com", "a password to forget", "one to remember"
    page = new_browser()
    page.goto("/")
    page.click("#to-sign-up")
    for field, value in (("name", "Ada"), ("email", email), ("password", forgotten)):
        page.fill(f"#up-{field}", value)
    page.click("#sign-up button[type=submit]")
    page.wait_for_selector("#founding:not([hidden])")
    page.goto(link_to(system, email, "Confirm your address"))
    assert "token" not in page.evaluate("location.href"), "a link that is looked at twice is not kept in the history"
    page.click("#verify button[type=submit]")
    page.wait_for_selector("#founding:not([hidden])")

    other = new_browser()
    other.goto("/")
    other.click("#to-forgot")
    other.fill("#forgot-email", email)
    other.click("#forgot button[type=submit]")
    other.wait_for_selector("#gate-note:has-text('a mail is on its way')")
    link = link_to(system, email, "Choose a new password")
    for password, expected in ((replaced, "#gate-note:has-text('Your password is saved')"), (forgotten, ".wrong-form")):
        other.goto(link)
        other.fill("#reset-password", password)
        other.click("#reset button[type=submit]")
        other.wait_for_selector(expected)
    with httpx.Client(base_url=system.url, verify=NO_TLS) as client:
        tokens = client.post("/v1/auth/login", json={"email": email, "password": replaced}).raise_for_status().json()
        me = client.get("/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
    assert me["email_verified_at"] is not None
    mailbox = new_browser()
    for subject in ("Your password was changed", "A new sign-in to your account"):
        letter_to(system, email, subject)
    mailbox.goto("/dev/mail")
    expect(mailbox.locator(".letter h2", has_text="Your password was changed").first).to_be_visible()


def letter_to(system: System, email: str, subject: str) -> str:
    """The text of the mail with this subject, once it has come."""

    def found() -> str | None:
        answer = httpx.get(f"{system.url}/dev/mail", headers={"Accept": "application/json"}, verify=NO_TLS)
        mails = answer.raise_for_status().json()["items"]
        return next((mail["text"] for mail in mails if mail["subject"] == subject and email in mail["to"]), None)

    return eventually(found, f"a mail {subject!r} to {email}") or ""


def link_to(system: System, email: str, subject: str) -> str:
    """The link in it."""
    return next(line for line in letter_to(system, email, subject).splitlines() if line.startswith("http"))
