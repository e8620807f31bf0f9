"""What a connection has to know of the top Via of a message (RFC 3261 section 18.2.2, RFC 5923)."""

from __future__ import annotations

from ims_core.errors import SipError
from ims_core.flow import Flow
from ims_core.messages.headers import Via, parse_via, split_values
from ims_core.messages.uri import is_ip_address

_DEFAULT_PORTS = {"TCP": 5060, "TLS": 5061}


def return_address(flow: Flow, data: bytes) -> Flow | None:
    """Return where a response goes whose connection is gone; None when ``data`` is none, or there is no such place.

    18.2.2: "If that connection is no longer open, the server SHOULD open a connection to the IP address in the
    'received' parameter, if present, using the port in the 'sent-by' value".
    """
    if not data.startswith(b"SIP/2.0 ") or flow.transport not in _DEFAULT_PORTS:
        return None
    via = _top_via(data)
    if via is None:
        return None
    is_name = not is_ip_address(via.host)
    received = via.params.get("received", "").removeprefix("[").removesuffix("]")  # RFC 5118 section 4.5: both occur
    host = received or (flow.remote[0] if is_name else via.host)
    if not is_ip_address(host):
        return None
    port = via.port or _DEFAULT_PORTS[flow.transport]
    return Flow(flow.transport, flow.local, (host, port), server_name=via.host if is_name else "")


def alias_port(data: bytes) -> int | None:
    """Return the port that a request asks us to mean by its connection (RFC 5923 section 5), None when it does not."""
    if data.startswith(b"SIP/2.0 "):
        return None
    via = _top_via(data)
    if via is None or "alias" not in via.params:
        return None
    return via.port or _DEFAULT_PORTS["TLS"]


def _top_via(data: bytes) -> Via | None:
    head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() in {"via", "v"}:
            try:
                return parse_via(split_values(value)[0])
            except (SipError, IndexError):
                return None
    return None
