"""Emergency calls through the whole server on virtual time, whatever else is the matter; and falling back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from acd.cdr import Outcome
from acd.config import ConfigError, loads
from acd.emergency import LINES_A_MINUTE
from acd.metrics import Metrics, Readings
from ims_core.flow import Address, Flow
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.security.admission import Admission
from ims_core.security.guard import Guard, Rules
from ims_core.ua.session_events import Rejected
from tests.acd.house import SDP, SERVER, House, Phone
from tests.acd.test_trunks import Carrier, bind_flow

BASE = """
[server]
domain = "ims.example"
drain_seconds = 20
[dialling]
country = "86"
[queues.sales]
name = "Sales"
[agents.a1]
queues = ["sales"]
contact = "sip:a1@127.0.0.1:6900"
[numbers.100]
queue = "sales"
[numbers.10002]
echo = true
[[accounts]]
user = "ann"
password = "p"
may_call_outside = true
[trunks.voice]
servers = ["sip:127.0.1.1:5060"]
{voice}
[trunks.psap]
sources = ["127.0.1.2"]
servers = ["sip:127.0.1.2:5060"]
domain = "psap.example"
max_calls = 1
[trunks.other]
servers = ["sip:127.0.1.3:5060"]
[[outbound]]
match = ["+86."]
trunks = ["voice"]
[emergency]
trunks = ["psap", "other"]
{emergency}
"""
NUMBER = "13900139000"
MakeHouse = Callable[..., House]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    def make(*overrides: str, voice: str = "", emergency: str = "") -> House:
        file = tmp_path / "acd.toml"
        file.write_text(BASE.format(voice=voice, emergency=emergency), encoding="utf-8")
        return House("sip.authentication=digest", *overrides, config=file)

    return make


def call(phone: Phone, uri: str) -> None:
    """Dial a URI as it is."""
    phone.call = phone.ua.outgoing(phone.server, phone._note)
    phone.call.start(uri, caller=f"<sip:{phone.user}@nowhere.example>", callee=f"<{uri}>", sdp=SDP)
    phone.flush()


@contextmanager
def listening(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Response]]:
    """The final responses to calls that the server sends meanwhile."""
    heard: list[Response] = []
    carry = house.carry

    def listen(source: Address, destination: Address, data: bytes) -> None:
        if source == SERVER and data.startswith(b"SIP/2.0") and not data.startswith(b"SIP/2.0 1"):
            response = parse_message(data)
            assert isinstance(response, Response)
            if response.cseq.method == "INVITE":
                heard.append(response)
        carry(source, destination, data)

    with monkeypatch.context() as patch:
        patch.setattr(house, "carry", listen)
        yield heard


def steps(house: House) -> dict[str, int]:
    return {step: count for step, count in house.engine.trunks.emergencies.steps.items() if count}


def samples(house: House) -> dict[str, float]:
    readings = Readings(
        emergencies=house.engine.trunks.emergencies.steps, fallbacks=house.engine.trunks.fallbacks.counted
    )
    page, _ = Metrics({}, lambda: readings).render()
    lines = (line.rpartition(" ") for line in page.decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


@pytest.mark.rfc("TS24.229-5.2.10.2", "5031-4.2")
@pytest.mark.parametrize(
    ("uri", "called"),
    [
        ("urn:service:sos", "urn:service:sos"),
        ("urn:service:sos.fire", "sip:119@psap.example;user=phone"),
        ("sip:110@ims.example", "sip:110@psap.example;user=phone"),
        ("tel:110;phone-context=+86", "sip:110@psap.example;user=phone"),
    ],
)
def test_a_stranger_reaches_the_emergency_trunk_and_talks(make_house: MakeHouse, uri: str, called: str) -> None:
    with make_house(emergency='services = { "sos.fire" = "119" }') as house, capture_logs() as lines:
        psap, stranger = Carrier(house, "127.0.1.2"), house.phone("nobody")
        call(stranger, uri)
        house.run(2.0)
        assert psap.incoming[0].request.uri == called
        assert stranger.outcome == "Answered"
        assert house.engine.calls == {}, "it is none of the engine's"
        stranger.hang_up()
        house.run(1.0)
        assert psap.outcome == "Ended"
        told = [line for line in lines if line["event"].startswith("emergency.")]
        assert [line["event"] for line in told] == ["emergency.called", "emergency.answered"]
        assert {line["trunk"] for line in told} == {"psap"}
        assert house.engine.trunks.all["psap"].counted["out"] == 1
        assert told[0]["source"] == "udp:127.0.0.1:6000"
        assert steps(house) == {"called": 1, "answered": 1}
        assert samples(house)['acd_emergency_requests_total{step="answered"}'] == 1
        house.settle()
        node = house.server.node
        assert (node.endpoint.transactions()["server"], node.proxy.active) == (0, set())


@pytest.mark.parametrize("hides", ["true", "false"])
def test_the_emergency_service_hangs_up_through_us_as_well(make_house: MakeHouse, hides: str) -> None:
    with make_house(f"sip.hide_topology={hides}") as house:
        psap, stranger = Carrier(house, "127.0.1.2"), house.phone("nobody")
        call(stranger, "urn:service:sos")
        house.run(2.0)
        assert ("127.0.0.1:6000" in psap.incoming[0].request.require("Contact")) is (hides == "false")
        psap.hang_up()
        house.run(1.0)
        assert stranger.outcome == "Ended"


def test_a_full_engine_and_a_full_trunk_take_emergency_calls(make_house: MakeHouse) -> None:
    with make_house("limits.calls=1") as house:
        psap, ann = Carrier(house, "127.0.1.2"), house.phone("ann")
        bind_flow(house, ann)
        psap.place("sip:100@127.0.0.1:5060", "<sip:1@c>")
        house.run(1.0)
        assert len(house.engine.calls) == 1
        assert house.engine.trunks.all["psap"].is_full
        ann.dial("10002")
        house.run(1.0)
        rejected = ann.events[-1]
        assert isinstance(rejected, Rejected)
        assert rejected.status == 503
        strangers = [house.phone(f"nobody{number}") for number in range(3)]
        for stranger in strangers:
            call(stranger, "urn:service:sos")
        ann.dial("110")
        house.run(2.0)
        assert [phone.outcome for phone in (*strangers, ann)] == ["Answered"] * 4


def test_under_overload_and_beyond_the_bucket_of_their_source_emergencies_come_first(make_house: MakeHouse) -> None:
    with make_house() as house:
        door = house.server.node.door
        door.admission = Admission()
        door.admission.rate = 1e-9
        rules = Rules(requests_per_second=1e-9, burst=1)
        door.guard = Guard(rules, is_registered=house.location.has_flow)
        Carrier(house, "127.0.1.2")
        stranger, other = house.phone("nobody"), house.phone("nobody")
        stranger.dial("100")
        house.run(1.0)
        other.dial("100")
        house.run(1.0)
        assert isinstance(stranger.events[-1], Rejected)
        assert stranger.events[-1].status == 503
        assert other.events == []
        assert door.guard.dropped["rate"]
        callers = [house.phone("nobody") for _ in range(5)]
        for caller in callers:
            call(caller, "tel:119")
        house.run(2.0)
        assert [caller.outcome for caller in callers] == ["Answered"] * 5
        assert "INVITE" in door.rejected


def test_a_draining_server_takes_emergency_calls_and_waits_until_they_are_set_up(make_house: MakeHouse) -> None:
    with make_house() as house:
        psap, ann = Carrier(house, "127.0.1.2"), house.phone("ann")
        bind_flow(house, ann)
        ann.dial("10002")
        house.run(1.0)
        assert ann.outcome == "Answered"
        house.drained = house.loop.create_task(house.engine.drain())
        house.run(0.1)
        turned_away, stranger = house.phone("bob"), house.phone("nobody")
        turned_away.dial("100")
        psap.on_invite = psap.ring_for_ever
        call(stranger, "urn:service:sos")
        house.run(1.0)
        assert isinstance(turned_away.events[-1], Rejected)
        assert turned_away.events[-1].status == 503
        ann.hang_up()
        house.run(5.0)
        assert not house.engine.calls
        assert not house.drained.done(), "it rings still"
        psap.incoming[0].answer(SDP)
        psap.flush()
        house.run(1.0)
        assert stranger.outcome == "Answered"
        house.run(5.0)
        assert house.drained.done()


def test_a_draining_server_waits_no_longer_than_it_may(make_house: MakeHouse) -> None:
    with make_house() as house:
        psap = Carrier(house, "127.0.1.2")
        psap.on_invite = psap.ring_for_ever
        call(house.phone("nobody"), "urn:service:sos")
        house.run(1.0)
        house.drained = house.loop.create_task(house.engine.drain())
        house.run(25.0)
        assert house.drained.done()


def test_the_next_trunk_is_tried_and_then_the_handset_is_told_to_call_elsewhere(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_house() as house:
        psap, other = Carrier(house, "127.0.1.2", status=503), Carrier(house, "127.0.1.3")
        first, second = house.phone("first"), house.phone("second")
        call(first, "sip:110@ims.example")
        house.run(2.0)
        assert first.outcome == "Answered"
        assert other.incoming[0].request.uri == "sip:110@127.0.1.3:5060;user=phone"
        house.dead |= {psap.address, other.address}
        with listening(house, monkeypatch) as heard:
            call(second, "urn:service:sos")
            house.run(12.0)
        (response,) = heard
        assert response.status == 380
        assert response.get("Content-Type") == "application/3gpp-ims+xml"
        assert response.get("P-Asserted-Identity") == "<sip:127.0.0.1:5060>"
        assert b"<type>emergency</type>" in response.body
        assert steps(house) == {"called": 2, "failed_over": 2, "answered": 1, "diverted": 1}
        trunks = house.engine.trunks.all
        assert [(trunks[name].counted["out"], trunks[name].left) for name in ("psap", "other")] == [(2, 2), (2, 0)]


def test_trunks_that_are_down_are_tried_last_and_none_is_called_back(make_house: MakeHouse) -> None:
    with make_house() as house:
        psap, other = Carrier(house, "127.0.1.2", alive=503), Carrier(house, "127.0.1.3")
        house.run(70.0)
        assert not house.engine.trunks.all["psap"].is_up
        stranger = house.phone("nobody")
        call(stranger, "urn:service:sos")
        house.run(2.0)
        assert stranger.outcome == "Answered"
        assert (len(psap.asked("INVITE")), len(other.incoming)) == (0, 1)
        psap.place("urn:service:sos", "<sip:1@c>")
        house.run(2.0)
        assert len(other.incoming) == 2
        assert psap.asked("INVITE") == []


@pytest.mark.rfc("3261-21.5.4")
def test_a_server_that_asked_to_be_left_alone_is_asked_for_help_all_the_same(make_house: MakeHouse) -> None:
    with make_house('emergency.trunks=["psap"]') as house:
        psap = Carrier(house, "127.0.1.2")
        flow = Flow("UDP", SERVER, psap.address)
        busy = Response(503, "Service Unavailable")
        busy.add("Retry-After", "600")
        house.server.node.courier.failed(flow, busy, has_next=False)
        stranger = house.phone("nobody")
        call(stranger, "urn:service:sos")
        house.run(2.0)
        assert stranger.outcome == "Answered"


def test_without_a_trunk_every_emergency_call_is_sent_to_the_other_network(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_house("emergency.trunks=[]", emergency='reason = "Dial 110 again"') as house, capture_logs() as lines:
        stranger, ann = house.phone("nobody"), house.phone("ann")
        bind_flow(house, ann)
        with listening(house, monkeypatch) as heard:
            call(stranger, "urn:service:sos.fire")
            ann.dial("122")
            house.run(1.0)
        assert [response.status for response in heard] == [380, 380]
        assert {response.get("Contact") for response in heard} == {"<urn:service:sos.fire>", "<urn:service:sos>"}
        assert all(b"<reason>Dial 110 again</reason>" in response.body for response in heard)
        assert [line["event"] for line in lines if line["event"][:9] == "emergency"] == ["emergency.diverted"] * 2
        assert house.records.cdrs == []


def test_strangers_do_not_fill_the_log(make_house: MakeHouse) -> None:
    with make_house("emergency.trunks=[]") as house, capture_logs() as lines:
        for _ in range(LINES_A_MINUTE // 100 + 1):
            for _ in range(100):
                call(house.phone_at("nobody", 7000), "urn:service:sos")
            house.run(0.1)
        assert len([line for line in lines if line["event"] == "emergency.diverted"]) == LINES_A_MINUTE


def test_a_reload_changes_what_is_an_emergency_and_where_it_goes(make_house: MakeHouse, tmp_path: Path) -> None:
    with make_house() as house:
        psap, other = Carrier(house, "127.0.1.2"), Carrier(house, "127.0.1.3")
        first, second = house.phone("first"), house.phone("second")
        call(first, "tel:112")
        house.run(1.0)
        assert isinstance(first.events[-1], Rejected)
        text = BASE.format(voice="", emergency='numbers = ["112"]').replace('["psap", "other"]', '["other"]')
        (tmp_path / "acd.toml").write_text(text, encoding="utf-8")
        house.loop.run_until_complete(house.control.reload("test"))
        call(second, "tel:112")
        house.run(2.0)
        assert second.outcome == "Answered"
        assert (len(psap.incoming), len(other.incoming)) == (0, 1)


# Falling back


@pytest.mark.parametrize("status", [503, 480])
@pytest.mark.parametrize("how", ["down", "503", "silent"])
def test_a_call_outside_without_a_way_is_refused_so_that_the_handset_falls_back(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, how: str, status: int
) -> None:
    with make_house(f"fallback.status={status}", emergency='numbers = ["110"]') as house, capture_logs() as lines:
        voice = Carrier(house, "127.0.1.1", status=503, alive=503 if how == "down" else 200)
        ann = house.phone("ann")
        bind_flow(house, ann)
        house.run(70.0)
        if how == "silent":
            house.dead.add(voice.address)
        with listening(house, monkeypatch) as heard:
            ann.dial(NUMBER)
            house.run(6.0)
        (response,) = heard
        assert response.status == status
        assert ("Retry-After" in response, response.body) == (False, b"")
        assert len(voice.asked("INVITE")) == (1 if how == "503" else 0)
        (line,) = [line for line in lines if line["event"] == "call.fell_back"]
        assert NUMBER in line["called"]
        assert samples(house)["acd_fallbacks_total"] == 1
        assert house.records.cdrs[-1].outcome is Outcome.REJECTED
        house.settle()
        assert house.engine.calls == {}


@pytest.mark.parametrize("status", [486, 404])
def test_what_is_said_of_the_number_called_is_no_reason_to_fall_back(make_house: MakeHouse, status: int) -> None:
    with make_house() as house:
        Carrier(house, "127.0.1.1", status=status)
        ann = house.phone("ann")
        bind_flow(house, ann)
        ann.dial(NUMBER)
        house.run(40.0)
        assert house.engine.trunks.fallbacks.counted == 0
        assert ann.outcome in {"Rejected", "Ended"}


def test_a_full_voice_trunk_is_none(make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_house(voice="max_calls = 1") as house:
        Carrier(house, "127.0.1.1")
        ann = house.phone("ann")
        bind_flow(house, ann)
        ann.dial(NUMBER)
        house.run(2.0)
        assert ann.outcome == "Answered"
        with listening(house, monkeypatch) as heard:
            house.do(lambda: ann.dial(NUMBER))
            house.run(5.0)
        assert [(response.status, "Retry-After" in response) for response in heard] == [(503, False)]
        ann.hang_up()


@pytest.mark.parametrize(("answer", "status"), [(503, 504), (0, 504), (480, 480)])
def test_another_domain_that_is_not_reached_is_a_reason_to_fall_back(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch, answer: int, status: int
) -> None:
    with make_house('sip.relay={ "lab.example" = "sip:127.0.1.9:5060" }', "fallback.status=504") as house:
        if answer:
            Carrier(house, "127.0.1.9", status=answer)
        ann = house.phone("ann")
        bind_flow(house, ann)
        with listening(house, monkeypatch) as heard:
            call(ann, "sip:x@lab.example")
            house.run(6.0)
        assert [response.status for response in heard] == [status]
        assert house.engine.trunks.fallbacks.counted == (status == 504)


# The configuration


@pytest.mark.parametrize(
    ("written", "place", "expected"),
    [
        ("[numbers.110]\necho = true", "numbers", 'no "110", because [numbers] has it'),
        ('[[accounts]]\nuser = "120"\npassword = "x"', "numbers", 'no "120", because [[accounts]] has it'),
        ('[emergency]\nnumbers = ["*11"]', "numbers", 'no "*11", because [feature_codes] has it'),
        ('[emergency]\nnumbers = ["1 1 0"]', "numbers[0]", "a number or name that can be dialled"),
        ('[emergency]\ntrunks = ["nowhere"]', "trunks[0]", "a trunk with servers (defined: out, known)"),
        ('[emergency]\ntrunks = ["in"]', "trunks[0]", "a trunk with servers (defined: out, known)"),
        ('[emergency]\ntrunks = ["known"]', "trunks[0]", "a trunk without user and password, because"),
        ('[emergency]\nservices = { "fire" = "119" }', "services.fire", "the key to be an emergency service"),
        ('[[outbound]]\nmatch = ["1xx"]\ntrunks = ["out"]', "trunks", "the trunks for emergency calls, because"),
    ],
)
def test_a_mistake_is_told_in_a_line(written: str, place: str, expected: str) -> None:
    text = (
        '[server]\ndomain = "ims.example"\n'
        '[trunks.out]\nservers = ["sip:127.0.1.1"]\n[trunks.in]\nsources = ["127.0.1.2"]\n'
        '[trunks.known]\nservers = ["sip:127.0.1.1"]\nuser = "us"\npassword = "x"\n'
    )
    with pytest.raises(ConfigError) as caught:
        loads(text + written)
    (told,) = caught.value.mistakes
    assert f"emergency.{place}: expected {expected}" in told


def test_a_call_is_not_refused_with_an_answer() -> None:
    with pytest.raises(ConfigError, match=r"fallback\.status: expected"):
        loads('[server]\ndomain = "ims.example"\n[fallback]\nstatus = 200\n')


def test_an_emergency_number_may_be_a_service_of_ours_where_it_is_not_listed() -> None:
    text = '[server]\ndomain = "ims.example"\n[numbers.110]\necho = true\n[numbers.112]\necho = true\n'
    config = loads(f'{text}[emergency]\nnumbers = ["119"]\n')
    assert config.emergency.numbers == ("119",)
