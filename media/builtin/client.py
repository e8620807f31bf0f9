"""The engine's face of one worker process: the control connection and the legs opened over it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import structlog

from media.api import (
    Digit,
    LegReport,
    Lost,
    MediaCounters,
    MediaEvent,
    MediaUnavailable,
    PlayFinished,
    Protection,
    Recovered,
    RtpTimeout,
    Troubled,
)
from media.builtin.credentials import Credentials
from media.builtin.leg import WorkerLeg
from media.frames import FrameReader, ProtocolError, encode
from media.sdp.negotiation import Negotiation
from media.settings import MediaSettings
from media.worker import control

HEALTHY_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 5.0
STOCK: Final = 64  # ports at hand for legs to come
LOW_STOCK: Final = 32
GATHER_SECONDS: Final = 0.05  # what a command may wait that nobody hears the effect of

log = structlog.get_logger()


class WorkerClient(asyncio.Protocol):
    """One control connection. `on_closed` is called once when it ends, after every leg was told `Lost`."""

    def __init__(
        self, settings: MediaSettings, credentials: Credentials, ports: range, on_closed: Callable[[], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.counters = MediaCounters(ports_total=len(ports))
        self.legs: dict[int, WorkerLeg] = {}
        self.settings = settings
        self._credentials = credentials
        self._ports = ports
        self._on_closed = on_closed
        self._numbers = itertools.count(1)
        self._closing: dict[int, asyncio.Future[LegReport]] = {}
        self._on_idle: Callable[[], None] | None = None
        self._measuring: deque[asyncio.Future[LegReport]] = deque()  # they are answered in order
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._flush_due = False
        self._gathering: asyncio.TimerHandle | None = None
        self._stock: deque[int] = deque()
        self._stock_asked = False
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._heard_at = self.loop.time()
        self.gone = False
        self._perform: dict[type[control.Report], Callable[..., None]] = {
            control.Ready: self._readied,
            control.Provided: self._provided,
            control.Measured: self._measured,
            control.Closed: self._closed,
            control.Heartbeat: self._beaten,
            control.Complained: self._complained,
        }

    async def connect(self, sock: socket.socket) -> None:
        """Begin on a connected unix socket; `ready` is done when the worker serves."""
        await self.loop.create_unix_connection(lambda: self, sock=sock)
        identity = self._credentials.identity
        self.send(control.Start(self.settings, self._ports.start, self._ports[-1], identity))
        self._ask_for_ports()

    def healthy(self) -> bool:
        """Tell whether the worker serves and was heard lately."""
        return not self.gone and self.ready.done() and self.loop.time() - self._heard_at < HEALTHY_SECONDS

    @property
    def silent_seconds(self) -> float:
        """How long nothing was heard from the worker."""
        return self.loop.time() - self._heard_at

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        *,
        offer: str | None,
        like: WorkerLeg | None,
        heeds_preconditions: bool = False,
        protection: Protection = Protection.NONE,
        family: str = "",
    ) -> WorkerLeg:
        """Open a leg (see `Media.open`)."""
        settings = self.settings
        negotiation = Negotiation(
            settings.advertised,
            secrets.randbits(48),
            other_address=settings.advertise_other,
            local=self._credentials.draw(protection),
            heeds_preconditions=heeds_preconditions,
        )
        negotiation.choose_family(family)
        if offer is not None:
            negotiation.take_offer(offer)
        elif like is not None:
            negotiation.prefer(like.negotiation)
        if not self.gone:
            negotiation.port = self._stock.popleft() if self._stock else await self._next_port()
        if self.gone:
            raise MediaUnavailable("The media worker is gone.")
        if len(self._stock) < LOW_STOCK:
            self._ask_for_ports()
        leg = WorkerLeg(self, next(self._numbers), leg_id, negotiation, on_event)
        self.legs[leg.number] = leg
        self.send(control.Open(leg.number, negotiation.port, negotiation.stream), soon=False)
        leg.local_sdp = negotiation.offer() if offer is None else negotiation.answer()
        return leg

    def assign(self, ports: range) -> None:
        """Have the worker open legs on these ports from now on."""
        self._ports = ports
        self._stock = deque(port for port in self._stock if port in ports)
        self.send(control.Assign(ports.start, ports[-1]))
        self._ask_for_ports()

    def lend(self) -> tuple[int, int]:
        """Return a number and a port for the end of a cord. Raises MediaUnavailable."""
        if self.gone or not self._stock:
            raise MediaUnavailable("No RTP port is at hand.")
        port = self._stock.popleft()
        if len(self._stock) < LOW_STOCK:
            self._ask_for_ports()
        return -next(self._numbers), port

    def take_back(self, port: int) -> None:
        """Take a port that was lent and not used."""
        self._stock.appendleft(port)

    def begin_close(self, leg: WorkerLeg) -> asyncio.Future[LegReport]:
        """Ask for the leg's end; the future holds its report."""
        future: asyncio.Future[LegReport] = self.loop.create_future()
        if self.legs.pop(leg.number, None) is None or self.gone:
            future.set_result(_LOST)
        else:
            self._closing[leg.number] = future
            self.send(control.Close(leg.number), soon=False)
        return future

    def measure(self, leg: WorkerLeg) -> asyncio.Future[LegReport]:
        """Ask how the leg fared since the last time; the future holds its report."""
        future: asyncio.Future[LegReport] = self.loop.create_future()
        if self.gone:
            future.set_result(_LOST)
        else:
            self._measuring.append(future)
            self.send(control.Measure(leg.number), soon=False)
        return future

    def send(self, command: control.Command, *, soon: bool = True) -> None:
        """Send a command; commands to a worker that is gone have no effect.

        It leaves when the loop has turned once more, with what this turn leads to. Unless it is to go `soon` it waits
        for one that is, at most `GATHER_SECONDS`: each time the worker wakes up costs more than what it then does.
        """
        if self.gone:
            return
        self._out.append(encode(command))
        if soon:
            self._flush_soon()
        elif self._gathering is None and not self._flush_due:
            self._gathering = self.loop.call_later(GATHER_SECONDS, self._flush)

    def disconnect(self) -> None:
        """Drop the connection, upon which the worker ends."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every leg, then the owner."""
        self.gone = True
        legs, self.legs = self.legs, {}
        for leg in legs.values():
            leg.drop_cords()
            leg.tell(Lost("the media worker was lost"))
        self._refuse_waiting("The media worker was lost.")
        asked = (*self._closing.values(), *self._measuring)
        self._closing.clear()
        self._measuring.clear()
        for future in asked:
            if not future.done():
                future.set_result(_LOST)
        if not self.ready.done():
            self.ready.set_exception(MediaUnavailable("The media worker ended before it was ready."))
        self._on_closed()

    def data_received(self, data: bytes) -> None:
        """Take the worker's reports."""
        self._heard_at = self.loop.time()
        try:
            for body in self._frames.feed(data):
                self._take(control.report_decoder.decode(body))
        except (ProtocolError, ValueError) as error:
            log.warning("media_worker.misspoke", reason=str(error))
            self.disconnect()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.loop.call_soon(self.loop.call_soon, self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        data = b"".join(self._out)
        self._out.clear()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _take(self, report: control.Report) -> None:
        event = _EVENTS.get(type(report))
        if event is None:
            self._perform[type(report)](report)
        elif (leg := self.legs.get(report.leg)) is not None:  # type: ignore[union-attr]
            leg.tell(event(report))

    async def _next_port(self) -> int:
        """Wait for a port to be provided. Raises MediaUnavailable."""
        port: asyncio.Future[int] = self.loop.create_future()
        self._waiting.append(port)
        self._ask_for_ports()
        self._flush_soon()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await port
        except TimeoutError:
            raise MediaUnavailable("The media worker does not answer.") from None
        except asyncio.CancelledError:
            if port.done() and not port.cancelled() and port.exception() is None:
                self._stock.appendleft(port.result())
            raise

    def _ask_for_ports(self) -> None:
        if not self._stock_asked:
            self._stock_asked = True
            self.send(control.Provide(STOCK - len(self._stock)), soon=False)

    def _provided(self, report: control.Provided) -> None:
        self._stock_asked = False
        self._stock.extend(port for port in report.ports if port in self._ports)
        while self._waiting and self._stock:
            port = self._waiting.popleft()
            if not port.done():
                port.set_result(self._stock.popleft())
        if report.reason:
            self._refuse_waiting(report.reason)
        elif self._waiting:
            self._ask_for_ports()
            self._flush_soon()

    def _refuse_waiting(self, reason: str) -> None:
        while self._waiting:
            port = self._waiting.popleft()
            if not port.done():
                port.set_exception(MediaUnavailable(reason))

    def _closed(self, report: control.Closed) -> None:
        future = self._closing.pop(report.leg, None)
        if future is not None and not future.done():
            future.set_result(report.report)
        self._look_if_idle()

    def when_idle(self, do: Callable[[], None]) -> None:
        """Call this when the last leg has ended and was reported on, perhaps at once."""
        self._on_idle = do
        self._look_if_idle()

    def _look_if_idle(self) -> None:
        if self._on_idle is not None and not self.legs and not self._closing:
            self._on_idle()

    def _measured(self, report: control.Measured) -> None:
        if self._measuring and not (future := self._measuring.popleft()).done():
            future.set_result(report.report)

    def _beaten(self, report: control.Heartbeat) -> None:
        self.counters = report.counters

    def _complained(self, report: control.Complained) -> None:
        leg = self.legs.get(report.leg)
        log.warning(report.event, leg_id=leg.leg_id if leg else None, reason=report.text)

    def _readied(self, report: control.Ready) -> None:
        for mistake in report.mistakes:
            log.warning("prompt.rejected", reason=mistake)
        log.debug("media_worker.readied", prompts=report.prompts)
        if not self.ready.done():
            self.ready.set_result(None)


_LOST: Final = LegReport(basis="the media worker was lost")


_EVENTS: Final[dict[type[control.Report], Callable[..., MediaEvent]]] = {
    control.Pressed: lambda report: Digit(report.digit, report.source),
    control.Finished: lambda report: PlayFinished(report.token, report.heard_ms, report.interrupted),
    control.TimedOut: lambda _: RtpTimeout(),
    control.Failed: lambda report: Lost(report.reason),
    control.Worsened: lambda report: Troubled(report.trouble, report.detail),
    control.Bettered: lambda report: Recovered(report.trouble, report.seconds),
}
