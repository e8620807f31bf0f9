"""The transaction layer without I/O: bytes and time in, bytes and events out (RFC 3261 sections 17 and 18).

    endpoint.receive(data, flow)       a datagram or a framed message came in
    endpoint.next_event()              what happened: the owner must take all of it after every input
    endpoint.data_to_send()            what to put on the wire: likewise
    endpoint.next_deadline()           when to call ``handle_timer()``

``Flow.local`` names the listener a message came through or leaves by, also for stream connections.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.ids import Ids
from ims_core.messages.headers import Via
from ims_core.messages.message import METHODS, VERSION, Request, Response, error_response, response_to
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import split_host_port
from ims_core.transactions.counts import MessageCounts
from ims_core.transactions.events import (
    AckReceived,
    CancelReceived,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ims_core.transactions.machines import (
    ACCEPTED,
    ACK,
    BY_CLASS,
    COMPLETED,
    CONFIRMED,
    FAILURE,
    GIVE_UP,
    NO_PROVISIONAL,
    REQUEST,
    TRANSPORT_ERROR,
    ClientTransaction,
    InviteClient,
    InviteServer,
    Key,
    NonInviteClient,
    NonInviteServer,
    ServerTransaction,
    TimerValues,
    Transaction,
    cancel_for,
)
from ims_core.transactions.timers import Timed, TimerQueue
from ims_core.transactions.vias import legible_via, server_key, stamp_via

__all__ = [
    "AckReceived", "CancelReceived", "Endpoint", "Event", "RequestFailed", "RequestReceived", "ResponseReceived",
]  # fmt: skip

Headers = tuple[tuple[str, str], ...]


class Endpoint:
    """Holds the transactions of one SIP element.

    ``clock`` returns seconds and never runs backwards. ``sent_by`` maps each listener, as ``(transport, local
    address)``, to the ``host:port`` it tells others to answer to. ``messages`` counts what came and went; ``dropped``
    and ``unexpected`` count by reason. ``admits`` is asked about each request before there is a transaction for it;
    false drops it, a ``SipError`` is answered without one. ``events`` is what ``next_event`` takes from.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        ids: Ids,
        sent_by: Mapping[tuple[str, Address], str],
        timers: TimerValues | None = None,
    ) -> None:
        self.clock = clock
        self.ids = ids
        self.timers = timers or TimerValues()
        self.messages = MessageCounts()
        self.dropped: Counter[str] = Counter()
        self.unexpected: Counter[tuple[str, str, str]] = Counter()
        self.admits: Callable[[Request, Flow], bool] = _admit_all
        self._stateless_tag = ids.tag()
        self._sent_by = sent_by
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._heard: dict[int, Transaction] = {}
        self._told: set[tuple[str, int | None]] = set()
        self._timers = TimerQueue()
        self.events: deque[Event] = deque()
        self._out: list[tuple[Flow, bytes]] = []

    # What the owner calls -----------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one whole message. Bytes that are none are answered with a 4xx where possible, else counted.

        A datagram that came before is known by its hash, unparsed: streams repeat nothing.
        """
        is_datagram = flow.transport == "UDP"
        fingerprint = hash(data) if is_datagram else 0
        heard_by = self._heard.get(fingerprint)
        if heard_by is not None and self._hear_again(heard_by, data):
            return
        try:
            message = parse_message(data, datagram=is_datagram or flow.of_browser)  # RFC 7118 5: one message, whole
            if type(message) is Request:
                self._receive_request(message, flow, fingerprint)
            else:
                self._receive_response(message, fingerprint)  # type: ignore[arg-type]
        except SipError as error:
            self.refuse_malformed(error, flow)

    def next_event(self) -> Event | None:
        """Return the oldest thing that happened and was not yet returned, None when there is none."""
        return self.events.popleft() if self.events else None

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """Return and forget the bytes to send, each with its flow."""
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> float | None:
        """Return when ``handle_timer`` is to be called, in the clock's seconds."""
        return self._timers.next_deadline()

    def handle_timer(self) -> None:
        """Fire the timers whose time has come."""
        for timed, event in self._timers.pop_due(self.clock()):
            timed.fire(event)

    def transport_failed(self, flow: Flow) -> None:
        """Tell the client transactions on ``flow`` that what they sent did not leave (18.4).

        A request that opened its connection was sent on a flow that had no number yet.
        """
        for transaction in [client for client in self._clients.values() if client.flow[:3] == flow[:3]]:
            transaction.fire(TRANSPORT_ERROR)

    # What the transaction user calls ------------------------------------------------------------------------

    def request(self, request: Request, flow: Flow, user: object, mark: str = "") -> ClientTransaction:
        """Send ``request`` in a transaction of its own; ``user`` is found again as ``transaction.user``.

        A Via with a fresh branch is put on top of the request, which is the endpoint's from then on. The branch ends
        with ``mark``: by it a proxy knows a request that comes back (RFC 5393 section 4.2.1).
        """
        branch = self._push_via(request, flow, mark)
        key = (branch, request.method)
        kind = InviteClient if request.method == "INVITE" else NonInviteClient
        transaction = kind(self, key, flow, request)
        transaction.user = user
        self._clients[key] = transaction
        self.messages.sent(request.method)
        transaction.start()
        return transaction

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Send ``response`` within ``transaction``, if that is one that its request may get (RFC 4320 section 4)."""
        status = response.status
        if (status == 408 or 100 < status < 200) and isinstance(transaction, NonInviteServer):
            # 4.1: no provisional but 100; 4.2: no 408, its sender gives up by itself and would only blame us
            transaction.fire(GIVE_UP if status == 408 else NO_PROVISIONAL)
            return
        hundreds = status // 100
        self.messages.sent(transaction.request.method, hundreds)
        transaction.fire(BY_CLASS[hundreds], response)

    def refuse(self, transaction: ServerTransaction, error: SipError) -> None:
        """Tell the sender of a request about ``error``."""
        self.respond(transaction, self._error_response(transaction.request, error))

    def dismiss(self, transaction: ServerTransaction, error: SipError) -> None:
        """Tell the sender of a request about ``error`` and keep nothing of it: if it comes again, it is refused again.

        For what no response was sent to but 100.
        """
        self.forget(transaction)
        self.refuse_statelessly(transaction.request, error, transaction.flow)

    def abandon(self, transaction: ServerTransaction) -> None:
        """Give up a request other than INVITE without an answer (RFC 4320 section 4.2)."""
        transaction.fire(GIVE_UP)

    def reply(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        to_tag: str = "",
    ) -> None:
        """Answer with a response that belongs to no dialog; it has a fresh tag unless ``to_tag`` is given."""
        to_tag = to_tag or (self.ids.tag() if status > 100 else "")
        response = response_to(transaction.request, status, reason, to_tag=to_tag, headers=headers)
        self.respond(transaction, response)

    def cancel(self, transaction: ClientTransaction, headers: Headers = ()) -> None:
        """CANCEL an INVITE as soon as that is allowed; the final response still comes (9.1).

        ``headers`` go into the CANCEL, as a Reason does (RFC 3326).
        """
        if isinstance(transaction, InviteClient):
            transaction.cancel(lambda: self._send_cancel(transaction, headers))

    def send_ack(self, ack: Request, flow: Flow) -> bytes:
        """Send an ACK to a 2xx, which is a transaction of its own without answer (13.2.2.4); return its bytes."""
        self._push_via(ack, flow)
        data = ack.encode()
        self.messages.sent("ACK")
        self.send(flow, data)
        return data

    def measure(self, request: Request, flow: Flow) -> int:
        """Return how many bytes ``request`` would be on ``flow``; it is of no further use."""
        self._push_via(request, flow)
        return len(request.encode())

    def transactions(self) -> dict[str, int]:
        """Return how many client and server transactions exist."""
        return {"client": len(self._clients), "server": len(self._servers)}

    # What a transaction calls (``transactions.Layer``) ------------------------------------------------------

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on their way."""
        self._out.append((flow, data))

    def start_timer(self, timed: Timed, event: str, delay: float) -> None:
        """Fire ``event`` at ``timed`` after ``delay`` seconds."""
        self._timers.start(delay, timed, event, self.clock())

    def pass_up(self, transaction: ClientTransaction, response: Response) -> None:
        """Queue the event for a response."""
        self.events.append(ResponseReceived(transaction, response))

    def fail(self, transaction: ClientTransaction, cause: str) -> None:
        """Queue the event for a request without response."""
        self.events.append(RequestFailed(transaction, cause))

    def forget(self, transaction: Transaction) -> None:
        """Drop a terminated transaction."""
        if self._heard.get(transaction.heard) is transaction:
            del self._heard[transaction.heard]
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
        else:
            self._clients.pop(transaction.key, None)

    def count_unexpected(self, transaction: Transaction, event: str) -> None:
        """Count an input that the state does not know."""
        self.unexpected[type(transaction).__name__, transaction.state, event] += 1

    # Receiving ----------------------------------------------------------------------------------------------

    def _hear_again(self, transaction: Transaction, data: bytes) -> bool:
        """Let ``transaction`` hear once more what it heard last; False: ``data`` only shares the hash with that.

        The hash is 64 bits of SipHash under a secret key of this process, and method and branch must agree, too.
        Whatever passes would be of this transaction by 17.2.3 as well, and moves it to repeat itself at most: where
        to and what does not depend on ``data``.
        """
        branch_or_call_id = transaction.key[0] or transaction.key[3]
        if str(branch_or_call_id).encode("utf-8", "surrogateescape") not in data:
            return False
        method = transaction.key[-1]
        if isinstance(transaction, ClientTransaction):
            hundreds = _STATUS_LINES.get(data[:9])
            if hundreds is None:
                return False
            self.messages.received(method, hundreds)
            transaction.fire(FAILURE)
            return True
        start = data.partition(b" ")[0].decode("utf-8", "surrogateescape")
        if start not in {"ACK", method}:
            return False
        self.messages.received(start)
        transaction.fire(ACK if start == "ACK" else REQUEST)
        return True

    def _remember(self, transaction: Transaction, fingerprint: int) -> None:
        """Know what ``transaction`` has just heard by its hash, and no longer what it heard before."""
        if fingerprint:
            self._heard.pop(transaction.heard, None)
            transaction.heard = fingerprint
            self._heard[fingerprint] = transaction

    def _receive_request(self, request: Request, flow: Flow, fingerprint: int) -> None:
        method, via = request.method, request.via
        self.messages.received(method)
        key = server_key(request, via)
        existing = self._servers.get(key)
        if existing is not None:
            if method != "ACK":
                existing.fire(REQUEST)
            elif existing.state == ACCEPTED:
                self.events.append(AckReceived(request, flow))
            else:
                existing.fire(ACK)
                if existing.state == CONFIRMED:
                    self._remember(existing, fingerprint)
            return
        reply_to = flow if (via.host, via.port) == flow.remote and not via.has_rport else stamp_via(request, via, flow)
        if method == "ACK":
            if not request.to_tag.startswith(self._stateless_tag):  # else to a response that left nothing behind
                self.events.append(AckReceived(request, flow))
            return
        try:
            if not self.admits(request, flow):
                return
        except SipError as error:
            self.refuse_statelessly(request, error, reply_to)
            return
        transaction: ServerTransaction
        if method == "INVITE":
            transaction = InviteServer(self, key, reply_to, request)
        else:
            transaction = NonInviteServer(self, key, reply_to, request)
        self._servers[key] = transaction
        if fingerprint:
            transaction.heard = fingerprint
            self._heard[fingerprint] = transaction
        if method == "CANCEL":
            self._receive_cancel(transaction, request, key)
        else:
            self.events.append(RequestReceived(transaction, request, flow))

    def _receive_cancel(self, transaction: ServerTransaction, request: Request, key: Key) -> None:
        invite = self._servers.get((*key[:-1], "INVITE"))
        if not isinstance(invite, InviteServer):
            # 9.2: "Regardless of the method of the original request", a CANCEL that matches a transaction gets a 200
            others = METHODS - {"CANCEL"}
            self.reply(transaction, 200 if any((*key[:-1], method) in self._servers for method in others) else 481)
            return
        # 9.2: its To tag and that "in the response to the original request SHOULD be the same"
        self.reply(transaction, 200, to_tag=_to_tag(invite.data))
        if not invite.is_answered:
            self.events.append(CancelReceived(invite, request))

    def _receive_response(self, response: Response, fingerprint: int) -> None:
        method = response.cseq.method
        hundreds = response.status // 100
        self.messages.received(method, hundreds)
        via = response.via
        transaction = self._clients.get((via.branch, method))
        if transaction is None or ((via.host, via.port) not in self._told and not self._is_told(via)):
            self.dropped["stray response"] += 1
            return
        transaction.fire(BY_CLASS[hundreds], response)
        if transaction.state == COMPLETED:  # what comes again in any other state is for the transaction user
            self._remember(transaction, fingerprint)

    def _is_told(self, via: Via) -> bool:
        """Whether the sent-by of a response is one that requests of ours carry; others are discarded (18.1.2)."""
        self._told = {split_host_port(sent_by) for sent_by in self._sent_by.values()}
        return (via.host, via.port) in self._told

    def refuse_malformed(self, error: SipError, flow: Flow) -> None:
        """Answer a request that could only be read in part, without keeping state for it (8.2.7)."""
        self._refuse_part(error.request, error, flow)

    def _refuse_part(self, request: Request | None, error: SipError, flow: Flow) -> None:
        self.dropped["malformed request" if request else "malformed"] += 1
        if request is None or request.method == "ACK":
            return
        try:
            reply_to = stamp_via(request, legible_via(request), flow)
        except SipError:
            return
        response = self._error_response(request, error)
        self.messages.sent(request.method, response.status // 100)
        self.send(reply_to, response.encode())

    def refuse_unread(self, head: bytes, error: SipError, flow: Flow) -> None:
        """Answer a request of which no more than ``head``, its header with the empty line, has been taken."""
        try:
            message = parse_message(head, datagram=False)
        except SipError as malformed:
            self.refuse_malformed(malformed, flow)
            return
        self._refuse_part(message if isinstance(message, Request) else None, error, flow)

    def refuse_statelessly(self, request: Request, error: SipError, reply_to: Flow) -> None:
        """Answer a request as a stateless server does: the same request gets the same tag (8.2.7)."""
        tag = self._stateless_tag + (hash(request.call_id) & 0xFFFFFFFF).to_bytes(4, "big").hex()
        response = error_response(request, error, to_tag=tag)
        self.messages.sent(request.method, response.status // 100)
        self.send(reply_to, response.encode())

    def _error_response(self, request: Request, error: SipError) -> Response:
        try:
            return error_response(request, error, to_tag=self.ids.tag())
        except SipError:  # a To that cannot be read takes no tag either
            return error_response(request, error, to_tag="")

    # Sending ------------------------------------------------------------------------------------------------

    def _push_via(self, request: Request, flow: Flow, mark: str = "") -> str:
        branch = self.ids.branch() + mark
        sent_by = self._sent_by[flow.transport, flow.local]
        # RFC 5923 section 5: a TLS peer that knows us by our certificate may send its requests by this connection
        tail = ";rport;alias" if flow.transport == "TLS" else ";rport"
        request.prepend("Via", f"SIP/2.0/{flow.transport} {sent_by};branch={branch}{tail}")
        return branch

    def _send_cancel(self, invite: InviteClient, headers: Headers) -> None:
        cancel = cancel_for(invite.request)
        for name, value in headers:
            cancel.add(name, value)
        key = (invite.key[0], "CANCEL")
        transaction = NonInviteClient(self, key, invite.flow, cancel)
        self._clients[key] = transaction
        self.messages.sent("CANCEL")
        transaction.start()


def _to_tag(data: bytes) -> str:
    """The To tag of what was sent, empty where nothing was or a proxy passed on what cannot be read."""
    try:
        return parse_message(data).to_tag if data else ""
    except SipError:
        return ""


def _admit_all(_request: Request, _flow: Flow) -> bool:
    return True


# the name to count a method under: strangers may invent any number of methods
_STATUS_LINES: Final = {f"{VERSION} {hundreds}".encode(): hundreds for hundreds in range(1, 7)}
