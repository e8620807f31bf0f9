"""Calls between two phones in memory, and with a peer written by hand where it must misbehave."""

import pytest

from ims_core.errors import LocalProtocolError, NotAcceptableHere
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.transactions.endpoint import RequestReceived
from ims_core.ua.description import SDP
from ims_core.ua.early import MOST_FORKS
from ims_core.ua.session_events import Acknowledged, Answered, Ended, InfoReceived, Rejected, Reoffered, Ringing
from tests.kit import Network, Packet, Pair, Party, Phone, request_bytes, response_bytes

T1_64 = 32.0


def pair(transport: str = "UDP") -> Pair:
    return Pair(transport)


# The good way -----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-13")
@pytest.mark.rfc("3261-15.1")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("by_caller", [True, False])
def test_a_call_with_the_offer_in_the_invite(transport: str, by_caller: bool) -> None:
    p = pair(transport)
    p.call()
    assert p.peer.offer == b"offer"
    assert p.alice.told_by(p.leg) == [Answered(b"answer")]
    assert p.bob.told_by(p.peer) == [Acknowledged(b"")]
    (p.leg if by_caller else p.peer).hang_up((("Reason", "Q.850;cause=16"),))
    p.network.run(0.1)
    assert p.network.wire() == ["INVITE", "100 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    told = p.bob.told_by(p.peer) if by_caller else p.alice.told_by(p.leg)
    assert told[-1] == Ended(by_peer=True, reason="Q.850;cause=16")
    p.finish()
    assert len(p.alice.told) == (1 if by_caller else 2), "who hangs up is told nothing more"
    assert len(p.bob.told) == (2 if by_caller else 1)


@pytest.mark.rfc("3261-13.2.1")
@pytest.mark.rfc("3261-13.2.2.4")
def test_a_call_with_the_offer_in_the_200_and_the_answer_in_the_ack() -> None:
    p = pair()
    p.call(sdp=b"", answer=b"offer of bob")
    assert p.peer.offer == b""
    assert p.alice.told_by(p.leg) == [Answered(b"offer of bob")]
    assert "ACK" not in p.network.wire()
    p.network.run(1)
    assert p.network.wire().count("200 INVITE") == 2, "it is repeated while alice thinks"
    p.leg.acknowledge(b"answer of alice")
    p.leg.acknowledge(b"never mind")
    p.network.run(0.1)
    assert p.bob.told_by(p.peer) == [Acknowledged(b"answer of alice")]
    assert p.network.wire().count("ACK") == 1
    assert p.alice.told_by(p.leg) == [Answered(b"offer of bob")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-13.2.2.4")
def test_hanging_up_before_answering_an_offer_sends_ack_and_bye() -> None:
    p = pair()
    p.call(sdp=b"", answer=b"offer of bob")
    p.leg.hang_up()
    p.network.run(0.1)
    assert p.network.wire()[-3:] == ["ACK", "BYE", "200 BYE"]
    p.finish()


@pytest.mark.rfc("3261-13.3.1.1")
def test_ringing_and_early_media_are_told() -> None:
    p = pair()
    p.call(answer=None)
    p.peer.progress(183, b"answer")
    p.network.run(0.1)
    assert p.alice.told_by(p.leg) == [Ringing(180, b""), Ringing(183, b"answer", reliable=True)]
    p.peer.answer(b"answer")
    p.network.run(0.1)
    assert p.alice.told_by(p.leg)[-1] == Answered(b"answer")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-12.1.1")
@pytest.mark.parametrize("status", [180, 183, 200])
def test_what_establishes_a_dialog_carries_contact_and_the_recorded_route(status: int) -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress(status) if status < 200 else call.answer(b"answer")
    routes = ["<sip:p1.ims.example;lr>, <sip:p2.ims.example;lr>", "<sip:p3.ims.example;lr>"]
    peer = ("198.51.100.77", 5060)
    bob.receive(request_bytes(headers=[("Record-Route", value) for value in routes]), bob.flow(peer))
    network.flush()
    (packet,) = network.packets(f"{status} INVITE")
    assert packet.message.whole_values("Record-Route") == routes
    assert packet.message.contact is not None
    assert packet.message.contact.uri_text == "sip:bob@198.51.100.1:5060"
    assert packet.message.to.tag
    (trying,) = network.packets("100 INVITE")
    assert trying.message.to.tag == ""


@pytest.mark.parametrize("to", ["<urn:service:sos>", "<sip:bob@ims.example>;x=1", "sip:bob@ims.example", "<tel:10001>"])
def test_a_to_of_any_scheme_can_be_answered(to: str) -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.receive(request_bytes(to=to), bob.flow(("198.51.100.77", 5060)))
    network.flush()
    assert network.wire() == ["100 INVITE", "200 INVITE"]
    response = network.packets("200 INVITE")[0].message
    assert response.get("To") == f"{to};tag={response.to.tag}"


@pytest.mark.rfc("3261-13.3.1.3")
@pytest.mark.parametrize(
    ("status", "reason"), [(486, "Busy Here"), (600, "Busy Everywhere"), (302, "Moved"), (480, "-")]
)
def test_a_refusal_is_told_once(status: int, reason: str) -> None:
    p = pair()
    p.bob.on_call = lambda call: call.reject(status, reason)
    leg = p.alice.call(p.bob.uri, sdp=b"offer")
    p.finish()
    assert p.alice.told_by(leg) == [Rejected(status, reason)]
    assert p.bob.told == []


def test_hanging_up_an_unanswered_incoming_call_refuses_it() -> None:
    p = pair()
    p.call(answer=None)
    p.peer.hang_up((("Reason", "Q.850;cause=19"),))
    p.finish()
    assert p.alice.told_by(p.leg) == [Ringing(180, b""), Rejected(480, "Temporarily Unavailable")]
    assert p.network.packets("480 INVITE")[0].message.get("Reason") == "Q.850;cause=19"


def test_what_comes_too_late_is_refused_or_ignored() -> None:
    p = pair()
    p.call()
    with pytest.raises(LocalProtocolError):
        p.peer.answer(b"again")
    sent = len(p.network.sent)
    p.peer.reject(486)
    p.peer.progress()
    p.network.flush()
    assert len(p.network.sent) == sent
    p.peer.hang_up()
    p.peer.hang_up()
    p.leg.hang_up()
    with pytest.raises(LocalProtocolError):
        p.peer.answer(b"again")
    p.finish()
    assert p.network.wire().count("BYE") <= 2


@pytest.mark.rfc("3261-8.1.3.1")
@pytest.mark.parametrize(
    ("transport", "after", "expected"),
    [("UDP", 32.0, Rejected(408, "No answer")), ("TCP", 0.001, Rejected(503, "Cannot be reached"))],
)
def test_nobody_there(transport: str, after: float, expected: Rejected) -> None:
    network = Network()
    alice = Phone(network, "alice")
    leg = alice.call(f"sip:bob@203.0.113.200;transport={transport.lower()}", sdp=b"offer")
    network.run(after)
    assert alice.told_by(leg) == [expected]
    network.run()
    alice.assert_idle()


# The ACK ----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-13.3.1.4")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_200_without_ack_is_repeated_then_the_call_ends_by_bye(transport: str) -> None:
    p = pair(transport)
    p.network.drop = lambda packet: packet.summary == "ACK"
    p.call()
    p.network.run(60)
    start, *_ = times = p.network.times("200 INVITE")
    repeated = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert [round(at - start, 6) for at in times] == repeated
    assert len(p.network.packets("ACK")) == len(times), "alice answers each"
    assert len({packet.data for packet in p.network.packets("ACK")}) == 1
    assert p.alice.told_by(p.leg)[0] == Answered(b"answer")
    assert isinstance(p.alice.told_by(p.leg)[1], Ended)
    assert p.bob.told_by(p.peer) == [Ended(by_peer=False, reason="No ACK")]
    assert [round(at - start, 6) for at in p.network.times("BYE")] == [T1_64]
    p.finish()


@pytest.mark.rfc("3261-13.3.1.4")
def test_the_ack_stops_the_repetition() -> None:
    p = pair()
    lost: list[Packet] = []

    def drop(packet: Packet) -> bool:
        if packet.summary == "ACK" and len(lost) < 2:
            lost.append(packet)
            return True
        return False

    p.network.drop = drop
    p.call()
    p.network.run(20)
    assert len(p.network.packets("200 INVITE")) == 3
    assert p.bob.told_by(p.peer) == [Acknowledged(b"")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-15")
def test_the_callee_waits_for_the_ack_before_it_says_bye() -> None:
    p = pair()
    p.network.drop = lambda packet: packet.summary == "ACK" and packet.at < 1.0
    p.call()
    p.peer.hang_up((("Reason", "SIP;cause=480"),))
    assert "BYE" not in p.network.wire()
    p.network.run(5)
    assert p.network.wire()[-3:] == ["ACK", "BYE", "200 BYE"]
    assert p.network.packets("BYE")[0].message.get("Reason") == "SIP;cause=480"
    p.finish()
    assert p.bob.told_by(p.peer) == [], "who hung up is told nothing more"


@pytest.mark.rfc("3261-15")
def test_the_callee_that_waits_for_an_ack_in_vain_says_bye_after_64_t1() -> None:
    p = pair()
    p.network.drop = lambda packet: packet.summary == "ACK"
    p.call()
    p.peer.hang_up((("Reason", "SIP;cause=480"),))
    p.network.run(40)
    (bye,) = p.network.packets("BYE")
    assert bye.message.get("Reason") == "SIP;cause=480"
    p.finish()
    assert p.bob.told_by(p.peer) == []


@pytest.mark.rfc("3261-15")
def test_a_bye_of_the_caller_while_the_callee_waits_to_say_bye() -> None:
    p = pair()
    p.network.drop = lambda packet: packet.summary == "ACK"
    p.call()
    p.peer.hang_up()
    p.leg.hang_up()
    p.finish()
    assert p.network.wire().count("BYE") == 1
    assert p.bob.told_by(p.peer) == []


@pytest.mark.rfc("3261-13.3.1.4")
def test_an_ack_of_another_number_or_dialog_acknowledges_nothing() -> None:
    network = Network()
    bob = Phone(network, "bob")
    peer = bob.flow(("198.51.100.77", 5060))
    bob.receive(request_bytes(cseq=5), peer)
    tag = bob.incoming[0].dialog_id[1]
    to = f"<sip:bob@ims.example>;tag={tag}"
    for changes in ({"cseq": 4, "to": to}, {"to": "<sip:bob@ims.example>;tag=no"}, {"to": to, "call_id": "no"}):
        bob.receive(request_bytes("ACK", branch="z9hG4bKack", **{"cseq": 5, **changes}), peer)  # type: ignore[arg-type]
    assert bob.told == []
    bob.receive(request_bytes("ACK", branch="z9hG4bKack", cseq=5, to=to), peer)
    assert bob.told_by(bob.incoming[0]) == [Acknowledged(b"")]


@pytest.mark.rfc("6026-7.1")
def test_an_ack_that_wrongly_has_the_branch_of_its_invite_counts_all_the_same() -> None:
    network = Network()
    bob = Phone(network, "bob")
    peer = bob.flow(("198.51.100.77", 5060))
    bob.receive(request_bytes(), peer)
    to = f"<sip:bob@ims.example>;tag={bob.incoming[0].dialog_id[1]}"
    bob.receive(request_bytes("ACK", to=to), peer)
    assert bob.told_by(bob.incoming[0]) == [Acknowledged(b"")]


# Giving up --------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-9.1")
@pytest.mark.rfc("3261-9.2")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_call_given_up_while_it_rings(transport: str) -> None:
    p = pair(transport)
    p.call(answer=None)
    p.leg.hang_up((("Reason", "SIP;cause=200"),))
    p.leg.hang_up()
    p.finish()
    assert p.network.wire() == ["INVITE", "100 INVITE", "180 INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"]
    assert p.alice.told_by(p.leg) == [Ringing(180, b"")]
    assert p.bob.told_by(p.peer) == [Ended(by_peer=True, reason="CANCEL")]


@pytest.mark.rfc("3261-9.1")
def test_a_call_given_up_before_anything_came_back() -> None:
    p = pair()
    p.bob.on_call = lambda call: call.progress()
    leg = p.alice.call(p.bob.uri, sdp=b"offer")
    leg.hang_up()
    p.finish()
    assert p.network.wire().index("CANCEL") > p.network.wire().index("100 INVITE")
    assert p.bob.told_by(p.peer) == [Ended(by_peer=True, reason="CANCEL")]
    assert p.alice.told == []


@pytest.mark.rfc("3261-9.1")
@pytest.mark.rfc("3261-13.2.2.4")
def test_a_cancel_that_crosses_the_200_ends_in_ack_and_bye() -> None:
    p = pair()
    p.call(answer=None)
    p.leg.hang_up((("Reason", "SIP;cause=200"),))
    p.peer.answer(b"answer")
    p.finish()
    wire = p.network.wire()
    assert [wire.count(name) for name in ("CANCEL", "200 CANCEL", "200 INVITE", "ACK", "BYE", "200 BYE")] == [1] * 6
    assert p.network.packets("BYE")[0].message.get("Reason") == "SIP;cause=200"
    assert p.alice.told_by(p.leg) == [Ringing(180, b"")]
    assert p.bob.told_by(p.peer)[-1] == Ended(by_peer=True, reason="SIP;cause=200")


@pytest.mark.rfc("3261-9.1")
def test_a_peer_that_falls_silent_after_the_cancel_is_given_up() -> None:
    p = pair()
    p.call(answer=None)
    p.network.detach(p.bob)
    p.leg.hang_up()
    p.network.run()
    p.alice.assert_idle()


@pytest.mark.rfc("3261-15.1.2")
def test_a_bye_in_the_early_dialog_ends_the_call_with_487() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress()
    peer = bob.flow(("198.51.100.77", 5060))
    bob.receive(request_bytes(cseq=1), peer)
    call = bob.incoming[0]
    to = f"<sip:bob@ims.example>;tag={call.dialog_id[1]}"
    bob.receive(request_bytes("BYE", cseq=2, to=to, branch="z9hG4bKbye"), peer)
    network.flush()
    assert network.wire() == ["100 INVITE", "180 INVITE", "200 BYE", "487 INVITE"]
    assert bob.told_by(call) == [Ended(by_peer=True, reason="BYE")]
    network.run()
    bob.assert_idle()


# Answers one cannot live with -------------------------------------------------------------------------------------


class HandMade:
    """alice calls a peer whose answers are written by hand."""

    def __init__(self) -> None:
        self.network = Network()
        self.alice = Phone(self.network, "alice")
        self.peer = Party(self.network, "peer")
        self.leg = self.alice.call(f"sip:bob@{self.peer.address[0]}", sdp=b"offer")
        self.network.run(0.1)
        self.invite = self.peer.requests[0].request
        self.peer.react = self._serve

    def _serve(self, event: object) -> None:
        if isinstance(event, RequestReceived) and event.request.method == "BYE":
            self.peer.endpoint.reply(event.transaction, 200)

    def answer(self, status: int = 200, **fields: object) -> None:
        data = response_bytes(self.invite, status, **fields)  # type: ignore[arg-type]
        self.alice.receive(data, self.alice.flow(self.peer))
        self.network.run(0.1)

    def finish(self) -> None:
        self.network.run()
        self.alice.assert_idle()


CONTACT = [("Contact", "<sip:bob@198.51.100.2>")]


@pytest.mark.rfc("3261-13.2.2.4")
def test_the_second_fork_that_answers_gets_ack_and_bye() -> None:
    h = HandMade()
    h.answer(to_tag="one", headers=CONTACT)
    h.answer(to_tag="two", headers=CONTACT)
    h.answer(to_tag="two", headers=CONTACT)
    h.answer(to_tag="one", headers=CONTACT)
    acks = [packet.message.to.tag for packet in h.network.packets("ACK")]
    assert acks == ["one", "two", "two", "one"]
    assert [packet.message.to.tag for packet in h.network.packets("BYE")] == ["two"]
    assert h.alice.told_by(h.leg) == [Answered(b"")]
    h.leg.hang_up()
    h.answer(to_tag="three", headers=CONTACT)
    assert [packet.message.to.tag for packet in h.network.packets("BYE")] == ["two", "one", "three"]
    h.finish()
    assert len(h.alice.told) == 1


def test_a_callee_that_makes_up_answers_without_end_is_not_followed() -> None:
    h = HandMade()
    for number in range(2 * MOST_FORKS):
        h.answer(to_tag=f"{number}", headers=CONTACT)
    assert h.network.wire().count("ACK") == MOST_FORKS
    assert h.network.wire().count("BYE") == MOST_FORKS - 1
    h.answer(to_tag="0", headers=CONTACT)
    assert h.network.wire().count("ACK") == MOST_FORKS + 1
    h.leg.hang_up()
    h.finish()


@pytest.mark.rfc("3261-13.2.2.4")
@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Contact", "<sip:>")],
        [("Contact", "<urn:x:y>")],
        [*CONTACT, ("Record-Route", "<sip:p1.ims.example;lr")],
        [*CONTACT, ("Record-Route", "<urn:x:y>")],
    ],
)
def test_an_answer_without_a_way_to_the_peer_gets_ack_and_bye(headers: list[tuple[str, str]], cancelled: bool) -> None:
    h = HandMade()
    h.answer(180)
    if cancelled:
        h.leg.hang_up()
    h.answer(headers=headers)
    h.answer(headers=headers)
    assert [packet.summary for packet in h.network.sent if packet.summary in {"ACK", "BYE"}] == ["ACK", "BYE", "ACK"]
    final = h.alice.told_by(h.leg)[1:]
    assert final == ([] if cancelled else [Rejected(500, "Answer without usable Contact")])
    h.finish()


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_answer_whose_to_cannot_be_read_is_a_failure(cancelled: bool) -> None:
    h = HandMade()
    h.answer(180)
    if cancelled:
        h.leg.hang_up()
    h.answer(without=["To"], headers=[*CONTACT, ("To", "<sip:bob")])
    h.finish()
    assert h.alice.told_by(h.leg)[1:] == ([] if cancelled else [Rejected(500, "Malformed answer")])


def test_a_description_of_another_kind_is_none() -> None:
    h = HandMade()
    h.answer(183, headers=[("Content-Type", "text/plain")], body=b"hello")
    h.answer(headers=[*CONTACT, ("Content-Type", "APPLICATION/SDP; charset=utf-8")], body=b"v=0")
    assert h.alice.told_by(h.leg) == [Ringing(183, b""), Answered(b"v=0")]
    h.leg.hang_up()
    h.finish()


# Within the dialog ------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-14.2", "3261-17.2.1")
def test_a_new_offer_is_accepted_and_acknowledged() -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"hold", Contact="<sip:alice@198.51.100.1>")
    p.network.run(0.1)
    assert p.bob.told_by(p.peer)[-1] == Reoffered(b"hold")
    p.peer.accept_offer(b"held")
    p.network.run(0.1)
    trying, reply = p.replies("INVITE")
    assert trying.status == 100, "the answer may take its time"
    assert (reply.status, reply.body) == (200, b"held")
    assert reply.contact is not None
    assert p.network.wire().count("200 INVITE") == 2
    assert p.leg.dialog is not None
    p.alice.endpoint.send_ack(p.leg.dialog.request("ACK", cseq=2), p.alice.flow(p.bob))
    p.network.run(10)
    assert p.network.wire().count("200 INVITE") == 2, "acknowledged"
    assert p.bob.told_by(p.peer)[-1] == Reoffered(b"hold")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_a_reinvite_without_offer_gets_ours_and_its_answer_is_told() -> None:
    p = pair()
    p.call()
    p.send("INVITE")
    p.network.run(0.1)
    assert p.bob.told_by(p.peer)[-1] == Reoffered(b"")
    p.peer.accept_offer(b"offer of bob")
    assert p.leg.dialog is not None
    ack = p.leg.dialog.request("ACK", cseq=2)
    ack.set_body(b"answer of alice", SDP)
    p.alice.endpoint.send_ack(ack, p.alice.flow(p.bob))
    p.network.run(0.1)
    assert p.bob.told_by(p.peer)[-1] == Acknowledged(b"answer of alice")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_a_refused_offer_leaves_the_call_as_it_was() -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"video")
    p.network.run(0.1)
    p.peer.refuse_offer(NotAcceptableHere())
    p.peer.accept_offer(b"too late")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INVITE")] == [100, 488]
    p.leg.hang_up()
    p.network.run(0.1)
    assert p.replies("BYE")[0].status == 200
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_a_second_reinvite_while_one_is_pending_gets_500_with_retry_after() -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"one")
    p.send("INVITE", body=b"two")
    p.network.run(0.1)
    trying, reply = p.replies("INVITE")
    assert (trying.status, trying.cseq.number) == (100, 2)
    assert (reply.status, reply.cseq.number) == (500, 3)
    assert 0 <= int(reply.require("Retry-After")) <= 10
    assert [event for event in p.bob.told_by(p.peer) if isinstance(event, Reoffered)] == [Reoffered(b"one")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_an_invite_within_the_early_dialog_gets_500_with_retry_after() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress()
    peer = bob.flow(("198.51.100.77", 5060))
    bob.receive(request_bytes(), peer)
    to = f"<sip:bob@ims.example>;tag={bob.incoming[0].dialog_id[1]}"
    bob.receive(request_bytes(cseq=2, to=to, branch="z9hG4bKsecond"), peer)
    network.flush()
    (refusal,) = network.packets("500 INVITE")
    assert 0 <= int(refusal.message.require("Retry-After")) <= 10
    assert len(bob.incoming) == 1


@pytest.mark.rfc("3261-14.2")
def test_a_reinvite_that_overtakes_the_ack_is_asked_to_come_again() -> None:
    p = pair()
    p.network.drop = lambda packet: packet.summary == "ACK" and packet.at < 0.3
    p.call()
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INVITE")] == [491]
    p.network.run(1)
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    assert p.bob.told_by(p.peer) == [Acknowledged(b""), Reoffered(b"hold")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-15.1.2")
@pytest.mark.parametrize("by_caller", [True, False])
def test_the_end_of_the_call_answers_a_pending_reinvite_with_487(by_caller: bool) -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    (p.leg if by_caller else p.peer).hang_up()
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INVITE")] == [100, 487]
    p.peer.accept_offer(b"too late")
    p.peer.refuse_offer(NotAcceptableHere())
    p.finish()
    ended = [event for event in p.bob.told_by(p.peer) if isinstance(event, Ended)]
    assert len(ended) == (1 if by_caller else 0)


@pytest.mark.rfc("3261-9.2")
def test_a_cancelled_reinvite_gets_487_and_the_call_goes_on() -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    invites = [key for key in p.alice.endpoint._clients if key[1] == "INVITE"]
    p.alice.endpoint.cancel(p.alice.endpoint._clients[invites[-1]])
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INVITE")] == [100, 487]
    p.peer.accept_offer(b"too late")
    p.send("INVITE", body=b"again")
    p.network.run(0.1)
    assert p.bob.told_by(p.peer)[-1] == Reoffered(b"again")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_a_200_to_a_reinvite_that_is_never_acknowledged_ends_the_call() -> None:
    p = pair()
    p.call()
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    p.peer.accept_offer(b"held")
    p.finish()
    assert p.bob.told_by(p.peer)[-1] == Ended(by_peer=False, reason="No ACK")
    assert p.network.wire().count("BYE") == 1


@pytest.mark.rfc("6086-4.2.2")
def test_an_info_is_answered_and_told() -> None:
    p = pair()
    p.call()
    p.send("INFO", body=b"Signal=5", kind="application/dtmf-relay")
    p.send("INFO")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INFO")] == [200, 200]
    assert p.bob.told_by(p.peer)[1:] == [InfoReceived("application/dtmf-relay", b"Signal=5"), InfoReceived("", b"")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-8.2.1")
@pytest.mark.rfc("3261-11.2")
@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("MESSAGE", 405), ("REFER", 405), ("DANCE", 501)])
def test_other_methods_within_the_dialog_are_told_what_is_served(method: str, status: int) -> None:
    p = pair()
    p.call()
    p.send(method)
    p.network.run(0.1)
    (reply,) = p.replies(method)
    assert reply.status == status
    assert reply.require("Allow") == "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE"
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-8.2.2.3")
@pytest.mark.parametrize("method", ["INVITE", "INFO", "BYE"])
def test_an_unknown_extension_required_within_the_dialog_is_named(method: str) -> None:
    p = pair()
    p.call()
    p.send(method, Require="precondition, timer")
    p.network.run(0.1)
    (reply,) = p.replies(method)
    assert (reply.status, reply.require("Unsupported")) == (420, "precondition, timer")
    assert p.bob.told_by(p.peer) == [Acknowledged(b"")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-12.2.2")
def test_a_number_out_of_order_gets_500_and_changes_nothing() -> None:
    p = pair()
    p.call()
    p.send("INFO", cseq=10)
    p.send("BYE", cseq=9)
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("BYE")] == [500]
    assert len(p.bob.ua) == 1
    p.peer.hang_up()
    p.finish()


@pytest.mark.rfc("3261-12.2.2")
@pytest.mark.parametrize("what", ["local tag", "remote tag", "Call-ID"])
def test_a_request_of_another_dialog_gets_481(what: str) -> None:
    p = pair()
    p.call()
    dialog = p.leg.dialog
    assert dialog is not None
    before = (dialog.remote, dialog.local, dialog.call_id)
    if what == "local tag":
        dialog.remote = "<sip:bob@ims.example>;tag=other"
    elif what == "remote tag":
        dialog.local = "<sip:alice@ims.example>;tag=other"
    else:
        dialog.call_id = "other"
    p.send("BYE")
    p.send("INVITE", body=b"hold")
    p.network.run(0.1)
    assert [reply.status for method in ("BYE", "INVITE") for reply in p.replies(method)] == [481, 481]
    assert p.bob.told_by(p.peer) == [Acknowledged(b"")]
    dialog.remote, dialog.local, dialog.call_id = before
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-12.2.2")
def test_a_bye_for_a_call_that_is_over_gets_481() -> None:
    p = pair()
    p.call()
    dialog = p.leg.dialog
    p.peer.hang_up()
    p.network.run(1)
    p.leg.dialog = dialog
    p.send("BYE")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("BYE")] == [481]
    p.finish()


