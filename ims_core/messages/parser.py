"""Bytes to messages: the syntax of RFC 3261 section 7, and what is wrong with what has none."""

from __future__ import annotations

from typing import Final

from ims_core.errors import BadRequest, SipError, VersionNotSupported
from ims_core.messages.headers import TOKEN, readable
from ims_core.messages.layouts import Layout, Layouts
from ims_core.messages.message import METHODS, VERSION, Message, Request, Response
from ims_core.messages.names import canonical

_LAYOUTS: Final = Layouts()


class MalformedMessage(BadRequest):
    """Bytes that are no SIP message; ``request`` is what could be read of it, enough to be answered, or None."""

    def __init__(self, reason: str, request: Request | None = None) -> None:
        super().__init__(reason)
        self.request = request


def parse_message(data: bytes, *, datagram: bool = True) -> Request | Response:
    """Parse one whole message.

    ``datagram``: bytes beyond Content-Length are cut off and a body shorter than it is a fault (18.3); a stream's
    framing has seen to both already. Raises ``MalformedMessage`` (its ``request`` set where the sender can be
    told) or another ``SipError``; never anything else, for any bytes.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        raise MalformedMessage("No empty line after the header")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    start = lines.pop(0)
    text = "".join(lines)
    malformed = "Bare CR or LF" if "\n" in text or "\r" in text else ""
    layout = _LAYOUTS.of(lines)
    if layout is None:
        start, *lines = _rejoin_folded([start, *lines])
        keys, nameless = _resolve_names(lines)
        malformed = malformed or nameless
        layout = Layout(keys, [])
    message = _from_start_line(start, layout.keys.copy(), lines, body)
    message.layout = layout
    request = message if isinstance(message, Request) else None
    try:
        _check(message, layout.missing or malformed or layout.several, is_ascii=head.isascii())
        _trim_body(message, datagram=datagram)
    except BadRequest as error:
        raise MalformedMessage(error.reason, request if request and "via" in layout.places else None) from None
    return message


def _rejoin_folded(lines: list[str]) -> list[str]:
    joined: list[str] = []
    folded: list[str] = []
    for line in reversed(lines):
        if line[:1] in {" ", "\t"}:
            folded.append(line)
        elif folded:
            joined.append("\r\n".join((line, *reversed(folded))))
            folded.clear()
        else:
            joined.append(line)
    joined.reverse()
    return joined or [""]


def _resolve_names(lines: list[str]) -> tuple[list[str], str]:
    keys, malformed = [], ""
    for line in lines:
        name, colon, _ = line.partition(":")
        name = name.rstrip(" \t")
        keys.append(canonical(name))
        if not colon or not name or not TOKEN.issuperset(name):
            malformed = "Malformed header line"
    return keys, malformed


def _from_start_line(start: str, keys: list[str], lines: list[str], body: bytes) -> Request | Response:
    if "\n" in start or "\r" in start:
        raise MalformedMessage("Malformed start line")
    if start.startswith("SIP/2.0 ") or start[:8].upper() == "SIP/2.0 ":  # 7.1: without regard to case
        code, _, reason = start[8:].partition(" ")
        if not (len(code) == 3 and code.isascii() and code.isdigit() and "100" <= code < "700"):
            raise MalformedMessage("Malformed status line")
        return Response(int(code), readable(reason), keys=keys, lines=lines, body=body)
    parts = start.split(" ")
    if len(parts) != 3 or "" in parts or (parts[0] not in METHODS and not TOKEN.issuperset(parts[0])):
        raise _malformed_request(start, keys, lines)
    method, uri, version = parts
    request = Request(method, uri, keys=keys, lines=lines, body=body)
    if version != VERSION:
        if version.upper() == VERSION:  # 7.1: the version is compared without regard to case
            return request
        if not version.upper().startswith("SIP/"):
            raise MalformedMessage("Malformed start line")
        raise _version_error(request)
    return request


def _malformed_request(start: str, keys: list[str], lines: list[str]) -> MalformedMessage:
    """Let the sender of a request line with spaces in excess be told; of anything else nobody knows what it is."""
    method, *rest = start.split() or [""]
    is_request = len(rest) > 1 and rest[-1] == VERSION and TOKEN.issuperset(method) and "via" in keys
    request = Request(method, "", keys=keys, lines=lines) if is_request else None
    return MalformedMessage("Malformed start line", request)


def _version_error(request: Request) -> SipError:
    error = VersionNotSupported()
    error.request = request
    return error


def _check(message: Message, fault: str, *, is_ascii: bool) -> None:
    if fault:
        raise BadRequest(fault)
    method = message.cseq.method
    if type(message) is Request and method != message.method:
        raise BadRequest("CSeq method does not match the request")
    if not is_ascii and not message.call_id.isascii():
        raise BadRequest("Malformed Call-ID")
    _ = message.via  # a fault is found here, where it can be answered, and not where the Via is used


def _trim_body(message: Message, *, datagram: bool) -> None:
    if not datagram or "content-length" not in message:
        return
    value = message.require("content-length")
    if value == "0" and not message.body:
        return
    if not (value.isascii() and value.isdigit()):
        raise BadRequest("Malformed Content-Length")
    length = int(value.lstrip("0")[:12] or 0)
    if length < len(message.body):
        message.body = message.body[:length]
    elif length > len(message.body):
        raise BadRequest("Body shorter than Content-Length")
