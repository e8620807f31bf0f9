"""A user agent on the network."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from ims_core.errors import SipError
from ims_core.flow import Address, Flow, format_address
from ims_core.locate.courier import Courier
from ims_core.messages.message import Request
from ims_core.messages.uri import parse_uri
from ims_core.security.digest import answer_challenge
from ims_core.transactions.endpoint import (
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ims_core.transactions.machines import TimerValues
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import EventHandler, SessionEvent
from ims_core.ua.useragent import UserAgent
from tests.kit.network import Network
from tests.kit.party import Party

DOMAIN = "ims.example"
PASSWORD = "sesame"


class Phone(Party):
    """A user agent that calls, is called and registers. ``uri`` is where it can be reached.

    ``on_call`` is handed each incoming call; ``incoming`` keeps them. ``told`` keeps every session event with the
    session that told it. ``proxy``, a flow, is where requests outside dialogs go; without it they go to their URI.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        *,
        transport: str = "UDP",
        proxy: Address | None = None,
        address: Address | None = None,
        timers: TimerValues | None = None,
    ) -> None:
        super().__init__(network, name, address=address, timers=timers)
        self.transport = transport
        self.proxy = None if proxy is None else self.flow(proxy, transport)
        self.ua = UserAgent(
            Courier(self.endpoint, listeners=self.advertised), way_to_peer=self._way_to_peer, advertised=self.advertised
        )
        self.on_call: Callable[[IncomingCall], None] = lambda call: call.answer(b"answer of " + name.encode())
        self.incoming: list[IncomingCall] = []
        self.told: list[tuple[object, SessionEvent]] = []
        self.react = self._dispatch
        self._registration = (self.endpoint.ids.call_id(), self.endpoint.ids.tag())
        self._cseq = count(1)

    @property
    def uri(self) -> str:
        """The contact URI."""
        tail = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"sip:{self.name}@{format_address(self.address)}{tail}"

    def told_by(self, session: object) -> list[SessionEvent]:
        """What one session told."""
        return [event for teller, event in self.told if teller is session]

    def listen(self, session: object) -> EventHandler:
        """A handler that keeps what ``session`` tells."""
        return lambda event: self.told.append((session, event))

    def call(self, target: str, *, sdp: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> OutgoingCall:
        """Call a URI."""
        parsed = parse_uri(target)
        flow = self.proxy or self.flow(parsed.address, parsed.transport)
        call = self.ua.outgoing(flow, lambda event: self.told.append((call, event)))
        caller = f"<sip:{self.name}@{DOMAIN}>"
        call.start(target, caller=caller, callee=f"<{target}>", sdp=sdp, headers=headers)
        return call

    def register(self, expires: int = 3600, password: str = PASSWORD) -> None:
        """REGISTER with the proxy, answering its challenge."""
        assert self.proxy is not None
        self._register(expires, password, ())

    def request(self, method: str, target: str, *, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Send a request outside any dialog; the response is found in ``events``."""
        flow = self.proxy or self.flow(parse_uri(target).address, parse_uri(target).transport)
        self.endpoint.request(self._new_request(method, target, headers), flow, None)

    def _new_request(self, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> Request:
        request = Request(method, target)
        request.add("Max-Forwards", "70")
        request.add("From", f"<sip:{self.name}@{DOMAIN}>;tag={self.endpoint.ids.tag()}")
        request.add("To", f"<{target}>")
        request.add("Call-ID", self.endpoint.ids.call_id())
        request.add("CSeq", f"1 {method}")
        for name, value in headers:
            request.add(name, value)
        return request

    def _register(self, expires: int, password: str, credentials: tuple[tuple[str, str], ...]) -> None:
        assert self.proxy is not None
        call_id, tag = self._registration
        request = Request("REGISTER", f"sip:{DOMAIN}")
        request.add("Max-Forwards", "70")
        request.add("From", f"<sip:{self.name}@{DOMAIN}>;tag={tag}")
        request.add("To", f"<sip:{self.name}@{DOMAIN}>")
        request.add("Call-ID", call_id)
        request.add("CSeq", f"{next(self._cseq)} REGISTER")
        request.add("Contact", f"<{self.uri}>;expires={expires}")
        for name, value in credentials:
            request.add(name, value)
        self.endpoint.request(request, self.proxy, None if credentials else (expires, password))

    def _answer_challenge(self, event: ResponseReceived) -> None:
        expires, password = event.transaction.user
        challenge = event.response.require("WWW-Authenticate")
        answer = answer_challenge(challenge, "REGISTER", f"sip:{DOMAIN}", self.name, password, cnonce="0a4f113b")
        self._register(expires, password, (("Authorization", answer),))

    def _way_to_peer(self, uri: str, fallback: Flow) -> Flow:
        parsed = parse_uri(uri)
        return self.flow(parsed.address, parsed.transport) if parsed.has_ip_host else fallback

    def _dispatch(self, event: Event) -> None:
        match event:
            case RequestReceived():
                try:
                    self._take_request(event)
                except SipError as error:
                    self.endpoint.refuse(event.transaction, error)
            case ResponseReceived(transaction, response) if isinstance(transaction.user, tuple):
                if response.status == 401:
                    self._answer_challenge(event)
            case RequestFailed(transaction) if isinstance(transaction.user, tuple):
                pass
            case _:
                self.ua.handle(event)

    def _take_request(self, event: RequestReceived) -> None:
        transaction, request, flow = event.transaction, event.request, event.flow
        if request.to.tag:
            self.ua.receive(transaction, request)
        elif request.method == "INVITE":
            self.endpoint.reply(transaction, 100)
            call = self.ua.incoming(transaction, request, flow, request.from_.uri.user)
            call.on_event = self.listen(call)
            self.incoming.append(call)
            self.on_call(call)
        else:
            self.ua.receive_outside(transaction, request, flow, request.from_.uri.user)

    def assert_idle(self) -> None:
        """Nothing is left over."""
        super().assert_idle()
        assert len(self.ua) == 0
        assert len(self.ua.usages) == 0
