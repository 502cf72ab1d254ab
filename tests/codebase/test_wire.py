"""What travels is not what the domain remembers: one more field there changes no byte outside."""

import subprocess
import sys
from typing import Any

from msgspec import Struct, inspect

from api.endpoints import all_operations
from core.columns import Column
from core.event_data import data_type
from core.events import EVENT_TYPES, DeletedTask, Label, Member, Team
from core.task import Task
from tests.support.source import ROOT

DOMAIN = {Task, DeletedTask, Member, Label, Column, Team}

# Runs in an interpreter of its own: it gives the domain's Structs a field more before anything else knows them.
RICHER = """
import datetime
import uuid
import msgspec
import core.events
import core.task
from msgspec import structs

MILESTONE, UNTIL = uuid.UUID(int=7), datetime.date(2026, 5, 1)

def richer(kind):
    fields = [("milestone_id", uuid.UUID | None, None), ("until", datetime.date | None, None)]
    return msgspec.defstruct(kind.__name__, fields, bases=(kind,), module=kind.__module__, kw_only=True, frozen=True)

core.task.Task = core.events.Task = richer(core.task.Task)
core.events.DeletedTask = richer(core.events.DeletedTask)
core.events.Member = richer(core.events.Member)
core.events.Label = richer(core.events.Label)
core.events.Team = richer(core.events.Team)

from api import rest_v1
from api.rest_v1 import REST_V1
from core.codec import current_data, decode, encode
from tests.fixtures.foundation.reading import as_then, golden_row, json_of, lines_of

PARTS = ("task", "member", "label", "team")
shown = {"member": rest_v1.member, "label": rest_v1.label}
seen = set()
for line in lines_of("events.jsonl"):
    row = golden_row(line)
    event = decode(row)
    part = next(name for name in PARTS if hasattr(event, name))
    thing = structs.replace(getattr(event, part), milestone_id=MILESTONE, until=UNTIL)
    previous = {"previous": {**event.previous, "milestone_id": None}} if hasattr(event, "previous") else {}
    event = structs.replace(event, **previous, **{part: thing})
    again = encode(event, salt=row.salt)
    if part != "team":  # What a team said of limits then is said by its columns now.
        assert as_then(again.row.payload) == current_data(row), (again.row.payload, row.payload)
    assert b"milestone_id" not in again.row.payload
    assert again.task is None or REST_V1.task(thing) == again.task
    if part in shown:
        poorer = msgspec.json.decode(row.payload)[part]
        assert msgspec.json.decode(msgspec.json.encode(shown[part](thing))) == poorer
    seen.add(part)
assert seen == set(PARTS), seen
assert REST_V1.reuses_events

class Columns(msgspec.Struct):
    tasks: list[msgspec.Raw]
class Board(msgspec.Struct):
    columns: list[Columns]
tasks = [raw for text in json_of("boards.json").values()
         for column in msgspec.json.decode(text, type=Board).columns for raw in column.tasks]
for raw in tasks:
    task = msgspec.json.decode(raw, type=core.task.Task)
    richer_task = structs.replace(task, column_id=MILESTONE, milestone_id=MILESTONE, until=UNTIL)
    shown_then = bytes(raw)[:-1] + b',"column_id":"%s","due_on":null,"recurrence":null}' % str(MILESTONE).encode()
    assert REST_V1.task(richer_task) == shown_then
print("the same bytes,", len(tasks), "tasks")
"""


def test_a_field_more_in_the_domain_changes_neither_events_nor_answers() -> None:
    done = subprocess.run([sys.executable, "-c", RICHER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, _, number = done.stdout.rpartition(",")
    assert said == "the same bytes"
    assert int(number.split()[0]) > 5


def structs_within(info: inspect.Type, found: set[type]) -> set[type]:
    """All Structs that a value of a type can hold."""
    if isinstance(info, inspect.StructType):
        if info.cls in found:
            return found
        found.add(info.cls)
        inner: list[Any] = [field.type for field in info.fields]
    else:
        inner = [getattr(info, name) for name in info.__struct_fields__]
    for one in inner:
        for part in one if isinstance(one, tuple) else (one,):
            if isinstance(part, inspect.Type):
                structs_within(part, found)
    return found


def test_no_answer_and_no_event_is_made_of_the_domains_own_structs() -> None:
    """A field of theirs would be shown to clients and written into topics as soon as it is there."""
    answers = [reply.body for one in all_operations() for reply in one.replies.values() if reply.body is not None]
    found = set[type]()
    for kind in (*answers, *map(data_type, EVENT_TYPES.values())):
        structs_within(inspect.type_info(kind), found)
    assert len(found) > 20
    assert not found & DOMAIN


class Canary(Struct):
    pages: dict[str, tuple[list[Task], ...] | None]
    again: "list[Canary]"


def test_the_lint_on_answers_looks_into_whatever_holds_a_struct() -> None:
    assert structs_within(inspect.type_info(Canary), set()) & DOMAIN == {Task}
