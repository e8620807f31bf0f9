"""Requests for SIPS URIs stay on secured ways (RFC 3261 section 26.2.2, RFC 5630)."""

import pytest

from ims_core.errors import TemporarilyUnavailable
from ims_core.flow import Flow, transport_parameter
from ims_core.ids import Ids
from ims_core.locate.courier import Courier
from ims_core.messages.message import Request
from ims_core.registrar.location import Binding, Domains, Location
from ims_core.roles.routing import Forward
from ims_core.roles.scscf import Scscf
from ims_core.transactions.endpoint import Endpoint
from ims_core.ua.useragent import UserAgent

rfc = pytest.mark.rfc
LOCAL = ("192.0.2.1", 5061)


def scscf(*contacts: str) -> Scscf:
    location = Location()
    for contact in contacts:
        location.add(Binding("sip:bob@ims.example", contact))
    return Scscf(
        Domains("ims.example"), location, is_service=lambda _: False, service="desk", known_user=lambda _: True
    )


@rfc("5630-5.3")
def test_a_sips_uri_rings_at_sips_contacts_only() -> None:
    both = scscf("sip:bob@192.0.2.7", "sips:bob@192.0.2.8")
    decision = both.route(Request("INVITE", "sips:bob@ims.example"))
    assert isinstance(decision, Forward)
    assert [target.uri for target in decision.targets] == ["sips:bob@192.0.2.8"]
    decision = both.route(Request("INVITE", "sip:bob@ims.example"))
    assert isinstance(decision, Forward)
    assert len(decision.targets) == 2


@rfc("5630-5.3")
def test_where_only_sip_is_registered_a_sips_uri_is_refused_with_the_reason() -> None:
    with pytest.raises(TemporarilyUnavailable) as refused:
        scscf("sip:bob@192.0.2.7;transport=tls").route(Request("INVITE", "sips:bob@ims.example"))
    assert refused.value.headers == (("Warning", '380 ims.example "SIPS Not Allowed"'),)


@rfc("3261-12.1.1", "3261-8.1.1.8")
@pytest.mark.parametrize(
    ("transport", "secure", "contact"),
    [
        ("UDP", False, "<sip:10000@sip.example:5061>"),
        ("TCP", False, "<sip:10000@sip.example:5061;transport=tcp>"),
        ("TLS", False, "<sip:10000@sip.example:5061;transport=tls>"),
        ("TLS", True, "<sips:10000@sip.example:5061>"),
        ("WS", True, "<sip:10000@sip.example:5061;transport=ws>"),
        ("WSS", False, "<sip:10000@sip.example:5061;transport=ws>"),
        ("WSS", True, "<sips:10000@sip.example:5061;transport=ws>"),
    ],
)
def test_our_contact_says_the_transport_and_is_secure_where_the_request_was(
    transport: str, secure: bool, contact: str
) -> None:
    here = {(transport, LOCAL): "sip.example:5061"}
    endpoint = Endpoint(clock=lambda: 0.0, ids=Ids(lambda _: 7), sent_by=here)
    agent = UserAgent(Courier(endpoint, listeners=here), way_to_peer=lambda _uri, flow: flow, advertised=here)
    flow = Flow(transport, LOCAL, ("192.0.2.9", 40_000), 1)
    assert agent.contact_for(flow, "10000", secure=secure) == contact


@rfc("7118-5.2.4")
def test_both_websockets_are_called_ws() -> None:
    assert transport_parameter("WS") == transport_parameter("WSS") == ";transport=ws"
