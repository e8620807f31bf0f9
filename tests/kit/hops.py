"""A whole IMS core on the network: P-CSCF, S-CSCF and application server, each a hop, with real SIP between them."""

from __future__ import annotations

from ims_core.flow import Address, Flow, format_address
from ims_core.messages.message import Request
from ims_core.node import Node
from ims_core.profiles.model import Criterion, ServiceProfile
from ims_core.proxy.forking import Target
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.identities import Identities
from ims_core.registrar.ims import ImsEnrolment
from ims_core.registrar.location import Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.registrar.registrations import Registrations
from ims_core.registrar.watching import serve_watching
from ims_core.roles.application import ApplicationServer
from ims_core.roles.emergency import Emergency, Plan, Told, Way
from ims_core.roles.first_hop import FirstHop
from ims_core.roles.flow_token import FlowTokens
from ims_core.roles.handsets import Handsets
from ims_core.roles.home_watch import HomeWatch
from ims_core.roles.icid import Icids
from ims_core.roles.icscf import Icscf
from ims_core.roles.isc import ServiceControl
from ims_core.roles.neighbours import Neighbours
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.pcscf_hop import PcscfHop
from ims_core.roles.routing import Router
from ims_core.roles.serving import ServingCscf
from ims_core.security.digest import DigestAuthenticator
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber
from ims_core.transactions.endpoint import Endpoint
from ims_core.ua.incoming import IncomingCall
from tests.kit.network import Network, seeded_ids
from tests.kit.phone import DOMAIN, PASSWORD, Phone

PCSCF: Address = ("192.0.2.1", 5060)
SCSCF: Address = ("192.0.2.2", 5060)
SERVER: Address = ("192.0.2.3", 5060)
TRUNK: Address = ("203.0.113.9", 5060)
HOTLINE = "10000"
USERS = ("alice", "bob", "mallory")


