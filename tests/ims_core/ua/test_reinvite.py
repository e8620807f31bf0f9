"""Re-INVITEs and UPDATEs of ours, those that meet, and those that come to nothing."""

from typing import Any

import pytest

from ims_core.errors import LocalProtocolError, NotAcceptableHere, RequestPending
from ims_core.transactions.endpoint import ResponseReceived
from ims_core.ua.session import CONFIRMED, OVER, Session
from ims_core.ua.session_events import (
    Acknowledged,
    Ended,
    OfferRefused,
    Reanswered,
    Reoffered,
    Ringing,
)
from tests.kit import Network, Packet, Pair, Phone, response_bytes

both_ways = pytest.mark.parametrize("by_caller", [True, False])
METHODS = pytest.mark.parametrize("method", ["INVITE", "UPDATE"])


def called(*, takes_offers: bool = True, transport: str = "UDP", seed: int = 0) -> Pair:
    p = Pair(transport, takes_offers=takes_offers, seed=seed)
    p.call()
    return p


def sides(p: Pair, by_caller: bool) -> tuple[Session, Session]:
    return (p.leg, p.peer) if by_caller else (p.peer, p.leg)


def change(session: Session, method: str, sdp: bytes) -> None:
    session.reinvite(sdp) if method == "INVITE" else session.update(sdp)


def since_call(p: Pair) -> list[str]:
    return p.network.wire()[4:]  # after INVITE, 100, 200, ACK


