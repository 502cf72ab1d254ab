"""The data of events is a shape of its own: golden events keep their bytes, and new fields need a decision."""

from typing import Any, Final

import msgspec
import pytest
from msgspec import Struct

from core import event_data, events, task
from core.codec import current_data, decode, encode
from tests.fixtures.foundation.reading import as_then, golden_row, lines_of

GOLDEN: Final = lines_of("events.jsonl")
NAMES: Final = [f"{line['row']['type']} {line['row']['seq']}: {line['why']}" for line in GOLDEN]

# Fields of the domain that are not in the data of events, and what they are folded from instead.
DERIVED: Final[dict[str, str]] = {}


@pytest.mark.parametrize("line", GOLDEN, ids=NAMES)
def test_a_golden_event_has_the_same_bytes_when_it_is_written_again(line: Any) -> None:
    row = golden_row(line)
    again = encode(decode(row), row.traceparent, salt=row.salt)
    if row.type == "team.updated":  # It carried limits instead of the team's policy.
        now = msgspec.json.decode(current_data(row))
        assert now.pop("limits") == msgspec.json.decode(row.payload)["team"]["wip_limits"]
        assert msgspec.json.decode(as_then(again.row.payload)) == now
        return
    assert as_then(again.row.payload) == current_data(row)
    assert again.task is None or again.task in again.row.payload
    assert row.type == "task.deleted" or as_then(again.row.payload) == row.payload


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        (task.Task, event_data.Task),
        (events.Member, event_data.Member),
        (events.Label, event_data.Label),
        (events.Team, event_data.Team),
    ],
    ids=["task", "member", "label", "team"],
)
def test_whatever_the_domain_remembers_comes_back_from_events(source: type[Struct], shape: type[Struct]) -> None:
    """A field that no event carries is gone for the next process that folds the team, unless it follows from others."""
    names = {f"{source.__name__}.{name}" for name in source.__struct_fields__}
    carried = {f"{source.__name__}.{name}" for name in shape.__struct_fields__}
    assert names - carried == {name for name in DERIVED if name.startswith(f"{source.__name__}.")}
