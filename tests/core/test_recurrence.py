"""Series of tasks: which date comes next and when, how a series passes on, and that it does so once."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest

from core.codec import decode, encode
from core.commands import (
    ArchiveTask,
    Asking,
    Batch,
    CreateTask,
    MoveTask,
    RepeatTask,
    RestoreTask,
    UndoTask,
    UpdateTask,
)
from core.decide import decide
from core.errors import Conflict, Contradiction, Forbidden
from core.events import AnyEvent, TaskArchived, TaskCreated, TaskRestored, TaskUpdated
from core.field_error import FieldError
from core.principal import Principal
from core.recurrence import Due, Recurrence, RecurrenceRule, When, begin, following, is_due, upcoming
from core.rules import dates_after, read_rule
from core.task import Status, Task, TaskFields, TaskPatch
from core.task_history import is_of_series
from core.team import evolve
from tests.support.clocks import first_moment, first_showing, pieces
from tests.support.core_team import MEMBER, OWNER, SALT, CoreTeam
from tests.support.proofs import share

UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
DAILY, MONDAYS = RecurrenceRule(rule="FREQ=DAILY"), RecurrenceRule(rule="FREQ=WEEKLY;BYDAY=MO")
MONDAY = date(2026, 3, 2)
DAY = timedelta(days=1)


def series(rule: str, due: Due, zone: ZoneInfo, count: int) -> list[Due]:
    """When the tasks of a series are due, each made right when the one before was."""
    found, recurrence = [due], begin(RecurrenceRule(rule=rule), due, zone)
    for _ in range(count):
        now = found[-1].due_at or datetime.combine(found[-1].due_on or date.max, datetime.min.time(), UTC)
        step = following(recurrence, zone, now)
        if step is None:
            break
        recurrence, due = step
        found.append(due)
    return found


def at(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def test_a_skipped_hour_is_the_first_moment_after_the_gap_and_the_next_day_has_its_own_time_again() -> None:
    found = series("FREQ=DAILY", Due(at("2026-03-28T02:30", BERLIN), None), BERLIN, 2)
    local = [due.due_at.astimezone(BERLIN).isoformat() for due in found if due.due_at is not None]
    assert local == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]


def test_a_doubled_hour_is_its_first_occurrence_once() -> None:
    found = series("FREQ=DAILY", Due(at("2026-10-24T02:30", BERLIN), None), BERLIN, 2)
    local = [due.due_at.astimezone(BERLIN).isoformat() for due in found if due.due_at is not None]
    assert local == ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_a_count_counts_the_first_date_too_and_until_is_included() -> None:
    due = Due(None, MONDAY)
    assert [one.due_on for one in series("FREQ=DAILY;COUNT=3", due, UTC_ZONE, 9)] == [
        MONDAY,
        MONDAY + DAY,
        MONDAY + 2 * DAY,
    ]
    assert len(series("FREQ=DAILY;UNTIL=20260305", due, UTC_ZONE, 9)) == 4


def test_dates_that_have_gone_by_are_passed_over_and_counted() -> None:
    recurrence = begin(RecurrenceRule(rule="FREQ=DAILY;COUNT=10"), Due(None, MONDAY), UTC_ZONE)
    found = following(recurrence, UTC_ZONE, at("2026-03-07T12:00", UTC_ZONE))
    assert found is not None
    assert (found[0].on, found[0].number, found[1].due_on) == (date(2026, 3, 7), 6, date(2026, 3, 7))
    assert following(recurrence, UTC_ZONE, at("2026-03-20T12:00", UTC_ZONE)) is None


@pytest.mark.parametrize("time_of_day", [None, time(23, 30)], ids=["dates", "instants"])
@pytest.mark.parametrize("start", [date(1970, 1, 1), date(2019, 12, 31), date(2026, 3, 6)], ids=str)
@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=7",
        "FREQ=DAILY;BYMONTH=2,5",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=MO,SU",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=DAILY;COUNT=1000",
        "FREQ=DAILY;UNTIL=20200101",
        "FREQ=DAILY;UNTIL=20260307",
    ],
)
def test_of_dates_that_went_by_there_is_no_task_however_many_they_are(
    rule: str, start: date, time_of_day: time | None
) -> None:
    """Against a walk through all dates of the rule."""
    now = at("2026-03-07T12:00", BERLIN)
    recurrence = Recurrence(rule=rule, start=start, on=start, time=time_of_day)
    read = read_rule(rule)
    dates = list(islice(dates_after(read, start, start), 30_000 if read.count is None else read.count - 1))
    ahead = [(number, day) for number, day in enumerate(dates, 2) if day >= date(2026, 3, 7)]
    found = following(recurrence, BERLIN, now)
    assert (found and found[0].on) == (ahead[0][1] if ahead else None)
    assert upcoming(recurrence, BERLIN, now, 5) == [day for _, day in ahead[:5]]
    if found is not None and ahead[0][0] <= 2_000:
        assert found[0].number == ahead[0][0]


@pytest.mark.parametrize(
    ("rule", "due"),
    [
        ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30", Due(None, MONDAY)),
        ("FREQ=DAILY;COUNT=1", Due(None, MONDAY)),
        ("FREQ=DAILY;UNTIL=20260302", Due(None, MONDAY)),
        ("FREQ=DAILY", Due(None, None)),
    ],
)
def test_a_series_that_would_not_go_on_does_not_begin(rule: str, due: Due) -> None:
    with pytest.raises(ValueError, match=r"no date|give it a due_on"):
        begin(RecurrenceRule(rule=rule), due, UTC_ZONE)


def test_a_rule_that_is_not_accepted_names_its_field() -> None:
    with pytest.raises(FieldError) as caught:
        RecurrenceRule(rule="FREQ=SECONDLY")
    assert caught.value.field == "rule"


def repeat(team: CoreTeam, task: Task, now: datetime) -> list[AnyEvent]:
    """What the system asks for, decided and merged."""
    team.now = max(team.now, now)
    draft = team.state.fork()
    asking = Asking(Principal.of_system(OWNER), team.now, team.new_id)
    events = decide(draft, RepeatTask(task.id, now), asking)
    for event in events:
        evolve(draft, event)
        assert decode(encode(event, salt=SALT).row).thing == event.thing
    team.journal.extend(encode(event, salt=SALT) for event in events)
    team.state = draft.merge()
    return events


def when_over(task: Task) -> datetime:
    assert task.due_on is not None
    return datetime.combine(task.due_on + DAY, datetime.min.time(), UTC)


def test_a_series_passes_on_when_its_task_is_due_and_once() -> None:
    team = CoreTeam()
    task = team.task("Water the plants", due_on=MONDAY, recurrence=MONDAYS, assignee_id=MEMBER, priority="high")
    assert task.recurrence == Recurrence(rule="FREQ=WEEKLY;BYDAY=MO", start=MONDAY, on=MONDAY)
    assert repeat(team, task, when_over(task) - timedelta(seconds=1)) == []
    created, passed_on = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    assert isinstance(passed_on, TaskUpdated)
    new = created.task
    assert (new.title, new.assignee_id, new.priority, new.status) == ("Water the plants", MEMBER, "high", "open")
    assert (new.due_on, new.number, new.key) == (MONDAY + 7 * DAY, task.number + 1, f"ENG-{task.number + 1}")
    assert new.recurrence == Recurrence(rule=MONDAYS.rule, start=MONDAY, on=MONDAY + 7 * DAY, number=2)
    assert passed_on.previous == {"recurrence": task.recurrence}
    assert passed_on.task.recurrence is not None
    assert passed_on.task.recurrence.next_id == new.id
    assert repeat(team, task, when_over(task) + DAY) == []


def test_a_series_passes_on_when_its_task_is_done_and_not_before() -> None:
    team = CoreTeam()
    weekly = RecurrenceRule(rule="FREQ=WEEKLY;BYDAY=MO", when="done")
    task = team.task(due_on=MONDAY, recurrence=weekly)
    assert repeat(team, task, when_over(task) + DAY) == []
    team.ask(MoveTask(task_id=task.id, status="done"))
    created, _ = repeat(team, task, when_over(task) + 2 * DAY)
    assert isinstance(created, TaskCreated)
    assert (created.task.due_on, created.task.status, created.task.completed_at) == (MONDAY + 7 * DAY, "open", None)


def test_a_series_passes_on_when_its_task_is_cancelled() -> None:
    """To leave one out is not to give the series up: whoever means that takes the recurrence away."""
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=RecurrenceRule(rule="FREQ=WEEKLY", when="done"))
    team.ask(MoveTask(task_id=task.id, status="cancelled"))
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    assert (created.task.due_on, created.task.status) == (MONDAY + 7 * DAY, "open")


@pytest.mark.parametrize("when", ["due", "done"])
@pytest.mark.parametrize("status", ["done", "cancelled"])
def test_a_finished_task_that_is_archived_leaves_its_series_on_the_board(when: When, status: Status) -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=RecurrenceRule(rule="FREQ=WEEKLY", when=when))
    team.ask(MoveTask(task_id=task.id, status=status))
    created, passed_on, archived = team.ask(ArchiveTask(task.id))
    assert isinstance(created, TaskCreated)
    assert isinstance(passed_on, TaskUpdated)
    assert isinstance(archived, TaskArchived)
    assert (created.task.due_on, created.task.status, created.task.archived_at) == (MONDAY + 7 * DAY, "open", None)
    assert archived.task.recurrence is not None
    assert archived.task.recurrence.next_id == created.task.id
    assert archived.previous == {"archived_at": None}
    (restored,) = team.ask(UndoTask(task_id=task.id, user_id=OWNER))
    assert isinstance(restored, TaskRestored)
    assert repeat(team, restored.task, when_over(task)) == []


def test_an_unfinished_task_takes_its_series_off_the_board_and_back() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    (archived,) = team.ask(ArchiveTask(task.id))
    assert isinstance(archived, TaskArchived)
    assert repeat(team, task, when_over(task)) == []
    (restored,) = team.ask(RestoreTask(task.id))
    assert isinstance(restored, TaskRestored)
    assert len(repeat(team, restored.task, when_over(task))) == 2


def test_a_batch_that_archives_and_creates_names_its_own_task() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    team.ask(MoveTask(task_id=task.id, status="done"))
    events = team.ask(Batch((ArchiveTask(task.id), CreateTask(TaskFields(title="Mine")))))
    created = [event for event in events if isinstance(event, TaskCreated)]
    assert [is_of_series(event) for event in created] == [True, False]


def test_a_rule_for_a_task_whose_series_has_passed_on_is_refused_naming_who_has_it() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    second, _ = repeat(team, task, when_over(task))
    assert isinstance(second, TaskCreated)
    third, _ = repeat(team, second.task, when_over(second.task))
    assert isinstance(third, TaskCreated)
    for wanted in (RecurrenceRule(rule="FREQ=WEEKLY"), RecurrenceRule(rule=DAILY.rule, when="done"), None):
        with pytest.raises(Conflict, match=third.task.key) as caught:
            patched(team, task, recurrence=wanted)
        assert (caught.value.reason, caught.value.task_id) == ("series-passed-on", third.task.id)
    assert patched(team, task, recurrence=DAILY) is None, "the same rule again is no change"
    anew = patched(team, task, recurrence=MONDAYS, due_on=MONDAY + 14 * DAY)
    assert anew is not None
    assert anew.recurrence is not None
    assert (anew.recurrence.start, anew.recurrence.next_id) == (MONDAY + 14 * DAY, None)


def test_a_series_that_has_ended_stands_in_nobodys_way() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    patched(team, created.task, recurrence=None)
    anew = patched(team, task, recurrence=MONDAYS)
    assert anew is not None
    assert len(repeat(team, anew, when_over(task))) == 2


def test_a_series_whose_bearer_has_left_the_board_is_still_not_begun_twice() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    team.ask(ArchiveTask(created.task.id))
    with pytest.raises(Conflict, match="another task") as caught:
        patched(team, task, recurrence=MONDAYS)
    assert caught.value.task_id == created.task.id


def test_a_series_of_dates_becomes_one_of_instants_with_its_task_and_back() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    timed = patched(team, task, due_on=None, due_at=at("2026-03-02T09:30", UTC_ZONE))
    assert timed is not None
    assert timed.recurrence == Recurrence(rule=DAILY.rule, start=MONDAY, on=MONDAY, time=time(9, 30))
    later = patched(team, timed, due_at=at("2026-03-02T11:00", UTC_ZONE))
    assert later is not None
    assert later.recurrence == timed.recurrence, "putting it off moves this task alone"
    created, _ = repeat(team, later, at("2026-03-02T11:00", UTC_ZONE))
    assert isinstance(created, TaskCreated)
    assert (created.task.due_at, created.task.due_on) == (at("2026-03-03T09:30", UTC_ZONE), None)
    dated = patched(team, created.task, due_at=None, due_on=MONDAY + DAY)
    assert dated is not None
    assert dated.recurrence is not None
    assert dated.recurrence.time is None


def test_the_end_of_a_series_is_taken_off_its_last_task() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=RecurrenceRule(rule="FREQ=DAILY;COUNT=2"))
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    (ended,) = repeat(team, created.task, when_over(created.task))
    assert isinstance(ended, TaskUpdated)
    assert ended.task.recurrence is None
    assert repeat(team, created.task, when_over(created.task) + DAY) == []


def patched(team: CoreTeam, task: Task, **fields: Any) -> Task | None:
    events = team.ask(UpdateTask(task.id, TaskPatch(**fields)))
    return events[0].task if events and isinstance(events[0], TaskUpdated) else None


def test_a_task_that_is_put_off_keeps_its_place_in_the_series() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=MONDAYS)
    late = patched(team, task, due_on=MONDAY + 2 * DAY)
    assert late is not None
    assert late.recurrence == task.recurrence
    created, _ = repeat(team, late, when_over(late))
    assert isinstance(created, TaskCreated)
    assert created.task.due_on == MONDAY + 7 * DAY
    assert patched(team, created.task, recurrence=MONDAYS) is None, "the same rule again is no change"
    anew = patched(team, created.task, recurrence=MONDAYS, due_on=date(2026, 4, 1))
    assert anew is not None
    assert anew.recurrence is not None
    assert (anew.recurrence.start, anew.recurrence.number) == (date(2026, 4, 1), 1)


def test_a_task_that_recurs_stays_due() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    for fields in ({"due_on": None}, {"due_on": None, "recurrence": DAILY}):
        with pytest.raises(Contradiction) as caught:
            patched(team, task, **fields)
        assert caught.value.pointer == "/recurrence"
    with pytest.raises(Contradiction):
        team.task(recurrence=DAILY)
    free = patched(team, task, due_on=None, recurrence=None)
    assert free is not None
    assert free.recurrence is None


def test_nobody_but_the_system_makes_the_next_task() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    with pytest.raises(Forbidden):
        team.ask(RepeatTask(task.id, when_over(task)))


def test_undo_takes_back_what_somebody_did_and_never_what_the_series_did() -> None:
    team = CoreTeam()
    task = team.task("Before", due_on=MONDAY, recurrence=DAILY)
    patched(team, task, title="After")
    _, passed_on = repeat(team, task, when_over(task))
    (undone,) = team.ask(UndoTask(task_id=task.id, user_id=OWNER))
    assert isinstance(undone, TaskUpdated)
    assert undone.task.title == "Before"
    assert isinstance(passed_on, TaskUpdated)
    assert undone.task.recurrence == passed_on.task.recurrence
    with pytest.raises(Conflict) as caught:
        team.ask(UndoTask(task_id=task.id, seq=passed_on.seq, user_id=OWNER))
    assert caught.value.reason == "undo-conflict"


def test_undo_puts_no_task_away_that_its_series_has_made() -> None:
    team = CoreTeam()
    task = team.task(due_on=MONDAY, recurrence=DAILY)
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    for seq, reason in ((None, "nothing-to-undo"), (created.seq, "undo-conflict")):
        with pytest.raises(Conflict) as caught:
            team.ask(UndoTask(task_id=created.task.id, seq=seq, user_id=OWNER))
        assert caught.value.reason == reason


def test_what_is_gone_meanwhile_does_not_come_back_and_no_limit_holds_the_next_one_up() -> None:
    team = CoreTeam()
    parent, blocker = team.task("Parent"), team.task("Blocker")
    task = team.task(due_on=MONDAY, recurrence=DAILY, parent_id=parent.id, blocked_by=(blocker.id,))
    created, _ = repeat(team, task, when_over(task))
    assert isinstance(created, TaskCreated)
    assert (created.task.parent_id, created.task.blocked_by, created.task.external_id) == (parent.id, (), None)
    assert repeat(team, parent, when_over(task)) == []
    asking = Asking(Principal.of_system(OWNER), team.now, team.new_id)
    assert decide(team.state.fork(), RepeatTask(UUID(int=5), team.now), asking) == []


NAMES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
FIRST, DAYS = date(2026, 1, 1), 731
"""Two years."""


def check(due: Due, zone: ZoneInfo, dues: Sequence[Due], moments: Sequence[datetime]) -> None:
    """A daily series has these dates, and the time for each next task comes at these moments and not before."""
    recurrence = begin(DAILY, due, zone)
    for number, moment in enumerate(moments):
        assert due == dues[number], (zone, number)
        assert is_due(recurrence, due, False, zone, moment), (zone, number)
        assert not is_due(recurrence, due, False, zone, moment - timedelta(milliseconds=1)), (zone, number)
        step = following(recurrence, zone, moment)
        assert step is not None
        recurrence, due = step


@pytest.mark.proof
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("local", [time(7), time(2, 30), time(0, 15)], ids=str)
def test_a_daily_task_is_due_at_its_local_time_on_each_day_of_two_years_in_all_zones(local: time) -> None:
    for name in NAMES[:: max(1, len(NAMES) // share(len(NAMES)))]:
        changes = pieces(name, 2025, 2029, DAY)
        moments = [first_showing(datetime.combine(FIRST + DAY * n, local), changes) for n in range(DAYS)]
        dues = [Due(moment, None) for moment in moments]
        check(dues[0], ZoneInfo(name), dues, moments)


@pytest.mark.proof
@pytest.mark.timeout(3000)
def test_a_daily_date_is_over_with_its_day_on_each_day_of_two_years_in_all_zones() -> None:
    for name in NAMES[:: max(1, len(NAMES) // share(len(NAMES)))]:
        changes = pieces(name, 2025, 2029, DAY)
        dues = [Due(None, FIRST + DAY * n) for n in range(DAYS)]
        check(dues[0], ZoneInfo(name), dues, [first_moment(FIRST + DAY * (n + 1), changes) for n in range(DAYS)])
