"""Which codecs both sides can use, and with what parameters."""

import pytest

from media.api import NotAcceptable
from media.codecs.names import CODECS
from media.rtp.stream import Format
from media.sdp.description import MediaDescription
from media.sdp.formats import offered
from media.sdp.local import Local
from media.sdp.negotiation import Negotiation

from .test_negotiation import our_audio, sdp

EVERYTHING = Local(codecs=CODECS, offers=CODECS)
OPUS = "a=rtpmap:96 opus/48000/2"


def negotiate(*codecs: str) -> Negotiation:
    negotiation = Negotiation("198.51.100.1", 1, local=Local(codecs=codecs, offers=codecs) if codecs else EVERYTHING)
    negotiation.port = 20_000
    return negotiation


def answered(payloads: str, *lines: str) -> MediaDescription:
    negotiation = negotiate()
    negotiation.take_offer(sdp(f"m=audio 7078 RTP/AVP {payloads}", *lines))
    return our_audio(negotiation.answer())


def agreed(payload: int, *lines: str) -> Format | None:
    """Return the format of one number of an offer that has PCMU besides."""
    stream = negotiate().take_offer(sdp(f"m=audio 7078 RTP/AVP 0 {payload}", *lines))
    return stream.receive.get(payload)


@pytest.mark.rfc("3551-6")
def test_g722_has_number_9_and_a_clock_of_8000() -> None:
    stream = negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 9 0"))
    assert stream.send == Format(9, "G722", 8000)
    assert answered("9").attributes("rtpmap") == ["9 G722/8000"]


@pytest.mark.rfc("7587-7")
def test_opus_is_48000_with_two_channels_or_it_is_not_opus() -> None:
    assert agreed(96, OPUS) == Format(96, "opus", 48000, 2)
    assert agreed(96, "a=rtpmap:96 OPUS/48000/2") == Format(96, "opus", 48000, 2)
    assert agreed(96, "a=rtpmap:96 opus/48000") is None
    assert agreed(96, "a=rtpmap:96 opus/16000/2") is None


@pytest.mark.rfc("7587-7.1")
def test_what_an_opus_receiver_prefers_is_kept_and_ours_is_said() -> None:
    fmtp = "a=fmtp:96 minptime=10; useinbandfec=1;maxaveragebitrate=020000; stereo=x;sprop-stereo=1"
    assert agreed(96, OPUS, fmtp) == Format(96, "opus", 48000, 2, "maxaveragebitrate=20000;useinbandfec=1")
    assert answered("96", OPUS, fmtp).attributes("fmtp") == ["96 useinbandfec=1"]


@pytest.mark.rfc("4867-8.3.1")
@pytest.mark.parametrize(
    ("fmtp", "ours"),
    [
        ("", None),
        ("octet-align=0", None),
        ("octet-align=1", "octet-align=1"),
        ("mode-set=0,2,4,7; mode-change-capability=2; max-red=0", "mode-set=0,2,4,7"),
        ("mode-set=7,0;octet-align=1;crc=0;robust-sorting=0", "octet-align=1;mode-set=0,7"),
        ("mode-change-period=2; mode-change-neighbor=1", "mode-change-period=2;mode-change-neighbor=1"),
    ],
)
def test_the_framing_and_the_modes_of_amr_are_answered_as_offered(fmtp: str, ours: str | None) -> None:
    lines = ["a=rtpmap:97 AMR/8000/1", *([f"a=fmtp:97 {fmtp}"] if fmtp else [])]
    assert agreed(97, *lines) == Format(97, "AMR", parameters=ours or "")
    assert answered("97", *lines).attributes("fmtp") == ([f"97 {ours}"] if ours else [])


@pytest.mark.rfc("4867-8.1")
@pytest.mark.parametrize(
    "fmtp",
    [
        "octet-align=1;crc=1",
        "octet-align=1;robust-sorting=1",
        "octet-align=1;interleaving=4",
        "octet-align=2",
        "mode-set=8",
        "mode-set=a",
        "mode-set=",
    ],
)
def test_amr_that_is_not_served_so_is_left_out(fmtp: str) -> None:
    assert agreed(97, "a=rtpmap:97 AMR/8000", f"a=fmtp:97 {fmtp}") is None


@pytest.mark.rfc("4867-8.2")
def test_amr_wb_has_nine_modes_and_one_channel() -> None:
    wide = Format(98, "AMR-WB", 16000, parameters="mode-set=8")
    assert agreed(98, "a=rtpmap:98 AMR-WB/16000", "a=fmtp:98 mode-set=8") == wide
    assert agreed(98, "a=rtpmap:98 AMR-WB/16000/2") is None
    assert agreed(98, "a=rtpmap:98 AMR-WB/8000") is None


