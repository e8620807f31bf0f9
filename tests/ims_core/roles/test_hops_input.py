"""Whatever a handset says, three hops put together take it or refuse it, and believe nothing that it may not say."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.flow import Address, Flow, format_address
from ims_core.messages.message import Response
from ims_core.profiles.model import SessionCase
from ims_core.transactions.endpoint import Event, RequestReceived
from tests.ims_core.roles.test_together import Lab
from tests.kit import NODE_ADDRESS
from tests.kit.edge import HOME, Edge
from tests.kit.edge import PCSCF as EDGE
from tests.kit.hops import HOTLINE, PCSCF, SCSCF, SERVER, TRUNK, Hops
from tests.kit.isc import ALICE, ALICE_TEL, BOB, criterion
from tests.kit.messages import request_bytes, response_bytes
from tests.kit.party import Party
from tests.kit.phone import DOMAIN

rfc = pytest.mark.rfc
NAMES = (
    "Route", "Record-Route", "Path", "Service-Route", "P-Asserted-Identity", "P-Preferred-Identity", "P-Served-User",
    "P-Charging-Vector", "P-Access-Network-Info", "P-Associated-URI", "P-Called-Party-ID", "P-Profile-Key", "Privacy",
    "Remote-Party-ID", "History-Info", "Security-Client", "Security-Verify", "Require", "Proxy-Require", "Supported",
    "Contact", "Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Max-Breadth", "Expires", "Event",
    "Authorization", "WWW-Authenticate", "Flow-Timer", "Session-Expires", "Timestamp", "Reason", "Subject",
)  # fmt: skip
PIECES = (
    "sip:alice@ims.example", "sip:bob@ims.example", "tel:+8613800000001", "<sip:bob@ims.example>", "mailto:x@y",
    f"<sip:{format_address(PCSCF)};lr>", f"<sip:orig@{format_address(SCSCF)};lr>", "<", ">", ";", ",", '"', "=", " ",
    f"<sip:{format_address(SCSCF)};lr;orig>", f"<sip:{format_address(SERVER)};lr>", "\r\n ", "\t", "\\", "%", "\0",
    "\xff", "[::1", "lr", "orig", "odi.", "id", "user", "critical", "session", "icid-value=", "np", "3GPP-UTRAN", "-1",
    "99999999999999999999", "0", "Digest ", "username=", "integrity-protected=yes", "tls", "sec-agree", "path", "keep",
    "100rel", ";tag=x", ";branch=z9hG4bKx", "SIP/2.0/UDP ", "198.51.100.1", ":5060", "1 INVITE", "reg", "!.*!",
)  # fmt: skip
TARGETS = (
    f"sip:bob@{DOMAIN}", f"sip:{HOTLINE}@{DOMAIN}", f"sip:bob.home@{DOMAIN}", f"sip:mallory@{DOMAIN}",
    f"sip:{DOMAIN}", "sip:110@ims.example", "urn:service:sos", "tel:110", "tel:+861", f"sip:{format_address(SCSCF)}",
    f"sip:{format_address(SERVER)}", "sip:x@elsewhere.example",
)  # fmt: skip
values = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.sampled_from(PIECES)
header_fields = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=6)
statuses_answered = st.sampled_from((100, 180, 183, 200, 202, 302, 401, 407, 408, 430, 486, 500, 503, 603))
METHODS = (
    "INVITE", "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "OPTIONS", "BYE", "UPDATE", "ACK", "CANCEL", "FROB",
)  # fmt: skip


class Said(NamedTuple):
    """A request that a handset makes up."""

    method: str
    uri: str
    sender: str
    to: str
    headers: list[tuple[str, str]]

    def written(self, address: Address, number: int) -> bytes:
        via = f"SIP/2.0/UDP {format_address(address)};branch=z9hG4bK{number}"
        return request_bytes(
            self.method,
            self.uri,
            via=via,
            from_=f"{self.sender};tag=m",
            to=f"<{self.uri}>{self.to}",
            call_id=f"call-{number}",
            headers=self.headers,
        )


requests = st.builds(
    Said,
    st.sampled_from(METHODS),
    st.sampled_from(TARGETS),
    st.sampled_from(("<sip:mallory@ims.example>", "<sip:alice@ims.example>", "sip:alice.home@ims.example")),
    st.sampled_from(("", "", ";tag=there")),
    header_fields,
)


@rfc("3325-5", "TS24.229-5.2.6.3", "TS24.229-4.4")
@settings(max_examples=200)
@given(said=st.lists(requests, min_size=1, max_size=3), has_trunk=st.booleans())
def test_a_handset_is_nobody_but_who_it_registered_as(said: list[Said], has_trunk: bool) -> None:
    hops = Hops()
    hops.has_trunk = has_trunk
    hops.handset("alice")
    hops.handset("bob")
    mallory = hops.handset("mallory")
    hops.network.sent.clear()
    for number, each in enumerate(said):
        hops.write(mallory.address, each.written(mallory.address, number))
    hops.network.run(400.0)
    own = {"<sip:mallory@ims.example>", "<sip:mallory.home@ims.example>"}
    for packet in hops.network.sent:
        if packet.flow.local in {PCSCF, SCSCF} and packet.flow.remote != mallory.address:
            message = packet.message
            assert isinstance(message, Response) or set(message.values("P-Asserted-Identity")) <= own
    for request in hops.received(SCSCF, of=PCSCF):
        assert "p-served-user" not in request.keys
        assert all(vector.count("icid-value=") == 1 for vector in request.whole_values("P-Charging-Vector"))
    assert {call.identity for call in hops.calls} <= {"mallory", "mallory.home"}
    hops.assert_idle()


@rfc("TS24.229-5.2.6.3")
@settings(max_examples=100)
@given(said=st.lists(requests, min_size=1, max_size=3))
def test_a_stranger_reaches_nothing_but_emergency_services(said: list[Said]) -> None:
    hops = Hops()
    hops.has_trunk = True
    hops.handset("alice")
    hops.handset("bob")
    hops.network.sent.clear()
    stranger = hops.network.new_address()
    for number, each in enumerate(said):
        hops.write(stranger, each.written(stranger, number))
    hops.network.run(100.0)
    assert {packet.flow.remote for packet in hops.network.sent if packet.flow.local == PCSCF} <= {stranger, TRUNK}
    for request in hops.received(TRUNK, of=PCSCF):
        assert "110@" in request.uri or request.uri.startswith("sip:urn:service:sos")
        assert "p-asserted-identity" not in request.keys
    hops.assert_idle()


@rfc("3325-5", "TS24.229-5.2.6.4")
@settings(max_examples=200)
@given(
    statuses=st.lists(statuses_answered, max_size=3),
    headers=st.lists(header_fields, min_size=3, max_size=3),
    at_server=st.booleans(),
    method=st.sampled_from(("INVITE", "MESSAGE", "SUBSCRIBE")),
)
def test_whatever_is_answered_no_hop_fails_and_no_handset_answers_as_somebody_else(
    statuses: list[int], headers: list[list[tuple[str, str]]], at_server: bool, method: str
) -> None:
    hops = Hops()
    alice, bob, server = hops.handset("alice"), hops.handset("bob"), Party(hops.network, "server")
    party, hop = (server, SCSCF) if at_server else (bob, PCSCF)
    if at_server:
        hops.criteria = (criterion(1, f"sip:{format_address(server.address)}", SessionCase.ORIGINATING),)

    def answer(event: Event) -> None:
        if isinstance(event, RequestReceived) and event.request.method == method:
            for status, more in zip(statuses, headers, strict=False):
                data = response_bytes(event.request, status, headers=more)
                hops.nodes[hop].receive(data, Flow("UDP", hop, party.address))

    party.react = answer
    hops.network.sent.clear()
    via = f"SIP/2.0/UDP {format_address(alice.address)};branch=z9hG4bK1"
    sent = request_bytes(method, f"sip:bob@{DOMAIN}", via=via, from_="<sip:alice@ims.example>;tag=a")
    hops.write(alice.address, sent)
    hops.network.run(400.0)
    told = [p.message for p in hops.network.sent if p.flow.local == PCSCF and p.flow.remote == alice.address]
    assert told, "she is told something"
    for response in told:
        assert isinstance(response, Response)
        if not at_server:
            assert set(response.values("P-Asserted-Identity")) <= {
                "<sip:bob@ims.example>",
                "<sip:bob.home@ims.example>",
            }
    for node in hops.nodes.values():
        assert node.endpoint.transactions() == {"client": 0, "server": 0}
        assert not node.proxy.active


@rfc("3325-5", "TS24.229-5.2.6.3", "TS24.229-5.2.6.4")
@settings(max_examples=200)
@given(
    said=st.lists(requests, min_size=1, max_size=3),
    statuses=st.lists(statuses_answered, max_size=3),
    headers=st.lists(header_fields, min_size=3, max_size=3),
)
def test_all_roles_in_one_process_believe_no_more_than_hops(
    said: list[Said], statuses: list[int], headers: list[list[tuple[str, str]]]
) -> None:
    lab = Lab()

    def answer(event: Event) -> None:
        if isinstance(event, RequestReceived) and event.request.method != "ACK":
            for status, more in zip(statuses, headers, strict=False):
                lab.node.receive(
                    response_bytes(event.request, status, headers=more), Flow("UDP", NODE_ADDRESS, lab.bob.address)
                )

    lab.bob.react = answer
    for number, each in enumerate(said):
        uri = each.uri.replace(f"bob@{DOMAIN}", BOB.partition(":")[2])
        lab.node.receive(
            each._replace(uri=uri).written(lab.alice.address, number), Flow("UDP", NODE_ADDRESS, lab.alice.address)
        )
        lab.network.run(0.2)
    lab.network.run(400.0)
    for packet in lab.network.sent:
        if packet.flow.local == NODE_ADDRESS and packet.flow.remote != lab.alice.address:
            assert set(packet.message.values("P-Asserted-Identity")) <= {f"<{ALICE}>", f"<{ALICE_TEL}>"}
    assert lab.node.endpoint.transactions() == {"client": 0, "server": 0}
    assert not lab.node.proxy.active


@rfc("TS24.229-5.2.2.1")
@settings(max_examples=200)
@given(
    statuses=st.lists(st.sampled_from((100, 200, 401, 403, 407, 423, 503)), min_size=1, max_size=2),
    headers=st.lists(header_fields, min_size=2, max_size=2),
    contact=st.sampled_from(("", "*")),
)
def test_a_p_cscf_outlives_whatever_its_core_answers_to_a_register(
    statuses: list[int], headers: list[list[tuple[str, str]]], contact: str
) -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask("REGISTER", f"sip:{HOME}", contact=contact or handset.contact, headers=[("Expires", "0")])
    request = edge.at_core()
    for status, more in zip(statuses, headers, strict=False):
        flow = Flow("UDP", EDGE, edge.core.address)
        edge.node.receive(response_bytes(request, status, headers=more), flow)
    edge.network.run(100.0)
    assert edge.node.endpoint.transactions() == {"client": 0, "server": 0}
    assert len(edge.location) <= 1
