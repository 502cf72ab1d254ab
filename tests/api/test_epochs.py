"""Histories at the door: what clients hold of one that was taken back never passes for what stands."""

import json
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from db.journal.epochs import raise_due_epochs
from db.journal.lost_histories import Lost, note_lost
from db.team_seen import mark_seen
from db.transaction import writing
from streams.feeds.hub import HubTimes
from tests.support.desk import problem
from tests.support.rewinding import Rewinding
from tests.support.site import Person, Site, frame
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Restored:
    """A team in its second epoch, in which a task is at the version that it had in the lost one, too.

    `kept` is the task as it stands, `lost` as it was before the restore; what a client holds is of then.
    """

    def __init__(self, site: Site, ada: Person, team: str, kept: dict[str, Any], lost: dict[str, Any]) -> None:
        self.site, self.ada, self.team, self.kept, self.lost = site, ada, team, kept, lost
        self.task = f"/v1/tasks/{kept['id']}"
        self.board, self.list = f"/v1/teams/{team}/board", f"/v1/tasks?team_id={team}&limit=1"
        self.activity, self.events = f"{self.task}/activity?limit=1", f"/v1/teams/{team}/events?limit=1"
        self.cursors: dict[str, str] = {}
        self.tags: dict[str, str] = {}

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.site.client.get(path, headers={**self.ada.headers, **headers})

    async def patch(self, title: str, tag: str, **fields: Any) -> httpx.Response:
        headers = {**self.ada.headers, "If-Match": tag}
        return await self.site.client.patch(self.task, json={"title": title, **fields}, headers=headers)

    async def look(self) -> None:
        """Keep what a client has of the history as it is now."""
        for path in (self.list, self.list + "&archived=true", self.activity, self.events):
            self.cursors[path] = (await self.get(path)).json()["next_cursor"]
        for path in (self.task, self.list, self.board, f"/v1/teams/{self.team}"):
            self.tags[path] = (await self.get(path)).headers["etag"]


@pytest.fixture
async def restored(own_site: Site, superuser: "asyncpg.Connection[asyncpg.Record]") -> Restored:
    ada = await own_site.person()
    team = await own_site.team(ada)
    kept, _ = await own_site.task(ada, team, "kept"), await own_site.task(ada, team, "other")
    for title in ("old", "older"):
        path = f"/v1/tasks/{(await own_site.task(ada, team, title))['id']}"
        (await own_site.client.delete(path, headers=ada.headers)).raise_for_status()
    rewinding = Rewinding(superuser)
    await rewinding.remember()
    lost = await changed(own_site, ada, kept, title="lost")
    lost = await changed(own_site, ada, lost, priority="high")
    room = Restored(own_site, ada, team, kept, lost)
    await room.look()
    await rewinding.rewind()
    await until(lambda: epoch_in_memory(own_site, team) == 2)
    # The team stands at 8, and at 9 once it is restored: this is version 10, as the lost one was.
    room.kept = await changed(own_site, ada, kept, title="kept on")
    assert room.kept["version"] == lost["version"]
    return room