class Hops:
    """The three hops at ``PCSCF``, ``SCSCF`` and ``SERVER``, by UDP and TCP, for the subscribers ``USERS``.

    Each user has one more identity, ``USER.home``. ``criteria`` are those of everybody's service profile. Calls for
    ``HOTLINE`` come to ``calls`` and are answered; those for emergency services go to ``TRUNK``, where it is said that
    there is one. With ``watches`` the P-CSCF follows at home who is registered.
    """

    def __init__(self, *, seed: int | str = 0, watches: bool = False) -> None:
        self.network = Network(seed)
        self.watches = watches
        self.criteria: tuple[Criterion, ...] = ()
        self.calls: list[IncomingCall] = []
        self.has_trunk = False
        self.emergencies: list[Told] = []
        self.bindings = {address: Location() for address in (PCSCF, SCSCF, SERVER)}
        self.nodes: dict[Address, Node] = {}
        for start in (self.start_pcscf, self.start_scscf, self.start_server):
            start()

    # The hops: each can be started anew after ``stop`` ---------------------------------------------------------

    def stop(self, address: Address) -> None:
        """Make a hop vanish without a word."""
        self.network.detach(self.nodes.pop(address))

    def start_pcscf(self) -> None:
        """Start the P-CSCF; it knows no handset."""
        ids = seeded_ids("pcscf")
        self.bindings[PCSCF] = Location()
        self.handsets = Handsets(self.bindings[PCSCF])
        listeners = [(transport, PCSCF) for transport in ("UDP", "TCP")]
        self.first_hop = FirstHop(
            self.handsets,
            icids=Icids(b"a secret of the test", host=PCSCF[0], network=DOMAIN, number=ids.tag),
            trusts=Neighbours([SCSCF]).knows,
        )
        domains = Domains("pcscf.example", [format_address(PCSCF)])
        tokens = FlowTokens(b"another secret of the test", listeners)
        router = PcscfHop(
            self.first_hop,
            self.handsets,
            tokens=tokens,
            domains=domains,
            uri=f"sip:{format_address(PCSCF)}",
            home=f"sip:{format_address(SCSCF)}",
            network="visited.example",
            emergency=Emergency(
                plan=lambda: Plan(numbers=frozenset(("110", "119"))),
                serves=Domains(DOMAIN).serves,
                ways=self._ways,
                trusts=lambda flow: False,
                own_uri=lambda flow: "",
                on_step=self.emergencies.append,
            ),
        )
        node = self._place(PCSCF, router, domains, ProxyPolicy(extensions=self.first_hop.extensions))
        node.within = self.first_hop.within
        if self.watches:
            router.watch = HomeWatch(
                node.ua,
                self.handsets,
                uri=f"sip:{format_address(PCSCF)}",
                home=f"sip:{format_address(SCSCF)}",
                vector=self.first_hop.icids.fresh,
            )
        node.on_location = router.changed
        self.pcscf = router

    def start_scscf(self) -> None:
        """Start the S-CSCF; what is registered it knows still."""
        location = self.bindings[SCSCF]
        directory = Directory(
            [
                Subscriber(
                    f"{user}@{DOMAIN}",
                    Password(PASSWORD),
                    (tuple(public_identity(f"sip:{name}@{DOMAIN}", profile="all") for name in (user, f"{user}.home")),),
                )
                for user in USERS
            ],
            AuthenticationCentre(SequenceNumbers(lambda now: now + 1e9), bytes),
        )
        domains = Domains(DOMAIN, [format_address(SCSCF)])
        identities = Identities(directory, location)
        registrations = Registrations(identities, self.network.clock)
        passwords = dict.fromkeys(USERS, PASSWORD)
        enrolment = ImsEnrolment(
            domains, registrations, {Password: DigestAuthenticator(DOMAIN, passwords.get, b"a secret of the test")}
        )
        self.services = ServiceControl(
            lambda name: ServiceProfile(name, self.criteria),
            OriginalDialogs(f"sip:{format_address(SCSCF)}", b"a third secret of the test"),
            network=DOMAIN,
            in_process={},
            trusts=lambda uri: uri.address == SERVER,
            patience=3.0,
            is_ours=domains.serves,
        )
        scscf = ServingCscf(
            domains,
            identities,
            self.services,
            network=DOMAIN,
            is_trusted=Neighbours([PCSCF, SERVER]).knows,
            is_service=HOTLINE.__eq__,
            service=f"sip:{format_address(SERVER)}",
            watched="reg",
        )
        registrar = Registrar(
            domains,
            location,
            seeded_ids("scscf registrar"),
            enrolment=enrolment,
            service_route=[f"<sip:orig@{format_address(SCSCF)};lr>"],
        )
        node = self._place(SCSCF, Icscf(registrar, scscf), domains)
        node.on_location = registrations.note
        node.services["reg"] = lambda call: call.reject(405)
        self.notifier = serve_watching(node.ua, registrations)
        self.registrations = registrations

    def start_server(self) -> None:
        """Start the application server."""
        domains = Domains(f"as.{DOMAIN}", [format_address(SERVER)])
        router = ApplicationServer(
            domains,
            self.bindings[SERVER],
            seeded_ids("application server registrar"),
            home=Domains(DOMAIN),
            is_trusted=Neighbours([SCSCF]).knows,
            is_service=HOTLINE.__eq__,
            service="desk",
            scscf=f"sip:{format_address(SCSCF)}",
        )
        self._place(SERVER, router, domains).services["desk"] = self._take

    # Who uses them -------------------------------------------------------------------------------------------

    def handset(self, name: str, *, transport: str = "UDP", register: bool = True) -> Phone:
        """A handset of a user, registered if wanted."""
        phone = Phone(self.network, name, transport=transport, proxy=PCSCF)
        if register:
            self.register(phone)
        return phone

    def register(self, phone: Phone) -> None:
        """Register, or do it again."""
        phone.register()
        self.network.run(0.2)
        assert phone.statuses[-1] == 200
        phone.events.clear()

    def write(self, sender: Address, data: bytes, *, transport: str = "UDP", connection: int = 0) -> None:
        """Have the P-CSCF receive bytes that nobody's code has written."""
        self.nodes[PCSCF].receive(data, Flow(transport, PCSCF, sender, connection))
        self.network.run(0.2)

    def received(self, by: Address, *, of: Address) -> list[Request]:
        """The requests that one hop sent another."""
        messages = (p.message for p in self.network.sent if p.flow.local == of and p.flow.remote == by)
        return [message for message in messages if isinstance(message, Request)]

    def assert_idle(self) -> None:
        """Nothing is left at any hop but bindings, once all has run out."""
        for node in self.nodes.values():
            assert node.endpoint.transactions() == {"client": 0, "server": 0}
            assert not node.proxy.active
            assert len(node.ua) == 0
        assert len(self.first_hop.dialogs) == 0

    # Inside --------------------------------------------------------------------------------------------------

    def _place(self, address: Address, router: Router, domains: Domains, policy: ProxyPolicy | None = None) -> Node:
        listeners = {(transport, address): format_address(address) for transport in ("UDP", "TCP")}
        node = Node(
            Endpoint(clock=self.network.clock, ids=seeded_ids(f"hop {address} {self.network.now}"), sent_by=listeners),
            domains=domains,
            location=self.bindings[address],
            router=router,
            advertised=listeners,
            secret=f"secret of {address}".encode(),
            policy=policy or ProxyPolicy(),
        )
        self.nodes[address] = node
        self.network.attach(node, *listeners)
        return node

    def _ways(self, called: str, flow: Flow) -> list[Way]:
        return [Way("sos", Target(f"sip:{called}@{format_address(TRUNK)}"))] if self.has_trunk else []

    def _take(self, call: IncomingCall) -> None:
        self.calls.append(call)
        call.answer(b"answer of the desk")
