"""Bootstraps as members of a team have them: asked for, followed, downloaded, proven, and gone in time."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from msgspec import Struct

from core.checkpoints import Checkpoint, Ledger
from db.bootstrap.folding import folded
from db.redaction.boards import drop_boards
from db.redaction.history import redact_history
from db.redactions_due import clear_due
from db.transaction import writing
from streams.bootstrap import files
from streams.cloud_events import parse_cloud_event
from streams.housekeeping import tidy
from streams.operations.bootstrap import BOOTSTRAP_DAYS
from tests.support.bootstraps import lines_of, rows_of, state_of_lines
from tests.support.desk import Desk, new_key, problem
from tests.support.long_work import Hands
from tests.support.site import Person, frame, removed
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


def bootstraps_of(team_id: str) -> str:
    return f"/v1/teams/{team_id}/bootstraps"


def stored(hands: Hands) -> list[Path]:
    """What the store has of bootstraps."""
    return [path for path in hands.files() if "bootstraps" in path.parts]


async def ask(hands: Hands, person: Person, team: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """Ask for one."""
    return await hands.site.client.post(bootstraps_of(team), json=body, headers={**person.headers, **headers})


async def made(hands: Hands, person: Person, team: str, **body: Any) -> dict[str, Any]:
    """The operation of one once it has ended."""
    asked = await ask(hands, person, team, body)
    assert asked.status_code == 202, asked.text
    await hands.finish()
    operation: dict[str, Any] = (await hands.get(asked.headers["location"], person)).json()
    return operation


async def a_team(desk: Desk) -> str:
    """With a task that has a comment and a label, one that is archived, and one that is gone."""
    team = await desk.new_team()
    label = (await desk.post(f"/v1/teams/{team}/labels", {"name": "bug", "color": "#d73a4a"})).json()["id"]
    first = await desk.task(
        "Ünïcödé 🚀", description="a\u2028b", team_id=team, label_ids=[label], due_on="2026-03-01", estimate=2
    )
    await desk.post(f"/v1/tasks/{first['id']}/comments", {"body": "Said"})
    archived = await desk.task("Archived", team_id=team)
    await desk.delete(f"/v1/tasks/{archived['id']}")
    return team


class Page(Struct):
    """A page of events, as bytes."""

    items: list[msgspec.Raw]
    next_cursor: str | None


async def events_of(desk: Desk, team: str) -> list[bytes]:
    """The bodies of the team's events, of which there are few."""
    answer = await desk.get(f"/v1/teams/{team}/events?after=0&limit=100")
    return [bytes(one) for one in msgspec.json.decode(answer.content, type=Page).items]


