"""What admins say of webhooks, and what they are told: the endpoints, without anything being sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, new_key, problem

pytestmark = pytest.mark.anyio

PATH = "/v1/webhooks/subscriptions"
URL = "https://hooks.example.com/in"


async def made(desk: Desk, **fields: Any) -> dict[str, Any]:
    answer = await desk.post(PATH, {"team_id": desk.team, "url": URL, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_secret_is_shown_once_and_never_stored_in_the_open(desk: Desk) -> None:
    answer = await desk.post(PATH, {"team_id": desk.team, "url": URL})
    hook = answer.json()
    assert hook["secret"].startswith("whsec_")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"{PATH}/{hook['id']}"
    for path in (f"{PATH}/{hook['id']}", f"{PATH}?team_id={desk.team}"):
        assert "secret" not in (await desk.get(path)).json().keys() - {"previous_secret_until"}
        assert hook["secret"] not in (await desk.get(path)).text
    async with desk.site.services.pools.worker.acquire() as connection:
        rows = await connection.fetch("select * from webhook_subscriptions")
    assert hook["secret"].removeprefix("whsec_") not in repr(rows)


async def test_it_starts_where_the_team_is(desk: Desk) -> None:
    task = await desk.task()
    assert (await made(desk))["start_seq"] >= task["version"]


async def test_a_patch_changes_what_it_names(desk: Desk) -> None:
    hook = await made(desk, event_types=["task.created"], filter={"status": ["open"]}, description="One")
    path = f"{PATH}/{hook['id']}"
    changed = (await desk.patch(path, {"description": "Two", "in_order": True})).json()
    assert changed == {
        **{name: value for name, value in hook.items() if name != "secret"},
        "description": "Two",
        "in_order": True,
        "updated_at": changed["updated_at"],
    }
    changed = (await desk.patch(path, {"filter": None, "event_types": []})).json()
    assert changed["filter"] == {"status": [], "label": [], "assignee": []}
    assert changed["event_types"] == []


async def test_disabling_and_enabling_by_hand(desk: Desk) -> None:
    hook = await made(desk)
    path = f"{PATH}/{hook['id']}"
    waiting = (await desk.post(f"{path}/test")).json()
    off = (await desk.patch(path, {"enabled": False})).json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "by_hand")
    given_up = (await desk.get(f"/v1/webhooks/deliveries/{waiting['id']}")).json()
    assert (given_up["status"], given_up["attempt_count"], given_up["last_error"]) == ("failed", 0, "disabled")
    for asked in ("test", "recover"):
        body = {"since": datetime.now(UTC).isoformat()} if asked == "recover" else None
        refused = problem(await desk.post(f"{path}/{asked}", body), 409, "conflict")
        assert refused["reason"] == "webhook-disabled"
    answer = await desk.post(f"/v1/webhooks/deliveries/{waiting['id']}/redeliver")
    assert problem(answer, 409, "conflict")["reason"] == "webhook-disabled"
    on = (await desk.patch(path, {"enabled": True})).json()
    assert (on["enabled"], on["disabled_reason"], on["disabled_at"]) == (True, None, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://localhost/",
        "https://db.internal/",
        "https://[::ffff:10.0.0.1]/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com:8443/",
        "https://hooks.example.com/\r\nX: y",
        "ftp://hooks.example.com/",
        "no url",
    ],
)
async def test_every_url_that_is_not_delivered_to_gets_the_same_refusal(desk: Desk, url: str) -> None:
    answers = [
        await desk.post(PATH, {"team_id": desk.team, "url": url}),
        await desk.patch(f"{PATH}/{(await made(desk))['id']}", {"url": url}),
        await desk.post(PATH, {"team_id": desk.team, "url": "https://169.254.169.254/"}),
    ]
    shown = [{**problem(answer, 400, "bad-input"), "instance": "", "request_id": ""} for answer in answers]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["errors"][0]["pointer"] == "/url"


@pytest.mark.parametrize("url", [f"{URL}#frag", "http://localhost:8477/a?x=1#frag", "https://10.0.0.1/#"])
async def test_a_fragment_is_named_and_nothing_else_of_the_url(desk: Desk, url: str) -> None:
    for answer in (
        await desk.post(PATH, {"team_id": desk.team, "url": url}),
        await desk.patch(f"{PATH}/{(await made(desk))['id']}", {"url": url}),
    ):
        (error,) = problem(answer, 400, "bad-input")["errors"]
        assert error["pointer"] == "/url"
        assert "fragment" in error["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event_types": ["task.exploded"]}, "/event_types/0"),
        ({"event_types": ["task.created", "foo.bar"]}, "/event_types/1"),
        ({"event_types": ["task.created", "task.created"]}, "/event_types/1"),
        ({"filter": {"status": ["gone"]}}, "/filter/status/0"),
        ({"filter": {"colour": []}}, "/filter/colour"),
        ({"description": "two\nlines"}, "/description"),
        ({"format": "xml"}, "/format"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_a_mistake_is_named(desk: Desk, fields: dict[str, Any], pointer: str) -> None:
    answer = await desk.post(PATH, {"team_id": desk.team, "url": URL, **fields})
    assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("fields", "refusal", "pointer"),
    [
        (
            {"event_types": ["member.added"], "filter": {"status": ["done"]}},
            (400, "contradiction"),
            "/event_types",
        ),
        ({"filter": {"label": [RANDOM]}}, (422, "invalid-reference"), "/filter/label/0"),
        ({"filter": {"assignee": [RANDOM]}}, (422, "invalid-reference"), "/filter/assignee/0"),
    ],
)
async def test_what_could_never_be_sent_anything_is_refused(
    desk: Desk, fields: dict[str, Any], refusal: tuple[int, str], pointer: str
) -> None:
    hook = await made(desk)
    for answer in (
        await desk.post(PATH, {"team_id": desk.team, "url": URL, **fields}),
        await desk.patch(f"{PATH}/{hook['id']}", fields),
    ):
        assert problem(answer, *refusal)["errors"][0]["pointer"] == pointer


async def test_a_label_that_is_deleted_later_may_stay_in_the_filter(desk: Desk) -> None:
    label = (await desk.post(f"/v1/teams/{desk.team}/labels", {"name": "bug", "color": "#d73a4a"})).json()["id"]
    wanted = {"label": [label], "assignee": [desk["member"].user_id]}
    hook = await made(desk, filter=wanted)
    assert (await desk.delete(f"/v1/teams/{desk.team}/labels/{label}")).status_code == 204
    changed = await desk.patch(f"{PATH}/{hook['id']}", {"filter": {**wanted, "status": ["open"]}})
    assert changed.json()["filter"] == {**wanted, "status": ["open"]}
    other = await desk.post(PATH, {"team_id": desk.team, "url": URL, "filter": wanted})
    assert problem(other, 422, "invalid-reference")["errors"][0]["pointer"] == "/filter/label/0"


async def test_a_new_secret_leaves_the_old_one_a_day(desk: Desk) -> None:
    hook = await made(desk)
    rotated = (await desk.post(f"{PATH}/{hook['id']}/rotate-secret")).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != hook["secret"]
    until = datetime.fromisoformat(rotated["previous_secret_until"]) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < until <= timedelta(hours=24)


@pytest.mark.parametrize("asked", ["", "/rotate-secret"])
async def test_a_retry_gets_the_same_secret_and_not_another(desk: Desk, asked: str) -> None:
    path = f"{PATH}/{(await made(desk))['id']}{asked}" if asked else PATH
    body = None if asked else {"team_id": desk.team, "url": URL}
    key = {"Idempotency-Key": new_key()}
    first, again = [await desk.post(path, body, **key) for _ in range(2)]
    assert first.json()["secret"] == again.json()["secret"]
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_test_is_logged_and_can_be_sent_again(desk: Desk) -> None:
    hook = await made(desk)
    answer = await desk.post(f"{PATH}/{hook['id']}/test")
    assert answer.status_code == 202
    delivery = answer.json()
    assert (delivery["event_type"], delivery["seq"], delivery["status"]) == ("webhook.test", 0, "pending")
    assert delivery["event_id"] == f"test_{delivery['id']}"
    shown = (await desk.get(answer.headers["location"])).json()
    assert shown == {**delivery, "attempts": []}
    again = await desk.post(f"{answer.headers['location']}/redeliver")
    assert (again.status_code, again.json()["event_id"]) == (202, delivery["event_id"])


async def test_the_log_is_newest_first_in_pages_and_by_status(desk: Desk) -> None:
    hook = await made(desk)
    path = f"{PATH}/{hook['id']}"
    ids = [(await desk.post(f"{path}/test")).json()["id"] for _ in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        page = (await desk.get(f"{path}/deliveries?limit=2{cursor}")).json()
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids[::-1]
    assert len((await desk.get(f"{path}/deliveries?status=pending")).json()["items"]) == 5
    assert (await desk.get(f"{path}/deliveries?status=delivered")).json()["items"] == []
    problem(await desk.get(f"{path}/deliveries?status=gone"), 400, "bad-input")


async def test_recovering_goes_back_two_weeks_and_no_further(desk: Desk) -> None:
    hook = await made(desk)
    path, now = f"{PATH}/{hook['id']}/recover", datetime.now(UTC)
    for since, said in ((now - timedelta(days=15), "too long ago"), (now + timedelta(hours=1), "in the future")):
        refused = problem(await desk.post(path, {"since": since.isoformat()}), 400, "bad-input")
        assert refused["errors"][0]["pointer"] == "/since"
        assert said in refused["detail"]
    nothing = problem(await desk.post(path, {"since": now.isoformat(), "status": []}), 400, "bad-input")
    assert nothing["errors"][0]["pointer"] == "/status"
    answer = await desk.post(path, {"since": (now - timedelta(days=13)).isoformat()})
    assert (answer.status_code, answer.json()) == (202, {"recovered": 0})


async def test_a_deleted_webhook_is_gone_with_its_log(desk: Desk) -> None:
    hook = await made(desk)
    path = f"{PATH}/{hook['id']}"
    delivery = (await desk.post(f"{path}/test")).json()
    assert (await desk.delete(path)).status_code == 204
    problem(await desk.get(path), 404, "not-found")
    problem(await desk.get(f"/v1/webhooks/deliveries/{delivery['id']}"), 404, "not-found")


async def test_a_team_has_so_many_and_no_more(desk: Desk) -> None:
    team = await desk.new_team()
    most = desk.site.services.quotas.webhooks_per_team
    for _ in range(most):
        assert (await desk.post(PATH, {"team_id": team, "url": URL})).status_code == 201
    refused = problem(await desk.post(PATH, {"team_id": team, "url": URL}), 409, "quota-reached")
    assert (refused["quota"], refused["limit"]) == ("webhooks-per-team", most)


async def test_members_are_told_that_they_may_not(desk: Desk) -> None:
    hook = await made(desk)
    delivery = (await desk.post(f"{PATH}/{hook['id']}/test")).json()
    for path in (f"{PATH}/{hook['id']}", f"/v1/webhooks/deliveries/{delivery['id']}", f"{PATH}?team_id={desk.team}"):
        problem(await desk.get(path, "member"), 403, "forbidden")
        problem(await desk.get(path, "stranger"), 404, "not-found")