@pytest.mark.rfc("4867-8.3.1")
def test_an_answer_with_another_framing_than_offered_is_no_answer() -> None:
    negotiation = negotiate("AMR")
    (payload, *_) = our_audio(negotiation.offer()).formats
    wrong = (f"m=audio 4002 RTP/AVP {payload}", f"a=rtpmap:{payload} AMR/8000", f"a=fmtp:{payload} octet-align=1")
    with pytest.raises(NotAcceptable):
        negotiation.take_answer(sdp(*wrong))
    assert negotiation.take_answer(sdp(*wrong[:2])).codec == "AMR"


@pytest.mark.rfc("4733-2.1")
@pytest.mark.parametrize(
    ("payloads", "voice", "events"),
    [
        ("96 98 101 110", "opus", 110),
        ("96 98 101", "opus", 101),
        ("98 110 101", "AMR-WB", 102),
        ("0 110 101", "PCMU", 101),
    ],
)
def test_events_go_by_the_clock_of_the_voice_where_the_peer_has_them(payloads: str, voice: str, events: int) -> None:
    lines = [
        *(OPUS, "a=rtpmap:98 AMR-WB/16000", "a=rtpmap:101 telephone-event/8000"),
        *("a=rtpmap:110 telephone-event/48000", "a=rtpmap:102 telephone-event/16000"),
    ]
    more = f"{payloads} 102" if events == 102 else payloads
    stream = negotiate().take_offer(sdp(f"m=audio 7078 RTP/AVP {more}", *lines))
    assert stream.codec == voice
    assert stream.send_events is not None
    assert stream.send_events.payload == events


@pytest.mark.rfc("4733-2.4.1")
@pytest.mark.parametrize(
    ("fmtp", "served"),
    [
        ("", True),
        ("0-15", True),
        ("0-11", True),
        ("0-9,10,11,16", True),
        ("0-9", False),
        ("32-36", False),
        ("x", False),
    ],
)
def test_events_are_served_that_have_the_keypad_among_them(fmtp: str, served: bool) -> None:
    lines = ["a=rtpmap:101 telephone-event/8000", *([f"a=fmtp:101 {fmtp}"] if fmtp else [])]
    assert (agreed(101, *lines) is not None) == served


@pytest.mark.rfc("3389-4")
def test_comfort_noise_is_taken_beside_a_codec_of_its_clock() -> None:
    stream = negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 0 13 105", "a=rtpmap:105 CN/16000"))
    assert [format_.name for format_ in stream.receive.values()] == ["PCMU", "CN"]
    assert negotiate("PCMU").take_offer(sdp("m=audio 7078 RTP/AVP 0 13")).receive.keys() == {0}


@pytest.mark.rfc("3264-7")
@pytest.mark.parametrize(
    ("answer", "noise"),
    [
        (("0",), None),
        (("0 13",), 13),
        (("0 105", "a=rtpmap:105 CN/8000"), 105),
        (("9 105", "a=rtpmap:105 CN/16000"), None),
    ],
)
def test_comfort_noise_is_sent_to_whoever_answers_that_it_takes_it(answer: tuple[str, ...], noise: int | None) -> None:
    negotiation = negotiate("PCMU", "G722", "CN")
    negotiation.offer()
    stream = negotiation.take_answer(sdp(f"m=audio 7078 RTP/AVP {answer[0]}", *answer[1:]))
    assert (stream.send_noise and stream.send_noise.payload) == noise
    assert stream.receive[13].name == "CN", "which many send without a word"


def test_only_the_codecs_chosen_are_accepted_in_the_order_of_the_offer() -> None:
    lines = ("m=audio 7078 RTP/AVP 96 9 8 0", OPUS)
    negotiation = negotiate("PCMU", "G722")
    assert negotiation.take_offer(sdp(*lines)).codec == "G722"
    assert our_audio(negotiation.answer()).formats == ["9", "0"]
    with pytest.raises(NotAcceptable, match="no codec in common with AMR"):
        negotiate("AMR").take_offer(sdp(*lines))


def test_codecs_are_offered_in_the_order_chosen_each_under_a_number_of_its_own() -> None:
    audio = our_audio(negotiate("opus", "G722", "PCMA", "AMR-WB", "AMR", "CN", "PCMU").offer())
    assert audio.formats == ["96", "9", "8", "97", "98", "0", "99", "13", "100", "102", "101", "103"]
    assert audio.attributes("rtpmap") == [
        *("96 opus/48000/2", "9 G722/8000", "8 PCMA/8000", "97 AMR-WB/16000", "98 AMR/8000", "0 PCMU/8000"),
        *("99 CN/48000", "13 CN/8000", "100 CN/16000"),
        *("102 telephone-event/48000", "101 telephone-event/8000", "103 telephone-event/16000"),
    ]


