"""How CDRs are sent to an HTTP endpoint: what an answer means, and when the next request leaves.

One request carries the oldest records, in order, and the next one leaves when it is answered. A record is sent until
it is acknowledged, so it may come more than once, always with the same `id`, which is its idempotency key.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from acd.config import CdrUpload

_OF_THE_RECORDS = frozenset((400, 409, 413, 422))


class Verdict(Enum):
    """What an answer says."""

    ACCEPTED = "accepted"  # 2xx: the endpoint has the records
    REFUSED = "refused"  # a status that speaks of their content or number: one of them cannot be taken
    FAILED = "failed"  # anything else, as 401, 404, 429 and 5xx: not their fault, so they are sent again

    @classmethod
    def of(cls, status: int) -> Verdict:
        """Return what a status code says (RFC 9110 15)."""
        if 200 <= status < 300:
            return cls.ACCEPTED
        return cls.REFUSED if status in _OF_THE_RECORDS else cls.FAILED


class UploadCounters(msgspec.Struct, frozen=True):
    """Records that wait and that are set aside now; records sent and requests that failed since the start."""

    waiting: int = 0
    set_aside: int = 0
    sent: int = 0
    failures: int = 0


class Course:
    """How many records the next request carries, and how long to wait before it.

    Where a request is refused the oldest half goes alone, until the one is found that is not taken. Pauses double up
    to ``longest_retry_seconds``; ``chance`` (from 0 to 1) spreads them over their second half, so that several
    engines do not return together.
    """

    def __init__(self, settings: CdrUpload, chance: Callable[[], float]) -> None:
        self.size = settings.batch
        self._settings = settings
        self._chance = chance
        self._failures = self._refusals = 0

    @property
    def failures(self) -> int:
        """How many attempts have failed since the last success."""
        return self._failures

    def accepted(self) -> None:
        """The endpoint has taken what was sent."""
        self._failures = self._refusals = 0
        self.size = min(2 * self.size, self._settings.batch)

    def refused(self, count: int) -> float | None:
        """The endpoint will not have so many records; returns the seconds to wait, None to set a single one aside."""
        if count > 1:
            self.size = count // 2
            return 0.0
        self._refusals += 1
        if self._refusals < self._settings.refusals:
            return self.failed()
        self._failures = self._refusals = 0
        return None

    def failed(self, retry_after: float = 0.0) -> float:
        """Nothing was taken, through no fault of the records; returns the seconds to wait."""
        longest = self._settings.longest_retry_seconds
        pause = min(self._settings.retry_seconds * 2.0 ** min(self._failures, 60), longest)
        self._failures += 1
        return max(pause * (1.0 + self._chance()) / 2, min(retry_after, longest))


def retry_after(value: str) -> float:
    """Return the seconds that a Retry-After asks for, 0 where it is none or a date (RFC 9110 10.2.3)."""
    return float(value) if value.isascii() and value.isdigit() else 0.0
