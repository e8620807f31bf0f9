"""Who handles RTP, and where: `[media]`."""

from typing import Literal

from msgspec import Struct

from acd.config.addresses import Address, Advertised, HostPort, PortRange
from acd.config.quality import VoiceQuality
from acd.config.values import Seconds, Share, SomeSeconds, Text, Workers

Codec = Literal["PCMU", "PCMA", "G722", "opus", "AMR-WB", "AMR", "CN"]


class Rtpengine(Struct, frozen=True, kw_only=True):
    """Where an rtpengine takes commands (ng), and its share of the legs."""

    address: HostPort
    weight: Share = 1


class Latching(Struct, frozen=True, kw_only=True):
    """Whose RTP is heard where it does not come from where the SDP says, as through a NAT."""

    source: Literal["any", "host", "address"] = "any"
    relatch: Literal["never", "offer", "silence"] = "offer"
    silence_seconds: SomeSeconds = 5.0


class Media(Struct, frozen=True, kw_only=True):
    """Where RTP is sent and received, and by whom: processes of ours, or rtpengines."""

    backend: Literal["builtin", "rtpengine"] = "builtin"
    rtpengine: tuple[Rtpengine, ...] = ()
    digits: HostPort | None = None
    listen: Address = Address("127.0.0.1")
    advertise: Advertised | None = None
    advertise_other: Address | None = None
    ports: PortRange = PortRange(20_000, 29_999)
    workers: Workers = 1
    rtp_timeout_seconds: Seconds = 30.0
    latching: Latching = Latching()
    quality: VoiceQuality = VoiceQuality()
    codecs: tuple[Codec, ...] = ("PCMU", "PCMA", "G722", "opus", "AMR-WB", "AMR")
    offers: tuple[Codec, ...] = ("PCMU", "PCMA")
    srtp: Literal["off", "optional", "required"] = "optional"
    dtls: bool = True
    ice: bool = True
    prompts: Text | None = None
    inband_digits: Literal["off", "auto", "always"] = "auto"
