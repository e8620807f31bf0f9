"""Cutting a byte stream into SIP messages (RFC 3261 section 18.3, RFC 5626 section 4.4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from ims_core.errors import BadRequest, MessageTooLarge, SipError

PING, PONG = b"\r\n\r\n", b"\r\n"
_PING_STARTS = (b"\r\n", b"\r\n\r")
_FOLD = re.compile(rb"\r\n[ \t]+")
MAX_HEADER_BYTES = 32 * 1024
MAX_BODY_BYTES = 256 * 1024


class Unframed(Exception):
    """A stream cannot be followed any further.

    ``head`` is the header of the message at fault, whose sender is to be told of ``error``; empty when its end did not
    come.
    """

    def __init__(self, error: SipError, head: bytes = b"") -> None:
        super().__init__(error.reason)
        self.error = error
        self.head = head


class Framer(Protocol):
    """What finds the messages of one connection, and makes them ready to be sent.

    Send ``replies()`` after every ``feed``; close the connection once ``closing`` is set. Nothing can be sent until
    ``ready``. ``pending`` tells that part of a message is waiting for the rest: the owner must bound the time for
    which it does, and that for which the connection is not ready.
    """

    ready: bool
    closing: bool

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take received bytes and yield each message that they complete. Raises ``Unframed``: close."""

    def wrap(self, message: bytes) -> bytes:
        """Return a message as it goes on the wire."""

    def replies(self) -> bytes:
        """Return and forget what the framing itself has to say."""

    def farewell(self) -> bytes:
        """Return what is said when we close the connection."""


class StreamFramer:
    """Collects bytes of one connection and yields whole messages: the ``Framer`` of TCP and TLS.

    ``feed`` raises ``Unframed`` when the stream cannot be followed any further (no usable Content-Length, or
    more bytes than the caps allow). ``pings`` counts the double-CRLF keep-alives that ``replies()`` answers.
    """

    ready = True
    closing = False

    def __init__(self, *, max_header: int = MAX_HEADER_BYTES, max_body: int = MAX_BODY_BYTES) -> None:
        self._buffer = bytearray()
        self._needed = 0
        self._scanned = 0
        self._max_header = max_header
        self._max_body = max_body
        self.pings = 0

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""
        return bool(self._buffer) and self._buffer not in _PING_STARTS

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take received bytes and yield each message that they complete."""
        self._buffer += data
        while message := self._next():
            yield message

    def wrap(self, message: bytes) -> bytes:
        """Return the message: it tells its own length."""
        return message

    def replies(self) -> bytes:
        """Return the pongs that are due (RFC 5626 section 4.4.1)."""
        pongs, self.pings = PONG * self.pings, 0
        return pongs

    def farewell(self) -> bytes:
        """Return nothing: a stream just ends."""
        return b""

    def _next(self) -> bytes | None:
        if not self._needed and not self._find_head_end():
            return None
        if len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = self._scanned = 0
        return message

    def _find_head_end(self) -> bool:
        """Find where the message at the front ends; False when more bytes are needed to know."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            if buffer.startswith(PING):
                self.pings += 1
                del buffer[:4]
            elif buffer in _PING_STARTS:
                return False
            else:
                del buffer[:2]
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(buffer)
            if len(buffer) > self._max_header:
                raise Unframed(MessageTooLarge("Header too large"))
            return False
        head = bytes(buffer[: end + 4])
        if end > self._max_header:
            raise Unframed(MessageTooLarge("Header too large"), head)
        try:
            length = _content_length(head[:-4])
        except BadRequest as error:
            raise Unframed(error, head) from None
        if length > self._max_body:
            raise Unframed(MessageTooLarge("Body too large"), head)
        self._needed = end + 4 + length
        return True


def _content_length(head: bytes) -> int:
    """The length that a header tells. Of two nobody knows which holds: where the next message begins is lost then."""
    if b"\r\n " in head or b"\r\n\t" in head:
        head = _FOLD.sub(b" ", head)
    told = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.rstrip().lower() in {b"content-length", b"l"}:
            told.append(value.strip())
    if not told:  # 18.3: in stream-oriented transports the end cannot be known then
        raise BadRequest("Missing Content-Length")
    if len(told) > 1:
        raise BadRequest("Several Content-Length headers")
    if not told[0].isdigit() or len(told[0]) > 9:
        raise BadRequest("Malformed Content-Length")
    return int(told[0])
