"""Recording sessions of recorded talks, through the whole server on virtual time (RFC 7866)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lxml import etree
from structlog.testing import capture_logs

from acd.bridging import address_of
from ims_core.errors import NotAcceptableHere
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.messages.multipart import split_multipart
from ims_core.messages.parser import parse_message
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session_events import Ended, Reoffered, SessionEvent
from media.api import Capability
from media.sdp.description import SessionDescription, parse
from media.siprec.metadata import NAMESPACE
from media.testing import FakeLeg
from tests.acd.house import House, Phone

R = {"r": NAMESPACE}
URI = "sip:srs@127.0.0.1:6900"


class Server(Phone):
    """A recording server: reads the metadata, and answers with what it hears."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "srs", 6900)
        house.parties[self.address] = self
        self.requests: list[Request] = []
        self.metadata: list[etree._Element] = []
        self.offers: list[SessionDescription] = []
        self.formats = "0"
        self.refuses = False

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take the metadata out of a message, as user agents that are no recording servers do not know it."""
        message = parse_message(data)
        if isinstance(message, Request) and message.method == "INVITE":
            self.requests.append(message)
            offer, metadata = split_multipart(message.require("Content-Type"), message.body)
            assert metadata.headers == {
                "content-type": "application/rs-metadata+xml",
                "content-disposition": "recording-session",
            }
            self.offers.append(parse(offer.body.decode()))
            self.metadata.append(etree.fromstring(metadata.body))
            plain = message.copy()
            plain.remove("Require")
            plain.set_body(offer.body, "application/sdp")
            data = plain.encode()
        super().receive(data, flow)

    def _note(self, event: SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, Reoffered) and self.refuses:
            self.refuses = False
            self.incoming[-1].refuse_offer(NotAcceptableHere())
        elif isinstance(event, Reoffered):
            self.incoming[-1].accept_offer(self.answer_to(self.offers[-1]))

    def answer_to(self, offer: SessionDescription) -> bytes:
        direction = {"sendonly": "recvonly", "inactive": "inactive"}
        sections = "".join(
            f"m=audio {7000 + 2 * number} RTP/AVP {self.formats}\r\na={direction[offer.direction(section)]}\r\n"
            for number, section in enumerate(offer.media)
        )
        head = "v=0\r\no=srs 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        return f"{head}{sections}".encode()

    def answer(self, call: IncomingCall) -> None:
        call.answer(self.answer_to(self.offers[-1]))

    def told(self, path: str) -> list[str]:
        """Return what the latest metadata say."""
        return [str(found) for found in self.metadata[-1].xpath(path, namespaces=R)]

    @property
    def heard(self) -> list[str]:
        """Who is heard now, by the latest metadata."""
        return self.told("//r:participantstreamassoc[r:send and not(r:disassociate-time)]/@participant_id")


class Talk:
    """A recorded talk of alice and agent 1001."""

    def __init__(self, house: House, prepare: Callable[[Server], None] = lambda server: None) -> None:
        self.house = house
        self.server = Server(house)
        prepare(self.server)
        self.agent, self.caller = house.agent("1001"), house.phone("alice")
        self.caller.dial("10001")
        house.run(5.0)
        (self.call,) = house.engine.calls.values()

    @property
    def forks(self) -> list[FakeLeg]:
        return [leg for name, leg in self.house.media.legs.items() if "siprec" in name]

    def end(self) -> None:
        self.caller.hang_up()
        self.house.settle()
        self.house.assert_nothing_left()


def house(*settings: str) -> House:
    return House(f"recording.siprec={URI}", *settings)


def counted(house: House, outcome: str) -> int:
    page = house.engine.metrics.render("")[0].decode()
    (line,) = (line for line in page.splitlines() if line.startswith(f'acd_siprec_sessions_total{{outcome="{outcome}"'))
    return int(float(line.split()[-1]))


@pytest.mark.rfc("7866-6.1.1")
@pytest.mark.rfc("7866-7.1.1")
@pytest.mark.rfc("7866-9.1")
def test_a_recorded_talk_is_told_and_sent_to_the_server() -> None:
    with house() as scene:
        talk = Talk(scene)
        (invite,) = talk.server.requests
        assert invite.uri == URI
        assert invite.values("Require") == ["siprec"]
        assert invite.require("Contact").endswith(";+sip.src")
        assert [section.attributes("label") for section in talk.server.offers[0].media] == [["1"], ["2"]]
        assert talk.server.told("//r:nameID/@aor") == ["sip:alice@ims.example", "sip:1001@ims.example"]
        assert talk.server.told("//r:stream/r:label/text()") == ["1", "2"]
        first, second = talk.forks
        assert [list(fork.hears) for fork in (first, second)] == [[scene.caller_leg], [talk.call.agent.media]]  # type: ignore[union-attr]
        assert scene.caller_leg.recording is not None, "into a file as well"
        talk.end()
        assert isinstance(talk.server.events[-1], Ended)
        assert len(scene.records.cdrs) == 1


@pytest.mark.rfc("7866-7.1.1.1")
def test_a_pause_makes_the_streams_inactive_and_says_so() -> None:
    with house() as scene:
        talk = Talk(scene)
        for paused, direction, heard in ((True, "inactive", 0), (False, "sendonly", 2)):
            scene.do(lambda paused=paused: scene.control.pause_recording(talk.call.id, paused=paused))  # type: ignore[misc]
            scene.run(1.0)
            offer = talk.server.offers[-1]
            assert [offer.direction(section) for section in offer.media] == [direction] * 2
            assert len(talk.server.heard) == heard
            assert [len(fork.hears) for fork in talk.forks] == [heard // 2] * 2
            assert scene.caller_leg.hears, "the talk goes on"
        assert len(talk.server.requests) == 3
        talk.end()


@pytest.mark.rfc("7866-9.1")
def test_hold_is_told_by_a_snapshot() -> None:
    with house() as scene:
        talk = Talk(scene)
        leg = talk.agent.incoming[0]
        for held, heard in ((True, 0), (False, 2)):
            leg.reinvite(HELD if held else HELD.replace(b"sendonly", b"sendrecv"))
            talk.agent.flush()
            scene.run(1.0)
            assert len(talk.server.heard) == heard
            assert talk.server.told("//r:datamode/text()") == ["complete"]
        assert len(talk.server.requests) == 3
        talk.end()


HELD = (
    b"v=0\r\no=- 1 9 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"
)


def test_what_changes_while_a_change_is_asked_for_is_told_afterwards() -> None:
    with house() as scene:
        talk = Talk(scene)
        for paused in (True, False, True):
            scene.control.pause_recording(talk.call.id, paused=paused)
        scene.run(1.0)
        assert len(talk.server.requests) == 3, "the INVITE, the first change, and how it is now"
        assert talk.server.heard == []
        talk.end()


def test_a_talk_that_is_not_recorded_goes_to_no_server() -> None:
    with house("queues.support.record=false") as scene:
        talk = Talk(scene)
        assert talk.server.requests == []
        talk.end()


def refuse(server: Server) -> None:
    server.on_invite = lambda call: call.reject(488)


def take_nothing(server: Server) -> None:
    server.formats = "18"


def be_dead(server: Server) -> None:
    server.house.dead.add(server.address)


def cannot_fork(server: Server) -> None:
    server.house.media.able = frozenset(Capability) - {Capability.FORKING}


@pytest.mark.parametrize(
    ("prepare", "outcome"),
    [(refuse, "refused"), (take_nothing, "failed"), (be_dead, "refused"), (cannot_fork, "failed")],
)
def test_a_server_that_does_not_serve_costs_the_talk_nothing(prepare: Callable[[Server], None], outcome: str) -> None:
    with house() as scene, capture_logs() as lines:
        talk = Talk(scene, prepare)
        scene.run(60.0)
        assert counted(scene, outcome) == 1
        (line,) = (line for line in lines if line["event"] == "siprec.failed")
        assert (line["outcome"], line["call"]) == (outcome, talk.call.id)
        assert talk.forks == []
        assert talk.call.stage == "talking"
        assert scene.caller_leg.bridged_to is not None
        scene.control.pause_recording(talk.call.id, paused=True)
        scene.dead.clear()
        talk.end()
        assert len(scene.records.cdrs) == 1


def test_a_server_that_hangs_up_costs_the_talk_nothing() -> None:
    with house() as scene:
        talk = Talk(scene)
        talk.server.hang_up()
        scene.run(1.0)
        assert counted(scene, "begun") == counted(scene, "lost") == 1
        assert talk.forks == []
        assert talk.call.stage == "talking"
        assert scene.caller_leg.hears
        talk.end()


@pytest.mark.parametrize("seconds", [0.001 * step for step in range(0, 40, 3)])
def test_a_talk_may_end_at_any_moment_of_the_beginning(seconds: float) -> None:
    with house() as scene:
        server = Server(scene)
        scene.agent("1001")
        caller = scene.phone("alice")
        caller.dial("10001")
        scene.run(2.905 + seconds)
        caller.hang_up()
        scene.settle()
        scene.assert_nothing_left()
        assert not server.incoming or server.incoming[0].state == "over"


@pytest.mark.parametrize(
    ("who", "address"),
    [
        ("alice", "sip:alice@x"),
        ("+8613800000001", "tel:+8613800000001"),
        ("10086", "sip:10086@x;user=phone"),
        ("a@b", "sip:a@b"),
        ("", "sip:anonymous@x"),
        ("sips:a@b", "sips:a@b"),
    ],
)
def test_whoever_takes_part_has_an_address(who: str, address: str) -> None:
    assert address_of(who, "x") == address


def test_nothing_is_sent_from_a_pause_on_though_another_change_waits_for_its_answer() -> None:
    with house() as scene:
        talk = Talk(scene)
        scene.dead.add(talk.server.address)
        talk.agent.incoming[0].reinvite(HELD)
        talk.agent.flush()
        scene.run(0.2)
        scene.do(lambda: scene.control.pause_recording(talk.call.id, paused=True))
        assert [len(fork.hears) for fork in talk.forks] == [0, 0]
        assert scene.caller_leg.hears, "the talk goes on"
        scene.dead.clear()
        scene.run(2.0)
        assert [talk.server.offers[-1].direction(section) for section in talk.server.offers[-1].media] == [
            "inactive"
        ] * 2
        talk.end()


def test_what_has_changed_is_told_though_the_change_before_was_refused() -> None:
    with house() as scene:
        talk = Talk(scene)
        talk.server.refuses = True
        scene.do(lambda: scene.control.pause_recording(talk.call.id, paused=True))
        scene.do(lambda: scene.control.pause_recording(talk.call.id, paused=False))
        scene.do(lambda: scene.control.pause_recording(talk.call.id, paused=True))
        scene.run(1.0)
        assert len(talk.server.requests) == 3, "the INVITE, the change that was refused, and how it is now"
        assert [len(fork.hears) for fork in talk.forks] == [0, 0]
        talk.end()


def test_who_has_parted_is_not_connected_again() -> None:
    with house() as scene:
        talk = Talk(scene)
        session = talk.call.recording_session
        assert session is not None
        session.hang_up()
        scene.caller_leg.unbridge()
        scene.do(lambda: session.hold("caller", held=True))
        assert not scene.caller_leg.hears
        talk.end()
