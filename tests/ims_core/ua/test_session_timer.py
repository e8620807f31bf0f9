"""Session timers as the one who refreshes and as the one who is refreshed (RFC 4028)."""

import gc
import weakref
from collections.abc import Iterator
from itertools import pairwise, repeat

import pytest

from ims_core.errors import BadRequest
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.transactions.endpoint import Event, RequestReceived
from ims_core.ua.session import CONFIRMED, INVITED, OVER, Session
from ims_core.ua.session_events import Answered, Ended, Reanswered, Rejected, Reoffered, SessionEvent
from ims_core.ua.session_timer import IntervalTooSmall, Terms, TimerPolicy, raised, settle, settled
from tests.kit import Network, Pair, Phone, request_bytes, response_bytes

PEER = ("198.51.100.77", 5060)
POLICY = TimerPolicy(1800, 90)


def with_timers(alice: TimerPolicy | None = POLICY, bob: TimerPolicy | None = POLICY) -> Pair:
    p = Pair(takes_offers=True, alice_timers=alice, bob_timers=bob)
    p.call()
    return p


def refuse_changes(phone: Phone, statuses: Iterator[int]) -> None:
    """Have a phone answer each re-INVITE and UPDATE with the next of these."""
    real = phone.react

    def refuse(event: Event) -> None:
        if isinstance(event, RequestReceived) and event.request.method in {"INVITE", "UPDATE"}:
            phone.endpoint.reply(event.transaction, next(statuses))
        else:
            real(event)

    phone.react = refuse


# What is settled --------------------------------------------------------------------------------------------------


def asking(*headers: tuple[str, str]) -> Request:
    message = parse_message(request_bytes(headers=headers))
    assert isinstance(message, Request)
    return message


SUPPORTED = ("Supported", "timer")


@pytest.mark.rfc("4028-9")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Terms(1800, "uas", shared=False)),
        ([("Supported", "100rel"), ("Min-SE", "x")], Terms(1800, "uas", shared=False)),
        ([SUPPORTED], Terms(1800, "uas")),
        ([SUPPORTED, ("Min-SE", "3600")], Terms(3600, "uas")),
        ([SUPPORTED, ("Session-Expires", "600")], Terms(600, "uas")),
        ([SUPPORTED, ("Session-Expires", "600;refresher=uac")], Terms(600, "uac")),
        ([SUPPORTED, ("Session-Expires", "600 ; Refresher=UAS")], Terms(600, "uas")),
        ([SUPPORTED, ("x", "600;refresher=uac")], Terms(600, "uac")),
        ([SUPPORTED, ("Session-Expires", "7200")], Terms(1800, "uas")),
        ([SUPPORTED, ("Session-Expires", "7200"), ("Min-SE", "3600")], Terms(3600, "uas")),
        ([("Session-Expires", "600;refresher=uac")], Terms(600, "uas")),
        ([("Session-Expires", "60")], Terms(60, "uas")),
        ([SUPPORTED, ("Session-Expires", "600;refresher=me")], Terms(600, "uas")),
    ],
)
def test_who_refreshes_and_how_often(headers: list[tuple[str, str]], expected: Terms) -> None:
    assert settle(asking(*headers), POLICY, "uas") == expected


@pytest.mark.rfc("4028-9", "4028-6")
def test_an_interval_below_ours_gets_422_only_from_who_knows_what_that_is() -> None:
    with pytest.raises(IntervalTooSmall) as refused:
        settle(asking(SUPPORTED, ("Session-Expires", "89")), POLICY, "uas")
    assert refused.value.headers == (("Min-SE", "90"),)


@pytest.mark.rfc("4028-4")
@pytest.mark.parametrize("value", ["", "x", "-1", "1e3", "99999999999", "\u0661", ";refresher=uac"])
def test_an_interval_that_is_no_number_gets_400(value: str) -> None:
    with pytest.raises(BadRequest):
        settle(asking(SUPPORTED, ("Session-Expires", value)), POLICY, "uas")


def answering(*headers: tuple[str, str]) -> Response:
    message = parse_message(response_bytes(asking(), 200, headers=headers))
    assert isinstance(message, Response)
    return message


@pytest.mark.rfc("4028-7.2")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Terms(1800, "uac", shared=False)),
        ([("Session-Expires", "600;refresher=uas")], Terms(600, "uas")),
        ([("Session-Expires", "600;refresher=uac")], Terms(600, "uac")),
        ([("Session-Expires", "600")], Terms(600, "uac")),
        ([("Session-Expires", "soon")], Terms(1800, "uac", shared=False)),
    ],
)
def test_what_a_200_settles(headers: list[tuple[str, str]], expected: Terms) -> None:
    assert settled(answering(*headers), 1800) == expected


