"""What SDP agreed for one audio stream, as an RTP session needs it."""

from __future__ import annotations

import msgspec

EVENTS = "telephone-event"


class Format(msgspec.Struct, frozen=True, array_like=True):
    """What one payload number stands for.

    `name` is the encoding name as it is registered ("PCMU", "G722", "opus", "AMR-WB", "telephone-event"), `parameters`
    the value of a=fmtp as agreed. The clock rate is that of the RTP timestamps, which for G722 is not the sample rate
    (RFC 3551 4.5.2).
    """

    payload: int
    name: str
    clock_rate: int = 8000
    channels: int = 1
    parameters: str = ""


class Sdes(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """SRTP with keys from the descriptions (RFC 4568). Each key is the master key followed by the master salt.

    What is received carries `receive_mki`, the name of its key, unless that is empty; what we send carries none.
    """

    suite: str
    send_key: bytes
    receive_key: bytes
    receive_mki: bytes = b""


class Dtls(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """SRTP with keys from a DTLS handshake (RFC 5763). The peer's certificate must have one of the `fingerprints`.

    `role` is ours: "active" begins the handshake, "passive" waits for it. A fingerprint reads "sha-256 AB:CD:…".
    """

    role: str
    fingerprints: tuple[str, ...]


Security = Sdes | Dtls


class Ice(msgspec.Struct, frozen=True, array_like=True):
    """The credentials of the checks that a full ICE agent sends to us, who are lite (RFC 8839, RFC 8445)."""

    local_ufrag: str
    local_pwd: str
    remote_ufrag: str
    remote_pwd: str


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """Where to send, which payload numbers mean what, and who may speak, all seen from our side.

    `host` is None while the peer's address is unknown (or 0.0.0.0). `send` is what we speak, `receive` maps each
    payload number to accept to its format; `send_events` is None when the peer takes no telephone-events.
    `held` tells that the peer holds the call, in whatever way it says so. `packet_ms` is how much audio the peer wants
    in a packet. `rtcp` is where it wants RTCP, None while that is unknown; `mux`: on the RTP port (RFC 5761).
    `send_noise` is None when the peer takes no comfort noise beside `send`.
    """

    host: str | None
    port: int
    send: Format
    receive: dict[int, Format]
    send_events: Format | None = None
    sends: bool = True
    receives: bool = True
    held: bool = False
    packet_ms: int = 20
    rtcp: tuple[str, int] | None = None
    mux: bool = False
    security: Security | None = None
    ice: Ice | None = None
    send_noise: Format | None = None

    @property
    def codec(self) -> str:
        """The name of the codec that we send."""
        return self.send.name
