"""Two user agents that call each other."""

from __future__ import annotations

from itertools import count

from ims_core.messages.message import Response
from ims_core.transactions.endpoint import ResponseReceived
from ims_core.ua.description import SDP
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session import OVER, Session
from ims_core.ua.session_events import Answered, Reanswered, Reoffered, Ringing, SessionEvent
from ims_core.ua.session_timer import TimerPolicy
from tests.kit.network import Faults, Network
from tests.kit.phone import Phone


class Pair:
    """Two phones; ``leg`` is alice's side of the call that ``call`` makes, ``peer`` bob's.

    With ``takes_offers`` either answers whatever is offered, each time with a description of its own.
    """

    def __init__(
        self,
        transport: str = "UDP",
        *,
        seed: int | str = 0,
        faults: Faults | None = None,
        takes_offers: bool = False,
        alice_timers: TimerPolicy | None = None,
        bob_timers: TimerPolicy | None = None,
    ) -> None:
        self.network = Network(seed, faults)
        self.alice = Phone(self.network, "alice", transport=transport)
        self.bob = Phone(self.network, "bob", transport=transport)
        self.alice.ua.session_timers = alice_timers
        self.bob.ua.session_timers = bob_timers
        self.takes_offers = takes_offers
        self.leg: OutgoingCall
        self._descriptions = count(1)

    @property
    def peer(self) -> IncomingCall:
        """Bob's side."""
        return self.bob.incoming[0]

    def call(
        self, *, sdp: bytes = b"offer", answer: bytes | None = b"answer", headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Have alice call; ``answer`` None: bob lets it ring."""

        def take(call: IncomingCall) -> None:
            self.mind(self.bob, call)
            if answer is None:
                call.progress()
            else:
                call.answer(answer)

        self.bob.on_call = take
        self.leg = self.alice.call(self.bob.uri, sdp=sdp, headers=headers)
        self.mind(self.alice, self.leg)
        self.network.run(0.1)

    def send(self, method: str, *, cseq: int | None = None, body: bytes = b"", kind: str = SDP, **fields: str) -> None:
        """A request of alice's within the dialog."""
        assert self.leg.dialog is not None
        request = self.leg.dialog.request(method, cseq=cseq)
        for name, value in fields.items():
            request.add(name.replace("_", "-"), value)
        if body:
            request.set_body(body, kind)
        self.alice.endpoint.request(request, self.alice.flow(self.bob, self.alice.transport), None)

    def replies(self, method: str) -> list[Response]:
        """What alice got for her requests of that method, after the INVITE that made the call."""
        return [
            event.response
            for event in self.alice.events
            if isinstance(event, ResponseReceived)
            and event.response.cseq.method == method
            and not (method == "INVITE" and event.response.cseq.number == 1)
        ]

    def told(self, session: Session) -> list[SessionEvent]:
        """What the owner of a side was told after the call was set up."""
        phone = self.alice if session is self.leg else self.bob
        return phone.told_by(session)[1:]

    def finish(self) -> None:
        """Let everything run out: nothing may be left."""
        self.network.run()
        self.alice.assert_idle()
        self.bob.assert_idle()

    def mind(self, phone: Phone, session: Session) -> None:
        """Keep what a session tells, and answer what it is offered if offers are taken."""
        note = phone.listen(session)

        def on_event(event: SessionEvent) -> None:
            note(event)
            if not self.takes_offers or session.state == OVER:
                return
            fresh = f"{phone.name} {next(self._descriptions)}".encode()
            if isinstance(event, Reoffered):
                session.accept_offer(fresh)
            elif isinstance(event, Answered | Reanswered | Ringing):
                session.acknowledge(fresh)  # does nothing where no answer of ours is due

        session.on_event = on_event
