"""Events as the last release wrote them: read as journal rows and as CloudEvents, by every reader of today."""

from collections import defaultdict
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from core.codec import JournalRow, current_data, decode
from core.events import (
    EVENT_TYPES,
    AnyEvent,
    ColumnEvent,
    HistoryRedacted,
    LabelEvent,
    MemberEvent,
    TaskDeleted,
    TaskEvent,
    TeamDeleted,
    TeamRestored,
)
from core.task import STATUSES
from core.team import TeamState, evolve
from streams.cloud_events import parse_cloud_event
from tests.fixtures.foundation.reading import golden_cloud_event, golden_row, json_of, lines_of
from tests.support.columns import tasks_of

TOPIC: Final = "taskforge.task-events.v1"
GOLDEN: Final = lines_of("events.jsonl")
NAMES: Final = [f"{line['row']['type']} {line['row']['seq']}: {line['why']}" for line in GOLDEN]


def holds(now: Any, then: Any) -> bool:
    """Whether a value has all that it had then; objects may have got more names since."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and holds(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


def test_every_type_of_the_last_release_is_among_the_golden_events() -> None:
    assert {line["row"]["type"] for line in GOLDEN} == {
        "task.created", "task.updated", "task.moved", "task.archived", "task.restored", "task.deleted", "member.added",
        "member.role_changed", "member.removed", "label.created", "label.updated", "label.deleted", "team.updated",
    }  # fmt: skip
    assert {line["row"]["type"] for line in GOLDEN} <= set(EVENT_TYPES)


@pytest.mark.parametrize("line", GOLDEN, ids=NAMES)
def test_a_golden_row_is_read_whole(line: Any) -> None:
    row = golden_row(line)
    event = decode(row)
    assert (event.type, event.team_id, event.seq) == (row.type, row.team_id, row.seq)
    assert (event.subject, event.actor_id, event.at) == (row.subject, row.actor_id, row.at)
    assert not isinstance(event, TeamRestored | HistoryRedacted)
    now = msgspec.json.decode(msgspec.json.encode({"previous": getattr(event, "previous", {}), **things_of(event)}))
    assert holds(now, {"previous": {}, **msgspec.json.decode(current_data(row))})


def things_of(event: AnyEvent) -> dict[str, Any]:
    """What the event is about, by its name in the data."""
    match event:
        case TaskEvent():
            return {"task": event.task, "ranks": event.ranks}
        case TaskDeleted():
            return {"task": event.task}
        case MemberEvent():
            return {"member": event.member}
        case LabelEvent():
            return {"label": event.label}
        case ColumnEvent():
            return {"column": event.column}
        case TeamRestored() | HistoryRedacted():
            return {}
        case TeamDeleted():
            return {"team": event.team}
        case _:
            return {"team": event.team, "limits": event.limits}


@pytest.mark.parametrize("line", GOLDEN, ids=NAMES)
def test_a_golden_cloud_event_is_read_as_its_row(line: Any) -> None:
    assert parse_cloud_event(golden_cloud_event(line)) == golden_row(line)


def topic_rows() -> dict[str, list[JournalRow]]:
    """The journal rows in the records of the topic, by the records' key."""
    rows: dict[str, list[JournalRow]] = defaultdict(list)
    for record in lines_of("topic.jsonl"):
        if record["topic"] == TOPIC:
            rows[record["key"]].append(parse_cloud_event(record["value"].encode()))
    return rows


def test_a_topic_of_the_last_release_folds_to_the_boards() -> None:
    """All of ENG is in the topic; OPS2 has two events more in the journal, which no relay had seen."""
    boards, left = {}, []
    for team_id, rows in topic_rows().items():
        assert {row.team_id for row in rows} == {UUID(team_id)}
        state = TeamState()
        for row in rows:
            evolve(state, decode(row))
        wanted = msgspec.json.decode(json_of("boards.json")[team_id])
        left.append(wanted["seq"] - state.seq)
        boards[team_id] = state, wanted
    assert sorted(left) == [0, 2]
    for state, wanted in boards.values():
        columns = {column["status"]: column["tasks"] for column in wanted["columns"]}
        for status in STATUSES:
            then = [task for task in columns[status] if task["version"] <= state.seq]
            now = msgspec.json.decode(msgspec.json.encode(tasks_of(state, status)))
            assert holds(now, then), status
