"""An agent whose phone is called once: calls take turns on a leg that outlives them."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from acd.cdr import Cdr, EndedBy, Outcome
from ims_core.ua.incoming import IncomingCall
from media.api import LegReport
from media.testing import FakeLeg
from tests.acd.house import SDP, House, Phone
from tests.acd.test_hang_up_anywhere import LIFE

OPEN = "agents.1001.open_leg=true"
HELD = SDP + b"a=sendonly\r\n"


def only(house: House) -> Cdr:
    (cdr,) = house.records.cdrs
    return cdr


def leg_of(house: House, agent: str = "1001") -> FakeLeg:
    (leg,) = [leg for name, leg in house.media.legs.items() if name.startswith(f"open-{agent}-")]
    return leg


def reason_of(house: House, agent: str = "1001") -> str:
    return house.engine.dispatcher.distributor.agent(agent).reason


def staffed(house: House) -> Phone:
    """Let agent 1001 come, and his leg be opened."""
    phone = house.agent("1001")
    house.run(2.0)
    assert house.agent_states["1001"] == "ready"
    return phone


def reoffer(phone: Phone, sdp: bytes) -> None:
    """Let the agent's phone send a re-INVITE within its only dialog."""
    call = phone.incoming[-1]
    assert call.dialog is not None
    request = call.dialog.request("INVITE")
    request.add("Contact", call.contact)
    request.set_body(sdp, "application/sdp")
    phone.endpoint.request(request, phone.server, None)
    phone.flush()
    ack = call.dialog.request("ACK", cseq=request.cseq.number)

    def acknowledge() -> None:
        phone.endpoint.send_ack(ack, phone.server)
        phone.flush()

    phone.house.loop.call_later(0.05, acknowledge)


def test_the_phone_is_called_once_and_calls_take_turns_without_ringing() -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        shown = agent.incoming[0].request.from_
        assert (shown.display, shown.uri.user) == ("Call queues", "acd")
        assert leg_of(house).playing == ("tones/silence",)
        for name in ("alice", "bob"):
            caller = house.phone(name)
            caller.dial("10001")
            house.run(0.2)
            assert house.agent_states["1001"] == "reserved"
            assert leg_of(house).playing == ("tones/call",), "he hears that somebody comes"
            house.run(5.0)
            assert house.agent_states["1001"] == "talking"
            assert house.caller_leg.bridged_to is leg_of(house)
            caller.hang_up()
            house.run(0.2)
            assert leg_of(house).bridged_to is None
            assert leg_of(house).playing == ("tones/silence",)
            house.run(5.0)
        assert len(agent.incoming) == 1, "one dialog for both"
        for cdr, name in zip(house.records.cdrs, ("alice", "bob"), strict=True):
            assert (cdr.caller, cdr.agent, cdr.queue) == (name, "1001", "support")
            assert (cdr.outcome, cdr.ended_by) == (Outcome.ANSWERED, EndedBy.CALLER)
            assert cdr.recording is not None
            assert cdr.id in cdr.recording
            assert cdr.waited_seconds == pytest.approx(0.4, abs=0.1)
        assert house.records.cdrs[0].recording != house.records.cdrs[1].recording
        house.settle()
        assert house.agent_states["1001"] == "ready"
        house.assert_nothing_left()


def test_the_caller_hears_the_agents_number_while_he_hears_nothing() -> None:
    with House(OPEN) as house:
        staffed(house)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(0.6)
        assert "en/agent" in house.caller_leg.playing
        assert leg_of(house).playing == ("tones/silence",)


def test_quality_is_that_of_the_call_and_not_of_the_leg() -> None:
    with House(OPEN) as house:
        staffed(house)
        leg = leg_of(house)
        for lost in (3, 5):
            caller = house.phone("alice")
            caller.dial("10001")
            house.run(5.0)
            leg.report = LegReport(codec="PCMA", packets_received=100, lost=lost, mos=4.0, basis="measured")
            caller.hang_up()
            house.settle()
        assert [cdr.quality_agent and cdr.quality_agent.lost for cdr in house.records.cdrs] == [3, 5]
        measured = [call.method for call in leg.calls if call.method in ("measure", "bridge", "unbridge")]
        assert measured == ["measure", "measure", "unbridge"] * 2, "anew when he is connected, read when he is not"


