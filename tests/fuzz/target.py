"""What is done with any bytes: every parser reads them, and a whole node receives them.

``consume`` raises on whatever is not meant to be: an exception that is no ``SipError``, a message that is another one
when it is parsed again, an answer that is no message, a transaction, timer or session that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ims_core.errors import SipError
from ims_core.messages.headers import parse_cseq, parse_name_addr, parse_via, split_values
from ims_core.messages.message import Message, Request, Response
from ims_core.messages.multipart import split_multipart
from ims_core.messages.parser import MalformedMessage, parse_message
from ims_core.messages.uri import parse_uri
from ims_core.security.digest import DigestAuthenticator
from ims_core.transport.framing import StreamFramer, Unframed
from ims_core.ua.event_headers import parse_event, parse_subscription_state
from ims_core.ua.replaces import parse_replaces
from ims_core.ua.sipfrag import parse_status
from tests.ims_core.torture.lab import Lab

AUTHENTICATOR: DigestAuthenticator = DigestAuthenticator(
    "ims.example", {"alice": "sesame"}.get, b"a secret of the test"
)
READERS: tuple[Callable[[str], object], ...] = (
    parse_via,
    parse_cseq,
    parse_uri,
    parse_event,
    parse_subscription_state,
    parse_replaces,
    split_values,
    lambda text: parse_name_addr(text).uri.header_fields,
    lambda text: split_multipart(text, text.encode("utf-8", "surrogateescape")),
    lambda text: parse_status(text.encode("utf-8", "surrogateescape")),
    lambda text: AUTHENTICATOR.verify("INVITE", "sip:a@b", [text], 0.0, host="192.0.2.9", body=b""),
)
FIELDS: tuple[Callable[[Message], object], ...] = (
    lambda message: message.via.has_rport,
    lambda message: message.from_.uri,
    lambda message: message.to.uri,
    lambda message: message.contact and message.contact.uri,
    lambda message: (message.from_tag, message.to_tag, message.call_id, message.cseq),
    lambda message: message.target if isinstance(message, Request) else None,
    lambda message: split_multipart(message.get("Content-Type") or "", message.body),
)


def consume(data: bytes) -> None:
    """Take the bytes as a value, a message, a stream, and as a datagram to a node."""
    read_value(data.decode("utf-8", "surrogateescape"))
    read_message(data, datagram=True)
    messages = frame(data)
    for message in messages:
        read_message(message, datagram=False)
    serve(data, messages)


def read_value(text: str) -> None:
    """Read a header value by every parser there is."""
    for read in READERS:
        with suppress(SipError):
            read(text)


def read_message(data: bytes, *, datagram: bool) -> None:
    """Parse, ask for whatever there is to ask for, and take what would be sent on for what came."""
    try:
        message = parse_message(data, datagram=datagram)
    except SipError as error:
        if isinstance(error, MalformedMessage) and error.request is not None:
            error.request.encode()
        return
    for field in FIELDS:
        with suppress(SipError):
            field(message)
    for key in set(message.keys):
        (message.get(key) or "").encode()
        for value in message.values(key):
            read_value(value)
    message.call_id.encode()
    if isinstance(message, Response):
        message.reason.encode()
    with suppress(SipError):
        for address in (message.from_, message.to, message.contact or message.to):
            (address.display + address.uri_text).encode()
    copy = message.copy()
    encoded = copy.encode()
    again = parse_message(encoded, datagram=datagram)
    assert (type(again), again.keys[: len(message.keys)], again.body) == (type(message), message.keys, message.body)
    for key in ("via", "route", "contact"):
        while copy.pop_value(key) is not None:
            pass
        assert key not in copy.keys


def frame(data: bytes) -> list[bytes]:
    """Cut a stream into messages, whole and byte by byte: it must come to the same, and break off at the same."""
    whole, stepwise = _fed(StreamFramer(), [data]), _fed(StreamFramer(), [data[i : i + 1] for i in range(len(data))])
    assert whole == stepwise
    messages, broken_off = whole
    if broken_off is not None:
        read_message(broken_off, datagram=False)
    return messages


def _fed(framer: StreamFramer, pieces: list[bytes]) -> tuple[list[bytes], bytes | None]:
    messages: list[bytes] = []
    try:
        for piece in pieces:
            messages.extend(framer.feed(piece))
    except Unframed as lost:
        return messages, lost.head
    return messages, None


def serve(data: bytes, messages: list[bytes]) -> None:
    """Have a node receive the datagram, and the messages on a stream; afterwards nothing may be left."""
    lab = Lab()
    lab.stranger.send(data)
    for message in messages:
        lab.stranger.send(message, "TCP")
    lab.network.run()
    for sent in lab.network.sent:
        if sent.flow.local == lab.site.address:
            _check_sent(sent.data)
    lab.site.assert_idle()
    assert not lab.site.endpoint._heard


def _check_sent(data: bytes) -> None:
    """What the node sends is a message, or the answer to something malformed, which has that in it."""
    if not data.startswith((b"SIP/2.0 4", b"SIP/2.0 5")):
        parse_message(data)
