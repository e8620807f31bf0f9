"""The proxy between a caller and callees written by hand, and between phones."""

from collections.abc import Callable
from math import inf

import pytest

from ims_core.flow import format_address
from ims_core.messages.message import Request
from ims_core.registrar.location import Binding
from ims_core.transactions.endpoint import AckReceived, RequestReceived
from ims_core.ua.session_events import Answered, Ended, InfoReceived, Rejected, Ringing
from tests.kit import NODE_ADDRESS, Network, Packet, Party, Phone, Site, request_bytes
from tests.kit.forks import Forks

VIA_OF_NODE = f"SIP/2.0/UDP {format_address(NODE_ADDRESS)}"


# What is forwarded ------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-16.6")
def test_a_request_goes_on_with_the_contact_one_hop_less_and_our_via() -> None:
    bench = Forks()
    bench.send(body=b"v=0", headers=[("Content-Type", "application/sdp")])
    request = bench.forwarded()
    contact = f"sip:bob@{format_address(bench.callee.address)}"
    assert request.uri == contact
    assert request.get("Max-Forwards") == "69"
    top, below = request.values("Via")
    assert top.startswith(f"{VIA_OF_NODE};branch=z9hG4bK")
    host, port = bench.caller.address
    assert below.startswith(f"SIP/2.0/UDP {host}:{port};branch=")
    assert f"received={host}" in below
    assert request.body == b"v=0"
    assert bench.caller.statuses == [100], "100 at once"
    bench.reply(404)
    bench.finish()


@pytest.mark.rfc("3261-16.3")
@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("0", "483 Too Many Hops"),
        ("1", "0"),
        ("255", "254"),
        ("999", "254"),
        (None, "70"),
        ("", "400 Malformed Max-Forwards"),
        ("-1", "400 Malformed Max-Forwards"),
        ("7x", "400 Malformed Max-Forwards"),
        ("1000", "400 Malformed Max-Forwards"),
    ],
)
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_max_forwards(method: str, value: str | None, outcome: str) -> None:
    bench = Forks()
    fields = [] if value is None else [("MAX-FORWARDS", value)]
    bench.send(method, without=["Max-Forwards"], headers=fields)
    if " " in outcome:
        (final,) = bench.responses(int(outcome[:3]))
        assert f"{final.status} {final.reason}" == outcome
        assert bench.callee.requests == []
    else:
        assert bench.forwarded().get("Max-Forwards") == outcome
        bench.reply(404)
    bench.finish()


@pytest.mark.rfc("3261-16.3")
def test_an_extension_required_of_proxies_is_refused_by_name() -> None:
    bench = Forks()
    bench.send(headers=[("Proxy-Require", "sec-agree, privacy")])
    (final,) = bench.responses(420)
    assert final.get("Unsupported") == "sec-agree, privacy"
    assert bench.callee.requests == []
    bench.finish()


@pytest.mark.rfc("3261-16.6")
def test_an_extension_required_of_the_callee_is_none_of_our_business() -> None:
    bench = Forks()
    bench.send(headers=[("Require", "100rel")])
    assert bench.forwarded().get("Require") == "100rel"
    bench.reply(404)
    bench.finish()


ODD_LINES = [
    "X-Odd:    spaces   kept   ",
    "x-odd:lower",
    "X-ODD\t: before the colon",
    "Subject: folded\r\n  over\r\n\tlines",
    "s: compact",
    'P-Custom: "quoted, with comma" <sip:x@y>;z, second',
    "X-Utf8: 客服中心",
    "User-Agent: odd phone/1.0",
]


