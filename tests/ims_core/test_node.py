"""A whole node: who may do what, where requests go, and what it makes of nonsense."""

import random

import pytest

from ims_core.errors import ServiceUnavailable
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import BindingAdded, BindingRemoved, LocationEvent
from ims_core.security.digest import answer_challenge
from ims_core.transactions.endpoint import ResponseReceived
from ims_core.ua.session_events import Acknowledged, Answered, Ended, Rejected
from tests.kit import (
    DOMAIN,
    NODE_ADDRESS,
    PASSWORD,
    SERVICE_NUMBER,
    Network,
    Phone,
    Site,
    request_bytes,
    response_bytes,
)

STRANGER = ("198.51.100.77", 5060)
FROM_STRANGER = Flow("UDP", NODE_ADDRESS, STRANGER)
DESK = f"sip:{SERVICE_NUMBER}@{DOMAIN}"


def new_site(**options: object) -> tuple[Network, Site]:
    network = Network()
    return network, Site(network, **options)  # type: ignore[arg-type]


def answers(site: Site, data: bytes, flow: Flow = FROM_STRANGER) -> list[Response]:
    """What the node sends at once for a message."""
    site.node.receive(data, flow)
    found = []
    for _, sent in site.node.data_to_send():
        message = parse_message(sent)
        if isinstance(message, Response):
            found.append(message)
    return found


def answer(site: Site, data: bytes, flow: Flow = FROM_STRANGER) -> Response:
    return answers(site, data, flow)[-1]


# Registered phones ------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-10.2")
@pytest.mark.rfc("3261-22.4")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_phone_registers_and_is_called_by_name(transport: str) -> None:
    network, site = new_site()
    alice, bob = site.phone("alice"), site.phone("bob", transport=transport)
    assert network.wire()[:4] == ["REGISTER", "401 REGISTER", "REGISTER", "200 REGISTER"]
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(1)
    assert alice.told_by(leg) == [Answered(b"answer of bob")]
    assert "407 INVITE" not in network.wire(), "alice's flow is known"
    leg.hang_up()
    network.run()
    for idle in (site, alice, bob):
        idle.assert_idle()
    assert len(site.location) == 0, "the bindings have expired"


def test_what_happens_to_bindings_is_told() -> None:
    network, site = new_site()
    told: list[LocationEvent] = []
    site.node.on_location = told.append
    bob = site.phone("bob")
    bob.register(expires=0)
    network.run(1)
    assert [type(event) for event in told] == [BindingAdded, BindingRemoved]
    bob.register(expires=60)
    network.run(1)
    network.run(61)
    assert [type(event) for event in told][2:] == [BindingAdded, BindingRemoved], "it expired by itself"
    tcp = site.phone("alice", transport="TCP")
    site.node.connection_failed(Flow("TCP", NODE_ADDRESS, tcp.address, 1))
    assert isinstance(told[-1], BindingRemoved)


@pytest.mark.rfc("3261-12.2.1.1")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_phone_calls_a_service(transport: str) -> None:
    network, site = new_site()
    alice = site.phone("alice", transport=transport)
    leg = alice.call(DESK, sdp=b"offer")
    network.run(1)
    (call,) = site.calls
    assert (call.identity, call.offer) == ("alice", b"offer")
    assert alice.told_by(leg) == [Answered(b"answer of the desk")]
    assert site.told_by(call) == [Acknowledged(b"")]
    call.hang_up((("Reason", "SIP;cause=480"),))
    network.run()
    assert alice.told_by(leg)[-1] == Ended(by_peer=True, reason="SIP;cause=480")
    site.assert_idle()
    alice.assert_idle()


def test_the_node_calls_a_phone() -> None:
    network, site = new_site()
    bob = site.phone("bob", transport="TCP")
    (binding,) = site.location.bindings("sip:bob@ims.example")
    assert binding.flow is not None
    told: list[object] = []
    call = site.node.call(binding.flow, told.append)
    call.start(binding.contact, caller='"Sales" <sip:5551@ims.example>', callee="<sip:bob@ims.example>", sdp=b"offer")
    network.run(1)
    assert bob.incoming[0].identity == "5551"
    assert told == [Answered(b"answer of bob")]
    bob.incoming[0].hang_up()
    network.run()
    assert told[1:] == [Ended(by_peer=True, reason="BYE")]
    site.assert_idle()
    bob.assert_idle()


