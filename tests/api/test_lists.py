"""Lists over REST: filters and their negations, several values, search in any language, from memory and by SQL."""

from typing import Any

import pytest

from tests.support.desk import RANDOM, Desk, problem

pytestmark = pytest.mark.anyio


class Listed:
    """A team of its own with a few tasks, listed from memory, by SQL across teams, and in the archive."""

    def __init__(self, desk: Desk, team: str, bug: str) -> None:
        self.desk, self.team, self.bug = desk, team, bug
        self.ids: dict[str, str] = {}

    @classmethod
    async def make(cls, desk: Desk) -> "Listed":
        team = await desk.new_team()
        label = await desk.post(f"/v1/teams/{team}/labels", {"name": "bug", "color": "#000000"})
        listed = cls(desk, team, label.json()["id"])
        me = desk["owner"].user_id
        await listed.add("Straße", assignee_id=me, priority="high")
        await listed.add("İstanbul", status="done", label_ids=[listed.bug])
        await listed.add("Plain", description="A résumé", parent_id=listed.ids["Straße"], due_at="2026-01-01T00:00:00Z")
        return listed

    async def add(self, title: str, **fields: Any) -> None:
        answer = await self.desk.post("/v1/tasks", {"team_id": self.team, "title": title, **fields})
        assert answer.status_code == 201, answer.text
        self.ids[title] = answer.json()["id"]

    async def found(self, query: str, *, across: bool = False) -> set[str]:
        path = f"/v1/tasks?{query}" + ("" if across else f"&team_id={self.team}")
        answer = await self.desk.get(path)
        assert answer.status_code == 200, answer.text
        return {task["title"] for task in answer.json()["items"] if task["team_id"] == self.team}


@pytest.fixture(scope="module")
async def listed(desk: Desk) -> Listed:
    return await Listed.make(desk)


EVERY = {"Straße", "İstanbul", "Plain"}
CASES: list[tuple[str, set[str]]] = [
    ("status!=done", {"Straße", "Plain"}),
    ("status%21=done", {"Straße", "Plain"}),
    ("status=open,done&status!=open", {"İstanbul"}),
    ("priority!=none", {"Straße"}),
    ("priority!=high,urgent", {"İstanbul", "Plain"}),
    ("assignee=me", {"Straße"}),
    ("assignee=me,none", EVERY),
    ("assignee=none", {"İstanbul", "Plain"}),
    ("assignee!=me", {"İstanbul", "Plain"}),
    ("assignee!=none", {"Straße"}),
    ("assignee!=none,me", set()),
    ("assignee={random},{me}", {"Straße"}),
    ("label=none", {"Straße", "Plain"}),
    ("label!=none", {"İstanbul"}),
    ("label={bug}", {"İstanbul"}),
    ("label!={bug}", {"Straße", "Plain"}),
    ("parent=none", {"Straße", "İstanbul"}),
    ("parent!=none", {"Plain"}),
    ("parent={random},{parent}", {"Plain"}),
    ("parent!={parent}", {"Straße", "İstanbul"}),
    ("q=STRASSE", {"Straße"}),
    ("q=istanbul", {"İstanbul"}),
    ("q=R%C3%89SUME", {"Plain"}),
    ("q=+R%C3%89SUME++", {"Plain"}),
    ("q=resume+plain", {"Plain"}),
    ("q=plain+resume", {"Plain"}),
    ("q=plain+strasse", set()),
    ("q=resume&status!=done&parent!=none", {"Plain"}),
]


@pytest.mark.parametrize(("query", "wanted"), CASES, ids=[query for query, _ in CASES])
@pytest.mark.parametrize("across", [False, True])
async def test_a_filter_finds_what_it_says(listed: Listed, query: str, wanted: set[str], across: bool) -> None:
    names = {"me": listed.desk["owner"].user_id, "bug": listed.bug, "parent": listed.ids["Straße"], "random": RANDOM}
    assert await listed.found(query.format_map(names), across=across) == wanted


