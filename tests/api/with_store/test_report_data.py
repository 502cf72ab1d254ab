"""What reports say of a team that lives: read from its tables, and printed once whoever dies in between."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import asyncpg
import pytest

from db import reports
from db.redaction.boards import drop_boards
from db.report_data import shares
from streams.housekeeping import tidy
from streams.operations.report import ReportPorts, report
from streams.operations.runner import OperationRunner
from streams.reports.printing import print_report
from tests.support.desk import Desk, problem
from tests.support.long_work import Hands
from tests.support.printed import SCRIPTS, make, printed
from tests.support.sagas import Killed
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


def squeezed(text: str) -> str:
    """The text without the gaps of its columns."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


def days_from_now(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def stored(hands: Hands, report_id: str) -> list[Path]:
    """What the store has of a report."""
    return [path for path in hands.files() if report_id in str(path)]


async def test_the_board_has_every_task_where_it_stands(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    titles = [await desk.task(title, team_id=team, priority="high") for title in SCRIPTS.values()]
    await desk.post(f"/v1/tasks/{titles[0]['id']}/move", {"status": "done"})
    await desk.delete(f"/v1/tasks/{titles[1]['id']}")
    report = await printed(hands, desk["owner"], team, kind="board")
    text = squeezed(report.text)
    assert f"Open {len(titles) - 2} tasks" in text
    assert "Done 1 task" in text
    assert "Fix the login page, señor Łukasz high" in text
    assert SCRIPTS["Cyrillic"] not in text, "it is archived"
    for script in ("Greek", "Chinese", "Japanese", "Korean", "Georgian", "Armenian"):
        assert SCRIPTS[script] in text, script
    assert report.result["seq"] == int((await desk.get(f"/v1/teams/{team}/board")).headers["taskforge-seq"])


async def test_more_tasks_than_are_printed_are_counted(
    desk: Desk, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares.allotted, "__defaults__", (4,))
    team = await desk.new_team()
    for number in range(6):
        await desk.task(f"Task {number}", team_id=team, due_on=days_from_now(-3))
    await desk.task("Doing", team_id=team, status="in_progress", due_on=days_from_now(-3))
    text = squeezed((await printed(hands, desk["owner"], team, kind="board")).text)
    assert "Open 6 tasks" in text
    assert "and 3 more" in text
    assert ("Task 2" in text, "Task 3" in text, "Doing" in text) == (True, False, True)
    text = squeezed((await printed(hands, desk["owner"], team, kind="overdue")).text)
    assert ("Nobody 7 tasks" in text, "and 3 more" in text) == (True, True)


async def test_what_is_overdue_is_judged_in_the_teams_zone(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    (await desk.patch(f"/v1/teams/{team}", {"time_zone": "Pacific/Kiritimati"})).raise_for_status()
    there = (datetime.now(UTC) + timedelta(hours=14)).date()
    member = desk["member"].user_id
    await desk.task("Late by a day", team_id=team, due_on=(there - timedelta(days=1)).isoformat(), assignee_id=member)
    await desk.task("Due today", team_id=team, due_on=there.isoformat(), assignee_id=member)
    await desk.task("Late by an hour", team_id=team, due_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    done = await desk.task("Done late", team_id=team, due_on="2020-01-01")
    await desk.post(f"/v1/tasks/{done['id']}/move", {"status": "done"})
    old = await desk.task("Long ago", team_id=team, due_on="2020-01-02", priority="urgent")
    text = squeezed((await printed(hands, desk["owner"], team, kind="overdue")).text)
    assert ("Member 1 task" in text, "Nobody 2 tasks" in text) == (True, True)
    assert ("Late by a day" in text, "Late by an hour" in text, "Due today" in text) == (True, True, False)
    assert "Done late" not in text
    assert f"{old['key']} Long ago urgent Open ! 2 Jan 2020" in text
    of_a_week = {"kind": "overdue", "from": (there - timedelta(days=7)).isoformat()}
    text = squeezed((await printed(hands, desk["owner"], team, **of_a_week)).text)
    assert ("Late by a day" in text, "Long ago" in text) == (True, False)


async def test_the_activity_says_what_happened_in_sentences(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.join(team, "owner", "member", "member")
    task = await desk.task("Ship", team_id=team)
    path = f"/v1/tasks/{task['id']}"
    await desk.patch(path, {"title": "Ship it", "assignee_id": desk["member"].user_id}, "member")
    await desk.post(f"{path}/move", {"status": "done"})
    await desk.post(f"{path}/comments", {"body": "a remark"}, "member")
    text = squeezed((await printed(hands, desk["owner"], team, kind="activity")).text)
    for piece in ("Ada created it.", "commented on it", "moved it from Open to Done", "renamed it from “Ship” to"):
        assert piece in " ".join(text.split()), text
    assert "4 changes" in text
    assert "a remark" not in text
    before = {"kind": "activity", "from": "2026-01-01", "to": "2026-01-31"}
    assert "Nothing happened in this period." in (await printed(hands, desk["owner"], team, **before)).text


async def test_a_period_ends_where_it_is_said_to(desk: Desk, hands: Hands) -> None:
    team = await desk.new_team()
    await desk.task("First", team_id=team)
    middle = datetime.now(UTC).isoformat()
    await desk.task("Second", team_id=team)
    begin = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    early = squeezed(
        (await printed(hands, desk["owner"], team, **{"kind": "activity", "from": begin, "to": middle})).text
    )
    assert ("First" in early, "Second" in early) == (True, False)
    late = squeezed((await printed(hands, desk["owner"], team, **{"kind": "activity", "from": middle})).text)
    assert ("First" in late, "Second" in late) == (False, True)


POINTS = ("put", "keep", "tidy")


@pytest.mark.parametrize("point", POINTS)
async def test_killed_between_effect_and_commit_there_is_one_pdf(
    desk: Desk, hands: Hands, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """`put`: dead when the file was written; `keep`: before the commit; `tidy`: after the report was handed over."""
    team = await desk.new_team()
    location = (await make(hands, desk["owner"], team, {"kind": "board"})).headers["location"]
    died = dying(monkeypatch, hands, point)
    await killed(hands)
    assert died == [point]
    await superuser.execute("update operations set next_at = now() where ended_at is null")
    await hands.finish()
    result = (await desk.get(location)).json()["result"]
    (listed,) = (await desk.get(f"/v1/teams/{team}/reports")).json()["items"]
    assert listed["id"] == result["id"]
    assert len(stored(hands, result["id"])) == 1
    assert (await desk.client.get(result["download_url"])).status_code == 200
    assert await told(desk, result["id"]) == 1


async def told(desk: Desk, report_id: str) -> int:
    """How often whoever asked was told that the report is ready."""
    inbox = (await desk.get("/v1/me/notifications?limit=100")).json()["items"]
    return sum(one["kind"] == "report.ready" and one["data"]["report_id"] == report_id for one in inbox)


async def killed(hands: Hands) -> None:
    """Move what there is until the worker is dead."""
    dead = False
    try:
        await hands.finish()
    except* Killed:
        dead = True
    assert dead


def dying(monkeypatch: pytest.MonkeyPatch, hands: Hands, point: str) -> list[str]:
    """Have whoever comes there first die; who did."""
    died: list[str] = []

    def once(real: Callable[..., Awaitable[Any]], *, after: bool) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **more: Any) -> Any:
            done = await real(*args, **more) if after or died else None
            if not died:
                died.append(point)
                raise Killed
            return done

        return call

    match point:
        case "put":
            monkeypatch.setattr(hands.store, "put", once(hands.store.put, after=True))
        case "keep":
            monkeypatch.setattr("streams.operations.report.keep", once(reports.keep, after=True))
        case _:
            monkeypatch.setattr(hands.store, "keys", once(hands.store.keys, after=False))
    return died


async def test_two_who_print_the_same_keep_one(desk: Desk, hands: Hands, superuser: "asyncpg.Connection") -> None:
    """The lease runs out while the first one writes: a second one takes over, and the first finds that it has lost."""
    team = await desk.new_team()
    location = (await make(hands, desk["owner"], team, {"kind": "board"})).headers["location"]
    written, go_on = anyio.Event(), anyio.Event()
    first = runner_over(hands, _Slow(hands, written, go_on))
    assert await first.move(), "a place is reserved"
    async with anyio.create_task_group() as group:
        group.start_soon(first.move)
        await written.wait()
        await superuser.execute("update operations set next_at = now() where ended_at is null")
        await hands.finish()
        go_on.set()
    assert first.statistics().lost == 1
    result = (await desk.get(location)).json()["result"]
    assert len((await desk.get(f"/v1/teams/{team}/reports")).json()["items"]) == 1
    assert (await desk.client.get(result["download_url"])).status_code == 200
    assert len(stored(hands, result["id"])) == 1, "what the first one wrote is tidied away"


class _Slow:
    """A store that has written, and does not come back before it is let go on."""

    def __init__(self, hands: Hands, written: anyio.Event, go_on: anyio.Event) -> None:
        self._store, self._written, self._go_on = hands.store, written, go_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, *args: Any, **more: Any) -> Any:
        done = await self._store.put(*args, **more)
        self._written.set()
        await self._go_on.wait()
        return done


def runner_over(hands: Hands, store: Any) -> OperationRunner:
    async def silent(_: Any) -> None:
        return

    kind = report(ReportPorts(hands.site.services.pools.worker, store))
    return OperationRunner(hands.site.services.pools.worker, [kind], silent)


async def test_what_was_redacted_while_it_was_printed_is_printed_without_it(
    desk: Desk, hands: Hands, superuser: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is read, then the journal forgets, then the report would be kept: it is made anew."""
    team = await desk.new_team()
    location = (await make(hands, desk["owner"], team, {"kind": "board"})).headers["location"]
    drops: list[str] = []

    async def redacted_meanwhile(*args: Any) -> Any:
        if not drops:
            drops.append(team)
            await superuser.execute(
                "insert into board_snapshot_drops as d (team_id, drops) values ($1, 1)"
                " on conflict (team_id) do update set drops = d.drops + 1",
                UUID(team),
            )
        return await print_report(*args)

    monkeypatch.setattr("streams.operations.report.print_report", redacted_meanwhile)
    await hands.finish()
    assert (await desk.get(f"/v1/teams/{team}/reports")).json()["items"] == []

    async def ended() -> bool:
        await hands.finish()
        return (await desk.get(location)).json()["status"] == "succeeded"

    await until_answered(ended)
    result = (await desk.get(location)).json()["result"]
    assert len(stored(hands, result["id"])) == 1


async def test_what_is_deleted_for_good_takes_the_reports_with_it_that_may_have_it(desk: Desk, hands: Hands) -> None:
    team, worker = await desk.new_team(), desk.site.services.pools.worker
    before = (await printed(hands, desk["owner"], team, kind="board")).result
    task = await desk.task("A secret", team_id=team)
    await desk.task("Nothing special", team_id=team)
    after = (await printed(hands, desk["owner"], team, kind="activity")).result
    assert await drop_boards(worker, UUID(team), [UUID(task["id"])]) == 1
    listed = (await desk.get(f"/v1/teams/{team}/reports")).json()["items"]
    assert [one["id"] for one in listed] == [before["id"]]
    problem(await desk.client.get(after["download_url"]), 404, "not-found")
    await tidy(worker, hands.store)
    assert (len(stored(hands, before["id"])), len(stored(hands, after["id"]))) == (1, 0)


@pytest.mark.proof
async def test_of_fifty_thousand_tasks_a_report_has_its_share(
    desk: Desk, hands: Hands, superuser: "asyncpg.Connection"
) -> None:
    """Copies of one task, by SQL: a team of that size takes minutes to write through its door."""
    team = await desk.new_team()
    task = await desk.task("One of very many", team_id=team, due_on=days_from_now(-3))
    names = ", ".join(column for column in COPIED.split())
    await superuser.execute(
        f"insert into tasks (id, number, {names}) select gen_random_uuid(), n, {names}"
        " from tasks, generate_series(2, 50000) n where id = $1",
        UUID(task["id"]),
    )
    for kind in ("board", "overdue"):
        report = await printed(hands, desk["owner"], team, kind=kind)
        assert "50,000 tasks" in squeezed(report.text)
        assert "and 48,000 more" in squeezed(report.text)
        assert report.result["pages"] > 40


COPIED = """
    team_id title description status priority assignee_id label_ids due_at estimate parent_id blocked_by rank
    external_id external_source comment_count attachment_count created_by created_at updated_at completed_at archived_at
    version column_id due_on
"""
