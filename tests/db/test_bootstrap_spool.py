"""What events add up to in a file is what they add up to in memory, at every place and whatever the pages are."""

from pathlib import Path

import pytest
from msgspec import structs

from core.checkpoints import canonical, event_of
from core.commands import DeleteTask
from tests.core.test_checkpoints import a_history
from tests.support.bootstraps import spooled
from tests.support.checkpoints import by_pages, forgotten, ledger_of
from tests.support.core_team import CoreTeam, every_event


@pytest.mark.parametrize("size", [1, 7, 50, 1_000])
def test_the_checkpoint_of_a_spool_is_that_of_the_worker(tmp_path: Path, size: int) -> None:
    rows = [encoded.row for encoded in every_event().journal]
    for count in {1, 2, 30, 150, len(rows)}:
        with spooled(tmp_path, rows[:count], size) as spool:
            assert spool.checkpoint() == by_pages(rows[:count], 7)


def test_its_things_are_those_of_the_whole_fold(tmp_path: Path) -> None:
    rows = [encoded.row for encoded in every_event().journal]
    ledger = ledger_of(rows)
    with spooled(tmp_path, rows) as spool:
        found = {(one.kind, one.id): one.text for portion in spool.things() for one in portion}
    assert found == {(kind, str(one)): canonical(thing) for (kind, one), thing in ledger.things.there.items()}
    assert list(found) == sorted(found)
    assert {kind for kind, _ in found} == {kind for kind, _ in ledger.things.there}


def test_a_redacted_history_adds_up_to_the_same(tmp_path: Path) -> None:
    rows, subjects = a_history()
    with spooled(tmp_path, rows) as before, spooled(tmp_path, forgotten(rows, subjects)) as after:
        assert before.checkpoint() == after.checkpoint()
        assert before.checkpoint().redacted_seq > 0


def test_a_task_that_goes_takes_along_what_hangs_on_it(tmp_path: Path) -> None:
    team = CoreTeam()
    task = team.task("Gone")
    team.comment(task.id)
    rows = [encoded.row for encoded in team.journal]
    with spooled(tmp_path, rows) as spool:
        assert {one.kind for portion in spool.things() for one in portion if one.task_id} == {"comment"}
        team.ask(DeleteTask(task.id))
        spool.take([team.journal[-1].row])
        assert not [one for portion in spool.things() for one in portion if one.kind in {"task", "comment"}]


def test_a_team_that_ends_leaves_nothing(tmp_path: Path) -> None:
    """Between the event and the row that says so, a bootstrap still reads the team."""
    rows = [encoded.row for encoded in every_event(ended=True).journal]
    with spooled(tmp_path, rows[:-1]) as spool:
        spool.take(rows[-1:])
        assert not [one for portion in spool.things() for one in portion if one.kind != "team"]


def test_an_event_that_is_missing_doubled_or_without_a_digest_is_refused(tmp_path: Path) -> None:
    rows, _ = a_history()
    bare = structs.replace(rows[2], salt=b"", digest=b"")
    for spoiled in ([*rows[:2], *rows[3:]], [*rows[:3], rows[2]], [*rows[:2], bare]):
        with pytest.raises(ValueError, match="does not follow"), spooled(tmp_path, spoiled):
            pytest.fail("it was taken")
    assert event_of(rows[2]).seq == 3
