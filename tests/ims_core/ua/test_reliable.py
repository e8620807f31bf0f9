"""Reliable provisional responses in both directions (RFC 3262), and what UPDATE does before the answer (RFC 3311)."""

import pytest

from ims_core.errors import LocalProtocolError
from ims_core.messages.message import Request, Response
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session import INVITED
from ims_core.ua.session_events import (
    Acknowledged,
    Answered,
    EarlyAnswered,
    Ended,
    Reanswered,
    Rejected,
    Reoffered,
    Ringing,
    SessionEvent,
)
from tests.kit import Network, Pair, Phone, request_bytes, response_bytes

REQUIRED = (("Require", "100rel"),)
PEER = ("198.51.100.77", 5060)


def ringing(*, sdp: bytes = b"offer", headers: tuple[tuple[str, str], ...] = (), takes_offers: bool = False) -> Pair:
    p = Pair(takes_offers=takes_offers)
    p.call(sdp=sdp, answer=None, headers=headers)
    return p


def provisional(p: Pair, status: int) -> list[Response]:
    return [packet.message for packet in p.network.packets(f"{status} INVITE")]  # type: ignore[misc]


# We answer --------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3262-3", "3262-4")
def test_a_caller_who_requires_it_gets_every_response_reliably_and_acknowledges_it() -> None:
    p = ringing(headers=REQUIRED)
    p.peer.progress(183, b"answer")
    p.network.run(0.1)
    p.peer.answer(b"")
    p.network.run(0.1)
    first, second = provisional(p, 180)[0], provisional(p, 183)[0]
    assert [message.require("Require") for message in (first, second)] == ["100rel", "100rel"]
    assert "100" in p.network.wire()[1]
    assert "RSeq" not in p.network.packets("100 INVITE")[0].message
    number = int(first.require("RSeq"))
    assert 1 <= number < 2**31
    assert int(second.require("RSeq")) == number + 1
    pracks = [packet.message for packet in p.network.packets("PRACK")]
    assert [prack.require("RAck") for prack in pracks] == [f"{number} 1 INVITE", f"{number + 1} 1 INVITE"]
    assert [prack.cseq.number for prack in pracks] == [2, 3]
    assert p.network.wire().count("200 PRACK") == 2
    (ok,) = p.network.packets("200 INVITE")
    assert ok.message.body == b"", "the answer was given"
    assert p.network.packets("ACK")[0].message.cseq.number == 1
    assert p.alice.told_by(p.leg) == [Ringing(180, b"", True), Ringing(183, b"answer", True), Answered(b"answer")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_a_caller_who_supports_it_gets_a_description_reliably_and_plain_ringing_not() -> None:
    p = ringing()
    p.peer.progress(183, b"answer")
    p.network.run(0.1)
    assert "RSeq" not in provisional(p, 180)[0]
    assert "RSeq" in provisional(p, 183)[0]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_a_caller_who_does_not_know_it_gets_nothing_reliably() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress(183, b"early")
    bob.receive(request_bytes(headers=[("Content-Type", "application/sdp")], body=b"offer"), bob.flow(PEER))
    network.flush()
    (packet,) = network.packets("183 INVITE")
    assert "RSeq" not in packet.message
    assert packet.message.body == b"early"
    bob.incoming[0].answer(b"early")
    network.flush()
    assert network.packets("200 INVITE")[0].message.body == b"early", "what was shown before is said again"


@pytest.mark.rfc("3262-3")
def test_without_prack_it_is_repeated_at_doubled_intervals_and_the_call_fails() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK"
    p.call(answer=None, headers=REQUIRED)
    p.network.run(40)
    start, *_ = times = p.network.times("180 INVITE")
    assert [round(at - start, 6) for at in times] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert len({packet.data for packet in p.network.packets("180 INVITE")}) == 1
    assert round(p.network.times("504 INVITE")[0] - start, 6) == 32.0
    assert p.bob.told_by(p.peer) == [Ended(by_peer=False, reason="No PRACK")]
    assert p.alice.told_by(p.leg) == [Ringing(180, b"", True), Rejected(504, "Server Time-out")]
    p.finish()


@pytest.mark.rfc("3262-4")
def test_a_repeated_response_is_told_and_acknowledged_once() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 3
    p.call(answer=None, headers=REQUIRED)
    p.network.run(10)
    assert len(p.network.packets("180 INVITE")) == 4
    assert len({packet.message.via.branch for packet in p.network.packets("PRACK")}) == 1
    assert p.alice.told_by(p.leg) == [Ringing(180, b"", True)]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_one_is_on_its_way_at_a_time() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None, headers=REQUIRED)
    p.peer.progress(181)
    p.peer.progress(182)
    p.network.run(0.5)
    assert "181 INVITE" not in p.network.wire()
    p.network.run(2)
    assert [event.status for event in p.alice.told_by(p.leg) if isinstance(event, Ringing)] == [180, 181, 182]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_the_200_waits_for_the_prack_of_a_description() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None)
    p.peer.progress(183, b"answer")
    p.peer.answer(b"answer")
    with pytest.raises(LocalProtocolError):
        p.peer.answer(b"again")
    p.network.run(0.7)
    assert "200 INVITE" not in p.network.wire()
    assert p.peer.state == INVITED
    p.network.run(2)
    wire = p.network.wire()
    assert wire.index("200 INVITE") > wire.index("200 PRACK")
    assert p.alice.told_by(p.leg)[-1] == Answered(b"answer")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_the_200_does_not_wait_for_a_response_without_description_whose_prack_is_still_taken() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None, headers=REQUIRED)
    p.peer.answer(b"answer")
    p.network.run(0.4)
    assert "200 INVITE" in p.network.wire()
    repeated = len(p.network.packets("180 INVITE"))
    p.network.run(5)
    assert len(p.network.packets("180 INVITE")) == repeated, "it is not repeated any more"
    assert p.network.wire().count("200 PRACK") == 1
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-3")
def test_no_reliable_response_follows_the_final_one() -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None, headers=REQUIRED)
    p.peer.progress(181)
    p.peer.answer(b"answer")
    p.network.run(5)
    assert "181 INVITE" not in p.network.wire()
    p.leg.hang_up()
    p.finish()