async def test_it_is_asked_for_followed_downloaded_and_proven(desk: Desk, hands: Hands) -> None:
    team = await a_team(desk)
    asked = await ask(hands, desk["owner"], team, {})
    assert (asked.status_code, asked.headers["cache-control"]) == (202, "no-store")
    waiting = asked.json()
    assert (waiting["kind"], waiting["status"], waiting["team_id"]) == ("bootstrap", "waiting", team)
    await hands.finish()
    done = (await desk.get(asked.headers["location"])).json()
    assert (done["status"], done["progress"], done["error"]) == ("succeeded", 1.0, None)
    result = done["result"]
    answer = await desk.client.get(result["download_url"])
    data = answer.content
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert (len(data), hashlib.sha256(data).hexdigest()) == (result["bytes"], result["digest"])
    kept = datetime.fromisoformat(result["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=BOOTSTRAP_DAYS - 0.1) < kept < timedelta(days=BOOTSTRAP_DAYS + 0.1)
    checkpoint, things = lines_of(data)
    assert checkpoint == result["checkpoint"]
    assert (checkpoint["team"], checkpoint["seq"]) == (
        team,
        int((await desk.get(f"/v1/teams/{team}")).headers["taskforge-seq"]),
    )
    assert state_of_lines(data) == checkpoint["state"]
    ledger = Ledger()
    for body in await events_of(desk, team):
        ledger.take(parse_cloud_event(body))
    assert ledger.chain.hex() == checkpoint["chain"]
    titles = {one["thing"]["title"] for one in things if one["kind"] == "task"}
    assert titles == {"Ünïcödé 🚀", "Archived"}


async def test_its_tail_begins_with_the_next_event(desk: Desk, hands: Hands) -> None:
    team = await a_team(desk)
    result = (await made(hands, desk["owner"], team))["result"]
    seq = result["checkpoint"]["seq"]
    assert result["tail"] == f"/v1/teams/{team}/events?after=1:{seq}"
    assert (await desk.get(result["tail"])).json()["items"] == []
    await desk.task("Later", team_id=team)
    assert [event["seq"] for event in (await desk.get(result["tail"])).json()["items"]] == [seq + 1]


async def test_it_is_of_the_seq_that_was_asked_for(desk: Desk, hands: Hands) -> None:
    team = await a_team(desk)
    result = (await made(hands, desk["owner"], team, seq=2))["result"]
    ledger = Ledger()
    for body in (await events_of(desk, team))[:2]:
        ledger.take(parse_cloud_event(body))
    assert ledger.differences(msgspec.convert(result["checkpoint"], Checkpoint)) == []
    assert result["checkpoint"]["seq"] == 2


async def test_parquet_has_the_same_in_it(desk: Desk, hands: Hands, tmp_path: Path) -> None:
    team = await a_team(desk)
    lines, table = [(await made(hands, desk["owner"], team, format=form))["result"] for form in ("jsonl", "parquet")]
    assert lines["checkpoint"] == table["checkpoint"]
    answer = await desk.client.get(table["download_url"])
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    (tmp_path / "file").write_bytes(answer.content)
    checkpoint, rows = rows_of(tmp_path / "file")
    assert checkpoint == lines["checkpoint"]
    _, things = lines_of((await desk.client.get(lines["download_url"])).content)
    assert [(row["kind"], row["id"]) for row in rows] == [(one["kind"], one["id"]) for one in things]


async def test_without_the_extra_the_operation_says_what_is_missing(
    desk: Desk, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "find_spec", lambda _: None)
    ended = await made(hands, desk["owner"], desk.team, format="parquet")
    assert ended["status"] == "failed"
    assert "taskforge-server[parquet]" in ended["error"]
    assert (await made(hands, desk["owner"], desk.team))["status"] == "succeeded"


async def test_every_member_has_one_made_and_a_key_that_only_reads_too(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "viewer", "viewer")
    assert (await made(hands, desk["viewer"], team))["status"] == "succeeded"
    key = (await desk.post("/v1/me/api-keys", {"name": "warehouse", "scopes": ["read"]})).json()["token"]
    headers = {"Authorization": f"Bearer {key}"}
    asked = await desk.client.post(bootstraps_of(team), json={}, headers=headers)
    assert asked.status_code == 202
    await hands.finish()
    found = (await desk.client.get(asked.headers["location"], headers=headers)).json()
    assert (await desk.client.get(found["result"]["download_url"])).status_code == 200
    problem(await ask(hands, desk["stranger"], team, {}), 404, "not-found")


async def test_who_leaves_has_neither_the_file_nor_a_new_one(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    result = (await made(hands, desk["member"], team))["result"]
    location = (await ask(hands, desk["member"], team, {})).headers["location"]
    await removed(desk.site, team, desk["owner"], desk["member"])
    problem(await desk.client.get(result["download_url"]), 404, "not-found")
    await hands.finish()
    ended = (await desk.get(location, "member")).json()
    assert (ended["status"], ended["error"].startswith("You are not a member")) == ("failed", True)


async def test_one_of_a_person_is_made_at_a_time(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team("admin")
    first = await ask(hands, desk["admin"], team, {})
    refused = problem(await ask(hands, desk["admin"], team, {}), 409, "conflict")
    assert refused["reason"] == "bootstrap-running"
    await hands.finish()
    assert (await desk.get(first.headers["location"], "admin")).json()["status"] == "succeeded"


async def test_the_same_key_makes_one(desk: Desk, hands: Hands) -> None:
    team, key = await desk.new_team(), new_key()
    first, second = [await ask(hands, desk["owner"], team, {}, **{"Idempotency-Key": key}) for _ in range(2)]
    assert first.json() == second.json()
    await hands.finish()


@pytest.mark.parametrize(
    ("body", "pointer"), [({"format": "csv"}, "/format"), ({"seq": 0}, "/seq"), ({"seqs": 1}, "/seqs")]
)
async def test_what_makes_none_is_named(desk: Desk, hands: Hands, body: dict[str, Any], pointer: str) -> None:
    refused = problem(await ask(hands, desk["owner"], desk.team, body), 400, "bad-input")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]


async def test_a_seq_that_is_to_come_is_refused(desk: Desk, hands: Hands) -> None:
    problem(await ask(hands, desk["owner"], desk.team, {"seq": 10**9}), 400, "ahead-of-history")


async def test_its_progress_is_said_on_the_askers_feed(desk: Desk, hands: Hands) -> None:
    async with desk.site.live(desk.team, desk["owner"]) as live:
        await frame(live, "hello")
        await made(hands, desk["owner"], desk.team)
        while (notice := await frame(live, "notice"))["operation"]["status"] != "succeeded":
            assert notice["operation"]["kind"] == "bootstrap"


async def forget(desk: Desk, team: str, task_id: str, *, deleted: bool = False) -> None:
    """What is deleted for good is forgotten by the journal, and then every copy that may have it is dropped."""
    if not deleted:
        (await desk.delete(f"/v1/tasks/{task_id}?permanent=true")).raise_for_status()
    worker, task = desk.site.services.pools.worker, UUID(task_id)
    await redact_history(worker, UUID(team), {task}, among={task})
    await drop_boards(worker, UUID(team), [task])
    async with writing(worker) as tx:
        await clear_due(tx, UUID(team), task, task)


async def test_it_is_gone_once_something_in_it_is_deleted_for_good_and_made_again_once_that_is_forgotten(
    desk: Desk, hands: Hands
) -> None:
    """A worker drops it some time later; until then nobody finds it, and none that is made is kept."""
    team = await desk.new_team()
    secret = await desk.task("A secret", team_id=team)
    result = (await made(hands, desk["owner"], team))["result"]
    (await desk.delete(f"/v1/tasks/{secret['id']}?permanent=true")).raise_for_status()
    problem(await desk.client.get(result["download_url"]), 404, "not-found")
    early = await made(hands, desk["owner"], team)
    assert early["status"] == "running"
    await forget(desk, team, secret["id"], deleted=True)

    async def ended() -> bool:
        await hands.finish()
        return (await desk.get(f"/v1/operations/{early['id']}")).json()["status"] == "succeeded"

    await until_answered(ended)
    late = (await desk.get(f"/v1/operations/{early['id']}")).json()["result"]
    assert b"A secret" not in (await desk.client.get(late["download_url"])).content


async def test_it_goes_with_whatever_the_journal_forgets(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    secret = await desk.task("A secret", team_id=team)
    result = (await made(hands, desk["owner"], team))["result"]
    assert [path for path in stored(hands) if b"A secret" in path.read_bytes()]
    await forget(desk, team, secret["id"])
    problem(await desk.client.get(result["download_url"]), 404, "not-found")
    await tidy(desk.site.services.pools.worker, hands.store)
    assert not [path for path in stored(hands) if b"A secret" in path.read_bytes()]
    anew = (await made(hands, desk["owner"], team, seq=result["checkpoint"]["seq"]))["result"]
    data = (await desk.client.get(anew["download_url"])).content
    assert anew["checkpoint"]["chain"] == result["checkpoint"]["chain"]
    assert (b"A secret" in data, b"Deleted task" in data) == (False, True)


async def test_what_is_forgotten_while_it_is_made_is_not_in_it(
    desk: Desk, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is read, then it forgets, then the file would be kept: it is made anew."""
    team = await desk.new_team()
    secret = await desk.task("A secret", team_id=team)
    folds: list[str] = []

    async def forgetting(*arguments: Any) -> Checkpoint:
        checkpoint = await folded(*arguments)
        if not folds:
            await forget(desk, team, secret["id"])
        folds.append(team)
        return checkpoint

    monkeypatch.setattr("streams.operations.bootstrap.folded", forgetting)
    location = (await ask(hands, desk["owner"], team, {})).headers["location"]

    async def ended() -> bool:
        await hands.finish()
        return (await desk.get(location)).json()["status"] == "succeeded"

    await until_answered(ended)
    data = (await desk.client.get((await desk.get(location)).json()["result"]["download_url"])).content
    assert (len(folds), b"A secret" in data) == (2, False)
    assert not [path for path in stored(hands) if b"A secret" in path.read_bytes()]
