"""P-CSCF, S-CSCF and registrar in one process: handsets on either side of it, and what they learn of each other."""

from __future__ import annotations

from typing import Any

import pytest

from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request, Response, response_to
from ims_core.messages.parser import parse_message
from ims_core.node import Node
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.identities import Identities
from ims_core.registrar.location import Binding, Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.roles.first_hop import FirstHop
from ims_core.roles.handsets import Registered
from ims_core.roles.icid import Icids
from ims_core.roles.isc import ServiceControl
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.secagree import SecurityAgreement
from ims_core.roles.serving import ServingCscf
from ims_core.roles.together import Together
from ims_core.security.digest import DigestAuthenticator
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.transactions.endpoint import Endpoint, ResponseReceived
from tests.kit import DOMAIN, NODE_ADDRESS, Network, Party, request_bytes, seeded_ids
from tests.kit.isc import ALICE, ALICE_TEL, BOB, SUBSCRIBERS

rfc = pytest.mark.rfc
HERE = format_address(NODE_ADDRESS)
LIES = (
    ("P-Asserted-Identity", "<sip:boss@ims.example>"),
    ("P-Charging-Vector", "icid-value=lie"),
    ("P-Served-User", "<sip:boss@ims.example>"),
)


class Phone(Party):
    """A handset that a test answers for."""

    def __init__(self, lab: Lab, identity: str) -> None:
        super().__init__(lab.network, identity)
        self.identity = identity
        self.contact = f"sip:{identity.partition(':')[2].partition('@')[0]}@{format_address(self.address)}"

    @property
    def got(self) -> Request:
        return self.requests[-1].request

    @property
    def told(self) -> Response:
        return [event.response for event in self.events if isinstance(event, ResponseReceived)][-1]


