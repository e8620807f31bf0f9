"""The 20 ms clock: drift-free, catching up within bounds, asleep while nothing plays."""

from collections.abc import Callable

import pytest

from media.worker.ticker import MAX_CATCH_UP, Ticker


class Timer:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """An event loop's `time` and `call_at`, run by hand with a given lateness."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        self.timers.append((when, callback))
        return Timer()

    def run_next(self, late: float = 0.0) -> None:
        (when, callback) = self.timers.pop()
        self.now = max(self.now, when) + late
        callback()


class Member:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ticks: list[float] = []

    def tick(self, now: float) -> None:
        self.ticks.append(self.clock.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ticker(clock: Clock) -> Ticker:
    return Ticker(clock.call_at, clock.time, clock.time)


def test_the_first_tick_comes_at_once(clock: Clock, ticker: Ticker) -> None:
    member = Member(clock)
    ticker.add(member)
    clock.run_next()
    assert member.ticks == [100.0]


def test_lateness_does_not_add_up(clock: Clock, ticker: Ticker) -> None:
    member = Member(clock)
    ticker.add(member)
    for _ in range(1000):
        clock.run_next(late=0.003)
    assert len(member.ticks) == 1000
    assert member.ticks[-1] == pytest.approx(100.003 + 999 * 0.020)


def test_a_short_stall_is_caught_up(clock: Clock, ticker: Ticker) -> None:
    member = Member(clock)
    ticker.add(member)
    clock.run_next()
    clock.run_next(late=0.050)
    assert len(member.ticks) == 1 + 3
    clock.run_next()
    assert member.ticks[-1] == pytest.approx(100.080)


def test_a_long_stall_is_given_up(clock: Clock, ticker: Ticker) -> None:
    member = Member(clock)
    ticker.add(member)
    clock.run_next()
    clock.run_next(late=60.0)
    assert len(member.ticks) == 1 + MAX_CATCH_UP
    clock.run_next()
    assert member.ticks[-1] == pytest.approx(160.040)


def test_one_timer_serves_all_and_none_runs_without_members(clock: Clock, ticker: Ticker) -> None:
    members = [Member(clock) for _ in range(3)]
    for member in members:
        ticker.add(member)
    assert len(clock.timers) == 1
    clock.run_next()
    assert [len(member.ticks) for member in members] == [1, 1, 1]
    for member in members:
        ticker.discard(member)
    clock.run_next()
    assert clock.timers == []
    ticker.add(members[0])
    assert len(clock.timers) == 1


def test_a_member_may_leave_and_take_another_along_within_a_tick(clock: Clock, ticker: Ticker) -> None:
    other = Member(clock)

    class Leaver(Member):
        def tick(self, now: float) -> None:
            super().tick(now)
            ticker.discard(self)
            ticker.discard(other)

    leaver = Leaver(clock)
    ticker.add(leaver)
    ticker.add(other)
    clock.run_next()
    assert (len(leaver.ticks), len(other.ticks), len(ticker)) == (1, 0, 0)


def test_members_that_take_long_are_ticked_in_several_turns(clock: Clock, ticker: Ticker) -> None:
    class Slow(Member):
        def tick(self, now: float) -> None:
            super().tick(now)
            self.clock.now += 0.0006

    members = [Slow(clock) for _ in range(5)]
    for member in members:
        ticker.add(member)
    turns = [0]
    while turns[-1] < 5:
        clock.run_next()
        turns.append(sum(len(member.ticks) for member in members))
    assert turns == [0, 2, 4, 5]
    clock.run_next()
    assert [len(member.ticks) for member in members] == [2, 2, 1, 1, 1]
    assert members[0].ticks == pytest.approx([100.0, 100.02]), "the clock does not drift"


def test_a_member_that_fails_takes_no_other_along(clock: Clock, ticker: Ticker) -> None:
    class Broken(Member):
        def tick(self, now: float) -> None:
            raise RuntimeError("broken")

    before, broken, after = Member(clock), Broken(clock), Member(clock)
    for member in (before, broken, after):
        ticker.add(member)
    with pytest.raises(RuntimeError, match="broken"):
        clock.run_next()
    for _ in range(3):
        clock.run_next()
    assert [len(before.ticks), len(after.ticks), len(ticker)] == [3, 3, 2]
    assert after.ticks == pytest.approx([100.0, 100.02, 100.04])
