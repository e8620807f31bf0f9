"""What the legs of a call make of session timers, UPDATE, reliable responses and MESSAGE."""

import pytest
from structlog.testing import capture_logs

from acd.cdr import Outcome
from ims_core.errors import NotAcceptableHere
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.instant_message import take_message
from ims_core.ua.session_events import Answered, MessageReceived, Reanswered, Ringing
from ims_core.ua.session_timer import TimerPolicy
from tests.acd.house import SDP, SERVER, House, Phone

HOLD = SDP + b"a=sendonly\r\n"


def talking(house: House, *, timers: TimerPolicy | None = None) -> tuple[Phone, Phone]:
    agent, caller = house.agent("1001"), house.phone("alice")
    agent.ua.session_timers = caller.ua.session_timers = timers
    caller.dial("10001")
    house.run(5.0)
    assert house.agent_states["1001"] == "talking"
    return agent, caller


def take_away(house: House, phone: Phone) -> None:
    """Have a phone vanish for good: no word comes from it, and it answers none."""
    house.dead.add(phone.address)
    del house.parties[phone.address]


def sent_by(house: House, method: str) -> list[Request]:
    """The requests of that method that the server sends from now on, as they leave."""
    found: list[Request] = []
    carry = house.carry

    def watch(source: tuple[str, int], destination: tuple[str, int], data: bytes) -> None:
        message = parse_message(data, datagram=True)
        if source == SERVER and isinstance(message, Request) and message.method == method:
            found.append(message)
        carry(source, destination, data)

    house.carry = watch  # type: ignore[method-assign]
    return found


@pytest.mark.rfc("4028-7.2", "4028-9")
def test_both_legs_keep_their_session_timer_through_a_long_call() -> None:
    with House() as house:
        _, caller = talking(house, timers=TimerPolicy(1800))
        updates = sent_by(house, "UPDATE")
        house.run(3700.0)
        assert house.agent_states["1001"] == "talking"
        assert len(updates) == 4, "the caller leaves it to us; the agent's phone refreshes its leg itself"
        assert {update.require("Session-Expires") for update in updates} == {"1800;refresher=uac"}
        caller.hang_up()
        house.settle()
        assert house.records.cdrs[0].outcome is Outcome.ANSWERED
        house.assert_nothing_left()


def test_without_session_timers_in_the_configuration_there_are_none() -> None:
    with House("sip.session_expires_seconds=0") as house:
        agent, caller = talking(house, timers=TimerPolicy(1800))
        assert "Session-Expires" not in agent.incoming[0].request
        assert "timer" not in agent.incoming[0].request.values("Supported")
        updates = sent_by(house, "UPDATE")
        house.run(4000.0)
        assert updates == []
        caller.hang_up()
        house.settle()


@pytest.mark.rfc("4028-10")
def test_a_caller_who_was_to_refresh_and_did_not_ends_the_call_with_that_cause() -> None:
    with House() as house, capture_logs() as logs:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001", headers=(("Supported", "timer"), ("Session-Expires", "90;refresher=uac")))
        house.run(40.0)
        assert house.agent_states["1001"] == "talking"
        house.run(30.0)
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.reason) == (Outcome.PEER_LOST, "Session timer expired")
        (ended,) = [entry for entry in logs if entry["event"] == "call.ended"]
        assert ended["reason"] == "Session timer expired"
        assert house.server.node.ua.counts["timer"] == 1
        assert (caller.outcome, agent.outcome) == ("Ended", "Ended")
        house.settle()
        house.assert_nothing_left()


def test_a_phone_that_is_gone_is_found_out_by_the_refresh() -> None:
    with House() as house:
        _, caller = talking(house, timers=TimerPolicy(1800))
        house.dead.add(caller.address)
        house.run(950.0)
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.reason) == (Outcome.PEER_LOST, "408 No answer")


@pytest.mark.rfc("4028-7.2", "4028-9")
@pytest.mark.parametrize("timers", [None, TimerPolicy(1800)])
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("gone", [("caller",), ("agent",), ("caller", "agent")])
def test_a_call_whose_phones_are_gone_ends_within_the_interval(
    gone: tuple[str, ...], held: bool, timers: TimerPolicy | None
) -> None:
    with House() as house:
        agent, caller = talking(house, timers=timers)
        if held:
            assert caller.call is not None
            caller.call.reinvite(HOLD)
            caller.flush()
            house.run(1.0)
            assert house.agent_states["1001"] == "hold"
        phones = {"caller": caller, "agent": agent}
        for name in gone:
            take_away(house, phones[name])
        house.run(1800.0)
        (cdr,) = house.records.cdrs
        assert cdr.outcome is Outcome.PEER_LOST
        assert house.agent_states["1001"] != "talking"
        house.settle()
        house.assert_nothing_left()


