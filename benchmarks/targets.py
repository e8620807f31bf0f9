"""What a load is aimed at, the same for our servers and the peers'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import LOOPBACK, Address


@dataclass(frozen=True, slots=True)
class SipTarget:
    """A SIP server that accepts traffic; `pid` is the root of the processes it consists of."""

    pid: int
    address: Address


@dataclass(frozen=True, slots=True)
class RelayTarget:
    """An RTP relay that accepts traffic.

    `bridge` takes the RTP ports of the two phones of each session on 127.0.0.1 and returns, in the same
    order, the relay's ports that these phones send to. `counted` ends the sessions and returns how
    many packets the relay says it received.
    """

    pid: int
    bridge: Callable[[Sequence[tuple[int, int]]], list[tuple[int, int]]]
    counted: Callable[[], int]


StartSip = Callable[[Path], AbstractContextManager[SipTarget]]
StartForwarding = Callable[[Path, Address], AbstractContextManager[SipTarget]]  # told where calls go in the end
StartRelay = Callable[[Path], AbstractContextManager[RelayTarget]]


def sdp(port: int, codec: str = "0 PCMU/8000") -> str:
    """Return the session description of a phone with one codec, as in a=rtpmap, and telephone-event at `port`."""
    payload = codec.partition(" ")[0]
    return (
        f"v=0\r\no=bench 1 1 IN IP4 {LOOPBACK}\r\ns=-\r\nc=IN IP4 {LOOPBACK}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {payload} 101\r\na=rtpmap:{codec}\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=fmtp:101 0-15\r\na=ptime:20\r\n"
    )


def audio_port(description: str) -> int:
    """Return the port of the first audio stream in a session description."""
    for line in description.splitlines():
        if line.startswith("m=audio "):
            return int(line.split()[1].partition("/")[0])
    raise ValueError("a session description without audio")
