"""The proxy without state: the same request gets the same branch, and responses find back by their Via."""

from __future__ import annotations

import pytest

from ims_core.errors import NotFound
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.proxy.forking import Target
from ims_core.proxy.stateless import StatelessProxy
from ims_core.registrar.location import Domains, Location
from ims_core.transactions.endpoint import Endpoint
from tests.kit import Faults, Network, Phone, request_bytes, response_bytes, seeded_ids

PROXY = ("192.0.2.1", 5060)
LAN = ("192.0.2.2", 5060)
BOB = ("198.51.100.9", 5060)
CALLER = ("198.51.100.77", 5060)
CAME = Flow("UDP", PROXY, CALLER)


class Bench:
    """A stateless proxy with three listeners that sends everything for ``bob`` to the address ``target``."""

    def __init__(self, target: tuple[str, int] = BOB, faults: Faults | None = None) -> None:
        self.network = Network(seed=5, faults=faults)
        listeners = [("UDP", PROXY), ("TCP", PROXY), ("UDP", LAN)]
        told = {listener: format_address(listener[1]) for listener in listeners}
        self.target = target
        self.proxy = StatelessProxy(
            Endpoint(clock=self.network.clock, ids=seeded_ids("proxy"), sent_by=told),
            domains=Domains("ims.example", [format_address(PROXY), format_address(LAN)]),
            location=Location(),
            route=self.route,
            advertised=told,
            secret=b"secret of the test",
        )
        self.network.attach(self.proxy, *listeners)

    def route(self, request: Request, came_by: Flow) -> Target:
        if request.target.user != "bob":
            raise NotFound
        return Target(f"sip:bob@{format_address(self.target)}")

    def sent(self, data: bytes, flow: Flow = CAME) -> list[tuple[Flow, bytes]]:
        """What the proxy sends when it gets that."""
        self.proxy.receive(data, flow)
        return self.proxy.data_to_send()

    def forwarded(self, data: bytes, flow: Flow = CAME) -> Request:
        """The one request that it sends."""
        ((_, sent),) = self.sent(data, flow)
        message = parse_message(sent)
        assert isinstance(message, Request)
        return message


@pytest.mark.rfc("3261-16.11", "3261-16.6")
def test_a_request_goes_on_with_one_hop_less_and_our_via() -> None:
    bench = Bench()
    ((way, _),) = bench.sent(request_bytes())
    assert way == Flow("UDP", PROXY, BOB)
    request = bench.forwarded(request_bytes(headers=[("X-Odd", "  kept ")]))
    assert request.uri == f"sip:bob@{format_address(BOB)}"
    assert request.require("Max-Forwards") == "69"
    assert "X-Odd:   kept " in request.lines
    assert len(request.values("Via")) == 2
    assert request.via.branch.startswith("z9hG4bK")
    assert bench.proxy.next_deadline() is None
    assert bench.proxy.endpoint.transactions() == {"client": 0, "server": 0}


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize("via", [None, "SIP/2.0/UDP 198.51.100.77:5060;branch=1", "SIP/2.0/UDP 198.51.100.77:5060"])
def test_a_retransmission_gets_the_same_branch_and_another_request_another(via: str | None) -> None:
    bench = Bench()
    first = bench.forwarded(request_bytes(via=via))
    assert bench.forwarded(request_bytes(via=via)).encode() == first.encode()
    assert Bench().forwarded(request_bytes(via=via)).via.branch == first.via.branch, "no memory is needed for that"
    other = bench.forwarded(request_bytes(via=via, branch="z9hG4bKother", call_id="another"))
    assert other.via.branch != first.via.branch


@pytest.mark.rfc("3261-16.11", "3261-16.10")
@pytest.mark.parametrize("method", ["CANCEL", "ACK"])
def test_cancel_and_ack_follow_their_invite(method: str) -> None:
    bench = Bench()
    invite = bench.forwarded(request_bytes())
    to = "<sip:bob@ims.example>;tag=486" if method == "ACK" else "<sip:bob@ims.example>"
    other = bench.forwarded(request_bytes(method, to=to))
    assert (other.uri, other.via.branch) == (invite.uri, invite.via.branch)


