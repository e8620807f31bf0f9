"""Admission on a virtual clock: a server with one loop before which messages queue, and calls that come too fast."""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import pairwise
from math import inf
from statistics import quantiles

import pytest

from ims_core.security.admission import ADJUST_EVERY, PATIENCE_SECONDS, Admission

TARGET = 0.010


class Server:
    """Serves one message at a time in ``begin`` or ``step`` seconds: a call is its INVITE and ``STEPS`` more messages.

    Turning an INVITE away takes ``refuse`` seconds, and the buffer holds ``ROOM`` messages. Calls per second are
    counted when they are done. Calls begin at random; ``load`` is relative to what the server can do.
    """

    STEPS = 8
    ROOM = 2000

    def __init__(
        self, *, controlled: bool = True, begin: float = 0.003, step: float = 0.0004, lasts: float = 0.3
    ) -> None:
        self.now = 0.0
        self.capacity = 1 / (begin + self.STEPS * step)
        self.admission = Admission(TARGET)
        self.changes: list[tuple[float, bool]] = []
        self.admission.on_change = lambda began: self.changes.append((self.now, began))
        self.ages: list[float] = []
        self.rates: list[float] = []
        self.done = 0
        self.refused = 0
        self._controlled = controlled
        self._begin, self._step, self._lasts, self._refuse = begin, step, lasts, begin / 40
        self._chance = random.Random(7)
        self._queue: deque[tuple[float, bool, bool]] = deque()
        self._coming: list[tuple[float, bool]] = []
        self._next = 0.0

    def run(self, seconds: float, load: float) -> float:
        """Serve for so long and return the goodput, relative to what the server can do."""
        end, done = self.now + seconds, self.done
        self.ages.clear()
        self.rates.clear()
        self._next = max(self._next, self.now)
        while self.now < end:
            self._arrive(load * self.capacity)
            if not self._queue:
                self.now = min(self._next, self._coming[0][0] if self._coming else inf)
                continue
            self._serve(*self._queue.popleft())
        return (self.done - done) / seconds / self.capacity

    def _arrive(self, rate: float) -> None:
        while True:
            at = self._coming[0][0] if self._coming else inf
            if min(at, self._next) > self.now:
                return
            if at <= self._next:
                self._queue.append((at, False, heapq.heappop(self._coming)[1]))
            else:
                if len(self._queue) < self.ROOM:
                    self._queue.append((self._next, True, False))
                self._next += self._chance.expovariate(rate)

    def _serve(self, came: float, is_new: bool, is_last: bool) -> None:
        self.admission.observe(self.now - came, self.now)
        self.ages.append(self.now - came)
        self.rates.append(self.admission.rate)
        if not is_new:
            self.now += self._step
            self.done += is_last
        elif self._controlled and not self.admission.admit(self.now):
            self.refused += 1
            self.now += self._refuse
        else:
            self.now += self._begin
            for number in range(1, self.STEPS + 1):
                at = self.now + self._lasts * number / self.STEPS
                heapq.heappush(self._coming, (at, number == self.STEPS))


@pytest.mark.parametrize("lasts", [0.1, 0.3, 3.0])
@pytest.mark.parametrize(("load", "least"), [(2, 0.88), (3, 0.86), (10, 0.70)])
def test_goodput_holds_under_any_load(load: float, least: float, lasts: float) -> None:
    server = Server(lasts=lasts)
    server.run(10, load)
    assert server.run(30, load) >= least
    assert quantiles(server.ages, n=20)[-1] < 0.1, "and whoever is served waits little"


def test_of_what_turning_away_leaves_nearly_all_is_used_at_ten_times_the_capacity() -> None:
    server = Server()
    server.run(10, 10)
    refused = server.refused
    goodput = server.run(30, 10)
    left = 1 - (server.refused - refused) * server._refuse / 30
    assert goodput >= 0.85 * left


def test_without_control_the_queue_stands_full() -> None:
    server = Server(controlled=False)
    server.run(10, 3)
    server.run(10, 3)
    assert min(server.ages) > 0.5, "the simulated server shows what the control is for"


def test_nobody_is_turned_away_while_there_is_room() -> None:
    server = Server()
    assert server.run(60, 0.7) > 0.65
    assert server.refused == 0
    assert server.changes == []


def test_a_step_up_and_down_is_followed_and_forgotten() -> None:
    server = Server()
    server.run(10, 0.5)
    at = server.now
    server.run(1, 3)
    ((began, is_on),) = server.changes
    assert is_on
    assert began - at < 1.0
    server.run(10, 3)
    server.run(10, 0.5)
    refused = server.refused
    assert server.run(10, 0.5) > 0.45
    assert [is_on for _, is_on in server.changes] == [True, False]
    assert server.refused == refused
    assert server.admission.rate == inf