# The good way -----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-14.1", "3261-14.2")
@both_ways
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_hold_and_resume_by_reinvite(by_caller: bool, transport: str) -> None:
    p = called(transport=transport)
    ours, theirs = sides(p, by_caller)
    for sdp in (b"hold", b"resume"):
        ours.reinvite(sdp)
        p.network.run(0.1)
        assert p.told(theirs)[-1] == Reoffered(sdp)
        assert isinstance(p.told(ours)[-1], Reanswered)
        assert (ours.local_sdp, theirs.remote_sdp) == (sdp, sdp)
        assert ours.remote_sdp == theirs.local_sdp
    assert since_call(p) == ["INVITE", "200 INVITE", "ACK"] * 2
    first, second = [packet.message.cseq.number for packet in p.network.packets("INVITE")[-2:]]
    assert second == first + 1
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.1", "3264-4")
@both_ways
def test_a_reinvite_without_offer_brings_the_peers_and_the_ack_our_answer(by_caller: bool) -> None:
    p = called()
    ours, theirs = sides(p, by_caller)
    ours.reinvite()
    p.network.run(0.1)
    assert p.told(theirs)[-2:] == [Reoffered(b""), Acknowledged(ours.local_sdp)]
    assert p.told(ours)[-1] == Reanswered(theirs.local_sdp)
    assert p.network.packets("ACK")[-1].message.body == ours.local_sdp
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.1", "3311-5.2")
@both_ways
def test_hold_by_update(by_caller: bool) -> None:
    p = called()
    ours, theirs = sides(p, by_caller)
    ours.update(b"hold")
    p.network.run(0.1)
    assert since_call(p) == ["UPDATE", "200 UPDATE"]
    answer = p.network.packets("200 UPDATE")[0].message
    assert p.told(theirs)[-1] == Reoffered(b"hold")
    assert p.told(ours)[-1] == Reanswered(answer.body)
    assert answer.contact is not None, "5.2: a 2xx to UPDATE refreshes the target"
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.1")
def test_an_update_without_offer_changes_nothing_but_the_target() -> None:
    p = called()
    p.peer.update()
    p.network.run(0.1)
    assert since_call(p) == ["UPDATE", "200 UPDATE"]
    assert p.network.packets("200 UPDATE")[0].message.body == b""
    assert p.told(p.leg) == []
    assert p.told(p.peer) == [Reanswered(b"")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-12.2.1.2", "3261-12.2.2")
@METHODS
def test_both_sides_follow_a_peer_that_moves(method: str) -> None:
    p = called(takes_offers=False)
    request = f"<sip:alice@{'203.0.113.9'}:5060>"
    p.leg.contact = request
    change(p.leg, method, b"hold")
    p.network.run(0.1)
    p.peer.contact = "<sip:bob@203.0.113.10:5060>"
    p.peer.accept_offer(b"held")
    p.network.run(0.1)
    assert p.peer.dialog is not None
    assert p.leg.dialog is not None
    assert p.peer.dialog.remote_target == "sip:alice@203.0.113.9:5060"
    assert p.leg.dialog.remote_target == "sip:bob@203.0.113.10:5060"
    p.leg.hang_up()
    p.peer.hang_up()  # whom the BYE does not reach any more
    p.finish()


@pytest.mark.rfc("3261-14.1")
@METHODS
@both_ways
def test_a_refusal_leaves_the_session_as_it_was(method: str, by_caller: bool) -> None:
    p = called(takes_offers=False)
    ours, theirs = sides(p, by_caller)
    change(ours, method, b"video")
    p.network.run(0.1)
    theirs.refuse_offer(NotAcceptableHere())
    p.network.run(0.1)
    assert p.told(ours)[-1] == OfferRefused(488, "Not Acceptable Here")
    assert ours.state == theirs.state == CONFIRMED
    change(ours, method, b"audio")
    p.network.run(0.1)
    assert p.told(theirs)[-1] == Reoffered(b"audio"), "the next offer is as good as the first"
    p.leg.hang_up()
    p.finish()


# Out of turn ------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-14.1", "3261-14.2")
@METHODS
@pytest.mark.parametrize("seed", range(8))
def test_at_a_glare_both_get_491_and_wait_their_time(method: str, seed: int) -> None:
    p = called(seed=seed)
    start = p.network.now
    change(p.leg, method, b"alice first")
    change(p.peer, method, b"bob first")
    p.network.run(0.1)
    assert len(p.network.packets(f"491 {method}")) == 2
    assert p.alice.ua.counts["491"] == p.bob.ua.counts["491"] == 2, "one sent, one received"
    p.network.run(10)
    caller, callee = (
        [round(at - start - 0.002, 6) for at in p.network.times(method, by=phone.address) if at > start + 0.01]
        for phone in (p.alice, p.bob)
    )
    assert len(caller) == len(callee) == 1
    assert 2.1 <= caller[0] <= 4.0, "the owner of the Call-ID"
    assert 0.0 <= callee[0] <= 2.0, "the other side"
    for wait in (caller[0], callee[0]):
        assert wait * 100 == pytest.approx(round(wait * 100)), "in units of 10 ms"
    assert [type(event) for event in p.told(p.peer)] == [Reanswered, Reoffered]
    assert [type(event) for event in p.told(p.leg)] == [Reoffered, Reanswered]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.1")
def test_a_peer_that_always_says_491_is_asked_five_times() -> None:
    p = called(takes_offers=False)
    start = p.network.now
    p.peer.on_event = lambda _: p.peer.refuse_offer(RequestPending())
    p.leg.reinvite(b"hold")
    p.network.run(60)
    assert len([at for at in p.network.times("INVITE") if at >= start]) == 5
    assert p.told(p.leg) == [OfferRefused(491, "Request Pending")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.2")
def test_an_update_while_our_offer_is_open_gets_491() -> None:
    p = called(takes_offers=False)
    p.peer.reinvite(b"bob's offer")
    p.send("UPDATE", body=b"alice's offer", Contact="<sip:alice@198.51.100.1>")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("UPDATE")] == [491]
    p.leg.accept_offer(b"answer")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.2")
@METHODS
def test_an_update_while_an_offer_of_the_peer_waits_gets_500_with_retry_after(method: str) -> None:
    p = called(takes_offers=False)
    p.send(method, body=b"first", Contact="<sip:alice@198.51.100.1>")
    p.network.run(0.1)
    p.send("UPDATE", body=b"second")
    p.network.run(0.1)
    reply = p.replies("UPDATE")[-1]
    assert reply.status == 500
    assert 0 <= int(reply.require("Retry-After")) <= 10
    p.peer.accept_offer(b"answer")
    p.network.run(0.1)
    statuses = [reply.status for reply in p.replies(method)]
    assert statuses == ([100, 200] if method == "INVITE" else [500, 200]), "the first is answered nonetheless"
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3311-5.2")
def test_a_second_update_before_the_first_is_answered_gets_500_even_without_offer() -> None:
    p = called(takes_offers=False)
    p.send("UPDATE", body=b"first")
    p.network.run(0.1)
    p.send("UPDATE")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("UPDATE")] == [500]
    p.peer.accept_offer(b"answer")
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("UPDATE")] == [500, 200]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.1")
def test_a_reinvite_waits_while_the_peers_is_in_progress() -> None:
    p = called(takes_offers=False)
    p.leg.reinvite(b"alice's")
    p.network.run(0.1)
    p.peer.reinvite(b"bob's")
    p.network.run(0.1)
    assert len(p.network.packets("INVITE", by=p.bob.address)) == 0
    p.peer.accept_offer(b"answer")
    assert len(p.network.packets("INVITE", by=p.bob.address)) == 0, "the ACK is still to come"
    p.network.run(0.1)
    assert len(p.network.packets("INVITE", by=p.bob.address)) == 1
    p.leg.accept_offer(b"answer")
    p.network.run(0.1)
    assert p.told(p.peer)[-1] == Reanswered(b"answer")
    assert "491 INVITE" not in p.network.wire()
    p.leg.hang_up()
    p.finish()