@pytest.mark.parametrize("ends_by", ["reject", "cancel", "bye"])
def test_a_call_that_ends_while_its_200_waits_for_a_prack(ends_by: str) -> None:
    p = Pair()
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None)
    p.peer.progress(183, b"answer")
    p.peer.answer(b"answer")
    p.network.run(0.1)
    if ends_by == "reject":
        p.peer.hang_up()
    elif ends_by == "cancel":
        p.leg.hang_up()
    else:
        dialog = p.leg.forks[p.peer.dialog_id[1]].dialog
        p.alice.endpoint.request(dialog.request("BYE"), p.alice.flow(p.bob), None)
    p.finish()
    assert "200 INVITE" not in p.network.wire()
    assert ("480 INVITE" if ends_by == "reject" else "487 INVITE") in p.network.wire()


def early_call(network: Network, *, headers: tuple[tuple[str, str], ...] = REQUIRED, body: bytes = b"offer") -> Phone:
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress(183, b"of bob")
    kind = (("Content-Type", "application/sdp"),) if body else ()
    bob.receive(request_bytes(headers=(*headers, *kind), body=body), bob.flow(PEER))
    network.flush()
    return bob


def send(bob: Phone, method: str, cseq: int, *, body: bytes = b"", **fields: str) -> list[Response]:
    """A request in the early dialog, written by hand; returns the new responses to it."""
    before = len(bob.network.sent)
    headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
    kind = [("Content-Type", "application/sdp")] if body else []
    to = f"<sip:bob@ims.example>;tag={bob.incoming[0].dialog_id[1]}"
    data = request_bytes(method, branch=f"z9hG4bK{method}{cseq}", to=to, cseq=cseq, headers=headers + kind, body=body)
    bob.receive(data, bob.flow(PEER))
    bob.network.flush()
    return [p.message for p in bob.network.sent[before:] if p.summary.endswith(f" {method}")]  # type: ignore[misc]