@pytest.mark.rfc("4028-7.4")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Min-SE", "3600")], TimerPolicy(3600, 3600)),
        ([("Min-SE", "120")], TimerPolicy(1800, 120)),
        ([("Min-SE", "90")], None),
        ([("Min-SE", "x")], None),
        ([], None),
    ],
)
def test_what_a_422_leads_to(headers: list[tuple[str, str]], expected: TimerPolicy | None) -> None:
    assert raised(POLICY, answering(*headers)) == expected


# Two of ours ------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("4028-7.1", "4028-9")
def test_it_is_proposed_and_settled_when_the_call_is_made() -> None:
    p = with_timers()
    invite, ok = p.network.packets("INVITE")[0].message, p.network.packets("200 INVITE")[0].message
    assert "timer" in invite.values("Supported")
    assert invite.require("Session-Expires") == "1800"
    assert "Min-SE" not in invite
    assert ok.require("Session-Expires") == "1800;refresher=uas"
    assert "timer" in ok.values("Require")
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-10", "4028-7.4")
def test_the_refresher_sends_update_at_half_the_interval_for_as_long_as_the_call_lasts() -> None:
    p = with_timers()
    start = p.network.times("200 INVITE")[0]
    p.network.run(9100)
    times = [start, *p.network.times("UPDATE", by=p.bob.address)]
    assert len(times) == 11
    assert all(900 <= later - earlier <= 901.1 for earlier, later in pairwise(times))
    update = p.network.packets("UPDATE")[0].message
    assert update.require("Session-Expires") == "1800;refresher=uac"
    assert update.body == b""
    assert p.network.packets("200 UPDATE")[0].message.require("Session-Expires") == "1800;refresher=uac"
    assert p.leg.state == p.peer.state == CONFIRMED
    assert p.told(p.leg) == p.told(p.peer) == []
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-10")
def test_who_is_not_refreshed_says_bye_before_the_session_expires() -> None:
    p = with_timers(TimerPolicy(90), TimerPolicy(90))
    start = p.network.times("200 INVITE")[0]
    p.network.drop = lambda packet: packet.flow.local == p.bob.address
    p.network.run(200)
    bye, *others = p.network.packets("BYE", by=p.alice.address)
    assert {other.data for other in others} == {bye.data}
    assert bye.at - start == pytest.approx(60, abs=0.1), "90 s less a third"
    assert bye.message.require("Reason") == 'SIP;cause=408;text="Session timer expired"'
    assert p.told(p.leg) == [Ended(by_peer=False, reason="Session timer expired")]
    assert p.alice.ua.counts["timer"] == 1
    p.finish()


@pytest.mark.rfc("4028-10")
@pytest.mark.parametrize(("interval", "at"), [(1800, 1768), (96, 64), (90, 60), (300, 268)])
def test_the_bye_comes_32_seconds_or_a_third_before_the_end(interval: int, at: int) -> None:
    p = with_timers(TimerPolicy(interval), TimerPolicy(interval))
    start = p.network.times("200 INVITE")[0]
    p.network.detach(p.bob)
    p.network.run(interval)
    assert p.network.times("BYE", by=p.alice.address)[0] - start == pytest.approx(at, abs=0.1)
    p.network.run()
    p.alice.assert_idle()


@pytest.mark.rfc("4028-10")
def test_a_refresh_that_is_not_answered_ends_the_session() -> None:
    p = with_timers()
    p.network.detach(p.alice)
    p.network.run(940)
    assert p.told(p.peer) == [Ended(by_peer=False, reason="408 No answer")]
    p.network.run()
    p.bob.assert_idle()


