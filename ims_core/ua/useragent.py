"""The user agent: holds the sessions that end here and finds the one a message belongs to (RFC 3261 12.2.2).

A ``Node`` has one. On an ``Endpoint`` alone it makes a phone, as the one of the demonstration: an INVITE is for
``incoming``, any other request outside a dialog for ``receive_outside``, one within a dialog for ``receive``, and all
else that the endpoint tells for ``handle``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from ims_core.errors import LoopDetected, MethodNotAllowed, NoSuchDialog, NotImplementedHere, SipError
from ims_core.flow import transport_parameter
from ims_core.messages.extensions import check_required
from ims_core.messages.message import METHODS
from ims_core.messages.uri import parse_uri
from ims_core.transactions.endpoint import AckReceived, CancelReceived, RequestFailed, ResponseReceived
from ims_core.ua.context import ALLOW
from ims_core.ua.description import SDP, check_description
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session import Session
from ims_core.ua.session_timer import check_interval
from ims_core.ua.usages import Usages

if TYPE_CHECKING:
    from ims_core.flow import Address, Flow
    from ims_core.locate.courier import Courier, Hop
    from ims_core.messages.message import Request
    from ims_core.security.credentials import Credentials
    from ims_core.setup import Measure
    from ims_core.transactions.endpoint import Endpoint
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.context import SessionHandler
    from ims_core.ua.dialog import Dialog
    from ims_core.ua.session_events import EventHandler
    from ims_core.ua.session_timer import TimerPolicy

    OutsideHandler = Callable[[ServerTransaction, Request, Flow, str], None]
    """Serves a request outside any dialog, sent by the identity named last: must answer it, or raise ``SipError``."""


class SessionWatcher(Protocol):
    """Who follows all sessions of a user agent."""

    def session_changed(self, session: Session) -> None:
        """Take note of a session that is new, rings or was answered."""

    def session_closed(self, session: Session, cause: str, code: int | None) -> None:
        """Take note of a session that is over; ``cause`` and ``code`` as in RFC 4235 section 4.1.2."""


class UserAgent:
    """Creates sessions and dispatches messages to them.

    ``way_to_peer(uri, heard_from)`` chooses the way to the peer of a dialog; ``advertised`` maps each listener to the
    ``host:port`` that peers are to use in requests to us. ``on_set_up`` is told how long the set-up of each call takes.
    """

    def __init__(
        self,
        courier: Courier,
        *,
        way_to_peer: Callable[[str, Flow], Hop],
        advertised: Mapping[tuple[str, Address], str],
    ) -> None:
        self.courier = courier
        self.endpoint: Endpoint = courier.endpoint
        self._way_to_peer = way_to_peer
        self._advertised = advertised
        self._sessions: dict[tuple[str, str], Session] = {}
        self._calls: set[tuple[str, str, int]] = set()
        self.usages = Usages(self.endpoint)
        self.watchers: list[SessionWatcher] = []
        self._handlers: dict[str, SessionHandler] = {}
        self._outside: dict[str, OutsideHandler] = {}
        self._seen: dict[tuple[str, str, int], float] = {}
        self.options: set[str] = set()
        self._only_understood: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._session_timers: TimerPolicy | None = None
        self.on_set_up: Measure | None = None
        self.accept = [SDP]
        self.info_bodies: tuple[str, ...] = ()
        self.allow_events: list[str] = []
        self.allow = ALLOW
        self.supported = self.offered = ""
        self.support("100rel")

    def __len__(self) -> int:
        return len(self._sessions)

    # Capabilities -------------------------------------------------------------------------------------------

    def serve(self, method: str, handler: SessionHandler, *options: str) -> None:
        """Hand requests of ``method`` within sessions to ``handler``: how usages such as REFER join in.

        Allow names the method from now on, and Supported the ``options`` that come with it (``replaces``), which a
        request may then require.
        """
        self._handlers[method] = handler
        self._allow()
        self.support(*options)

    def serve_outside(self, method: str, handler: OutsideHandler) -> None:
        """Hand requests of ``method`` that are part of no dialog to ``handler``. Allow names it from now on."""
        self._outside[method] = handler
        self._allow()

    def capabilities(self) -> tuple[tuple[str, str], ...]:
        """Return what an OPTIONS is told (11.2): Allow, Accept, and what else is understood."""
        told = (
            ("Allow", self.allow),
            ("Accept", ", ".join(self.accept)),
            ("Supported", self.supported),
            ("Allow-Events", ", ".join(self.allow_events)),
        )
        return tuple((name, value) for name, value in told if value)

    def support(self, *options: str) -> None:
        """Say in Supported that these extensions are understood, and take requests that require them."""
        self.options.update(options)
        self.supported = ", ".join(sorted(self.options))
        self.offered = ", ".join(sorted(self.options - self._only_understood))

    def understand(self, *options: str) -> None:
        """Do as ``support`` does for what a peer begins, and say nothing of these extensions in INVITEs of ours."""
        self._only_understood.update(options)
        self.support(*options)

    @property
    def session_timers(self) -> TimerPolicy | None:
        """What sessions made from now on want of session timers (RFC 4028); None: there are none."""
        return self._session_timers

    @session_timers.setter
    def session_timers(self, policy: TimerPolicy | None) -> None:
        self._session_timers = policy
        self.options.discard("timer")
        self.support(*(["timer"] if policy is not None else []))

    def handler(self, method: str) -> SessionHandler | None:
        """Return who serves requests of ``method`` within sessions."""
        return self._handlers.get(method)

    def connections(self) -> set[int]:
        """Return the numbers of the connections that the peers of our calls are reached by."""
        return {session.dialog.flow.connection for session in self._sessions.values() if session.dialog is not None}

    def find(self, call_id: str, local_tag: str, remote_tag: str) -> Session | None:
        """Return the session of a dialog, early or confirmed: how Replaces and Join name one (RFC 3891 section 3)."""
        session = self._sessions.get((call_id, local_tag))
        return session if session is not None and session.is_of(remote_tag) else None

    # Making sessions ----------------------------------------------------------------------------------------

    def incoming(self, transaction: ServerTransaction, request: Request, flow: Flow, identity: str) -> IncomingCall:
        """Make the session for an INVITE addressed to us. Raises ``SipError`` when it cannot be served."""
        check_required(request, self.options)
        check_description(request)
        if request_id(request) in self._calls:  # 8.2.2.2: it was forked on its way, and all branches end here
            raise LoopDetected
        check_interval(request, self._session_timers)
        return IncomingCall(self, transaction, request, flow, identity)

    def outgoing(self, hop: Hop, on_event: EventHandler, *, credentials: Credentials | None = None) -> OutgoingCall:
        """Make a session that can call through ``hop``; ``credentials`` answer who asks for some there."""
        return OutgoingCall(self, hop, on_event, credentials)

    # Dispatching --------------------------------------------------------------------------------------------

    def owns(self, request: Request) -> bool:
        """Whether ``request`` belongs to a dialog of ours."""
        dialog_id = (request.call_id, request.to_tag)
        return dialog_id in self._sessions or dialog_id in self.usages

    def receive(self, transaction: ServerTransaction, request: Request) -> None:
        """Hand a request to its dialog, or answer 481."""
        try:
            session = self._sessions.get((request.call_id, request.to_tag))
            check_required(request, self.options)
            if session is None:
                self.usages.receive(transaction, request)
                return
            if session.dialog and session.dialog.remote_tag != request.from_tag:
                raise NoSuchDialog
            session.receive(transaction, request)
        except SipError as error:
            if error.status == 491:
                self.counts["491"] += 1
            self.endpoint.refuse(transaction, error)

    def receive_outside(self, transaction: ServerTransaction, request: Request, flow: Flow, identity: str = "") -> None:
        """Take a request that is part of no dialog and no INVITE. Raises ``SipError`` for what is not served.

        Its sender must have been admitted: ``identity`` is who it proved to be.
        """
        method = request.method
        handler = self._outside.get(method)
        if handler is None and method in WITHIN_DIALOGS:
            raise NoSuchDialog
        check_required(request, self.options)
        parse_uri(request.uri)  # 8.2.2.1: 416 for a scheme that nobody knows here
        self._refuse_merged(request)
        if handler is not None:
            handler(transaction, request, flow, identity)
        elif method == "OPTIONS":
            self.endpoint.reply(transaction, 200, headers=self.capabilities())
        else:
            error = MethodNotAllowed if method in METHODS else NotImplementedHere
            allowed = ", ".join(served for served in self.allow.split(", ") if served != method)  # but in dialogs
            raise error(headers=(("Allow", allowed),))

    def receive_ack(self, request: Request) -> None:
        """Hand an ACK to its dialog."""
        session = self._sessions.get((request.call_id, request.to_tag))
        if session is None:
            self.endpoint.dropped["stray ACK"] += 1
        else:
            session.receive_ack(request)

    def handle(self, event: AckReceived | CancelReceived | ResponseReceived | RequestFailed) -> None:
        """Take an event of the endpoint that is no request: for who is a phone and nothing else, without a ``Node``."""
        match event:
            case AckReceived(request):
                self.receive_ack(request)
            case CancelReceived(transaction, request):
                if transaction.user is not None:
                    transaction.user.cancelled(transaction, request)
            case ResponseReceived(transaction, response):
                if transaction.user is not None:
                    transaction.user.receive_response(transaction, response)
            case RequestFailed(transaction, cause):
                if transaction.user is not None:
                    transaction.user.request_failed(transaction, cause)

    # For the sessions (``session.Context``) -----------------------------------------------------------------

    def way_to_peer(self, dialog: Dialog) -> Hop:
        """Return where requests within ``dialog`` are to be sent."""
        return self._way_to_peer(dialog.next_hop, dialog.flow)

    def contact_for(self, flow: Flow, user: str, *, secure: bool = False) -> str:
        """Return the Contact value that reaches us through ``flow``'s listener.

        ``secure``: the request is for a SIPS URI, and so must the Contact be (RFC 3261 8.1.1.8 and 12.1.1).
        """
        host = self._advertised[flow.transport, flow.local]
        userinfo = f"{user}@" if user.isascii() and user.isalnum() else ""
        scheme = "sips" if secure and flow.secure else "sip"
        return f"<{scheme}:{userinfo}{host}{transport_parameter(flow.transport, scheme)}>"

    def opened(self, session: Session) -> None:
        """Register the session under its dialog id."""
        self._sessions[session.dialog_id] = session
        if isinstance(session, IncomingCall):
            self._calls.add(request_id(session.request))
        self.changed(session)

    def changed(self, session: Session) -> None:
        """Tell the watchers that a session is there or has come further."""
        for watcher in self.watchers:
            watcher.session_changed(session)

    def closed(self, session: Session, cause: str, code: int | None) -> None:
        """Forget the session and tell the watchers."""
        self._sessions.pop(session.dialog_id, None)
        if isinstance(session, IncomingCall):
            self._calls.discard(request_id(session.request))
        for watcher in self.watchers:
            watcher.session_closed(session, cause, code)

    def _refuse_merged(self, request: Request) -> None:
        """Refuse what was forked on its way, and whose branches all end here (8.2.2.2). Raises ``LoopDetected``.

        What came is remembered for as long as its transaction.
        """
        now, seen = self.endpoint.clock(), self._seen
        while seen and seen[next(iter(seen))] < now:
            del seen[next(iter(seen))]
        key = request_id(request)
        if key in seen:
            raise LoopDetected
        seen[key] = now + 64 * self.endpoint.timers.t1

    def _allow(self) -> None:
        """Say in Allow what is served, within dialogs or outside."""
        self.allow = ", ".join(dict.fromkeys((*ALLOW.split(", "), *self._handlers, *self._outside)))


WITHIN_DIALOGS = frozenset(("BYE", "INFO", "NOTIFY", "PRACK", "UPDATE"))
"""Methods that make no sense outside a dialog: 481."""


def request_id(request: Request) -> tuple[str, str, int]:
    """What all copies of one request have in common, whatever way they took (8.2.2.2)."""
    return request.call_id, request.from_tag, request.cseq.number