def rack(bob: Phone, offset: int = 0, tail: str = "1 INVITE") -> str:
    rseq = int(bob.network.packets("183 INVITE")[0].message.require("RSeq"))
    return f"{rseq + offset} {tail}"


@pytest.mark.rfc("3262-3")
@pytest.mark.parametrize(("offset", "tail"), [(1, "1 INVITE"), (-1, "1 INVITE"), (0, "2 INVITE"), (0, "1 UPDATE")])
def test_a_prack_for_no_response_of_ours_gets_481(offset: int, tail: str) -> None:
    bob = early_call(Network())
    assert [reply.status for reply in send(bob, "PRACK", 2, RAck=rack(bob, offset, tail))] == [481]
    assert [reply.status for reply in send(bob, "PRACK", 3, RAck=rack(bob))] == [200]
    assert [reply.status for reply in send(bob, "PRACK", 4, RAck=rack(bob))] == [481], "it is acknowledged already"


@pytest.mark.rfc("3262-7.2")
@pytest.mark.parametrize(
    "value", ["", "1", "1 1", "x 1 INVITE", "1 INVITE 1", "99999999999 1 INVITE", "\u0661 1 INVITE"]
)
def test_a_prack_that_cannot_be_read_gets_400(value: str) -> None:
    bob = early_call(Network())
    assert [reply.status for reply in send(bob, "PRACK", 2, RAck=value)] == [400]


def test_a_prack_where_nothing_was_sent_reliably_gets_481() -> None:
    p = ringing()
    fork = p.leg.forks[p.peer.dialog_id[1]]
    prack = fork.dialog.request("PRACK")
    prack.add("RAck", "1 1 INVITE")
    p.alice.endpoint.request(prack, p.alice.flow(p.bob), None)
    p.network.run(0.1)
    assert "481 PRACK" in p.network.wire()
    p.leg.hang_up()
    p.finish()


# Offers and answers -----------------------------------------------------------------------------------------------


@pytest.mark.rfc("3262-5")
def test_an_offer_in_a_prack_is_answered_by_its_200() -> None:
    bob = early_call(Network())
    call = bob.incoming[0]
    assert send(bob, "PRACK", 2, RAck=rack(bob), body=b"second offer") == []
    assert bob.told_by(call) == [Reoffered(b"second offer")]
    call.answer(b"")
    bob.network.flush()
    assert "200 INVITE" not in bob.network.wire(), "an offer is open"
    call.accept_offer(b"second answer")
    bob.network.flush()
    assert bob.network.packets("200 PRACK")[0].message.body == b"second answer"
    assert bob.network.packets("200 INVITE")[0].message.body == b""


@pytest.mark.rfc("3262-5")
def test_without_offer_in_the_invite_the_first_reliable_response_makes_it_and_the_prack_answers() -> None:
    p = ringing(sdp=b"")
    p.peer.progress(183, b"offer of bob")
    p.network.run(0.1)
    assert p.alice.told_by(p.leg)[-1] == Ringing(183, b"offer of bob", True)
    assert "PRACK" not in p.network.wire(), "its answer is the owner's to give"
    p.leg.acknowledge(b"answer of alice")
    p.leg.acknowledge(b"never mind")
    p.network.run(0.1)
    assert [packet.message.body for packet in p.network.packets("PRACK")] == [b"answer of alice"]
    assert p.bob.told_by(p.peer) == [EarlyAnswered(b"answer of alice")]
    p.peer.answer(b"")
    p.network.run(0.1)
    assert p.network.packets("200 INVITE")[0].message.body == b""
    assert p.network.packets("ACK")[0].message.body == b""
    assert p.bob.told_by(p.peer)[1:] == [Acknowledged(b"")]
    assert (p.leg.local_sdp, p.peer.remote_sdp) == (b"answer of alice", b"answer of alice")
    assert (p.leg.remote_sdp, p.peer.local_sdp) == (b"offer of bob", b"offer of bob")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3262-5")