@pytest.mark.rfc("4028-7.4")
def test_any_reinvite_or_update_refreshes_and_keeps_the_roles() -> None:
    p = with_timers()
    start = p.network.times("200 INVITE")[0]
    p.network.run(500)
    p.leg.reinvite(b"hold")
    p.network.run(0.1)
    invite = p.network.packets("INVITE")[-1].message
    assert invite.require("Session-Expires") == "1800;refresher=uas", "who refreshes is bob, the one who is asked"
    assert p.network.packets("200 INVITE")[-1].message.require("Session-Expires") == "1800;refresher=uas"
    p.network.run(1000)
    (first,) = p.network.times("UPDATE")
    assert first - start == pytest.approx(1400, abs=1.2)
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-7.4")
def test_a_refresh_by_reinvite_where_the_peer_does_not_allow_update() -> None:
    p = Pair(takes_offers=True, alice_timers=POLICY, bob_timers=POLICY)
    p.alice.ua.allow = "INVITE, ACK, CANCEL, BYE"
    p.call()
    before = p.peer.local_sdp
    p.network.run(901)
    invite = p.network.packets("INVITE", by=p.bob.address)[0].message
    assert invite.body == before, "what is offered has not changed"
    assert invite.require("Session-Expires") == "1800;refresher=uac"
    answer = p.network.packets("200 INVITE", by=p.alice.address)[0].message.body
    assert p.told(p.peer) == [Reanswered(answer)], "the answer differs from the session as it was"
    p.leg.hang_up()
    p.finish()


def test_an_answer_to_a_refresh_that_says_nothing_new_is_not_told() -> None:
    p = Pair(alice_timers=POLICY, bob_timers=POLICY)
    p.alice.ua.allow = "INVITE, ACK, CANCEL, BYE"
    p.call()
    p.leg.on_event = lambda event: p.leg.accept_offer(b"offer") if isinstance(event, Reoffered) else None
    p.network.run(901)
    assert len(p.network.packets("INVITE", by=p.bob.address)) == 1
    assert p.told(p.peer) == []
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-7.4")
@pytest.mark.parametrize("status", [405, 501])
def test_a_peer_that_allows_update_and_refuses_it_is_refreshed_by_reinvite(status: int) -> None:
    p = with_timers()
    p.network.drop = lambda packet: packet.summary == "200 UPDATE"

    def refuse() -> None:
        update = p.network.packets("UPDATE")[0].message
        assert isinstance(update, Request)
        p.bob.receive(response_bytes(update, status), p.bob.flow(p.alice))

    p.network.run(900.15)
    refuse()
    p.network.run(1)
    assert len(p.network.packets("INVITE", by=p.bob.address)) == 1
    assert p.peer.state == CONFIRMED
    p.leg.hang_up()
    p.network.run(1)


@pytest.mark.rfc("4028-10")
def test_a_refresh_that_is_refused_is_tried_again_until_the_session_expires() -> None:
    p = with_timers()
    start = p.network.times("200 INVITE")[0]
    refuse_changes(p.alice, repeat(500))
    p.network.run(2000)
    times = [round(at - start) for at in p.network.times("UPDATE")]
    assert times[0] == 900
    assert len(times) > 3
    assert times[-1] < 1768
    assert p.told(p.peer) == [Ended(by_peer=False, reason="Session timer expired")]
    assert p.network.times("BYE")[0] - start == pytest.approx(1768, abs=1.1)
    p.finish()


# A peer who knows of no timers -------------------------------------------------------------------------------------


ONE_SIDED = pytest.mark.parametrize(("alice", "bob"), [(POLICY, None), (None, POLICY)], ids=["caller", "callee"])


def knowing(p: Pair) -> tuple[Phone, Session]:
    """The side of the two that knows of session timers."""
    return (p.alice, p.leg) if p.alice.ua.session_timers else (p.bob, p.peer)


@pytest.mark.rfc("4028-7.2", "4028-9")
@ONE_SIDED
def test_who_alone_knows_of_timers_refreshes(alice: TimerPolicy | None, bob: TimerPolicy | None) -> None:
    p = with_timers(alice, bob)
    phone, side = knowing(p)
    ok = p.network.packets("200 INVITE")[0].message
    assert ok.get("Session-Expires") == ("1800;refresher=uas" if bob else None)
    assert "timer" not in ok.values("Require")
    start = p.network.times("200 INVITE")[0]
    p.network.run(9100)
    times = [start, *p.network.times("UPDATE", by=phone.address)]
    assert len(times) == 11
    assert all(900 <= later - earlier <= 901.1 for earlier, later in pairwise(times))
    assert p.leg.state == p.peer.state == CONFIRMED
    p.network.detach(p.bob if side is p.leg else p.alice)
    p.network.run(940)
    assert p.told(side) == [Ended(by_peer=False, reason="408 No answer")]
    p.network.run()
    phone.assert_idle()