@pytest.mark.rfc("3261-12.2.2")
def test_a_call_ends_although_the_bye_of_a_phone_that_then_goes_was_out_of_order() -> None:
    with House() as house:
        _, caller = talking(house)
        call = caller.call
        assert call is not None
        assert call.dialog is not None
        call.reinvite(HOLD)
        caller.flush()
        house.run(1.0)
        bye = call.dialog.request("BYE", cseq=1)
        caller.endpoint.request(bye, caller.server, None)
        caller.flush()
        house.run(1.0)
        assert house.records.cdrs == [], "12.2.2: it MUST be rejected"
        take_away(house, caller)
        house.run(1800.0)
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.reason) == (Outcome.PEER_LOST, "408 No answer")
        house.settle()
        house.assert_nothing_left()


@pytest.mark.rfc("4028-10")
def test_a_long_call_of_phones_that_know_of_no_timers_goes_on() -> None:
    with House() as house:
        _, caller = talking(house)
        updates = sent_by(house, "UPDATE")
        house.run(3700.0)
        assert house.agent_states["1001"] == "talking"
        assert len(updates) == 8, "four on each leg"
        caller.hang_up()
        house.settle()
        assert house.records.cdrs[0].outcome is Outcome.ANSWERED
        house.assert_nothing_left()


def test_an_interval_below_ours_is_refused_before_there_is_a_call() -> None:
    with House("sip.min_session_seconds=600") as house:
        caller = house.phone("alice")
        caller.dial("10001", headers=(("Supported", "timer"), ("Session-Expires", "120")))
        house.run(1.0)
        assert caller.outcome == "Rejected"
        assert house.engine.calls == {}
        assert house.records.cdrs == []


@pytest.mark.rfc("3311-5.2", "3264-8.4")
@pytest.mark.parametrize("by_agent", [True, False])
def test_a_call_is_held_and_resumed_by_update(by_agent: bool) -> None:
    with House() as house:
        agent, caller = talking(house)
        phone, session = (agent, agent.incoming[0]) if by_agent else (caller, caller.call)
        assert session is not None
        for sdp, state, direction in ((HOLD, "hold", b"recvonly"), (SDP, "talking", b"sendrecv")):
            session.update(sdp)
            phone.flush()
            house.run(0.5)
            assert house.agent_states["1001"] == state
            answer = phone.events[-1]
            assert isinstance(answer, Reanswered)
            assert direction in answer.sdp
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


@pytest.mark.rfc("3262-3")
def test_a_caller_who_requires_reliable_responses_hears_the_announcement_before_the_refusal() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("10001", headers=(("Require", "100rel"),))
        house.run(0.1)
        ringing = [event for event in caller.events if isinstance(event, Ringing)]
        assert [(event.status, event.reliable) for event in ringing] == [(183, True)]
        house.settle()
        assert caller.outcome == "Rejected"
        assert house.records.cdrs[0].outcome is Outcome.NO_AGENT
        house.assert_nothing_left()


@pytest.mark.rfc("3262-5")
def test_a_caller_without_offer_gets_ours_in_a_reliable_response_and_hears_the_announcement() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("10001", sdp=b"")
        house.run(0.1)
        (ringing,) = [event for event in caller.events if isinstance(event, Ringing)]
        assert ringing.reliable
        assert b"m=audio" in ringing.sdp
        assert not any(call.method == "play" for call in house.caller_leg.calls)
        assert caller.call is not None
        caller.call.acknowledge(SDP)
        caller.flush()
        house.run(0.1)
        assert "en/nobody" in house.caller_leg.playing
        house.settle()
        assert caller.outcome == "Rejected"
        assert house.records.cdrs[0].outcome is Outcome.NO_AGENT
        house.assert_nothing_left()


def early(house: House, *, update: bytes | None = None) -> Phone:
    """An agent whose phone describes its session reliably at 0.2 s, perhaps changes it, and answers at 1 s."""
    agent = house.agent("1001")

    def invited(call: IncomingCall) -> None:
        call.progress(183, SDP)
        agent.flush()

        def change() -> None:
            if update is not None:
                call.update(update)
                agent.flush()

        def pick_up() -> None:
            call.answer(SDP)
            agent.flush()

        house.loop.call_later(0.5, change)
        house.loop.call_later(1.0, pick_up)

    agent.on_invite = invited
    return agent


