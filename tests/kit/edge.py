"""A P-CSCF between handsets and a core, both written by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ims_core.flow import Address, format_address
from ims_core.messages.message import Request, Response, response_to
from ims_core.messages.parser import parse_message
from ims_core.node import Node
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.location import Domains, Location, LocationEvent
from ims_core.roles.emergency import Emergency
from ims_core.roles.first_hop import FirstHop
from ims_core.roles.flow_token import FlowTokens
from ims_core.roles.handsets import Handsets
from ims_core.roles.icid import Icids
from ims_core.roles.neighbours import Neighbours
from ims_core.roles.pcscf_hop import PcscfHop
from ims_core.roles.secagree import SecurityAgreement
from ims_core.transactions.endpoint import Endpoint, ResponseReceived
from tests.kit.messages import request_bytes
from tests.kit.network import Network, seeded_ids
from tests.kit.party import Party

PCSCF: Address = ("192.0.2.1", 5060)
HOME = "home.example"
NUMBER = "+8613800000001"
PUBLIC = f"sip:{NUMBER}@{HOME}"
IDENTITIES = (f"<{PUBLIC}>", f"<tel:{NUMBER}>")
Fields = Iterable[tuple[str, str]]


class Handset(Party):
    """A handset with a contact of its own, on UDP, TCP or TLS."""

    def __init__(self, network: Network, name: str, transport: str = "UDP") -> None:
        super().__init__(network, name)
        if transport == "TLS":
            self.advertised[transport, self.address] = format_address(self.address)
            network.attach(self, (transport, self.address))
        self.transport = transport
        self.cseq = 0

    @property
    def contact(self) -> str:
        tail = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"<sip:{self.name}@{format_address(self.address)}{tail}>"

    def ask(self, method: str, uri: str, *, headers: Fields = (), **fields: Any) -> None:
        """Send a request to the P-CSCF."""
        self.cseq += 1
        usual = {"from_": f"<{PUBLIC}>;tag={self.name}", "cseq": self.cseq, "contact": self.contact}
        request = parse_message(request_bytes(method, uri, **{**usual, **fields}, headers=headers))
        assert isinstance(request, Request)
        request.remove("Via")
        self.endpoint.request(request, self.flow(PCSCF, self.transport), None)
        self.network.run(0.1)

    def responses(self) -> list[Response]:
        return [event.response for event in self.events if isinstance(event, ResponseReceived)]

    @property
    def last(self) -> Response:
        return self.responses()[-1]


class Edge:
    """The P-CSCF at ``PCSCF``, with a core that the test answers for: ``core`` is I-CSCF, S-CSCF and all."""

    def __init__(
        self,
        *,
        agreement: SecurityAgreement | None = None,
        refuses_routes: bool = False,
        emergency: Emergency | None = None,
        most: int = 100,
    ) -> None:
        self.network = Network()
        self.core = Party(self.network, "core")
        here = [(transport, PCSCF) for transport in ("UDP", "TCP", "TLS")]
        advertised = dict.fromkeys(here, format_address(PCSCF))
        ids = seeded_ids("edge")
        self.location = Location()
        self.handsets = Handsets(self.location)
        self.neighbours = Neighbours([self.core.address])
        self.first_hop = FirstHop(
            self.handsets,
            icids=Icids(b"secret", host="192.0.2.1", network="visited.example", number=ids.tag),
            trusts=self.neighbours.knows,
            agreement=agreement,
            leads_to_handset=lambda request: self.location.binding_at(request.target) is not None,
        )
        self.tokens = FlowTokens(b"another secret", here)
        domains = Domains("pcscf.example", [format_address(PCSCF)])
        self.hop = PcscfHop(
            self.first_hop,
            self.handsets,
            tokens=self.tokens,
            domains=domains,
            uri=f"sip:{format_address(PCSCF)}",
            home=f"sip:{format_address(self.core.address)}",
            network="visited.example",
            refuses_routes=refuses_routes,
            emergency=emergency,
            most=most,
        )
        self.node = Node(
            Endpoint(clock=self.network.clock, ids=ids, sent_by=advertised),
            domains=domains,
            location=self.location,
            router=self.hop,
            advertised=advertised,
            secret=b"a third secret",
            policy=ProxyPolicy(extensions=self.first_hop.extensions),
        )
        self.node.within = self.first_hop.within
        self.node.on_location = self._changed
        self.network.attach(self.node, *here)

    def _changed(self, event: LocationEvent) -> None:
        self.handsets.changed(event)

    @property
    def service_route(self) -> str:
        """What the core tells registered handsets."""
        return f"<sip:orig@{format_address(self.core.address)};lr>"

    def handset(self, name: str = "ue1", transport: str = "UDP", identities: Iterable[str] = IDENTITIES) -> Handset:
        """A handset that has registered, its history forgotten."""
        handset = Handset(self.network, name, transport)
        self.register(handset, identities=identities)
        handset.events.clear()
        self.core.events.clear()
        return handset

    def register(
        self,
        handset: Handset,
        *,
        identities: Iterable[str] = IDENTITIES,
        expires: int = 3600,
        headers: Fields = (),
        contact: str = "",
        call_id: str = "",
    ) -> None:
        """Have a handset register as the first of ``identities``, and the core agree."""
        identities = tuple(identities)
        contact = contact or f"{handset.contact};expires={expires}"
        to = {"to": identities[0], "from_": f"{identities[0]};tag=r", "contact": contact}
        handset.ask("REGISTER", f"sip:{HOME}", headers=headers, call_id=call_id or f"register-{handset.name}", **to)
        granted = [("Contact", contact)] if expires else []
        told = [("P-Associated-URI", ", ".join(identities)), ("Service-Route", self.service_route)]
        self.answer(200, headers=(*granted, *told))

    def at_core(self) -> Request:
        """What the core got last."""
        return self.core.requests[-1].request

    def answer(self, status: int, *, headers: Fields = (), by: Party | None = None) -> None:
        """Have the core, or a handset, answer what it got last."""
        party = by or self.core
        event = party.requests[-1]
        response = response_to(event.request, status, to_tag=f"of-{party.name}")
        for name in ("Record-Route", "Path"):
            for value in event.request.whole_values(name):
                response.add(name, value)
        for name, value in headers:
            response.add(name, value)
        party.endpoint.respond(event.transaction, response)
        self.network.run(0.1)

    def call(self, handset: Handset, *, headers: Fields = (), method: str = "INVITE", **fields: Any) -> Request:
        """Have the core send a request to a handset, by its Path; returns what the handset got, if anything."""
        binding = next(binding for binding in self.location if binding.uri.user == handset.name)
        assert binding.flow is not None
        path = f"<sip:{self.tokens.make(binding.flow)}@{format_address(PCSCF)};lr>"
        self.send(method, binding.contact, headers=(("Route", path), *headers), **fields)
        return handset.requests[-1].request

    def send(self, method: str, uri: str, *, headers: Fields = (), **fields: Any) -> None:
        """Have the core send a request to the P-CSCF."""
        usual = {"from_": "<sip:bob@home.example>;tag=bob", "contact": f"<sip:bob@{format_address(self.core.address)}>"}
        request = parse_message(request_bytes(method, uri, **{**usual, **fields}, headers=headers))
        assert isinstance(request, Request)
        request.remove("Via")
        self.core.endpoint.request(request, self.core.flow(PCSCF), None)
        self.network.run(0.1)

    def told_core(self) -> Response:
        """The last response that the core got."""
        return [event.response for event in self.core.events if isinstance(event, ResponseReceived)][-1]