@pytest.mark.rfc("4028-10")
@ONE_SIDED
def test_who_knows_of_no_timers_may_refuse_to_be_refreshed(alice: TimerPolicy | None, bob: TimerPolicy | None) -> None:
    p = with_timers(alice, bob)
    _, side = knowing(p)
    statuses = iter([488, 500, 405, 603, 481])
    refuse_changes(p.bob if side is p.leg else p.alice, statuses)
    p.network.run(3500)
    assert p.told(side) == [], "as long as he answers he is there"
    assert p.network.wire().count("UPDATE") == 3
    assert p.network.wire().count("INVITE") == 2, "as he does not know UPDATE, it is tried again by re-INVITE"
    p.network.run(200)
    assert p.told(side) == [Ended(by_peer=False, reason="481 Call/Transaction Does Not Exist")]
    p.finish()


def test_without_timers_on_either_side_there_are_none() -> None:
    p = with_timers(None, None)
    assert "Session-Expires" not in p.network.packets("200 INVITE")[0].message
    p.network.run(10_000)
    assert p.leg.state == p.peer.state == CONFIRMED
    assert "UPDATE" not in p.network.wire()
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-7.4", "4028-6")
def test_a_caller_who_is_told_422_calls_again_with_a_longer_interval() -> None:
    p = with_timers(TimerPolicy(120), TimerPolicy(3600, 600))
    first, second = (packet.message for packet in p.network.packets("INVITE"))
    assert p.network.packets("422 INVITE")[0].message.require("Min-SE") == "600"
    assert (second.call_id, second.from_tag) == (first.call_id, first.from_tag)
    assert second.cseq.number == first.cseq.number + 1
    assert (second.require("Session-Expires"), second.require("Min-SE")) == ("600", "600")
    assert len(second.values("Contact")) == 1
    assert second.via.branch != first.via.branch
    assert p.alice.told_by(p.leg) == [Answered(b"answer")]
    assert p.network.packets("ACK")[-1].message.cseq.number == 2
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-7.4")
def test_a_reinvite_that_is_told_422_is_sent_again() -> None:
    p = with_timers(TimerPolicy(120), TimerPolicy(120))
    p.bob.ua.session_timers = TimerPolicy(3600, 600)
    p.leg.reinvite(b"hold")
    p.network.run(0.1)
    assert "422 INVITE" in p.network.wire()
    assert p.network.packets("INVITE")[-1].message.require("Min-SE") == "600"
    assert isinstance(p.told(p.leg)[-1], Reanswered)
    p.leg.hang_up()
    p.finish()


def test_a_peer_that_wants_ever_longer_intervals_is_given_up() -> None:
    network = Network()
    alice = Phone(network, "alice")
    alice.ua.session_timers = POLICY
    leg = alice.call("sip:bob@198.51.100.77", sdp=b"offer")
    for number in range(1, 9):
        network.flush()
        invite = network.packets("INVITE")[-1].message
        assert isinstance(invite, Request)
        headers = [("Min-SE", str(3600 * number))]
        alice.receive(response_bytes(invite, 422, headers=headers), alice.flow(PEER))
    assert alice.told_by(leg) == [Rejected(422, "Because")]
    assert len({packet.message.cseq.number for packet in network.packets("INVITE")}) == 4
    network.run()
    alice.assert_idle()


# A peer written by hand -------------------------------------------------------------------------------------------


class Callee:
    """Bob, called by a peer that supports timers and says of them what the test wants."""

    def __init__(self, *headers: tuple[str, str]) -> None:
        self.network = Network()
        self.bob = Phone(self.network, "bob")
        self.bob.ua.session_timers = POLICY
        self._cseq = 1
        self.bob.receive(request_bytes(headers=headers), self.bob.flow(PEER))
        self.network.flush()
        self.send("ACK", cseq=1)

    def send(self, method: str, *headers: tuple[str, str], cseq: int = 0) -> list[Response]:
        self._cseq += not cseq
        before = len(self.network.sent)
        to = f"<sip:bob@ims.example>;tag={self.bob.incoming[0].dialog_id[1]}"
        data = request_bytes(
            method, branch=f"z9hG4bK{method}{self._cseq}", to=to, cseq=cseq or self._cseq, headers=headers
        )
        self.bob.receive(data, self.bob.flow(PEER))
        self.network.flush()
        return [p.message for p in self.network.sent[before:] if isinstance(p.message, Response)]

    @property
    def told(self) -> list[SessionEvent]:
        return self.bob.told_by(self.bob.incoming[0])[1:]