@pytest.mark.rfc("3261-16.6")
@pytest.mark.rfc("3261-7.3.1")
def test_what_the_proxy_does_not_know_goes_through_byte_for_byte() -> None:
    bench = Forks()
    head, _, _ = request_bytes(without=["Via", "Content-Length"]).partition(b"\r\n\r\n")
    via = b"Via: SIP/2.0/UDP 198.51.100.77:5060;branch=z9hG4bKodd"
    odd = "\r\n".join(ODD_LINES).encode() + b"\r\nX-Raw: \xff\xfe"
    body = bytes(range(256))
    data = b"\r\n".join((head, via, odd, b"Content-Length: 256")) + b"\r\n\r\n" + body
    bench.site.node.receive(
        data, bench.caller.flow(NODE_ADDRESS)._replace(local=NODE_ADDRESS, remote=("198.51.100.77", 5060))
    )
    bench.network.flush()
    (packet,) = bench.network.packets("INVITE", by=NODE_ADDRESS)
    assert odd + b"\r\n" in packet.data
    assert packet.data.endswith(b"\r\n\r\n" + body)
    bench.network.run(0.1)
    request = bench.forwarded()
    answer = "\r\n".join(
        [
            "SIP/2.0 486 Besetzt, leider",
            *(line for line in request.lines if line.partition(":")[0] in {"Via", "From", "To", "Call-ID", "CSeq"}),
            *ODD_LINES,
            "Content-Length: 3",
        ]
    )
    bench.callee.endpoint.send(bench.callee.flow(NODE_ADDRESS), answer.encode() + b"\r\n\r\nabc")
    bench.network.run(0.1)
    (back,) = bench.network.packets("486 INVITE", by=NODE_ADDRESS)
    assert back.data.startswith(b"SIP/2.0 486 Besetzt, leider\r\n")
    assert "\r\n".join(ODD_LINES).encode() in back.data
    assert back.data.endswith(b"\r\n\r\nabc")
    assert back.message.values("Via") == ["SIP/2.0/UDP 198.51.100.77:5060;branch=z9hG4bKodd"], "ours was popped"


@pytest.mark.rfc("3261-16.4")
def test_a_preloaded_route_ends_here() -> None:
    bench = Forks()
    routes = [("Route", f"<sip:{format_address(NODE_ADDRESS)};lr>"), ("Route", "<sip:elsewhere.ims.example;lr>")]
    bench.send(headers=routes)
    assert bench.forwarded().values("Route") == []
    bench.reply(404)
    bench.finish()


@pytest.mark.rfc("3327-5.3")
def test_a_path_becomes_the_route_to_the_contact() -> None:
    bench = Forks(callees=0)
    edge = Party(bench.network, "edge", answers=(404,))
    path = (f"<sip:{format_address(edge.address)};lr>", "<sip:inner.ims.example;lr>")
    bench.site.location.add(Binding("sip:bob@ims.example", "sip:bob@10.0.0.5", path=path))
    bench.send()
    (event,) = edge.requests
    assert event.request.values("Route") == list(path)
    assert event.request.uri == "sip:bob@10.0.0.5"
    bench.network.run()
    bench.site.assert_idle()


@pytest.mark.rfc("3261-16.6")
@pytest.mark.parametrize("method", ["MESSAGE", "PUBLISH", "DANCE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "REFER"])
def test_methods_are_forwarded_known_or_not(method: str) -> None:
    bench = Forks()
    bench.send(method)
    assert bench.forwarded().method == method
    assert ("Record-Route" in bench.forwarded()) is (method in {"SUBSCRIBE", "NOTIFY", "REFER"})
    bench.reply(202)
    assert bench.caller.statuses == [202]
    bench.finish()


# What comes back --------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-16.7")
def test_provisional_responses_come_through_but_100() -> None:
    bench = Forks()
    bench.send()
    for status in (100, 180, 183, 199):
        bench.reply(status)
    assert bench.caller.statuses == [100, 180, 183, 199]
    assert len(bench.responses(100)) == 1
    (ringing,) = bench.responses(180)
    assert len(ringing.values("Via")) == 1, "the caller's own"
    bench.reply(486)
    bench.finish()


@pytest.mark.rfc("3261-16.7")
@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ((404,), 404),
        ((302, 404), 302),
        ((404, 302), 302),
        ((404, 500), 404),
        ((500, 404), 404),
        ((486, 603), 603),
        ((603, 404), 603),
        ((503,), 500),
        ((503, 503), 500),
        ((503, 404), 404),
        ((502, 503), 502),
        ((486, 401), 401),
        ((407, 404), 407),
        ((486, 415), 415),
        ((480, 420), 420),
        ((404, 484), 484),
        ((408, 480), 480),
        ((408,), 408),
        ((404, None), 404),
        ((None, None), 408),
        ((503, None), 408),
        ((600, None), 600),
    ],
    ids=str,
)
def test_the_best_response_is_chosen(answers: tuple[int | None, ...], chosen: int) -> None:
    bench = Forks(len(answers))
    for callee, status in zip(bench.callees, answers, strict=True):
        if status is None:
            bench.network.detach(callee)
        else:
            callee.answers = (100, status)
    bench.send()
    bench.network.run()
    assert bench.final == [chosen]
    bench.site.assert_idle()
    bench.caller.assert_idle()


