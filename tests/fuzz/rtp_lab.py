"""A media worker without sockets and loop: what reaches it and what it sends are lists, its time is moved by hand."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from media.rtp.stream import Format, Stream
from media.settings import MediaSettings
from media.worker import control, worker
from media.worker.poller import Poller
from media.worker.ticker import Ticker

TICK = 0.020
Address = tuple[str, int]
EVENTS = Format(101, "telephone-event")
NOISE = Format(13, "CN")
PCMU, PCMA, G722 = Format(0, "PCMU"), Format(8, "PCMA"), Format(9, "G722")
AMR, OPUS = Format(96, "AMR", parameters="octet-align=1"), Format(111, "opus", 48000, 2)
FORMATS = (PCMU, PCMA, G722, AMR, OPUS, NOISE, EVENTS)
HOST = "127.0.0.1"


class Wire:
    """A datagram socket whose far end is this test. Its number is none that the kernel knows."""

    numbers = itertools.count(-2, -1)

    def __init__(self, address: Address) -> None:
        self.address = address
        self.inbox: deque[tuple[bytes, Address]] = deque()
        self.sent: list[tuple[bytes, Address]] = []
        self.peer: Address | None = None
        self._number = next(self.numbers)

    def getsockname(self) -> Address:
        return self.address

    def fileno(self) -> int:
        return self._number

    def close(self) -> None:
        self._number = -1

    def connect(self, address: Address) -> None:
        self.peer = address

    def send(self, data: bytes) -> int:
        assert self.peer is not None
        return self.sendto(data, self.peer)

    def sendto(self, data: bytes, address: Address) -> int:
        self.sent.append((bytes(data), address))
        return len(data)

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        data, address = self._next()
        return data[:size], address

    def recvfrom_into(self, buffer: bytearray) -> tuple[int, Address]:
        data, address = self._next()
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        return size, address

    def recv_into(self, buffer: bytearray) -> int:
        return self.recvfrom_into(buffer)[0]

    def _next(self) -> tuple[bytes, Address]:
        if not self.inbox:
            raise BlockingIOError
        return self.inbox.popleft()


class Board(Poller):
    """A poller that is told when there is something to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.callbacks: dict[int, Callable[[], None]] = {}

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        self.callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        self.callbacks.pop(descriptor, None)

    def close(self) -> None:
        super().close()
        self.callbacks.clear()


class _Timer:
    def __init__(self, timers: list[_Timer], callback: Callable[[], None]) -> None:
        self.callback = callback
        self._timers = timers
        timers.append(self)

    def cancel(self) -> None:
        if self in self._timers:
            self._timers.remove(self)


class Loop:
    """An event loop that runs nothing by itself."""

    def __init__(self) -> None:
        self.timers: list[_Timer] = []

    def time(self) -> float:
        return 0.0

    def call_later(self, _: float, callback: Callable[..., None], *__: object) -> _Timer:
        return _Timer(self.timers, callback)

    def call_at(self, _: float, callback: Callable[..., None], *__: object) -> _Timer:
        return _Timer(self.timers, callback)

    def call_soon(self, callback: Callable[..., None], *arguments: object) -> None:
        callback(*arguments)


class _HandTicker(Ticker):
    def __init__(self) -> None:
        loop = Loop()
        super().__init__(loop.call_at, loop.time, loop.time)

    def tick(self, now: float) -> None:
        for member in list(self._members):
            if member in self._members:
                member.tick(now)


class Lab:
    """Four legs: two of one codec that are bridged, one of another in a conference with an AMR one, and an echo.

    The phone of leg n is at port 5000 + n of `HOST`.
    """

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.wires: dict[int, Wire] = {}
        self.reports: list[control.Report] = []
        self.ticker = _HandTicker()
        self._board = Board()
        with (
            mock.patch.object(worker, "Ticker", return_value=self.ticker),
            mock.patch.object(worker, "bind_socket", self._bind),
        ):
            loop = cast("Any", Loop())
            self.worker = worker.Worker(
                loop, MediaSettings(**settings), range(20_000, 20_020, 2), self._post, poller=self._board
            )
            self.worker.handle(control.Provide(5))
        (provided,) = [report for report in self.reports if isinstance(report, control.Provided)]
        self.ports = provided.ports
        for leg, send in enumerate((PCMU, PCMU, G722, AMR, PCMA)):
            self.worker.handle(control.Open(leg + 1, self.ports[leg], self.stream(leg, send)))
        self.worker.handle(control.Bridge(1, 2, None))
        pairs = itertools.permutations((3, 4), 2)
        self.worker.handle(control.Mix(tuple((speaker, hearer, 0.5) for speaker, hearer in pairs)))
        self.worker.handle(control.Echo(5))

    def stream(self, leg: int, send: Format) -> Stream:
        return Stream(
            host=HOST,
            port=self.phone(leg)[1],
            send=send,
            receive={each.payload: each for each in FORMATS},
            send_events=EVENTS,
            rtcp=(HOST, self.phone(leg)[1] + 1),
            mux=leg == 1,
            send_noise=NOISE,
        )

    def phone(self, leg: int) -> Address:
        return HOST, 5000 + 10 * leg

    def deliver(self, leg: int, data: bytes, source: Address, *, rtcp: bool = False) -> None:
        """Have a datagram come to a leg, unless the kernel would keep it from us."""
        wire = self.wires[self.ports[leg] + rtcp]
        if wire.peer is not None and wire.peer != source:
            return
        wire.inbox.append((data, source))
        while wire.inbox and (callback := self._board.callbacks.get(wire.fileno())) is not None:
            callback()

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def tick(self) -> None:
        """Let 20 ms pass."""
        self.now += TICK
        self.ticker.tick(self.now)

    def sent(self, leg: int) -> list[tuple[bytes, Address]]:
        """Return what was sent from the RTP port of a leg."""
        return self.wires[self.ports[leg]].sent

    def close(self) -> None:
        self.worker.close()

    def _post(self, report: control.Report) -> None:
        self.reports.append(report)

    def _bind(self, _: str, port: int) -> Any:
        self.wires[port] = Wire((HOST, port))
        return self.wires[port]
