"""What the configuration says of proxying, in the element that the server runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from acd.config import Config, load
from acd.sip import Place, build_node
from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.node import Node
from ims_core.registrar.location import Binding, Domains, Location
from tests.kit import request_bytes, response_bytes

DEMO = Path(__file__).parents[2] / "configs" / "demo.toml"
HERE = ("127.0.0.1", 5060)
BOB, TRUNK, ALICE = ("10.1.1.9", 5060), ("192.0.2.10", 5060), ("198.51.100.77", 5060)

pytestmark = pytest.mark.asyncio


def node_of(config: Config, q: float | None = None, *, route_key: bytes = b"the key of routes") -> Node:
    """The element, with two contacts of bob inside, the second of the preference ``q``."""
    location = Location()
    listeners = {("UDP", HERE): "127.0.0.1:5060"}
    place = Place(
        lambda: config,
        ids=Ids(random.Random(1).getrandbits),
        domains=Domains("ims.example", ["127.0.0.1:5060"]),
        location=location,
        listeners=listeners,
        route_key=route_key,
    )
    node = build_node(place, authenticator=None)
    location.add(Binding("sip:bob@ims.example", "sip:bob@10.1.1.9"))
    if q is not None:
        location.add(Binding("sip:bob@ims.example", "sip:bob@10.1.1.10", q=q))
    return node


def configured(*settings: str) -> Config:
    return load(DEMO, ["sip.authentication=off", *settings])


def sent(node: Node, data: bytes, remote: tuple[str, int]) -> list[tuple[Flow, bytes]]:
    """What the node sends when it gets that, 100 left out."""
    node.receive(data, Flow("UDP", HERE, remote))
    return [(flow, out) for flow, out in node.data_to_send() if not out.startswith(b"SIP/2.0 100")]


@pytest.mark.rfc("TS24.229-5.10.4")
@pytest.mark.parametrize("hides", [True, False])
async def test_trunks_see_nothing_behind_this_host(hides: bool) -> None:
    node = node_of(configured('trunks.carrier.sources=["192.0.2.0/24"]', f"sip.hide_topology={str(hides).lower()}"))
    ((flow, data),) = sent(node, request_bytes(uri="sip:bob@ims.example"), TRUNK)
    assert flow.remote == BOB
    invite = parse_message(data)
    assert isinstance(invite, Request)
    inner = [("Record-Route", route) for route in ("<sip:10.1.1.1;lr>", *invite.values("Record-Route"))]
    answer = response_bytes(invite, 200, headers=[("Contact", "<sip:bob@10.1.1.9>"), *inner])
    ((flow, data),) = sent(node, answer, BOB)
    assert data.startswith(b"SIP/2.0 200")
    assert (b"10.1.1." not in data) is hides
    ok = parse_message(data)
    contact = ok.contact
    assert contact is not None
    routes = [("Route", route) for route in reversed(ok.values("Record-Route"))]
    bye = request_bytes("BYE", contact.uri_text, branch="z9hG4bKbye", cseq=2, to=ok.require("To"), headers=routes)
    ((flow, data),) = sent(node, bye, TRUNK)
    assert data.startswith(b"BYE sip:bob@10.1.1.9 SIP/2.0\r\n")
    assert flow.remote == ("10.1.1.1", 5060)


@pytest.mark.rfc("3261-16.6")
async def test_phones_of_a_lower_q_ring_after_fork_seconds() -> None:
    node = node_of(configured("sip.fork_seconds=7.5"), q=0.5)
    ((flow, _),) = sent(node, request_bytes(uri="sip:bob@ims.example"), ALICE)
    assert flow.remote == BOB
    assert node.proxy.policy.group_seconds == 7.5


@pytest.mark.rfc("3261-16.5")
async def test_other_domains_are_reached_as_configured() -> None:
    config = configured('sip.relay={ "lab.example" = "sip:192.0.2.7:5062" }', 'trunks.carrier.sources=["192.0.2.10"]')
    node = node_of(config)
    ((flow, data),) = sent(node, request_bytes(uri="sip:x@lab.example", call_id="1"), ALICE)
    assert flow.remote == ("192.0.2.7", 5062)
    assert data.startswith(b"INVITE sip:x@lab.example SIP/2.0\r\n")
    assert b"Route: <sip:192.0.2.7:5062;lr>\r\n" in data
    for number, (uri, remote) in enumerate((("sip:x@lab.example", TRUNK), ("sip:x@elsewhere.example", ALICE))):
        ((_, data),) = sent(node, request_bytes(uri=uri, call_id=str(number), branch=f"z9hG4bK{number}"), remote)
        assert data.startswith(b"SIP/2.0 403 ")


@pytest.mark.rfc("3261-16.12", "3261-16.6")
@pytest.mark.parametrize("hides", [True, False])
async def test_a_proxied_dialog_outlives_a_restart_with_the_same_key(hides: bool) -> None:
    config = configured('trunks.carrier.sources=["192.0.2.0/24"]', f"sip.hide_topology={str(hides).lower()}")
    before = node_of(config)
    ((_, data),) = sent(before, request_bytes(uri="sip:bob@ims.example"), TRUNK)
    invite = parse_message(data)
    assert isinstance(invite, Request)
    recorded = [("Record-Route", route) for route in invite.values("Record-Route")]
    answer = response_bytes(invite, 200, headers=[("Contact", "<sip:bob@10.1.1.9>"), *recorded])
    ((_, data),) = sent(before, answer, BOB)
    ok = parse_message(data)
    assert ok.contact is not None
    routes = [("Route", route) for route in reversed(ok.values("Record-Route"))]
    bye = request_bytes("BYE", ok.contact.uri_text, branch="z9hG4bKbye", cseq=2, to=ok.require("To"), headers=routes)

    ((flow, data),) = sent(node_of(config), bye, TRUNK)
    assert data.startswith(b"BYE sip:bob@10.1.1.9 SIP/2.0\r\n")
    assert flow.remote == BOB
    ((_, data),) = sent(node_of(config, route_key=b"another"), bye, TRUNK)
    assert data.startswith(b"SIP/2.0 403 ")
