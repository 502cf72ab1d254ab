"""Teams, members and labels over HTTP."""

import pytest

from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio


async def test_whoever_creates_a_team_owns_it(desk: Desk) -> None:
    answer = await desk.post("/v1/teams", {"name": "Platform", "key": "PLT"})
    team = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/teams/{team['id']}"
    assert (team["my_role"], team["wip"], team["key"]) == ("owner", "warn", "PLT")
    assert "own_team" in team["permissions"]
    read = await desk.get(answer.headers["location"])
    assert read.json() == team
    assert (team["seen_seq"], team["unread"]) == (0, 0)
    assert read.headers["etag"] == answer.headers["etag"]
    again = await desk.get(answer.headers["location"], **{"If-None-Match": read.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "key": "e"}, "/key"),
        ({"name": "", "key": "ENG"}, "/name"),
        ({"name": " ", "key": "ENG"}, "/name"),
        ({"name": "x", "key": "ENG", "id": RANDOM}, "/id"),
        ({"name": "x", "key": "ENG", "my_role": "owner"}, "/my_role"),
    ],
)
async def test_a_wrong_team_is_pointed_at(desk: Desk, body: dict[str, str], pointer: str) -> None:
    assert problem(await desk.post("/v1/teams", body), 400, "bad-input")["errors"][0]["pointer"] == pointer


async def test_my_teams_come_in_pages_with_my_role(desk: Desk) -> None:
    teams = [await desk.new_team("viewer") for _ in range(3)]
    seen: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = (await desk.get(f"/v1/teams?limit=2{cursor and '&cursor=' + cursor}", "viewer")).json()
        seen |= {team["id"]: team["my_role"] for team in page["items"]}
        cursor = page["next_cursor"]
    assert seen[desk.team] == "viewer"
    assert {seen[team] for team in teams} == {"owner"}
    assert desk.other_team not in seen


async def test_a_team_is_in_the_zone_of_who_made_it_until_somebody_moves_it(desk: Desk) -> None:
    person = await desk.site.person()
    await desk.client.patch("/v1/me", json={"time_zone": "Asia/Tokyo"}, headers=person.headers)
    made = await desk.client.post("/v1/teams", json={"name": "Far", "key": "FAR"}, headers=person.headers)
    path = f"/v1/teams/{made.json()['id']}"
    assert made.json()["time_zone"] == "Asia/Tokyo"
    named = {"name": "Near", "key": "NEAR", "time_zone": "Europe/Berlin"}
    assert (await desk.client.post("/v1/teams", json=named, headers=person.headers)).json()[
        "time_zone"
    ] == "Europe/Berlin"
    moved = await desk.client.patch(path, json={"time_zone": "America/Lima"}, headers=person.headers)
    assert (moved.status_code, moved.json()["time_zone"]) == (200, "America/Lima")
    listed = (await desk.client.get("/v1/teams", headers=person.headers)).json()["items"]
    assert [team["time_zone"] for team in listed] == ["America/Lima", "Europe/Berlin"]
    events = (await desk.client.get(f"{path}/events?after=0", headers=person.headers)).json()["items"]
    assert events[-1]["data"]["previous"] == {"time_zone": "Asia/Tokyo"}
    for wrong in ("Mars/Olympus", "europe/berlin", "", "../etc/passwd"):
        for method, where in (("PATCH", path), ("POST", "/v1/teams")):
            body = {"time_zone": wrong} if method == "PATCH" else {"name": "N", "key": "NN", "time_zone": wrong}
            answer = await desk.client.request(method, where, json=body, headers=person.headers)
            assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == "/time_zone"


async def test_settings_are_merged_and_others_refused(desk: Desk) -> None:
    path = f"/v1/teams/{await desk.new_team()}"
    assert (await desk.patch(path, {"wip": "block"})).json()["wip"] == "block"
    renamed = (await desk.patch(path, {"name": "Renamed"})).json()
    assert (renamed["name"], renamed["wip"]) == ("Renamed", "block")
    unchanged = await desk.patch(path, {"name": "Renamed"})
    assert (unchanged.status_code, unchanged.json()["name"]) == (200, "Renamed")
    assert problem(await desk.patch(path, {"wip": "sometimes"}), 400, "bad-input")
    assert problem(await desk.patch(path, {"wip_limits": {"open": 1}}), 400, "bad-input")["errors"][0]["pointer"]
    assert problem(await desk.patch(path, {"key": "NEW"}), 400, "bad-input")["errors"][0]["pointer"] == "/key"


async def test_a_precondition_that_is_not_checked_is_refused(desk: Desk) -> None:
    answer = await desk.patch(f"/v1/teams/{desk.team}", {"name": "x"}, **{"If-Match": '"1"'})
    assert problem(answer, 400, "bad-input")["parameter"] == "If-Match"


