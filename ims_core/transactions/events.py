"""What an endpoint tells its owner (RFC 3261 section 17)."""

from __future__ import annotations

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.structs import Value
from ims_core.transactions.machines import ClientTransaction, InviteServer, ServerTransaction


class RequestReceived(Value):
    """A new request, ``flow`` being where it came from; the user must answer ``transaction``."""

    transaction: ServerTransaction
    request: Request
    flow: Flow


class AckReceived(Value):
    """An ACK to a 2xx: end to end, part of no transaction here (17.1.1.3)."""

    request: Request
    flow: Flow


class CancelReceived(Value):
    """The sender of an INVITE gave it up; the CANCEL itself has been answered (9.2)."""

    transaction: InviteServer
    request: Request


class ResponseReceived(Value):
    """A response to a request of ours."""

    transaction: ClientTransaction
    response: Response


class RequestFailed(Value):
    """No response will come: ``cause`` is ``TIMEOUT`` or ``TRANSPORT``."""

    transaction: ClientTransaction
    cause: str


Event = RequestReceived | AckReceived | CancelReceived | ResponseReceived | RequestFailed