def test_one_change_of_the_owner_at_a_time() -> None:
    p = called(takes_offers=False)
    p.leg.reinvite(b"one")
    with pytest.raises(LocalProtocolError):
        p.leg.update(b"two")
    p.leg.hang_up()
    with pytest.raises(LocalProtocolError):
        p.leg.reinvite(b"three")
    with pytest.raises(LocalProtocolError):
        p.leg.update()
    p.finish()


def test_nothing_is_changed_before_there_is_a_dialog() -> None:
    network = Network()
    alice = Phone(network, "alice")
    leg = alice.call("sip:bob@203.0.113.7", sdp=b"offer")
    with pytest.raises(LocalProtocolError):
        leg.reinvite(b"new")
    with pytest.raises(LocalProtocolError):
        leg.update(b"new")
    with pytest.raises(LocalProtocolError):
        leg.send("INFO")
    network.run()
    alice.assert_idle()


# The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-12.2.1.2")
@METHODS
@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_no_such_dialog_ends_it(method: str, status: int) -> None:
    p = called(takes_offers=False)
    p.network.drop = lambda packet: packet.summary == method
    change(p.leg, method, b"hold")
    p.network.flush()
    request = p.network.packets(method)[-1].message
    p.alice.receive(response_bytes(request, status), p.alice.flow(p.bob))  # type: ignore[arg-type]
    p.network.run(0.1)
    assert p.told(p.leg) == [Ended(by_peer=False, reason=f"{status} Because")]
    assert p.network.packets("BYE", by=p.alice.address)
    p.network.run(40)
    p.alice.assert_idle()


@pytest.mark.rfc("3261-12.2.1.2", "3261-8.1.3.1")
@METHODS
def test_a_peer_that_does_not_answer_any_more_ends_it(method: str) -> None:
    p = called(takes_offers=False)
    p.network.detach(p.bob)
    change(p.leg, method, b"hold")
    p.network.run(40)
    assert p.told(p.leg) == [Ended(by_peer=False, reason="408 No answer")]
    p.network.run()
    p.alice.assert_idle()


@pytest.mark.rfc("3261-15.1.2")
@METHODS
@both_ways
@pytest.mark.parametrize("ends_by_asker", [True, False])
def test_a_bye_while_an_offer_waits(method: str, by_caller: bool, ends_by_asker: bool) -> None:
    p = called(takes_offers=False)
    ours, theirs = sides(p, by_caller)
    change(ours, method, b"hold")
    p.network.run(0.1)
    (ours if ends_by_asker else theirs).hang_up()
    p.network.run(0.1)
    assert f"487 {method}" in p.network.wire()
    assert ours.state == theirs.state == OVER
    told = p.told(theirs if ends_by_asker else ours)
    assert told[-1] == Ended(by_peer=True, reason="BYE")
    p.finish()
    assert len([event for event in told if isinstance(event, Ended)]) == 1


@pytest.mark.rfc("3261-15.1.2", "3261-13.2.2.4")
def test_the_200_to_a_reinvite_that_crosses_our_bye_is_acknowledged() -> None:
    p = called(takes_offers=False)
    p.leg.reinvite(b"hold")
    p.network.run(0.1)
    p.peer.accept_offer(b"held")
    p.leg.hang_up()
    acks = p.network.wire().count("ACK")
    p.finish()
    assert p.network.wire().count("ACK") > acks
    assert p.told(p.leg) == []