def test_a_prack_that_owes_an_answer_and_brings_none_gets_400() -> None:
    bob = early_call(Network(), body=b"")
    assert [reply.status for reply in send(bob, "PRACK", 2, RAck=rack(bob))] == [400]
    assert [reply.status for reply in send(bob, "PRACK", 3, RAck=rack(bob), body=b"answer")] == [200]


@pytest.mark.rfc("3261-13.2.1", "3262-5")
def test_a_required_reliable_response_to_an_invite_without_offer_waits_for_ours() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = IncomingCall.progress
    bob.receive(request_bytes(headers=REQUIRED), bob.flow(PEER))
    network.flush()
    assert network.wire() == ["100 INVITE"], "the first reliable one must carry the offer"
    bob.incoming[0].progress(183, b"offer")
    network.flush()
    assert network.wire() == ["100 INVITE", "183 INVITE"]


@pytest.mark.rfc("3261-13.2.1")
def test_an_unreliable_response_makes_no_offer() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress(183, b"offer")
    bob.receive(request_bytes(), bob.flow(PEER))
    network.flush()
    assert network.packets("183 INVITE")[0].message.body == b""


# UPDATE before the answer -----------------------------------------------------------------------------------------


@pytest.mark.rfc("3311-5.1", "3311-5.2")
@pytest.mark.parametrize("by_caller", [True, False])
def test_an_early_session_is_changed_by_update(by_caller: bool) -> None:
    p = ringing(takes_offers=True)
    p.peer.progress(183, b"first answer")
    p.network.run(0.1)
    ours, theirs = (p.leg, p.peer) if by_caller else (p.peer, p.leg)
    ours.update(b"changed")
    p.network.run(0.1)
    phone, other = (p.alice, p.bob) if by_caller else (p.bob, p.alice)
    answer = p.network.packets("200 UPDATE")[0].message.body
    assert phone.told_by(ours)[-1] == Reanswered(answer)
    assert other.told_by(theirs)[-1] == Reoffered(b"changed")
    p.peer.answer(b"")
    p.network.run(0.1)
    assert p.alice.told_by(p.leg)[-1] == Answered(answer if by_caller else b"changed"), "the session as it stands"
    assert p.leg.local_sdp == p.peer.remote_sdp
    assert p.leg.remote_sdp == p.peer.local_sdp
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.1")
def test_the_callee_offers_nothing_before_its_answer_was_acknowledged() -> None:
    p = Pair(takes_offers=True)
    p.network.drop = lambda packet: packet.summary == "PRACK" and packet.at < 1
    p.call(answer=None)
    p.peer.progress(183, b"answer")
    p.peer.update(b"changed")
    p.network.run(0.7)
    assert "UPDATE" not in p.network.wire()
    p.network.run(2)
    wire = p.network.wire()
    assert wire.index("UPDATE") > wire.index("200 PRACK")
    assert p.bob.told_by(p.peer)[-1] == Reanswered(p.leg.forks[p.peer.dialog_id[1]].local_sdp)
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.2")
def test_an_early_offer_by_update_before_ours_was_answered_gets_500_and_after_it_goes_through() -> None:
    bob = early_call(Network())
    call = bob.incoming[0]
    (reply,) = send(bob, "UPDATE", 2, body=b"too soon", Contact="<sip:alice@198.51.100.77>")
    assert (reply.status, int(reply.require("Retry-After")) <= 10) == (500, True)
    assert [reply.status for reply in send(bob, "PRACK", 3, RAck=rack(bob))] == [200]
    assert send(bob, "UPDATE", 4, body=b"now") == []
    assert bob.told_by(call) == [Reoffered(b"now")]
    call.accept_offer(b"answer")
    bob.network.flush()
    assert bob.network.packets("200 UPDATE")[0].message.body == b"answer"


