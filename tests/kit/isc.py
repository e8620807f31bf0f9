"""An S-CSCF between a P-CSCF and application servers, these written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ims_core.flow import Address, format_address
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import parse_uri
from ims_core.node import Node
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
    ProfilePart,
    ServicePointTrigger,
    ServiceProfile,
    SessionCase,
    Trigger,
)
from ims_core.profiles.model import Server as ProfileServer
from ims_core.registrar.identities import Identities
from ims_core.registrar.location import Binding, Domains, Location, Removal
from ims_core.registrar.registrar import Registrar
from ims_core.roles.icscf import Icscf
from ims_core.roles.isc import ServiceControl
from ims_core.roles.neighbours import Neighbours
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.serving import ServingCscf
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber
from ims_core.transactions.endpoint import Endpoint, Event, RequestFailed, RequestReceived, ResponseReceived
from ims_core.ua.incoming import IncomingCall
from tests.kit.messages import request_bytes
from tests.kit.network import Network, seeded_ids
from tests.kit.party import Party
from tests.kit.phone import DOMAIN, PASSWORD

SCSCF: Address = ("192.0.2.2", 5060)
HERE = format_address(SCSCF)
ALICE, ALICE_TEL = "sip:+8613800000001@ims.example", "tel:+8613800000001"
BOB, BOB_TEL, BOBBY = "sip:+8613800000002@ims.example", "tel:+8613800000002", "sip:bobby@ims.example"
AT_WORK = "sip:bob.work@ims.example"  # of another service profile
CAROL, BARRED, DESKS = "sip:carol@ims.example", "sip:barred@ims.example", "sip:desk-!.*!@ims.example"
HOTLINE = "10000"
ORIG = ("Route", f"<sip:orig@{HERE};lr>")
SERVER_ORIG = ("Route", f"<sip:{HERE};lr;orig>")
ICID = "icid-value=charged-1"
VECTOR = ("P-Charging-Vector", f'{ICID};orig-ioi="Type 1visited.example"')
Fields = Iterable[tuple[str, str]]


def subscriber(name: str, *identities: str, profile: str, barred: str = "", work: str = "") -> Subscriber:
    made = [public_identity(identity, barred=identity == barred, profile=profile) for identity in identities]
    if work:
        made.append(public_identity(work, profile="work"))
    return Subscriber(f"{name}@{DOMAIN}", Password(PASSWORD), (tuple(made),))


SUBSCRIBERS = (
    subscriber("alice", ALICE, ALICE_TEL, profile="alice"),
    subscriber("bob", BARRED, BOB, BOB_TEL, BOBBY, profile="bob", barred=BARRED, work=AT_WORK),
    subscriber("carol", CAROL, profile="carol"),
    subscriber("office", "sip:office@ims.example", DESKS, profile="desks"),
)


def criterion(
    priority: int,
    server: Server | str,
    case: SessionCase | None = None,
    *,
    handling: DefaultHandling = DefaultHandling.SESSION_CONTINUED,
    part: ProfilePart | None = None,
) -> Criterion:
    """A criterion for every request of a session case, or of any."""
    uri = server if isinstance(server, str) else server.uri
    trigger = None if case is None else Trigger(Form.CONJUNCTIVE, ((ServicePointTrigger(Case(case)),),))
    return Criterion(priority, ProfileServer(uri, handling), trigger, part)


class Core:
    """An S-CSCF at ``SCSCF``, on UDP, with ``edge``, its P-CSCF and all handsets at once, and application servers.

    ``profiles`` has the criteria by the name of a subscriber; it may be filled later. Servers are trusted unless they
    are ``strangers``. Calls of service numbers, and for the server "sip:us@ims.example", come to ``calls``.
    """

    def __init__(self, *, patience: float = 3.0, **options: Any) -> None:
        self.network = Network()
        self.profiles: dict[str, tuple[Criterion, ...]] = {}
        self.strangers: set[str] = set()
        self.patience = patience
        self.edge = Party(self.network, "edge", answers=(200,))
        self.outside = Party(self.network, "outside", answers=(200,))
        self.options = options
        self.location = Location()
        self.calls: list[IncomingCall] = []
        self.start()
        for identity in (ALICE, BOB):
            self.register(identity)

    def start(self, secret: bytes = b"a secret of the test", **options: Any) -> None:
        """Make the node, or make it anew after ``network.detach(core.node)``."""
        ids = seeded_ids("core")
        centre = AuthenticationCentre(SequenceNumbers(lambda now: now + 1e9), bytes)
        identities = Identities(Directory(SUBSCRIBERS, centre), self.location)
        domains = Domains(DOMAIN, [HERE])
        listener = {("UDP", SCSCF): HERE}
        self.services = ServiceControl(
            self._profile_of,
            OriginalDialogs(f"sip:{HERE}", secret),
            network="home.example",
            in_process={"sip:us@ims.example": "desk"},
            trusts=lambda uri: uri.host not in self.strangers,
            patience=self.patience,
            is_ours=domains.serves,
        )
        neighbours = Neighbours(hosts=lambda host: host not in self.strangers and host != self.outside.address[0])
        settings = {
            "is_service": HOTLINE.__eq__,
            "service": "sip:us@ims.example",
            "is_trusted": neighbours.knows,
            **self.options,
        }
        self.scscf = ServingCscf(domains, identities, self.services, network="home.example", **{**settings, **options})
        self.node = Node(
            Endpoint(clock=self.network.clock, ids=ids, sent_by=listener),
            domains=domains,
            location=self.location,
            router=Icscf(Registrar(domains, self.location, ids, known_user=lambda _: False), self.scscf),
            advertised=listener,
            secret=b"another secret of the test",
        )
        self.node.services["desk"] = self._take
        self.network.attach(self.node, *listener)

    def server(self, does: Callable[[Server, RequestReceived], None], *, trusted: bool = True) -> Server:
        """An application server that ``does`` that with each request."""
        made = Server(self.network, f"server {len(self.network.sent)}", does)
        if not trusted:
            self.strangers.add(made.address[0])
        return made

    def register(self, identity: str, *, q: float | None = None, path: bool = True, contact: str = "") -> None:
        """Bind a contact of the edge to an address-of-record."""
        contact = contact or f"sip:{identity.partition(':')[2].partition('@')[0]}@{format_address(self.edge.address)}"
        hops = (f"<sip:token@{format_address(self.edge.address)};lr>",) if path else ()
        self.location.add(Binding(identity, contact, q=q, path=hops))
        self._settle()

    def deregister(self, identity: str) -> None:
        for binding in self.location.bindings(identity):
            self.location.remove(binding, Removal.DEREGISTERED)
        self._settle()

    def send(
        self, uri: str, *headers: tuple[str, str], method: str = "MESSAGE", by: Party | None = None, **fields: Any
    ) -> None:
        """Send a request, by the edge, as alice, unless told otherwise; see ``request_bytes``."""
        party = by or self.edge
        request = parse_message(request_bytes(method, uri, headers=headers, **fields))
        assert isinstance(request, Request)
        request.remove("Via")
        self.last = party.endpoint.request(request, party.flow(SCSCF), None)
        self.network.run(0.5)

    def call(self, uri: str, *headers: tuple[str, str], method: str = "MESSAGE", **fields: Any) -> None:
        """Send a request of alice's along her Service-Route."""
        asserted = ("P-Asserted-Identity", f'"Alice" <{ALICE}>')
        self.send(uri, ORIG, asserted, *headers, method=method, **fields)

    @property
    def delivered(self) -> list[Request]:
        """What came to handsets."""
        return [event.request for event in self.edge.requests]

    def responses(self, by: Party | None = None) -> list[Response]:
        """What the sender of requests got, provisional responses too."""
        return [event.response for event in (by or self.edge).events if isinstance(event, ResponseReceived)]

    @property
    def final(self) -> list[int | str]:
        """What the edge got for its requests, each status once in a row."""
        found: list[int | str] = []
        for status in self.edge.statuses:
            if (isinstance(status, str) or status >= 200) and found[-1:] != [status]:
                found.append(status)
        return found

    def finish(self) -> None:
        """Let everything run out."""
        self.network.run()
        assert self.node.endpoint.transactions() == {"client": 0, "server": 0}
        assert not self.node.proxy.active

    def _profile_of(self, name: str) -> ServiceProfile | None:
        criteria = self.profiles.get(name)
        return None if criteria is None else ServiceProfile(name, criteria)

    def _take(self, call: IncomingCall) -> None:
        self.calls.append(call)
        call.answer(b"answer of the desk")

    def _settle(self) -> None:
        while self.location.next_event() is not None:
            pass


