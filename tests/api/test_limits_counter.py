"""The numbers of rate limits by a clock that stands still unless it is told to go on."""

import random

import pytest

from api.limits.counter import FREE_FRACTION, Counter, Sharing
from api.limits.policies import Policy, policies_of
from api.limits.settings import LimitSettings
from api.limits.tables import LOOK_SECONDS, Table

ALONE = Sharing()
LOGIN = Policy("login", 10, 60)
DEFAULT = Policy("default", 6_000, 60)


def said(counter: Counter) -> tuple[str, str]:
    return tuple(value.decode() for _, value in counter.headers)  # type: ignore[return-value]


def admitted(counter: Counter, now: float, times: int, sharing: Sharing = ALONE) -> int:
    """How many of so many requests are admitted, as the door asks: what is free first."""
    count = 0
    for _ in range(times):
        if counter.free > 0 and now < counter.stale:
            counter.free -= 1
            count += 1
        else:
            count += counter.admit(now, sharing)
    return count


def test_a_small_quota_is_counted_to_the_last_request() -> None:
    counter = Counter(LOGIN, "192.0.2.1", 100.0)
    for left in range(9, -1, -1):
        assert counter.admit(100.0, ALONE)
        assert said(counter) == ('"login";q=10;w=60', f'"login";r={left};t=60')
    assert not counter.admit(100.0, ALONE)
    assert said(counter) == ('"login";q=10;w=60', '"login";r=0;t=60')


def test_a_window_ends_by_the_clock_and_the_next_begins_with_its_first_request() -> None:
    counter = Counter(LOGIN, "192.0.2.1", 100.0)
    assert admitted(counter, 100.0, 12) == 10
    assert not counter.admit(159.5, ALONE)
    assert said(counter)[1] == '"login";r=0;t=1'
    assert counter.seconds_left(130.2) == 30
    assert counter.admit(160.0, ALONE)
    assert said(counter)[1] == '"login";r=9;t=60'
    assert admitted(counter, 219.9, 20) == 9
    assert admitted(counter, 220.0, 20) == 10


def test_what_is_said_to_remain_is_never_more_than_what_does_and_a_hundredth_less_at_most() -> None:
    counter, now, step = Counter(DEFAULT, "somebody", 0.0), 0.0, 60
    for count in range(1, 6_001):
        now += 0.001
        assert admitted(counter, now, 1) == 1
        shown = int(said(counter)[1].split("r=")[1].split(";")[0])
        assert 6_000 - count - step < shown <= 6_000 - count
    assert admitted(counter, now, 100) == 0
    assert said(counter)[1].startswith('"default";r=0;')


def test_what_is_said_of_the_time_is_at_most_a_second_old() -> None:
    counter = Counter(DEFAULT, "somebody", 0.0)
    for tenths in range(600):
        admitted(counter, tenths / 10, 1)
        shown = int(said(counter)[1].split("t=")[1])
        assert 0 <= shown - (60 - tenths / 10) < 2


def test_most_requests_find_their_headers_ready() -> None:
    counter, looks = Counter(DEFAULT, "somebody", 0.0), 0
    for _ in range(6_000):
        if counter.free > 0 and counter.stale > 0.5:
            counter.free -= 1
        else:
            looks += 1
            assert counter.admit(0.5, ALONE)
    assert looks <= 110


def test_a_refused_request_counts_for_nothing() -> None:
    counter = Counter(LOGIN, "192.0.2.1", 0.0)
    assert admitted(counter, 0.0, 1_000) == 10
    assert (counter.used, counter.unsent) == (10, 10)


class TestCutOff:
    def test_a_process_admits_its_part_of_the_quota_and_no_more(self) -> None:
        sharing = Sharing("cut-off", 4)
        counter = Counter(LOGIN, "192.0.2.1", 0.0)
        assert admitted(counter, 0.0, 100, sharing) == 3
        assert said(counter)[1] == '"login";r=0;t=60'
        assert admitted(counter, 60.0, 100, sharing) == 3

    def test_a_quota_of_one_is_one_for_everybody(self) -> None:
        assert admitted(Counter(Policy("login", 1, 60), "x", 0.0), 0.0, 9, Sharing("cut-off", 4)) == 1

    def test_what_was_learned_before_still_counts(self) -> None:
        sharing, counter = Sharing("shared", 2), Counter(LOGIN, "192.0.2.1", 0.0)
        assert counter.admit(0.0, sharing)
        counter.learn(0.1, 1, 9, 59.9)
        sharing.state = "cut-off"
        assert admitted(counter, 0.2, 10, sharing) == 1