@pytest.mark.rfc("3261-16.7")
@pytest.mark.parametrize(
    ("passes", "headers", "told"),
    [(True, (), 503), (True, (("Retry-After", "5"),), 500), (False, (), 500), (False, (("Retry-After", "5"),), 500)],
)
def test_within_one_network_a_503_may_say_that_calls_are_not_served(
    passes: bool, headers: tuple[tuple[str, str], ...], told: int
) -> None:
    bench = Forks(1, passes_unavailable=passes)
    bench.send()
    bench.reply(503, headers=headers)
    assert bench.final == [told]
    bench.finish()


@pytest.mark.rfc("3261-16.7")
def test_all_challenges_reach_the_caller() -> None:
    bench = Forks(3)
    bench.send()
    bench.reply(401, 0, (("WWW-Authenticate", 'Digest realm="one", nonce="1"'),))
    bench.reply(407, 1, (("Proxy-Authenticate", 'Digest realm="two", nonce="2"'),))
    bench.reply(486, 2)
    (challenge,) = bench.responses(401)
    assert challenge.whole_values("WWW-Authenticate") == ['Digest realm="one", nonce="1"']
    assert challenge.whole_values("Proxy-Authenticate") == ['Digest realm="two", nonce="2"']
    bench.finish()


@pytest.mark.rfc("3261-16.7")
def test_an_answer_cancels_the_other_branches() -> None:
    bench = Forks(3)
    bench.callees[2].answers = (486,)
    bench.send()
    bench.reply(180, 0)
    bench.reply(180, 1)
    bench.reply(200, 1)
    assert bench.caller.statuses == [100, 180, 180, 200]
    bench.finish()
    cancelled = [packet.flow.remote for packet in bench.network.packets("CANCEL", by=NODE_ADDRESS)]
    assert cancelled == [bench.callees[0].address]
    assert bench.final == [200], "the 487 stays here"


@pytest.mark.rfc("3261-16.7")
def test_a_6xx_cancels_the_others_and_is_passed_on_when_they_are_done() -> None:
    bench = Forks(2)
    bench.send()
    bench.reply(180, 0)
    bench.callees[0].react = lambda _: None
    bench.reply(603, 1)
    assert bench.final == []
    assert [packet.flow.remote for packet in bench.network.packets("CANCEL", by=NODE_ADDRESS)] == [
        bench.callees[0].address
    ]
    bench.reply(487, 0)
    assert bench.final == [603]
    bench.finish()


@pytest.mark.rfc("3261-16.7")
def test_both_branches_answer_and_both_answers_reach_the_caller() -> None:
    bench = Forks(2)
    bench.send()
    bench.reply(180, 0)
    bench.reply(180, 1)
    bench.network.drop = lambda packet: packet.summary == "CANCEL"
    bench.reply(200, 0)
    bench.reply(200, 1)
    answers = bench.responses(200)
    assert len({answer.to.tag for answer in answers}) == 2
    bench.finish()


@pytest.mark.rfc("6026-7.1")
def test_a_repeated_200_is_passed_on_each_time() -> None:
    bench = Forks()
    bench.send()
    bench.reply(200)
    transaction = bench.callee.requests[0].transaction
    for _ in range(2):
        bench.callee.endpoint.send(transaction.flow, transaction.data)
        bench.network.run(0.1)
    assert bench.final == [200, 200, 200]
    bench.finish()


