"""Alice, Bob and elements of ours between them, and the figure of what was sent as a text of the IETF has it.

A figure is made of lines as "INVITE: Alice > P1 > P2": a message and those it passes. What one element sends at one
time to several others may leave it in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise

from ims_core.flow import Address, Flow, format_address
from ims_core.messages.message import Request, response_to
from ims_core.node import Node
from ims_core.proxy.forking import Target
from ims_core.registrar.location import Binding, Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.roles.pcscf import Pcscf
from ims_core.roles.routing import Decision, Forward
from ims_core.security.credentials import Credentials
from ims_core.security.digest import Challenge, DigestAuthenticator
from ims_core.transactions.endpoint import Endpoint, RequestReceived
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import SessionEvent
from tests.kit.network import Network, seeded_ids
from tests.kit.phone import PASSWORD, Phone

BOB = "sip:bob@biloxi.example"


class Server:
    """A registrar, and a proxy: what it asks Alice for credentials, if anything, and where it sends requests.

    Those for ``domain`` go to whom it has registered, others to ``next_hop``. With ``moved_to`` it redirects instead.
    """

    def __init__(
        self, lab: Lab, name: str, domain: str, *, next_hop: str = "", asks: bool = False, moved_to: str = ""
    ) -> None:
        network = lab.network
        self.address = lab.named(name, network.new_address())
        self.uri = f"sip:{format_address(self.address)}"
        listener = {("UDP", self.address): format_address(self.address)}
        self.domains, self.location = Domains(domain, listener.values()), Location()
        self.domain, self.next_hop, self.moved_to, self.records = domain, next_hop, moved_to, True
        authenticator = DigestAuthenticator(domain, {"alice": PASSWORD, "bob": PASSWORD}.get, b"a secret of the test")
        ids = seeded_ids(name)
        self.registrar = Registrar(self.domains, self.location, ids, authenticator=authenticator)
        self.door = Pcscf(
            self.domains, self.location, authenticator=authenticator if asks else None, is_trunk=lambda *_: False
        )
        self.node = Node(
            Endpoint(clock=network.clock, ids=ids, sent_by=listener),
            domains=self.domains,
            location=self.location,
            router=self,
            advertised=listener,
            secret=b"another secret of the test",
        )
        network.attach(self, ("UDP", self.address))

    def knows(self, phone: Phone) -> None:
        self.location.add(Binding(f"sip:{phone.name}@{self.domain}", phone.uri))
        while self.location.next_event() is not None:
            pass

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        if request.method == "REGISTER":
            return self.registrar.handle(request, flow, now)
        self.door.route(request, flow, now)
        if self.moved_to:
            return response_to(request, 302, to_tag="moved", headers=(("Contact", f"<{self.moved_to}>"),))
        if self.next_hop:
            return Forward((Target(request.uri, route=(f"<{self.next_hop};lr>",)),))
        return Forward(tuple(Target(binding.contact) for binding in self.location.bindings(request.uri)))

    # What the network calls

    def receive(self, data: bytes, flow: Flow) -> None:
        self.node.receive(data, flow)

    def connection_failed(self, flow: Flow) -> None:
        self.node.connection_failed(flow)

    def next_deadline(self) -> float | None:
        return self.node.next_deadline()

    def handle_timer(self) -> None:
        self.node.handle_timer()

    def data_to_send(self) -> list[tuple[Flow, bytes]]:
        """What the node sends; without ``records``, not asking to stay in the path."""
        sent = self.node.data_to_send()
        return sent if self.records else [(flow, _unrecorded(data)) for flow, data in sent]


class Handset(Phone):
    """A phone that answers an INVITE by nothing but what ``on_call`` says."""

    def _take_request(self, event: RequestReceived) -> None:
        request = event.request
        if request.method == "INVITE" and not request.to.tag:
            call = self.ua.incoming(event.transaction, request, event.flow, request.from_.uri.user)
            call.on_event = self.listen(call)
            self.incoming.append(call)
            self.on_call(call)
        else:
            super()._take_request(event)


class Lab:
    """Alice, Bob and what stands between them; ``figure`` is what was sent since it was last asked for."""

    def __init__(self) -> None:
        self.network = Network()
        self.names: dict[Address, str] = {}
        self.alice = Handset(self.network, "alice")
        self.bob = Handset(self.network, "bob")
        self.named("Alice", self.alice.address)
        self.named("Bob", self.bob.address)
        self.servers: list[Server] = []
        self.bob.on_call = self._ring
        self._seen = 0

    def named(self, name: str, address: Address) -> Address:
        self.names[address] = name
        return address

    def server(self, name: str, domain: str = "biloxi.example", **options: object) -> Server:
        server = Server(self, name, domain, **options)  # type: ignore[arg-type]
        self.servers.append(server)
        return server

    def two_proxies(self, *, first_asks: bool = False, second_asks: bool = False) -> None:
        """P1, Alice's outbound proxy, and P2, which knows Bob."""
        second = self.server("P2", asks=second_asks)
        second.knows(self.bob)
        first = self.server("P1", "atlanta.example", next_hop=second.uri, asks=first_asks)
        self.alice.proxy = self.alice.flow(first.address)

    def call(
        self,
        *,
        sdp: bytes = b"offer",
        target: str = BOB,
        route: str = "",
        by: Server | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> OutgoingCall:
        """Alice calls, with credentials for who asks."""
        alice = self.alice
        hop = alice.flow(by.address) if by is not None else alice.proxy or alice.flow(self.bob.address)
        self.heard: list[SessionEvent] = []
        call = alice.ua.outgoing(hop, self.heard.append, credentials=Credentials("alice", PASSWORD))
        headers = (*headers, ("Route", route)) if route else headers
        call.start(target, caller="<sip:alice@atlanta.example>", callee=f"<{target}>", sdp=sdp, headers=headers)
        self.network.run(1)
        return call

    @property
    def called(self) -> IncomingCall:
        return self.bob.incoming[-1]

    def answer(self, sdp: bytes = b"answer") -> None:
        self.called.answer(sdp)
        self.network.run(1)

    def bob_hangs_up(self) -> None:
        self.called.hang_up()
        self.network.run(1)

    def assert_figure(self, *figure: str) -> None:
        """Compare what was sent with the figure, and see that nothing is left."""
        sent = self.network.sent[self._seen :]
        self._seen = len(self.network.sent)
        told = [
            (self.names[packet.flow.local], self.names[packet.flow.remote], packet.summary.partition(" ")[0])
            for packet in sent
        ]
        assert _arranged(told) == _arranged(list(_hops(figure)))
        self.network.run()
        assert len(self.network.sent) == self._seen
        for phone in (self.alice, self.bob):
            phone.assert_idle()
        for server in self.servers:
            assert server.node.endpoint.transactions() == {"client": 0, "server": 0}
            assert not server.node.proxy.active

    def _ring(self, call: IncomingCall) -> None:
        call.progress()


Hop = tuple[str, str, str]


def _hops(figure: tuple[str, ...]) -> Iterator[Hop]:
    for line in figure:
        what, _, path = line.partition(": ")
        passed = path.split(" > ")
        for sender, receiver in pairwise(passed):
            yield sender, receiver, what


def _arranged(hops: list[Hop]) -> list[str]:
    """The order in which one element sends to several others at one time does not count."""
    runs = [sorted(run, key=lambda hop: hop[1]) for _, run in groupby(hops, key=lambda hop: hop[0])]
    return [f"{what}: {sender} > {receiver}" for run in runs for sender, receiver, what in run]


def _unrecorded(data: bytes) -> bytes:
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(b"Record-Route:"))
