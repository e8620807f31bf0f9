"""Requests of ours that answer who asks for credentials (RFC 3261 section 22), within a dialog and outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ims_core.errors import SipError

if TYPE_CHECKING:
    from ims_core.locate.courier import Courier, Hop, Outbound, Prepare
    from ims_core.messages.message import Request, Response
    from ims_core.security.credentials import Challenged
    from ims_core.ua.context import Context, TransactionUser
    from ims_core.ua.dialog import Dialog


def ask(
    courier: Courier,
    request: Request,
    hop: Hop,
    challenged: Challenged | None,
    user: object,
    *,
    prepare: Prepare | None = None,
    dialog: Dialog | None = None,
) -> object:
    """Send ``request``, with credentials where ``challenged`` knows what for; again, with some, when it is challenged.

    ``user`` is told what becomes of it in the end, by what is returned. ``prepare`` is the courier's; a request within
    ``dialog`` takes its numbers from there. Raises ``SipError`` when there is no way to the hop.
    """
    if challenged is None:
        return courier.request(request, hop, user, prepare=prepare)
    signed = _Signed(courier, challenged.another(), user, prepare, dialog)
    signed.send(request, hop)
    return signed


def ask_peer(
    context: Context,
    dialog: Dialog,
    request: Request,
    challenged: Challenged | None,
    user: TransactionUser | None = None,
) -> None:
    """Do the same within ``dialog``."""
    ask(context.courier, request, context.way_to_peer(dialog), challenged, user, dialog=dialog)


class _Signed:
    """A request that is sent again, with the next number, each time it is challenged anew (22.2, 22.3).

    To its user it is what a client transaction is.
    """

    def __init__(
        self, courier: Courier, challenged: Challenged, user: Any, prepare: Prepare | None, dialog: Dialog | None
    ) -> None:
        self._courier = courier
        self._challenged = challenged
        self._user = user
        self._prepare = prepare
        self._dialog = dialog
        self._request: Request

    def send(self, request: Request, hop: Hop) -> None:
        self._challenged.sign(request)
        self._request = request.copy()
        self._courier.request(request, hop, self, prepare=self._prepare)

    def receive_response(self, outbound: Outbound, response: Response) -> None:
        is_challenge = response.status in {401, 407}
        if is_challenge and self._challenged.learn(response) and self._send_again(outbound.flow):
            return
        if self._user is not None:
            self._user.receive_response(self, response)

    def request_failed(self, outbound: Outbound, cause: str) -> None:
        if self._user is not None:
            self._user.request_failed(self, cause)

    def _send_again(self, hop: Hop) -> bool:
        """Answer a challenge where it came from; False when that is not possible any more."""
        again, dialog = self._request, self._dialog
        number = again.cseq.number + 1
        if dialog is not None:
            dialog.local_cseq = number = dialog.local_cseq + 1
        again.set("CSeq", f"{number} {again.method}")
        try:
            self.send(again, hop)
        except SipError:
            return False
        return True
