"""Early dialogs: each fork of an INVITE of ours that answers provisionally has one (RFC 3261 12.1.2, RFC 3262 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest
from ims_core.messages.extensions import names_option
from ims_core.ua.asking import ask_peer
from ims_core.ua.description import SDP, session_description
from ims_core.ua.dialog import Dialog
from ims_core.ua.offers import AGREED, OUR_TURN, PEERS_TURN

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.security.credentials import Challenged
    from ims_core.ua.context import Context

MOST_FORKS: Final = 32  # kept of one INVITE; what others say is told, but they have no dialog until they answer


class Fork:
    """What one callee said before anybody answered: the latest ``response``, its session as it stands.

    The dialog is made when something needs it. ``rseq`` is the number of the latest reliable response, 0 before any.
    A fork that ``has_failed`` is known for its numbers: a 2xx of it that is on its way counts all the same.
    """

    __slots__ = ("_dialog", "_flow", "_invite", "_pracks", "has_failed", "local_sdp", "remote_sdp", "response", "rseq")

    def __init__(self, invite: Request, response: Response, flow: Flow, local_sdp: bytes) -> None:
        self._invite = invite
        self._flow = flow
        self._dialog: Dialog | None = None
        self._pracks: str | None = None  # the RAck of a response whose offer the owner is to answer
        self.response = response
        self.has_failed = False
        self.local_sdp = local_sdp
        self.remote_sdp = b""
        self.rseq = 0

    @property
    def dialog(self) -> Dialog:
        """The early dialog. Raises ``BadRequest`` without a way to the callee."""
        if self._dialog is None:
            self._dialog = Dialog.as_client(self._invite, self.response, self._flow)
            self._dialog.turn = PEERS_TURN
        return self._dialog

    @property
    def early_dialog(self) -> Dialog | None:
        """The early dialog if anything happened in it."""
        return self._dialog

    @property
    def owes_answer(self) -> bool:
        """Whether a PRACK waits for our answer to the callee's offer."""
        return self._pracks is not None and self.dialog.turn == OUR_TURN

    def take_reliable(self, response: Response) -> bool:
        """Take a reliable response; False when it is a repetition or out of order (RFC 3262 section 4).

        The owner is to be told, then ``prack`` called. Raises ``BadRequest``.
        """
        rseq = _rseq(response)
        if self.rseq and rseq != self.rseq + 1:
            return False  # "MUST NOT be acknowledged with a PRACK, and MUST NOT be processed further"
        dialog = self.dialog
        self.rseq = rseq
        self._pracks = f"{rseq} {self._invite.cseq.number} INVITE"
        sdp = session_description(response)
        if sdp and dialog.turn == PEERS_TURN:
            dialog.turn = AGREED if self._invite.body else OUR_TURN
            self.remote_sdp = sdp
        return True

    def prack(self, context: Context, challenged: Challenged | None, sdp: bytes = b"") -> None:
        """Acknowledge the latest reliable response, with our answer when it brought an offer."""
        if self._pracks is None:
            return
        prack = self.dialog.request("PRACK")
        prack.add("RAck", self._pracks)
        self._pracks = None
        if sdp:
            prack.set_body(sdp, SDP)
            self.dialog.turn = AGREED
        ask_peer(context, self.dialog, prack, challenged)


def is_reliable(response: Response) -> bool:
    """Whether a provisional response is to be acknowledged by PRACK."""
    return "rseq" in response.keys and names_option(response, "Require", "100rel")


def _rseq(response: Response) -> int:
    text = response.require("RSeq")
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not int(text):
        raise BadRequest("Bad RSeq header")
    return int(text)