@pytest.mark.rfc("3261-16.7")
def test_of_two_answers_to_a_non_invite_the_first_counts() -> None:
    bench = Forks(2)
    bench.send("MESSAGE")
    bench.reply(200, 0)
    bench.reply(202, 1)
    assert bench.final == [200]
    bench.finish()


@pytest.mark.rfc("4320-4.1")
def test_no_provisional_but_100_is_sent_to_a_non_invite() -> None:
    bench = Forks()
    bench.send("MESSAGE")
    bench.reply(100)
    bench.reply(180)
    assert bench.caller.statuses == []
    bench.reply(200)
    assert bench.caller.statuses == [200]
    bench.finish()


@pytest.mark.rfc("4320-4.1")
def test_a_non_invite_without_answer_gets_100_when_timer_e_reaches_t2() -> None:
    bench = Forks()
    bench.send("MESSAGE")
    bench.network.run(10)
    hundreds = bench.network.times("100 MESSAGE", by=NODE_ADDRESS)
    assert hundreds[0] == pytest.approx(3.5, abs=0.01)
    assert len({packet.data for packet in bench.network.packets("100 MESSAGE", by=NODE_ADDRESS)}) == 1
    bench.reply(200)
    bench.send("MESSAGE", call_id="another")
    bench.reply(200)
    bench.network.run(10)
    assert bench.caller.statuses == [*[100] * len(hundreds), 200, 200]
    bench.finish()


@pytest.mark.rfc("4320-4.2")
@pytest.mark.parametrize("how", ["silence", "408"])
def test_no_408_is_sent_to_a_non_invite_and_nothing_is_left_of_it(how: str) -> None:
    bench = Forks()
    bench.send("MESSAGE")
    if how == "408":
        bench.reply(408)
    else:
        bench.network.detach(bench.callee)
    bench.network.run()
    assert bench.final == ["timeout"]
    assert not bench.network.packets("408 MESSAGE", by=NODE_ADDRESS)
    bench.site.assert_idle()


@pytest.mark.rfc("3261-16.9")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_contact_that_cannot_be_reached_is_a_500(method: str) -> None:
    bench = Forks(callees=0)
    bench.site.location.add(Binding("sip:bob@ims.example", "sip:bob@203.0.113.99;transport=tcp"))
    bench.send(method)
    assert bench.final == [500]
    bench.finish()


@pytest.mark.parametrize("contact", ["sip:bob@phone.ims.example", "sips:bob@203.0.113.9", "sip:bob@[2001:db8::9]"])
def test_a_contact_without_a_way_there_is_a_500(contact: str) -> None:
    bench = Forks(callees=0)
    bench.site.location.add(Binding("sip:bob@ims.example", contact))
    bench.send()
    assert bench.final == [500]
    bench.finish()


@pytest.mark.rfc("3261-16.8")
def test_timer_c_ends_endless_ringing() -> None:
    bench = Forks(ring_seconds=181.0)
    bench.callee.answers = (180,)
    bench.send()
    bench.network.run(180.8)
    assert "CANCEL" not in bench.network.wire()
    bench.network.run(2)
    assert bench.network.wire(by=NODE_ADDRESS).count("CANCEL") == 1
    bench.finish()
    assert bench.final == [487]


@pytest.mark.rfc("3261-16.7")
def test_a_provisional_response_puts_timer_c_off() -> None:
    bench = Forks(ring_seconds=181.0)
    bench.send()
    bench.reply(180)
    for at in (100.0, 200.0):
        bench.network.call_later(at, lambda: bench.callee.endpoint.reply(bench.callee.requests[-1].transaction, 180))
    bench.network.run(380)
    assert "CANCEL" not in bench.network.wire()
    bench.network.run(3)
    assert "CANCEL" in bench.network.wire()
    bench.finish()


@pytest.mark.rfc("3261-16.8")
def test_a_callee_that_ignores_the_cancel_of_timer_c_is_given_up() -> None:
    bench = Forks(ring_seconds=60.0)
    bench.send()
    bench.reply(180)
    bench.callee.react = lambda _: None
    bench.network.run()
    assert bench.final == [408]
    bench.site.assert_idle()


