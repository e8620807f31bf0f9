"""What the top Via of a request tells: its transaction, and where its responses go (RFC 3261 17.2.3, 18.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ims_core.errors import BadRequest
from ims_core.flow import Flow
from ims_core.ids import MAGIC_COOKIE
from ims_core.messages.headers import Via, parse_via, split_params

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.transactions.machines import Key


def server_key(request: Request, via: Via) -> Key:
    """What identifies the transaction of a request; an ACK belongs to its INVITE (17.2.3)."""
    method = "INVITE" if request.method == "ACK" else request.method
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE) and branch != MAGIC_COOKIE:
        return branch, via.host, via.port or 5060, method
    return (  # a hop of RFC 2543: Request-URI, From tag, Call-ID, CSeq number and top Via
        "",
        request.uri,
        request.from_tag,
        request.call_id,
        str(request.cseq.number),
        f"{via.transport} {via.host}:{via.port}{via.tail}",
        method,
    )


def stamp_via(request: Request, via: Via, flow: Flow) -> Flow:
    """Note the source in the top Via (18.2.1, RFC 3581) and return where responses go (18.2.2).

    What the sender says of it himself is written over: nobody has responses sent to somebody else.
    """
    host, port = flow.remote
    has_rport = via.has_rport
    if has_rport or via.host != host or "received" in via.tail.lower():
        stamp = {"rport": f"rport={port}", "received": f"received={host}"}
        parts = split_params(request.top_via_text)
        stamped = [stamp.get(part.partition("=")[0].strip().lower(), part) for part in parts]
        if stamp["received"] not in stamped:
            stamped.append(stamp["received"])
        request.replace_top_via(";".join(stamped))
    if flow.transport != "UDP" or has_rport or (via.port or 5060) == port:
        return flow
    return Flow(flow.transport, flow.local, (host, via.port or 5060))


def legible_via(request: Request) -> Via:
    """Return the top Via, without its parameters where those are malformed. Raises ``BadRequest``."""
    try:
        return request.via
    except BadRequest:
        return parse_via(request.top_via_text.partition(";")[0])
