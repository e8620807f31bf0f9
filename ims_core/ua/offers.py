"""Whose turn it is in the exchange of session descriptions (RFC 3264 section 4; RFC 3311 5; RFC 6337 section 2).

A dialog has one exchange at a time, whatever messages carry it:

    offer in                        answer in
    INVITE                          its 2xx, or a reliable 1xx of it
    a 2xx or reliable 1xx to        the ACK of that 2xx, or the PRACK of that 1xx
      an INVITE without offer
    PRACK                           its 2xx
    UPDATE                          its 2xx

An unreliable 1xx may only show beforehand what the 2xx will say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ims_core.errors import RequestPending, SipError

if TYPE_CHECKING:
    from ims_core.ids import Ids

Turn = Literal["agreed", "our turn", "peer's turn"]
AGREED: Final = "agreed"
OUR_TURN: Final = "our turn"  # the peer made an offer or asked for one
PEERS_TURN: Final = "peer's turn"  # we made an offer or asked for one


class Overlapping(SipError):
    """A request came before one like it was answered (RFC 3261 14.2, RFC 3311 5.2)."""

    status = 500

    def __init__(self, ids: Ids) -> None:
        # "MUST include a Retry-After header field with a randomly chosen value between 0 and 10 seconds"
        super().__init__(headers=(("Retry-After", str(ids.number(11))),))


def check_turn(turn: Turn, ids: Ids) -> None:
    """Refuse an offer of the peer out of turn: raises ``RequestPending`` while ours is open, else ``Overlapping``."""
    if turn == PEERS_TURN:
        raise RequestPending
    if turn == OUR_TURN:
        raise Overlapping(ids)
