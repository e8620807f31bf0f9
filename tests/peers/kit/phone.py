"""A phone that can misbehave: it writes its SIP messages and RTP packets itself."""

from __future__ import annotations

import itertools
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from tests.kit.messages import request_bytes
from tests.peers.kit.process import LOOPBACK
from tests.peers.kit.tones import RATE, Samples

_numbers = itertools.count(1)
FRAME = RATE // 50


@dataclass
class Message:
    """A received message: start line, header fields by lower-case name, body."""

    start: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    body: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Read one whole message."""
        head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        message = cls(start, body=body)
        for line in lines:
            name, _, told = line.partition(":")
            message.fields.setdefault(name.strip().lower(), []).append(told.strip())
        return message

    @property
    def status(self) -> int:
        """The status of a response, 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    def get(self, name: str) -> str:
        """The first value of a header field, empty when there is none."""
        return self.fields.get(name.lower(), [""])[0]


def sdp(port: int, payloads: str = "0 101", *, direction: str = "sendrecv") -> bytes:
    """A session description for audio at ``port``."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {LOOPBACK}", "s=-", f"c=IN IP4 {LOOPBACK}", "t=0 0",
             f"m=audio {port} RTP/AVP {payloads}", "a=rtpmap:101 telephone-event/8000", f"a={direction}"]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n"


class Phone:
    """One UDP socket and, for each call, what a dialog needs. Use it in a ``with``."""

    def __init__(self, server: tuple[str, int], port: int, user: str = "caller1") -> None:
        self.server = server
        self.user = user
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, port))
        self.socket.connect(server)
        self.port = port
        self.call_id = ""
        self.cseq = 0
        self.to = ""
        self.target = ""
        self.branch = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    # Messages -----------------------------------------------------------------------------------------------

    def write(
        self,
        method: str,
        uri: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        without: Iterable[str] = (),
        body: bytes = b"",
        branch: str = "",
        to: str = "",
        cseq: int | None = None,
        transport: str = "UDP",
    ) -> bytes:
        """Write a request of the present call."""
        self.branch = branch or f"z9hG4bK{self.port}x{next(_numbers)}"
        fields = list(headers)
        if body:
            fields.append(("Content-Type", "application/sdp"))
        return request_bytes(
            method,
            uri,
            via=f"SIP/2.0/{transport} {LOOPBACK}:{self.port};branch={self.branch};rport",
            from_=f"<sip:{self.user}@ims.example>;tag=t{self.port}",
            to=to or self.to or f"<{uri}>",
            call_id=self.call_id,
            cseq=self.cseq if cseq is None else cseq,
            contact=f"<sip:{self.user}@{LOOPBACK}:{self.port}>",
            headers=fields,
            without=without,
            body=body,
        )

    def new_call(self) -> None:
        """Begin with a new Call-ID."""
        self.call_id, self.cseq, self.to = f"{next(_numbers)}-{self.port}@{LOOPBACK}", 1, ""

    def uri(self, number: str) -> str:
        """The URI of a number at the server."""
        return f"sip:{number}@{self.server[0]}:{self.server[1]}"

    def send(self, data: bytes) -> None:
        """Send a datagram."""
        self.socket.send(data)

    def receive(self, seconds: float = 5.0) -> Message | None:
        """Return the next message, None when none comes."""
        ready, _, _ = select.select([self.socket], [], [], seconds)
        return Message.parse(self.socket.recv(65535)) if ready else None

    def final(self, method: str, seconds: float = 10.0) -> Message:
        """Return the final response to ``method``; requests of the server are answered with 200."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None:
                break
            if not message.status:
                self.answer(message)
            elif message.status >= 200 and message.get("CSeq").endswith(method):
                return message
        raise AssertionError(f"no final response to {method} within {seconds:g} s")

    def wait_for(self, method: str, seconds: float = 10.0) -> Message:
        """Return the next request of this method, answered with 200."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            if message is not None and message.start.startswith(f"{method} "):
                self.answer(message)
                return message
        raise AssertionError(f"no {method} within {seconds:g} s")

    def answer(self, request: Message, status: str = "200 OK") -> None:
        """Answer a request."""
        lines = [f"SIP/2.0 {status}"]
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            lines += [f"{name}: {told}" for told in request.fields.get(name.lower(), [])]
        self.send("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())

    # Calls --------------------------------------------------------------------------------------------------

    def ask(self, method: str, uri: str, **options: object) -> Message:
        """Send a request outside any dialog and return its final response; a failed INVITE is acknowledged."""
        self.new_call()
        self.send(self.write(method, uri, **options))  # type: ignore[arg-type]
        response = self.final(method)
        if method == "INVITE" and response.status >= 300:
            self.send(self.write("ACK", uri, branch=self.branch, to=response.get("To")))
        return response

    def dial(self, number: str, offer: bytes) -> Message:
        """Call, and acknowledge what comes."""
        response = self.ask("INVITE", self.uri(number), body=offer)
        if response.status == 200:
            self.take(response)
        return response

    def take(self, response: Message) -> None:
        """Acknowledge a 200 to the INVITE."""
        self.to = response.get("To")
        found = re.search(r"sip:[^>;]*", response.get("Contact"))
        assert found, response
        self.target = found.group()
        self.send(self.write("ACK", self.target))

    def request(self, method: str, **options: object) -> Message:
        """Send a request within the dialog and return its final response."""
        self.cseq += 1
        self.send(self.write(method, self.target, **options))  # type: ignore[arg-type]
        return self.final(method)

    def hang_up(self) -> None:
        """Send BYE."""
        assert self.request("BYE").status == 200


def media_port(message: Message) -> int:
    """The audio port of a session description."""
    found = re.search(r"^m=audio (\d+)", message.body, re.MULTILINE)
    assert found, message
    return int(found.group(1))


def _encode(samples: Samples) -> bytes:
    """G.711 µ-law by the formula of G.711, without the code under test."""
    magnitude = np.minimum(np.abs(samples) * 32768, 32635).astype(np.int64) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    code = ~(sign | (exponent << 4) | mantissa) & 0xFF
    return bytes(code.astype(np.uint8))


class Voice:
    """Sends a tone as RTP (PCMU) every 20 ms from a thread, and counts what comes back. Use it in a ``with``."""

    def __init__(self, port: int, hertz: float = 440.0) -> None:
        self.port = port
        self.remote = (LOOPBACK, 0)
        self.received = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, port))
        self.socket.setblocking(False)
        times = np.arange(RATE) / RATE
        self._tone = _encode(0.5 * np.sin(2 * np.pi * hertz * times))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self.socket.close()

    def start(self, remote_port: int) -> None:
        """Begin to talk."""
        self.remote = (LOOPBACK, remote_port)
        self._thread.start()

    def _talk(self) -> None:
        number = 0
        while not self._over.wait(0.02):
            at = number * FRAME % len(self._tone)
            header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * FRAME, self.port)
            number += 1
            try:
                self.socket.sendto(header + self._tone[at : at + FRAME], self.remote)
                while self.socket.recv(2048):
                    self.received += 1
            except OSError:
                continue
