"""One deadline of any length, which can be moved and dropped.

An endpoint's timers come in few lengths and are never stopped (``transactions.timers``). An alarm reaches a time of
its own by steps of such lengths, and rings at most an eighth of a second late: it is for expiry and refresh, not for
the wire. What is left of one that was closed is gone a minute later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ims_core.transactions.endpoint import Endpoint

_STEPS = (64.0, 8.0, 1.0, 0.125)


class Alarm:
    """Calls ``ring`` once the time that was set has come."""

    __slots__ = ("_at", "_endpoint", "_ring", "_wakes_at")

    def __init__(self, endpoint: Endpoint, ring: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._ring: Callable[[], None] | None = ring
        self._at: float | None = None
        self._wakes_at: float | None = None

    @property
    def remaining(self) -> float:
        """The seconds until it rings; 0 when it is not set."""
        return 0.0 if self._at is None else max(0.0, self._at - self._endpoint.clock())

    def set(self, seconds: float) -> None:
        """Ring ``seconds`` from now instead of whenever it was to ring."""
        self._at = self._endpoint.clock() + seconds
        if self._wakes_at is None or self._at < self._wakes_at:
            self._sleep(seconds)

    def clear(self) -> None:
        """Do not ring, unless set again."""
        self._at = None

    def close(self) -> None:
        """Never ring again and let go of the owner: a timer that still runs must not keep it alive."""
        self._at = None
        self._ring = None

    def fire(self, _: str) -> None:
        """Wake up: ring, or sleep on (``endpoint.Timed``)."""
        now = self._endpoint.clock()
        if self._wakes_at is not None and now < self._wakes_at:
            return  # set to an earlier time meanwhile; that timer has woken it
        self._wakes_at = None
        if self._at is None or self._ring is None:
            return
        if now < self._at:
            self._sleep(self._at - now)
        else:
            self._at = None
            self._ring()

    def _sleep(self, seconds: float) -> None:
        step = next((step for step in _STEPS if step <= seconds), _STEPS[-1])
        self._wakes_at = self._endpoint.clock() + step
        self._endpoint.start_timer(self, "alarm", step)
