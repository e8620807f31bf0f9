"""Handsets that reserve a bearer before they can talk call numbers of ours: preconditions end here (RFC 3312)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from acd.cdr import Outcome
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.ua.session_events import Answered, OfferRefused, Reanswered, Rejected, Ringing
from media.api import Trouble
from tests.acd.house import SDP, SERVER, House, Phone

REQUIRED = (("Require", "precondition"),)
NUMBERS = ("10000", "10001", "10002", "10003")
WAIT = 15.0  # sip.reservation_seconds


def sdp(local: str = "none", *more: str, strength: str = "mandatory") -> bytes:
    """What a handset offers that has the resources ``local`` of its own access."""
    lines = (
        f"curr:qos local {local}",
        "curr:qos remote none",
        f"des:qos {strength} local sendrecv",
        "des:qos optional remote sendrecv",
        *more,
    )
    return SDP + "".join(f"a={line}\r\n" for line in lines).encode()


class Handset:
    """A phone of the house; ``heard`` is what the server sends it, as it leaves."""

    def __init__(self, house: House, user: str = "alice") -> None:
        self.house = house
        self.phone: Phone = house.phone(user)
        self.heard: list[Request | Response] = []
        carry = house.carry

        def watch(source: tuple[str, int], destination: tuple[str, int], data: bytes) -> None:
            if (source, destination) == (SERVER, self.phone.address):
                self.heard.append(parse_message(data, datagram=True))
            carry(source, destination, data)

        house.carry = watch  # type: ignore[method-assign]

    def dial(
        self, number: str = "10001", offer: bytes | None = None, headers: tuple[tuple[str, str], ...] = REQUIRED
    ) -> None:
        self.phone.dial(number, sdp=sdp() if offer is None else offer, headers=headers)
        self.house.run(0.1)

    def update(self, offer: bytes, *, seconds: float = 0.1) -> None:
        """Tell how the resources stand."""
        assert self.phone.call is not None
        self.phone.call.update(offer, REQUIRED)
        self.phone.flush()
        self.house.run(seconds)

    def responses(self, method: str = "INVITE") -> list[int]:
        """The statuses that came, 100 left out."""
        return [
            message.status
            for message in self.heard
            if isinstance(message, Response) and message.cseq.method == method and message.status > 100
        ]

    def response(self, status: int, method: str = "INVITE") -> Response:
        """The latest response of that kind."""
        return [
            message
            for message in self.heard
            if isinstance(message, Response) and (message.status, message.cseq.method) == (status, method)
        ][-1]

    def hang_up(self) -> None:
        self.phone.hang_up()
        self.house.settle()
        self.house.assert_nothing_left()


def qos(message: Request | Response) -> list[str]:
    """The lines about preconditions."""
    return [line[2:] for line in message.body.decode().splitlines() if line[2:].startswith(("curr:", "des:", "conf:"))]


def observed(house: House, outcome: str) -> float | None:
    """How many calls waited for resources with this outcome."""
    return house.engine.metrics.registry.get_sample_value("acd_resources_wait_seconds_count", {"outcome": outcome})


@pytest.mark.rfc("3312-6", "3312-7", "3312-11", "TS24.229-5.1.4.1", "TS24.229-6.1.3")
def test_no_agent_rings_before_the_caller_has_his_resources() -> None:
    with House() as house, capture_logs() as logs:
        agent, caller = house.agent("1001"), Handset(house)
        caller.dial()
        house.run(3.0)
        assert caller.responses() == [183]
        progress = caller.response(183)
        assert progress.values("Require") == ["100rel", "precondition"]
        assert qos(progress) == [
            "curr:qos local sendrecv",
            "curr:qos remote none",
            "des:qos optional local sendrecv",
            "des:qos mandatory remote sendrecv",
            "conf:qos remote sendrecv",
        ]
        assert agent.incoming == []
        assert house.engine.dispatcher.distributor.position(next(iter(house.engine.calls))) is None, "not queued"
        caller.update(sdp("sendrecv"), seconds=3.0)
        answer = caller.response(200, "UPDATE")
        assert answer.values("Require") == ["precondition"]
        assert qos(answer)[:2] == ["curr:qos local sendrecv", "curr:qos remote sendrecv"]
        assert not any(line.startswith("conf:") for line in qos(answer))
        assert caller.responses() == [183, 200]
        assert caller.response(200).body == b"", "the answer was given"
        assert house.agent_states["1001"] == "talking"
        invite = agent.incoming[0].request
        assert qos(invite) == []
        assert not {"precondition"} & {*invite.values("Supported"), *invite.values("Require")}
        caller.hang_up()
        (cdr,) = house.records.cdrs
        steps = [step.event for step in cdr.timeline]
        assert steps[:4] == ["call.arrived", "caller.reserved", "call.answered", "call.queued"]
        assert cdr.waited_seconds < 1.0, "the wait for resources is none for an agent"
        (waited,) = [entry for entry in logs if entry["event"] == "resources.awaited"]
        assert (waited["call"], waited["outcome"]) == (cdr.id, "met")
        assert 3.0 < waited["seconds"] < 3.3
        assert observed(house, "met") == 1.0


@pytest.mark.rfc("3312-6")
@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_of_ours_is_answered_before(number: str) -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(number)
        house.run(2.0)
        assert caller.responses() == [183]
        assert not any(call.method in {"play", "echo"} for call in house.caller_leg.calls)
        caller.update(sdp("sendrecv"))
        assert caller.responses() == [183, 200]
        house.run(0.3)
        assert any(call.method in {"play", "echo"} for call in house.caller_leg.calls)
        caller.hang_up()


@pytest.mark.rfc("3312-6")
def test_a_feature_code_is_confirmed_when_it_can_be_heard() -> None:
    with House() as house:
        caller = Handset(house, "1001")
        house.register(caller.phone)
        caller.dial(house.config.feature_codes.log_out)
        assert caller.responses() == [183]
        caller.update(sdp("sendrecv"))
        assert caller.responses() == [183, 200]
        assert house.caller_leg.playing == ("en/logged-out",)
        caller.hang_up()


@pytest.mark.rfc("3312-6")
def test_a_caller_who_is_turned_away_hears_why_once_he_can() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial()
        house.run(1.0)
        assert caller.responses() == [183]
        assert "en/nobody" not in house.caller_leg.playing
        caller.update(sdp("sendrecv"))
        assert "en/nobody" in house.caller_leg.playing
        house.run(2.0)
        assert caller.responses() == [183, 480]
        assert house.records.cdrs[0].outcome is Outcome.NO_AGENT
        caller.hang_up()


@pytest.mark.rfc("3312-6", "3312-11")
@pytest.mark.parametrize(
    ("offer", "headers"),
    [
        (sdp("sendrecv"), REQUIRED),
        (sdp("sendrecv"), (("Supported", "precondition"),)),
        (sdp("none", strength="optional"), (("Supported", "precondition"),)),
        (sdp("none", strength="none"), (("Supported", "precondition"),)),
    ],
    ids=["has all", "has all and only supports it", "optional", "none"],
)
def test_who_misses_nothing_mandatory_is_answered_at_once(offer: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(offer=offer, headers=headers)
        assert caller.responses() == [200]
        answer = caller.response(200)
        assert answer.values("Require") == ["precondition"]
        assert qos(answer)[0] == "curr:qos local sendrecv"
        assert observed(house, "met") == 0.0
        caller.hang_up()


@pytest.mark.rfc("TS24.229-5.1.3", "3312-11")
def test_a_handset_that_only_names_what_it_supports_is_waited_for_as_well() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002", headers=(("Supported", "precondition"),))
        house.run(1.0)
        assert caller.responses() == [183]
        caller.update(sdp("sendrecv"))
        assert caller.responses() == [183, 200]
        caller.hang_up()


@pytest.mark.rfc("3312-13.3", "3262-5", "TS24.229-6.1.3")
@pytest.mark.parametrize("names", ["Require", "Supported"])
def test_a_caller_without_offer_gets_ours_and_says_in_his_answer_what_he_misses(names: str) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), Handset(house)
        caller.dial(offer=b"", headers=((names, "precondition"),))
        assert caller.responses() == [183]
        assert caller.response(183).values("Require") == ["100rel", "precondition"]
        assert qos(caller.response(183)) == [
            "curr:qos local sendrecv",
            "curr:qos remote none",
            "des:qos optional local sendrecv",
            "des:qos optional remote sendrecv",
            "conf:qos remote sendrecv",
        ]
        assert caller.phone.call is not None
        caller.phone.call.acknowledge(sdp())
        caller.phone.flush()
        house.run(2.0)
        assert caller.responses() == [183]
        assert agent.incoming == []
        caller.update(sdp("sendrecv"), seconds=2.0)
        assert caller.responses() == [183, 200]
        assert caller.response(200).body == b""
        assert house.agent_states["1001"] == "talking"
        assert observed(house, "met") == 1.0
        caller.phone.call.reinvite()
        caller.phone.flush()
        house.run(0.1)
        assert qos(caller.response(200)) == [], "only the first offer of ours"
        caller.phone.call.acknowledge(SDP)
        caller.phone.flush()
        house.run(0.1)
        caller.hang_up()


@pytest.mark.rfc("3312-13.3", "3312-11")
@pytest.mark.parametrize(
    "answer", [SDP, sdp("sendrecv"), sdp(strength="optional")], ids=["none", "has all", "optional"]
)
def test_a_caller_without_offer_who_misses_nothing_is_answered_at_once(answer: bytes) -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(offer=b"")
        assert caller.phone.call is not None
        caller.phone.call.acknowledge(answer)
        caller.phone.flush()
        house.run(0.1)
        assert caller.responses() == [183, 200]
        caller.hang_up()


@pytest.mark.rfc("3312-13.3", "3312-8")
def test_a_caller_without_offer_who_never_confirms_is_told_what_is_missing() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002", offer=b"")
        assert caller.phone.call is not None
        caller.phone.call.acknowledge(sdp("recv"))
        caller.phone.flush()
        house.run(WAIT + 1.0)
        assert caller.responses() == [183, 580]
        assert qos(caller.response(580)) == ["des:qos failure remote recv"]
        caller.hang_up()


@pytest.mark.rfc("3312-13.3", "3312-8")
def test_an_answer_that_cannot_be_taken_ends_the_call() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002", offer=b"")
        assert caller.phone.call is not None
        caller.phone.call.acknowledge(sdp("none", "des:sec mandatory e2e sendrecv"))
        caller.phone.flush()
        house.run(0.1)
        assert caller.responses() == [183, 580]
        assert house.records.cdrs[0].outcome is Outcome.REJECTED
        caller.hang_up()


@pytest.mark.rfc("3312-11")
def test_a_caller_without_offer_who_takes_no_reliable_responses_is_served_as_ever() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.phone.ua.options.discard("100rel")
        caller.phone.ua.support()
        caller.dial(offer=b"")
        assert caller.responses()[0] == 200
        assert qos(caller.response(200)) == []
        assert caller.phone.call is not None
        caller.phone.call.acknowledge(SDP)
        caller.phone.flush()
        house.run(1.0)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()


@pytest.mark.rfc("3312-11")
def test_what_no_option_tag_names_are_no_preconditions() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(headers=())
        assert caller.responses() == [200]
        assert qos(caller.response(200)) == []
        assert "Require" not in caller.response(200)
        caller.hang_up()


@pytest.mark.rfc("3312-11", "3262-3")
def test_a_caller_without_preconditions_in_his_offer_is_served_as_ever() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(offer=SDP)
        assert caller.responses() == [200]
        assert "Require" not in caller.response(200)
        caller.hang_up()


@pytest.mark.rfc("3312-11", "3261-21.4.16")
def test_who_must_wait_and_takes_no_reliable_responses_is_told_to() -> None:
    with House() as house:
        caller = Handset(house)
        caller.phone.ua.options.discard("100rel")
        caller.phone.ua.support()
        caller.dial("10002")
        assert caller.responses() == [421]
        assert caller.response(421).values("Require") == ["100rel"]
        caller.hang_up()


@pytest.mark.rfc("3312-8", "3312-9")
def test_a_mandatory_precondition_of_an_unknown_type_is_refused() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial(offer=sdp("none", "curr:sec e2e none", "des:sec mandatory e2e sendrecv"))
        assert caller.responses() == [580]
        refusal = caller.response(580)
        assert "sec" in refusal.require("Warning")
        assert refusal.require("Content-Type") == "application/sdp"
        assert qos(refusal) == ["des:sec unknown e2e sendrecv"]
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.reason) == (Outcome.REJECTED, "580 Precondition Failure")
        caller.hang_up()


@pytest.mark.rfc("3261-25.1", "3312-9")
def test_a_type_of_odd_characters_is_told_as_a_quoted_string() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002", offer=sdp("none", 'des:a"\\\x01b mandatory e2e sendrecv'))
        assert caller.responses() == [580]
        assert caller.response(580).require("Warning").endswith('"The precondition a\\"\\\\ b is not served."')
        caller.hang_up()


@pytest.mark.rfc("3312-8")
def test_a_caller_who_gets_no_resources_is_refused() -> None:
    with House() as house, capture_logs() as logs:
        agent, caller = house.agent("1001"), Handset(house)
        caller.dial()
        caller.update(sdp("none", "des:qos failure local sendrecv"))
        assert caller.responses("UPDATE") == [580]
        assert caller.responses() == [183, 580]
        for method in ("UPDATE", "INVITE"):
            assert qos(caller.response(580, method)) == ["des:qos failure remote sendrecv"]
        assert isinstance(caller.phone.events[-1], Rejected)
        assert house.records.cdrs[0].outcome is Outcome.REJECTED
        assert agent.incoming == []
        assert [entry["outcome"] for entry in logs if entry["event"] == "resources.awaited"] == ["failed"]
        assert observed(house, "failed") == 1.0
        caller.hang_up()


@pytest.mark.rfc("3312-6", "3312-8")
@pytest.mark.parametrize("silent", [True, False])
def test_a_caller_who_never_confirms_is_refused_after_a_while(silent: bool) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), Handset(house)
        caller.dial()
        if not silent:
            caller.update(sdp("send"))
        house.run(WAIT - 0.5)
        assert caller.responses() == [183]
        house.run(1.0)
        assert caller.responses() == [183, 580]
        assert qos(caller.response(580)) == [f"des:qos failure remote {'sendrecv' if silent else 'send'}"]
        assert agent.incoming == []
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.ended_by) == (Outcome.REJECTED, "system")
        assert observed(house, "unconfirmed") == 1.0
        caller.hang_up()


@pytest.mark.rfc("3312-6")
def test_no_rtp_is_expected_from_who_has_no_bearer() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002")
        house.do(lambda: house.caller_leg.worsen(Trouble.NO_RTP))
        house.do(house.caller_leg.time_out)
        house.run(1.0)
        caller.update(sdp("sendrecv"))
        assert caller.responses() == [183, 200]
        house.do(house.caller_leg.time_out)
        house.run(1.0)
        (cdr,) = house.records.cdrs
        assert cdr.outcome is Outcome.PEER_LOST
        assert not [step for step in cdr.timeline if step.event == "voice.troubled"]
        caller.hang_up()


def test_how_long_he_may_take_is_configured() -> None:
    with House("sip.reservation_seconds=3") as house:
        caller = Handset(house)
        caller.dial("10002")
        house.run(3.1)
        assert caller.responses() == [183, 580]
        caller.hang_up()


@pytest.mark.rfc("3312-6", "3261-9.2")
@pytest.mark.parametrize("seconds", [0.0, 0.003, 0.005, 0.007, 0.009, 0.05, 2.0])
def test_a_caller_who_leaves_meanwhile_leaves_nothing(seconds: float) -> None:
    with House() as house:
        agent, caller = house.agent("1001"), Handset(house)
        caller.phone.dial("10001", sdp=sdp(), headers=REQUIRED)
        house.run(seconds)
        caller.hang_up()
        assert 487 in caller.responses()
        assert agent.incoming == []
        assert house.records.cdrs[0].outcome is Outcome.CANCELLED


@pytest.mark.rfc("3312-6")
def test_a_caller_who_leaves_is_counted_as_such() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002")
        caller.hang_up()
        assert observed(house, "left") == 1.0


def test_a_server_that_stops_does_not_wait_for_resources() -> None:
    with House("server.drain_seconds=2") as house:
        caller = Handset(house)
        caller.dial("10002")
        house.loop.create_task(house.engine.drain())
        house.run(5.0)
        assert caller.responses() == [183, 503]
        assert house.records.cdrs[0].outcome is Outcome.DRAINED


@pytest.mark.rfc("4032-4.2", "3312-6")
def test_a_caller_who_no_longer_insists_is_answered() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        caller.update(sdp("none", strength="optional"))
        assert caller.responses() == [183, 200]
        caller.hang_up()


@pytest.mark.rfc("3312-6", "3312-11")
def test_a_caller_who_offers_anew_without_preconditions_is_answered() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        caller.update(SDP)
        assert "Require" not in caller.response(200, "UPDATE")
        assert caller.responses() == [183, 200]
        caller.hang_up()


@pytest.mark.rfc("3312-6", "4032-4.1")
def test_one_direction_after_the_other() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        for local, responses in (("send", [183]), ("none", [183]), ("recv", [183]), ("sendrecv", [183, 200])):
            caller.update(sdp(local))
            assert caller.responses() == responses
        caller.hang_up()


@pytest.mark.rfc("3312-8", "3311-5.2")
def test_an_update_that_is_refused_leaves_the_call_waiting() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        caller.update(sdp("sendrecv", "des:sec mandatory e2e sendrecv"))
        assert isinstance(caller.phone.events[-1], OfferRefused)
        caller.update(sdp("sendrecv").replace(b"RTP/AVP 0 8 101", b"RTP/AVP 97"))
        assert caller.responses("UPDATE") == [580, 488]
        assert caller.responses() == [183]
        caller.update(sdp("sendrecv"))
        assert caller.responses() == [183, 200]
        caller.hang_up()


@pytest.mark.rfc("3312-6", "3262-3")
def test_a_caller_whose_prack_is_late_is_heard_all_the_same() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.phone.dial("10001", sdp=sdp(), headers=REQUIRED)
        house.run(0.008)
        house.dead.add(caller.phone.address)
        house.run(3.0)
        house.dead.clear()
        house.run(2.0)
        caller.update(sdp("sendrecv"), seconds=1.0)
        assert set(caller.responses()) == {183, 200}
        caller.hang_up()


@pytest.mark.rfc("3312-5.2", "TS24.229-6.1.3")
@pytest.mark.parametrize("local", ["sendrecv", "none"])
def test_a_reinvite_of_such_a_caller_is_answered_with_the_status(local: str) -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        caller.update(sdp("sendrecv"), seconds=3.0)
        assert house.agent_states["1001"] == "talking"
        assert caller.phone.call is not None
        caller.phone.call.reinvite(sdp(local) + b"a=sendonly\r\n", REQUIRED)
        caller.phone.flush()
        house.run(0.5)
        assert isinstance(caller.phone.events[-1], Reanswered)
        answer = caller.response(200)
        assert answer.values("Require") == ["precondition"]
        assert ("conf:qos remote sendrecv" in qos(answer)) is (local == "none")
        assert house.agent_states["1001"] == "hold"
        caller.phone.call.reinvite(SDP)
        caller.phone.flush()
        house.run(0.5)
        assert qos(caller.response(200)) == []
        assert "Require" not in caller.response(200)
        assert house.agent_states["1001"] == "talking"
        caller.hang_up()


@pytest.mark.rfc("4032-4.1")
def test_a_talk_goes_on_while_a_handset_that_moved_reserves_anew() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.dial()
        caller.update(sdp("sendrecv"), seconds=3.0)
        for local, told in (("none", "conf:qos remote sendrecv"), ("sendrecv", "curr:qos remote sendrecv")):
            caller.update(sdp(local), seconds=20.0)
            assert told in qos(caller.response(200, "UPDATE"))
            assert house.agent_states["1001"] == "talking"
        assert caller.responses() == [183, 200]
        assert observed(house, "met") == 1.0, "it is waited for once"
        caller.hang_up()


def test_a_refresh_of_ours_says_the_same_again_and_requires_what_it_takes_to_read_it() -> None:
    with House() as house:
        house.agent("1001")
        caller = Handset(house)
        caller.phone.ua.allow = "INVITE, ACK, CANCEL, BYE, PRACK"
        caller.dial()
        caller.update(sdp("sendrecv"))
        house.run(901.0)
        refresh = next(message for message in caller.heard if isinstance(message, Request))
        assert refresh.method == "INVITE"
        assert refresh.values("Require") == ["precondition"]
        assert refresh.body == caller.response(200, "UPDATE").body
        assert caller.phone.call is not None
        caller.phone.call.accept_offer(sdp("sendrecv"))
        caller.phone.flush()
        house.run(1.0)
        caller.hang_up()


@pytest.mark.rfc("3312-11")
def test_the_option_is_named_to_who_asks() -> None:
    with House() as house:
        caller = Handset(house)
        caller.dial("10002", offer=SDP, headers=())
        assert "precondition" in caller.response(200).values("Supported")
        caller.hang_up()


@pytest.mark.rfc("3312-13", "3312-6")
def test_two_handsets_call_at_once() -> None:
    with House() as house:
        agents = [house.agent("1001"), house.agent("1002")]
        callers = [Handset(house, "alice"), Handset(house, "bob")]
        for caller in callers:
            caller.dial()
        callers[1].update(sdp("sendrecv"), seconds=2.0)
        assert [caller.responses() for caller in callers] == [[183], [183, 200]]
        assert sum(len(agent.incoming) for agent in agents) == 1
        callers[0].update(sdp("sendrecv"), seconds=2.0)
        assert [caller.responses() for caller in callers] == [[183, 200], [183, 200]]
        for caller in callers:
            assert any(isinstance(event, Ringing) and event.reliable for event in caller.phone.events)
            assert any(isinstance(event, Answered) for event in caller.phone.events)
            caller.phone.hang_up()
        house.settle()
        house.assert_nothing_left()
