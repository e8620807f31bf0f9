"""What is repeated until something shows that it came, by no transaction (RFC 3261 13.3.1.4, RFC 3262 section 3)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.transactions.endpoint import Endpoint

_RESEND: Final = "resend"
_GIVE_UP: Final = "give up"


class Repetition:
    """Sends ``data``, which was sent once, at intervals that double from T1 up to ``longest`` seconds.

    ``on_silence`` is called when that was in vain for 64*T1.
    """

    __slots__ = ("_data", "_endpoint", "_flow", "_interval", "_longest", "_on_silence")

    def __init__(
        self, endpoint: Endpoint, flow: Flow, data: bytes, on_silence: Callable[[], None], longest: float = inf
    ) -> None:
        self._endpoint = endpoint
        self._flow = flow
        self._data = data
        self._on_silence: Callable[[], None] | None = on_silence
        self._longest = longest
        self._interval = endpoint.timers.t1
        endpoint.start_timer(self, _RESEND, self._interval)
        endpoint.start_timer(self, _GIVE_UP, 64 * endpoint.timers.t1)

    def close(self) -> None:
        """Repeat no more; the timers that are left know nothing of the session any more."""
        self._on_silence = None
        self._data = b""

    def fire(self, event: str) -> None:
        """Send it again, or give up."""
        on_silence = self._on_silence
        if on_silence is None:
            return
        if event == _GIVE_UP:
            self.close()
            on_silence()
            return
        endpoint = self._endpoint
        endpoint.send(self._flow, self._data)
        self._interval = min(self._interval * 2, self._longest)
        endpoint.start_timer(self, _RESEND, self._interval)


class Unacknowledged(Repetition):
    """The 2xx to the INVITE numbered ``cseq``, until its ACK comes; ``has_offer``: which is to bring the answer."""

    __slots__ = ("cseq", "has_offer")

    def __init__(  # noqa: PLR0917 - made for each call
        self,
        endpoint: Endpoint,
        flow: Flow,
        data: bytes,
        cseq: int,
        has_offer: bool,
        on_silence: Callable[[], None],
    ) -> None:
        super().__init__(endpoint, flow, data, on_silence, endpoint.timers.t2)
        self.cseq = cseq
        self.has_offer = has_offer
