"""Offer and answer for one audio stream (RFC 3264)."""

import pytest

from media.api import NotAcceptable
from media.rtp.stream import Format, Stream
from media.sdp.description import MediaDescription, parse
from media.sdp.negotiation import Negotiation


def sdp(*media: str, session: str = "", address: str = "192.0.2.7") -> str:
    head = f"v=0\r\no=- 9 9 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{session}"
    return head + "".join(line + "\r\n" for line in media)


EVENTS = "a=rtpmap:101 telephone-event/8000"
USUAL = ("m=audio 7078 RTP/AVP 0 8 101", EVENTS, "a=fmtp:101 0-16")


def negotiate() -> Negotiation:
    negotiation = Negotiation("198.51.100.1", 1000)
    negotiation.port = 20_000
    return negotiation


def our_audio(text: str) -> MediaDescription:
    return next(media for media in parse(text).media if media.kind == "audio" and media.port)


def version(text: str) -> int:
    return int(dict(parse(text).lines)["o"].split(" ")[2])


@pytest.mark.rfc("3264-6")
def test_the_answer_names_all_common_formats_in_the_order_of_the_offer() -> None:
    negotiation = negotiate()
    stream = negotiation.take_offer(sdp("m=audio 7078 RTP/AVP 18 8 101 0 97", EVENTS, "a=rtpmap:97 iLBC/8000"))
    audio = our_audio(negotiation.answer())
    assert audio.formats == ["8", "101", "0"]
    assert audio.attributes("rtpmap") == ["8 PCMA/8000", "101 telephone-event/8000", "0 PCMU/8000"]
    assert audio.port == 20_000
    assert audio.attributes("ptime") == ["20"]
    pcmu, pcma, events = Format(0, "PCMU"), Format(8, "PCMA"), Format(101, "telephone-event", parameters="0-15")
    formats = {8: pcma, 101: events, 0: pcmu}
    assert stream == Stream("192.0.2.7", 7078, pcma, formats, events, rtcp=("192.0.2.7", 7079))


@pytest.mark.rfc("3264-6.1")
def test_the_answer_uses_the_dynamic_numbers_of_the_offer() -> None:
    negotiation = negotiate()
    stream = negotiation.take_offer(
        sdp("m=audio 7078 RTP/AVP 96 110", "a=rtpmap:96 pcma/8000", "a=rtpmap:110 Telephone-Event/8000/1")
    )
    assert our_audio(negotiation.answer()).formats == ["96", "110"]
    assert (stream.send, stream.send_events) == (Format(96, "PCMA"), Format(110, "telephone-event", parameters="0-15"))


@pytest.mark.rfc("3551-6")
def test_static_numbers_need_no_rtpmap_and_a_rtpmap_overrides_them() -> None:
    assert negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 8")).codec == "PCMA"
    with pytest.raises(NotAcceptable):
        negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 0", "a=rtpmap:0 PCMU/16000"))


@pytest.mark.rfc("4733-2.4.1")
def test_events_at_another_clock_rate_are_not_taken() -> None:
    stream = negotiate().take_offer(sdp("m=audio 7078 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/48000"))
    assert stream.send_events is None


@pytest.mark.rfc("3264-6")
def test_streams_not_served_are_answered_with_port_0_in_their_place() -> None:
    negotiation = negotiate()
    offer = sdp("m=video 9000 RTP/AVP 97", "m=audio 7000 RTP/SAVP 0", *USUAL, "m=audio 7090 RTP/AVP 8")
    negotiation.take_offer(offer)
    sections = parse(negotiation.answer()).media
    assert [(m.kind, m.port, m.protocol) for m in sections] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/SAVP"),
        ("audio", 20_000, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
    ]


@pytest.mark.rfc("3264-6")
@pytest.mark.parametrize(
    "text",
    [
        sdp("m=audio 7078 RTP/AVP 4 18"),
        sdp("m=audio 7078 RTP/AVP 101", EVENTS),
        sdp("m=video 7078 RTP/AVP 97"),
        sdp("m=audio 7078 RTP/SAVP 0"),
        sdp("m=audio 7078 RTP/AVP 0", address="224.2.1.1/127"),
        sdp(),
    ],
    ids=["codec", "events only", "no audio", "srtp", "multicast", "no media"],
)
def test_nothing_in_common_is_not_acceptable_and_changes_nothing(text: str) -> None:
    negotiation = negotiate()
    agreed = negotiation.take_offer(sdp(*USUAL))
    answer = negotiation.answer()
    with pytest.raises(NotAcceptable):
        negotiation.take_offer(text)
    assert negotiation.stream == agreed
    assert negotiation.answer() == answer


