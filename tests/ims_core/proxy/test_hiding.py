"""Topology hiding: no address of the inside in any byte that goes out, and every dialog works all the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.flow import Address, Flow, format_address
from ims_core.ids import Ids
from ims_core.messages.message import Request
from ims_core.messages.uri import parse_uri
from ims_core.node import Node
from ims_core.proxy.forking import Target
from ims_core.proxy.hiding import Seal, TopologyHiding
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.location import Domains, Location
from ims_core.roles.routing import Decision, Forward
from ims_core.transactions.endpoint import Endpoint
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session import Session
from ims_core.ua.session_events import Acknowledged, Answered, Ended, InfoReceived, Ringing
from tests.kit import Network, Packet, Phone, response_bytes, seeded_ids

INSIDE, EDGE, BORDER = ("10.1.1.7", 5060), ("10.1.1.1", 5060), ("192.0.2.1", 5060)
OUTER = ("192.0.2.200", 5060)


def is_outside(flow: Flow) -> bool:
    return not flow.remote[0].startswith("10.")


class Hop:
    """A proxy of the tests that sends every request outside dialogs to the next hop for its user."""

    def __init__(self, network: Network, name: str, listeners: list[Address], policy: ProxyPolicy) -> None:
        self.listeners = listeners
        told = {("UDP", local): format_address(local) for local in listeners}
        ids: Ids = seeded_ids(name)
        self.ways: dict[str, str] = {}
        self.node = Node(
            Endpoint(clock=network.clock, ids=ids, sent_by=told),
            domains=Domains(f"{name}.example", list(told.values())),
            location=Location(),
            router=self,
            advertised=told,
            secret=name.encode(),
            policy=policy,
        )
        network.attach(self.node, *told)

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        host, _, port = self.ways[request.target.user].partition(":")
        local = next((local for local in self.listeners if local[0][:3] == host[:3]), self.listeners[0])
        return Forward((Target(request.uri, Flow("UDP", local, (host, int(port)))),))


class House:
    """alice inside, behind a proxy inside and the border; bob outside, behind a proxy of his own."""

    def __init__(self, *, two_sided: bool = True, hides: bool = True) -> None:
        self.network = network = Network(seed=3)
        hiding = TopologyHiding(b"secret", is_outside) if hides else None
        sides = [EDGE, BORDER] if two_sided else [BORDER]
        self.inner = Hop(network, "inner", [INSIDE], ProxyPolicy())
        self.border = Hop(network, "border", sides, ProxyPolicy(hiding=hiding))
        self.outer = Hop(network, "outer", [OUTER], ProxyPolicy())
        self.alice = Phone(network, "alice", address=("10.1.1.50", 5060), proxy=INSIDE)
        self.bob = Phone(network, "bob", proxy=OUTER)
        edge = format_address(EDGE if two_sided else BORDER)
        self.inner.ways = {"bob": edge, "alice": format_address(self.alice.address)}
        self.border.ways = {"bob": format_address(OUTER), "alice": format_address(INSIDE)}
        self.outer.ways = {"bob": format_address(self.bob.address), "alice": format_address(BORDER)}

    @property
    def outward(self) -> list[Packet]:
        """What left the inside."""
        return [packet for packet in self.network.sent if packet.flow.local == BORDER and is_outside(packet.flow)]

    def assert_nothing_told(self) -> None:
        assert self.outward
        for packet in self.outward:
            assert b"10.1.1." not in packet.data, packet.data.decode()

    def finish(self) -> None:
        self.network.run()
        for phone in (self.alice, self.bob):
            phone.assert_idle()
        for hop in (self.inner, self.border, self.outer):
            assert not hop.node.proxy.active
            assert hop.node.endpoint.transactions() == {"client": 0, "server": 0}


@pytest.mark.rfc("TS24.229-5.10.4", "3261-16.6", "3261-16.7")
@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("caller_inside", [True, False])
@pytest.mark.parametrize("ender_inside", [True, False])
def test_a_call_across_the_border_tells_nothing_of_the_inside(
    two_sided: bool, caller_inside: bool, ender_inside: bool
) -> None:
    house = House(two_sided=two_sided)
    caller, callee = (house.alice, house.bob) if caller_inside else (house.bob, house.alice)

    def ring(call: IncomingCall) -> None:
        call.progress()
        house.network.call_later(1, lambda: call.answer(b"answer"))

    callee.on_call = ring
    leg = caller.call(f"sip:{callee.name}@anywhere.example", sdp=b"offer")
    house.network.run(5)
    answered = callee.incoming[0]
    assert [type(event) for event in caller.told_by(leg)] == [Ringing, Answered]
    assert [type(event) for event in callee.told_by(answered)] == [Acknowledged]
    for phone, session in ((caller, leg), (callee, answered)):
        dialog = session.dialog
        assert dialog is not None
        for method in ("INFO", "INVITE", "INFO"):
            request = dialog.request(method)
            if method == "INVITE":
                request.add("Contact", f"<{phone.uri}>")
            phone.endpoint.request(request, phone.flow(parse_uri(dialog.next_hop).address), None)
            house.network.run(1)
            if method == "INVITE":
                (answered if phone is caller else leg).accept_offer(b"again")
                house.network.run(1)
            assert phone.statuses[-1] == 200, method
    sessions: dict[Phone, Session] = {caller: leg, callee: answered}
    ender, other = (house.alice, house.bob) if ender_inside else (house.bob, house.alice)
    sessions[ender].hang_up()
    house.network.run(1)
    assert other.told_by(sessions[other])[-1] == Ended(by_peer=True, reason="BYE")
    assert sum(isinstance(event, InfoReceived) for _, event in callee.told) == 2
    house.assert_nothing_told()
    house.finish()


def test_without_hiding_it_would_be_told() -> None:
    house = House(hides=False)
    house.alice.call("sip:bob@anywhere.example", sdp=b"offer")
    house.network.run(1)
    assert any(b"10.1.1." in packet.data for packet in house.outward)


@pytest.mark.rfc("TS24.229-5.10.4")
@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_a_refusal_from_inside_tells_nothing(status: int) -> None:
    house = House()
    house.alice.on_call = lambda call: None
    house.bob.request("MESSAGE", "sip:alice@anywhere.example")
    leg = house.bob.call("sip:alice@anywhere.example", sdp=b"offer")
    house.network.run(0.5)
    transaction = house.alice.requests[-1].transaction
    headers = (("Contact", "<sip:other@10.1.1.51>;q=0.5"), ("Warning", '399 10.1.1.50:5060 "busy, you see"'))
    house.alice.endpoint.reply(transaction, status, headers=headers)
    house.network.run(1)
    assert house.bob.statuses[-1] == status
    response = next(packet.message for packet in house.outward if packet.summary == f"{status} INVITE")
    assert response.values("Warning") == ['399 hidden "busy, you see"']
    (contact,) = response.values("Contact")
    assert contact.startswith("<sip:")
    assert contact.endswith("@192.0.2.1:5060>;q=0.5")
    house.assert_nothing_told()
    assert house.bob.told_by(leg)


@pytest.mark.rfc("TS24.229-5.10.4", "3261-16.10")
def test_a_caller_inside_gives_up_without_a_trace() -> None:
    house = House()
    house.bob.on_call = lambda call: call.progress()
    leg = house.alice.call("sip:bob@anywhere.example", sdp=b"offer")
    house.network.run(1)
    leg.hang_up()
    house.network.run(1)
    assert house.bob.told[-1][1] == Ended(by_peer=True, reason="CANCEL")
    house.assert_nothing_told()
    house.finish()


@pytest.mark.rfc("TS24.229-5.10.4", "3261-16.4")
@pytest.mark.parametrize("what", ["contact", "route", "other call"])
def test_what_was_not_sealed_for_the_dialog_opens_nothing(what: str) -> None:
    house = House()
    leg = house.alice.call("sip:bob@anywhere.example", sdp=b"offer")
    house.network.run(1)
    dialog = house.bob.incoming[0].dialog
    assert dialog is not None
    request = dialog.request("INFO")
    if what == "contact":
        request.uri = request.uri.replace(request.uri[8:12], "AAAA")
    elif what == "route":
        (outer, ours) = request.values("Route")
        head, _, tail = ours.partition("@")
        request.set("Route", outer)
        request.add("Route", f"{head[:-6]}AAAAAA@{tail}")
    else:
        request.set("Call-ID", "another")
    before = len([packet for packet in house.network.sent if packet.flow.remote in {INSIDE, house.alice.address}])
    house.bob.endpoint.request(request, house.bob.flow(BORDER), None)
    house.network.run(40)
    after = len([packet for packet in house.network.sent if packet.flow.remote in {INSIDE, house.alice.address}])
    assert house.bob.statuses[-1] != 200
    assert after == before
    leg.hang_up()


@pytest.mark.rfc("5297-2")
@given(text=st.text(max_size=400), call_id=st.text(max_size=40))
def test_what_is_sealed_opens_for_its_purpose_and_dialog_only(text: str, call_id: str) -> None:
    seal = Seal(b"secret")
    sealed = seal.close(text, b"route", call_id) if _encodable(text + call_id) else None
    if sealed is None:
        return
    assert sealed == seal.close(text, b"route", call_id), "a Contact stays the same in a re-INVITE"
    assert seal.open(sealed, b"route", call_id) == text
    assert seal.open(sealed, b"contact", call_id) is None
    assert seal.open(sealed, b"route", call_id + "x") is None
    assert Seal(b"other").open(sealed, b"route", call_id) is None
    assert len(sealed) <= 4 * len(text.encode()) / 3 + 23
    assert sealed.replace("-", "").replace("_", "").isalnum()


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize("garbage", ["", "A", "AAAA", "====", "\udcff", "ü" * 20, "a" * 5000])
def test_garbage_opens_nothing(garbage: str) -> None:
    assert Seal(b"secret").open(garbage, b"route", "call") is None


@pytest.mark.parametrize(
    "contact", ["", "*", "<sip:", "<sip:a@10.1.1.50>, sip:b@10.1.1.51;q=0.1", '"x" <sips:a@10.1.1.50>']
)
def test_whatever_contact_comes_from_inside_is_not_told(contact: str) -> None:
    house = House()
    house.bob.request("OPTIONS", "sip:alice@anywhere.example")
    house.alice.react = lambda _: None
    house.network.run(0.1)
    asked = house.alice.requests[-1].request
    routes = [("Record-Route", "<sip:10.1.1.9;lr>"), ("Record-Route", "<sip:10.1.1.7;lr>")]
    data = response_bytes(asked, 200, headers=[("Contact", contact), *routes])
    house.alice.endpoint.send(house.alice.flow(INSIDE), data)
    house.network.run(1)
    assert house.bob.statuses[-1] == 200
    house.assert_nothing_told()
