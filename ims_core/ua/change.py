"""A change of the session that we ask for: a re-INVITE or an UPDATE of ours (RFC 3261 14.1, RFC 3311 5.1 and 5.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ims_core.errors import LocalProtocolError, SipError
from ims_core.security.credentials import share_credentials
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.description import SDP, describe, session_description
from ims_core.ua.offers import AGREED, OUR_TURN, PEERS_TURN
from ims_core.ua.reliable import without_reliable
from ims_core.ua.session_events import OfferRefused, Reanswered

if TYPE_CHECKING:
    from ims_core.locate.courier import Outbound
    from ims_core.messages.message import Request, Response
    from ims_core.security.credentials import Challenged
    from ims_core.ua.context import Headers
    from ims_core.ua.dialog import Dialog
    from ims_core.ua.session import Session

WAITING: Final = "waiting"  # for its turn
SENT: Final = "sent"
PAUSED: Final = "paused"  # after a 491
OFFERED: Final = "offered"  # the 2xx brought the peer's offer, the ACK is to answer it
DONE: Final = "done"

_MOST_GLARES: Final = 4
_MOST_RAISES: Final = 3  # of the interval, when the peer finds it too small


class Change:
    """One re-INVITE or UPDATE, until it is taken or refused. Its ACK is sent again for as long as 2xx come.

    Without ``sdp`` a re-INVITE asks for the peer's offer, and an UPDATE only refreshes the session. One that
    ``is_refresh`` is the session's own wish: its owner is not told of it.
    """

    def __init__(
        self, session: Session, dialog: Dialog, method: str, sdp: bytes, headers: Headers, *, is_refresh: bool = False
    ) -> None:
        self._session = session
        self._headers = headers
        self._ack: Callable[[], None] | None = None
        self._request: Request | None = None
        self._challenged: Challenged | None = None
        self._glares = self._raises = 0
        self.dialog = dialog
        self.method = method
        self.sdp = sdp
        self.is_refresh = is_refresh
        self.state = WAITING

    @property
    def exchanges(self) -> bool:
        """Whether it is a turn in the exchange of descriptions."""
        return self.method == "INVITE" or bool(self.sdp)

    def send(self) -> None:
        """Send the request."""
        session, dialog = self._session, self.dialog
        if session.challenged is not None and self.state == WAITING:
            self._challenged = session.challenged.another()
        self.state = SENT
        if self.is_refresh and self.sdp:
            self.sdp = session.local_sdp  # the session may have changed while this waited
        request = dialog.request(self.method)
        request.add("Contact", session.contact)
        for name, value in (*self._capabilities(), *self._headers):
            request.add(name, value)
        if self.sdp and session.required:
            request.add("Require", session.required)
        if self.sdp:
            describe(request, self.sdp, session.enclosed, session.context.endpoint.ids)
        if self._challenged is not None:
            self._challenged.sign(request)
        self._request = request
        if self.exchanges:
            dialog.turn = PEERS_TURN
        try:
            session.context.courier.request(request, session.context.way_to_peer(dialog), self)
        except SipError as error:
            self._fail(error.status, error.reason)

    def drop(self) -> None:
        """The session is over: nobody waits for the outcome."""
        if self.state == OFFERED:
            self.acknowledge()
        self.state = DONE

    def acknowledge(self, sdp: bytes = b"") -> None:
        """Answer by the ACK the offer that the 2xx brought."""
        if self.state == OFFERED:
            self.sdp = sdp
            self._send_ack(sdp)
            self._settle()
            self._changes.taken(self, b"")

    # What the transaction tells -----------------------------------------------------------------------------

    def receive_response(self, _: Outbound, response: Response) -> None:
        """Take a response; "the ACK MUST be passed to the client transport every time a 2xx arrives" (13.2.2.4)."""
        status = response.status
        if status < 200:
            return
        if self.state == SENT:
            self._take(response)
        elif self.state == DONE and status < 300 and self.method == "INVITE":
            self._send_ack()

    def request_failed(self, _: Outbound, cause: str) -> None:
        """Take note that no response will come (8.1.3.1)."""
        if self.state == SENT:
            self._fail(*((408, "No answer") if cause == TIMEOUT else (503, "Cannot be reached")))

    def fire(self, _: str) -> None:
        """The pause after a 491 is over."""
        if self.state == PAUSED:
            self.state = WAITING
            self._session.go_on()

    # Inside -------------------------------------------------------------------------------------------------

    def _capabilities(self) -> Headers:
        """Return what the request says of us and of the session timer."""
        context, timer = self._session.context, self._session.timer
        # 100rel is left out: it would allow the peer reliable responses, of which a re-INVITE has no need
        supported = without_reliable(context.offered)
        said = (("Allow", context.allow), *((("Supported", supported),) if supported else ()))
        return said if timer is None else (*said, *timer.proposal())

    def _take(self, response: Response) -> None:
        status = response.status
        if status < 300:
            self._succeed(response)
        elif status == 491 and self._glares < _MOST_GLARES:
            self._pause()
        elif status == 422 and self._raises < _MOST_RAISES and self._raise_interval(response):
            self._raises += 1
            self.send()
        elif status in {401, 407} and self._challenged is not None and self._challenged.learn(response):
            self.send()  # signed (22.2, 22.3)
        else:
            if self.is_refresh and self._session.timer is not None:
                self._session.timer.refused()
            self._fail(status, response.reason)

    def _succeed(self, response: Response) -> None:
        session, dialog = self._session, self.dialog
        dialog.refresh(response)
        session.take_terms(response)
        answer = session_description(response)
        if self.method == "INVITE":
            if not self.sdp and answer:
                self.state = OFFERED
                dialog.turn = OUR_TURN
                session.agreed(dialog, b"", answer)
                session.on_event(Reanswered(answer))
                return
            self._send_ack()
        self._settle()
        if self.exchanges and not answer and not self.is_refresh:
            self._changes.refused(self, 500, "No session description in the answer")
        else:
            self._changes.taken(self, answer)

    def _pause(self) -> None:
        """Wait for a random time, in which the peer does not (14.1)."""
        ids = self._session.context.endpoint.ids
        self._session.context.counts["491"] += 1
        self._glares += 1
        self.state = PAUSED
        self._give_turn_back()
        # "if the UAC is the owner of the Call-ID ... between 2.1 and 4 seconds in units of 10 ms", else 0 to 2 seconds
        hundredths = 210 + ids.number(191) if self._session.owns_call_id else ids.number(201)
        self._session.context.endpoint.start_timer(self, "glare", hundredths / 100)

    def _fail(self, status: int, reason: str) -> None:
        self._settle()
        self._changes.refused(self, status, reason)

    def _settle(self) -> None:
        self.state = DONE
        self._give_turn_back()

    def _raise_interval(self, response: Response) -> bool:
        timer = self._session.timer
        return timer is not None and timer.raise_interval(response)

    @property
    def _changes(self) -> Changes:
        assert self._session.changes is not None
        return self._session.changes

    def _give_turn_back(self) -> None:
        if self.exchanges:
            self.dialog.turn = AGREED

    def _send_ack(self, sdp: bytes = b"") -> None:
        if self._ack is not None:
            self._ack()
            return
        assert self._request is not None
        ack = self.dialog.request("ACK", cseq=self._request.cseq.number)
        share_credentials(self._request, ack)
        if sdp:
            ack.set_body(sdp, SDP)
        context = self._session.context
        self._ack = context.courier.send_ack(ack, context.way_to_peer(self.dialog))


class Changes:
    """The changes of a session that we want: the first is under way or next, a refresh may wait behind or before."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._queue: deque[Change] = deque()

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def is_sent(self) -> bool:
        """Whether a re-INVITE of ours is in progress, or an UPDATE with an offer."""
        return bool(self._queue) and self._queue[0].state in {SENT, OFFERED} and self._queue[0].exchanges

    def begin(self, change: Change) -> None:
        """Send ``change`` as soon as it may be. Raises ``LocalProtocolError`` while the owner waits for another."""
        if not change.is_refresh and any(not other.is_refresh for other in self._queue):
            raise LocalProtocolError("another change is pending")
        self._queue.append(change)
        self._session.go_on()

    def go_on(self) -> None:
        """Send the first if it is its turn."""
        if self._queue and self._queue[0].state == WAITING and self._session.may_send(self._queue[0]):
            self._queue[0].send()

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that the 2xx to our re-INVITE brought."""
        if self._queue:
            self._queue[0].acknowledge(sdp)

    def drop(self) -> None:
        """Want nothing more: the session is over."""
        queue, self._queue = self._queue, deque()
        for change in queue:
            change.drop()

    def keep_to(self, dialog: Dialog) -> None:
        """Drop the changes of early dialogs that came to nothing."""
        for change in [change for change in self._queue if change.dialog is not dialog]:
            self._queue.remove(change)
            change.drop()

    def taken(self, change: Change, answer: bytes) -> None:
        """The peer took ``change``."""
        session = self._session
        self._forget(change)
        is_news = answer != session.remote_sdp if change.is_refresh else True
        session.agreed(change.dialog, change.sdp, answer)
        if (answer and is_news) or not (change.exchanges or change.is_refresh):
            session.on_event(Reanswered(answer))
        session.go_on()

    def refused(self, change: Change, status: int, reason: str) -> None:
        """The peer refused it. "If the response ... is a 481 or a 408" the dialog is gone (12.2.1.2)."""
        session, timer = self._session, self._session.timer
        self._forget(change)
        if status in {408, 481} and session.dialog is change.dialog and session.is_established:
            session.lose(f"{status} {reason}")
            return
        if not change.is_refresh:
            session.on_event(OfferRefused(status, reason))
        elif status in {405, 501} and timer is not None and timer.by_update:
            timer.by_update = False
            session.refresh()
        session.go_on()

    def _forget(self, change: Change) -> None:
        if change in self._queue:
            self._queue.remove(change)