@pytest.mark.rfc("3264-6.1")
@pytest.mark.parametrize(
    ("theirs", "ours", "sends", "receives"),
    [
        ("sendrecv", "sendrecv", True, True),
        ("sendonly", "recvonly", False, True),
        ("recvonly", "sendonly", True, False),
        ("inactive", "inactive", False, False),
    ],
)
@pytest.mark.parametrize("level", ["media", "session"])
def test_the_direction_is_mirrored(theirs: str, ours: str, sends: bool, receives: bool, level: str) -> None:
    negotiation = negotiate()
    line = f"a={theirs}"
    offer = sdp(*USUAL, line) if level == "media" else sdp(*USUAL, session=line + "\r\n")
    stream = negotiation.take_offer(offer)
    assert ("a", ours) in our_audio(negotiation.answer()).lines
    assert (stream.sends, stream.receives) == (sends, receives)
    assert stream.held == (theirs != "sendrecv")


@pytest.mark.rfc("3264-8.4")
def test_an_address_of_0_0_0_0_is_hold() -> None:
    negotiation = negotiate()
    stream = negotiation.take_offer(sdp(*USUAL, address="0.0.0.0"))
    assert (stream.host, stream.held, stream.sends) == (None, True, False)
    assert ("a", "recvonly") in our_audio(negotiation.answer()).lines


@pytest.mark.rfc("3264-8")
def test_the_version_grows_by_one_only_when_the_description_changes() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp(*USUAL))
    first = negotiation.answer()
    negotiation.take_offer(sdp(*USUAL))
    assert negotiation.answer() == first
    negotiation.take_offer(sdp(*USUAL, "a=sendonly"))
    second = negotiation.answer()
    assert version(second) == version(first) + 1
    negotiation.take_offer(sdp(*USUAL))
    assert version(negotiation.answer()) == version(first) + 2


@pytest.mark.rfc("3264-5")
def test_our_offer_and_the_answer_to_it() -> None:
    negotiation = negotiate()
    assert our_audio(negotiation.offer()).formats == ["0", "8", "101"]
    stream = negotiation.take_answer(sdp("m=audio 4002 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"))
    assert (stream.send, stream.send_events) == (Format(8, "PCMA"), Format(96, "telephone-event", parameters="0-15"))
    # 5.1: what we offered may arrive under our number, what the answer names under theirs
    assert stream.receive[101].name == stream.receive[96].name == "telephone-event"


@pytest.mark.rfc("3264-7")
@pytest.mark.parametrize(
    "text",
    [sdp("m=audio 4002 RTP/AVP 18"), sdp("m=audio 0 RTP/AVP 0"), sdp(*USUAL, "m=video 0 RTP/AVP 97"), sdp()],
    ids=["codec", "refused", "more sections", "none"],
)
def test_an_answer_that_does_not_fit_is_not_acceptable(text: str) -> None:
    negotiation = negotiate()
    negotiation.offer()
    before = negotiation.stream
    with pytest.raises(NotAcceptable):
        negotiation.take_answer(text)
    assert negotiation.stream == before


@pytest.mark.rfc("3264-8")
def test_a_later_offer_of_ours_keeps_the_sections_and_their_order() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp("m=video 9000 RTP/AVP 97", *USUAL, "a=sendonly"))
    negotiation.answer()
    offer = parse(negotiation.offer())
    assert [(m.kind, m.port) for m in offer.media] == [("video", 0), ("audio", 20_000)]
    assert ("a", "sendrecv") in offer.media[1].lines
    stream = negotiation.take_answer(sdp("m=video 0 RTP/AVP 97", "m=audio 7078 RTP/AVP 0 101", EVENTS))
    assert not stream.held


def test_an_offer_follows_what_the_other_leg_agreed() -> None:
    caller, agent = negotiate(), negotiate()
    caller.take_offer(sdp("m=audio 7078 RTP/AVP 8 0 96", "a=rtpmap:96 telephone-event/8000"))
    agent.prefer(caller)
    audio = our_audio(agent.offer())
    assert audio.formats == ["8", "0", "96"]
    assert {n: f.name for n, f in agent.stream.receive.items()} == {8: "PCMA", 0: "PCMU", 96: "telephone-event"}


def test_a_host_name_leaves_the_address_to_the_first_packet() -> None:
    stream = negotiate().take_offer(sdp(*USUAL, address="phone.example"))
    assert (stream.host, stream.port, stream.sends) == (None, 7078, True)


def test_ipv6_is_answered_by_an_ipv6_address_only() -> None:
    offer = sdp(*USUAL).replace("c=IN IP4 192.0.2.7", "c=IN IP6 2001:db8::7")
    negotiation = Negotiation("2001:db8::1", 1)
    assert negotiation.take_offer(offer).host == "2001:db8::7"
    assert "c=IN IP6 2001:db8::1\r\n" in negotiation.answer()
    with pytest.raises(NotAcceptable):
        negotiate().take_offer(offer)