@pytest.mark.rfc("3311-5.2")
def test_an_early_offer_by_update_while_the_callees_offer_is_open_gets_491() -> None:
    bob = early_call(Network(), body=b"")
    assert [reply.status for reply in send(bob, "UPDATE", 2, body=b"glare")] == [491]


# The caller, with a callee written by hand ------------------------------------------------------------------------


class Caller:
    """Alice, and callees who say what the test wants."""

    def __init__(self, sdp: bytes = b"offer") -> None:
        self.network = Network()
        self.alice = Phone(self.network, "alice")
        self.leg = self.alice.call("sip:bob@198.51.100.77", sdp=sdp)
        self.network.flush()
        message = self.network.packets("INVITE")[0].message
        assert isinstance(message, Request)
        self.invite = message

    def hear(self, status: int, *, tag: str = "b1", body: bytes = b"", contact: bool = True, **fields: str) -> None:
        headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
        if contact:
            headers.append(("Contact", f"<sip:{tag}@198.51.100.77>"))
        if body:
            headers.append(("Content-Type", "application/sdp"))
        data = response_bytes(self.invite, status, to_tag=tag, headers=headers, body=body)
        self.alice.receive(data, self.alice.flow(PEER))
        self.network.flush()

    def reliable(self, rseq: int, *, tag: str = "b1", body: bytes = b"", status: int = 183) -> None:
        self.hear(status, tag=tag, body=body, Require="100rel", RSeq=str(rseq))

    @property
    def pracks(self) -> list[tuple[str, str]]:
        return [(p.message.to.tag, p.message.require("RAck")) for p in self.network.packets("PRACK")]

    @property
    def told(self) -> list[SessionEvent]:
        return self.alice.told_by(self.leg)


@pytest.mark.rfc("3262-4")
def test_responses_out_of_order_are_neither_told_nor_acknowledged() -> None:
    c = Caller()
    c.reliable(7)
    c.reliable(9)
    assert c.pracks == [("b1", "7 1 INVITE")]
    c.reliable(8)
    c.reliable(9)
    assert c.pracks == [("b1", "7 1 INVITE"), ("b1", "8 1 INVITE"), ("b1", "9 1 INVITE")]
    assert c.told == [Ringing(183, b"", True)] * 3


@pytest.mark.rfc("3262-4", "3261-12.1.2")
def test_each_fork_has_its_own_dialog_numbers_and_session() -> None:
    c = Caller()
    c.reliable(10, tag="b1", body=b"of one")
    c.reliable(500, tag="b2", body=b"of two")
    c.reliable(11, tag="b1")
    assert c.pracks == [("b1", "10 1 INVITE"), ("b2", "500 1 INVITE"), ("b1", "11 1 INVITE")]
    assert [packet.message.cseq.number for packet in c.network.packets("PRACK")] == [2, 2, 3]
    assert {tag: fork.remote_sdp for tag, fork in c.leg.forks.items()} == {"b1": b"of one", "b2": b"of two"}
    assert c.leg.is_of("b1")
    assert c.leg.is_of("b2")
    assert not c.leg.is_of("b3")
    assert c.alice.ua.find(*c.leg.dialog_id, "b2") is c.leg
    c.hear(200, tag="b2")
    assert c.told[-1] == Answered(b"of two")
    assert c.leg.remote_sdp == b"of two"
    ack = c.network.packets("ACK")[0].message
    assert (ack.to.tag, ack.cseq.number) == ("b2", 1)
    assert not c.leg.is_of("b1")


@pytest.mark.rfc("3261-13.2.2.4")
def test_the_200_of_another_fork_is_acknowledged_and_ended_after_its_pracks() -> None:
    c = Caller()
    c.reliable(10, tag="b1")
    c.hear(200, tag="b2", body=b"answer")
    c.hear(200, tag="b1", body=b"late")
    assert c.told[-1] == Answered(b"answer")
    (bye,) = c.network.packets("BYE")
    assert (bye.message.to.tag, bye.message.cseq.number) == ("b1", 3), "its PRACK was number 2"
    assert {packet.message.to.tag for packet in c.network.packets("ACK")} == {"b1", "b2"}