async def test_the_archive_is_filtered_and_searched_as_the_board_is(desk: Desk) -> None:
    listed = await Listed.make(desk)
    for task_id in (listed.ids["Plain"], listed.ids["İstanbul"]):
        assert (await desk.delete(f"/v1/tasks/{task_id}")).status_code == 200
    assert await listed.found("archived=true&status!=done") == {"Plain"}
    assert await listed.found("archived=true&q=ISTANBUL&label!=none") == {"İstanbul"}
    assert await listed.found("archived=true&q=resume") == {"Plain"}
    assert await listed.found("q=resume") == set()


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("status!=nonsense", "status!"),
        ("assignee=somebody", "assignee"),
        ("assignee!=me,you", "assignee!"),
        ("label=none," + RANDOM, "label"),
        ("label!=bug", "label!"),
        ("parent=" + ",".join([RANDOM] * 21), "parent"),
        ("priority=", "priority"),
        ("priority!=", "priority!"),
        ("q=%CC%81", "q"),
        ("q=", "q"),
        ("q=+%09", "q"),
        ("q=" + "+".join(map(str, range(21))), "q"),
        ("archived!=true", "archived!"),
        ("sort!=title", "sort!"),
        ("status!=open&status%21=done", "status!"),
    ],
)
async def test_a_wrong_value_is_named(desk: Desk, query: str, name: str) -> None:
    for team in ("", f"&team_id={desk.team}"):
        assert problem(await desk.get(f"/v1/tasks?{query}{team}"), 400, "bad-input")["parameter"] == name


async def test_me_is_somebody_else_for_everybody(desk: Desk, listed: Listed) -> None:
    await desk.join(listed.team, "owner", "member", "member")
    path = f"/v1/tasks?team_id={listed.team}&assignee!=me"
    mine, theirs = await desk.get(path), await desk.get(path, "member")
    assert (len(mine.json()["items"]), len(theirs.json()["items"])) == (2, 3)
    assert mine.headers["etag"] != theirs.headers["etag"]


async def test_titles_and_labels_are_refused_and_compared_at_the_door(desk: Desk) -> None:
    team = await desk.new_team()
    for title in ("\u200b", "a\nb", "a\u202eb", "\u2800", "\x1b[31mred"):
        answer = await desk.post("/v1/tasks", {"team_id": team, "title": title})
        assert problem(answer, 400, "bad-input")["errors"][0]["pointer"] == "/title"
    first = await desk.post("/v1/tasks", {"team_id": team, "title": "e\u0301", "description": "a\r\nb"})
    assert (first.json()["title"], first.json()["description"]) == ("é", "a\nb")
    labels = f"/v1/teams/{team}/labels"
    assert (await desk.post(labels, {"name": "Straße", "color": "#000000"})).status_code == 201
    for name in ("STRASSE", "stra\u200bße"):
        problem(await desk.post(labels, {"name": name, "color": "#000000"}), 409, "conflict")
    assert (await desk.post(labels, {"name": "İstanbul", "color": "#000000"})).status_code == 201
    problem(await desk.post(labels, {"name": "istanbul", "color": "#000000"}), 409, "conflict")
    assert (await desk.post(labels, {"name": "cafe", "color": "#000000"})).status_code == 201
    assert (await desk.post(labels, {"name": "café", "color": "#000000"})).status_code == 201


async def test_comments_are_found_in_memory_in_the_archive_and_across_teams(desk: Desk) -> None:
    listed = await Listed.make(desk)
    say = f"/v1/tasks/{listed.ids['Plain']}/comments"
    said = await desk.post(say, {"body": "Un th\u00e9, s'il vous pla\u00eet"})
    assert said.status_code == 201, said.text
    await listed.add("Salon de the")
    both = {"Plain", "Salon de the"}
    assert await listed.found("q=THE") == both
    assert await listed.found("q=THE", across=True) == both
    assert await listed.found("q=VOUS+S'IL") == {"Plain"}
    assert await listed.found("q=VOUS+SALON") == set()
    first = (await desk.get(f"/v1/tasks?team_id={listed.team}&q=the&sort=title&limit=1")).json()
    second = await desk.get(f"/v1/tasks?team_id={listed.team}&q=the&sort=title&limit=1&cursor={first['next_cursor']}")
    assert [task["title"] for page in (first, second.json()) for task in page["items"]] == sorted(both)
    assert second.json()["next_cursor"] is None
    assert (await desk.delete(f"/v1/tasks/{listed.ids['Plain']}")).status_code == 200
    assert await listed.found("q=plait&archived=true") == {"Plain"}
    assert await listed.found("q=THE") == {"Salon de the"}
    assert (await desk.post(f"/v1/tasks/{listed.ids['Plain']}/restore")).status_code == 200
    assert (await desk.delete(f"/v1/comments/{said.json()['id']}")).is_success
    assert await listed.found("q=THE") == {"Salon de the"}