async def test_a_page_goes_on_when_the_last_one_seen_has_gone(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/labels"
    ids = [(await desk.post(path, {"name": name, "color": "#000000"})).json()["id"] for name in ("C", "a", "b")]
    first = (await desk.get(f"{path}?limit=1")).json()
    assert [label["name"] for label in first["items"]] == ["a"]
    assert (await desk.delete(f"{path}/{ids[1]}")).status_code == 204
    rest = (await desk.get(f"{path}?limit=2&cursor={first['next_cursor']}")).json()
    assert [label["name"] for label in rest["items"]] == ["b", "C"]
    assert rest["next_cursor"] is None


async def test_members_are_listed_in_the_order_they_joined(desk: Desk) -> None:
    path = f"/v1/teams/{desk.team}/members"
    everybody = (await desk.get(path, "viewer")).json()
    assert [member["role"] for member in everybody["items"]] == ["owner", "admin", "member", "viewer"]
    first = (await desk.get(f"{path}?limit=3")).json()
    rest = (await desk.get(f"{path}?limit=3&cursor={first['next_cursor']}")).json()
    assert [*first["items"], *rest["items"]] == everybody["items"]
    problem(await desk.get(f"{path}?cursor={RANDOM}"), 400, "bad-input")


async def test_roles_change_as_far_as_the_askers_role_allows(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "admin", "admin")
    await desk.join(team, "owner", "member", "member")
    path = f"/v1/teams/{team}/members/{desk['member'].user_id}"
    changed = await desk.patch(path, {"role": "viewer"}, "admin")
    assert changed.json()["role"] == "viewer"
    assert (await desk.patch(path, {"role": "viewer"}, "admin")).json() == changed.json()
    problem(await desk.patch(path, {"role": "owner"}, "admin"), 403, "forbidden")
    problem(await desk.patch(path, {"role": "admin"}, "member"), 403, "forbidden")
    problem(await desk.patch(path, {"role": "king"}), 400, "bad-input")
    problem(await desk.patch(f"/v1/teams/{team}/members/{RANDOM}", {"role": "viewer"}), 404, "not-found")


async def test_a_team_never_has_zero_owners(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/members/{desk['owner'].user_id}"
    assert problem(await desk.patch(path, {"role": "admin"}), 409, "conflict")["reason"] == "last-owner"
    assert problem(await desk.delete(path), 409, "conflict")["reason"] == "last-owner"


async def test_a_removed_member_sees_the_team_no_more(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    assert (await desk.get(f"/v1/teams/{team}/board", "member")).status_code == 200
    assert (await desk.delete(f"/v1/teams/{team}/members/{desk['member'].user_id}")).status_code == 204
    for path in (f"/v1/teams/{team}/board", f"/v1/teams/{team}", f"/v1/tasks?team_id={team}"):
        problem(await desk.get(path, "member"), 404, "not-found")


async def test_everybody_may_leave(desk: Desk) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "viewer", "viewer")
    path = f"/v1/teams/{team}/members/{desk['viewer'].user_id}"
    assert (await desk.delete(path, "viewer")).status_code == 204
    problem(await desk.get(f"/v1/teams/{team}", "viewer"), 404, "not-found")


async def test_labels_live_from_creation_to_deletion(desk: Desk) -> None:
    team = await desk.new_team()
    path = f"/v1/teams/{team}/labels"
    answer = await desk.post(path, {"name": "bug", "color": "#d73a4a"})
    label = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{path}/{label['id']}"
    for name in ("BUG", " Bug", "bug\u00a0"):
        refused = problem(await desk.post(path, {"name": name, "color": "#000000"}), 409, "conflict")
        assert (refused["reason"], refused["errors"][0]["pointer"]) == ("name-taken", "/name")
    renamed = await desk.patch(f"{path}/{label['id']}", {"name": "defect"})
    assert renamed.json() == {**label, "name": "defect"}
    assert (await desk.patch(f"{path}/{label['id']}", {"name": "defect"})).json() == renamed.json()
    body = {"team_id": team, "title": "x", "label_ids": [label["id"]]}
    task = (await desk.post("/v1/tasks", body)).json()
    assert [one["name"] for one in (await desk.get(path)).json()["items"]] == ["defect"]
    assert (await desk.delete(f"{path}/{label['id']}")).status_code == 204
    assert (await desk.get(f"/v1/tasks/{task['id']}")).json()["label_ids"] == []
    problem(await desk.delete(f"{path}/{label['id']}"), 404, "not-found")
    problem(await desk.post(path, {"name": "x", "color": "red"}), 400, "bad-input")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/tasks", {"title": "x"}),
        ("POST", "/v1/tasks/batch", {"operations": [{"op": "create", "title": "x"}]}),
        ("POST", "/v1/teams/{team}/labels", {"name": "x", "color": "#000000"}),
        ("PATCH", "/v1/teams/{team}", {"name": "x"}),
        ("PATCH", "/v1/teams/{team}/members/{owner}", {"role": "viewer"}),
        ("DELETE", "/v1/teams/{team}/members/{owner}", None),
    ],
)
async def test_viewers_only_view(desk: Desk, method: str, path: str, body: dict[str, object] | None) -> None:
    if body is not None and path.startswith("/v1/tasks"):
        body = {"team_id": desk.team, **body}
    path = path.format(team=desk.team, owner=desk["owner"].user_id)
    problem(await desk.ask(method, path, "viewer", json=body), 403, "forbidden")
