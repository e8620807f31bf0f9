"""SDP text to lines and back (RFC 8866)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.api import MediaError, NotAcceptable
from media.sdp import description as sdp
from media.sdp.description import MalformedSdp, parse
from media.sdp.negotiation import Negotiation

LINPHONE = (
    "v=0\r\n"
    "o=alice 2543 1837 IN IP4 192.0.2.7\r\n"
    "s=Talk\r\n"
    "c=IN IP4 192.0.2.7\r\n"
    "b=AS:380\r\n"
    "t=0 0\r\n"
    "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n"
    "x=unheard-of\r\n"
    "m=audio 7078 RTP/AVP 96 0 8 101\r\n"
    "a=rtpmap:96 opus/48000/2\r\n"
    "a=fmtp:96 useinbandfec=1\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "m=video 9078/2 RTP/AVP 97\r\n"
    "c=IN IP4 192.0.2.8\r\n"
    "a=inactive\r\n"
)

AUDIO = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.rfc("8866-5")
def test_every_line_survives_a_round_trip() -> None:
    assert parse(LINPHONE).serialise() == LINPHONE


@pytest.mark.rfc("8866-5.7")
def test_a_section_may_have_a_connection_of_its_own() -> None:
    description = parse(LINPHONE)
    audio, video = description.media
    assert description.connection(audio) == ("IP4", "192.0.2.7")
    assert description.connection(video) == ("IP4", "192.0.2.8")


@pytest.mark.rfc("8866-6.7")
def test_direction_comes_from_the_section_then_the_session_then_the_default() -> None:
    description = parse(
        AUDIO.replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n") + "m=audio 4002 RTP/AVP 0\r\na=sendonly\r\n"
    )
    assert [description.direction(media) for media in description.media] == ["recvonly", "sendonly"]
    assert parse(AUDIO).direction(parse(AUDIO).media[0]) == "sendrecv"


@pytest.mark.rfc("8866-5")
def test_bare_line_feeds_end_lines_too() -> None:
    assert parse(AUDIO.replace("\r\n", "\n")).serialise() == AUDIO


@pytest.mark.rfc("8866-5.14")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=1\r\no=- 1 1 IN IP4 127.0.0.1\r\n",
        AUDIO.replace("o=- 1 1 IN IP4 127.0.0.1\r\n", ""),
        AUDIO.replace("o=- 1 1 IN IP4", "o=- 1 IN IP4"),
        AUDIO.replace("m=audio 4000", "m=audio 70000"),
        AUDIO.replace("m=audio 4000", "m=audio -1"),
        AUDIO.replace("m=audio 4000", "m=audio ٣"),
        AUDIO.replace("m=audio 4000", "m=audio 4000/x"),
        AUDIO.replace("m=audio 4000 RTP/AVP 0", "m=audio 4000"),
        AUDIO + "no line\r\n",
        AUDIO + "a" * 70_000,
    ],
)
def test_malformed_text_is_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(MalformedSdp) as caught:
        parse(text)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("connection", ["IN IP4", "XX IP4 127.0.0.1", "IN IP9 1", "IN IP4 1 2", "IN IP4 ::1"])
def test_an_unusable_connection_line_is_refused(connection: str) -> None:
    with pytest.raises(NotAcceptable):
        Negotiation("127.0.0.1", 1).take_offer(AUDIO.replace("c=IN IP4 127.0.0.1", f"c={connection}"))


LINES = st.sampled_from(
    [
        *LINPHONE.split("\r\n"),
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 ::1",
        "c=IN IP4 224.0.0.1/127",
        "m=audio 0 RTP/AVP 0",
        "m=audio 5 RTP/SAVP 0",
        "a=rtpmap:x",
        "a=rtpmap:0 g729/8000",
        "a=rtpmap:128 PCMU/8000",
        "m=audio 5 RTP/AVP 0 0 999 ²",
    ]
)
MESSY = st.lists(LINES | st.text(max_size=20), max_size=20).map("\r\n".join)
ANY_TEXT = st.text(max_size=300) | MESSY | MESSY.map(lambda body: AUDIO + body)


@given(ANY_TEXT)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        description = parse(text)
    except MediaError:
        return
    assert parse(description.serialise()) == description


@given(ANY_TEXT, ANY_TEXT)
def test_any_offer_and_answer_is_taken_or_refused(offer: str, answer: str) -> None:
    negotiation = Negotiation("127.0.0.1", 1)
    negotiation.port = 4000
    before = negotiation.stream
    try:
        stream = negotiation.take_offer(offer)
    except MediaError:
        assert negotiation.stream == before
    else:
        ours = parse(negotiation.answer())
        assert len(ours.media) == len(parse(offer).media)
        assert stream.codec in ("PCMU", "PCMA")
    negotiation.offer()
    try:
        negotiation.take_answer(answer)
    except MediaError:
        pass
    else:
        assert negotiation.stream.send.payload < 128


@given(st.text(alphabet="avmo=0 1\r\n\x0b\x85é", max_size=40))
def test_the_short_way_reads_what_the_long_way_reads(described: str) -> None:
    if sdp._PLAIN.fullmatch(described):
        assert sdp._LINE.findall(described) == sdp._read_lines(described)
