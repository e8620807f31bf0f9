"""Calls through the whole server on virtual time: services, queue, agents, and who may hang up when."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from acd.cdr import Cdr, EndedBy, Outcome
from ims_core.messages.message import Request, Response
from ims_core.registrar.location import Binding
from ims_core.ua.session_events import Answered, Ended, Rejected, Ringing
from media.testing import FakeLeg
from tests.acd.house import SDP, House, Phone


def only(house: House) -> Cdr:
    (cdr,) = house.records.cdrs
    return cdr


def steps(cdr: Cdr) -> list[str]:
    return [step.event for step in cdr.timeline]


@pytest.mark.rfc("3323-4.2", "3325-9.3")
@pytest.mark.parametrize("wish", ["id", "user;critical"])
def test_an_agent_is_not_told_who_withholds_his_number(wish: str) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001", headers=(("Privacy", wish),))
        house.run(5.0)
        (incoming,) = agent.incoming
        assert incoming.request.from_.display == "Support"
        assert incoming.request.from_.uri_text == "sip:anonymous@ims.example"
        assert b"alice" not in incoming.request.encode().replace(incoming.request.body, b"")
        caller.hang_up()
        house.settle()
        assert only(house).caller == "alice", "the network keeps it"


def test_a_caller_is_connected_with_an_agent_and_hangs_up() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        assert caller.outcome == "Answered"
        assert house.agent_states["1001"] == "talking"
        assert house.caller_leg.bridged_to is not None
        invite = agent.incoming[0].request
        assert invite.from_.display == "Support"
        assert invite.from_.uri.user == "alice"
        caller.hang_up()
        house.run(0.1)
        assert house.agent_states["1001"] == "wrap_up"
        house.settle()
        assert house.agent_states["1001"] == "ready"
        cdr = only(house)
        assert (cdr.outcome, cdr.ended_by) == (Outcome.ANSWERED, EndedBy.CALLER)
        assert (cdr.queue, cdr.agent, cdr.dialled, cdr.caller) == ("support", "1001", "10001", "alice")
        assert cdr.waited_seconds == pytest.approx(0.5, abs=0.05)
        assert cdr.recording is not None
        assert steps(cdr) == [
            "call.arrived",
            "call.answered",
            "call.queued",
            "agent.offered",
            "agent.connected",
            "call.bridged",
            "call.ended",
        ]
        assert agent.outcome == "Ended"
        house.assert_nothing_left()


@pytest.mark.rfc("3327-5.3")
def test_an_agent_behind_a_proxy_is_called_by_the_path_that_was_registered() -> None:
    with House() as house:
        edge, caller = house.phone("1001"), house.phone("alice")
        path = f"<sip:edge@127.0.0.1:{edge.address[1]};lr>"
        house.location.add(Binding("sip:1001@ims.example", "sip:1001@192.0.2.77", by_flow=False, path=(path,)))
        house.server.node.handle_timer()
        caller.dial("10001")
        house.run(5.0)
        assert caller.outcome == "Answered"
        invite = edge.incoming[0].request
        assert (invite.uri, invite.values("Route")) == ("sip:1001@192.0.2.77", [path])
        caller.hang_up()
        house.settle()


def test_the_agent_may_hang_up_too() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        agent.hang_up()
        house.settle()
        assert only(house).ended_by is EndedBy.AGENT
        assert only(house).outcome is Outcome.ANSWERED
        assert caller.outcome == "Ended"
        house.assert_nothing_left()


@pytest.mark.parametrize(("keys", "queue"), [("1", "sales"), ("2", "support"), ("0", "anybody"), ("", "anybody")])
def test_a_digit_chooses_the_queue(keys: str, queue: str) -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10000")
        house.run(0.7)
        house.press(keys)
        house.run(30.0)
        caller.hang_up()
        house.settle()
        assert only(house).queue == queue
        assert only(house).outcome is Outcome.ANSWERED
        house.assert_nothing_left()


def test_a_key_that_is_no_choice_is_told_and_the_menu_repeated() -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10000")
        house.run(1.0)
        house.press("7")
        house.run(1.5)
        prompts = [call.arguments[0] for call in house.caller_leg.calls if call.method == "play"]
        assert ("en/invalid",) in prompts
        house.press("2")
        house.run(3.0)
        caller.hang_up()
        house.settle()
        assert only(house).queue == "support"


def test_the_menu_without_a_key_is_repeated_twice() -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10000")
        house.run(30.0)
        menus = [call for call in house.caller_leg.calls if call.arguments[:1] == (("en/menu",),)]
        assert len(menus) == 3
        caller.hang_up()
        house.settle()


@pytest.mark.rfc("6086-4.2.2")
@pytest.mark.parametrize(
    ("kind", "body"),
    [("application/dtmf-relay", b"Signal=2\r\nDuration=160\r\n"), ("application/dtmf", b"2")],
)
def test_a_digit_may_come_by_info(kind: str, body: bytes) -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10000")
        house.run(0.7)
        assert caller.call is not None
        assert caller.call.dialog is not None
        info = caller.call.dialog.request("INFO")
        info.set_body(body, kind)
        caller.endpoint.request(info, caller.server, None)
        caller.flush()
        house.run(5.0)
        caller.hang_up()
        house.settle()
        assert only(house).queue == "support"


def test_the_log_tells_how_much_of_each_prompt_was_heard() -> None:
    with House() as house, capture_logs() as logged:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10000")
        house.run(0.7)
        house.press("2")
        house.run(1.0)
        caller.hang_up()
        house.settle()
        told = [line for line in logged if line["event"] == "prompt.finished"]
        assert [(line["prompts"], line["interrupted"]) for line in told[:2]] == [
            (("en/welcome",), False),
            (("en/menu",), True),
        ]
        assert told[0]["heard_ms"] == 400
        assert 0 < told[1]["heard_ms"] < 400
        assert {line["call"] for line in told} == {only(house).id}


@pytest.mark.rfc("3261-8.2.1")
@pytest.mark.parametrize("side", ["caller", "agent"])
def test_a_transfer_by_refer_is_refused_and_logged(side: str) -> None:
    with House() as house, capture_logs() as logged:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        phone = caller if side == "caller" else agent
        session = phone.call if side == "caller" else phone.incoming[0]
        assert session is not None
        answers = Answers()
        session.send("REFER", (("Refer-To", "<sip:bob@ims.example>"),), user=answers)
        phone.flush()
        house.run(1.0)
        assert [answer.status for answer in answers.kept] == [405]
        (line,) = [line for line in logged if line["event"] == "request.refused"]
        assert (line["method"], line["status"]) == ("REFER", 405)
        caller.hang_up()
        house.settle()
        assert only(house).outcome is Outcome.ANSWERED


@pytest.mark.rfc("3261-8.2.1")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "REFER", "MESSAGE", "PUBLISH"])
def test_what_the_server_does_not_do_is_refused_with_what_it_does(method: str) -> None:
    with House() as house:
        phone = house.phone("alice")
        request = Request(method, "sip:10001@ims.example")
        lines = {"Max-Forwards": "70", "From": "<sip:alice@ims.example>;tag=1", "To": "<sip:10001@ims.example>"}
        for name, value in (lines | {"Call-ID": "a call", "CSeq": f"1 {method}", "Event": "dialog"}).items():
            request.add(name, value)
        request.add("Contact", "<sip:alice@127.0.0.1>")
        request.add("Refer-To", "<sip:bob@ims.example>")
        answers = Answers()
        phone.endpoint.request(request, phone.server, answers)
        phone.flush()
        house.run(1.0)
        (response,) = answers.kept
        assert response.status == 405
        assert "INVITE" in response.values("Allow")
        assert method not in response.values("Allow")


@pytest.mark.rfc("3261-8.2.2.3", "3261-8.2.2")
def test_the_place_of_another_call_is_not_to_be_had() -> None:
    """Replaces, where it is not required, is a header field that nobody here understands."""
    named = ("Replaces", "1@127.0.0.1;to-tag=1;from-tag=2")
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001", headers=(named, ("Require", "replaces")))
        house.run(1.0)
        assert [type(event) for event in caller.events] == [Rejected]
        assert caller.events[0] == Rejected(420, "Bad Extension")
        caller.dial("10001", headers=(named,))
        house.run(5.0)
        assert house.agent_states["1001"] == "talking"
        assert agent.incoming
        caller.hang_up()
        house.settle()


class Answers:
    """Keeps the final responses to requests."""

    def __init__(self) -> None:
        self.kept: list[Response] = []

    def receive_response(self, _: object, response: Response) -> None:
        self.kept.append(response)

    def request_failed(self, _: object, cause: str) -> None:
        raise AssertionError(cause)


@pytest.mark.parametrize("reaction", ["refuse", "ring_for_ever"])
def test_the_next_agent_is_tried_and_the_caller_keeps_the_place(reaction: str) -> None:
    with House() as house:
        first, second = house.agent("1001"), house.agent("1002")
        house.run(1.0)
        first.on_invite = getattr(first, reaction)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(15.0)
        assert caller.outcome == "Answered"
        assert [len(first.incoming), len(second.incoming)] == [1, 1]
        caller.hang_up()
        house.settle()
        assert only(house).agent == "1002"
        assert house.agent_states == {"1001": "ready", "1002": "ready", "1003": "logged_out", "1004": "logged_out"}
        house.assert_nothing_left()


def test_nobody_logged_in_behind_the_menu() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("10000")
        house.settle()
        assert only(house).outcome is Outcome.NO_AGENT
        (ended,) = [event for event in caller.events if isinstance(event, Ended)]
        assert ended.reason.startswith("SIP;cause=480")
        house.assert_nothing_left()


@pytest.mark.rfc("3261-13.3.1.1")
def test_nobody_logged_in_is_told_in_early_media() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(0.1)
        assert any(isinstance(event, Ringing) and event.status == 183 and event.sdp for event in caller.events)
        assert house.caller_leg.playing == ("en/nobody",)
        house.settle()
        (rejected,) = [event for event in caller.events if isinstance(event, Rejected)]
        assert rejected.status == 480
        assert only(house).outcome is Outcome.NO_AGENT
        house.assert_nothing_left()


def test_an_agent_who_pauses_still_counts_as_logged_in() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        agent.dial("*13")
        house.run(3.0)
        assert house.agent_states["1001"] == "paused"
        caller.dial("10001")
        house.run(3.0)
        assert caller.outcome == "Answered"
        assert agent.incoming == []
        agent.dial("*14")
        house.run(5.0)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_the_feature_codes_are_for_agents() -> None:
    with House() as house:
        caller = house.phone("alice")
        caller.dial("*12")
        house.settle()
        (rejected,) = [event for event in caller.events if isinstance(event, Rejected)]
        assert rejected.status == 403
        house.assert_nothing_left()


def test_positions_are_told_while_waiting() -> None:
    with House() as house:
        agent = house.agent("1001")
        agent.on_invite = agent.ring_for_ever
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(25.0)
        prompts = [call.arguments[0] for call in house.caller_leg.calls if call.method == "play"]
        assert prompts.count(("en/position", "en/digits/1", "en/position-end")) == 2
        caller.hang_up()
        house.settle()
        assert only(house).outcome is Outcome.ABANDONED
        house.assert_nothing_left()


def test_who_waits_too_long_is_told_and_released() -> None:
    with House("queues.support.max_wait_seconds=30") as house:
        agent = house.agent("1001")
        agent.on_invite = agent.ring_for_ever
        caller = house.phone("alice")
        caller.dial("10001")
        house.settle()
        assert only(house).outcome is Outcome.WAITED_TOO_LONG
        assert caller.outcome == "Ended"
        house.assert_nothing_left()


def test_callers_are_served_in_the_order_of_their_arrival() -> None:
    with House("agents.1001.wrap_up_seconds=0") as house:
        agent = house.agent("1001")
        callers = [house.phone(f"caller{n}") for n in range(1, 6)]
        for caller in callers:
            caller.dial("10001")
            house.run(0.3)
        for _ in callers:
            house.run(4.0)
            agent.hang_up()
        house.settle()
        served = [call.request.from_.uri.user for call in agent.incoming]
        assert served == [caller.user for caller in callers]
        assert {cdr.outcome for cdr in house.records.cdrs} == {Outcome.ANSWERED}
        house.assert_nothing_left()


@pytest.mark.rfc("3261-13.2.1")
def test_an_invite_without_offer_gets_one_and_answers_in_the_ack() -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001", sdp=b"")
        house.run(0.1)
        (answered,) = [event for event in caller.events if isinstance(event, Answered)]
        assert b"m=audio" in answered.sdp
        # the phone's user agent acknowledges by itself, without a description: the server gives up in the end
        house.settle()
        assert only(house).outcome in {Outcome.REJECTED, Outcome.PEER_LOST, Outcome.FAILED, Outcome.SERVED}
        house.assert_nothing_left()


def test_no_common_codec_is_488() -> None:
    with House() as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001", sdp=SDP.replace(b"0 8 101", b"18"))
        house.settle()
        (rejected,) = [event for event in caller.events if isinstance(event, Rejected)]
        assert rejected.status == 488
        assert only(house).outcome is Outcome.REJECTED
        house.assert_nothing_left()


def test_no_media_worker_is_503() -> None:
    with House() as house:
        house.agent("1001")
        house.media.available = False
        caller = house.phone("alice")
        caller.dial("10001")
        house.settle()
        (rejected,) = [event for event in caller.events if isinstance(event, Rejected)]
        assert rejected.status == 503
        house.assert_nothing_left()


@pytest.mark.parametrize("sides", [("caller",), ("agent",), ("caller", "agent"), ("agent", "caller")])
@pytest.mark.parametrize(
    ("fault", "outcome"), [(FakeLeg.lose, Outcome.MEDIA_LOST), (FakeLeg.time_out, Outcome.PEER_LOST)]
)
def test_a_media_fault_of_either_side_ends_the_call_on_both(
    fault: Callable[[FakeLeg], None], outcome: Outcome, sides: tuple[str, ...]
) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        legs = {"caller" if name.endswith("/caller") else "agent": leg for name, leg in house.media.legs.items()}
        for side in sides:  # at one moment, so that the first does not keep the other from happening
            house.loop.call_soon(fault, legs[side])
        house.settle()
        assert only(house).outcome is outcome
        assert (caller.outcome, agent.outcome) == ("Ended", "Ended")
        assert house.agent_states["1001"] == "ready"
        house.assert_nothing_left()


@pytest.mark.rfc("3261-13.3.1.4")
def test_a_caller_who_vanishes_before_the_ack_is_given_up() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(0.0025)
        house.dead.add(caller.address)
        house.settle()
        assert only(house).outcome is Outcome.PEER_LOST
        assert house.agent_states["1001"] == "ready"
        assert agent.outcome in {"Ended", ""}


def test_an_agent_whose_phone_is_dead_does_not_hold_the_caller() -> None:
    with House() as house:
        first = house.agent("1001")
        house.run(1.0)
        second = house.agent("1002")
        house.dead.add(first.address)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(20.0)
        assert caller.outcome == "Answered"
        assert len(second.incoming) == 1
        caller.hang_up()
        house.settle()


def test_the_time_limit_ends_a_call() -> None:
    with House("limits.call_seconds=60") as house:
        house.agent("1001")
        caller = house.phone("alice")
        caller.dial("10001")
        house.settle()
        assert only(house).outcome is Outcome.TIME_LIMIT
        assert caller.outcome == "Ended"
        house.assert_nothing_left()


def test_too_many_calls_are_refused() -> None:
    with House("limits.calls=1") as house:
        house.agent("1001")
        first, second = house.phone("alice"), house.phone("bob")
        first.dial("10001")
        house.run(1.0)
        second.dial("10001")
        house.run(1.0)
        (rejected,) = [event for event in second.events if isinstance(event, Rejected)]
        assert rejected.status == 503
        first.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_a_drain_serves_who_waits_then_tells_the_rest() -> None:
    with House() as house:
        agent, caller, late = house.agent("1001"), house.phone("alice"), house.phone("bob")
        caller.dial("10001")
        house.run(0.3)
        drain = house.loop.create_task(house.engine.drain())
        late.dial("10001")
        house.run(1.5)
        (rejected,) = [event for event in late.events if isinstance(event, Rejected)]
        assert rejected.status == 503
        assert house.agent_states["1001"] == "talking"  # who was waiting has been served
        house.run(0.6)
        assert house.caller_leg.playing == ("en/closing",)
        house.run(5.0)
        assert drain.done()
        assert only(house).outcome is Outcome.DRAINED
        assert (caller.outcome, agent.outcome) == ("Ended", "Ended")
        house.settle()
        house.assert_nothing_left()


def test_an_agent_in_a_call_of_the_own_is_not_offered_one() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        agent.dial("10002")
        house.run(1.0)
        assert house.agent_states["1001"] == "busy"
        caller.dial("10001")
        house.run(2.0)
        assert agent.incoming == []
        agent.hang_up()
        house.run(2.0)
        assert len(agent.incoming) == 1
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_the_last_binding_gone_while_ringing_moves_the_caller_on() -> None:
    with House() as house:
        first = house.agent("1001")
        house.run(1.0)
        second = house.agent("1002")
        first.on_invite = first.ring_for_ever
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(1.0)
        house.unregister("1001")
        house.run(2.0)
        assert house.agent_states["1001"] == "logged_out"
        assert len(second.incoming) == 1
        assert [type(event) for event in first.events] == [Ended]
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def hold(phone: Phone) -> None:
    call = phone.call or phone.incoming[-1]
    assert call.dialog is not None
    reinvite = call.dialog.request("INVITE")
    reinvite.add("Contact", f"<sip:{phone.user}@127.0.0.1:{phone.address[1]}>")
    reinvite.set_body(SDP + b"a=sendonly\r\n", "application/sdp")
    phone.endpoint.request(reinvite, phone.server, None)
    phone.flush()


@pytest.mark.rfc("3264-8.4")
def test_a_re_invite_puts_the_call_on_hold() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        caller.dial("10001")
        house.run(5.0)
        hold(agent)
        house.run(1.0)
        assert house.agent_states["1001"] == "hold"
        caller.hang_up()
        house.settle()
        assert only(house).outcome is Outcome.ANSWERED


def test_a_full_queue_turns_callers_away() -> None:
    with House("queues.support.max_waiting=1") as house:
        agent = house.agent("1001")
        agent.on_invite = agent.ring_for_ever
        first, second, third = house.phone("alice"), house.phone("bob"), house.phone("carol")
        first.dial("10001")
        house.run(1.0)
        second.dial("10001")
        third.dial("10000")
        house.run(0.1)
        house.do(lambda: house.press_if_answered("2"))
        house.run(5.0)
        (rejected,) = [event for event in second.events if isinstance(event, Rejected)]
        assert rejected.status == 480
        assert third.outcome == "Ended"
        assert {cdr.reason for cdr in house.records.cdrs} == {"queue full"}
        first.hang_up()
        house.settle()
        house.assert_nothing_left()
