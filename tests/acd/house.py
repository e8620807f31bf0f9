"""A whole server in memory on virtual time: the real engine and SIP node, phones beside it, media that is a fake.

with House() as house:
    agent = house.agent("1001")
    caller = house.caller("alice")
    house.run(2.0)             # seconds of virtual time, no time at all in truth
    caller.dial("10001")
    ...
    house.settle()             # until nothing is left to happen
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from acd.cdr import Cdr
from acd.config import Config
from acd.config.source import Source
from acd.control import Control
from acd.engine import Engine
from acd.journal.port import MemoryJournal
from acd.metrics import Metrics, Readings
from acd.policy import build_distributor
from acd.sip import Place, build_authenticator, build_node
from acd.store import StoreCounters
from acd.trunks import build_border
from ims_core.flow import Address, Flow
from ims_core.ids import Ids
from ims_core.locate.courier import Courier
from ims_core.node import Node
from ims_core.registrar.location import Binding, Domains, Location, Removal
from ims_core.transactions.endpoint import (
    Endpoint,
    RequestReceived,
)
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import Answered, Ended, Rejected, Reoffered, SessionEvent
from ims_core.ua.useragent import UserAgent
from media.testing import FakeLeg, FakeMedia

CONFIG = Path(__file__).parents[2] / "configs" / "demo.toml"
SERVER: Address = ("127.0.0.1", 5060)
LATENCY = 0.001
START = datetime(2025, 3, 1, 12, tzinfo=UTC)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it.

    ``iterations`` counts its turns; ``at_iteration`` maps a turn to what a test wants done after it.
    """

    def __init__(self) -> None:
        self._now = 1000.0
        self.iterations = 0
        self.at_iteration: dict[int, Callable[[], None]] = {}
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]
        self.iterations += 1
        action = self.at_iteration.pop(self.iterations, None)
        if action is not None:
            action()


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "the loop would wait for ever"
        self._loop.jump(max(timeout, 0.0))
        return super().select(0)


class Party:
    """Something with a SIP endpoint on the virtual network."""

    def __init__(self, house: House, address: Address) -> None:
        self.house = house
        self.address = address
        self._wake: asyncio.TimerHandle | None = None

    def receive(self, data: bytes, flow: Flow) -> None:
        raise NotImplementedError

    def outgoing(self) -> list[tuple[Flow, bytes]]:
        raise NotImplementedError

    def deadline(self) -> float | None:
        raise NotImplementedError

    def handle_timer(self) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        """Send what there is and wait for the next deadline."""
        for flow, data in self.outgoing():
            self.house.carry(self.address, flow.remote, data)
        if self._wake is not None:
            self._wake.cancel()
        deadline = self.deadline()
        self._wake = None if deadline is None else self.house.loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self.handle_timer()
        self.flush()

    def take(self, data: bytes, source: Address) -> None:
        self.receive(data, Flow("UDP", self.address, source))
        self.flush()


class Server(Party):
    """The node under test."""

    node: Node

    def receive(self, data: bytes, flow: Flow) -> None:
        self.node.receive(data, flow)

    def outgoing(self) -> list[tuple[Flow, bytes]]:
        return self.node.data_to_send()

    def deadline(self) -> float | None:
        return self.node.next_deadline()

    def handle_timer(self) -> None:
        self.node.handle_timer()


