"""Requests of ours within a dialog, which answer who asks for credentials (RFC 3261 sections 12.2.1 and 22)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import SipError

if TYPE_CHECKING:
    from ims_core.locate.courier import Outbound
    from ims_core.messages.message import Request, Response
    from ims_core.security.credentials import Challenged
    from ims_core.ua.context import Context, TransactionUser
    from ims_core.ua.dialog import Dialog


def ask(
    context: Context,
    dialog: Dialog,
    request: Request,
    challenged: Challenged | None,
    user: TransactionUser | None = None,
) -> None:
    """Send ``request`` to the peer of ``dialog``, with credentials where some have been asked for in this call.

    ``user`` is told what becomes of it; when the request is challenged, what becomes of the one that answers that.
    Raises ``SipError`` when there is no way to the peer.
    """
    if challenged is None:
        context.courier.request(request, context.way_to_peer(dialog), user)
    else:
        _Signed(context, dialog, challenged.another(), user).send(request)


class _Signed:
    """A request that is sent again, with the next number, each time it is challenged anew (22.2, 22.3)."""

    def __init__(self, context: Context, dialog: Dialog, challenged: Challenged, user: TransactionUser | None) -> None:
        self._context = context
        self._dialog = dialog
        self._challenged = challenged
        self._user = user
        self._request: Request

    def send(self, request: Request) -> None:
        self._challenged.sign(request)
        self._request = request.copy()
        self._context.courier.request(request, self._context.way_to_peer(self._dialog), self)

    def receive_response(self, outbound: Outbound, response: Response) -> None:
        if response.status in {401, 407} and self._challenged.learn(response) and self._send_again():
            return
        if self._user is not None:
            self._user.receive_response(outbound, response)

    def request_failed(self, outbound: Outbound, cause: str) -> None:
        if self._user is not None:
            self._user.request_failed(outbound, cause)

    def _send_again(self) -> bool:
        dialog, again = self._dialog, self._request
        dialog.local_cseq += 1
        again.set("CSeq", f"{dialog.local_cseq} {again.method}")
        try:
            self.send(again)
        except SipError:
            return False
        return True
