"""What rtpengine is told of a leg, and what it told of one."""

from typing import Any

import pytest

from media.api import MediaError
from media.rtp.stream import EVENTS, Format, Stream
from media.rtpengine.description import Place, codec_between, describe, offer_to_peer, place_in
from media.rtpengine.report import FROM_RTCP, UNTOLD, Tally, report, tally
from media.sdp.description import parse

PCMU, PCMA, G722 = Format(0, "PCMU"), Format(8, "PCMA"), Format(9, "G722")
OPUS, OTHER_OPUS = Format(111, "opus", 48_000, 2), Format(96, "opus", 48_000, 2)
KEYS = Format(101, EVENTS)


def stream(send: Format = PCMU, **changes: Any) -> Stream:
    fields: dict[str, Any] = {"host": "192.0.2.1", "port": 4000, "send": send, "receive": {}, "send_events": KEYS}
    return Stream(**(fields | changes))


def audio(text: str) -> tuple[int, list[str], str]:
    description = parse(text)
    (media,) = description.media
    return media.port, media.formats, description.direction(media)


@pytest.mark.rfc("3264-6.1")
@pytest.mark.parametrize(
    ("sends", "receives", "linked", "peer", "link"),
    [
        (True, True, True, "sendrecv", "sendrecv"),
        (True, True, False, "sendrecv", "sendonly"),  # what there is to play comes from the link
        (False, True, True, "sendonly", "recvonly"),  # the peer holds
        (False, True, False, "sendonly", "inactive"),
        (True, False, True, "recvonly", "sendonly"),
        (False, False, True, "inactive", "inactive"),
    ],
)
def test_both_sides_are_described_for_who_may_speak(
    sends: bool, receives: bool, linked: bool, peer: str, link: str
) -> None:
    other = Place("127.0.0.1", 5000) if linked else None
    told = describe(stream(sends=sends, receives=receives), "127.0.0.1", other, None)
    assert audio(told.peer) == (4000, ["0", "101"], peer)
    assert audio(told.link) == (5000 if linked else 9, ["0", "101"], link)
    assert told.transcode == ()


def test_a_link_that_speaks_another_codec_has_it_converted() -> None:
    told = describe(stream(OPUS), "127.0.0.1", Place("127.0.0.1", 5000), PCMU)
    assert audio(told.peer)[1] == ["111", "101"]
    assert "a=rtpmap:111 opus/48000/2\r\n" in told.peer
    assert audio(told.link)[1] == ["0", "101"]
    assert told.transcode == ("PCMU/8000",)


def test_a_peer_whose_address_is_unknown_and_one_with_multiplexed_rtcp() -> None:
    told = describe(stream(host=None, port=0, mux=True), "127.0.0.1", None, None)
    assert "c=IN IP4 0.0.0.0\r\n" in told.peer
    assert told.peer.endswith("a=rtcp-mux\r\n")
    assert "c=IN IP6 ::\r\n" in describe(stream(host=None), "::1", None, None).peer


@pytest.mark.parametrize(
    ("one", "other", "between"),
    [
        (PCMA, PCMA, PCMA),
        (OPUS, OPUS, OPUS),
        (OPUS, OTHER_OPUS, PCMU),  # the number would be another's
        (OPUS, PCMA, PCMA),
        (PCMA, PCMU, PCMU),
        (G722, PCMA, PCMA),
    ],
)
def test_two_links_speak_one_codec(one: Format, other: Format, between: Format) -> None:
    assert codec_between(stream(one), stream(other)) == between
    assert codec_between(stream(other), stream(one)) == between


def test_an_offer_names_all_formats() -> None:
    assert audio(offer_to_peer("127.0.0.1", (PCMA, PCMU, KEYS))) == (9, ["8", "0", "101"], "sendrecv")


def test_the_place_is_read_from_what_rtpengine_writes() -> None:
    text = "v=0\r\no=- 0 0 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n"
    assert place_in(text) == ("192.0.2.9", 30_000)
    for wrong in ("", text.replace("30000", "0"), text.replace("c=IN IP4 192.0.2.9\r\n", "")):
        with pytest.raises(MediaError):
            place_in(wrong)


def answer(received: int, forwarded: int, average: dict[str, Any] | None = None) -> Any:
    def side(packets: int) -> dict[str, Any]:
        return {"medias": [{"streams": [{"SSRC": 77, "stats": {"packets": packets, "bytes": packets * 172}}]}]}

    ssrc = {"77": {"average MOS": average}} if average else {}
    return {"result": "ok", "SSRC": ssrc, "tags": {"peer": side(received), "link": side(forwarded)}}


def test_what_was_counted_is_reported_since_the_last_time() -> None:
    before, after = tally(answer(100, 50)), tally(answer(160, 90))
    told = report(stream(), before, after, played=10)
    assert (told.packets_received, told.packets_sent, told.mos, told.basis) == (60, 50, None, UNTOLD)
    assert report(stream(), after, after, 0).basis == "nothing received"
    assert before.plus(after) == Tally(260, 140, 260 * 172)


def test_a_mos_rests_on_rtcp() -> None:
    told = report(stream(), Tally(), tally(answer(9, 9, {"samples": 3, "MOS": 43, "jitter": 2, "packet loss": 1})), 0)
    assert (told.mos, told.jitter_ms, told.loss_percent, told.basis) == (4.3, 2.0, 1.0, FROM_RTCP)


@pytest.mark.parametrize("strange", [{}, {"tags": 1}, {"tags": {"peer": {"medias": []}}}, {"tags": {"peer": []}}])
def test_what_is_not_told_counts_as_nothing(strange: Any) -> None:
    assert tally(strange) == Tally()