def test_a_forwarding_that_is_over_is_not_kept_until_timer_c() -> None:
    bench = Forks()
    bench.send()
    bench.reply(486)
    bench.network.run(40)
    assert not bench.site.node.proxy.active
    waiting = [timed for timed, _ in bench.site.endpoint._timers.pop_due(inf)]
    assert [getattr(timed, "context", "") for timed in waiting] == [None]
    bench.finish()


@pytest.mark.rfc("3261-16.10")
def test_a_cancel_reaches_every_branch_that_rings() -> None:
    bench = Forks(3)
    bench.send()
    bench.reply(180, 0)
    bench.reply(180, 1)
    bench.reply(486, 2)
    bench.caller.endpoint.cancel(bench.last)
    bench.finish()
    cancelled = {packet.flow.remote for packet in bench.network.packets("CANCEL", by=NODE_ADDRESS)}
    assert cancelled == {bench.callees[0].address, bench.callees[1].address}
    assert bench.final == [486], "the lowest of 486, 487, 487: all of one class, the first counts"


@pytest.mark.rfc("3261-16.10")
def test_a_cancel_before_the_callee_has_rung() -> None:
    bench = Forks()
    bench.network.drop = lambda packet: packet.flow.local == bench.callee.address and packet.at < 1.0
    bench.callee.answers = (180,)
    bench.send()
    bench.caller.endpoint.cancel(bench.last)
    bench.network.run(0.5)
    assert "CANCEL" not in bench.network.wire(by=NODE_ADDRESS)
    bench.finish()
    assert bench.network.wire(by=NODE_ADDRESS).count("CANCEL") == 1
    assert bench.final == [487]


@pytest.mark.rfc("3261-16.10")
def test_a_cancel_of_nothing_gets_481() -> None:
    bench = Forks()
    bench.site.node.receive(request_bytes("CANCEL"), bench.caller.flow(NODE_ADDRESS)._replace(local=NODE_ADDRESS))
    bench.network.flush()
    assert bench.network.wire() == ["481 CANCEL"]


# Dialogs through the proxy ----------------------------------------------------------------------------------------


class Talk:
    """alice and bob, registered, in a call through the node."""

    def __init__(self, alice_by: str = "UDP", bob_by: str = "UDP") -> None:
        self.network = Network()
        self.site = Site(self.network)
        self.alice = self.site.phone("alice", transport=alice_by)
        self.bob = self.site.phone("bob", transport=bob_by)
        self.network.run(40)
        self.network.sent.clear()
        self.leg = self.alice.call("sip:bob@ims.example", sdp=b"offer")
        self.network.run(1)

    @property
    def invite(self) -> Request:
        return self.bob.requests[-1].request

    def within(self, phone: Phone, method: str, change: Callable[[Request], None] = lambda _: None) -> None:
        """Send a request within the dialog from that phone's side."""
        dialog = self.leg.dialog if phone is self.alice else self.bob.incoming[0].dialog
        assert dialog is not None
        request = dialog.request(method)
        change(request)
        phone.endpoint.request(request, phone.flow(NODE_ADDRESS, phone.transport), None)
        self.network.run(0.1)

    def finish(self) -> None:
        self.network.run()
        self.site.assert_idle()
        self.alice.assert_idle()
        self.bob.assert_idle()


@pytest.mark.rfc("3261-16.6")
@pytest.mark.rfc("3261-16.12")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_call_stays_on_the_way_through_the_proxy(transport: str) -> None:
    talk = Talk(transport, transport)
    parameter = "" if transport == "UDP" else ";transport=tcp"
    (route,) = talk.invite.values("Record-Route")
    assert route.endswith(f"@{format_address(NODE_ADDRESS)}{parameter};lr>")
    assert talk.network.wire() == [
        "INVITE", "100 INVITE", "INVITE", "100 INVITE", "200 INVITE", "200 INVITE", "ACK", "ACK",
    ]  # fmt: skip
    assert talk.bob.incoming[0].dialog is not None
    talk.bob.incoming[0].hang_up()
    talk.network.run(0.1)
    assert talk.network.wire()[8:] == ["BYE", "BYE", "200 BYE", "200 BYE"]
    forwarded = talk.network.packets("BYE", by=NODE_ADDRESS)[0].message
    assert forwarded.values("Route") == []
    assert isinstance(forwarded, Request)
    assert forwarded.uri == talk.alice.uri
    assert talk.alice.told_by(talk.leg) == [Answered(b"answer of bob"), Ended(by_peer=True, reason="BYE")]
    talk.finish()