class TestShared:
    def test_an_eighth_may_be_admitted_before_anybody_is_told(self) -> None:
        sharing, counter = Sharing("shared", 2), Counter(DEFAULT, "somebody", 0.0)
        assert admitted(counter, 0.0, 6_000, sharing) == 750
        assert counter.remaining(sharing) == 5_250
        counter.account()
        counter.learn(0.1, counter.unsent, 3_000, 59.9)
        assert admitted(counter, 0.2, 6_000, sharing) == 375

    def test_what_others_have_used_is_said_to_be_gone(self) -> None:
        sharing, counter = Sharing("shared", 2), Counter(LOGIN, "192.0.2.1", 0.0)
        assert counter.admit(0.0, sharing)
        counter.learn(0.1, 1, 7, 30.0)
        assert counter.admit(0.2, sharing)
        assert said(counter)[1] == '"login";r=2;t=30'
        counter.learn(0.3, 1, 10, 29.8)
        assert not counter.admit(0.4, sharing)
        assert counter.seconds_left(0.4) == 30
        assert counter.admit(30.2, sharing)

    def test_nothing_that_valkey_says_admits_more_than_the_quota_in_a_window(self) -> None:
        """Counts that vanish, go back, or end at once."""
        sharing, counter, chance = Sharing("shared", 2), Counter(LOGIN, "192.0.2.1", 0.0), random.Random(7)
        count = 0
        for moment in range(1, 590):
            now = moment / 10
            count += admitted(counter, now, 3, sharing)
            counter.account()
            counter.learn(now, counter.unsent, chance.choice([0, 1, -5, counter.unsent]), chance.choice([-1, 0, 0.01]))
        assert count == 10

    def test_a_forged_count_refuses_for_one_window_at_most(self) -> None:
        sharing, counter = Sharing("shared", 2), Counter(LOGIN, "192.0.2.1", 0.0)
        assert counter.admit(0.0, sharing)
        counter.learn(0.1, 1, 10**15, 10.0**9)
        assert not counter.admit(60.0, sharing)
        assert counter.headers[1][1].endswith(b"r=0;t=1")
        assert counter.admit(60.1, sharing)

    def test_a_count_that_valkey_lost_is_told_again(self) -> None:
        sharing, counter = Sharing("shared", 2), Counter(LOGIN, "192.0.2.1", 0.0)
        for _ in range(4):
            assert counter.admit(0.0, sharing)
            counter.learn(0.0, 1, counter.known + 1, 60.0)
        assert counter.admit(5.0, sharing)
        counter.learn(5.0, 1, 1, 60.0)
        assert counter.unsent == 4
        counter.learn(5.1, 4, 5, 59.0)
        assert (counter.unsent, counter.known) == (0, 5)
        assert admitted(counter, 6.0, 10, sharing) == 0, "the other process may have admitted five as well"
        assert admitted(counter, 64.2, 10, sharing) == 1

    @pytest.mark.parametrize("processes", [2, 3, 8])
    @pytest.mark.parametrize("quota", [1, 10, 100, 6_000])
    def test_processes_together_admit_an_eighth_more_for_each_further_one_at_most(
        self, processes: int, quota: int
    ) -> None:
        """Whenever they exchange, however late, and however the requests fall on them."""
        chance = random.Random(processes * quota)
        for _ in range(30 if quota < 6_000 else 3):
            sharing, policy = Sharing("shared", processes), Policy("login", quota, 60)
            counters = [Counter(policy, "x", 0.0) for _ in range(processes)]
            total, count, lazy = 0, 0, chance.random()
            for _ in range(min(10 * quota, 2_000) + 50):
                counter = counters[int(processes * chance.random() ** 2)]
                count += admitted(counter, 1.0, chance.choice([1, 1, quota // 50 + 1]), sharing)
                if chance.random() > lazy:
                    counter.account()
                    total += counter.unsent
                    counter.learn(1.0, counter.unsent, total, 59.0)
            assert count <= quota + (processes - 1) * max(1, quota // FREE_FRACTION)


class TestTables:
    @pytest.fixture
    def table(self) -> Table:
        return Table(LOGIN, most=80)

    def fill(self, table: Table, now: float, count: int, times: int, name: str) -> None:
        for number in range(count):
            admitted(table.counter(f"{name}-{number}", now), now, times)

    def test_a_table_holds_only_so_many(self, table: Table) -> None:
        self.fill(table, 0.0, 100_000, 1, "flood")
        assert len(table.counters) <= 80

    def test_a_flood_of_addresses_takes_no_room_from_an_attack_under_way(self, table: Table) -> None:
        self.fill(table, 0.0, 5, 10, "attacker")
        self.fill(table, 1.0, 10_000, 1, "flood")
        assert all(not table.counter(f"attacker-{number}", 2.0).admit(2.0, ALONE) for number in range(5))

    def test_when_all_are_attacks_newcomers_share_one_counter(self, table: Table) -> None:
        self.fill(table, 0.0, 80, 10, "attacker")
        newcomers = {id(table.counter(f"new-{number}", 1.0)) for number in range(1_000)}
        assert len(newcomers) == 1
        assert sum(admitted(table.counter(f"new-{number}", 1.0), 1.0, 1) for number in range(1_000)) == 10
        assert len(table.counters) == 80

    def test_a_table_that_is_full_of_attacks_is_not_searched_again_for_every_newcomer(
        self, table: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fill(table, 0.0, 80, 10, "attacker")
        searches: list[float] = []
        monkeypatch.setattr(table, "forget_idle", searches.append)
        for number in range(1_000):
            table.counter(f"new-{number}", 1.0 + number / 1_000)
        assert len(searches) <= 1 + 1 / LOOK_SECONDS

    def test_newcomers_get_counters_again_once_windows_have_ended(self, table: Table) -> None:
        self.fill(table, 0.0, 80, 10, "attacker")
        table.counter("new", 1.0)
        table.counter("new", 61.0)
        assert list(table.counters) == ["new"]

    def test_idle_counters_leave(self, table: Table) -> None:
        self.fill(table, 0.0, 50, 1, "early")
        self.fill(table, 30.0, 20, 1, "late")
        table.forget_idle(60.0)
        assert len(table.counters) == 20


def test_a_limit_of_zero_is_none() -> None:
    names = policies_of(LimitSettings(login=0, address=0)).keys()
    assert {"login", "address"}.isdisjoint(names)
    assert {"default", "login-account", "refresh"} <= names
