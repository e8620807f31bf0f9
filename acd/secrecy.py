"""How the media of a leg of ours are protected and addressed, by the way that its INVITE takes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from ims_core.errors import SipError
from ims_core.flow import Flow
from ims_core.locate.courier import Peer, Several
from ims_core.messages.uri import parse_uri
from media.api import Protection

if TYPE_CHECKING:
    from acd.way import Way

_BY_TRANSPORT = {"WS": Protection.DTLS, "WSS": Protection.DTLS, "TLS": Protection.OPPORTUNISTIC}


def protection_towards(way: Way) -> Protection:
    """Return what the offer brings: to a web page, which is registered over WebSocket, nothing but DTLS will do.

    Where the INVITE goes over TLS the offer has keys in it, which a phone without SRTP passes over (RFC 8643). Over
    anything else they could be read on the way, so there are none unless the configuration requires SRTP.
    """
    hop_transport = way.hop.transport if isinstance(way.hop, Flow) else _transport_of(_first_uri(way.hop))
    transport = _transport_of(way.target)
    return _BY_TRANSPORT.get(transport if transport in {"WS", "WSS"} else hop_transport, Protection.NONE)


def family_towards(way: Way) -> str:
    """Return what kind of address the first hop has, "IP4" or "IP6", which will do for media too; "" for a name."""
    if isinstance(way.hop, Flow):
        return "IP6" if ":" in way.hop.remote[0] else "IP4"
    try:
        host = parse_uri(_first_uri(way.hop)).host
        return f"IP{ipaddress.ip_address(host.strip('[]')).version}"
    except (SipError, ValueError):
        return ""


def _first_uri(hop: Several | str | Peer) -> str:
    return hop.uris[0] if isinstance(hop, Several) else hop if isinstance(hop, str) else hop.uri


def _transport_of(uri: str) -> str:
    try:
        return parse_uri(uri).transport
    except SipError:
        return ""
