"""The Route of requests within dialogs: strict routers on both sides, maddr, sides of ours, and targets of dialogs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ims_core.errors import BadRequest
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import Uri
from ims_core.proxy.record_route import RecordRoute
from ims_core.proxy.routes import (
    MOST_OWN_ROUTES,
    lead_on,
    routes_beyond,
    strip_maddr,
    take_own_routes,
    undo_strict_routing,
)
from tests.kit import NODE_ADDRESS, Network, Party, Phone, Site, request_bytes

NODE = format_address(NODE_ADDRESS)


def request(uri: str, *routes: str, method: str = "BYE") -> Request:
    parsed = parse_message(request_bytes(method, uri, headers=[("Route", route) for route in routes]))
    assert isinstance(parsed, Request)
    return parsed


def is_node(uri: Uri) -> bool:
    return uri.host == NODE_ADDRESS[0]


# The rules by themselves ------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-16.4", "3261-16.12.1.2")
@pytest.mark.parametrize(
    ("uri", "routes", "then_uri", "then_routes"),
    [
        ("sip:t@192.0.2.1", ["<sip:bob@203.0.113.9>"], "sip:bob@203.0.113.9", []),
        (
            "sip:t@192.0.2.1;lr",
            ["<sip:p3.example;lr>, <sip:bob@203.0.113.9;x=1>;hop=2"],
            "sip:bob@203.0.113.9;x=1",
            ["<sip:p3.example;lr>"],
        ),
        ("sip:bob@203.0.113.9", ["<sip:t@192.0.2.1;lr>"], "sip:bob@203.0.113.9", ["<sip:t@192.0.2.1;lr>"]),
        ("sip:t@192.0.2.1", [], "sip:t@192.0.2.1", []),
    ],
)
def test_what_a_strict_router_did_is_undone(uri: str, routes: list[str], then_uri: str, then_routes: list[str]) -> None:
    found = request(uri, *routes)
    undo_strict_routing(found, is_node)
    assert found.uri == then_uri
    assert found.values("Route") == then_routes


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.2")
@pytest.mark.parametrize(
    ("routes", "hop", "then_uri", "then_routes"),
    [
        ([], "sip:bob@203.0.113.9", "sip:bob@203.0.113.9", []),
        (
            ["<sip:p2.example;lr>", "<sip:p3.example>"],
            "sip:p2.example;lr",
            "sip:bob@203.0.113.9",
            ["<sip:p2.example;lr>", "<sip:p3.example>"],
        ),
        (
            ["<sip:p2.example>", "<sip:p3.example;lr>"],
            "sip:p2.example",
            "sip:p2.example",
            ["<sip:p3.example;lr>", "<sip:bob@203.0.113.9>"],
        ),
        (["<sip:p2.example;x=lr>"], "sip:p2.example;x=lr", "sip:p2.example;x=lr", ["<sip:bob@203.0.113.9>"]),
    ],
)
def test_a_strict_router_gets_its_own_uri(routes: list[str], hop: str, then_uri: str, then_routes: list[str]) -> None:
    found = request("sip:bob@203.0.113.9", *routes)
    assert lead_on(found) == hop
    assert found.uri == then_uri
    assert found.values("Route") == then_routes


@pytest.mark.rfc("3261-16.4")
@pytest.mark.parametrize(
    ("uri", "then"),
    [
        ("sip:bob@there.example:5060;maddr=192.0.2.1;transport=udp;user=phone", "sip:bob@there.example;user=phone"),
        ("sip:bob@there.example;maddr=192.0.2.1", "sip:bob@there.example"),
        ("sip:bob@there.example;maddr=203.0.113.1", "sip:bob@there.example;maddr=203.0.113.1"),
        ("sip:maddr@there.example", "sip:maddr@there.example"),
        ("sip:b;maddr=x@there.example", "sip:b;maddr=x@there.example"),
    ],
)
def test_a_maddr_that_leads_here_is_taken_off(uri: str, then: str) -> None:
    found = request(uri)
    strip_maddr(found, is_node)
    assert found.uri == then


@pytest.mark.rfc("3261-16.4")
def test_our_own_routes_are_taken_off_and_no_end_of_them_is_refused() -> None:
    ours = "<sip:t@192.0.2.1;lr>"
    found = request("sip:bob@x.example", *[ours] * (MOST_OWN_ROUTES - 1), "<sip:p2.example;lr>", ours)
    assert [route.user for route in take_own_routes(found, is_node)] == ["t"] * (MOST_OWN_ROUTES - 1)
    assert found.values("Route") == ["<sip:p2.example;lr>", ours]
    with pytest.raises(BadRequest):
        list(take_own_routes(request("sip:bob@x.example", *[ours] * MOST_OWN_ROUTES), is_node))


@pytest.mark.rfc("3261-16.4")
def test_what_lies_beyond_our_own_routes() -> None:
    ours, theirs = "<sip:t@192.0.2.1;lr>", ("<sip:p2.example;lr>", "<sip:192.0.2.1;lr>")
    assert routes_beyond(request("sip:bob@x.example", ours, ours, *theirs), is_node) == theirs
    assert routes_beyond(request("sip:bob@x.example", ours), is_node) == ()
    assert routes_beyond(request("sip:bob@x.example"), is_node) == ()


UDP4 = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.1", 5060))
SIDES = {
    "udp": UDP4,
    "other listener": UDP4._replace(local=("192.0.2.2", 5060)),
    "ipv6": Flow("UDP", ("2001:db8::1", 5060), ("2001:db8::9", 5060)),
    "tcp": UDP4._replace(transport="TCP"),
    "tls": UDP4._replace(transport="TLS", local=("192.0.2.1", 5061)),
    "wss": UDP4._replace(transport="WSS", local=("192.0.2.1", 5063)),
}
TOLD = {
    "udp": "192.0.2.1:5060;lr",
    "other listener": "192.0.2.2:5060;lr",
    "ipv6": "[2001:db8::1]:5060;lr",
    "tcp": "192.0.2.1:5060;transport=tcp;lr",
    "tls": "192.0.2.1:5061;transport=tls;lr",
    "wss": "192.0.2.1:5063;transport=ws;lr",
}


@pytest.mark.rfc("5658-3.3", "3261-16.6")
@pytest.mark.parametrize("came", SIDES)
@pytest.mark.parametrize("leaves", SIDES)
def test_each_side_is_told_the_listener_that_it_can_reach(came: str, leaves: str) -> None:
    listeners = {(side.transport, side.local): format_address(side.local) for side in SIDES.values()}
    copy = request("sip:bob@203.0.113.9", method="INVITE")
    RecordRoute(listeners, b"secret").write(copy, "00ff", SIDES[came], SIDES[leaves])
    expected = [TOLD[came]] if came == leaves else [TOLD[leaves], TOLD[came]]
    assert copy.values("Record-Route") == [f"<sip:00ff@{told}>" for told in expected]


@pytest.mark.rfc("3261-16.6", "5630-4")
def test_a_secure_request_is_recorded_with_a_secure_uri() -> None:
    tls = SIDES["tls"]
    copy = request("sips:bob@203.0.113.9", method="INVITE")
    RecordRoute({("TLS", tls.local): "192.0.2.1:5061"}, b"secret").write(copy, "00ff", tls, tls)
    assert copy.values("Record-Route") == ["<sips:00ff@192.0.2.1:5061;lr>"]


# On the network ---------------------------------------------------------------------------------------------------


class Talk:
    """alice and bob, registered, in a call through the node; ``within`` sends what alice's proxy would."""

    def __init__(self) -> None:
        self.network = Network()
        self.site = Site(self.network)
        self.alice, self.bob = self.site.phone("alice"), self.site.phone("bob")
        self.leg = self.alice.call("sip:bob@ims.example", sdp=b"offer")
        self.network.run(1)

    def within(self, method: str, change: Callable[[Request], None], phone: Phone | None = None) -> None:
        phone = phone or self.alice
        dialog = self.leg.dialog if phone is self.alice else self.bob.incoming[0].dialog
        assert dialog is not None
        sent = dialog.request(method)
        change(sent)
        phone.endpoint.request(sent, phone.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def finish(self) -> None:
        self.leg.hang_up()
        self.network.run()
        for idle in (self.site, self.alice, self.bob):
            idle.assert_idle()


def as_strict_router(sent: Request) -> None:
    """Write the request as a strict router before us does: our URI in the Request-URI, the target last."""
    (ours,) = sent.values("Route")
    sent.set("Route", f"<{sent.uri}>")
    sent.uri = ours.strip("<>")


@pytest.mark.rfc("3261-16.4", "3261-16.12.1.2")
@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
def test_a_request_by_a_strict_router_reaches_the_target(method: str) -> None:
    talk = Talk()
    talk.within(method, as_strict_router)
    (forwarded,) = talk.network.packets(method, by=NODE_ADDRESS)
    assert isinstance(forwarded.message, Request)
    assert forwarded.message.uri == talk.bob.uri
    assert forwarded.message.values("Route") == []
    talk.finish()


@pytest.mark.rfc("3261-16.4")
def test_a_strict_router_cannot_forge_our_uri() -> None:
    talk = Talk()

    def forge(sent: Request) -> None:
        as_strict_router(sent)
        sent.uri = f"sip:0011223344556677@{NODE};lr"

    talk.within("INFO", forge)
    assert talk.alice.statuses[-1] == 403
    assert not talk.network.packets("INFO", by=NODE_ADDRESS)
    talk.finish()


@pytest.mark.rfc("3261-16.6", "3261-16.12.1.2")
def test_a_strict_router_after_us_finds_itself_in_the_request_uri() -> None:
    talk = Talk()
    old = Party(talk.network, "strict", answers=(200,))
    uri = f"sip:{format_address(old.address)}"
    talk.within("INFO", lambda sent: sent.add("Route", f"<{uri}>"))
    (event,) = old.requests
    assert event.request.uri == uri
    assert event.request.values("Route") == [f"<{talk.bob.uri}>"]
    talk.finish()


@pytest.mark.rfc("3261-16.6", "3261-12.2")
def test_a_request_that_refreshes_the_target_is_recorded_again() -> None:
    talk = Talk()
    talk.within("INVITE", lambda sent: sent.add("Contact", f"<{talk.alice.uri}>"))
    again = talk.bob.requests[-1].request
    (route,) = again.values("Record-Route")
    first = next(event.request for event in talk.bob.requests if not event.request.to_tag)
    assert [route] == first.values("Record-Route"), "16.6: should an endpoint have lost it"
    talk.bob.incoming[0].accept_offer(b"answer again")
    talk.network.run(0.1)
    assert talk.alice.statuses[-1] == 200
    talk.within("INFO", lambda _: None)
    assert talk.network.packets("INFO", by=NODE_ADDRESS)[0].message.values("Record-Route") == []
    talk.finish()


@pytest.mark.rfc("3261-12.2.2")
def test_a_new_target_of_a_dialog_is_followed() -> None:
    talk = Talk()
    moved = Party(talk.network, "moved", answers=(200,))

    def change(sent: Request) -> None:
        sent.uri = f"sip:bob@{format_address(moved.address)}"

    talk.within("INFO", change)
    assert [event.request.uri for event in moved.requests] == [f"sip:bob@{format_address(moved.address)}"]
    talk.finish()


@pytest.mark.rfc("3261-16.4")
@pytest.mark.parametrize(
    "route", ["<sip:\udcff@192.0.2.1:5060;lr>", "<sip:%FF@192.0.2.1:5060;lr>", "<tel:+4930>", "<mailto:x@y>"]
)
def test_a_route_of_strange_bytes_is_refused(route: str) -> None:
    talk = Talk()
    talk.within("INFO", lambda sent: sent.set("Route", route))
    assert talk.alice.statuses[-1] in {400, 403, 416}
    talk.finish()


@pytest.mark.rfc("3261-16.9")
@pytest.mark.parametrize("target", ["sips:bob@203.0.113.9", "sip:bob@[2001:db8::9]"])
@pytest.mark.parametrize("method", ["INFO", "INVITE"])
def test_a_target_of_a_dialog_without_a_way_to_it_is_a_500_and_leaves_nothing(method: str, target: str) -> None:
    talk = Talk()

    def change(sent: Request) -> None:
        sent.uri = target

    talk.within(method, change)
    assert talk.alice.statuses[-1] == 500
    assert not talk.site.node.proxy.active
    talk.finish()
