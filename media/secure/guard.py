"""What stands between the socket of a secured leg and its session: STUN, DTLS and SRTP on one port (RFC 7983).

Datagrams with their source go in; plain RTP and RTCP come out, and answers go back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from media.rtp.stream import Dtls, Ice, Sdes, Security
from media.secure.handshakes import Handshakes
from media.secure.ice import LiteAgent
from media.secure.srtp import SUITES, Key, Protector, Replayed, Unauthentic, Unprotector
from media.secure.stun import Malformed

if TYPE_CHECKING:
    from media.secure.dtls import Keys
    from media.secure.stun import Address
    from media.secure.surroundings import Surroundings, Timer

_STUN: Final = range(4)  # first octets, RFC 7983 7
_DTLS: Final = range(20, 64)
_RTP: Final = range(128, 192)
_RTCP: Final = range(192, 224)  # second octets of RTCP on the RTP port, RFC 5761 4
PATIENCE_SECONDS: Final = 5.0
"""How long a peer's check or handshake is expected any moment."""
_SHORTEST_RTP: Final = 12
_SHORTEST_RTCP: Final = 8


class NotSecured(OSError):
    """There are no keys yet to send with. OSError, as what a socket raises."""


class Guard:
    """One leg's keys, and from whom its packets may come.

    With ICE they may come from wherever a check has passed, and ours go to the nominated pair. Otherwise the peer is
    where the first packet came from that its keys open, and until then where its description says. `remote` is where
    we send, None while that is unknown.

    What is not the peer's is counted and changes nothing: `foreign` by source, `invalid` in form, the rest in `totals`,
    which begin with those of the guard `before`.
    """

    __slots__ = (
        "_agent",
        "_checks_refused",
        "_complaints",
        "_declared",
        "_expected",
        "_handshakes",
        "_handshakes_failed",
        "_latched",
        "_protector",
        "_replayed",
        "_security",
        "_surroundings",
        "_unauthentic",
        "_unprotector",
        "_waiting",
        "foreign",
        "invalid",
        "remote",
    )

    def __init__(self, surroundings: Surroundings, before: tuple[int, ...]) -> None:
        self.remote: Address | None = None
        self.foreign = self.invalid = 0
        self._unauthentic, self._replayed, self._handshakes_failed, self._checks_refused = before
        self._surroundings = surroundings
        self._declared: Address | None = None
        self._latched = False
        self._security: Security | None = None
        self._agent: LiteAgent | None = None
        self._handshakes: Handshakes | None = None
        self._protector: Protector | None = None
        self._unprotector: Unprotector | None = None
        self._complaints: set[str] = set()
        self._waiting: Timer | None = None
        self._expected: tuple[Security | None, Ice | None] = (None, None)

    @property
    def ready(self) -> bool:
        """Tell whether we can send: to whom, and under which key."""
        return self.remote is not None and (self._protector is not None or self._security is None)

    @property
    def awaited(self) -> bool:
        """Tell whether we cannot send yet, but should soon; what is to be heard from its beginning waits for that."""
        return self._waiting is not None and not self.ready

    @property
    def found(self) -> Address | None:
        """Where the peer was found to be, by ICE or by what its keys open."""
        return self.remote if self._latched or self._agent is not None else None

    @property
    def protection(self) -> str | None:
        """How what we send is protected: where the keys are from, and the suite; None: not at all, or not yet."""
        if self._protector is None:
            return None
        return f"{'DTLS' if isinstance(self._security, Dtls) else 'SDES'} {self._protector.key.suite.name}"

    def totals(self) -> tuple[int, ...]:
        """Return packets unauthentic and replayed, handshakes that came to nothing, and checks refused."""
        agent, handshakes = self._agent, self._handshakes
        failed = self._handshakes_failed + (handshakes.failures if handshakes is not None else 0)
        refused = self._checks_refused + (agent.refused if agent is not None else 0)
        return self._unauthentic, self._replayed, failed, refused

    def configure(self, security: Security | None, ice: Ice | None, declared: Address | None) -> None:
        """Take what the latest descriptions agreed; `declared` is the peer's address by its description."""
        self._agree(security, ice, declared)
        if (security, ice) != self._expected:
            self._expected = security, ice
            self._stop_waiting()
            if not self.ready:
                self._waiting = self._surroundings.shared.call_later(PATIENCE_SECONDS, self._wait_no_longer)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _wait_no_longer(self) -> None:
        self._waiting = None
        self._surroundings.changed()

    def _agree(self, security: Security | None, ice: Ice | None, declared: Address | None) -> None:
        if ice is None:
            if self._agent is not None:
                self._checks_refused += self._agent.refused
            self._agent = None
        elif self._agent is None:
            self._agent = LiteAgent(ice)
            self.remote = None
        else:
            self._agent.use(ice)
            self.remote = self._agent.selected
        if declared is not None and declared != self._declared:
            self._declared = declared
            if self._agent is None:
                self.remote, self._latched = declared, False
        before, self._security = self._security, security
        if not isinstance(security, Dtls):
            self._end_handshakes()
        if isinstance(security, Sdes):
            if security != before:
                suite = SUITES[security.suite]
                self._use(Key(suite, security.send_key), Key(suite, security.receive_key, security.receive_mki))
            return
        if security is None or isinstance(before, Sdes):
            self._protector = self._unprotector = None
        if security is not None:
            self._expect_handshake(security)

    def receive(self, data: bytes, source: Address) -> bytes | None:
        """Take a datagram; returns the plain RTP or RTCP packet in it, if it is one of the peer's."""
        first = data[0] if data else 0xFF
        if first in _RTP:
            return self._receive_media(data, source)
        if first in _STUN and self._agent is not None:
            self._receive_check(self._agent, data, source)
        elif first in _DTLS and self._handshakes is not None:
            self._receive_handshake(self._handshakes, data, source)
        else:
            self.invalid += 1
        return None

    def protect(self, packet: bytes) -> bytes:
        """Return the datagram for an RTP or RTCP packet. Raises OSError."""
        protector = self._protector
        if protector is None:
            if self._security is not None:
                raise NotSecured("no keys yet")
            return packet
        return protector.protect_rtcp(packet) if packet[1] in _RTCP else protector.protect(packet)

    def seek_anew(self) -> None:
        """Take the peer's packets from elsewhere as well; the keys tell that they are its own."""
        self._latched = False

    def close(self) -> None:
        """The leg ends."""
        self._end_handshakes()
        self._stop_waiting()

    def _receive_media(self, data: bytes, source: Address) -> bytes | None:
        agent = self._agent
        if source not in agent.valid if agent is not None else self._latched and source != self.remote:
            self.foreign += 1
            return None
        if len(data) < _SHORTEST_RTP and (len(data) < _SHORTEST_RTCP or data[1] not in _RTCP):
            self.invalid += 1
            return None
        if self._security is not None:
            unprotector = self._unprotector
            if unprotector is None:
                self._unauthentic += 1  # it came before the keys
                return None
            try:
                data = unprotector.unprotect_rtcp(data) if data[1] in _RTCP else unprotector.unprotect(data)
            except Replayed:
                self._replayed += 1
                return None
            except Unauthentic as error:
                self._unauthentic += 1
                self._complain(f"A packet is not protected by the keys agreed: {error}.")
                return None
        if agent is None and not self._latched:
            self._latched = True
            self.remote = source
            self._surroundings.changed()
        return data

    def _receive_check(self, agent: LiteAgent, data: bytes, source: Address) -> None:
        selected = agent.selected
        try:
            answer = agent.receive(data, source)
        except Malformed:
            self.invalid += 1
            return
        if answer is not None:
            self._surroundings.send_raw(answer, source)
        if agent.selected is not None and agent.selected != selected:
            self.remote = agent.selected
            if self._handshakes is not None:
                self._handshakes.moved(agent.selected, agent.sources_of(agent.selected))
            self._surroundings.changed()

    def _receive_handshake(self, handshakes: Handshakes, data: bytes, source: Address) -> None:
        agent = self._agent
        if agent is None:
            handshakes.receive(data, source)
        elif source in agent.valid:
            # One association whatever pair it takes, which may be another for each flight (RFC 5763 6.7.1).
            pairs = agent.sources_of(source)
            address = agent.selected if agent.selected in pairs else source
            handshakes.follow(address, pairs)
            handshakes.receive(data, address)
        else:
            self.foreign += 1

    def _expect_handshake(self, dtls: Dtls) -> None:
        if self._handshakes is None:
            self._handshakes = Handshakes(
                self._surroundings,
                dtls,
                self._established,
                complain=self._complain,
                checked=self._agent is not None,
            )
        else:
            if self._agent is not None:
                self._handshakes.peer = self.remote
            self._handshakes.configure(dtls)
        if self._handshakes is not None and self.remote is not None:  # else the leg has failed meanwhile
            self._handshakes.begin(self.remote)

    def _end_handshakes(self) -> None:
        if self._handshakes is not None:
            self._handshakes.close(tell=True)
            self._handshakes_failed += self._handshakes.failures
            self._handshakes = None

    def _established(self, keys: Keys, source: Address) -> None:
        """A handshake with the peer is over, who was at this address."""
        if self._agent is None:
            self.remote, self._latched = source, False
        self._use(keys.ours, keys.theirs)

    def _use(self, ours: Key, theirs: Key) -> None:
        """Go on under these keys, or begin with them."""
        if self._protector is None or self._unprotector is None:
            self._protector, self._unprotector = Protector(ours), Unprotector(theirs)
        else:
            self._protector.rekey(ours)
            self._unprotector.rekey(theirs)
        self._surroundings.changed()

    def _complain(self, reason: str) -> None:
        """Have something logged, once."""
        if reason not in self._complaints:
            self._complaints.add(reason)
            self._surroundings.complain(reason)