class Relayed(NamedTuple):
    """A request that a server has sent on: as the B2BUA that it is, or as a proxy."""

    received: RequestReceived
    is_b2bua: bool


class Server(Party):
    """An application server; ``seen`` are the requests that it got."""

    def __init__(self, network: Network, name: str, does: Callable[[Server, RequestReceived], None]) -> None:
        super().__init__(network, name)
        self.does = does
        self.react = self._react
        self.seen: list[Request] = []

    @property
    def uri(self) -> str:
        return f"sip:{format_address(self.address)}"

    def send_back(
        self,
        event: RequestReceived,
        *,
        uri: str = "",
        b2bua: bool = False,
        without: Iterable[str] = (),
        route: str | None = None,
    ) -> None:
        """Send a request back to the S-CSCF: along its Route, or another, with another Request-URI if there is one."""
        copy = event.request.copy()
        copy.pop_value("Route")
        for name in (*without, *(("Via", "Record-Route") if b2bua else ())):
            copy.remove(name)
        if uri:
            copy.uri = uri
        copy.set("Max-Forwards", str(int(copy.require("Max-Forwards")) - 1))
        if b2bua:
            copy.set("Call-ID", self.endpoint.ids.call_id())
            copy.set("From", f"{copy.require('From').partition(';tag=')[0]};tag={self.endpoint.ids.tag()}")
        if route is not None:
            copy.set("Route", route)
        values = copy.values("Route")
        way = parse_name_addr(values[0]).uri if values else parse_uri(f"sip:{HERE}")
        self.endpoint.request(copy, self.flow(way.address), Relayed(event, b2bua))
        if copy.method == "INVITE":
            self.endpoint.reply(event.transaction, 100)
        else:  # RFC 4320 section 4.1
            self.network.call_later(3.5, lambda: self._try(event))

    def _try(self, event: RequestReceived) -> None:
        if not event.transaction.is_answered:
            self.endpoint.reply(event.transaction, 100)

    def _react(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            if event.request.method != "ACK":
                self.seen.append(event.request.copy())
            self.does(self, event)
        elif isinstance(event, ResponseReceived) and isinstance(event.transaction.user, Relayed):
            received, is_b2bua = event.transaction.user
            response = event.response.copy()
            response.pop_value("Via")
            if is_b2bua:
                self.endpoint.reply(received.transaction, response.status, headers=_charging(response))
            else:
                self.endpoint.respond(received.transaction, response)
        elif isinstance(event, RequestFailed) and isinstance(event.transaction.user, Relayed):
            self.endpoint.reply(event.transaction.user.received.transaction, 408)


def _charging(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple(("P-Charging-Vector", value) for value in response.whole_values("P-Charging-Vector"))


# What servers do


def returns(server: Server, event: RequestReceived) -> None:
    """Be a proxy that changes nothing."""
    server.send_back(event)


def calls_anew(server: Server, event: RequestReceived) -> None:
    """Be a B2BUA."""
    server.send_back(event, b2bua=True)


def answers(status: int) -> Callable[[Server, RequestReceived], None]:
    """Answer so."""
    return lambda server, event: server.endpoint.reply(event.transaction, status)


def diverts(uri: str, *, b2bua: bool = False) -> Callable[[Server, RequestReceived], None]:
    """Send on to another user."""
    return lambda server, event: server.send_back(event, uri=uri, b2bua=b2bua)


def says_nothing(server: Server, event: RequestReceived) -> None:
    """Be there, and do nothing."""


def lets_go(server: Server, event: RequestReceived) -> None:
    """Send back without the Route that led back: as a new request."""
    server.send_back(event, route=f"<sip:{HERE};lr>")
