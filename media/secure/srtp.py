"""SRTP and SRTCP (RFC 3711): packets to protected packets and back, by libsrtp.

What libsrtp has no words for is done here: a change of keys that keeps the rollover counters, master key identifiers,
and a bound on how many sources a peer may have.
"""

from __future__ import annotations

import contextlib
from typing import Final, NamedTuple

from pylibsrtp import Error, Policy, Session

MAX_SOURCES: Final = 16
"""SSRCs of one peer that are followed at the same time; the one heard first is forgotten for another."""
REPLAY_WINDOW: Final = 512  # RFC 3711 3.3.2: at least 64
_HALF: Final = 0x8000
_STRIDES: Final = (0x0000, 0x5555, 0xAAAA)
_REPLAYED: Final = ("replay check failed (bad index)", "replay check failed (index too old)")
_RTCP_SSRC: Final = slice(4, 8)
_RTP_SSRC: Final = slice(8, 12)
_EMPTY_REPORT: Final = b"\x80\xc9\x00\x01"  # a receiver report about nobody; its SSRC follows


class Unauthentic(OSError):
    """The packet was not made with the keys agreed, or not as SRTP at all. OSError, as what a socket raises."""


class Replayed(Unauthentic):
    """The packet was received, or sent, before (RFC 3711 3.3.2)."""


class Suite(NamedTuple):
    """How packets are protected: by RFC 3711, RFC 4568 6.2 or RFC 7714. Tags are in octets."""

    name: str
    dtls_name: str
    profile: int
    key: int
    salt: int
    rtp_tag: int
    rtcp_tag: int

    @property
    def length(self) -> int:
        """Octets of a master key with its salt."""
        return self.key + self.salt


def _usable(suite: Suite) -> bool:
    try:
        Session(Policy(bytes(suite.length), Policy.SSRC_ANY_OUTBOUND, srtp_profile=suite.profile))
    except Error:  # a libsrtp without AES-GCM
        return False
    return True


SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite("AEAD_AES_256_GCM", "SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12, 16, 16),
        Suite("AEAD_AES_128_GCM", "SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12, 16, 16),
        Suite(
            "AES_CM_128_HMAC_SHA1_80", "SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14, 10, 10
        ),
        Suite(
            "AES_CM_128_HMAC_SHA1_32", "SRTP_AES128_CM_SHA1_32", Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14, 4, 10
        ),
    )
    if _usable(suite)
}
"""What libsrtp can do here, by the name in SDP, best first."""


class Key(NamedTuple):
    """A master key followed by its salt, and the identifier that packets made with it carry (RFC 3711 3.1: MKI)."""

    suite: Suite
    material: bytes
    mki: bytes = b""


