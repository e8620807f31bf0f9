"""A clock, chance, and a network with faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, Protocol

from ims_core.flow import Address, Flow
from ims_core.ids import Ids
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def seeded_ids(seed: int | str) -> Ids:
    """Identifiers that are the same for the same seed."""
    return Ids(random.Random(seed).getrandbits)


class Faults(NamedTuple):
    """What happens to datagrams: chances from 0 to 1, times in seconds. ``jitter`` above ``delay`` reorders."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.001
    jitter: float = 0.0


class Packet(NamedTuple):
    """What was sent at ``at``; ``flow`` is the sender's view."""

    at: float
    flow: Flow
    data: bytes

    @property
    def message(self) -> Request | Response:
        """The message, parsed."""
        return parse_message(self.data, datagram=False)

    @property
    def summary(self) -> str:
        """The method, or the status with the method of its CSeq: ``INVITE``, ``200 INVITE``."""
        message = self.message
        return message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"


class Element(Protocol):
    """What can be attached: a ``Node``, or a ``Party`` or ``Phone`` from here."""

    def receive(self, data: bytes, flow: Flow) -> None: ...
    def connection_failed(self, flow: Flow) -> None: ...
    def data_to_send(self) -> list[tuple[Flow, bytes]]: ...
    def next_deadline(self) -> float | None: ...
    def handle_timer(self) -> None: ...


class Network:
    """Carries messages between elements and turns the clock.

    UDP suffers the ``faults``; streams deliver everything in order. A stream to nobody fails; a datagram to nobody
    is gone. ``sent`` keeps all that elements sent, in order, whether or not it arrived. ``drop`` may be set to
    lose chosen packets.
    """

    def __init__(self, seed: int | str = 0, faults: Faults | None = None) -> None:
        self.clock = Clock()
        self.faults = faults or Faults()
        self.sent: list[Packet] = []
        self.drop: Callable[[Packet], bool] = lambda _: False
        self.seed = seed
        self._random = random.Random(f"network {seed}")
        self._elements: list[Element] = []
        self._at: dict[tuple[str, Address], Element] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._connections: dict[tuple[str, Address, Address], int] = {}
        self._hosts = count(1)

    @property
    def now(self) -> float:
        """The time."""
        return self.clock.now

    def new_address(self, port: int = 5060) -> Address:
        """An address that nobody has yet."""
        return f"198.51.100.{next(self._hosts)}", port

    def attach(self, element: Element, *listeners: tuple[str, Address]) -> None:
        """Connect an element under its listeners."""
        self._elements.append(element)
        for listener in listeners:
            self._at[listener] = element

    def detach(self, element: Element) -> None:
        """Make an element vanish without a word; what is on its way to it is lost."""
        self._elements.remove(element)
        self._at = {listener: held for listener, held in self._at.items() if held is not element}

    def unlisten(self, transport: str, address: Address) -> None:
        """Have nobody listen there any more."""
        del self._at[transport, address]

    def call_later(self, delay: float, action: Callable[[], object]) -> None:
        """Let the test act ``delay`` seconds from now."""
        heappush(self._queue, (self.now + delay, next(self._order), lambda: (action(), None)[1]))

    def flush(self) -> None:
        """Take what elements have to send and put it on its way."""
        busy = True
        while busy:
            busy = False
            for element in self._elements:
                for flow, data in element.data_to_send():
                    busy = True
                    self._carry(element, flow, data)

    def run(self, seconds: float | None = None, *, limit: int = 200_000) -> None:
        """Run for so many seconds, or until nothing is left to happen; more than ``limit`` events are a fault."""
        until = None if seconds is None else self.now + seconds
        for _ in range(limit):
            self.flush()
            step = self._next_step()
            if step is None or (until is not None and step[0] > until):
                if until is not None:
                    self.clock.now = until
                return
            at, act = step
            self.clock.now = max(self.now, at)
            act()
        raise AssertionError(f"still busy after {limit} events, at {self.now} s")

    def is_quiet(self) -> bool:
        """Whether nothing is on its way and no element waits for anything."""
        self.flush()
        return self._next_step() is None

    def wire(self, *, since: float = 0.0, by: Address | None = None) -> list[str]:
        """Summaries of what was sent, in order; ``by`` one listener only."""
        return [p.summary for p in self.sent if p.at >= since and (by is None or p.flow.local == by)]

    def packets(self, summary: str, *, by: Address | None = None) -> list[Packet]:
        """The packets of that summary."""
        return [p for p in self.sent if p.summary == summary and (by is None or p.flow.local == by)]

    def times(self, summary: str, *, by: Address | None = None) -> list[float]:
        """When they were sent, to the microsecond."""
        return [round(p.at, 6) for p in self.packets(summary, by=by)]

    def _next_step(self) -> tuple[float, Callable[[], None]] | None:
        steps: list[tuple[float, Callable[[], None]]] = []
        if self._queue:
            steps.append((self._queue[0][0], self._deliver))
        for element in self._elements:
            deadline = element.next_deadline()
            if deadline is not None:
                steps.append((deadline, element.handle_timer))
        return min(steps, key=lambda step: step[0]) if steps else None

    def _deliver(self) -> None:
        heappop(self._queue)[2]()

    def _carry(self, sender: Element, flow: Flow, data: bytes) -> None:
        packet = Packet(self.now, flow, data)
        self.sent.append(packet)
        if self.drop(packet):
            return
        if flow.reliable:
            self._carry_on_stream(sender, flow, data)
            return
        faults, chance = self.faults, self._random.random
        for _ in range(2 if chance() < faults.duplicate else 1):
            if chance() >= faults.loss:
                self._arrive(faults.delay + faults.jitter * chance(), flow, data, 0)

    def _carry_on_stream(self, sender: Element, flow: Flow, data: bytes) -> None:
        if (flow.transport, flow.remote) not in self._at:
            self.call_later(self.faults.delay, lambda: sender.connection_failed(flow))
            return
        one, other = sorted((flow.local, flow.remote))
        number = self._connections.setdefault((flow.transport, one, other), len(self._connections) + 1)
        self._arrive(self.faults.delay, flow, data, number)

    def _arrive(self, delay: float, flow: Flow, data: bytes, connection: int) -> None:
        seen = Flow(flow.transport, flow.remote, flow.local, connection)

        def act() -> None:
            element = self._at.get((seen.transport, seen.local))
            if element is not None:
                element.receive(data, seen)

        self.call_later(delay, act)
