"""The four transaction machines (RFC 3261 section 17, amended by RFC 6026 and RFC 4320).

Each machine is a table: ``(state, event) -> (next state, action)``. An event is a received message by its class,
a message the transaction user sends, a timer by its letter, or a transport error. A pair missing from the table
changes nothing: for a timer that is how it is stopped, for anything else it is counted.

    InviteClient (17.1.1)      CALLING → PROCEEDING → COMPLETED | ACCEPTED → TERMINATED
    NonInviteClient (17.1.2)   TRYING → PROCEEDING → COMPLETED → TERMINATED
    InviteServer (17.2.1)      PROCEEDING → COMPLETED → CONFIRMED | ACCEPTED → TERMINATED
    NonInviteServer (17.2.2)   TRYING → PROCEEDING → COMPLETED → TERMINATED

ACCEPTED is RFC 6026's: the INVITE was answered with a 2xx, whose retransmissions belong to the transaction user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response

CALLING: Final = "calling"
TRYING: Final = "trying"
PROCEEDING: Final = "proceeding"
COMPLETED: Final = "completed"
CONFIRMED: Final = "confirmed"
ACCEPTED: Final = "accepted"
TERMINATED: Final = "terminated"

REQUEST: Final = "request"  # the request again
ACK: Final = "ack"
PROVISIONAL: Final = "1xx"
SUCCESS: Final = "2xx"
FAILURE: Final = "3xx-6xx"
BY_CLASS: Final = ("", PROVISIONAL, SUCCESS, FAILURE, FAILURE, FAILURE, FAILURE)  # the event of a status, by hundreds
TRANSPORT_ERROR: Final = "transport error"
GIVE_UP: Final = "give up"  # 9.1: no final response 64*T1 after the CANCEL; RFC 4320: no answer to be given
NO_PROVISIONAL: Final = "1xx above 100"  # of no use to any request but INVITE: in no table, and so counted
TIMER_A: Final = "timer A"
TIMER_B: Final = "timer B"
TIMER_D: Final = "timer D"
TIMER_E: Final = "timer E"
TIMER_F: Final = "timer F"
TIMER_G: Final = "timer G"
TIMER_H: Final = "timer H"
TIMER_I: Final = "timer I"
TIMER_J: Final = "timer J"
TIMER_K: Final = "timer K"
TIMER_L: Final = "timer L"
TIMER_M: Final = "timer M"

TIMEOUT: Final = "timeout"
TRANSPORT: Final = "transport"

Key = tuple[str | int, ...]  # what tells a transaction from all others (17.1.3, 17.2.3)
Action = Callable[[Any, Any], None]


class Machine(NamedTuple):
    """The state in which a transaction begins, and its table."""

    first: str
    table: dict[tuple[str, str], tuple[str, Action | None]]


class TimerValues(NamedTuple):
    """The base timers in seconds (17.1.1.1); everything else follows from them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0


class Layer(Protocol):
    """What a transaction needs of the layer that holds it."""

    timers: TimerValues

    def send(self, flow: Flow, data: bytes) -> None:
        """Put bytes on their way."""

    def start_timer(self, transaction: Transaction, event: str, delay: float) -> None:
        """Fire ``event`` at ``transaction`` after ``delay`` seconds."""

    def pass_up(self, transaction: ClientTransaction, response: Response) -> None:
        """Tell the transaction user of a response."""

    def fail(self, transaction: ClientTransaction, cause: str) -> None:
        """Tell the transaction user that no response will come: ``TIMEOUT`` or ``TRANSPORT``."""

    def forget(self, transaction: Transaction) -> None:
        """Drop a terminated transaction."""

    def count_unexpected(self, transaction: Transaction, event: str) -> None:
        """Count an input that the state does not know."""


class Transaction:
    """What the four machines share.

    ``data`` is what is sent again, ``heard`` the hash of the datagram by which the layer knows a retransmission (0:
    none), ``user`` is free for the transaction user.
    """

    __slots__ = ("_layer", "data", "flow", "heard", "interval", "key", "request", "state", "table", "user")

    def __init__(self, layer: Layer, key: Key, flow: Flow, request: Request, machine: Machine) -> None:
        self._layer = layer
        self.table = machine.table
        self.key = key
        self.flow = flow
        self.request = request
        self.state = machine.first
        self.data = b""
        self.interval = 0.0
        self.heard = 0
        self.user: Any = None

    def fire(self, event: str, argument: Any = None) -> None:
        """Take the transition that the table has for ``event``, if any."""
        transition = self.table.get((self.state, event))
        if transition is None:
            if not event.startswith("timer"):
                self._layer.count_unexpected(self, event)
            return
        self.state, action = transition
        if action is not None:
            action(self, argument)

    def _let_go(self) -> None:
        """Drop the messages: many transactions wait out their time, and only their key is needed."""
        self.request = _BARE.get(self.request.method, _BARE[""])
        self.data = b""

    def _end(self, _: object = None) -> None:
        self.state = TERMINATED
        self._layer.forget(self)

    def _end_after(self, event: str, delay: float) -> None:
        """Wait for stragglers; a reliable transport has none."""
        if self.flow.transport == "UDP":
            self._layer.start_timer(self, event, delay)
        else:
            self._end()


