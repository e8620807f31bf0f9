"""The parts of the demonstration that need no process: the story's judgement, the phone of ours, the wire."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from acd.cdr import Cdr, EndedBy, Outcome, Quality
from acd.demo import netstring
from acd.demo.performance import main
from acd.demo.screen import table
from acd.demo.story import AGENTS, CALLERS, fault
from acd.demo.talker import KEY_PACKETS, Talker
from media.rtp.events import DIGITS, EventReceiver
from media.rtp.packet import HEADER, HEADER_SIZE, MARKER
from media.rtp.stream import EVENTS, Format, Stream

START = datetime(2025, 3, 1, 12, tzinfo=UTC)
VOICE = Quality(codec="PCMU", packets=400, mos=4.41, basis="G.107")
GOOD = Cdr(
    id="1",
    call_id="a@b",
    dialled="10000",
    caller="caller1",
    arrived=START,
    connected=START + timedelta(seconds=5),
    ended=START + timedelta(seconds=12),
    ended_by=EndedBy.CALLER,
    outcome=Outcome.ANSWERED,
    quality_caller=VOICE,
    quality_agent=VOICE,
    recording="var/1.wav",
)


def test_a_good_record_has_no_fault() -> None:
    assert fault(CALLERS[0], GOOD) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outcome": Outcome.ABANDONED}, "was not answered by an agent: abandoned"),
        ({"outcome": Outcome.NO_AGENT, "reason": "nobody"}, "was not answered by an agent: no_agent (nobody)"),
        ({"connected": None}, "was not answered by an agent: answered"),
        ({"quality_caller": None}, "has no audio from the caller"),
        ({"quality_agent": Quality()}, "has no audio from the agent"),
        (
            {"quality_agent": structs.replace(VOICE, mos=None, basis="?")},
            "has no voice quality from the agent: ?",
        ),
        ({"ended_by": EndedBy.SYSTEM}, "was ended by the system, not by the caller"),
        ({"recording": None}, "was not recorded"),
    ],
)
def test_every_fault_of_a_call_is_seen(changes: dict[str, object], told: str) -> None:
    assert fault(CALLERS[0], structs.replace(GOOD, **changes)) == told


def test_a_call_without_record_is_a_fault() -> None:
    assert fault(CALLERS[0], None) == "has no record"


def test_the_story_has_five_callers_and_two_agents_with_a_pitch_each() -> None:
    assert (len(CALLERS), len(AGENTS)) == (5, 2)
    assert len({person.hertz for person in (*CALLERS, *AGENTS)}) == 7
    assert {caller.hangs_up for caller in CALLERS} == {EndedBy.CALLER, EndedBy.AGENT}


@pytest.mark.rfc("4733-2.5.1")
def test_a_key_of_the_talker_is_one_press_and_the_voice_goes_on() -> None:
    voice, events = Format(0, "PCMU"), Format(101, EVENTS)
    stream = Stream("127.0.0.1", 4000, voice, {0: voice, 101: events}, send_events=events)
    talker = Talker({"PCMU": bytes(range(256)) * 10}, ssrc=7)
    talker.packet(stream)
    talker.press("25x")
    packets = [talker.packet(stream) for _ in range(2 * (KEY_PACKETS + 2) + 1)]
    receiver, digits = EventReceiver(), ""
    for packet in packets[:-1]:
        _, payload, _, timestamp, ssrc = HEADER.unpack_from(packet)
        assert (payload & ~MARKER, ssrc) == (101, 7)
        progress = receiver.receive(packet[HEADER_SIZE:], timestamp, marker=bool(payload & MARKER))
        assert progress is not None
        digits += DIGITS[progress.event] if progress.began else ""
    assert digits == "25"
    assert HEADER.unpack_from(packets[-1])[1] == 0
    assert [HEADER.unpack_from(packet)[2] for packet in packets] == list(range(2, 2 + len(packets)))


def test_what_was_put_into_a_netstring_comes_out() -> None:
    async def read_back() -> dict[str, object]:
        reader = asyncio.StreamReader()
        reader.feed_data(netstring.encode({"command": "dial", "params": "sip:10000@ims.example"}))
        return await netstring.read(reader)

    assert asyncio.run(read_back()) == {"command": "dial", "params": "sip:10000@ims.example"}


@pytest.mark.parametrize("data", [b"x:{},", b"-2:{},", b"99999999:", b"2:[],", b"3:{},x"])
def test_what_is_no_netstring_is_refused(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await netstring.read(reader)

    with pytest.raises(netstring.ControlError):
        asyncio.run(read())


def test_a_table_lines_its_columns_up() -> None:
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


def test_a_wrong_configuration_ends_the_demo_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "configs/absent.toml"]) == 2
    assert "configs/absent.toml" in capsys.readouterr().err