def test_the_agent_is_offered_what_the_caller_speaks_first_and_what_could_be_transcoded_behind() -> None:
    caller, agent = negotiate("PCMU", "PCMA", "AMR-WB"), negotiate("PCMU", "PCMA", "AMR-WB")
    offer = sdp(
        *("m=audio 7078 RTP/AVP 96 97", "a=rtpmap:96 AMR-WB/16000", "a=fmtp:96 octet-align=1"),
        "a=rtpmap:97 telephone-event/16000",
    )
    caller.take_offer(offer)
    agent.prefer(caller)
    audio = our_audio(agent.offer())
    assert audio.formats == ["96", "0", "8", "97", "101"]
    assert "96 octet-align=1" in audio.attributes("fmtp")
    assert agent.stream.codec == "AMR-WB"


def test_what_the_caller_speaks_is_offered_though_our_own_offers_do_not_name_it() -> None:
    caller, agent = (Negotiation("198.51.100.1", 1, local=Local(codecs=CODECS)) for _ in range(2))
    assert our_offer(agent).formats == ["0", "8", "101"]
    caller.take_offer(sdp("m=audio 7078 RTP/AVP 109 9 8", "a=rtpmap:109 opus/48000/2"))
    agent.prefer(caller)
    assert our_offer(agent).formats == ["109", "9", "8", "0", "96", "101"]
    narrow = Negotiation("198.51.100.1", 1, local=Local(codecs=("G722", "AMR")))
    narrow.prefer(caller)
    assert our_offer(narrow).formats == ["9", "96", "101"]


def our_offer(negotiation: Negotiation) -> MediaDescription:
    negotiation.port = 20_000
    return our_audio(negotiation.offer())


def test_the_caller_hears_the_agents_codec_where_it_takes_that_too() -> None:
    caller, agent = negotiate(), negotiate()
    caller.take_offer(sdp("m=audio 7078 RTP/AVP 96 0 8 101", OPUS, "a=rtpmap:101 telephone-event/8000"))
    agent.prefer(caller)
    agent.offer()
    agent.take_answer(sdp("m=audio 4002 RTP/AVP 8"))
    assert caller.follow(agent)
    assert caller.stream.send == Format(8, "PCMA")
    assert caller.stream.receive.keys() == {96, 0, 8, 101}
    assert not caller.follow(agent)
    assert not agent.follow(agent)
    again = sdp("m=audio 7078 RTP/AVP 96 0 8 101", OPUS, "a=rtpmap:101 telephone-event/8000", "a=sendonly")
    assert caller.take_offer(again).codec == "PCMA"
    assert caller.take_offer(sdp("m=audio 7078 RTP/AVP 96 0", OPUS)).codec == "opus"


@pytest.mark.rfc("3264-8.3.2")
def test_a_later_offer_may_add_codecs_and_drop_others() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp("m=audio 7078 RTP/AVP 0 8"))
    negotiation.answer()
    stream = negotiation.take_offer(sdp("m=audio 7078 RTP/AVP 9 8"))
    assert (stream.codec, list(stream.receive)) == ("G722", [9, 8])
    assert our_audio(negotiation.answer()).formats == ["9", "8"]


@pytest.mark.rfc("3264-8.3.1")
def test_a_later_offer_may_move_the_stream() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp("m=audio 7078 RTP/AVP 0"))
    first = negotiation.answer()
    stream = negotiation.take_offer(sdp("m=audio 9000 RTP/AVP 0", address="192.0.2.99"))
    assert (stream.host, stream.port, stream.rtcp) == ("192.0.2.99", 9000, ("192.0.2.99", 9001))
    assert negotiation.answer() == first


@pytest.mark.rfc("8866-6.4")
@pytest.mark.parametrize(
    ("lines", "packet_ms"),
    [
        ((), 20),
        (("a=ptime:20",), 20),
        (("a=ptime:40",), 40),
        (("a=ptime:30",), 30),
        (("a=ptime:10",), 10),
        (("a=maxptime:10",), 10),
        (("a=ptime:5",), 10),
        (("a=ptime:60.0",), 60),
        (("a=ptime:200",), 60),
        (("a=ptime:60", "a=maxptime:40"), 40),
        (("a=ptime:soon", "a=maxptime:-1"), 20),
    ],
)
def test_packets_are_as_long_as_the_peer_wants_in_whole_frames(lines: tuple[str, ...], packet_ms: int) -> None:
    assert negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 0", *lines)).packet_ms == packet_ms


def test_what_is_offered_is_read_as_it_was_meant() -> None:
    read = negotiate().take_offer(negotiate().offer()).receive.values()
    assert [(f.payload, f.name, f.clock_rate) for f in read] == [
        (f.payload, f.name, f.clock_rate) for f in offered(CODECS)
    ]