def test_a_burst_is_no_overload() -> None:
    admission = Admission(TARGET)
    now = 0.0
    for _ in range(10):
        for step in range(50):  # a pause of 100 ms: what gathered is served within as long again
            admission.observe(max(0.1 - 0.002 * step, 0.0005), now)
            assert admission.admit(now)
            now += 0.002
        for _ in range(100):
            admission.observe(0.0005, now)
            assert admission.admit(now)
            now += 0.005
    assert not admission.is_limiting


def test_the_rate_swings_within_bounds() -> None:
    server = Server()
    server.run(10, 3)
    server.run(30, 3)
    rates = sorted(server.rates)
    low, high = rates[len(rates) // 50], rates[-len(rates) // 50]
    assert 0.5 * server.capacity < low < high < 1.5 * server.capacity


def steady(admission: Admission, age: float, seconds: float, *, start: float = 0.0, rate: float = 100.0) -> float:
    """Let requests that waited ``age`` come at ``rate`` and return the share that was admitted."""
    count = round(seconds * rate)
    admitted = 0
    for number in range(count):
        now = start + number / rate
        admission.observe(age, now)
        admitted += admission.admit(now)
    return admitted / count


def test_above_the_target_the_rate_is_divided_by_1_2_every_20_requests() -> None:
    admission = Admission(TARGET)
    assert steady(admission, 0.02, PATIENCE_SECONDS - 0.01) == 1.0
    rates = []
    for number in range(200):
        now = 1.0 + number / 100
        admission.observe(0.02, now)
        admission.admit(now)
        rates.append(admission.rate)
    changes = [number for number in range(1, 200) if rates[number] != rates[number - 1]]
    assert {later - earlier for earlier, later in pairwise(changes)} == {ADJUST_EVERY}
    limited = [rates[number] for number in changes]
    assert [round(before / after, 6) for before, after in pairwise(limited)] == [1.2] * (len(limited) - 1)


def test_the_rate_grows_the_faster_the_further_below_the_target() -> None:
    grown = {}
    for age in (0.001, 0.009):
        admission = Admission(TARGET)
        steady(admission, 0.05, 2.0)
        steady(admission, age, 0.3, start=2.0)
        before = admission.rate
        steady(admission, age, 0.4, start=2.3)
        grown[age] = admission.rate / before
    assert grown[0.001] > grown[0.009] > 1.0


def test_a_moment_of_standing_still_is_soon_forgotten() -> None:
    """What a server could serve before it, it can serve after it; what was too much is approached with care."""
    admission = Admission(TARGET)
    steady(admission, 0.05, 1.0, rate=1000.0)
    steady(admission, 0.004, 0.5, start=1.0, rate=1000.0)
    before = admission.rate
    steady(admission, 0.08, 0.4, start=1.5, rate=1000.0)
    assert admission.rate < 0.5 * before
    steady(admission, 0.004, 0.4, start=1.9, rate=1000.0)
    assert admission.rate > 0.9 * before
    near = admission.rate
    steady(admission, 0.004, 0.1, start=2.3, rate=1000.0)
    assert near < admission.rate < 1.1 * near


def test_it_never_closes_entirely() -> None:
    admission = Admission(TARGET)
    steady(admission, 1.0, 60.0)
    assert steady(admission, 1.0, 60.0, start=60.0) > 0.0


def test_complaints_from_behind_count_as_being_late() -> None:
    admission = Admission(TARGET)
    for number in range(300):
        now = number / 100
        admission.observe(0.0001, now)
        admission.admit(now)
        if number % 10 == 0:
            admission.complain()
    assert admission.is_limiting
    limited = admission.rate
    assert limited < 100
    steady(admission, 0.0001, 20.0, start=3.0)
    assert not admission.is_limiting, "and are forgotten"


def test_of_two_sources_each_gets_what_it_asks_in_proportion() -> None:
    admission = Admission(TARGET)
    chance = random.Random(3)
    admitted = {"one": 0, "two": 0}
    for number in range(20_000):
        now = number / 400
        admission.observe(0.02 if admission.rate > 100 else 0.001, now)
        who = "one" if chance.random() < 0.75 else "two"
        admitted[who] += admission.admit(now)
    assert admitted["one"] / sum(admitted.values()) == pytest.approx(0.75, abs=0.03)
