"""Where the search begins: descriptions of phones and browsers, packets of every kind, a few packets of each codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from media.codecs import ENCODABLE, make_encoder
from media.rtp import rtcp
from media.rtp.events import EventWriter
from media.rtp.packet import HEADER
from media.secure import stun
from tests.fuzz.media_target import FORMATS
from tests.media import test_peers_offers

WORDS = [
    *("v=0\r\n", "o=- 1 1 IN IP4 127.0.0.1\r\n", "s=-\r\n", "t=0 0\r\n", "c=IN IP4 127.0.0.1\r\n", "c=IN IP6 ::1\r\n"),
    *("m=audio 4000 RTP/AVP 0 8 101\r\n", "m=video 0 RTP/AVP 31\r\n", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "a=rtpmap:"),
    *("a=fmtp:", "octet-align=1", "mode-set=0,2", "useinbandfec=1", "a=sendonly", "a=inactive", "a=crypto:1 "),
    *("AES_CM_128_HMAC_SHA1_80 inline:", "a=fingerprint:sha-256 ", "a=setup:actpass", "a=ice-ufrag:", "a=candidate:"),
    *("a=rtcp-mux", "a=rtcp:", "a=ptime:", "a=maxptime:", "a=group:BUNDLE ", "a=mid:", "a=curr:qos ", "a=des:qos "),
]


def descriptions() -> list[bytes]:
    """What phones and browsers offer."""
    return [
        value.encode() for name, value in vars(test_peers_offers).items() if name.isupper() and isinstance(value, str)
    ]


def datagrams() -> list[bytes]:
    """RTP with all that a header may have, RTCP and STUN."""
    blocks = (rtcp.ReportBlock(ssrc=7, fraction_lost=3, lost=9, highest=70000, jitter=12, last_report=1, delay=2),)
    compound = rtcp.pack([rtcp.ReceiverReport(ssrc=5, blocks=blocks), rtcp.Bye((5,))])
    return [
        HEADER.pack(0x80, 0, 1, 160, 5) + bytes(160),
        HEADER.pack(0xB1, 0x80 | 8, 65535, 0xFFFFFFFF, 5) + bytes(4) + b"\xbe\xde\0\1" + bytes(4) + b"speech\0\2",
        compound,
        stun.write(1, bytes(12), {6: b"user:other"}, b"secret"),
    ]


def conversations() -> list[bytes]:
    """A few packets of each codec, and of a digit, as `media_target.hear` takes them."""
    found = []
    for number, format_ in enumerate(FORMATS):
        if format_.name in ENCODABLE:
            encoder = make_encoder(format_)
            silence = np.zeros(encoder.sample_rate // 50, np.int16)
            payloads = [encoder.encode(silence) for _ in range(4)]
        elif format_.name == "CN":
            payloads = [bytes([40]), bytes([50, 100, 140, 20])]
        else:
            writer = EventWriter(5, 0)
            payloads = [payload for duration in (160, 320) for payload, _, _ in writer.write(duration)]
        # The remainder is the format, the upper half 20 ms.
        head = next(octet for octet in range(0x20, 0x30) if octet % len(FORMATS) == number)
        found.append(b"".join(bytes([head, 0, min(len(payload), 255)]) + payload[:255] for payload in payloads))
    return found


def everything() -> list[bytes]:
    """All of them."""
    return [*descriptions(), *datagrams(), *conversations()]


def write(folder: Path) -> Path:
    """Write them, one a file, into ``folder`` and the words beside it; return the file of the words."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(everything()):
        (folder / f"media-{number:03}").write_bytes(data)
    words = folder.with_suffix(".dict")
    escaped = ("".join(f"\\x{octet:02x}" for octet in word.encode()) for word in WORDS)
    words.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    return words
