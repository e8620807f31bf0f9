"""A phone of ours, without I/O: one account, one call at a time.

Like every SIP part it takes bytes and time and gives bytes and events; ``acd.demo.phone`` puts it on sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import SipError
from ims_core.flow import Address, Flow
from ims_core.locate.courier import Courier
from ims_core.messages.message import Request, error_response
from ims_core.security.digest import UnsupportedChallenge, answer_challenge
from ims_core.transactions.endpoint import (
    Endpoint,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ims_core.ua.session_events import Answered, Ended, Rejected, Reoffered, SessionEvent
from ims_core.ua.useragent import UserAgent
from media.api import NotAcceptable
from media.codecs.names import PCMA, PCMU
from media.sdp.local import Local
from media.sdp.negotiation import Negotiation

if TYPE_CHECKING:
    from ims_core.messages.message import Response
    from ims_core.transactions.machines import ServerTransaction
    from ims_core.ua.incoming import IncomingCall
    from ims_core.ua.session import Session
    from media.rtp.stream import Stream

EXPIRES = 600
_G711 = Local(codecs=(PCMU, PCMA))


class Account(NamedTuple):
    """Who the phone registers as, and where."""

    user: str
    domain: str
    password: str
    server: Address


class Told(NamedTuple):
    """Something that happened, named as baresip names it; ``peer`` is the other side's URI."""

    type: str
    peer: str = ""
    param: str = ""