class ClientTransaction(Transaction):
    """A request of ours and the responses to it."""

    __slots__ = ()

    def _pass_up(self, response: Response) -> None:
        self._layer.pass_up(self, response)

    def _time_out(self, _: object) -> None:
        self._end()
        self._layer.fail(self, TIMEOUT)

    def _lose_transport(self, _: object) -> None:
        self._end()
        self._layer.fail(self, TRANSPORT)


class InviteClient(ClientTransaction):
    """17.1.1, with ACCEPTED of RFC 6026 section 7.2."""

    __slots__ = ("_ack", "_cancel_wanted", "cancelled")

    def __init__(self, layer: Layer, key: Key, flow: Flow, request: Request) -> None:
        super().__init__(layer, key, flow, request, _INVITE_CLIENT)
        self.cancelled = False
        self._ack = b""
        self._cancel_wanted: Callable[[], None] | None = None

    def start(self) -> None:
        """Send the request (17.1.1.2)."""
        layer = self._layer
        self.data = self.request.encode()
        layer.send(self.flow, self.data)
        self.interval = layer.timers.t1
        if self.flow.transport == "UDP":
            layer.start_timer(self, TIMER_A, self.interval)
        layer.start_timer(self, TIMER_B, 64 * self.interval)

    def cancel(self, send_cancel: Callable[[], None]) -> None:
        """Have ``send_cancel`` called as soon as a CANCEL may be sent: after a provisional response (9.1)."""
        if self.cancelled or self.state not in {CALLING, PROCEEDING}:
            return
        self.cancelled = True
        if self.state == PROCEEDING:
            self._send_cancel(send_cancel)
        else:
            self._cancel_wanted = send_cancel

    def _send_cancel(self, send_cancel: Callable[[], None]) -> None:
        send_cancel()
        self._layer.start_timer(self, GIVE_UP, 64 * self._layer.timers.t1)

    def _resend(self, _: object) -> None:
        self._layer.send(self.flow, self.data)
        self.interval *= 2
        self._layer.start_timer(self, TIMER_A, self.interval)

    def _proceed(self, response: Response) -> None:
        if self._cancel_wanted is not None:
            self._send_cancel(self._cancel_wanted)
            self._cancel_wanted = None
        self._layer.pass_up(self, response)

    def _accept(self, response: Response) -> None:
        self._layer.start_timer(self, TIMER_M, 64 * self._layer.timers.t1)
        self._layer.pass_up(self, response)
        self._let_go()

    def _complete(self, response: Response) -> None:
        self._ack = ack_for_failure(self.request, response).encode()
        self._layer.send(self.flow, self._ack)
        self._layer.pass_up(self, response)
        self._let_go()
        self._end_after(TIMER_D, max(32.0, 64 * self._layer.timers.t1))

    def _acknowledge(self, _: object) -> None:
        self._layer.send(self.flow, self._ack)


_INVITE_CLIENT: Final = Machine(
    CALLING,
    {
        (CALLING, TIMER_A): (CALLING, InviteClient._resend),
        (CALLING, TIMER_B): (TERMINATED, ClientTransaction._time_out),
        (CALLING, TRANSPORT_ERROR): (TERMINATED, ClientTransaction._lose_transport),
        (CALLING, PROVISIONAL): (PROCEEDING, InviteClient._proceed),
        (CALLING, SUCCESS): (ACCEPTED, InviteClient._accept),
        (CALLING, FAILURE): (COMPLETED, InviteClient._complete),
        (PROCEEDING, PROVISIONAL): (PROCEEDING, ClientTransaction._pass_up),
        (PROCEEDING, SUCCESS): (ACCEPTED, InviteClient._accept),
        (PROCEEDING, FAILURE): (COMPLETED, InviteClient._complete),
        (PROCEEDING, GIVE_UP): (TERMINATED, ClientTransaction._time_out),
        (PROCEEDING, TRANSPORT_ERROR): (PROCEEDING, None),  # the response may come over another connection
        (COMPLETED, FAILURE): (COMPLETED, InviteClient._acknowledge),
        (COMPLETED, TIMER_D): (TERMINATED, Transaction._end),
        (COMPLETED, TRANSPORT_ERROR): (TERMINATED, Transaction._end),
        (COMPLETED, PROVISIONAL): (COMPLETED, None),
        (COMPLETED, GIVE_UP): (COMPLETED, None),
        (ACCEPTED, SUCCESS): (ACCEPTED, ClientTransaction._pass_up),
        (ACCEPTED, TIMER_M): (TERMINATED, Transaction._end),
        (ACCEPTED, TRANSPORT_ERROR): (ACCEPTED, None),
        (ACCEPTED, PROVISIONAL): (ACCEPTED, None),
        (ACCEPTED, GIVE_UP): (ACCEPTED, None),
        (TERMINATED, GIVE_UP): (TERMINATED, None),
    },
)