@pytest.mark.rfc("3262-5", "3311-5.1")
@pytest.mark.parametrize("update", [None, SDP, HOLD], ids=["as it was", "again", "held"])
def test_an_agents_phone_that_describes_its_session_early_and_reliably(update: bytes | None) -> None:
    with House() as house:
        agent, caller = early(house, update=update), house.phone("alice")
        pracks = sent_by(house, "PRACK")
        caller.dial("10001")
        house.run(5.0)
        assert len(pracks) == 1
        assert house.agent_states["1001"] == "talking"
        assert house.caller_leg.bridged_to is not None
        (leg,) = [leg for name, leg in house.media.legs.items() if name.endswith("/agent-1")]
        taken = [call.method for call in leg.calls if call.method in {"accept", "reoffer"}]
        assert taken == (["accept"] if update is None else ["accept", "reoffer"]), "nothing is taken twice"
        if update is not None:
            assert isinstance(agent.events[-1], Reanswered) or any(isinstance(e, Reanswered) for e in agent.events)
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


@pytest.mark.rfc("3261-14.2")
def test_a_reinvite_without_offer_is_answered_with_ours() -> None:
    with House() as house:
        agent, caller = talking(house)
        assert caller.call is not None
        caller.call.reinvite()
        caller.flush()
        house.run(0.5)
        offer = caller.events[-1]
        assert isinstance(offer, Reanswered)
        assert b"m=audio" in offer.sdp
        caller.call.acknowledge(SDP)
        caller.flush()
        house.run(0.5)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()
        assert agent.outcome == "Ended"


@pytest.mark.rfc("7044-10.3", "5806-6.1")
def test_where_a_call_was_before_is_logged_and_told_to_the_agents_phone() -> None:
    with House() as house, capture_logs() as logs:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial(
            "10001",
            headers=(
                ("History-Info", "<sip:bob@ims.example>;index=1, <sip:10001@ims.example>;index=1.1;mp=1"),
                ("Diversion", "<sip:bob@ims.example>;reason=no-answer"),
            ),
        )
        house.run(5.0)
        invite = agent.incoming[0].request
        assert invite.values("Diversion") == ["<sip:bob@ims.example>;reason=no-answer"]
        assert invite.values("History-Info") == [
            "<sip:bob@ims.example>;index=1",
            "<sip:10001@ims.example>;index=1.1;mp=1",
            f"<{invite.uri}>;index=1.1.1;mp=1.1",
        ]
        (before,) = [entry for entry in logs if entry["event"] == "call.redirected"]
        assert (before["by"], before["reason"]) == ("sip:bob@ims.example", "no-answer")
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_a_call_that_comes_straight_tells_nothing_of_the_kind() -> None:
    with House() as house:
        agent, caller = talking(house)
        assert {"history-info", "diversion"}.isdisjoint(agent.incoming[0].request.keys)
        caller.hang_up()
        house.settle()


@pytest.mark.rfc("3428-7")
@pytest.mark.parametrize("open_leg", [False, True])
def test_caller_and_agent_write_to_each_other(open_leg: bool) -> None:
    overrides = ["agents.1001.open_leg=true"] if open_leg else []
    with House(*overrides) as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        for phone in (agent, caller):
            phone.ua.serve("MESSAGE", take_message)
        house.run(2.0)
        caller.dial("10001")
        house.run(5.0)
        assert house.agent_states["1001"] == "talking"
        assert caller.call is not None
        caller.call.send("MESSAGE", body=b"Number 4711", content_type="text/plain")
        caller.flush()
        house.run(0.1)
        assert agent.events[-1] == MessageReceived("text/plain", b"Number 4711")
        agent.incoming[0].send("MESSAGE", body=b"Thank you", content_type="text/plain")
        agent.flush()
        house.run(0.1)
        assert caller.events[-1] == MessageReceived("text/plain", b"Thank you")
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_what_an_agent_writes_to_nobody_is_lost() -> None:
    with House() as house:
        agent, caller = talking(house)
        before = len(caller.events)
        caller.hang_up()
        agent.incoming[0].send("MESSAGE", body=b"too late", content_type="text/plain")
        agent.flush()
        house.settle()
        assert not any(isinstance(event, MessageReceived) for event in caller.events[before:])
        house.assert_nothing_left()


def test_an_update_that_cannot_be_served_leaves_the_call_as_it_was() -> None:
    with House() as house:
        _, caller = talking(house)
        assert caller.call is not None
        caller.call.update(SDP.replace(b"RTP/AVP 0 8 101", b"RTP/AVP 97"))
        caller.flush()
        house.run(0.5)
        assert getattr(caller.events[-1], "status", 0) == NotAcceptableHere.status
        assert house.agent_states["1001"] == "talking"
        assert isinstance(next(event for event in caller.events if isinstance(event, Answered)), Answered)
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()
