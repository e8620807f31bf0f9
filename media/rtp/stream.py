"""What SDP agreed for one audio stream, as an RTP session needs it."""

from __future__ import annotations

import msgspec

EVENTS = "telephone-event"


class Stream(msgspec.Struct, frozen=True, array_like=True):
    """Where to send, which payload numbers mean what, and who may speak, all seen from our side.

    `host` is None while the peer's address is unknown (or 0.0.0.0). `receive` maps each payload number to accept to
    "PCMU", "PCMA" or "telephone-event"; `send_events` is None when the peer takes no telephone-events.
    `held` tells that the peer holds the call, in whatever way it says so.
    """

    host: str | None
    port: int
    codec: str
    send_payload: int
    receive: dict[int, str]
    send_events: int | None = None
    sends: bool = True
    receives: bool = True
    held: bool = False
