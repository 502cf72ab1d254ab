"""What travels is not what the domain remembers: one more field there changes no byte outside."""

import subprocess
import sys

from tests.support.source import ROOT

# Runs in an interpreter of its own: it gives the domain's Structs a field more before anything else knows them.
RICHER = """
import datetime
import uuid
import msgspec
import core.events
import core.task
from msgspec import structs

COLUMN, DUE = uuid.UUID(int=7), datetime.date(2026, 5, 1)

def richer(kind):
    fields = [("column_id", uuid.UUID | None, None), ("due_on", datetime.date | None, None)]
    return msgspec.defstruct(kind.__name__, fields, bases=(kind,), module=kind.__module__, kw_only=True, frozen=True)

core.task.Task = core.events.Task = richer(core.task.Task)
core.events.Member = richer(core.events.Member)
core.events.Label = richer(core.events.Label)
core.events.Team = richer(core.events.Team)

from api import rest_v1
from api.rest_v1 import REST_V1
from core.codec import decode, encode
from tests.fixtures.foundation.reading import golden_row, json_of, lines_of

PARTS = ("task", "member", "label", "team")
shown = {"member": rest_v1.member, "label": rest_v1.label}
seen = set()
for line in lines_of("events.jsonl"):
    row = golden_row(line)
    event = decode(row)
    part = next(name for name in PARTS if hasattr(event, name))
    thing = structs.replace(getattr(event, part), column_id=COLUMN, due_on=DUE)
    event = structs.replace(event, previous={**event.previous, "column_id": None}, **{part: thing})
    again = encode(event, salt=row.salt)
    assert again.row.payload == row.payload, (again.row.payload, row.payload)
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
    assert REST_V1.task(structs.replace(task, column_id=COLUMN, due_on=DUE)) == bytes(raw)
print("the same bytes,", len(tasks), "tasks")
"""


def test_a_field_more_in_the_domain_changes_neither_events_nor_answers() -> None:
    done = subprocess.run([sys.executable, "-c", RICHER], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, _, number = done.stdout.rpartition(",")
    assert said == "the same bytes"
    assert int(number.split()[0]) > 5