@pytest.mark.rfc("3261-16.11", "3261-18.2.2")
@pytest.mark.parametrize("listener", [("UDP", PROXY, 0), ("TCP", PROXY, 42), ("UDP", LAN, 0)])
@pytest.mark.parametrize("status", [100, 180, 200, 486, 603])
def test_a_response_returns_by_the_way_of_its_request(listener: tuple[str, tuple[str, int], int], status: int) -> None:
    bench = Bench()
    transport, local, connection = listener
    came = Flow(transport, local, ("203.0.113.50", 4711), connection)
    request = bench.forwarded(request_bytes(), came)
    ((way, data),) = bench.sent(response_bytes(request, status), Flow("UDP", PROXY, BOB))
    assert way == came
    assert data.startswith(f"SIP/2.0 {status} ".encode())
    assert data.count(b"Via:") == 1
    assert b"received=203.0.113.50" in data


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("198.51.100.77", "203.0.113.66"),
        ("rport=5060", "rport=53"),
        ("z9hG4bKc0ffee01", "z9hG4bKc0ffee02"),
        ("came=0-0", "came=7-0"),
        ("came=0-0", "came=x"),
        (";came=0-0", ""),
    ],
)
def test_a_response_to_nothing_that_we_sent_on_goes_nowhere(old: str, new: str) -> None:
    bench = Bench()
    request = bench.forwarded(request_bytes())
    forged = response_bytes(request, 200).replace(old.encode(), new.encode())
    assert bench.sent(forged, Flow("UDP", PROXY, BOB)) == []
    assert bench.proxy.endpoint.dropped["stray response"] == 1


@pytest.mark.rfc("3261-16.3", "3261-16.11")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"uri": "sip:carol@ims.example"}, 404),
        ({"uri": "mailto:x@y"}, 416),
        ({"without": ["Max-Forwards"], "headers": [("max-forwards", "0")]}, 483),
        ({"headers": [("Proxy-Require", "x")]}, 420),
        ({"headers": [("Max-Breadth", "0")]}, 440),
        ({"to": None, "without": ["To"]}, 400),
    ],
)
def test_a_refusal_needs_no_state_either(fields: dict[str, object], status: int) -> None:
    bench = Bench()
    given = {key: value for key, value in fields.items() if value is not None}
    first = bench.sent(request_bytes(**given))  # type: ignore[arg-type]
    ((way, data),) = first
    assert way == CAME
    assert data.startswith(f"SIP/2.0 {status} ".encode())
    if status != 400:
        assert bench.sent(request_bytes(**given)) == first, "the same tag each time"  # type: ignore[arg-type]
        assert bench.sent(request_bytes("ACK", **given)) == []  # type: ignore[arg-type]


@pytest.mark.rfc("5393-4.2.1")
def test_a_loop_is_noticed_without_state() -> None:
    bench = Bench(target=PROXY)
    bench.network.call_later(0, lambda: bench.proxy.receive(request_bytes(), CAME))
    bench.network.run(5)
    assert bench.network.wire().count("INVITE") == 2
    assert bench.network.wire().count("482 INVITE") == 3, "back through both passages to the sender"


@pytest.mark.rfc("3261-16.11")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_call_and_its_end_through_a_network_that_loses(transport: str) -> None:
    faults = Faults(loss=0.2, duplicate=0.1, delay=0.01) if transport == "UDP" else Faults()
    network_bench = Bench(faults=faults)
    network = network_bench.network
    alice = Phone(network, "alice", proxy=PROXY, transport=transport)
    bob = Phone(network, "bob")
    network_bench.target = bob.address
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(40)
    assert [type(event).__name__ for event in alice.told_by(leg)][-1] == "Answered"
    bob.incoming[0].hang_up()
    network.run()
    assert [type(event).__name__ for event in alice.told_by(leg)][-1] == "Ended"
    byes = network.packets("BYE", by=PROXY)
    assert byes, "the dialog stays on the way through the proxy"
    assert {packet.flow.remote for packet in byes} == {alice.address}
    alice.assert_idle()
    bob.assert_idle()