class Lab:
    """The node, with handsets of alice and bob that have registered, and one of carol that has not."""

    def __init__(self) -> None:
        self.network = Network()
        ids = seeded_ids("together")
        self.location = location = Location()
        centre = AuthenticationCentre(SequenceNumbers(lambda now: now + 1e9), bytes)
        identities = Identities(Directory(SUBSCRIBERS, centre), location)
        domains = Domains(DOMAIN, [HERE])
        listeners = dict.fromkeys([("UDP", NODE_ADDRESS), ("TLS", NODE_ADDRESS)], HERE)
        self.hop = FirstHop(
            Registered(
                location,
                aors_of=lambda uri: filter(None, [identities.aor_of(uri)]),
                identities_of=lambda aor: [f"<{each.uri}>" for each in identities.usable(aor)],
            ),
            icids=Icids(b"secret", host="here", network="ims.example", number=ids.tag),
            trusts=lambda request, flow: False,
            agreement=SecurityAgreement(),
            leads_to_handset=lambda request: location.binding_at(request.target) is not None,
        )
        services = ServiceControl(
            lambda name: None,
            OriginalDialogs(f"sip:{HERE}", b"another secret", unix_time=lambda now: now),
            network="ims.example",
            in_process={},
            trusts=lambda uri: False,
            patience=1.0,
        )
        scscf = ServingCscf(
            domains,
            identities,
            services,
            network="ims.example",
            is_trusted=lambda request, flow: False,
            is_service=lambda number: False,
            service="",
            towards_user=self.hop.towards_user,
        )
        authenticator = DigestAuthenticator(DOMAIN, {"alice": "sesame"}.get, b"a third secret")
        self.node = Node(
            Endpoint(clock=self.network.clock, ids=ids, sent_by=listeners),
            domains=domains,
            location=location,
            router=Together(domains, Registrar(domains, location, ids, authenticator=authenticator), self.hop, scscf),
            advertised=listeners,
            secret=b"a fourth secret",
            policy=ProxyPolicy(extensions=self.hop.extensions),
        )
        self.node.within = self.hop.within
        self.network.attach(self.node, *listeners)
        self.alice, self.bob, self.carol = (Phone(self, who) for who in (ALICE, BOB, "sip:carol@ims.example"))
        for phone in (self.alice, self.bob):
            flow = Flow("UDP", NODE_ADDRESS, phone.address)
            location.add(Binding(phone.identity, phone.contact, flow, by_flow=True))
        while location.next_event() is not None:
            pass

    def ask(self, phone: Phone, method: str, uri: str, *headers: tuple[str, str], **fields: Any) -> None:
        usual = {"from_": f"<{phone.identity}>;tag=a", "to": f"<{uri}>", "contact": f"<{phone.contact}>"}
        request = parse_message(request_bytes(method, uri, headers=headers, **{**usual, **fields}))
        assert isinstance(request, Request)
        request.remove("Via")
        phone.endpoint.request(request, phone.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def answer(self, phone: Phone, status: int, *headers: tuple[str, str]) -> None:
        event = phone.requests[-1]
        response = response_to(event.request, status, to_tag="b", headers=headers)
        for value in event.request.whole_values("Record-Route"):
            response.add("Record-Route", value)
        response.add("Contact", f"<{phone.contact}>")
        phone.endpoint.respond(event.transaction, response)
        self.network.run(0.1)


def untold(message: Request | Response) -> bool:
    """Whether nothing of what only the network says is in a message, nor what a handset has made up."""
    names = ("P-Charging-Vector", "P-Served-User", "P-Access-Network-Info", "P-Visited-Network-ID")
    return not any(name in message for name in names) and b"boss" not in message.encode()


@rfc("TS24.229-5.2.6.3.3", "TS24.229-5.2.6.4.3", "TS24.229-5.2.6.4.4", "3325-5", "7315-4.2")
def test_handsets_learn_who_calls_and_who_answers_and_nothing_else() -> None:
    lab = Lab()
    access = ("P-Access-Network-Info", "IEEE-802.11")
    lab.ask(lab.alice, "INVITE", BOB, *LIES, access, ("P-Preferred-Identity", f"<{ALICE_TEL}>"))
    assert set(lab.bob.got.values("P-Asserted-Identity")) == {f"<{ALICE_TEL}>", f"<{ALICE}>"}
    assert lab.bob.got.values("P-Called-Party-ID") == [f"<{BOB}>"]
    assert untold(lab.bob.got)
    for status in (180, 200):
        lab.answer(lab.bob, status, *LIES, access)
        assert lab.alice.told.status == status
        assert f"<{BOB}>" in lab.alice.told.values("P-Asserted-Identity")
        assert untold(lab.alice.told)


@rfc("3325-7", "3323-5.3")
def test_who_wants_to_stay_unknown_does() -> None:
    lab = Lab()
    lab.ask(lab.alice, "INVITE", BOB, ("Privacy", "id;user"))
    assert "P-Asserted-Identity" not in lab.bob.got
    assert lab.bob.got.from_.uri.host == "anonymous.invalid"
    lab.answer(lab.bob, 200, ("Privacy", "id"))
    assert "P-Asserted-Identity" not in lab.alice.told
    assert lab.alice.told.require("From") == f"<{ALICE}>;tag=a"


@rfc("TS24.229-5.2.6.3.9", "TS24.229-5.2.6.4.9", "TS24.229-5.2.1")
def test_within_a_call_either_is_told_no_more() -> None:
    lab = Lab()
    lab.ask(lab.alice, "INVITE", BOB)
    invite = lab.bob.got
    lab.answer(lab.bob, 200)
    route = ("Route", invite.require("Record-Route"))
    dialog = {"call_id": invite.call_id, "cseq": 2}
    here, there = f"<{ALICE}>;tag=a", f"<{BOB}>;tag=b"
    for phone, other, ends in ((lab.alice, lab.bob, (here, there)), (lab.bob, lab.alice, (there, here))):
        from_, to = ends
        lab.ask(phone, "INFO", other.contact, route, *LIES, from_=from_, to=to, **dialog)
        assert other.got.method == "INFO"
        assert untold(other.got)
        lab.answer(other, 200, *LIES)
        assert phone.told.cseq.method == "INFO"
        assert untold(phone.told)
    lab.ask(lab.bob, "BYE", lab.alice.contact, route, from_=there, to=here, call_id=invite.call_id, cseq=3)
    lab.answer(lab.alice, 200)
    assert len(lab.hop.dialogs) == 0


@rfc("TS24.229-5.2.6.3.2A")
def test_who_is_not_registered_is_refused() -> None:
    lab = Lab()
    lab.ask(lab.carol, "INVITE", BOB)
    assert lab.carol.told.status == 403
    lab.ask(lab.carol, "MESSAGE", BOB, from_=f"<{ALICE}>;tag=a")
    assert lab.carol.told.status == 403, "whatever it says that it is"
    assert not lab.bob.requests


@rfc("3329-2.3.1", "TS24.229-5.2.2.4")
def test_the_security_of_the_first_hop_is_agreed_on_here_too() -> None:
    lab = Lab()
    asks = [("Require", "sec-agree"), ("Proxy-Require", "sec-agree"), ("Security-Client", "tls")]
    fields = {"to": "<sip:alice@ims.example>", "from_": "<sip:alice@ims.example>;tag=r"}
    lab.ask(lab.alice, "REGISTER", f"sip:{DOMAIN}", *asks, **fields)
    assert (lab.alice.told.status, lab.alice.told.values("Security-Server")) == (494, ["tls;q=0.9"])
    data = request_bytes("REGISTER", f"sip:{DOMAIN}", headers=asks, **fields)  # type: ignore[arg-type]
    lab.node.receive(data, Flow("TLS", NODE_ADDRESS, ("198.51.100.77", 5061), 1))
    ((flow, answer),) = lab.node.data_to_send()
    challenged = parse_message(answer)
    assert isinstance(challenged, Response)
    assert (flow.transport, challenged.status) == ("TLS", 401)
    assert challenged.values("Security-Server") == ["tls;q=0.9"]
