"""A change of the session that the peer asks for, by re-INVITE, UPDATE or PRACK (RFC 3261 14.2, RFC 3311 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import RequestPending
from ims_core.ua.description import check_description, session_description
from ims_core.ua.offers import AGREED, OUR_TURN, Overlapping, check_turn
from ims_core.ua.session_timer import check_interval

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.context import Context
    from ims_core.ua.dialog import Dialog


class Reoffer(NamedTuple):
    """An offer, or the wish for one of ours, that waits for the owner's answer to ``Reoffered``."""

    transaction: ServerTransaction
    dialog: Dialog

    @property
    def by_invite(self) -> bool:
        """Whether it is a re-INVITE: that may be cancelled, and its 2xx is acknowledged."""
        return self.transaction.request.method == "INVITE"

    @property
    def sdp(self) -> bytes:
        """The session description offered; empty: we are to make the offer."""
        return session_description(self.transaction.request)

    def open(self) -> None:
        """Make it our turn in the exchange of descriptions."""
        self.dialog.turn = OUR_TURN

    def close(self) -> None:
        """Leave the session as it was, or as it is from now on."""
        self.dialog.turn = AGREED


def check_change(
    request: Request, dialog: Dialog, waiting: Reoffer | None, context: Context, *, is_pending: bool
) -> None:
    """Refuse a re-INVITE or UPDATE of the peer that comes at a wrong moment, or has what cannot be served.

    ``waiting`` is what waits for its answer already; ``is_pending``: a re-INVITE of ours is under way, or our 2xx to
    an INVITE has no ACK yet. Raises ``SipError``.
    """
    ids = context.endpoint.ids
    if request.method == "INVITE":
        if waiting is not None:  # 14.2: before "the final response to a first INVITE"
            raise Overlapping(ids)
        if is_pending:  # 14.2: "while an INVITE it had sent on that dialog is in progress"
            raise RequestPending
        check_turn(dialog.turn, ids)
    elif waiting is not None and waiting.transaction.request.method == "UPDATE":
        raise Overlapping(ids)  # RFC 3311 5.2: "before it has generated a final response to a previous UPDATE"
    elif session_description(request):
        check_turn(dialog.turn, ids)
    check_description(request)
    check_interval(request, context.session_timers)
