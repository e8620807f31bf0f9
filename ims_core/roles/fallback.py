"""Falling back to the circuit-switched network where voice cannot be served (回退传统语音)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ims_core.errors import (
    Declined,
    Forbidden,
    NotAcceptableHere,
    NotFound,
    ServerTimeout,
    ServiceUnavailable,
    SipError,
    TemporarilyUnavailable,
)

if TYPE_CHECKING:
    from ims_core.messages.message import Response
    from ims_core.proxy.forward import Forward

REFUSALS: Final[dict[int, type[SipError]]] = {
    refusal.status: refusal
    for refusal in (
        Forbidden,
        NotFound,
        TemporarilyUnavailable,
        NotAcceptableHere,
        SipError,
        ServiceUnavailable,
        ServerTimeout,
        Declined,
    )
}
"""By its status, what a caller may be told for his handset to call by the other network."""

PATIENCE: Final = 4.0
"""Seconds within which the next hop is to show that it is there: an INVITE has been sent four times by then."""

NOT_SERVING: Final = frozenset((408, 502, 503, 504))
"""What says that the way does not serve: nobody answered (408), no connection, or a server behind it that is down."""


class Fallback:
    """Goes along with a call that leaves (``Companion``), and has its sender told ``refusal`` when no way serves.

    That has no Retry-After and no body: a handset is not to wait, but to call by the circuit-switched network
    (TS 24.229 5.1.3.1), and the call is no emergency. ``on_refused`` is told of the failure. With ``believes_answers``
    whatever the next hop answers is passed back: only if it is not there at all the handset falls back.
    """

    def __init__(
        self, refusal: Callable[[], SipError], on_refused: Callable[[int], None], *, believes_answers: bool = False
    ) -> None:
        self._refusal = refusal
        self._on_refused = on_refused
        self._believes_answers = believes_answers
        self._is_answered = False

    def returned(self, response: Response) -> None:
        """Pass everything back as it is."""
        self._is_answered = True

    def instead(self, status: int) -> Forward | None:
        """Refuse, where nobody was reached who could have said anything about the call."""
        if status not in NOT_SERVING or (self._is_answered and self._believes_answers):
            return None
        self._on_refused(status)
        raise self._refusal()
