"""Hops, loops and breadth: what keeps a request from going on for ever."""

import pytest

from ims_core.errors import LoopDetected
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.proxy.bounds import Loops, divide
from ims_core.registrar.location import Binding
from tests.kit import NODE_ADDRESS, SERVICE_NUMBER, Network, Site, request_bytes
from tests.kit.forks import Forks

NODE = format_address(NODE_ADDRESS)


def contacts(forks: Forks, user: str, *uris: str, q: float | None = None) -> None:
    """Give a user these contacts."""
    location = forks.site.location
    for uri in uris:
        location.add(Binding(f"sip:{user}@ims.example", uri, q=q))
    while location.next_event() is not None:
        pass


def sent(forks: Forks, method: str = "INVITE") -> list[Request]:
    """What the node sent of that method."""
    found = [packet.message for packet in forks.network.packets(method, by=NODE_ADDRESS)]
    return [message for message in found if isinstance(message, Request)]


# Hops -------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-16.3", "3261-11")
def test_a_path_is_traced_by_options_with_few_hops() -> None:
    forks = Forks()
    forks.send("OPTIONS", without=["Max-Forwards"], headers=[("MAX-FORWARDS", "0")])
    (response,) = forks.responses(200)
    assert response.require("Allow")
    assert forks.callee.requests == []
    forks.finish()


@pytest.mark.rfc("3261-16.3", "3261-20.29")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "DANCE", "SUBSCRIBE"])
def test_what_a_proxy_must_understand_is_refused_whatever_the_method(method: str) -> None:
    forks = Forks()
    forks.send(method, headers=[("Proxy-Require", "foo"), ("Proxy-Require", "bar")])
    (response,) = forks.responses(420)
    assert response.require("Unsupported") == "foo, bar"
    forks.finish()


@pytest.mark.rfc("3261-16.3")
def test_an_ack_that_requires_what_no_proxy_knows_goes_nowhere_and_is_not_answered() -> None:
    forks = Forks()
    forks.send()
    forks.reply(200)
    ok = forks.responses(200)[0]
    headers = [("Proxy-Require", "foo"), *(("Route", value) for value in ok.values("Record-Route"))]
    ack = request_bytes("ACK", "sip:bob@203.0.113.9", branch="z9hG4bKack", to=ok.require("To"), headers=headers)
    before = len(forks.network.sent)
    forks.site.node.receive(ack, Flow("UDP", NODE_ADDRESS, forks.caller.address))
    forks.network.flush()
    assert len(forks.network.sent) == before
    assert forks.site.endpoint.dropped["stray ACK"] == 1
    forks.network.run()


@pytest.mark.rfc("3261-16.3", "3261-21.4.14")
@pytest.mark.parametrize(
    "uri", ["soap.beep://192.0.2.103:3002", "nobodyKnowsThisScheme:totallyopaquecontent", "mailto:a@b"]
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "DANCE"])
def test_a_scheme_that_we_cannot_route_by_is_a_416(method: str, uri: str) -> None:
    forks = Forks()
    forks.send(method, uri)
    assert forks.final == [416]
    forks.finish()


@pytest.mark.rfc("3261-16.3")
def test_what_is_wrong_with_a_request_is_found_in_this_order() -> None:
    """A stranger's request has every fault that there is to find, and is mended of one after the other."""
    site = Site(Network())
    flow = Flow("UDP", NODE_ADDRESS, ("198.51.100.77", 5060))
    bob = "sip:bob@ims.example"
    loop = Loops(b"another secret of the test").mark(Request("INVITE", bob))
    data = request_bytes(
        "INVITE",
        "urn:isbn:1",
        cseq=2**31,
        via=f"SIP/2.0/UDP 198.51.100.77;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP {NODE};branch=z9hG4bK2{loop}",
        headers=[("Proxy-Require", "telepathy")],
    ).replace(b"ards: 70", b"ards: 0")
    mended = [
        (b"CSeq: 2147483648", b"CSeq: 1"),
        (b"urn:isbn:1", bob.encode()),
        (b"Max-Forwards: 0", b"Max-Forwards: 1"),
        (loop.encode(), b""),
        (b"telepathy", b""),
    ]
    statuses = []
    for fault, right in [(b"", b""), *mended]:
        data = data.replace(fault, right) if fault else data
        site.node.receive(data, flow)
        (sent,) = site.node.data_to_send()
        statuses.append(sent[1].split(b" ")[1])
    assert statuses == [b"400", b"416", b"483", b"482", b"420", b"407"]
    assert site.endpoint.transactions()["server"] == 0


