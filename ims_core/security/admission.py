"""How much new work is taken in, by how long it waits before it is looked at, without I/O.

A server with one loop has its queue in the sockets' buffers, where it cannot look ahead: all it sees is the age of
what it takes out. Work under way costs the same whatever is done, so the only thing to turn down is what begins.

    the moving average (7/8) of that age is     overload begins: a token bucket is put before new work, at the rate
    above the target, for longer than a burst   just achieved
    then, every 20 requests                     the rate is divided by 1.2 where the average is above the target or what
                                                is behind us complains, once for what has come since the last division:
                                                before that no effect shows; else it grows, the more the further below,
                                                and fast on the way back to where it was last too much: a moment in
                                                which the server stood still says nothing of what it can serve
    all the time                                above the target only the share target / average of the rate is let in,
                                                so that what stands in the buffers drains
    nobody was turned away for some time        overload has ended: the bucket goes
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

WEIGHT: Final = 1 / 8  # of the newest age in the average
PATIENCE_SECONDS = 0.25  # for which the average has to be above the target before anybody is turned away
ADJUST_EVERY = 20  # requests
ADJUST_SECONDS = 0.1
COMPLAINTS = 0.1  # of what was admitted; fewer are somebody's own trouble
DECREASE = 1.2
GROWTH = 0.15  # of the rate at an age of nothing
RETURN = 0.6  # likewise, on the way back to where it was last too much
NEAR = 0.9  # of that, from where on the way is slow again
HEADROOM = 2.0  # of the rate over what is asked for
BURST_SECONDS = 0.1  # the tokens that may gather
LEAST_RATE = 1.0
MOST_AGE = 5.0  # seconds; more is a clock that was set
CALM_SECONDS = 5.0  # without anybody turned away


class Admission:
    """A token bucket before new requests, whose rate per second follows the latency that is observed.

    ``target`` is in seconds. While there is no overload ``rate`` is infinite. ``on_change`` is told when overload
    begins (true) and ends (false).
    """

    def __init__(self, target: float = 0.010) -> None:
        self.target = target
        self.rate = inf
        self.latency = 0.0
        self.on_change: Callable[[bool], None] = lambda _: None
        self._above_since = inf
        self._came = 0.0
        self._divided_at = 0.0
        self._complaints = 0
        self._ceiling = 0.0
        self._falling = False
        self._tokens = 0.0
        self._filled = 0.0
        self._offered = 0
        self._admitted = 0
        self._counted_since = 0.0
        self._rejected_at = 0.0

    @property
    def is_limiting(self) -> bool:
        """Whether there is overload, so that new requests may be turned away."""
        return self.rate < inf

    def observe(self, age: float, now: float) -> None:
        """Take note of how long something waited in seconds until it was looked at."""
        age = min(max(age, 0.0), MOST_AGE)
        self.latency += (age - self.latency) * WEIGHT
        self._came = now - age
        if self.latency <= self.target:
            self._above_since = inf
        elif self._above_since == inf:
            self._above_since = now

    def complain(self) -> None:
        """Take note that somebody behind us could not take what we sent: a 503, or a resource used up."""
        self._complaints += 1

    def admit(self, now: float) -> bool:
        """Whether one more new request may begin."""
        self._offered += 1
        if self._offered >= ADJUST_EVERY and now - self._counted_since >= ADJUST_SECONDS:
            self._adjust(now)
        if self.rate < inf:
            rate = self.rate * min(1.0, self.target / self.latency) if self.latency else self.rate
            self._tokens = min(self._tokens + (now - self._filled) * rate, max(1.0, rate * BURST_SECONDS))
            self._filled = now
            if self._tokens < 1.0:
                self._rejected_at = now
                return False
            self._tokens -= 1.0
        self._admitted += 1
        return True

    def _adjust(self, now: float) -> None:
        achieved = self._admitted / (now - self._counted_since)
        is_refused_behind = self._complaints > COMPLAINTS * self._admitted
        if self.rate == inf:
            if now - self._above_since >= PATIENCE_SECONDS or is_refused_behind:
                self._begin(achieved / DECREASE, now)
        elif self.latency > self.target or is_refused_behind:
            if self._came >= self._divided_at:  # what came before the rate was divided cannot show what that does
                if not self._falling:
                    self._falling = True
                    self._ceiling = self.rate
                self.rate = max(self.rate / DECREASE, LEAST_RATE)
                self._divided_at = now
        elif now - self._rejected_at >= CALM_SECONDS:
            self._end()
        else:  # not beyond what is made use of
            self._falling = False
            growth = RETURN if self.rate < self._ceiling * NEAR else GROWTH
            grown = self.rate * (1 + growth * (1 - self.latency / self.target))
            self.rate = max(self.rate, min(grown, HEADROOM * achieved))
        self._complaints = self._offered = self._admitted = 0
        self._counted_since = now

    def _begin(self, rate: float, now: float) -> None:
        self.rate = max(rate, LEAST_RATE)
        self._tokens, self._filled, self._rejected_at, self._divided_at = 0.0, now, now, now
        self.on_change(True)

    def _end(self) -> None:
        self.rate = inf
        self.on_change(False)
