"""The DTLS handshakes of one leg: with whom, how many at once, and which of them counts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from media.rtp.stream import Dtls
from media.secure.dtls import Association, HandshakeFailed, Keys
from media.secure.identity import is_of
from media.secure.stun import Address

if TYPE_CHECKING:
    from media.secure.surroundings import Surroundings, Timer

AT_ONCE: Final = 4
"""Sources that may be shaking hands with a leg at the same time."""
MOST: Final = 64
"""Handshakes that a leg begins for one description of the peer; the declared address may have one more."""
LIFETIME_SECONDS: Final = 30.0
MISMATCH: Final = "the peer's certificate is not the one whose fingerprint is in its description"


class Handshakes:
    """Finds the peer among those who shake hands: its certificate has the fingerprint that its description names.

    A source whose certificate is another one is dropped, unless it is the `peer`, whose address is known from its
    description or from ICE: then the leg has failed (RFC 5763 5). While no description has told a
    fingerprint yet, handshakes are completed and judged later. `failures` counts those that came to nothing. Unless ICE
    has `checked` where datagrams come from, who begins a handshake has to say a cookie.
    """

    __slots__ = (
        "_begun",
        "_checked",
        "_complain",
        "_dtls",
        "_established",
        "_handshakes",
        "_surroundings",
        "failures",
        "peer",
    )

    def __init__(
        self,
        surroundings: Surroundings,
        dtls: Dtls,
        established: Callable[[Keys, Address], None],
        *,
        complain: Callable[[str], None],
        checked: bool,
    ) -> None:
        self.failures = 0
        self.peer: Address | None = None
        self._surroundings = surroundings
        self._dtls = dtls
        self._established = established
        self._checked = checked
        self._complain = complain
        self._handshakes: dict[Address, _Handshake] = {}
        self._begun = 0

    def configure(self, dtls: Dtls) -> None:
        """Take what a later description says: of another certificate there has to be another handshake."""
        before, self._dtls = self._dtls, dtls
        if dtls == before:
            return
        if before.fingerprints or before.role != dtls.role:
            self.close()
            self._begun = 0
        for handshake in list(self._handshakes.values()):
            if handshake.association.keys is not None:
                self._judge(handshake, handshake.association.keys)

    def begin(self, address: Address) -> None:
        """Shake hands with the peer at this address, if it is our part to begin."""
        self.peer = address
        if self._dtls.role == "active" and not self._handshakes:
            self._begin(address)

    def receive(self, data: bytes, source: Address) -> None:
        """Take a DTLS datagram."""
        handshake = self._handshakes.get(source)
        if handshake is None and (self._dtls.role == "active" or (handshake := self._begin(source)) is None):
            return
        try:
            handshake.association.receive(data)
        except HandshakeFailed as error:
            self._fail(handshake, str(error))
        else:
            self._proceeded(handshake)

    def follow(self, address: Address, former: Collection[Address]) -> None:
        """Who shakes hands at one of the former addresses goes on at this one (ICE)."""
        if address in self._handshakes:
            return
        for each in former:
            if (handshake := self._handshakes.pop(each, None)) is not None:
                handshake.address = address
                self._handshakes[address] = handshake
                return

    def moved(self, address: Address, former: Collection[Address]) -> None:
        """The peer, who was at one of the former addresses, is at this one from now on (ICE)."""
        self.peer = address
        self.follow(address, former)
        if not self._handshakes:
            self.begin(address)

    def close(self, *, tell: bool = False) -> None:
        """Forget all handshakes; where it is to be told, the peer gets a close_notify."""
        for handshake in self._handshakes.values():
            handshake.stop()
            if tell:
                handshake.association.close()
        self._handshakes.clear()

    def _begin(self, address: Address) -> _Handshake | None:
        """Begin a handshake, if there may be another; None otherwise."""
        if self._begun >= MOST and address != self.peer:
            return None
        if len(self._handshakes) >= AT_ONCE:
            strangers = [each for each in self._handshakes if each != self.peer]
            silent = (each for each in strangers if not self._handshakes[each].association.under_way)
            self._handshakes.pop(next(silent, strangers[0])).stop()
        self._begun += 1
        active = self._dtls.role == "active"
        handshake = self._handshakes[address] = _Handshake(
            self._surroundings, address, active=active, checked=self._checked
        )
        if active:
            handshake.association.start()
            self._proceeded(handshake)
        return handshake

    def _proceeded(self, handshake: _Handshake) -> None:
        keys = handshake.association.keys
        if keys is None:
            self._wait(handshake)
        elif not handshake.done:
            self._judge(handshake, keys)

    def _judge(self, handshake: _Handshake, keys: Keys) -> None:
        if not self._dtls.fingerprints:
            return
        handshake.stop()
        if is_of(keys.certificate, self._dtls.fingerprints):
            handshake.done = True
            for address in [address for address, other in self._handshakes.items() if other is not handshake]:
                self._handshakes.pop(address).stop()
            self._established(keys, handshake.address)
        else:
            self._fail(handshake, MISMATCH)
            if handshake.address == self.peer:
                self._surroundings.failed(MISMATCH)

    def _wait(self, handshake: _Handshake) -> None:
        """Have the last flight sent again when it is time to; after a cookie there is nothing to be sent again."""
        handshake.stop()
        seconds = handshake.association.deadline()
        wait = LIFETIME_SECONDS if seconds is None else seconds
        handshake.timer = self._surroundings.shared.call_later(wait, lambda: self._expired(handshake, wait))

    def _expired(self, handshake: _Handshake, waited: float) -> None:
        handshake.waited += waited
        if handshake.waited >= LIFETIME_SECONDS:
            self._fail(handshake, "the peer does not go on with it")
            return
        try:
            handshake.association.expire()
        except HandshakeFailed as error:
            self._fail(handshake, str(error))
        else:
            self._wait(handshake)

    def _fail(self, handshake: _Handshake, reason: str) -> None:
        if self._handshakes.get(handshake.address) is handshake:
            del self._handshakes[handshake.address]
        handshake.stop()
        self.failures += 1
        self._complain(f"A DTLS handshake failed: {reason}.")


class _Post:
    """Where what a handshake says goes. It does not know the handshake, which is freed with the leg for that."""

    __slots__ = ("_surroundings", "address")

    def __init__(self, surroundings: Surroundings, address: Address) -> None:
        self.address = address
        self._surroundings = surroundings

    def send(self, data: bytes) -> None:
        self._surroundings.send_raw(data, self.address)


class _Handshake:
    __slots__ = ("_post", "association", "done", "timer", "waited")

    def __init__(self, surroundings: Surroundings, address: Address, *, active: bool, checked: bool) -> None:
        shared = surroundings.shared
        with_cookies = not active and not checked
        self._post = _Post(surroundings, address)
        self.timer: Timer | None = None
        self.waited = 0.0
        self.done = False
        self.association = Association(
            shared.dtls_context(with_cookies=with_cookies),
            self._post.send,
            active=active,
            cookie=shared.cookie(address) if with_cookies else b"",
        )

    @property
    def address(self) -> Address:
        """Where the peer is."""
        return self._post.address

    @address.setter
    def address(self, address: Address) -> None:
        self._post.address = address

    def stop(self) -> None:
        """Wait no longer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