# Who may call -----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-22.3")
@pytest.mark.parametrize("target", [DESK, "sip:bob@ims.example", "sip:nobody@ims.example", "sip:x@elsewhere.example"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "DANCE"])
def test_a_stranger_is_challenged_whatever_is_asked(method: str, target: str) -> None:
    _, site = new_site()
    response = answer(site, request_bytes(method, target))
    assert response.status == 407
    assert response.require("Proxy-Authenticate").startswith("Digest ")
    assert site.calls == []


@pytest.mark.rfc("3261-22.3")
def test_a_stranger_with_the_password_is_admitted_under_that_name() -> None:
    _, site = new_site()
    challenge = answer(site, request_bytes(uri=DESK)).require("Proxy-Authenticate")

    def credentials(password: str) -> list[tuple[str, str]]:
        value = answer_challenge(challenge, "INVITE", DESK, "carol", password, cnonce="c0ffee")
        return [("Proxy-Authorization", value)]

    wrong = request_bytes(uri=DESK, cseq=2, branch="z9hG4bK2", headers=credentials("wrong"))
    assert answer(site, wrong).status == 407
    right = request_bytes(uri=DESK, cseq=3, branch="z9hG4bK3", headers=credentials(PASSWORD))
    assert [response.status for response in answers(site, right)] == [100, 200]
    (call,) = site.calls
    assert call.identity == "carol", "not the alice of the From header"


@pytest.mark.rfc("3261-25.1")
def test_a_dot_at_the_end_of_the_domain_changes_nothing() -> None:
    network, site = new_site()
    bob = site.phone("bob")
    alice = Flow("UDP", NODE_ADDRESS, site.phone("alice").address)
    invite = request_bytes(
        uri="sip:bob@IMS.example.", from_="<sip:alice@ims.example.>;tag=1", to="<sip:bob@ims.example.>"
    )
    site.node.receive(invite, alice)
    network.run(1)
    (call,) = bob.incoming
    assert call.request.require("To") == "<sip:bob@ims.example.>", "as it came"


@pytest.mark.rfc("TS24.229-5.2.6.3.3")
def test_a_registered_flow_cannot_call_under_another_name() -> None:
    network, site = new_site()
    alice = site.phone("alice")
    flow = Flow("UDP", NODE_ADDRESS, alice.address)
    for number, name in enumerate(("alice", "bob", "nobody")):
        site.node.receive(
            request_bytes(uri=DESK, call_id=name, branch=f"z9hG4bK{number}", from_=f"<sip:{name}@ims.example>;tag=1"),
            flow,
        )
    assert [call.identity for call in site.calls] == ["alice"] * 3
    network.flush()


def test_a_trunk_is_admitted_as_who_it_says() -> None:
    _, site = new_site(trunks=[STRANGER[0]])
    statuses = [response.status for response in answers(site, request_bytes(uri=DESK))]
    assert statuses == [100, 200]
    assert site.calls[0].identity == "alice"
    other = FROM_STRANGER._replace(remote=("198.51.100.78", 5060))
    assert answer(site, request_bytes(uri=DESK, branch="z9hG4bK2", call_id="2"), other).status == 407


# Where it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-16.5")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("sip:bob@ims.example", 480),
        ("sip:nobody@ims.example", 404),
        ("sip:99999@ims.example", 404),
        ("sip:bob@elsewhere.example", 403),
        ("sip:bob@192.0.2.1:5999", 403),
        ("sip:ims.example", 404),
        ("tel:+49-30-1234", 404),
        ("urn:service:sos", 416),
        ("mailto:bob@ims.example", 416),
        ("sip:", 400),
        ("sip:bob@ims.example:port", 400),
        ("sip:bob@", 400),
    ],
)
def test_a_target_that_cannot_be_served(target: str, status: int) -> None:
    _, site = new_site(open_to_all=True)
    response = answer(site, request_bytes(uri=target))
    assert response.status == status
    assert response.to.tag
    assert site.calls == []