@pytest.mark.rfc("5658-3.3")
@pytest.mark.parametrize(("one", "other"), [("UDP", "TCP"), ("TCP", "UDP")])
def test_between_transports_each_side_gets_a_route_of_its_own(one: str, other: str) -> None:
    talk = Talk(one, other)
    routes = talk.invite.values("Record-Route")
    transports = ["TCP" if "transport=tcp" in route else "UDP" for route in routes]
    assert transports == [other, one], "the callee's side on top"
    for phone, transport in ((talk.alice, one), (talk.bob, other)):
        talk.within(phone, "INFO")
        assert talk.network.packets("INFO", by=phone.address)[0].flow.transport == transport
    for packet in talk.network.packets("INFO", by=NODE_ADDRESS):
        assert packet.message.values("Route") == [], "both of ours are taken off"
    assert [type(event) for _, event in talk.bob.told][-1] is InfoReceived
    talk.leg.hang_up()
    talk.finish()


@pytest.mark.rfc("3261-13.2.2.4")
@pytest.mark.rfc("3261-16.11")
def test_the_ack_to_an_answer_is_passed_on_exactly_once() -> None:
    talk = Talk()
    assert len(talk.network.packets("ACK", by=talk.alice.address)) == 1
    (ack,) = talk.network.packets("ACK", by=NODE_ADDRESS)
    assert ack.flow.remote == talk.bob.address
    assert ack.message.get("Max-Forwards") == "69"
    assert len(ack.message.values("Via")) == 2
    talk.leg.hang_up()
    talk.finish()


def test_the_ack_of_a_forked_call_goes_to_the_one_that_answered() -> None:
    network = Network()
    site = Site(network)
    alice, desk = site.phone("alice"), site.phone("bob")
    mobile = Phone(network, "bob", proxy=NODE_ADDRESS)
    mobile.register()
    network.run(1)
    mobile.on_call = lambda call: call.progress()
    desk.on_call = lambda call: network.call_later(1.0, lambda: call.answer(b"at the desk"))
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(5)
    assert [type(event) for event in alice.told_by(leg)] == [Ringing, Answered]
    acks = [packet for packet in network.packets("ACK", by=NODE_ADDRESS) if packet.message.to.tag]
    to_2xx = [packet for packet in acks if len(packet.message.values("Via")) == 2]
    assert [packet.flow.remote for packet in to_2xx] == [desk.address]
    reason = 'SIP;cause=200;text="Call completed elsewhere"'
    assert [event for _, event in mobile.told] == [Ended(by_peer=True, reason=reason)]
    leg.hang_up()
    network.run()
    for idle in (site, alice, desk, mobile):
        idle.assert_idle()


@pytest.mark.rfc("3261-16.4")
@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE"])
@pytest.mark.parametrize("what", ["token", "no token", "other call"])
def test_a_route_that_we_did_not_make_is_refused(method: str, what: str) -> None:
    talk = Talk()

    def forge(request: Request) -> None:
        route = request.require("Route")
        token = route.partition(":")[2].partition("@")[0]
        if what == "token":
            request.set("Route", route.replace(token, "0123456789abcdef"))
        elif what == "no token":
            request.set("Route", route.replace(f"{token}@", ""))
        else:
            request.set("Call-ID", "another")

    before = len(talk.network.packets(method, by=NODE_ADDRESS))
    talk.within(talk.alice, method, forge)
    assert talk.alice.statuses[-1] == 403
    assert len(talk.network.packets(method, by=NODE_ADDRESS)) == before
    talk.leg.hang_up()
    talk.finish()


