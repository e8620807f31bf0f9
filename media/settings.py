"""What an operator may set about media."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

import msgspec

from media.codecs.names import AMR, AMR_WB, CN, CODECS, DEFAULT_CODECS, DEFAULT_OFFERS, G722, OPUS, PCMA, PCMU
from media.recording.settings import RecordingSettings
from media.rtp.latching import Latching
from media.rtp.troubles import Thresholds

PROMPT_DIRECTORY = str(Path(__file__).parent / "prompts")
MAPPED = "::ffff:"
"""What stands before an IPv4 address where a socket for both families names it (RFC 4291 2.5.5.2)."""
_LARGEST_PORT = 65_535
_SAMPLE_RATES = {PCMU: 8000, PCMA: 8000, AMR: 8000, G722: 16_000, AMR_WB: 16_000, OPUS: 48_000}


InbandDigits = Literal["off", "auto", "always"]


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the RTP workers. Raises ValueError, one sentence, when they contradict each other.

    `bind` is the address of the RTP sockets, `advertise` the one put into SDP (default: `bind`). With "::" for `bind`
    there may be `advertise_other` as well, an address of the other family, for legs of that. Each leg takes an
    even port of `port_min`..`port_max` and leaves the odd one above it to RTCP (RFC 3550 11). A leg that receives
    nothing for `rtp_timeout_seconds` is told so; 0 turns that off. Prompts are looked up in the directories in order,
    texts in that of the speech.
    `latching` says whose packets are heard where they do not come from where the SDP says.
    `quality` says from where on the voice of a leg is in trouble.
    `codecs` are accepted, `offers` offered in that order behind what the other side of a call speaks. Tones of keys
    are listened for in the audio of peers without telephone-events (`inband_digits` "auto"), of all or of none; whoever
    is listened to is not relayed unread.

    `srtp`: "off" takes no SRTP, "optional" what peers offer, "required" nothing but SRTP. `dtls` tells whether its
    keys may come of DTLS handshakes, `ice` whether ICE is answered, as a lite agent.
    """

    bind: str = "127.0.0.1"
    advertise: str = ""
    advertise_other: str = ""
    port_min: int = 20_000
    port_max: int = 29_999
    workers: int = 1
    rtp_timeout_seconds: float = 30.0
    prompt_directories: tuple[str, ...] = (PROMPT_DIRECTORY,)
    speech_directory: str = ""
    quality: Thresholds = Thresholds()
    codecs: tuple[str, ...] = DEFAULT_CODECS
    offers: tuple[str, ...] = DEFAULT_OFFERS
    recording: RecordingSettings = RecordingSettings()
    srtp: Literal["off", "optional", "required"] = "optional"
    latching: Latching = Latching()
    dtls: bool = True
    ice: bool = True
    inband_digits: InbandDigits = "auto"

    def __post_init__(self) -> None:
        bind = _address("bind", self.bind)
        advertised = _address("advertise", self.advertised)
        if advertised.is_unspecified:
            raise ValueError("advertise must be set when bind is an unspecified address.")
        if bind.version != advertised.version and not self.advertise_other:
            raise ValueError("bind and advertise must be of the same address family.")
        if self.advertise_other:
            other = _address("advertise_other", self.advertise_other)
            if bind != ipaddress.IPv6Address("::") or other.version == advertised.version:
                raise ValueError("advertise_other must be of the other address family than advertise, and bind be ::.")
        if not 1 <= self.port_min <= self.port_max <= _LARGEST_PORT:
            raise ValueError("port_min and port_max must satisfy 1 <= port_min <= port_max <= 65535.")
        if self.workers < 1:
            raise ValueError("workers must be at least 1.")
        if len(self.rtp_ports()) < self.workers:
            raise ValueError("The port range must hold at least one even port and the odd one above it per worker.")
        if self.rtp_timeout_seconds < 0:
            raise ValueError("rtp_timeout_seconds must not be negative.")
        if not set(self.codecs) <= set(CODECS) or not set(self.codecs) - {CN}:
            raise ValueError(f"codecs must be some of {', '.join(CODECS)}, and not only {CN}.")

    @property
    def sample_rates(self) -> tuple[int, ...]:
        """The samples a second of what these codecs carry."""
        return tuple(sorted({_SAMPLE_RATES[codec] for codec in self.codecs if codec in _SAMPLE_RATES}))

    @property
    def advertised(self) -> str:
        """The address written into SDP."""
        return self.advertise or self.bind

    def is_own(self, host: str, port: int) -> bool:
        """Tell whether the address is an RTP port of ours: a leg sending to another could go round for ever."""
        if not self.port_min <= port <= self.port_max:
            return False
        host = host.removeprefix(MAPPED)
        if ipaddress.ip_address(self.bind).is_unspecified and ipaddress.ip_address(host).is_loopback:
            return True
        return host in (self.bind, self.advertised, self.advertise_other)

    def rtp_ports(self) -> range:
        """The even ports whose odd neighbour above is in the range too."""
        return range(self.port_min + self.port_min % 2, self.port_max, 2)

    def share(self, index: int) -> range:
        """The ports of worker number `index`."""
        ports = self.rtp_ports()
        return ports[len(ports) * index // self.workers : len(ports) * (index + 1) // self.workers]


def _address(name: str, text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{name} must be an IP address, not {text!r}.") from None