@pytest.mark.parametrize(
    "target", [DESK, f"sip:{SERVICE_NUMBER}@192.0.2.1:5060", f"sip:{SERVICE_NUMBER}@192.0.2.1", f"tel:{SERVICE_NUMBER}"]
)
def test_a_service_is_reached_by_domain_address_and_number(target: str) -> None:
    _, site = new_site(open_to_all=True)
    assert answer(site, request_bytes(uri=target)).status == 200
    assert len(site.calls) == 1


@pytest.mark.rfc("3261-11.2")
@pytest.mark.parametrize("target", ["sip:ims.example", "sip:192.0.2.1:5060"])
def test_options_to_the_node_is_answered_to_anybody(target: str) -> None:
    _, site = new_site()
    response = answer(site, request_bytes("OPTIONS", target))
    assert response.status == 200
    assert response.require("Allow") == "OPTIONS, REGISTER"
    assert response.require("Accept") == "application/sdp"


@pytest.mark.rfc("3261-11.2")
def test_options_to_a_service_tells_what_it_takes() -> None:
    _, site = new_site(open_to_all=True)
    response = answer(site, request_bytes("OPTIONS", DESK))
    assert (response.status, response.require("Allow")) == (
        200,
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE",
    )


@pytest.mark.rfc("3261-8.2.1")
@pytest.mark.rfc("3261-21.5.2")
@pytest.mark.parametrize("target", [DESK, "sip:ims.example"])
@pytest.mark.parametrize(("method", "status"), [("MESSAGE", 405), ("SUBSCRIBE", 405), ("PUBLISH", 405), ("DANCE", 501)])
def test_a_method_that_is_not_served_here(method: str, status: int, target: str) -> None:
    _, site = new_site(open_to_all=True)
    response = answer(site, request_bytes(method, target))
    assert response.status == status
    assert method not in response.require("Allow")


@pytest.mark.rfc("3261-15.1.2")
@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK"])
@pytest.mark.parametrize("to", ["<sip:10001@ims.example>", "<sip:10001@ims.example>;tag=gone"])
def test_a_request_for_a_dialog_that_does_not_exist_gets_481(method: str, to: str) -> None:
    _, site = new_site(open_to_all=True)
    assert answer(site, request_bytes(method, DESK, to=to)).status == 481


@pytest.mark.rfc("3261-8.2.2.3")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_an_unknown_extension_is_refused_by_name(method: str) -> None:
    _, site = new_site(open_to_all=True)
    response = answer(site, request_bytes(method, DESK, headers=[("Require", "timer"), ("Require", "x, y")]))
    assert (response.status, response.require("Unsupported")) == (420, "timer, x, y")
    assert site.calls == []


@pytest.mark.rfc("3261-8.1.1")
@pytest.mark.parametrize("missing", ["From", "To", "Call-ID", "CSeq"])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "BYE"])
def test_a_mandatory_header_that_is_missing_is_named(method: str, missing: str) -> None:
    _, site = new_site()
    site.node.receive(request_bytes(method, DESK, without=[missing]), FROM_STRANGER)
    ((_, sent),) = site.node.data_to_send()
    assert sent.lower().startswith(f"SIP/2.0 400 Missing {missing} header\r\n".lower().encode())
    assert site.endpoint.transactions()["server"] == 0


@pytest.mark.rfc("3261-21.4.1")
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("INVITE", {"to": "<sip:bob"}),
        ("INVITE", {"to": '"open quote <sip:bob@ims.example>'}),
        ("INVITE", {"to": "<>"}),
        ("INVITE", {"from_": "<sip:alice"}),
        ("INVITE", {"contact": None}),
        ("INVITE", {"contact": "<sip:>"}),
        ("REGISTER", {"to": "<sip:bob"}),
        ("REGISTER", {"contact": "<sip:"}),
        ("BYE", {"to": "<sip:bob"}),
        ("OPTIONS", {"to": "<sip:bob"}),
        ("INFO", {"to": "<sip:x@ims.example>;tag=1", "headers": [("Route", "<sip:broken")]}),
    ],
)
def test_a_header_that_cannot_be_read_is_a_400_and_leaves_no_call(method: str, fields: dict[str, object]) -> None:
    network, site = new_site(open_to_all=True)
    target = "sip:ims.example" if method == "REGISTER" else DESK
    response = answer(site, request_bytes(method, target, **fields))  # type: ignore[arg-type]
    assert response.status == 400
    assert site.calls == []
    network.run()
    site.assert_idle()