class Phone(Party):
    """A phone. ``on_invite`` decides what happens to a call that comes in; ``events`` is what its calls told."""

    def __init__(self, house: House, user: str, port: int) -> None:
        super().__init__(house, ("127.0.0.1", port))
        self.user = user
        listeners = {("UDP", self.address): f"127.0.0.1:{port}"}
        self.endpoint = Endpoint(clock=house.loop.time, ids=house.ids, sent_by=listeners)
        self.ua = UserAgent(
            Courier(self.endpoint, listeners=listeners), way_to_peer=lambda _, flow: flow, advertised=listeners
        )
        self.on_invite: Callable[[IncomingCall], None] = self.answer
        self.call: OutgoingCall | None = None
        self.incoming: list[IncomingCall] = []
        self.events: list[SessionEvent] = []
        self.server = Flow("UDP", self.address, SERVER)

    def receive(self, data: bytes, flow: Flow) -> None:
        self.endpoint.receive(data, flow)
        self._react()

    def outgoing(self) -> list[tuple[Flow, bytes]]:
        return self.endpoint.data_to_send()

    def deadline(self) -> float | None:
        return self.endpoint.next_deadline()

    def handle_timer(self) -> None:
        self.endpoint.handle_timer()
        self._react()

    def _react(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            match event:
                case RequestReceived(transaction, request, flow):
                    if request.to.tag:
                        self.ua.receive(transaction, request)
                    else:
                        call = self.ua.incoming(transaction, request, flow, "")
                        call.on_event = self._note
                        self.incoming.append(call)
                        self.on_invite(call)
                case _:
                    self.ua.handle(event)

    def _note(self, event: SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, Reoffered) and self.incoming:
            self.incoming[-1].accept_offer(SDP)

    # What a person does with it -----------------------------------------------------------------------------

    def dial(self, number: str, *, sdp: bytes = SDP, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Call ``number``."""
        self.call = self.ua.outgoing(self.server, self._note)
        uri = f"sip:{number}@ims.example"
        self.call.start(uri, caller=f"<sip:{self.user}@ims.example>", callee=f"<{uri}>", sdp=sdp, headers=headers)
        self.flush()

    def hang_up(self) -> None:
        """Put the receiver down, on every call."""
        if self.call is not None:
            self.call.hang_up()
        for call in self.incoming:
            call.hang_up()
        self.flush()

    def answer(self, call: IncomingCall) -> None:
        """Ring for half a second, then answer."""
        call.progress(180)

        def pick_up() -> None:
            if call.state == "invited":
                call.answer(SDP)
                self.flush()

        self.house.loop.call_later(0.5, pick_up)

    def refuse(self, call: IncomingCall) -> None:
        """Say 486 after a moment."""
        call.progress(180)

        def busy() -> None:
            call.reject(486)
            self.flush()

        self.house.loop.call_later(0.2, busy)

    def ring_for_ever(self, call: IncomingCall) -> None:
        """Do not pick up."""
        call.progress(180)

    @property
    def outcome(self) -> str:
        """How the latest call stands, by the last decisive event."""
        for event in reversed(self.events):
            if isinstance(event, Answered | Rejected | Ended):
                return type(event).__name__
        return ""


class SlowMedia(FakeMedia):
    """Takes some time to open a leg, so that there is a life before the answer."""

    async def open(self, *args: Any, **kwargs: Any) -> FakeLeg:
        await asyncio.sleep(5 * LATENCY)
        return await super().open(*args, **kwargs)


class Records:
    """Stands for the CDR store."""

    def __init__(self) -> None:
        self.cdrs: list[Cdr] = []

    def submit(self, cdr: Cdr) -> None:
        self.cdrs.append(cdr)

    def counters(self) -> StoreCounters:
        return StoreCounters(0, len(self.cdrs), 0, 0)


class House:
    """The server and its phones; use it as a context."""

    def __init__(self, *overrides: str, seed: int = 1, config: Path = CONFIG) -> None:
        self.source = Source(config, ["storage.dir=/nonexistent", "sip.authentication=off", *overrides])
        self.config: Config = self.source.read()
        self.random = random.Random(seed)
        self.loop = VirtualLoop()
        self.ids = Ids(random.Random(seed).getrandbits)
        self.media = SlowMedia(default_seconds=0.4)
        self.records = Records()
        self.journal = MemoryJournal()
        self.parties: dict[Address, Party] = {}
        self.server = Server(self, SERVER)
        self.parties[SERVER] = self.server
        self.location = Location()
        self.dead: set[Address] = set()
        self._ports = iter(range(6000, 7000))
        self.engine: Engine
        self.drained: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._build())
        return self

    def __exit__(self, *_: object) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.1))
        self.loop.close()
        asyncio.set_event_loop(None)

    async def _build(self) -> None:
        listeners = {("UDP", SERVER): "127.0.0.1:5060"}
        distributor = build_distributor(self.config, self.loop.time(), self.random.random, epoch=START.timestamp())
        domains = Domains("ims.example", ["127.0.0.1:5060"])
        border = build_border(lambda: self.present, ids=self.ids, domains=domains, clock=self.loop.time)
        place = Place(
            lambda: self.present,
            ids=self.ids,
            domains=domains,
            location=self.location,
            listeners=listeners,
            route_key=b"the key of routes",
        )
        node = build_node(place, build_authenticator(lambda: self.present), border)
        self.server.node = node
        self.engine = Engine(
            self.config,
            node=node,
            border=border,
            flush=self.server.flush,
            media=self.media,
            distributor=distributor,
            records=self.records,
            metrics=Metrics(dict.fromkeys(self.config.queues, 15.0), Readings),
            trace=None,
            ids=self.ids,
            unix=self.unix,
            journal=self.journal,
        )
        node.on_location = self.engine.on_location
        self.engine.begin()
        self.control = Control(self.engine, self.source)

    @property
    def present(self) -> Config:
        """The configuration in force, also after a reload."""
        return self.engine.config if hasattr(self, "engine") else self.config

    def unix(self) -> float:
        """The time of day, in unix seconds."""
        return START.timestamp() + self.loop.time()

    def carry(self, source: Address, destination: Address, data: bytes) -> None:
        """Take a datagram through the network."""

        def arrive() -> None:
            receiver = self.parties.get(destination)
            if receiver is not None and not {source, destination} & self.dead:
                receiver.take(data, source)

        self.loop.call_later(LATENCY, arrive)

    def phone(self, user: str) -> Phone:
        """Put up a phone that is not registered."""
        return self.phone_at(user, next(self._ports))

    def phone_at(self, user: str, port: int) -> Phone:
        """Put up a phone at a port of 127.0.0.1."""
        phone = Phone(self, user, port)
        self.parties[phone.address] = phone
        return phone

    def agent(self, user: str) -> Phone:
        """Put up an agent's phone and bind it."""
        phone = self.phone(user)
        self.register(phone)
        return phone

    def register(self, phone: Phone) -> None:
        """Bind a phone."""
        contact = f"sip:{phone.user}@127.0.0.1:{phone.address[1]}"
        self.location.add(Binding(f"sip:{phone.user}@ims.example", contact))
        self.server.node.handle_timer()

    def unregister(self, user: str) -> None:
        """Let the binding of a phone go."""
        for binding in self.location.bindings(f"sip:{user}@ims.example"):
            self.location.remove(binding, Removal.DEREGISTERED)
        self.server.node.handle_timer()

    def unregister_now(self, user: str) -> None:
        """Do the same from within the event loop."""
        self.unregister(user)
        self.server.flush()

    def lose_media(self) -> None:
        """Let the media worker die; the next one is there at once."""
        for leg in list(self.media.legs.values()):
            leg.lose()

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def do(self, action: Callable[[], object]) -> None:
        """Have something happen within the event loop."""
        self.loop.call_soon(action)
        self.run(0.0)

    def press(self, keys: str) -> None:
        """Let the only caller press keys."""
        leg = self.caller_leg
        self.do(lambda: leg.press(keys))

    def press_if_answered(self, keys: str) -> None:
        """Let the caller press keys, from within the event loop, unless the call is over already."""
        for name, leg in list(self.media.legs.items()):
            if name.endswith("/caller"):
                leg.press(keys)

    def settle(self) -> None:
        """Let so much time pass that every timer of SIP has run out."""
        self.run(120.0)

    @property
    def caller_leg(self) -> FakeLeg:
        """The media leg of the only caller."""
        (leg,) = [leg for name, leg in self.media.legs.items() if name.endswith("/caller")]
        return leg

    @property
    def agent_states(self) -> dict[str, str]:
        """The state of each agent."""
        floor = self.engine.dispatcher.distributor.snapshot(self.loop.time())
        return {agent.id: str(agent.state) for agent in floor.agents}

    def assert_nothing_left(self) -> None:
        """Every invariant that must hold when all calls are over; legs that are kept open may be."""
        kept = {keeper.leg.name: agent for agent, keeper in self.engine.open_legs.keepers.items() if keeper.leg}
        endpoint = self.server.node.endpoint
        assert self.engine.calls == {}
        assert self.engine.dispatcher.offers == 0
        assert len(self.server.node.ua) == len(kept)
        assert endpoint.transactions() == {"client": 0, "server": 0}
        assert self.media.legs.keys() == kept.keys()
        assert all(keeper.leg.turn is None for keeper in self.engine.open_legs.keepers.values() if keeper.leg)
        assert self.server.node.proxy.active == set()
        dialogs = Counter[str]()
        for party in self.parties.values():
            if isinstance(party, Phone):
                dialogs[party.user] += len(party.ua)
        assert +dialogs == Counter(kept.values()), "a phone still has a call"
        assert asyncio.all_tasks(self.loop) == set()
        for queue in self.engine.dispatcher.distributor.snapshot(0).queues:
            assert queue.waiting == 0
            assert queue.offered == queue.answered + queue.abandoned + queue.overflowed + queue.released