@pytest.mark.rfc("3261-16.3")
@pytest.mark.parametrize(
    ("method", "user", "registered", "status"),
    [
        ("INVITE", "bob", False, 483),
        ("INVITE", "bob", True, 483),
        ("INVITE", "nobody", True, 483),
        ("MESSAGE", "nobody", False, 483),
        ("INVITE", SERVICE_NUMBER, True, 200),
        ("OPTIONS", "bob", False, 200),
        ("OPTIONS", "nobody", True, 200),
        ("REGISTER", "", False, 401),
    ],
)
def test_a_request_without_a_hop_left_is_refused_before_anything_else(
    method: str, user: str, registered: bool, status: int
) -> None:
    """Unless it has come to its end: a service, this element itself, or an OPTIONS (11.1)."""
    site = Site(Network())
    address = site.phone("alice").address if registered else ("198.51.100.77", 5060)
    uri = f"sip:{user}@ims.example" if user else "sip:ims.example"
    data = request_bytes(method, uri, to="<sip:alice@ims.example>").replace(b"ards: 70", b"ards: 0")
    site.node.receive(data, Flow("UDP", NODE_ADDRESS, address))
    assert site.node.data_to_send()[-1][1].startswith(b"SIP/2.0 %d " % status)


# Loops (RFC 5393 section 4) ---------------------------------------------------------------------------------------


@pytest.mark.rfc("5393-4.2.1")
def test_a_request_that_comes_back_unchanged_is_a_loop() -> None:
    forks = Forks(callees=0)
    contacts(forks, "bob", f"sip:bob@{NODE}")
    forks.send()
    assert forks.final == [482]
    assert [request.uri for request in sent(forks)] == [f"sip:bob@{NODE}"] * 2, "the first time under another name"
    forks.finish()


@pytest.mark.rfc("5393-3")
def test_two_users_who_fork_to_each_other_do_not_multiply() -> None:
    """The attack of section 3: two contacts for each of two users, all four back at the proxy."""
    forks = Forks(callees=0)
    contacts(forks, "a", f"sip:a@{NODE}", f"sip:b@{NODE}")
    contacts(forks, "b", f"sip:a@{NODE}", f"sip:b@{NODE}")
    forks.send(uri="sip:a@ims.example")
    forks.network.run()
    assert forks.final == [482]
    assert len(sent(forks)) <= 12, "without the check it would be 2 ** 70"
    forks.site.assert_idle()


@pytest.mark.rfc("5393-4.2.1", "3261-16.3")
def test_a_spiral_comes_by_for_another_target() -> None:
    forks = Forks()
    contacts(forks, "carol", f"sip:bob@{NODE}")
    forks.send(uri="sip:carol@ims.example")
    assert [request.uri.partition("@")[0] for request in sent(forks)] == ["sip:bob", "sip:bob"]
    assert len(forks.forwarded().values("Via")) == 3
    forks.reply(200)
    assert forks.final == [200]
    forks.finish()


@pytest.mark.rfc("5393-4.2.1")
def test_cancel_and_ack_have_the_branch_of_their_invite() -> None:
    forks = Forks()
    forks.send()
    forks.reply(180)
    forks.caller.endpoint.cancel(forks.last)
    forks.finish()
    invite, *others = (packet.message for packet in forks.network.sent if packet.flow.remote == forks.callee.address)
    assert "." in invite.via.branch
    requests = [message for message in others if isinstance(message, Request)]
    assert {request.method for request in requests} == {"CANCEL", "ACK"}
    assert {request.via.branch for request in requests} == {invite.via.branch}


def request_to(uri: str, *vias: str, routes: tuple[str, ...] = ()) -> Request:
    headers = [*(("Via", via) for via in vias), *(("Route", route) for route in routes)]
    request = parse_message(request_bytes(uri=uri, headers=headers))
    assert isinstance(request, Request)
    return request