class SoftPhone:
    """Registers, calls, takes calls. ``tell`` is handed what happens.

    ``rtp`` is the address where audio is received; ``stream`` says where to send it while a call is up, else None.
    The owner calls ``receive`` and ``handle_timer`` and, after either or any verb, sends ``data_to_send()``.
    """

    def __init__(
        self,
        account: Account,
        endpoint: Endpoint,
        *,
        local: Address,
        advertised: Mapping[tuple[str, Address], str],
        rtp: Address,
        tell: Callable[[Told], None],
    ) -> None:
        self.endpoint = endpoint
        self.stream: Stream | None = None
        self._account = account
        self._rtp = rtp
        self._tell = tell
        self._flow = Flow("UDP", local, account.server)
        self._ua = UserAgent(
            Courier(endpoint, listeners=advertised), way_to_peer=lambda _uri, _flow: self._flow, advertised=advertised
        )
        self._aor = f"sip:{account.user}@{account.domain}"
        self._contact = self._ua.contact_for(self._flow, account.user)
        self._call_id, self._tag = endpoint.ids.call_id(), endpoint.ids.tag()
        self._cseq = 0
        self._offers = 0
        self._session: Session | None = None
        self._ringing: IncomingCall | None = None
        self._negotiation = self._negotiate()
        self._peer = ""

    # Verbs --------------------------------------------------------------------------------------------------

    def register(self, *, expires: int = EXPIRES, credentials: str = "") -> None:
        """Send a REGISTER; 0 ``expires`` takes the binding away."""
        self._cseq += 1
        request = Request("REGISTER", f"sip:{self._account.domain}")
        request.add("Max-Forwards", "70")
        request.add("From", f"<{self._aor}>;tag={self._tag}")
        request.add("To", f"<{self._aor}>")
        request.add("Call-ID", self._call_id)
        request.add("CSeq", f"{self._cseq} REGISTER")
        request.add("Contact", f"{self._contact};expires={expires}")
        if credentials:
            request.add("Authorization", credentials)
        self.endpoint.request(request, self._flow, self)

    def dial(self, uri: str) -> None:
        """Call ``uri``; does nothing while there is a call."""
        if self._session is not None:
            return
        self._negotiation = self._negotiate()
        self._peer = uri
        session = self._ua.outgoing(self._flow, self._on_session)
        self._session = session
        session.start(uri, caller=f"<{self._aor}>", callee=f"<{uri}>", sdp=self._negotiation.offer().encode())

    def accept(self) -> None:
        """Answer the call that rings."""
        call, self._ringing = self._ringing, None
        if call is None:
            return
        try:
            self.stream = self._negotiation.take_offer(call.offer.decode(errors="replace"))
        except NotAcceptable:
            self._over("488")
            call.reject(488)
            return
        call.answer(self._negotiation.answer().encode())
        self._tell(Told("CALL_ESTABLISHED", self._peer))

    def hang_up(self) -> None:
        """End the call, whatever its state."""
        if self._session is not None:
            self._session.hang_up()
            self._over("hung up")

    # Inputs and outputs -------------------------------------------------------------------------------------

    def receive(self, data: bytes, remote: Address) -> None:
        """Take a datagram."""
        self.endpoint.receive(data, self._flow._replace(remote=remote))
        self._react()

    def handle_timer(self) -> None:
        """Act on every deadline that has passed."""
        self.endpoint.handle_timer()
        self._react()

    def _react(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self._on_event(event)

    # What happens -------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(transaction, request, flow):
                self._on_request(transaction, request, flow)
            case ResponseReceived(transaction, response) if transaction.user is self:
                self._on_registered(transaction.request, response)
            case RequestFailed(transaction, cause) if transaction.user is self:
                self._tell(Told("REGISTER_FAIL", param=cause))
            case _:
                self._ua.handle(event)

    def _on_registered(self, request: Request, response: Response) -> None:
        if response.status < 200:
            return
        if response.status == 401 and "Authorization" not in request:
            challenge = response.get("WWW-Authenticate") or ""
            account, cnonce = self._account, self.endpoint.ids.tag()
            contact = request.contact
            expires = int(contact.params.get("expires", EXPIRES)) if contact else EXPIRES
            try:
                credentials = answer_challenge(
                    challenge, "REGISTER", request.uri, account.user, account.password, cnonce=cnonce
                )
            except UnsupportedChallenge as error:
                self._tell(Told("REGISTER_FAIL", param=str(error)))
            else:
                self.register(expires=expires, credentials=credentials)
        elif response.status < 300:
            self._tell(Told("REGISTER_OK"))
        else:
            self._tell(Told("REGISTER_FAIL", param=f"{response.status} {response.reason}"))

    def _on_request(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        if request.method != "INVITE" or request.to.tag:
            self._ua.receive(transaction, request)
            return
        try:
            call = self._ua.incoming(transaction, request, flow, request.from_.uri.user)
        except SipError as error:
            self.endpoint.respond(transaction, error_response(request, error, to_tag=self.endpoint.ids.tag()))
            return
        if self._session is not None:
            call.reject(486)
            return
        call.on_event = self._on_session
        self._session = self._ringing = call
        self._negotiation = self._negotiate()
        self._peer = request.from_.uri.text
        call.progress(180)
        self._tell(Told("CALL_INCOMING", self._peer, request.from_.display))

    def _on_session(self, event: SessionEvent) -> None:
        match event:
            case Answered(sdp):
                try:
                    self.stream = self._negotiation.take_answer(sdp.decode(errors="replace"))
                except NotAcceptable:
                    self.hang_up()
                else:
                    self._tell(Told("CALL_ESTABLISHED", self._peer))
            case Rejected(status, reason):
                self._over(f"{status} {reason}")
            case Reoffered():
                assert self._session is not None
                self._session.accept_offer(self._negotiation.offer().encode())
            case Ended(_, reason):
                self._over(reason)

    def _over(self, reason: str) -> None:
        peer, self._peer = self._peer, ""
        self._session = self._ringing = self.stream = None
        self._tell(Told("CALL_CLOSED", peer, reason))

    def _negotiate(self) -> Negotiation:
        self._offers += 1
        negotiation = Negotiation(self._rtp[0], self._offers, local=_G711)
        negotiation.port = self._rtp[1]
        return negotiation