def test_a_dial_into_nothing_waits_until_the_leg_is_open() -> None:
    with House(OPEN) as house:
        phone = house.agent("1001")
        phone.on_invite = phone.refuse
        house.run(1.0)
        assert house.agent_states["1001"] == "busy"
        assert reason_of(house) == "leg not open: 486 Busy Here"
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(1.0)
        assert caller.outcome == "Answered", "he waits: the agent is logged in"
        assert len(phone.incoming) == 1
        phone.on_invite = phone.answer
        house.run(4.0)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


@pytest.mark.parametrize("manner", ["refuse", "ring_for_ever", "vanish"])
def test_a_leg_that_cannot_be_opened_is_tried_again_ever_more_seldom(manner: str) -> None:
    with House(OPEN) as house:
        phone = house.phone("1001")
        tried: list[float] = []
        behave: Callable[[IncomingCall], None] = getattr(phone, manner, lambda _call: None)

        def note(call: IncomingCall) -> None:
            tried.append(house.loop.time())
            behave(call)

        phone.on_invite = note
        house.register(phone)
        if manner == "vanish":
            house.dead.add(phone.address)
        house.run(600.0)
        assert house.agent_states["1001"] == "busy"
        assert reason_of(house).startswith("leg not open: ")
        pauses = [after - before for before, after in pairwise(tried)]
        assert pauses == sorted(pauses)
        assert all(2.0 <= pause <= 95.0 for pause in pauses)
        house.dead.clear()
        phone.on_invite = phone.answer
        house.run(100.0)
        assert house.agent_states["1001"] == "ready"
        house.settle()
        house.assert_nothing_left()


@pytest.mark.parametrize("code", ["*11", "*14"])
def test_an_agent_who_hangs_up_in_a_talk_is_paused_until_he_says_ready(code: str) -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        agent.hang_up()
        house.run(1.0)
        assert (only(house).outcome, only(house).ended_by) == (Outcome.ANSWERED, EndedBy.AGENT)
        assert (house.agent_states["1001"], reason_of(house)) == ("paused", "leg closed")
        house.run(300.0)
        assert len(agent.incoming) == 1
        house.assert_nothing_left()
        other = house.phone("1001")
        other.dial(code)
        house.run(3.0)
        assert house.agent_states["1001"] == "ready"
        assert len(agent.incoming) == 2
        house.settle()
        house.assert_nothing_left()


def test_an_agent_who_hangs_up_between_calls_is_paused_and_a_supervisor_may_undo_it() -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        agent.hang_up()
        house.run(1.0)
        assert (house.agent_states["1001"], reason_of(house)) == ("paused", "leg closed")
        house.do(lambda: house.control.force("1001", "ready"))
        assert house.agent_states["1001"] == "busy", "no call before the leg is there"
        house.run(1.0)
        assert house.agent_states["1001"] == "ready"
        assert len(agent.incoming) == 2


def test_the_leg_stays_while_he_pauses_and_closes_when_he_goes() -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        house.do(lambda: house.control.force("1001", "paused", "lunch"))
        house.run(60.0)
        assert agent.outcome != "Ended"
        agent.hang_up()
        house.run(1.0)
        assert reason_of(house) == "lunch", "he has said why already"
        house.do(lambda: house.control.force("1001", "ready"))
        house.run(1.0)
        house.unregister("1001")
        house.server.flush()
        house.settle()
        assert agent.outcome == "Ended"
        assert house.media.legs == {}
        house.assert_nothing_left()


def test_who_logs_out_in_a_talk_finishes_it_on_his_leg() -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        house.do(lambda: house.control.force("1001", "logged_out"))
        house.run(20.0)
        assert house.caller_leg.bridged_to is leg_of(house)
        caller.hang_up()
        house.settle()
        assert only(house).ended_by is EndedBy.CALLER
        assert agent.outcome == "Ended"
        assert house.media.legs == {}
        house.assert_nothing_left()


@pytest.mark.rfc("3264-8.4")
def test_a_phone_that_holds_is_offered_nothing_and_a_talk_is_on_hold() -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        house.do(lambda: reoffer(agent, HELD))
        house.run(0.2)
        assert (house.agent_states["1001"], reason_of(house)) == ("busy", "leg on hold")
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        assert house.agent_states["1001"] == "busy"
        house.do(lambda: reoffer(agent, SDP))
        house.run(5.0)
        assert house.agent_states["1001"] == "talking"
        house.do(lambda: reoffer(agent, HELD))
        house.run(0.2)
        assert house.agent_states["1001"] == "hold"
        caller.hang_up()
        house.run(10.0)
        assert (house.agent_states["1001"], reason_of(house)) == ("busy", "leg on hold")
        house.do(lambda: reoffer(agent, SDP))
        house.run(1.0)
        assert house.agent_states["1001"] == "ready"
        house.settle()
        house.assert_nothing_left()


