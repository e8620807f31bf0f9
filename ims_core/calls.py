"""Calls that can be awaited: the face of a session for a coroutine (RFC 3261 sections 13 to 15).

A session tells its owner what happens by events. Whoever awaits one kind of event gets it; all others are kept, in
order, for who iterates over the call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, get_args

from ims_core.errors import SipError
from ims_core.messages.headers import quote_string
from ims_core.ua.context import Headers
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import (
    Acknowledged,
    Answered,
    Ended,
    OfferRefused,
    Reanswered,
    Rejected,
    SessionEvent,
)

if TYPE_CHECKING:
    from ims_core.locate.courier import Outbound
    from ims_core.messages.message import Response

SESSION_EVENTS = get_args(SessionEvent)


class CallError(Exception):
    """A call did not go as was asked of it."""


class CallEnded(CallError):
    """The call ended before what was waited for."""


class Refused(CallError):
    """The peer refused; ``status`` and ``reason`` say why."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"{status} {reason}")


class CallRejected(Refused):
    """A call of ours was not answered."""


class NotTaken(Refused):
    """An offer of ours was not taken; the call goes on as it was (14.1)."""


class Call:
    """One call leg, ours or a peer's, in the hands of one task.

    ``flush`` sends what the session has to send. As a context it hangs up at its end. Iterating yields every event
    that nobody awaited, the last being ``Ended`` or ``Rejected``. ``on_end`` is called when the peer ends the call.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._events: deque[SessionEvent] = deque()
        self._awaited: list[tuple[tuple[type[SessionEvent], ...], asyncio.Future[SessionEvent]]] = []
        self._session: IncomingCall | OutgoingCall
        self.is_over = False
        self.on_end: Callable[[], object] | None = None

    def attach(self, session: IncomingCall | OutgoingCall) -> Self:
        """Be the face of ``session``, whose events are from now on told to this call."""
        self._session = session
        session.on_event = self._tell
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        with suppress(CallEnded):
            while True:
                yield await self.event()

    @property
    def session(self) -> IncomingCall | OutgoingCall:
        """What is behind it, for all that is not here."""
        return self._session

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self._session.dialog_id[0]

    # Either side --------------------------------------------------------------------------------------------

    async def event(self) -> SessionEvent:
        """Wait for the next event that nobody else awaits. Raises ``CallEnded`` when there will be none."""
        if self._events:
            return self._events.popleft()
        return await self._next_of(SESSION_EVENTS, first=False)

    async def offer(self, sdp: bytes = b"") -> bytes:
        """Offer the peer another session by re-INVITE; returns the answer.

        Without ``sdp`` it is the peer who offers, and that is what is returned: ``acknowledge`` must follow.
        Raises ``NotTaken`` when the peer refuses, ``CallEnded`` when the call ends before that.
        """
        self._session.reinvite(sdp)
        return await self._taken()

    async def update(self, sdp: bytes = b"") -> bytes:
        """Offer the peer another session by UPDATE, which may be before the answer (RFC 3311); returns the answer.

        Without ``sdp`` it tells the peer that we are still there. Raises as ``offer`` does.
        """
        self._session.update(sdp)
        return await self._taken()

    @property
    def may_update(self) -> bool:
        """Whether an offer by UPDATE would leave now; before the answer the peer may not know yet what holds."""
        return self._session.may_update

    async def ask(self, method: str, *, body: bytes = b"", content_type: str = "", headers: Headers = ()) -> Response:
        """Send a request within the call, say MESSAGE or INFO, and return its final response.

        Raises ``CallError`` when none comes, ``LocalProtocolError`` while there is no dialog.
        """
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._session.send(method, headers, body=body, content_type=content_type, user=_Asked(answered))
        self._flush()
        return await answered

    def accept_offer(self, sdp: bytes) -> None:
        """Answer a ``Reoffered``."""
        self._session.accept_offer(sdp)
        self._flush()

    def refuse_offer(self, error: SipError) -> None:
        """Refuse a ``Reoffered``; the call goes on as it was."""
        self._session.refuse_offer(error)
        self._flush()

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that came in a 200 to an INVITE of ours without one; does nothing when there is none."""
        self._session.acknowledge(sdp)
        self._flush()

    def inform(self, content_type: str, body: bytes) -> None:
        """Send an INFO (RFC 6086) without waiting for its response."""
        self._session.send("INFO", body=body, content_type=content_type)
        self._flush()

    def hang_up(self, headers: Headers = ()) -> None:
        """End the call whatever its state, by BYE, CANCEL or 480; does nothing when it is over."""
        self._session.hang_up(headers)
        self._flush()
        self._finish()

    # Calls of a peer ----------------------------------------------------------------------------------------

    @property
    def called(self) -> str:
        """The user part of the Request-URI."""
        return self._incoming.request.target.user

    @property
    def caller(self) -> str:
        """The From value as a name-addr without tag: as whom a call in its place is made."""
        sender = self._incoming.request.from_
        return f"{quote_string(sender.display)} <{sender.uri_text}>" if sender.display else f"<{sender.uri_text}>"

    @property
    def takes_reliable(self) -> bool:
        """Whether the caller acknowledges provisional responses (RFC 3262)."""
        return self._incoming.takes_reliable

    @property
    def offered(self) -> bytes:
        """The session description of the INVITE; empty when the offer is ours to make."""
        return self._incoming.offer

    def progress(self, status: int = 180, sdp: bytes = b"") -> None:
        """Send a provisional response, with early media when ``sdp`` is given."""
        self._incoming.progress(status, sdp)
        self._flush()

    async def answer(self, sdp: bytes) -> bytes:
        """Answer and wait for the ACK; returns what it says of the session, if anything. Raises ``CallEnded``."""
        self._incoming.answer(sdp)
        self._flush()
        acknowledged = await self._await_one(Acknowledged)
        assert isinstance(acknowledged, Acknowledged)
        return acknowledged.sdp

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> None:
        """Send a final failure; does nothing once it is too late for that."""
        self._incoming.reject(status, reason, headers)
        self._flush()
        self._finish()

    @property
    def _incoming(self) -> IncomingCall:
        if not isinstance(self._session, IncomingCall):
            raise TypeError("this call is ours to make, not to answer")
        return self._session

    # Calls of ours ------------------------------------------------------------------------------------------

    async def answered(self) -> bytes:
        """Wait until the callee answers; returns how he describes the session. Raises ``CallRejected``."""
        outcome = await self._await_one(Answered, Rejected)
        if isinstance(outcome, Rejected):
            raise CallRejected(outcome.status, outcome.reason)
        assert isinstance(outcome, Answered)
        return outcome.sdp

    # Inside -------------------------------------------------------------------------------------------------

    async def _taken(self) -> bytes:
        self._flush()
        outcome = await self._await_one(Reanswered, OfferRefused)
        if isinstance(outcome, OfferRefused):
            raise NotTaken(outcome.status, outcome.reason)
        assert isinstance(outcome, Reanswered)
        return outcome.sdp

    def _tell(self, event: SessionEvent) -> None:
        for waiter in self._awaited:
            kinds, future = waiter
            if isinstance(event, kinds) and not future.done():
                self._awaited.remove(waiter)
                future.set_result(event)
                break
        else:
            self._events.append(event)
        if isinstance(event, Ended | Rejected):
            self._finish()
            if self.on_end is not None:
                self.on_end()

    def _finish(self) -> None:
        """Nothing more will come: whoever waits is told."""
        self.is_over = True
        for _, future in self._awaited:
            if not future.done():
                future.set_exception(CallEnded("the call is over"))
        self._awaited.clear()

    async def _await_one(self, *kinds: type[SessionEvent]) -> SessionEvent:
        """Take the first event of these kinds, which came already or is to come. Raises ``CallEnded``."""
        for event in self._events:
            if isinstance(event, kinds):
                self._events.remove(event)
                return event
        return await self._next_of(kinds, first=True)

    async def _next_of(self, kinds: tuple[type[SessionEvent], ...], *, first: bool) -> SessionEvent:
        """Wait for an event to come; who awaits a kind of it comes ``first``, before who takes whatever is left."""
        if self.is_over:
            raise CallEnded("the call is over")
        future: asyncio.Future[SessionEvent] = asyncio.get_running_loop().create_future()
        waiter = (kinds, future)
        self._awaited.insert(0 if first else len(self._awaited), waiter)
        try:
            return await future
        finally:
            if waiter in self._awaited:
                self._awaited.remove(waiter)


class _Asked:
    """Who waits for the response to a request of ours within a call."""

    def __init__(self, answered: asyncio.Future[Response]) -> None:
        self._answered = answered

    def receive_response(self, _: Outbound, response: Response) -> None:
        if response.status >= 200 and not self._answered.done():
            self._answered.set_result(response)

    def request_failed(self, _: Outbound, cause: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(CallError(f"no response: {cause}"))