@pytest.mark.rfc("3261-15.1.1")
def test_both_hang_up_at_once() -> None:
    p = pair()
    p.call()
    p.leg.hang_up()
    p.peer.hang_up()
    p.finish()
    assert sorted(p.network.wire()[4:]) == ["481 BYE", "481 BYE", "BYE", "BYE"]
    assert len(p.alice.told) == len(p.bob.told) == 1


# Coming in --------------------------------------------------------------------------------------------------------


def refused(data: bytes) -> Response:
    network = Network()
    bob = Phone(network, "bob")
    bob.receive(data, bob.flow(("198.51.100.77", 5060)))
    network.flush()
    response = network.sent[-1].message
    assert isinstance(response, Response)
    assert bob.incoming == []
    assert len(bob.ua) == 0
    return response


@pytest.mark.rfc("3261-8.2.2.3")
def test_an_invite_that_requires_an_unknown_extension_gets_420() -> None:
    response = refused(request_bytes(headers=[("Require", "precondition"), ("Require", "timer, x")]))
    assert (response.status, response.require("Unsupported")) == (420, "precondition, timer, x")


@pytest.mark.rfc("3261-8.2.2.1")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_request_for_a_uri_of_an_unknown_scheme_gets_416(method: str) -> None:
    assert refused(request_bytes(method, "http://ims.example/")).status == 416