class NonInviteClient(ClientTransaction):
    """17.1.2."""

    __slots__ = ()

    def __init__(self, layer: Layer, key: Key, flow: Flow, request: Request) -> None:
        super().__init__(layer, key, flow, request, _NON_INVITE_CLIENT)

    def start(self) -> None:
        """Send the request (17.1.2.2)."""
        layer = self._layer
        self.data = self.request.encode()
        layer.send(self.flow, self.data)
        self.interval = layer.timers.t1
        if self.flow.transport == "UDP":
            layer.start_timer(self, TIMER_E, self.interval)
        layer.start_timer(self, TIMER_F, 64 * self.interval)

    def _resend(self, _: object) -> None:
        self._layer.send(self.flow, self.data)
        t2 = self._layer.timers.t2
        self.interval = min(self.interval * 2, t2) if self.state == TRYING else t2
        self._layer.start_timer(self, TIMER_E, self.interval)

    def _complete(self, response: Response) -> None:
        self._layer.pass_up(self, response)
        self._end_after(TIMER_K, self._layer.timers.t4)


_NON_INVITE_CLIENT: Final = Machine(
    TRYING,
    {
        (TRYING, TIMER_E): (TRYING, NonInviteClient._resend),
        (TRYING, TIMER_F): (TERMINATED, ClientTransaction._time_out),
        (TRYING, TRANSPORT_ERROR): (TERMINATED, ClientTransaction._lose_transport),
        (TRYING, PROVISIONAL): (PROCEEDING, ClientTransaction._pass_up),
        (TRYING, SUCCESS): (COMPLETED, NonInviteClient._complete),
        (TRYING, FAILURE): (COMPLETED, NonInviteClient._complete),
        (PROCEEDING, TIMER_E): (PROCEEDING, NonInviteClient._resend),
        (PROCEEDING, TIMER_F): (TERMINATED, ClientTransaction._time_out),
        (PROCEEDING, TRANSPORT_ERROR): (TERMINATED, ClientTransaction._lose_transport),
        (PROCEEDING, PROVISIONAL): (PROCEEDING, ClientTransaction._pass_up),
        (PROCEEDING, SUCCESS): (COMPLETED, NonInviteClient._complete),
        (PROCEEDING, FAILURE): (COMPLETED, NonInviteClient._complete),
        (COMPLETED, PROVISIONAL): (COMPLETED, None),  # 17.1.2.2: the state exists to absorb these
        (COMPLETED, SUCCESS): (COMPLETED, None),
        (COMPLETED, FAILURE): (COMPLETED, None),
        (COMPLETED, TIMER_K): (TERMINATED, Transaction._end),
        (COMPLETED, TRANSPORT_ERROR): (COMPLETED, None),
    },
)


class ServerTransaction(Transaction):
    """A request of a peer and our responses to it. Responses after the final one are counted and not sent (17.2)."""

    __slots__ = ()

    @property
    def is_answered(self) -> bool:
        """Whether a final response has been sent."""
        return self.state not in {TRYING, PROCEEDING}

    def _send(self, response: Response) -> None:
        self.data = response.encode()
        self._layer.send(self.flow, self.data)

    def _repeat(self, _: object) -> None:
        if self.data:
            self._layer.send(self.flow, self.data)


class InviteServer(ServerTransaction):
    """17.2.1, with ACCEPTED of RFC 6026 section 7.1."""

    __slots__ = ()

    def __init__(self, layer: Layer, key: Key, flow: Flow, request: Request) -> None:
        super().__init__(layer, key, flow, request, _INVITE_SERVER)

    def _accept(self, response: Response) -> None:
        self._send(response)
        self.request = _BARE["INVITE"]
        self._layer.start_timer(self, TIMER_L, 64 * self._layer.timers.t1)

    def _refuse(self, response: Response) -> None:
        self._send(response)
        self.request = _BARE["INVITE"]
        self.interval = self._layer.timers.t1
        if self.flow.transport == "UDP":
            self._layer.start_timer(self, TIMER_G, self.interval)
        self._layer.start_timer(self, TIMER_H, 64 * self.interval)

    def _repeat_and_wait(self, _: object) -> None:
        self._layer.send(self.flow, self.data)
        self.interval = min(self.interval * 2, self._layer.timers.t2)
        self._layer.start_timer(self, TIMER_G, self.interval)

    def _confirm(self, _: object) -> None:
        self._end_after(TIMER_I, self._layer.timers.t4)


