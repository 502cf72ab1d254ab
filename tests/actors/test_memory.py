"""What a board is made of must not be looked through by the garbage collector: that once stopped answers for 140 ms."""

import gc
from datetime import UTC, datetime
from typing import Any

import uuid_utils.compat as uuids

from core.codec import encode
from core.events import TaskCreated
from core.task import Task


def test_tasks_and_events_are_not_tracked() -> None:
    team, person, now = uuids.uuid7(), uuids.uuid7(), datetime.now(UTC)
    common: dict[str, Any] = {"created_by": person, "created_at": now, "updated_at": now}
    task = Task(id=uuids.uuid7(), team_id=team, number=1, key="E-1", title="t", rank="a0", version=1, **common)
    encoded = encode(TaskCreated(team_id=team, seq=1, actor_id=person, at=now, task=task), salt=bytes(16))
    assert not any(map(gc.is_tracked, (task, encoded, encoded.event, encoded.row)))
