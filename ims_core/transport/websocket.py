"""SIP over WebSocket, as its server: one SIP message in each WebSocket message (RFC 7118)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from ims_core.transport.framing import PING, PONG

SUBPROTOCOL = Subprotocol("sip")  # RFC 7118 section 4.1
_NO_HTTP = Response(400, "Bad Request", Headers([("Connection", "close"), ("Content-Length", "0")]), b"").serialize()

_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.WARNING)  # the library would tell of every connection


class WebSocketSettings(NamedTuple):
    """Who may connect: pages of these ``origins`` (none named: of all), by this ``path`` (empty: by any).

    An origin is written as browsers send it, ``https://phone.example``. Who sends none is no browser, and welcome:
    the check keeps pages of strangers from using the credentials of their visitors.
    """

    origins: Sequence[str] = ()
    path: str = ""


class WebSocketFramer:
    """The WebSocket of one connection; used as a ``StreamFramer`` is.

    A message may be text or binary, in one frame or several. What a peer does wrong is answered with a status of HTTP
    before the handshake and with a close code after it; ``closing`` tells that nothing is to follow ``replies()``.
    """

    def __init__(self, settings: WebSocketSettings, *, max_message: int) -> None:
        self._path = settings.path
        self._protocol = ServerProtocol(
            origins=[*map(Origin, settings.origins), None] if settings.origins else None,
            subprotocols=[SUBPROTOCOL],
            max_size=max_message,
            logger=_LOGGER,
        )
        self._whole = bytearray()
        self._is_text = False
        self._last_word = b""
        self.ready = False
        self.closing = False

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""
        return self._protocol.current_size is not None or bool(self._protocol.reader.buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take received bytes and yield each message that they complete."""
        if self.closing:
            return
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                yield from self._take(event)
            elif isinstance(event, Request):
                self._answer(event)
        if protocol.close_expected():
            self.closing = True
            if isinstance(protocol.handshake_exc, InvalidMessage):  # of which the library says nothing to the peer
                self._last_word = _NO_HTTP

    def wrap(self, message: bytes) -> bytes:
        """Return a message as it goes on the wire: text when it is (RFC 7118 section 5), else binary."""
        if self._protocol.close_expected() or not self.ready:
            return b""
        if _is_utf8(message):
            self._protocol.send_text(message)
        else:
            self._protocol.send_binary(message)
        return self.replies()

    def replies(self) -> bytes:
        """Return and forget what the protocol itself has to say."""
        said = b"".join(self._protocol.data_to_send()) + self._last_word
        self._last_word = b""
        return said

    def farewell(self) -> bytes:
        """Return what is said when we close the connection: 1001, going away."""
        if self.ready and not self._protocol.close_expected():
            self._protocol.send_close(CloseCode.GOING_AWAY)
        return self.replies()

    def _answer(self, request: Request) -> None:
        protocol = self._protocol
        if self._path and request.path.partition("?")[0] != self._path:
            response = protocol.reject(404, f"There is no WebSocket at this path, but at {self._path}.\n")
        else:
            response = protocol.accept(request)
        protocol.send_response(response)
        self.ready = response.status_code == 101

    def _take(self, frame: Frame) -> Iterator[bytes]:
        if frame.opcode not in _DATA:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                yield from self._message(bytes(frame.data))
                return
        self._whole += frame.data
        if frame.fin:
            whole = bytes(self._whole)
            self._whole.clear()
            yield from self._message(whole)

    def _message(self, message: bytes) -> Iterator[bytes]:
        if self._is_text and not _is_utf8(message):
            self._protocol.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
        elif message == PING:  # a keep-alive of RFC 5626 in place of the WebSocket's own
            self._protocol.send_text(PONG)
        elif message.strip():
            yield message.lstrip(b"\r\n")


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_DATA = frozenset((Opcode.TEXT, Opcode.BINARY, Opcode.CONT))
