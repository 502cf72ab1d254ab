"""Which mails of notifications leave together, and how many within a time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils.compat as uuids

from core.mail_pace import MOST, Waiting, leaving

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, WINDOW = timedelta(minutes=1), timedelta(minutes=15)
SHED, ROOF = UUID(int=1), UUID(int=2)


def one(team: UUID = SHED, *, listed: bool = True, minutes: int = 0) -> Waiting:
    return Waiting(uuids.uuid7(), team, NOW + minutes * MINUTE, listed)


def test_lists_of_one_team_are_one_mail_and_take_along_what_would_have_waited() -> None:
    here, later, there, much_later = one(), one(minutes=1), one(ROOF), one(ROOF, minutes=9)
    mails = leaving([later, much_later, here, there], [], NOW, WINDOW).mails
    assert [list(mail) for mail in mails] == [[here, later], [there, much_later]]


def test_a_conversation_is_a_mail_of_its_own_and_waits_until_it_is_quiet() -> None:
    talk, other, talking, listed = one(listed=False), one(listed=False), one(listed=False, minutes=1), one()
    found = leaving([talk, other, talking, listed], [], NOW, WINDOW)
    assert sorted(len(mail) for mail in found.mails) == [1, 1, 1]
    assert talking not in [part for mail in found.mails for part in mail]
    assert (found.held, found.until) == ((), None)


def test_more_than_three_at_once_are_one_of_each_team() -> None:
    talks = [one(listed=False) for _ in range(MOST)]
    assert len(leaving(talks, [], NOW, WINDOW).mails) == MOST
    (mail,) = leaving([*talks, one(), one(minutes=1)], [], NOW, WINDOW).mails
    assert len(mail) == MOST + 2


def test_whoever_had_three_within_the_window_gets_the_next_one_when_the_first_is_that_old() -> None:
    left = [NOW - minutes * MINUTE for minutes in (14, 9, 3)]
    waiting = [one(), one(listed=False)]
    found = leaving(waiting, left, NOW, WINDOW)
    assert (list(found.mails), {part.id for part in found.held}) == ([], {part.id for part in waiting})
    assert found.until == NOW + MINUTE
    assert len(leaving(waiting, left[1:], NOW, WINDOW).mails) == 1, "together, because only one has room"


def test_teams_that_have_no_room_wait_for_the_window() -> None:
    teams = [UUID(int=number) for number in range(1, 6)]
    found = leaving([one(team) for team in teams], [], NOW, WINDOW)
    assert (len(found.mails), len(found.held), found.until) == (MOST, 2, NOW + WINDOW)


def test_without_a_window_all_leave_and_nothing_leaves_before_its_time() -> None:
    talks = [one(listed=False) for _ in range(9)]
    assert len(leaving(talks, [NOW] * 9, NOW, timedelta()).mails) == 9
    assert leaving([one(minutes=1)], [], NOW, WINDOW).mails == []