@pytest.mark.rfc("3261-17.1.1.3")
@pytest.mark.parametrize("to", ["<sip:bob", "<sip:bob@ims.example>", "<sip:bob@ims.example>;tag=gone"])
def test_an_ack_of_nothing_is_counted(to: str) -> None:
    _, site = new_site()
    assert answers(site, request_bytes("ACK", to=to)) == []
    assert sum(site.endpoint.dropped.values()) == 1


def test_the_ack_to_a_refusal_belongs_to_its_invite() -> None:
    _, site = new_site()
    refusal = answer(site, request_bytes(uri=DESK))
    assert answers(site, request_bytes("ACK", DESK, to=refusal.require("To"))) == []
    assert site.endpoint.dropped["stray ACK"] == 0, "it belongs to the transaction"


# Draining ---------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-21.5.4")
def test_a_node_that_drains_refuses_new_calls_and_serves_those_under_way() -> None:
    network, site = new_site()
    alice, bob = site.phone("alice"), site.phone("bob")
    under_way = alice.call(DESK, sdp=b"offer")
    network.run(1)
    site.node.door.closing = ServiceUnavailable(headers=(("Retry-After", "12"),))
    for target in (DESK, "sip:bob@ims.example"):
        leg = alice.call(target, sdp=b"offer")
        network.run(1)
        assert alice.told_by(leg) == [Rejected(503, "Service Unavailable")]
    refusals = network.packets("503 INVITE")
    assert {packet.message.get("Retry-After") for packet in refusals} == {"12"}
    assert len(site.calls) == 1
    assert bob.incoming == []
    bob.register()
    network.run(1)
    assert bob.statuses[-1] == 200
    under_way.hang_up()
    network.run(1)
    assert site.told_by(site.calls[0])[-1] == Ended(by_peer=True, reason="BYE")
    network.run()
    site.assert_idle()


# Nonsense ---------------------------------------------------------------------------------------------------------


def samples(site: Site, alice: Phone) -> list[bytes]:
    """One message of each kind that a node gets, some of a stranger who knows half of a call under way."""
    tag = site.calls[0].dialog_id[1]
    to = f"<{DESK}>;tag={tag}"
    inside = {"to": to, "from_": "<sip:alice@ims.example>;tag=guessed", "uri": DESK}
    call_id = site.calls[0].request.call_id
    invite = parse_message(request_bytes(uri=DESK, call_id="fresh"))
    assert isinstance(invite, Request)
    route = [("Route", f"<sip:0011223344556677@{format_address(NODE_ADDRESS)};lr>")]
    return [
        request_bytes(uri=DESK, call_id="fresh", body=b"v=0\r\n", headers=[("Content-Type", "application/sdp")]),
        request_bytes(
            "REGISTER", "sip:ims.example", call_id="fresh", headers=[("Authorization", 'Digest username="a"')]
        ),
        request_bytes("OPTIONS", "sip:ims.example", call_id="fresh"),
        request_bytes("ACK", call_id=call_id, **inside),  # type: ignore[arg-type]
        request_bytes("INFO", call_id=call_id, cseq=7, **inside),  # type: ignore[arg-type]
        request_bytes("INVITE", call_id=call_id, cseq=8, headers=route, **inside),  # type: ignore[arg-type]
        request_bytes("CANCEL", uri=DESK, call_id="fresh"),
        request_bytes("MESSAGE", "sip:alice@ims.example", call_id="fresh", headers=route),
        response_bytes(invite, 200, headers=[("Contact", f"<{alice.uri}>"), ("Record-Route", "<sip:x;lr>")]),
    ]


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Cut, double, swap or overwrite some bytes."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(out) + 1)
        end = min(len(out), start + chance.randint(0, 12))
        kind = chance.randrange(5)
        if kind == 0:
            del out[start:end]
        elif kind == 1:
            out[start:start] = out[start:end]
        elif kind == 2:
            out[start:end] = bytes(chance.randrange(256) for _ in range(end - start))
        elif kind == 3:
            out[start:end] = chance.choice(
                [b"\r\n", b"<", b">", b'"', b";", b",", b":", b"@", b"\x00", b" ", b"%", b"["]
            )
        else:
            out[start:end] = b""
            out += data[start:end]
    return bytes(out)