@pytest.mark.rfc("3261-12.1.1")
@pytest.mark.parametrize(
    "changes",
    [{"contact": None}, {"contact": "<sip:>"}, {"headers": [("Record-Route", "<sip:x")]}, {"from_": "<sip:alice"}],
)
def test_an_invite_without_a_way_back_gets_400(changes: dict[str, object]) -> None:
    assert refused(request_bytes(**changes)).status == 400  # type: ignore[arg-type]


@pytest.mark.rfc("3261-8.2.2.2")
def test_an_invite_that_comes_twice_by_different_ways_is_one_call() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.on_call = lambda call: call.progress()
    peer = bob.flow(("198.51.100.77", 5060))
    bob.receive(request_bytes(branch="z9hG4bKone"), peer)
    bob.receive(request_bytes(branch="z9hG4bKtwo"), peer)
    network.flush()
    assert network.sent[-1].summary == "482 INVITE"
    assert len(bob.incoming) == len(bob.ua) == 1
    bob.incoming[0].reject(486)
    bob.receive(request_bytes(branch="z9hG4bKthree"), peer)
    assert len(bob.incoming) == 2, "once the first is over it is a new one"
    bob.incoming[1].reject(486)
    network.run()
    bob.assert_idle()


@pytest.mark.rfc("3261-8.1.1.8")
@pytest.mark.parametrize(
    ("user", "contact"),
    [
        ("bob", "<sip:bob@198.51.100.1:5060>"),
        ("*11", "<sip:198.51.100.1:5060>"),
        ("%E5%AE%A2", "<sip:198.51.100.1:5060>"),
        ("a%40b", "<sip:198.51.100.1:5060>"),
    ],
)
def test_the_contact_names_the_user_called_where_that_needs_no_escapes(user: str, contact: str) -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.receive(request_bytes(uri=f"sip:{user}@198.51.100.1"), bob.flow(("198.51.100.77", 5060)))
    network.flush()
    assert network.packets("200 INVITE")[0].message.get("Contact") == contact


def test_the_contact_names_the_transport() -> None:
    p = pair("TCP")
    p.call()
    for summary in ("INVITE", "200 INVITE"):
        contact = p.network.packets(summary)[0].message.contact
        assert contact is not None
        assert contact.uri.transport == "TCP"
    p.leg.hang_up()
    p.finish()


def test_a_request_before_the_dialog_exists_is_refused() -> None:
    h = HandMade()
    dialog_to = f"<sip:alice@ims.example>;tag={h.leg.dialog_id[1]}"
    for method, status in (("INVITE", 491), ("INFO", 400)):
        data = request_bytes(
            method, to=dialog_to, from_="<sip:bob@ims.example>;tag=b1", call_id=h.leg.dialog_id[0], branch="z9hG4bKx"
        )
        h.alice.receive(data, h.alice.flow(h.peer))
        h.network.flush()
        assert h.network.sent[-1].summary == f"{status} {method}"
    h.answer(486)
    h.finish()
    assert parse_message(h.network.packets("ACK")[0].data).to.tag == "b1"
    assert isinstance(h.invite, Request)
