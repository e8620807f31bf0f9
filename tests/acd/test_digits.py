"""Keys told by SIP INFO (legacy use, RFC 6086 section 2), and keys kept from agents and records."""

import pytest
from structlog.testing import capture_logs

from acd.control import NotNow, NotThere
from acd.digits import digit_of_info
from ims_core.messages.message import Response
from media.testing import Call, FakeLeg
from tests.acd.house import House, Phone
from tests.acd.test_calls import Answers, only

RELAY, PLAIN = "application/dtmf-relay", "application/dtmf"


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        (RELAY, b"Signal=5\r\nDuration=160\r\n", ("5", 160)),
        (RELAY, b"Signal= *\nDuration= 250", ("*", 250)),
        ("Application/DTMF-Relay; charset=utf-8", b"signal=#", ("#", 100)),
        (RELAY, b"Signal=10\r\n", ("*", 100)),
        (RELAY, b"Signal=11\r\n", ("#", 100)),
        (RELAY, b"Signal=d\r\nDuration=0\r\n", ("D", 100)),
        (RELAY, b"Signal=5\r\nDuration=9999999\r\n", ("5", 60_000)),
        (RELAY, b"Signal=5\r\nDuration=" + b"9" * 5000, ("5", 100)),
        (RELAY, "Signal=5\r\nDuration=١٦٠".encode(), ("5", 100)),
        (PLAIN, b"7", ("7", 100)),
        (PLAIN, b" 0 \r\n", ("0", 100)),
        (PLAIN, b"", None),
        (PLAIN, b"77", None),
        (PLAIN, b"\xff\xfe", None),
        (RELAY, b"Duration=160", None),
        (RELAY, b"Signal=16", None),
        ("text/plain", b"7", None),
        ("", b"7", None),
    ],
)
def test_what_an_info_tells(kind: str, body: bytes, told: tuple[str, int] | None) -> None:
    assert digit_of_info(kind, body) == told


def inform(house: House, phone: Phone, kind: str, body: bytes) -> Response:
    """Have a phone in a call send an INFO; return its response."""
    session = phone.call or phone.incoming[-1]
    answers = Answers()
    session.send("INFO", body=body, content_type=kind, user=answers)
    phone.flush()
    house.run(0.5)
    (answer,) = answers.kept
    return answer


def talk(house: House) -> tuple[Phone, Phone, FakeLeg, FakeLeg]:
    """Connect a caller to an agent; return their phones and legs."""
    agent, caller = house.agent("1001"), house.phone("alice")
    caller.dial("10001")
    house.run(5.0)
    leg = house.caller_leg
    assert leg.bridged_to is not None
    return caller, agent, leg, leg.bridged_to


def pressed(house: House) -> list[str]:
    return [step.detail for step in only(house).timeline if step.event == "caller.pressed"]


@pytest.mark.rfc("6086-2")
@pytest.mark.parametrize("side", ["caller", "agent"])
def test_a_key_told_by_info_is_answered_with_200_and_crosses_the_bridge(side: str) -> None:
    with House() as house:
        caller, agent, leg, other = talk(house)
        phone, own, far = (caller, leg, other) if side == "caller" else (agent, other, leg)
        assert inform(house, phone, RELAY, b"Signal=5\r\nDuration=160\r\n").status == 200
        assert inform(house, phone, PLAIN, b"#").status == 200
        told = [call.arguments for call in own.calls if call.method == "receive_digit"]
        assert told == [("5", 160), ("#", 100)]
        assert far.dialled == "5#"
        caller.hang_up()
        house.settle()
        assert pressed(house) == (["5", "#"] if side == "caller" else [])
        house.assert_nothing_left()


@pytest.mark.rfc("3261-8.2.3")
@pytest.mark.parametrize("side", ["caller", "agent"])
def test_an_info_that_nobody_reads_is_refused_with_what_can_be_read(side: str) -> None:
    with House() as house, capture_logs() as logged:
        caller, agent, _, _ = talk(house)
        answer = inform(house, caller if side == "caller" else agent, "application/xml", b"<a/>")
        assert answer.status == 415
        assert answer.get("Accept") == "application/dtmf-relay, application/dtmf"
        (line,) = [line for line in logged if line["event"] == "request.refused"]
        assert (line["method"], line["status"]) == ("INFO", 415)
        caller.hang_up()
        house.settle()


@pytest.mark.rfc("6086-2")
def test_an_info_without_a_body_is_answered() -> None:
    with House() as house:
        caller, _, leg, _ = talk(house)
        assert inform(house, caller, "", b"").status == 200
        assert not [call for call in leg.calls if call.method == "receive_digit"]
        caller.hang_up()
        house.settle()


def test_a_queue_may_keep_what_callers_press_from_agents_and_from_the_record() -> None:
    with House("queues.support.hide_digits=true") as house:
        caller, _, leg, other = talk(house)
        house.do(lambda: leg.press("4711"))
        caller.hang_up()
        house.settle()
        assert other.dialled == ""
        assert pressed(house) == ["hidden"] * 4
        house.assert_nothing_left()


def test_a_secret_may_be_hidden_for_a_time() -> None:
    with House() as house, capture_logs() as logged:
        caller, _, leg, other = talk(house)
        control = house.control
        (call,) = house.engine.calls
        house.do(lambda: leg.press("1"))
        house.do(lambda: control.hide_digits(call, hidden=True))
        house.do(lambda: leg.press("22"))
        house.do(lambda: control.hide_digits(call, hidden=False))
        house.do(lambda: leg.press("3"))
        assert [call for call in leg.calls if call.method == "hide_digits"] == [
            Call("hide_digits", (True,)),
            Call("hide_digits", (False,)),
        ]
        assert other.dialled == "13"
        assert [line["event"] for line in logged if line["event"].startswith("digits.")] == [
            "digits.hidden",
            "digits.shown",
        ]
        caller.hang_up()
        house.settle()
        assert pressed(house) == ["1", "hidden", "hidden", "3"]


def test_keys_are_pressed_for_either_side_of_a_talk() -> None:
    with House() as house, capture_logs() as logged:
        caller, _, leg, other = talk(house)
        (call,) = house.engine.calls
        house.do(lambda: house.control.press(call, "12#", "other"))
        house.do(lambda: house.control.press(call, "9", "caller"))
        assert (other.dialled, leg.dialled) == ("12#", "9")
        told = [(line["towards"], line["count"]) for line in logged if line["event"] == "digits.sent"]
        assert told == [("other", 3), ("caller", 1)]
        with pytest.raises(NotThere):
            house.control.press("c9", "1", "other")
        caller.hang_up()
        house.settle()
        assert pressed(house) == []


def test_keys_are_pressed_for_nobody_while_there_is_nobody() -> None:
    with House() as house:
        agent, caller = house.agent("1001"), house.phone("alice")
        agent.on_invite = agent.ring_for_ever
        caller.dial("10001")
        house.run(1.0)
        (call,) = house.engine.calls
        with pytest.raises(NotNow):
            house.control.press(call, "1", "other")


def test_what_cannot_be_hidden_is_told() -> None:
    with House() as house:
        control = house.control
        with pytest.raises(NotThere):
            control.hide_digits("c9", hidden=True)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(0.01)
        (call,) = house.engine.calls.values()
        call.media = None
        with pytest.raises(NotNow):
            control.hide_digits(call.id, hidden=True)
