"""Who the peer of a session is, when its packets come from elsewhere than its SDP says (RFC 4961 behind a NAT)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal, TypeAlias

import msgspec

from media.rtp.packet import HEADER

Address: TypeAlias = tuple[str, int]

IN_A_ROW: Final = 3
"""Packets of one stream, one behind the other, that a stranger must send: a scan of the port range does not."""
MOST_STRANGERS: Final = 8
STILL_ON_THEIR_WAY: Final = 50
"""Packets from where the peer was: until it knows our answer, or ours has reached it, it goes on sending from there."""


class Latching(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a leg takes for its peer, and when it may be another.

    `source`: packets may first come from "any" address, from the "host" of the SDP by any port, or from the very
    "address". Once the peer is known nobody else is heard, until it moves by SDP: then it is sought anew ("offer"), or
    only at the address it has named ("never"); with "silence" also when nothing came for `silence_seconds`.
    """

    source: Literal["any", "host", "address"] = "any"
    relatch: Literal["never", "offer", "silence"] = "offer"
    silence_seconds: float = 5.0


class Probation:
    """Judges the packets of the time when the peer is not known.

    Before any SDP has named the peer nobody is believed to be it: whoever scans ports while a phone rings would be
    heard in its place. From the host that the SDP names one valid packet is enough; a stranger must send `IN_A_ROW`,
    which are kept and given back when they suffice. It takes no more strangers than `MOST_STRANGERS`: the first to come
    is forgotten. Where a peer was that has moved it is believed to have stayed only after `STILL_ON_THEIR_WAY` packets.
    """

    __slots__ = ("_declared", "_former", "_latching", "_left", "_strangers")

    def __init__(self, latching: Latching) -> None:
        self._latching = latching
        self._declared: tuple[Address, ...] = ()
        self._former: Address | None = None
        self._left = 0
        self._strangers: OrderedDict[tuple[Address, int], list[bytes]] = OrderedDict()

    def begin(self, *declared: Address | None, former: Address | None = None) -> None:
        """Seek the peer, who may be at these addresses, and was at the `former` one before it moved."""
        self._declared = tuple(address for address in declared if address is not None)
        self._former, self._left = former, STILL_ON_THEIR_WAY
        self._strangers.clear()

    def judge(self, data: bytes, address: Address) -> list[bytes]:
        """Take a valid packet; returns those to be heard if it comes from the peer, else none."""
        latching = self._latching
        if address in self._declared:
            return [data]
        if address == self._former and self._left:
            self._left -= 1
            return []
        if not self._declared or latching.source == "address":
            return []
        if any(address[0] == host for host, _ in self._declared):
            return [data]
        if latching.source == "host":
            return []
        _, _, sequence, _, ssrc = HEADER.unpack_from(data)
        kept = self._strangers.setdefault((address, ssrc), [])
        if kept and HEADER.unpack_from(kept[-1])[2] != (sequence - 1) & 0xFFFF:
            kept.clear()
        kept.append(data)
        if len(self._strangers) > MOST_STRANGERS:
            self._strangers.popitem(last=False)
        if len(kept) < IN_A_ROW:
            return []
        del self._strangers[address, ssrc]  # whatever becomes of them, it begins anew
        return kept
