"""A whole node on the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ims_core.flow import Address, format_address
from ims_core.node import Node
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.location import Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.roles.ims import Ims
from ims_core.roles.pcscf import Pcscf
from ims_core.roles.relay import Relay
from ims_core.roles.scscf import Scscf
from ims_core.security.digest import DigestAuthenticator
from ims_core.transactions.endpoint import Endpoint
from ims_core.transactions.machines import TimerValues
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session_events import SessionEvent
from tests.kit.network import Network, seeded_ids
from tests.kit.phone import DOMAIN, PASSWORD, Phone

NODE_ADDRESS: Address = ("192.0.2.1", 5060)
SERVICE_NUMBER = "10001"


class Site:
    """A whole node at ``NODE_ADDRESS``, UDP and TCP, with the users ``users`` (all with ``PASSWORD``).

    With ``listeners`` and ``clock`` it is for real sockets, and not attached to the network.
    Calls to ``SERVICE_NUMBER`` come to ``on_call`` and stay in ``calls``; ``told`` is as a ``Phone`` has it.
    """

    def __init__(
        self,
        network: Network,
        *,
        users: Iterable[str] = ("alice", "bob", "carol"),
        open_to_all: bool = False,
        trunks: Iterable[str] = (),
        policy: ProxyPolicy = ProxyPolicy(),  # noqa: B008 - a value
        relay: Relay | None = None,
        timers: TimerValues | None = None,
        listeners: Mapping[tuple[str, Address], str] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.network = network
        self.address = NODE_ADDRESS
        here = [(transport, NODE_ADDRESS) for transport in ("UDP", "TCP")]
        advertised = listeners or dict.fromkeys(here, format_address(NODE_ADDRESS))
        ids = seeded_ids(f"node {network.seed}")
        self.domains = Domains(DOMAIN, [format_address(NODE_ADDRESS)])
        self.location = Location()
        known = frozenset(users)
        trusted = frozenset(trunks)
        authenticator = None
        if not open_to_all:
            passwords = dict.fromkeys(known, PASSWORD)
            authenticator = DigestAuthenticator(DOMAIN, passwords.get, b"a secret of the test")
        self.endpoint = Endpoint(clock=clock or network.clock, ids=ids, sent_by=advertised, timers=timers)
        router = Ims(
            registrar=Registrar(
                self.domains, self.location, ids, authenticator=authenticator, known_user=known.__contains__
            ),
            pcscf=Pcscf(
                self.domains,
                self.location,
                authenticator=authenticator,
                is_trunk=lambda _, flow: flow.remote[0] in trusted,
            ),
            scscf=Scscf(
                self.domains,
                self.location,
                is_service=SERVICE_NUMBER.__eq__,
                service="desk",
                known_user=known.__contains__,
            ),
            relay=relay,
        )
        self.node = Node(
            self.endpoint,
            domains=self.domains,
            location=self.location,
            router=router,
            advertised=advertised,
            secret=b"another secret of the test",
            policy=policy,
        )
        self.calls: list[IncomingCall] = []
        self.told: list[tuple[object, SessionEvent]] = []
        self.on_call: Callable[[IncomingCall], None] = lambda call: call.answer(b"answer of the desk")
        self.node.services["desk"] = self._take
        if listeners is None:
            network.attach(self.node, *here)

    def told_by(self, session: object) -> list[SessionEvent]:
        """What one session told."""
        return [event for teller, event in self.told if teller is session]

    def phone(self, name: str, *, transport: str = "UDP", register: bool = True) -> Phone:
        """A phone that uses the node, registered if wanted."""
        phone = Phone(self.network, name, transport=transport, proxy=NODE_ADDRESS)
        if register:
            phone.register()
            self.network.run(0.1)
            assert phone.statuses[-1] == 200
            phone.events.clear()
        return phone

    def assert_idle(self) -> None:
        """No transaction, session or forwarding is left; bindings may be."""
        assert self.endpoint.transactions() == {"client": 0, "server": 0}
        assert self.endpoint.next_deadline() is None
        assert len(self.node.ua) == 0
        assert not self.node.proxy.active

    def _take(self, call: IncomingCall) -> None:
        call.on_event = lambda event: self.told.append((call, event))
        self.calls.append(call)
        self.on_call(call)