@pytest.mark.rfc("3261-16.4")
def test_a_forged_ack_goes_nowhere() -> None:
    talk = Talk()
    before = talk.site.endpoint.dropped["stray ACK"]
    for headers in (
        [("Route", f"<sip:ffff@{format_address(NODE_ADDRESS)};lr>")],
        [],
        [("Route", "<sip:elsewhere.ims.example;lr>")],
        [("Route", "<sip:broken")],
        [("Max-Forwards", "x")],
    ):
        data = request_bytes(
            "ACK",
            branch="z9hG4bKack",
            to="<sip:bob@ims.example>;tag=x",
            headers=headers,
            without=["Max-Forwards"] if "x" in dict(headers).values() else [],
        )
        talk.site.node.receive(data, talk.alice.flow(NODE_ADDRESS)._replace(local=NODE_ADDRESS))
    assert talk.site.endpoint.dropped["stray ACK"] == before + 5
    assert len(talk.network.packets("ACK", by=NODE_ADDRESS)) == 1
    talk.leg.hang_up()
    talk.finish()


@pytest.mark.rfc("3261-16.12")
def test_a_route_beyond_ours_is_followed() -> None:
    talk = Talk()
    beyond = Party(talk.network, "beyond", answers=(200,))
    hop = f"<sip:{format_address(beyond.address)};lr>"

    def extend(request: Request) -> None:
        routes = request.values("Route")
        request.remove("Route")
        for route in (*routes, hop):
            request.add("Route", route)

    talk.within(talk.alice, "INFO", extend)
    (event,) = beyond.requests
    assert event.request.values("Route") == [hop]
    assert event.request.uri == talk.bob.uri
    talk.leg.hang_up()
    talk.finish()


def test_a_reinvite_goes_through() -> None:
    talk = Talk()
    talk.within(talk.alice, "INVITE", lambda request: request.add("Contact", f"<{talk.alice.uri}>"))
    talk.bob.incoming[0].accept_offer(b"answer again")
    talk.network.run(0.1)
    assert talk.alice.statuses[-1] == 200
    talk.leg.hang_up()
    talk.finish()


@pytest.mark.rfc("3261-16.10")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_caller_who_gives_up_through_the_proxy(transport: str) -> None:
    network = Network()
    site = Site(network)
    alice, bob = site.phone("alice", transport=transport), site.phone("bob")
    bob.on_call = lambda call: call.progress()
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(1)
    leg.hang_up()
    network.run()
    assert [event for _, event in bob.told] == [Ended(by_peer=True, reason="CANCEL")]
    assert network.wire(by=NODE_ADDRESS).count("487 INVITE") == 1
    for idle in (site, alice, bob):
        idle.assert_idle()


@pytest.mark.rfc("3261-16.8")
def test_a_callee_that_has_vanished_is_told_to_the_caller_as_408() -> None:
    network = Network()
    site = Site(network)
    alice, bob = site.phone("alice"), site.phone("bob")
    network.detach(bob)
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(33)
    assert alice.told_by(leg) == [Rejected(408, "Request Timeout")]
    network.run()
    site.assert_idle()
    alice.assert_idle()


def test_the_loss_of_a_stream_while_it_rings_does_not_leave_anything() -> None:
    network = Network()
    site = Site(network)
    alice, bob = site.phone("alice"), site.phone("bob", transport="TCP")
    bob.on_call = lambda call: call.progress()
    leg = alice.call("sip:bob@ims.example", sdp=b"offer")
    network.run(1)
    flow = bob.requests[-1].flow
    network.detach(bob)
    site.node.connection_failed(flow._replace(local=NODE_ADDRESS, remote=bob.address))
    assert site.location.bindings("sip:bob@ims.example") == (), "nobody listens at its end of the connection"
    leg.hang_up()
    network.run()
    site.assert_idle()
    alice.assert_idle()


def _packets_to(network: Network, phone: Phone) -> list[Packet]:
    return [packet for packet in network.sent if packet.flow.remote == phone.address]


def test_only_those_who_are_concerned_get_anything() -> None:
    talk = Talk()
    carol = talk.site.phone("carol")
    before = len(_packets_to(talk.network, carol))
    talk.leg.hang_up()
    talk.finish()
    assert len(_packets_to(talk.network, carol)) == before
    assert not [event for event in carol.events if isinstance(event, RequestReceived | AckReceived)]