async def changed(site: Site, who: Person, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = await site.client.patch(f"/v1/tasks/{task['id']}", json=fields, headers=who.headers)
    body: dict[str, Any] = answer.raise_for_status().json()
    return body


def epoch_in_memory(site: Site, team: str) -> int:
    view = site.services.teams.peek(UUID(team))
    return 0 if view is None else view.epoch


async def test_every_answer_about_a_team_says_its_epoch(restored: Restored) -> None:
    for path in (restored.task, restored.board, restored.list, restored.list + "&archived=true", restored.activity):
        assert (await restored.get(path)).headers["taskforge-epoch"] == "2"
    for path in (restored.events, f"/v1/teams/{restored.team}", f"/v1/teams/{restored.team}/members"):
        assert (await restored.get(path)).headers["taskforge-epoch"] == "2"
    made = await restored.patch("once more", f'"2.{restored.kept["version"]}"')
    assert (made.status_code, made.headers["taskforge-epoch"]) == (200, "2")
    refused = await restored.patch("x", '"1"')
    assert (refused.status_code, refused.headers["taskforge-epoch"]) == (412, "2")
    unchanged = await restored.get(restored.task, **{"If-None-Match": made.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["taskforge-epoch"]) == (304, "2")
    async with restored.site.stream(restored.team, restored.ada) as stream:
        assert stream.answer.headers["taskforge-epoch"] == "2"
    async with restored.site.live(restored.team, restored.ada) as live:
        assert (await frame(live, "hello"))["epoch"] == 2
    other = await restored.site.team(restored.ada)
    assert (await restored.get(f"/v1/teams/{other}")).headers["taskforge-epoch"] == "1"


async def test_an_etag_of_a_lost_history_never_gives_304(restored: Restored) -> None:
    assert restored.tags[restored.task] == f'"{restored.kept["version"]}"', "the versions are the same numbers"
    for path, tag in restored.tags.items():
        answer = await restored.get(path, **{"If-None-Match": tag})
        assert answer.status_code == 200, path
        assert answer.headers["etag"] != tag
        again = await restored.get(path, **{"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304, path
    assert (await restored.get(restored.task)).headers["etag"] == f'"2.{restored.kept["version"]}"'


async def test_if_match_with_a_version_that_has_not_happened_is_412_and_says_that_its_base_is_not_known(
    restored: Restored,
) -> None:
    answer = await restored.patch("mine", restored.tags[restored.task], priority="none")
    document = problem(answer, 412, "stale-version")
    assert not document["base_known"]
    assert document["conflicts"] == [{"field": "title", "base": None, "theirs": "kept on", "yours": "mine"}]
    assert answer.headers["etag"] == f'"2.{restored.kept["version"]}"'
    assert (await restored.get(restored.task)).json() == restored.kept


async def test_if_match_with_a_version_that_the_restore_has_left_names_what_changed_since(restored: Restored) -> None:
    document = problem(await restored.patch("mine", '"3"'), 412, "stale-version")
    assert document["base_known"]
    assert document["conflicts"] == [{"field": "title", "base": "kept", "theirs": "kept on", "yours": "mine"}]


async def test_a_version_read_in_an_epoch_is_known_after_a_restore_that_has_left_it(
    restored: Restored, superuser: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Its row was written in an epoch before the one in which it was read."""
    version = restored.kept["version"]
    await superuser.execute("insert into epochs_due select id from teams on conflict do nothing")
    await raise_due_epochs(restored.site.services.pools.writer)
    await until(lambda: epoch_in_memory(restored.site, restored.team) == 3)
    document = problem(await restored.patch("mine", f'"2.{version}"'), 412, "stale-version")
    assert (document["base_known"], document["conflicts"]) == (True, [])


async def test_if_match_with_the_epoch_and_version_that_stand_is_kept(restored: Restored) -> None:
    version = restored.kept["version"]
    for tag in (f'"3.{version}"', f'"1.{version}"', f'W/"2.{version}"', f'"2.{version}.1"', '"2."', '".2"'):
        problem(await restored.patch("mine", tag), 412, "stale-version")
    assert (await restored.patch("mine", f'"7", "2.{version}"')).status_code == 200


async def test_an_operation_of_a_batch_names_the_epoch_too(restored: Restored) -> None:
    version = restored.kept["version"]

    async def batch(seen: object) -> httpx.Response:
        operation = {"op": "update", "id": restored.kept["id"], "title": "batched", "if_match": seen}
        body = {"team_id": restored.team, "operations": [operation]}
        return await restored.site.client.post("/v1/tasks/batch", json=body, headers=restored.ada.headers)

    problem(await batch(f"1.{version}"), 412, "stale-version")
    problem(await batch("nonsense"), 400, "bad-input")
    assert (await batch(f"2.{version}")).status_code == 200
    assert (await batch(version + 1)).status_code == 200


async def test_a_batch_that_rests_on_a_lost_history_is_409_and_one_on_that_which_stands_is_made(
    restored: Restored,
) -> None:
    version, operation = restored.kept["version"], {"op": "create", "title": "On what was read"}
    body = {"team_id": restored.team, "operations": [operation], "reads": [restored.kept["id"]]}

    async def asked(if_seq: str, query: str = "") -> httpx.Response:
        path = f"/v1/tasks/batch{query}"
        return await restored.site.client.post(path, json={**body, "if_seq": if_seq}, headers=restored.ada.headers)

    for query in ("", "?dry_run=true"):
        document = problem(await asked(f"1:{version}", query), 409, "history-rewritten")
        assert (document["epoch"], document["seq"]) == (2, version)
    assert (await asked(f"2:{version}")).status_code == 200
    problem(await asked(f"3:{version}"), 400, "ahead-of-history")


async def test_a_position_of_an_earlier_epoch_is_409_and_says_where_the_team_is(restored: Restored) -> None:
    paths = (restored.task, restored.board, restored.list, restored.activity, restored.events)
    for path in (*paths, f"/v1/teams/{restored.team}", f"/v1/teams/{restored.team}/members"):
        for seq in (1, restored.kept["version"], 99):
            answer = await restored.get(path, **{"TaskForge-Min-Seq": f"1:{seq}"})
            document = problem(answer, 409, "history-rewritten")
            assert (document["epoch"], document["seq"]) == (2, restored.kept["version"])
            assert answer.headers["taskforge-epoch"] == "2"
    seq = restored.kept["version"]
    assert (await restored.get(restored.task, **{"TaskForge-Min-Seq": f"2:{seq}"})).status_code == 200
    assert (await restored.get(restored.task, **{"TaskForge-Min-Seq": f"{seq}"})).status_code == 200
    for ahead in (f"2:{seq + 1}", "3:1", f"{2**63 - 1}:1"):
        problem(await restored.get(restored.task, **{"TaskForge-Min-Seq": ahead}), 400, "ahead-of-history")
    for nonsense in ("1:", ":1", "1:2:3", f"{2**63}:1", "a:1"):
        problem(await restored.get(restored.task, **{"TaskForge-Min-Seq": nonsense}), 400, "bad-input")


async def test_what_a_reader_has_seen_of_a_lost_history_is_said_as_a_place_in_it(restored: Restored) -> None:
    """What was seen before the restore is good as far as the team still has it; a filter by it is refused."""
    seen = f"/v1/teams/{restored.team}/seen"
    changed = f"/v1/tasks?team_id={restored.team}&changed_since_seq="
    for archived in ("", "&archived=true"):
        for seq in (1, 99):
            document = problem(await restored.get(f"{changed}1:{seq}{archived}"), 409, "history-rewritten")
            assert (document["epoch"], document["seq"]) == (2, restored.kept["version"])
        problem(await restored.get(f"{changed}2:99{archived}"), 400, "ahead-of-history")
    listed = (await restored.get(f"{changed}2:{restored.kept['version'] - 1}")).json()["items"]
    assert [task["id"] for task in listed] == [restored.kept["id"]]
    headers = restored.ada.headers
    answer = await restored.site.client.put(seen, json={"seq": f"1:{restored.lost['version']}"}, headers=headers)
    problem(answer, 409, "history-rewritten")
    async with writing(restored.site.services.pools.api, UUID(restored.ada.user_id)) as tx:
        await mark_seen(tx, UUID(restored.ada.user_id), UUID(restored.team), epoch=1, seq=restored.lost["version"])
    shown = (await restored.get(f"/v1/teams/{restored.team}")).json()
    assert shown["seen_seq"] == restored.kept["version"] - 2, "where the new epoch began"


async def test_the_past_is_that_of_the_history_that_stands(restored: Restored) -> None:
    past = f"{restored.board}?as_of="
    seq = restored.kept["version"]
    for place in ("1:1", f"1:{seq}"):
        document = problem(await restored.get(past + place), 409, "history-rewritten")
        assert (document["epoch"], document["seq"]) == (2, seq)
    shown = (await restored.get(past + str(seq))).json()
    assert shown == (await restored.get(restored.board)).json()
    before = (await restored.get(f"{past}2:{seq - 2}")).json()
    assert (before["seq"], before["epoch"]) == (seq - 2, 1), "what both histories have in common"
    assert "lost" not in {task["title"] for column in before["columns"] for task in column["tasks"]}


async def test_a_position_of_an_epoch_that_this_process_has_not_heard_of_is_waited_for(own_site: Site) -> None:
    """A client may know of a restore before a process looks at the journal's positions, which here it never does."""
    ada = await own_site.person()
    team = await own_site.team(ada)
    task = await own_site.task(ada, team)
    own_site.services.hub.times = HubTimes(check=3_600)
    pool = own_site.services.pools.writer
    await note_lost(pool, {UUID(team): Lost(1, None)})
    await raise_due_epochs(pool)
    headers = {**ada.headers, "TaskForge-Min-Seq": "2:4"}
    answer = await own_site.client.get(f"/v1/tasks/{task['id']}", headers=headers)
    assert (answer.status_code, answer.headers["taskforge-epoch"]) == (200, "2")
    assert answer.headers["etag"] == f'"2.{task["version"]}"'


async def test_a_change_that_names_an_earlier_epoch_is_not_made(restored: Restored) -> None:
    headers = {**restored.ada.headers, "TaskForge-Min-Seq": "1:3"}
    answer = await restored.site.client.patch(restored.task, json={"title": "x"}, headers=headers)
    problem(answer, 409, "history-rewritten")
    assert (await restored.get(restored.task)).json() == restored.kept


async def test_a_walk_through_pages_does_not_go_on_in_another_history(restored: Restored) -> None:
    assert restored.cursors[restored.events] == "1:1"
    for path, cursor in restored.cursors.items():
        name = "after" if path == restored.events else "cursor"
        problem(await restored.get(f"{path}&{name}={cursor}"), 409, "history-rewritten")
        again = (await restored.get(path)).json()["next_cursor"]
        assert (await restored.get(f"{path}&{name}={again}")).status_code == 200
    assert (await restored.get(restored.events)).json()["next_cursor"] == "2:1"
    assert (await restored.get(f"{restored.events}&after=1")).json()["items"][0]["seq"] == 2
    problem(await restored.get(f"{restored.events}&after=3:1"), 400, "ahead-of-history")


async def test_the_columns_of_a_limited_board_lead_to_lists_of_the_same_history(restored: Restored) -> None:
    top = (await restored.get(f"{restored.board}?per_column=1")).json()
    cursor = next(column["next_cursor"] for column in top["columns"] if column["category"] == "open")
    path = f"/v1/tasks?team_id={restored.team}&status=open&sort=rank&cursor={cursor}"
    assert len((await restored.get(path)).json()["items"]) == 1
    assert json.dumps(top).count('"epoch": 2') == 1