@pytest.mark.rfc("5393-4.2.1")
def test_the_mark_varies_with_all_that_routes_and_with_nothing_else() -> None:
    loops = Loops(b"secret")
    mark = loops.mark(request_to("sip:bob@ims.example"))
    assert loops.mark(request_to("sip:carol@ims.example")) != mark
    assert loops.mark(request_to("sip:bob@ims.example"), ["<sip:192.0.2.7;lr>"]) != mark
    bye = request_to("sip:bob@ims.example")
    bye.method = "BYE"
    assert loops.mark(bye) == mark, "MUST NOT vary with the method"
    assert Loops(b"another").mark(request_to("sip:bob@ims.example")) != mark
    ours = f"SIP/2.0/UDP {NODE};branch=z9hG4bK0123{mark};rport"
    with pytest.raises(LoopDetected):
        loops.mark(request_to("sip:bob@ims.example", f"SIP/2.0/UDP 203.0.113.1;branch=z9hG4bK1, {ours}"))
    assert loops.mark(request_to("sip:carol@ims.example", ours)) != mark


# Breadth (RFC 5393 section 5) -------------------------------------------------------------------------------------


@pytest.mark.rfc("5393-5.3.3")
@pytest.mark.parametrize(
    ("given", "callees", "shares"),
    [
        (None, 1, [60]),
        (None, 3, [20, 20, 20]),
        (None, 7, [9, 9, 9, 9, 8, 8, 8]),
        ("60", 2, [30, 30]),
        ("4", 3, [2, 1, 1]),
        ("2", 2, [1, 1]),
        ("1", 1, [1]),
        ("1000", 2, [30, 30]),
    ],
)
def test_breadth_is_shared_out_among_parallel_branches(given: str | None, callees: int, shares: list[int]) -> None:
    forks = Forks(callees)
    forks.send(headers=[] if given is None else [("Max-Breadth", given)])
    assert [int(request.require("Max-Breadth")) for request in sent(forks)] == shares
    assert sum(shares) == min(int(given or 60), 60)
    for number in range(callees):
        forks.reply(404, number)
    forks.finish()


@pytest.mark.rfc("5393-5.3.3")
@pytest.mark.parametrize(("given", "callees"), [("1", 2), ("0", 1), ("2", 3)])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_more_branches_than_the_breadth_allows_are_refused(method: str, given: str, callees: int) -> None:
    forks = Forks(callees)
    forks.send(method, headers=[("Max-Breadth", given)])
    (response,) = forks.responses(440)
    assert response.reason == "Max-Breadth Exceeded"
    assert sent(forks, method) == []
    forks.finish()


@pytest.mark.rfc("5393-5.3.3.1", "5393-5.5")
def test_breadth_is_used_again_by_the_next_group() -> None:
    forks = Forks([1.0, 1.0, 0.5, 0.5])
    forks.send(headers=[("Max-Breadth", "5")])
    assert [request.require("Max-Breadth") for request in sent(forks)] == ["3", "2"]
    forks.reply(404, 0)
    assert len(sent(forks)) == 2, "the other branch still uses its share"
    forks.reply(404, 1)
    assert [request.require("Max-Breadth") for request in sent(forks)] == ["3", "2", "3", "2"]
    forks.reply(404, 2)
    forks.reply(404, 3)
    forks.finish()


@pytest.mark.rfc("5393-5.3.3")
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "99999999999"])
def test_a_malformed_breadth_is_a_400(value: str) -> None:
    forks = Forks()
    forks.send(headers=[("Max-Breadth", value)])
    assert forks.final == [400]
    forks.finish()


@pytest.mark.parametrize(("breadth", "branches"), [(60, 7), (3, 2), (5, 5), (1, 1)])
def test_shares_add_up(breadth: int, branches: int) -> None:
    shares = list(divide(breadth, branches))
    assert sum(shares) == breadth
    assert max(shares) - min(shares) <= 1


@pytest.mark.rfc("5393-5.3.3")
def test_breadth_bounds_a_spiral_that_forks() -> None:
    """Each user forks to the next of a list, twice: 2 ** n branches, but no more than the breadth."""
    forks = Forks(callees=0)
    for level in range(8):
        contacts(forks, f"u{level}", f"sip:u{level + 1}@{NODE}", f"sip:u{level + 1}@{NODE};copy")
    forks.send(uri="sip:u0@ims.example", headers=[("Max-Breadth", "16")])
    forks.network.run()
    at_once = [request for request in sent(forks) if request.uri.startswith("sip:u4@")]
    assert len(at_once) == 16
    assert not [request for request in sent(forks) if request.uri.startswith("sip:u5@")]
    assert forks.final == [440]
    forks.site.assert_idle()