@pytest.mark.rfc("3261-16.11", "3261-8.2.1")
def test_a_method_that_nobody_knows_goes_on_as_it_came() -> None:
    bench = Bench()
    request = bench.forwarded(request_bytes("FROBNICATE", body=b"for who knows it"))
    assert (request.method, request.uri) == ("FROBNICATE", f"sip:bob@{format_address(BOB)}")
    assert (request.cseq.method, request.body) == ("FROBNICATE", b"for who knows it")
    assert len(request.values("Via")) == 2


def own_uri(bench: Bench) -> str:
    """What the proxy puts into the Record-Route of a call."""
    (value,) = bench.forwarded(request_bytes()).values("Record-Route")
    return value.strip("<>")


IN_DIALOG = "<sip:bob@ims.example>;tag=1"
STRICT = "sip:203.0.113.5:5060"
TARGET = "sip:bob@198.51.100.9:5060"


@pytest.mark.rfc("3261-16.4", "3261-16.11", "3261-16.12.1.2")
@pytest.mark.parametrize(
    ("beyond", "way"),
    [([], BOB), (["<sip:203.0.113.6:5060;lr>", "<sip:203.0.113.7;lr>"], ("203.0.113.6", 5060))],
    ids=["the last hop", "more hops"],
)
def test_what_a_strict_router_did_is_undone_without_state(beyond: list[str], way: tuple[str, int]) -> None:
    bench = Bench()
    routes = [("Route", route) for route in (*beyond, f"<{TARGET}>")]
    ((flow, data),) = bench.sent(request_bytes("BYE", own_uri(bench), to=IN_DIALOG, headers=routes))
    assert flow == Flow("UDP", PROXY, way)
    bye = parse_message(data)
    assert isinstance(bye, Request)
    assert bye.uri == TARGET
    assert bye.values("Route") == beyond


@pytest.mark.rfc("3261-16.6", "3261-16.11", "3261-16.12.1.2")
def test_a_strict_router_after_us_finds_itself_in_the_request_uri() -> None:
    bench = Bench()
    routes = [("Route", f"<{own_uri(bench)}>"), ("Route", f"<{STRICT}>")]
    ((flow, data),) = bench.sent(request_bytes("BYE", TARGET, to=IN_DIALOG, headers=routes))
    assert flow == Flow("UDP", PROXY, ("203.0.113.5", 5060))
    bye = parse_message(data)
    assert isinstance(bye, Request)
    assert bye.uri == STRICT
    assert bye.values("Route") == [f"<{TARGET}>"]


@pytest.mark.rfc("3261-16.4")
def test_a_route_that_we_did_not_make_is_not_followed() -> None:
    bench = Bench()
    headers = [("Route", f"<sip:0011223344556677@{format_address(PROXY)};lr>"), ("Route", "<sip:203.0.113.5;lr>")]
    ((way, data),) = bench.sent(
        request_bytes("BYE", "sip:eve@203.0.113.5", to="<sip:bob@ims.example>;tag=1", headers=headers)
    )
    assert way == CAME
    assert data.startswith(b"SIP/2.0 404 ")


@pytest.mark.rfc("3261-18.1.1")
def test_what_is_too_large_for_a_datagram_goes_by_tcp_and_by_udp_where_there_is_none() -> None:
    bench = Bench()
    large = request_bytes(headers=[("X-Long", "x" * 1300)])
    ((way, first),) = bench.sent(large)
    assert way == Flow("TCP", PROXY, BOB)
    bench.proxy.connection_failed(way)
    ((way, again),) = bench.sent(large)
    assert way == Flow("UDP", PROXY, BOB)
    assert parse_message(again).via.branch == parse_message(first).via.branch
    ((way, _),) = bench.sent(request_bytes())
    assert way.transport == "UDP"


@pytest.mark.rfc("3261-18.2.1")
@pytest.mark.parametrize("said", ["203.0.113.9", "[2001:db8::1]", ""])
def test_nobody_has_responses_sent_to_somebody_else(said: str) -> None:
    bench = Bench()
    via = f"SIP/2.0/UDP {format_address(CALLER)};branch=z9hG4bKmirror;received={said}"
    request = bench.forwarded(request_bytes(via=via))
    ((way, _),) = bench.sent(response_bytes(request, 200), Flow("UDP", PROXY, BOB))
    assert way == Flow("UDP", PROXY, CALLER)
