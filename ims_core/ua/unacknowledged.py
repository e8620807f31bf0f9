"""A 2xx to an INVITE, repeated until its ACK comes (RFC 3261 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.transactions.endpoint import Endpoint

_RESEND: Final = "resend 2xx"
_GIVE_UP: Final = "no ACK"


class Unacknowledged:
    """Repeats ``data``, the 2xx to the INVITE numbered ``cseq``; calls ``on_silence`` when no ACK came for 64*T1.

    ``has_offer``: the ACK is to bring the answer.
    """

    __slots__ = ("_data", "_endpoint", "_flow", "_interval", "_on_silence", "cseq", "has_offer")

    def __init__(  # noqa: PLR0917 - made for each call
        self,
        endpoint: Endpoint,
        flow: Flow,
        data: bytes,
        cseq: int,
        has_offer: bool,
        on_silence: Callable[[], None],
    ) -> None:
        self._endpoint = endpoint
        self._flow = flow
        self._data = data
        self.cseq = cseq
        self.has_offer = has_offer
        self._on_silence: Callable[[], None] | None = on_silence
        self._interval = endpoint.timers.t1
        endpoint.start_timer(self, _RESEND, self._interval)
        endpoint.start_timer(self, _GIVE_UP, 64 * endpoint.timers.t1)

    def close(self) -> None:
        """Wait no longer; the timers that are left know nothing of the session any more."""
        self._on_silence = None
        self._data = b""

    def fire(self, event: str) -> None:
        """Repeat the 2xx, or give up."""
        on_silence = self._on_silence
        if on_silence is None:
            return
        if event == _GIVE_UP:
            self.close()
            on_silence()
            return
        endpoint = self._endpoint
        endpoint.send(self._flow, self._data)
        self._interval = min(self._interval * 2, endpoint.timers.t2)
        endpoint.start_timer(self, _RESEND, self._interval)