@pytest.mark.parametrize("in_talk", [False, True])
def test_a_leg_without_rtp_is_opened_anew(in_talk: bool) -> None:
    with House(OPEN) as house:
        agent = staffed(house)
        caller = house.phone("alice")
        if in_talk:
            caller.dial("10001")
            house.run(5.0)
        house.do(leg_of(house).time_out)
        house.run(0.1)
        assert agent.outcome == "Ended"
        if in_talk:
            assert (only(house).outcome, only(house).ended_by) == (Outcome.PEER_LOST, EndedBy.SYSTEM)
        else:
            assert reason_of(house) == "leg not open: no RTP from the agent"
        house.run(10.0)
        assert house.agent_states["1001"] == "ready"
        assert len(agent.incoming) == 2
        house.settle()
        house.assert_nothing_left()


def test_a_drain_closes_the_legs_when_the_calls_are_over() -> None:
    with House(OPEN, "server.drain_seconds=3") as house:
        agent = staffed(house)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        leg = leg_of(house)
        house.drained = house.loop.create_task(house.engine.drain())
        house.run(3.1)
        assert leg.playing == ("en/closing",), "he hears why, too"
        house.settle()
        assert house.drained.done()
        assert only(house).outcome is Outcome.DRAINED
        assert agent.outcome == "Ended"
        assert house.media.legs == {}
        house.assert_nothing_left()


def test_a_reload_gives_and_takes_the_leg() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        wanted = house.source.change("agents", "1001", {"open_leg": True})
        house.do(lambda: house.engine.install(wanted, "api"))
        house.run(5.0)
        assert len(agent.incoming) == 1, "not while he talks"
        caller.hang_up()
        house.run(5.0)
        assert len(agent.incoming) == 2
        assert house.agent_states["1001"] == "ready"
        caller.dial("10001")
        house.run(5.0)
        assert house.caller_leg.bridged_to is leg_of(house)
        wanted = house.source.change("agents", "1001", {"open_leg": False})
        house.do(lambda: house.engine.install(wanted, "api"))
        house.run(5.0)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()
        house.settle()
        assert [cdr.ended_by for cdr in house.records.cdrs] == [EndedBy.CALLER] * 2
        assert agent.outcome == "Ended"
        assert house.media.legs == {}
        caller.dial("10001")
        house.run(5.0)
        assert len(agent.incoming) == 3, "his phone rings as others do"
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


# Anywhere ---------------------------------------------------------------------------------------------------


def scene(house: House) -> tuple[Phone, Phone]:
    """Two callers come as the agent does, the second has to wait for the first."""
    agent, caller, second = house.agent("1001"), house.phone("alice"), house.phone("bob")
    caller.dial("10001")
    house.loop.call_later(0.3, second.dial, "10001")
    house.loop.call_later(1.7, caller.hang_up)
    return second, agent


def disturb(what: str, house: House, caller: Phone, agent: Phone) -> None:
    match what:
        case "caller":
            caller.hang_up()
        case "agent":
            agent.hang_up()
        case "both":
            agent.hang_up()
            caller.hang_up()
        case "unregister":
            house.unregister_now("1001")
        case "media":
            house.lose_media()
        case "drain":
            house.drained = house.loop.create_task(house.engine.drain())
        case "forced":
            house.control.force("1001", "ready")
        case "paused":
            house.control.force("1001", "paused")


def turns() -> int:
    with House(OPEN, "queues.support.wrap_up_seconds=0") as house:
        scene(house)
        before = house.loop.iterations
        house.run(LIFE)
        return house.loop.iterations - before


@pytest.mark.parametrize("what", ["caller", "agent", "both", "unregister", "media", "drain", "forced", "paused"])
def test_anything_may_happen_at_any_turn(what: str) -> None:
    for turn in range(turns()):
        with House(OPEN, "queues.support.wrap_up_seconds=0", seed=turn) as house:
            caller, agent = scene(house)
            house.loop.at_iteration[house.loop.iterations + turn] = lambda: disturb(what, house, caller, agent)  # noqa: B023
            house.run(LIFE)
            house.unregister("1001")
            for phone in list(house.parties.values()):
                if isinstance(phone, Phone) and phone is not agent:
                    phone.hang_up()
            house.settle()
            assert house.media.legs == {}
            house.assert_nothing_left()
            if what == "forced":
                assert [cdr.outcome for cdr in house.records.cdrs] == [Outcome.ANSWERED] * 2
