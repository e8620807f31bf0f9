"""The SIP messages of the latest calls, as the ladder a person reads (过程追溯).

Sees every message through the stack's tap, keeps the start lines of the calls it was told to follow, bounded in
calls and in messages of each.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from ims_core.flow import Flow

_CALL_ID = re.compile(rb"\r\n(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_CSEQ = re.compile(rb"\r\nCSeq[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
KEPT_BYTES = 2048  # of each message: more than any header that is drawn

# A caller, this server and one agent fit into 80 columns.
MARGIN, NAME, COLUMN = 8, 20, 26


class Arrow(NamedTuple):
    """One message: when, which way, by which flow, and its first bytes."""

    at: datetime
    direction: str
    flow: Flow
    data: bytes

    @property
    def peer(self) -> str:
        """The other side, for people."""
        return str(self.flow)

    @property
    def text(self) -> str:
        """The start line, a response with its method."""
        return _summary(self.data)


class SipTrace:
    """Follows calls. ``calls`` and ``messages`` bound what is kept; ``utc`` returns the time of day."""

    def __init__(self, *, calls: int, messages: int, utc: Callable[[], datetime]) -> None:
        self._calls = calls
        self._messages = messages
        self._utc = utc
        self._arrows: OrderedDict[str, list[Arrow]] = OrderedDict()
        self._followed: dict[bytes, str] = {}
        self._strays: OrderedDict[bytes, list[Arrow]] = OrderedDict()
        self._call_ids: dict[str, list[bytes]] = {}

    def follow(self, call: str, sip_call_id: str) -> None:
        """Count the dialog ``sip_call_id`` to ``call`` from its first message on."""
        key = sip_call_id.encode("utf-8", "surrogateescape")
        arrows = self._arrows.setdefault(call, [])
        arrows.extend(self._strays.pop(key, ()))
        self._followed[key] = call
        self._call_ids.setdefault(call, []).append(key)
        while len(self._arrows) > self._calls:
            oldest, _ = self._arrows.popitem(last=False)
            for followed in self._call_ids.pop(oldest, ()):
                self._followed.pop(followed, None)

    def see(self, direction: str, flow: Flow, data: bytes) -> None:
        """Take one message from the tap."""
        start = data.find(b"\r\nCall-ID: ")
        if start >= 0:
            key = data[start + 11 : data.find(b"\r\n", start + 11)]
        elif (match := _CALL_ID.search(data)) is not None:
            key = match[1].strip()
        else:
            return
        arrows = self._arrows.get(self._followed.get(key, ""))
        if arrows is None:
            if not data.startswith(b"INVITE "):  # only an INVITE can become a call that is followed later
                return
            arrows = self._strays.setdefault(key, [])
            if len(self._strays) > self._calls:
                self._strays.popitem(last=False)
        if len(arrows) < self._messages:
            arrows.append(Arrow(self._utc(), direction, flow, data[:KEPT_BYTES]))

    def ladder(self, call: str) -> str | None:
        """Draw the call: peers as columns around this server, time running down; None when it is not kept."""
        arrows = self._arrows.get(call)
        return None if arrows is None else _draw(sorted(arrows, key=lambda arrow: arrow.at))


def _summary(data: bytes) -> str:
    start = data.partition(b"\r\n")[0].decode("utf-8", "replace")
    cseq = _CSEQ.search(data)
    if start.startswith("SIP/2.0 "):
        method = cseq[1].split()[-1].decode("ascii", "replace") if cseq else ""
        return f"{start[8:]} ({method})"
    method, _, rest = start.partition(" ")
    uri = rest.rpartition(" ")[0]
    address = uri.partition(":")[2] or uri
    return f"{method} {address.partition('@')[0]}"


def _draw(arrows: list[Arrow]) -> str:
    peers = list(dict.fromkeys(arrow.peer for arrow in arrows))
    columns = [*peers[:1], "ims-acd", *peers[1:]]
    server = 1 if peers else 0
    centre = [MARGIN + NAME // 2 + index * COLUMN for index in range(len(columns))]
    lines = [" " * (MARGIN + NAME // 2 - COLUMN // 2) + "".join(f"{name:^{COLUMN}}" for name in columns).rstrip()]
    start = arrows[0].at if arrows else None
    for arrow in arrows:
        here = columns.index(arrow.peer)
        left, right = sorted((centre[here], centre[server]))
        to_right = (arrow.direction == "in") == (here < server)
        width = right - left - 1
        shaft = f" {arrow.text[: width - 3]} ".center(width - 1, "-")
        drawn = f"{shaft}>" if to_right else f"<{shaft}"
        row = [" "] * (centre[-1] + 1)
        for place in centre:
            row[place] = "|"
        row[left + 1 : right] = drawn
        seconds = (arrow.at - start).total_seconds() if start else 0.0
        lines.append(f"{seconds:{MARGIN - 1}.3f} " + "".join(row[MARGIN:]))
    return "\n".join(lines) + "\n"