@pytest.mark.parametrize("together", [1, 40])
@pytest.mark.parametrize("seed", range(6))
def test_damaged_messages_disturb_nothing(seed: int, together: int) -> None:
    network, site = new_site(open_to_all=True)
    alice = site.phone("alice")
    leg = alice.call(DESK, sdp=b"offer")
    network.run(1)
    chance = random.Random(seed)
    originals = samples(site, alice)
    flow = Flow("UDP", NODE_ADDRESS, ("198.51.100.200", 5060))
    stream = flow._replace(transport="TCP", connection=99)
    for number in range(700):
        data = damaged(chance, chance.choice(originals)).replace(b"c0ffee01", b"%08x" % number)
        site.node.take(data, chance.choice([flow, stream]))
        if number % together == 0:
            site.node.settle()
    site.node.settle()
    for call in site.calls[1:]:
        call.hang_up()
    network.run(1)
    assert site.told_by(site.calls[0]) == [Acknowledged(b"")], "the call under way has noticed nothing"
    leg.hang_up()
    network.run()
    assert isinstance(site.told_by(site.calls[0])[-1], Ended)
    site.assert_idle()
    alice.assert_idle()
    assert len(site.endpoint.messages.told()) < 150
    assert len(site.endpoint.dropped) < 10


def test_messages_that_come_together_fare_as_each_alone() -> None:
    wanted = [
        ("REGISTER", "sip:ims.example"),
        ("OPTIONS", "sip:ims.example"),
        ("INVITE", DESK),
        ("INVITE", "sip:bob@elsewhere.example"),
        ("MESSAGE", "sip:nobody@ims.example"),
        ("FROB", "sip:ims.example"),
    ]
    requests = [
        request_bytes(method, uri, branch=f"z9hG4bK{number}", call_id=f"call-{number}")
        for number, (method, uri) in enumerate(wanted)
    ]
    _, alone = new_site()
    answered = [response.encode() for data in requests for response in answers(alone, data)]
    _, site = new_site()
    for data in requests:
        site.node.take(data, FROM_STRANGER)
    assert site.node.data_to_send() == []
    site.node.settle()
    assert [data for _, data in site.node.data_to_send()] == answered
    assert len(answered) >= len(requests)


@pytest.mark.rfc("3261-17.2.2")
def test_what_comes_twice_before_it_is_acted_on_is_answered_once() -> None:
    _, site = new_site()
    for _ in range(2):
        site.node.take(request_bytes("OPTIONS", "sip:ims.example"), FROM_STRANGER)
    site.node.settle()
    assert len(site.node.data_to_send()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_are_counted_and_not_answered(seed: int) -> None:
    network, site = new_site()
    chance = random.Random(seed)
    for _ in range(200):
        site.node.receive(chance.randbytes(chance.randrange(1, 600)), FROM_STRANGER)
    assert site.node.data_to_send() == []
    assert site.endpoint.dropped["malformed"] == 200
    network.run()
    site.assert_idle()


def test_responses_to_nothing_are_counted() -> None:
    _, site = new_site()
    invite = parse_message(request_bytes())
    assert isinstance(invite, Request)
    for status in (100, 180, 200, 404, 699):
        assert answers(site, response_bytes(invite, status)) == []
    assert site.endpoint.dropped["stray response"] == 5


def test_a_response_heard_twice_is_told_once() -> None:
    network, site = new_site()
    alice = site.phone("alice")
    leg = alice.call("sip:nobody@ims.example", sdp=b"offer")
    network.run(1)
    refusal = network.packets("404 INVITE")[0]
    alice.receive(refusal.data, refusal.flow._replace(local=alice.address, remote=NODE_ADDRESS))
    network.run()
    assert alice.told_by(leg) == [Rejected(404, "Not Found")]
    finals = [event for event in alice.events if isinstance(event, ResponseReceived) and event.response.status == 404]
    assert len(finals) == 1
    alice.assert_idle()
