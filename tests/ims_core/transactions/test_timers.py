"""The queue of deadlines against a sorted list."""

import random

import pytest

from ims_core.transactions.timers import TimerQueue


def test_an_empty_queue_has_no_deadline_and_nothing_due() -> None:
    timers: TimerQueue[str] = TimerQueue()
    assert timers.next_deadline() is None
    assert list(timers.pop_due(1e9)) == []
    assert len(timers) == 0


def test_a_timer_is_due_at_its_deadline_and_not_before() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.start(0.5, "A", now=10.0)
    assert timers.next_deadline() == 10.5
    assert list(timers.pop_due(10.499)) == []
    assert list(timers.pop_due(10.5)) == ["A"]
    assert timers.next_deadline() is None


def test_timers_of_different_lengths_run_out_in_the_order_of_their_deadlines() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.start(32.0, "B", now=0.0)
    timers.start(0.5, "A", now=0.0)
    timers.start(5.0, "K", now=1.0)
    timers.start(0.5, "A again", now=1.0)
    assert len(timers) == 4
    assert list(timers.pop_due(100.0)) == ["A", "A again", "K", "B"]


def test_a_timer_started_while_others_run_out_is_served_in_the_same_go_when_it_is_due() -> None:
    timers: TimerQueue[int] = TimerQueue()
    timers.start(1.0, 1, now=0.0)
    served = []
    for item in timers.pop_due(3.5):
        served.append(item)
        timers.start(1.0, item + 1, now=float(item))
    assert served == [1, 2, 3]
    assert timers.next_deadline() == 4.0


def test_a_delay_of_zero_is_due_at_once() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.start(0.0, "now", now=7.0)
    assert list(timers.pop_due(7.0)) == ["now"]


@pytest.mark.parametrize("seed", range(20))
def test_random_timers_come_back_sorted_each_once(seed: int) -> None:
    chance = random.Random(seed)
    timers: TimerQueue[tuple[float, int]] = TimerQueue()
    now, waiting, served = 0.0, set(), []
    for number in range(400):
        now += chance.choice((0.0, 0.0, 0.1, 1.0))
        delay = chance.choice((0.5, 1.0, 4.0, 32.0, chance.random() * 10))
        timers.start(delay, (now + delay, number), now)
        waiting.add((now + delay, number))
        assert timers.next_deadline() == min(waiting)[0]
        if chance.random() < 0.2:
            due = list(timers.pop_due(now))
            assert {item for item in waiting if item[0] <= now} == set(due)
            waiting.difference_update(due)
            served += due
        assert len(timers) == len(waiting)
    served += timers.pop_due(1e9)
    assert [deadline for deadline, _ in served] == sorted(deadline for deadline, _ in served)
    assert len(set(served)) == len(served) == 400
    assert timers.next_deadline() is None
    assert not timers._queues, "no queue is kept for a length that nobody waits for"
