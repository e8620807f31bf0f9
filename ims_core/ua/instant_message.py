"""MESSAGE within a call (RFC 3428): ``agent.serve("MESSAGE", take_message)`` has sessions tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.ua.session_events import MessageReceived

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.session import Session


def take_message(session: Session, transaction: ServerTransaction, request: Request) -> None:
    """Answer 200 and tell the owner of the session, whose user reads it."""
    session.context.endpoint.reply(transaction, 200)
    session.on_event(MessageReceived(request.get("Content-Type") or "", request.body))
