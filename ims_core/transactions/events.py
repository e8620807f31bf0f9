"""What an endpoint tells its owner (RFC 3261 section 17).

These are classes of their own, where most events are structs: compiled code makes and reads them for each message.
"""

from __future__ import annotations

from typing import ClassVar

from mypy_extensions import mypyc_attr

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response
from ims_core.transactions.machines import ClientTransaction, InviteServer, ServerTransaction


@mypyc_attr(acyclic=True)
class RequestReceived:
    """A new request, ``flow`` being where it came from; the user must answer ``transaction``."""

    __slots__ = ("flow", "request", "transaction")
    __match_args__: ClassVar = ("transaction", "request", "flow")

    def __init__(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        self.transaction = transaction
        self.request = request
        self.flow = flow


@mypyc_attr(acyclic=True)
class AckReceived:
    """An ACK to a 2xx: end to end, part of no transaction here (17.1.1.3)."""

    __slots__ = ("flow", "request")
    __match_args__: ClassVar = ("request", "flow")

    def __init__(self, request: Request, flow: Flow) -> None:
        self.request = request
        self.flow = flow


@mypyc_attr(acyclic=True)
class CancelReceived:
    """The sender of an INVITE gave it up; the CANCEL itself has been answered (9.2)."""

    __slots__ = ("request", "transaction")
    __match_args__: ClassVar = ("transaction", "request")

    def __init__(self, transaction: InviteServer, request: Request) -> None:
        self.transaction = transaction
        self.request = request


@mypyc_attr(acyclic=True)
class ResponseReceived:
    """A response to a request of ours."""

    __slots__ = ("response", "transaction")
    __match_args__: ClassVar = ("transaction", "response")

    def __init__(self, transaction: ClientTransaction, response: Response) -> None:
        self.transaction = transaction
        self.response = response


@mypyc_attr(acyclic=True)
class RequestFailed:
    """No response will come: ``cause`` is ``TIMEOUT`` or ``TRANSPORT``."""

    __slots__ = ("cause", "transaction")
    __match_args__: ClassVar = ("transaction", "cause")

    def __init__(self, transaction: ClientTransaction, cause: str) -> None:
        self.transaction = transaction
        self.cause = cause


Event = RequestReceived | AckReceived | CancelReceived | ResponseReceived | RequestFailed