_INVITE_SERVER: Final = Machine(
    PROCEEDING,
    {
        (PROCEEDING, REQUEST): (PROCEEDING, ServerTransaction._repeat),
        (PROCEEDING, PROVISIONAL): (PROCEEDING, ServerTransaction._send),
        (PROCEEDING, SUCCESS): (ACCEPTED, InviteServer._accept),
        (PROCEEDING, FAILURE): (COMPLETED, InviteServer._refuse),
        (COMPLETED, REQUEST): (COMPLETED, ServerTransaction._repeat),
        (COMPLETED, TIMER_G): (COMPLETED, InviteServer._repeat_and_wait),
        (COMPLETED, TIMER_H): (TERMINATED, Transaction._end),
        (COMPLETED, ACK): (CONFIRMED, InviteServer._confirm),
        (CONFIRMED, ACK): (CONFIRMED, None),
        (CONFIRMED, REQUEST): (CONFIRMED, None),
        (CONFIRMED, TIMER_I): (TERMINATED, Transaction._end),
        (ACCEPTED, REQUEST): (ACCEPTED, None),  # RFC 6026 7.1: absorbed, the user repeats its 2xx
        (ACCEPTED, SUCCESS): (ACCEPTED, ServerTransaction._send),
        (ACCEPTED, TIMER_L): (TERMINATED, Transaction._end),
    },
)


class NonInviteServer(ServerTransaction):
    """17.2.2."""

    __slots__ = ()

    def __init__(self, layer: Layer, key: Key, flow: Flow, request: Request) -> None:
        super().__init__(layer, key, flow, request, _NON_INVITE_SERVER)

    def _complete(self, response: Response) -> None:
        self._send(response)
        self.request = _BARE.get(self.request.method, _BARE[""])  # many wait here for timer J with their answer only
        self._end_after(TIMER_J, 64 * self._layer.timers.t1)


_NON_INVITE_SERVER: Final = Machine(
    TRYING,
    {
        (TRYING, REQUEST): (TRYING, None),
        (TRYING, PROVISIONAL): (PROCEEDING, ServerTransaction._send),
        (TRYING, SUCCESS): (COMPLETED, NonInviteServer._complete),
        (TRYING, FAILURE): (COMPLETED, NonInviteServer._complete),
        (PROCEEDING, REQUEST): (PROCEEDING, ServerTransaction._repeat),
        (PROCEEDING, PROVISIONAL): (PROCEEDING, ServerTransaction._send),
        (PROCEEDING, SUCCESS): (COMPLETED, NonInviteServer._complete),
        (PROCEEDING, FAILURE): (COMPLETED, NonInviteServer._complete),
        (TRYING, GIVE_UP): (TERMINATED, Transaction._end),
        (PROCEEDING, GIVE_UP): (TERMINATED, Transaction._end),
        (COMPLETED, REQUEST): (COMPLETED, ServerTransaction._repeat),
        (COMPLETED, TIMER_J): (TERMINATED, Transaction._end),
    },
)


# Stand for requests that nobody needs any more.
_BARE: Final = {
    method: Request(method, "") for method in ("", "INVITE", "REGISTER", "BYE", "CANCEL", "OPTIONS", "INFO", "MESSAGE")
}


def ack_for_failure(invite: Request, response: Response) -> Request:
    """Build the ACK to a 3xx–6xx: same branch, To of the response, Route of the INVITE (17.1.1.3)."""
    ack = _same_hop(invite, "ACK")
    ack.set("To", response.require("To"))
    return ack


def cancel_for(invite: Request) -> Request:
    """Build the CANCEL of an INVITE: same branch, To without what responses added (9.1)."""
    return _same_hop(invite, "CANCEL")


def _same_hop(invite: Request, method: str) -> Request:
    request = Request(method, invite.uri)
    request.add("Via", invite.values("Via")[0])
    for key, line in zip(invite.keys, invite.lines, strict=True):
        if key in {"from", "to", "call-id", "route"}:
            request.keys.append(key)
            request.lines.append(line)
    request.add("CSeq", f"{invite.cseq.number} {method}")
    request.add("Max-Forwards", "70")
    return request