@pytest.mark.rfc("6228-4")
def test_a_199_ends_the_early_dialog_of_its_fork_only() -> None:
    c = Caller()
    c.reliable(10, tag="b1")
    c.hear(180, tag="b2")
    c.reliable(11, tag="b1", status=199)
    assert (c.leg.is_of("b1"), c.leg.is_of("b2")) == (False, True)
    assert c.pracks[-1] == ("b1", "11 1 INVITE"), "a reliable 199 is acknowledged like any other"
    assert [event.status for event in c.told if isinstance(event, Ringing)] == [183, 180]


@pytest.mark.rfc("3261-13.2.2.4")
def test_the_route_of_the_dialog_is_that_of_the_200() -> None:
    c = Caller()
    c.hear(183, Require="100rel", RSeq="1", Record_Route="<sip:early@198.51.100.9;lr>")
    c.hear(200, body=b"answer", Record_Route="<sip:late@198.51.100.8;lr>")
    assert c.leg.dialog is not None
    assert c.leg.dialog.route_set == ["<sip:late@198.51.100.8;lr>"]
    assert c.leg.dialog.local_cseq == 2


@pytest.mark.parametrize(
    "fields", [{"RSeq": "0"}, {"RSeq": "x"}, {"RSeq": ""}, {"RSeq": "99999999999"}, {"RSeq": "1", "contact": False}]
)
def test_a_reliable_response_that_cannot_be_acknowledged_is_passed_over(fields: dict[str, object]) -> None:
    c = Caller()
    c.hear(183, Require="100rel", **fields)  # type: ignore[arg-type]
    assert (c.pracks, c.told) == ([], [])
    c.hear(200, body=b"answer")
    assert c.told == [Answered(b"answer")]


def test_a_number_without_require_is_no_reliable_response() -> None:
    c = Caller()
    c.hear(183, RSeq="7")
    assert (c.pracks, c.told) == ([], [Ringing(183, b"")])


def test_a_caller_who_hangs_up_at_the_ringing_still_acknowledges() -> None:
    c = Caller()
    c.leg.on_event = lambda _: c.leg.hang_up()
    c.reliable(1)
    assert c.network.wire()[-2:] == ["CANCEL", "PRACK"]


@pytest.mark.rfc("3261-12.2.2")
def test_an_unknown_fork_has_no_early_dialog_and_none_may_say_bye() -> None:
    c = Caller()
    c.reliable(1)
    for method, tag, status in (("UPDATE", "b9", 400), ("BYE", "b1", 400), ("INVITE", "b1", 491)):
        before = len(c.network.sent)
        from_, to = f"<sip:bob@ims.example>;tag={tag}", c.invite.require("From")
        data = request_bytes(method, branch=f"z9hG4bK{method}", from_=from_, to=to, call_id=c.invite.call_id, cseq=10)
        c.alice.receive(data, c.alice.flow(PEER))
        c.network.flush()
        assert [packet.summary for packet in c.network.sent[before:]] == [f"{status} {method}"]


def test_the_forks_of_a_call_that_are_kept_are_bounded() -> None:
    c = Caller()
    for number in range(100):
        c.hear(180, tag=f"b{number}")
    assert len(c.leg.forks) == 32
    assert len(c.told) == 100
    c.hear(200, tag="b99", body=b"answer")
    assert c.told[-1] == Answered(b"answer"), "who answers has a dialog in any case"


def test_an_early_change_of_a_fork_that_did_not_answer_comes_to_nothing() -> None:
    c = Caller()
    c.reliable(1, tag="b1", body=b"of one")
    c.leg.update(b"changed")
    c.network.flush()
    c.hear(200, tag="b2", body=b"of two")
    assert c.told[-1] == Answered(b"of two")
    assert c.leg.local_sdp == b"offer"
    c.leg.reinvite(b"another")
    c.network.flush()
    assert c.network.packets("INVITE")[-1].message.to.tag == "b2"