@pytest.mark.rfc("4028-9", "4028-10")
def test_a_caller_who_refreshes_in_time_keeps_the_session() -> None:
    c = Callee(SUPPORTED, ("Session-Expires", "90;refresher=uac"))
    ok = c.network.packets("200 INVITE")[0].message
    assert ok.require("Session-Expires") == "90;refresher=uac"
    assert ok.values("Require") == ["timer"], "9: must be there when the caller is to refresh"
    for _ in range(10):
        c.network.run(45)
        (reply,) = c.send("UPDATE", SUPPORTED, ("Session-Expires", "90;refresher=uac"))
        assert reply.require("Session-Expires") == "90;refresher=uac"
    assert c.told == []
    c.network.run(59)
    assert c.told == []
    c.network.run(2)
    assert c.told == [Ended(by_peer=False, reason="Session timer expired")]


@pytest.mark.rfc("4028-9")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_an_interval_too_small_within_the_dialog_gets_422_and_changes_nothing(method: str) -> None:
    c = Callee(SUPPORTED, ("Session-Expires", "600;refresher=uac"))
    c.network.run(500)
    (reply,) = c.send(method, SUPPORTED, ("Session-Expires", "30"))
    assert (reply.status, reply.require("Min-SE")) == (422, "90")
    assert c.told == []
    c.network.run(69)
    assert c.bob.incoming[0].state == OVER, "that was no refresh"


@pytest.mark.rfc("4028-9")
def test_a_refresh_that_knows_of_no_timer_leaves_the_next_one_to_us() -> None:
    c = Callee(SUPPORTED, ("Session-Expires", "90;refresher=uac"), ("Allow", "INVITE, ACK, BYE, UPDATE"))
    (reply,) = c.send("UPDATE")
    assert reply.require("Session-Expires") == "1800;refresher=uas"
    c.network.run(890)
    assert "UPDATE" not in c.network.wire()
    c.network.run(20)
    assert "UPDATE" in c.network.wire()


@pytest.mark.rfc("4028-9")
@pytest.mark.parametrize("by_callee", [True, False])
def test_an_update_while_it_rings_starts_no_timer(by_callee: bool) -> None:
    p = Pair(takes_offers=True, alice_timers=TimerPolicy(90), bob_timers=TimerPolicy(90))
    p.call(answer=None)
    side = p.peer if by_callee else p.leg
    side.update(headers=(("Session-Expires", "90"),))
    p.network.run(0.1)
    assert "Session-Expires" not in p.network.packets("200 UPDATE")[0].message
    p.network.run(170)
    assert (p.leg.state, p.peer.state) == (INVITED, INVITED)
    p.leg.hang_up()
    p.finish()


@pytest.mark.rfc("4028-9")
def test_who_does_not_know_of_timers_is_refreshed_by_us_without_require() -> None:
    c = Callee(("Session-Expires", "90"), ("Allow", "INVITE, ACK, BYE, UPDATE"))
    ok = c.network.packets("200 INVITE")[0].message
    assert ok.require("Session-Expires") == "90;refresher=uas"
    assert "Require" not in ok
    c.network.run(46)
    assert "UPDATE" in c.network.wire()


@pytest.mark.rfc("3261-8.2.2.3", "4028-9")
def test_a_required_timer_is_refused_where_there_is_none() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.receive(request_bytes(headers=[("Require", "timer")]), bob.flow(PEER))
    network.flush()
    assert network.packets("420 INVITE")[0].message.require("Unsupported") == "timer"


def test_an_interval_too_small_or_unreadable_makes_no_session() -> None:
    network = Network()
    bob = Phone(network, "bob")
    bob.ua.session_timers = POLICY
    for number, (name, value, status) in enumerate(
        [("Session-Expires", "89", 422), ("Session-Expires", "never", 400), ("Min-SE", "never", 400)]
    ):
        headers = [SUPPORTED, (name, value)]
        bob.receive(request_bytes(branch=f"z9hG4bK{number}", headers=headers), bob.flow(PEER))
        network.flush()
        assert network.wire()[-1] == f"{status} INVITE"
    assert bob.incoming == []
    network.run()
    bob.assert_idle()


def test_a_session_that_is_over_is_not_kept_by_a_timer_that_is_left() -> None:
    p = with_timers()
    p.leg.reinvite(b"hold")
    p.network.run(1)
    sessions: list[weakref.ref[Session]] = [weakref.ref(p.leg), weakref.ref(p.peer)]
    p.leg.hang_up()
    p.network.run(41)
    for phone in (p.alice, p.bob):
        phone.told.clear()
        phone.events.clear()
        phone.incoming.clear()
    del p.leg
    gc.collect()
    assert p.bob.endpoint.next_deadline() is not None, "the last wake-up of the timer is still to come"
    assert [session() for session in sessions] == [None, None]
