"""Two user agents that do anything at any time over a bad network: both end, they agree, and nothing is left."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ims_core.errors import Busy, LocalProtocolError, NotAcceptableHere
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session import INVITED, OVER, Session
from ims_core.ua.session_events import Ended, Rejected
from ims_core.ua.session_timer import TimerPolicy
from tests.kit import Faults, Network, Phone

FAULTS = st.sampled_from(
    [
        Faults(),
        Faults(loss=0.2, duplicate=0.2, delay=0.01, jitter=0.4),
        Faults(loss=0.4, duplicate=0.1, delay=0.05, jitter=1.5),
        Faults(duplicate=0.5, delay=0.01, jitter=3.0),
    ]
)
BEGUN = st.sampled_from(["unheard", "heard", "early", "answered", "answered"])
RARELY = st.sampled_from([False] * 7 + [True])
BY = st.sampled_from(["alice", "bob"])
TIMERS = st.sampled_from([None, TimerPolicy(90), TimerPolicy(1800), TimerPolicy(400, 300)])
OFFER = st.sampled_from([b"", b"offer", b"another"])
HEADERS = st.sampled_from([(), (("Require", "100rel"),), (("Session-Expires", "90"), ("Require", "timer"))])


class Overlaps(RuleBasedStateMachine):
    """Alice calls bob; after that everything is allowed that the interface has."""

    @initialize(
        seed=st.integers(0, 999),
        faults=FAULTS,
        timers=st.tuples(TIMERS, TIMERS),
        sdp=OFFER,
        headers=HEADERS,
        begun=BEGUN,
    )
    def call(  # noqa: PLR0917
        self,
        seed: int,
        faults: Faults,
        timers: tuple[TimerPolicy | None, TimerPolicy | None],
        sdp: bytes,
        headers: tuple[tuple[str, str], ...],
        begun: str,
    ) -> None:
        self.network = Network(seed)
        self.alice, self.bob = Phone(self.network, "alice"), Phone(self.network, "bob")
        self.alice.ua.session_timers, self.bob.ua.session_timers = timers
        self.bob.on_call = lambda call: None
        self.leg: OutgoingCall = self.alice.call(self.bob.uri, sdp=sdp, headers=headers)
        self.left: set[Session] = set()
        if begun != "unheard":
            self.network.run(0.1)
        if begun in {"early", "answered"} and self.peer is not None:
            self.peer.progress(183, b"early")
            self.network.run(0.1)
        if begun == "answered" and self.peer is not None:
            self.peer.answer(b"answer")
            self.network.run(0.1)
        self.network.faults = faults

    @property
    def peer(self) -> IncomingCall | None:
        return self.bob.incoming[0] if self.bob.incoming else None

    def side(self, by: str) -> Session | None:
        return self.leg if by == "alice" else self.peer

    # What time does

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.5, 2.0, 7.0, 33.0, 120.0]))
    def wait(self, seconds: float) -> None:
        self.network.run(seconds)

    # What owners do

    @precondition(lambda self: self.peer is not None)
    @rule(status=st.sampled_from([180, 183, 199]), sdp=st.sampled_from([b"", b"early"]))
    def progress(self, status: int, sdp: bytes) -> None:
        assert self.peer is not None
        self.peer.progress(status, sdp)

    @precondition(lambda self: self.peer is not None)
    @rule()
    def answer(self) -> None:
        assert self.peer is not None
        with suppress(LocalProtocolError):
            self.peer.answer(b"answer")

    @precondition(lambda self: self.peer is not None)
    @rule(really=RARELY)
    def reject(self, really: bool) -> None:
        assert self.peer is not None
        if not really:
            return
        if self.peer.state == "invited":
            self.left.add(self.peer)
        self.peer.reject(Busy.status)

    @rule(by=BY, sdp=OFFER)
    def reinvite(self, by: str, sdp: bytes) -> None:
        if (side := self.side(by)) is not None:
            with suppress(LocalProtocolError):
                side.reinvite(sdp)

    @rule(by=BY, sdp=OFFER)
    def update(self, by: str, sdp: bytes) -> None:
        if (side := self.side(by)) is not None:
            with suppress(LocalProtocolError):
                side.update(sdp)

    @rule(by=BY)
    def inform(self, by: str) -> None:
        if (side := self.side(by)) is not None:
            with suppress(LocalProtocolError):
                side.send("INFO", body=b"1", content_type="application/dtmf")

    @rule(by=BY, refuse=st.booleans())
    def take(self, by: str, refuse: bool) -> None:
        if (side := self.side(by)) is not None:
            if refuse:
                side.refuse_offer(NotAcceptableHere())
            else:
                side.accept_offer(b"answer of " + by.encode())

    @rule(by=BY)
    def acknowledge(self, by: str) -> None:
        if (side := self.side(by)) is not None:
            side.acknowledge(b"late answer of " + by.encode())

    @rule(by=BY, really=RARELY)
    def hang_up(self, by: str, really: bool) -> None:
        if really and (side := self.side(by)) is not None:
            self.left.add(side)
            side.hang_up()

    # What holds

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        self.network.faults = Faults()
        self.leg.hang_up()
        self.left.add(self.leg)
        self.network.run()
        if self.peer is not None and self.peer.state == INVITED:  # the caller heard nothing, gave up, and cannot say so
            self.left.add(self.peer)
            self.peer.hang_up()
            self.network.run()
        sides = [(self.alice, self.leg), *([(self.bob, self.peer)] if self.peer is not None else [])]
        for phone, side in sides:
            assert side.state == OVER
            ends = [event for event in phone.told_by(side) if isinstance(event, Ended | Rejected)]
            assert len(ends) <= 1
            assert ends or side in self.left, "who did not leave was told"
            assert not ends or phone.told_by(side)[-1] == ends[0], "nothing follows the end"
        self.alice.assert_idle()
        self.bob.assert_idle()


TestOverlaps = Overlaps.TestCase
TestOverlaps.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
