"""The queue of deadlines against a sorted list."""

import random

import pytest

from ims_core.transactions.timers import TimerQueue


class Waiter:
    """Somebody to be told."""

    def fire(self, event: str) -> None:
        """Take no note."""


WAITER = Waiter()


def due(timers: TimerQueue, now: float) -> list[str]:
    told = list(timers.pop_due(now))
    assert all(waiter is WAITER for waiter, _ in told)
    return [event for _, event in told]


def test_an_empty_queue_has_no_deadline_and_nothing_due() -> None:
    timers = TimerQueue()
    assert timers.next_deadline() is None
    assert due(timers, 1e9) == []
    assert len(timers) == 0


def test_a_timer_is_due_at_its_deadline_and_not_before() -> None:
    timers = TimerQueue()
    timers.start(0.5, WAITER, "A", now=10.0)
    assert timers.next_deadline() == 10.5
    assert due(timers, 10.499) == []
    assert due(timers, 10.5) == ["A"]
    assert timers.next_deadline() is None


def test_timers_of_different_lengths_run_out_in_the_order_of_their_deadlines() -> None:
    timers = TimerQueue()
    timers.start(32.0, WAITER, "B", now=0.0)
    timers.start(0.5, WAITER, "A", now=0.0)
    timers.start(5.0, WAITER, "K", now=1.0)
    timers.start(0.5, WAITER, "A again", now=1.0)
    assert len(timers) == 4
    assert due(timers, 100.0) == ["A", "A again", "K", "B"]


def test_a_timer_started_while_others_run_out_is_served_in_the_same_go_when_it_is_due() -> None:
    timers = TimerQueue()
    timers.start(1.0, WAITER, "1", now=0.0)
    served = []
    for waiter, event in timers.pop_due(3.5):
        served.append(event)
        timers.start(1.0, waiter, str(int(event) + 1), now=float(event))
    assert served == ["1", "2", "3"]
    assert timers.next_deadline() == 4.0


def test_a_delay_of_zero_is_due_at_once() -> None:
    timers = TimerQueue()
    timers.start(0.0, WAITER, "now", now=7.0)
    assert due(timers, 7.0) == ["now"]


def read(event: str) -> tuple[float, int]:
    deadline, number = event.split()
    return float(deadline), int(number)


@pytest.mark.parametrize("seed", range(20))
def test_random_timers_come_back_sorted_each_once(seed: int) -> None:
    chance = random.Random(seed)
    timers = TimerQueue()
    now, waiting, served = 0.0, set(), []
    for number in range(400):
        now += chance.choice((0.0, 0.0, 0.1, 1.0))
        delay = chance.choice((0.5, 1.0, 4.0, 32.0, chance.random() * 10))
        timers.start(delay, WAITER, f"{now + delay} {number}", now)
        waiting.add((now + delay, number))
        assert timers.next_deadline() == min(waiting)[0]
        if chance.random() < 0.2:
            told = [read(event) for event in due(timers, now)]
            assert {item for item in waiting if item[0] <= now} == set(told)
            waiting.difference_update(told)
            served += told
        assert len(timers) == len(waiting)
    served += [read(event) for event in due(timers, 1e9)]
    assert [deadline for deadline, _ in served] == sorted(deadline for deadline, _ in served)
    assert len(set(served)) == len(served) == 400
    assert timers.next_deadline() is None
    assert not timers._queues, "no queue is kept for a length that nobody waits for"
