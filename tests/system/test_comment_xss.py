"""Comments in a real browser, under the policy of our own page: nothing in them runs, and nothing has to be stopped."""

from typing import Any

from tests.support.account import Account
from tests.support.system import System
from tests.support.xss_vectors import VECTORS

EVIL = "<img src=x onerror=pwned()>"
WATCH = """
window.ran = 0;
window.stopped = [];
window.pwned = () => { window.ran += 1; };
document.addEventListener("securitypolicyviolation", (event) => {
  window.stopped.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
SHOW = """
async (html) => {
  const { fragmentOf } = await import("/assets/board/markup.js");
  const place = document.createElement("div");
  place.id = "place";
  document.body.append(place);
  place.append(fragmentOf(html));
  for (const one of place.querySelectorAll("*")) {
    for (const name of ["mouseover", "click", "focus", "load", "error", "toggle", "animationstart"]) {
      one.dispatchEvent(new Event(name, { bubbles: false, cancelable: true }));
    }
  }
}
"""
SEEN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done([ran, stopped]))))"


def test_no_vector_runs_or_is_even_stopped(system: System, account: Account, chromium: Any) -> None:
    shown = stored(account)
    assert len(shown) >= 200
    context = chromium.new_context(base_url=system.url)
    try:
        page = open_page(context)
        page.evaluate(SHOW, "\n".join(shown))
        assert page.locator("#place .mention").count() > 0, "comments are shown at all"
        assert page.evaluate(SEEN) == [0, []]
        # A second reading of what the browser has made of it is where mutations would come alive.
        page.evaluate(SHOW, page.evaluate("place.innerHTML"))
        assert page.locator("#place").count() == 2
        assert page.evaluate(SEEN) == [0, []]
    finally:
        context.close()


def test_the_same_vectors_as_they_were_written_are_stopped_by_the_policy(system: System, chromium: Any) -> None:
    """Without this, a page that notices nothing would pass for one to which nothing happens."""
    context = chromium.new_context(base_url=system.url)
    try:
        page = open_page(context)
        page.evaluate(SHOW, "\n".join(VECTORS))
        page.wait_for_function("stopped.length > 20")
        assert page.evaluate("ran") == 0
    finally:
        context.close()


def open_page(context: Any) -> Any:
    page = context.new_page()
    page.goto("/")
    page.wait_for_selector("#sign-in")
    page.evaluate(WATCH)
    return page


def stored(account: Account) -> list[str]:
    """The HTML of each vector as a comment, by somebody whose name is one, too."""
    account.call("PATCH", "/v1/me", name=EVIL)
    task = account.task(account.team("Attacked"), "Attacked")
    path = f"/v1/tasks/{task['id']}/comments"
    answers = [account.http.post(path, json={"body": vector.replace("{name}", EVIL)}) for vector in VECTORS]
    refused = [answer.status_code for answer in answers if not answer.is_success]
    assert len(refused) < 20, "hardly any is stopped at the door already"
    assert set(refused) <= {400}
    shown, cursor = list[str](), ""
    while True:
        page = account.call("GET", f"{path}?limit=100{cursor}")
        shown += [comment["html"] for comment in page["items"]]
        if page["next_cursor"] is None:
            return shown
        cursor = f"&cursor={page['next_cursor']}"