@pytest.mark.rfc("3261-13.2.2.4")
def test_every_200_to_a_reinvite_is_acknowledged_by_the_same_bytes() -> None:
    p = called()
    acks_before = p.network.wire().count("ACK")

    def drop(packet: Packet) -> bool:
        return packet.summary == "ACK" and p.network.wire().count("ACK") <= acks_before + 3

    p.network.drop = drop
    p.leg.reinvite(b"hold")
    p.network.run(10)
    acks = p.network.packets("ACK")[-4:]
    assert len({packet.data for packet in acks}) == 1
    assert acks[0].message.cseq.number == p.network.packets("INVITE")[-1].message.cseq.number
    assert p.leg.state == p.peer.state == CONFIRMED
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-13.3.1.4")
def test_the_ack_of_a_reinvite_that_is_lost_for_ever_ends_the_call() -> None:
    p = called()
    p.network.drop = lambda packet: packet.summary == "ACK"
    p.leg.reinvite(b"hold")
    p.finish()
    assert p.told(p.peer)[-1] == Ended(by_peer=False, reason="No ACK")
    assert p.told(p.leg)[-1] == Ended(by_peer=True, reason='SIP;cause=408;text="No ACK"')


def test_hanging_up_before_answering_the_offer_of_a_200_sends_ack_and_bye() -> None:
    p = called(takes_offers=False)
    p.leg.reinvite()
    p.network.run(0.1)
    p.peer.accept_offer(b"offer of bob")
    p.network.run(0.1)
    assert p.told(p.leg) == [Reanswered(b"offer of bob")]
    p.leg.hang_up()
    p.network.run(0.1)
    assert p.network.wire()[-3:] == ["ACK", "BYE", "200 BYE"]
    p.finish()


@pytest.mark.rfc("3261-9.2")
def test_the_offer_of_a_cancelled_reinvite_may_be_followed_by_another() -> None:
    p = called(takes_offers=False)
    p.send("INVITE", body=b"first", Contact="<sip:alice@198.51.100.1>")
    p.network.run(0.1)
    p.bob.endpoint.reply(p.bob.requests[-1].transaction, 183)
    p.network.run(0.1)
    progress = p.alice.events[-1]
    assert isinstance(progress, ResponseReceived)
    p.alice.endpoint.cancel(progress.transaction)
    p.network.run(0.1)
    assert [reply.status for reply in p.replies("INVITE")] == [100, 183, 487]
    p.peer.reinvite(b"bob's")
    p.network.run(0.1)
    assert p.told(p.leg) == [Reoffered(b"bob's")]
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-14.2")
def test_a_ringing_call_is_not_changed_by_a_reinvite() -> None:
    p = Pair(takes_offers=True)
    p.call(answer=None)
    assert p.alice.told_by(p.leg) == [Ringing(180, b"")]
    with pytest.raises(LocalProtocolError):
        p.peer.reinvite(b"new")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("3261-8.2.3")
@METHODS
@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("text/plain", {}, ("Accept", "application/sdp")),
        ("application/sdp", {"Content_Encoding": "gzip"}, ("Accept-Encoding", "identity")),
    ],
)
def test_a_body_that_is_not_understood_changes_nothing(
    method: str, kind: str, fields: dict[str, Any], told: tuple[str, str]
) -> None:
    p = called()
    p.send(method, body=b"what is this", kind=kind, Contact=p.leg.contact, **fields)
    p.network.run(0.1)
    refusal = p.replies(method)[-1]
    assert (refusal.status, refusal.get(told[0])) == (415, told[1])
    assert not any(isinstance(event, Reoffered) for event in p.told(p.peer))
    p.leg.hang_up()
    p.finish()


def test_requests_of_the_owner_go_by_the_dialog() -> None:
    p = called()
    p.peer.send("INFO", body=b"5", content_type="application/dtmf")
    p.network.run(0.1)
    info = p.network.packets("INFO")[0].message
    assert (info.call_id, info.body, info.require("Content-Type")) == (p.leg.dialog_id[0], b"5", "application/dtmf")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("6086-4.2.2")
def test_an_info_package_that_nobody_wants_gets_469() -> None:
    p = called()
    p.send("INFO", Info_Package="conference", body=b"x", kind="text/plain")
    p.network.run(0.1)
    (reply,) = p.replies("INFO")
    assert (reply.status, reply.get("Recv-Info")) == (469, "")
    assert p.told(p.peer) == []
    p.leg.hang_up()
    p.finish()