class _Progress:
    """How far a source has come: its last sequence number, and how often they were used up (RFC 3711 3.3.1)."""

    __slots__ = ("rollovers", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.rollovers = 0

    def follow(self, sequence: int) -> None:
        """Take the number of another packet."""
        if (sequence - self.sequence) & 0xFFFF < _HALF:
            self.rollovers += sequence < self.sequence
            self.sequence = sequence

    def path(self, ssrc: bytes) -> list[bytes]:
        """Return packets that bring a new session of libsrtp to this place, by steps that it follows."""
        if not self.rollovers:
            return []
        strides = [*(_STRIDES * self.rollovers), *(stride for stride in _STRIDES if stride <= self.sequence)]
        return [b"\x80\x00" + stride.to_bytes(2, "big") + bytes(4) + ssrc for stride in strides]


class Protector:
    """Protects what we send, under one key at a time; each SSRC goes on across keys.

    "After a re-keying occurs …, the rollover counter always maintains its sequence of values" (RFC 3711 3.3.1), and
    "after a re-key, the SRTCP index MUST NOT be reset to zero" (3.2.1).
    """

    __slots__ = ("_mki", "_progress", "_reports", "_rtcp_tag", "_rtp_tag", "_session", "key")
    _session: Session

    def __init__(self, key: Key) -> None:
        self._progress: dict[bytes, _Progress] = {}
        self._reports: dict[bytes, int] = {}
        self._use(key)

    def rekey(self, key: Key) -> None:
        """Protect all that follows with another key."""
        if key == self.key:
            return
        self._use(key)
        for ssrc, progress in self._progress.items():
            for packet in progress.path(ssrc):
                self._session.protect(packet)
        for ssrc, count in self._reports.items():
            for _ in range(count):
                self._session.protect_rtcp(_EMPTY_REPORT + ssrc)

    def protect(self, packet: bytes) -> bytes:
        """Return the SRTP packet of an RTP packet. Raises Replayed for a sequence number sent before, Unauthentic.

        The same number twice would encrypt two packets with one keystream.
        """
        try:
            protected = self._session.protect(packet)
        except (Error, ValueError) as error:
            raise _failure(error) from None
        ssrc, sequence = packet[_RTP_SSRC], int.from_bytes(packet[2:4], "big")
        progress = self._progress.get(ssrc)
        if progress is None:
            self._progress[ssrc] = _Progress(sequence)
        else:
            progress.follow(sequence)
        return _insert(protected, self._mki, self._rtp_tag) if self._mki else protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return the SRTCP packet of a compound RTCP packet. Raises Unauthentic."""
        try:
            protected = self._session.protect_rtcp(packet)
        except (Error, ValueError) as error:
            raise _failure(error) from None
        ssrc = packet[_RTCP_SSRC]
        self._reports[ssrc] = self._reports.get(ssrc, 0) + 1
        return _insert(protected, self._mki, self._rtcp_tag) if self._mki else protected

    def _use(self, key: Key) -> None:
        self.key = key
        self._session = _session(key, Policy.SSRC_ANY_OUTBOUND)
        self._mki = key.mki
        self._rtp_tag, self._rtcp_tag = _behind_mki(key.suite)


class Unprotector:
    """Reads what a peer protects.

    After a change of keys both are tried until the new one has opened a packet: some made with the old one may still be
    on their way. A peer that counts rollovers from zero again, as many do, is understood as well.
    """

    __slots__ = ("_mki", "_others", "_progress", "_restarted", "_rtcp_tag", "_rtp_tag", "_session", "key")
    _session: Session
    _restarted: Session | None  # counts from zero, where sources have counted further under an earlier key

    def __init__(self, key: Key) -> None:
        self._progress: dict[bytes, _Progress] = {}
        self._use(key)

    def rekey(self, key: Key) -> None:
        """Expect packets under another key."""
        if key == self.key:
            return
        old = self._session if (key.suite, key.mki) == (self.key.suite, self.key.mki) else None
        self._use(key)
        if any(progress.rollovers for progress in self._progress.values()):
            self._restarted = self._session
            self._others.append(self._session)
            self._session = self._continued()
        if old is not None:
            self._others.append(old)

    def unprotect(self, packet: bytes) -> bytes:
        """Return the RTP packet in an SRTP packet. Raises Replayed, Unauthentic."""
        if self._mki:
            packet = _take_out(packet, self._mki, self._rtp_tag)
        try:
            plain = self._session.unprotect(packet)
        except (Error, ValueError) as error:
            plain = self._unprotect_otherwise(packet, error)
        else:
            if self._others:
                self._others.clear()
        ssrc, sequence = plain[_RTP_SSRC], int.from_bytes(plain[2:4], "big")
        progress = self._progress.get(ssrc)
        if progress is None:
            self._begin(ssrc, sequence)
        else:
            progress.follow(sequence)
        return plain

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Return the RTCP packet in an SRTCP packet. Raises Replayed, Unauthentic."""
        if self._mki:
            packet = _take_out(packet, self._mki, self._rtcp_tag)
        failure = None
        for session in (self._session, *self._others):
            try:
                return session.unprotect_rtcp(packet)
            except (Error, ValueError) as error:
                failure = failure or _failure(error)
        raise failure or Unauthentic

    def _unprotect_otherwise(self, packet: bytes, error: Exception) -> bytes:
        """Open the packet with what else may be in use. Raises what `error` means where nothing does."""
        for session in self._others:
            try:
                plain = session.unprotect(packet)
            except (Error, ValueError):
                continue
            if session is self._restarted:
                self._session = session
                self._others.clear()
                for progress in self._progress.values():
                    progress.rollovers = 0
            return plain
        raise _failure(error)

    def _begin(self, ssrc: bytes, sequence: int) -> None:
        """Follow another source; what authenticates may be as many as there are numbers."""
        if len(self._progress) == MAX_SOURCES:
            oldest = next(iter(self._progress))
            del self._progress[oldest]
            with contextlib.suppress(Error):  # not heard under this key
                self._session.remove_stream(int.from_bytes(oldest, "big"))
        self._progress[ssrc] = _Progress(sequence)

    def _continued(self) -> Session:
        """Return a session of the present key whose sources are where they were."""
        session, maker = _session(self.key, Policy.SSRC_ANY_INBOUND), _session(self.key, Policy.SSRC_ANY_OUTBOUND)
        for ssrc, progress in self._progress.items():
            for packet in progress.path(ssrc):
                session.unprotect(maker.protect(packet))
        return session

    def _use(self, key: Key) -> None:
        self.key = key
        self._session = _session(key, Policy.SSRC_ANY_INBOUND)
        self._others: list[Session] = []
        self._restarted = None
        self._mki = key.mki
        self._rtp_tag, self._rtcp_tag = _behind_mki(key.suite)


def _session(key: Key, kind: int) -> Session:
    policy = Policy(key.material, kind, srtp_profile=key.suite.profile)
    policy.window_size = REPLAY_WINDOW
    return Session(policy)


def _failure(error: Exception) -> Unauthentic:
    return Replayed(str(error)) if str(error) in _REPLAYED else Unauthentic(str(error))


def _behind_mki(suite: Suite) -> tuple[int, int]:
    """Return how many octets of an SRTP and an SRTCP packet follow the MKI: the tag.

    With AES-GCM there is none; its own is part of what is encrypted (RFC 7714 8.2, 9.2). In SRTCP the index follows it
    and precedes the MKI.
    """
    return (0, 0) if suite.name.startswith("AEAD") else (suite.rtp_tag, suite.rtcp_tag)


def _insert(packet: bytes, mki: bytes, behind: int) -> bytes:
    end = len(packet) - behind
    return b"%b%b%b" % (packet[:end], mki, packet[end:])


def _take_out(packet: bytes, mki: bytes, behind: int) -> bytes:
    end = len(packet) - behind
    start = end - len(mki)
    if start < 0 or packet[start:end] != mki:
        raise Unauthentic("unknown master key identifier")
    return packet[:start] + packet[end:]
