"""Offers shaped like those of phones and browsers, written for these tests, and our answers to them."""

import pytest

from media.codecs.names import CODECS
from media.rtp.stream import Dtls, Format, Ice, Sdes
from media.sdp.description import parse
from media.sdp.local import Key, Local
from media.sdp.negotiation import Negotiation

from .test_negotiation import our_audio

OUR_PRINT = "sha-256 " + ":".join(["01"] * 32)
LOCAL = Local(
    codecs=CODECS,
    keys=(Key("AES_CM_128_HMAC_SHA1_80", b"k" * 30),),
    fingerprint=OUR_PRINT,
    ufrag="ourufrag",
    password="p" * 24,
)

BARESIP = """v=0
o=- 2871 1 IN IP4 192.0.2.10
s=-
c=IN IP4 192.0.2.10
t=0 0
a=tool:baresip 1.0.0
m=audio 10034 RTP/SAVP 96 9 0 8 97 98 101
b=AS:125
a=rtpmap:96 opus/48000/2
a=fmtp:96 stereo=1;sprop-stereo=1
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:97 AMR/8000
a=fmtp:97 octet-align=0
a=rtpmap:98 AMR-WB/16000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:10035
a=sendrecv
a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5
a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5
a=label:1
a=rtcp-rsize
a=ssrc:4165 cname:sip:a@ims.example
a=ptime:20
"""

LINPHONE = """v=0
o=alice 3961 2033 IN IP4 192.0.2.11
s=Talk
c=IN IP4 192.0.2.11
b=AS:380
t=0 0
a=ice-pwd:6c1b2d3e4f5061728394a5b6
a=ice-ufrag:9a8b7c6d
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
a=record:off
m=audio 7076 RTP/AVPF 96 97 98 0 8 18 101 99 100
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 speex/16000
a=fmtp:97 vbr=on
a=rtpmap:98 speex/8000
a=fmtp:98 vbr=on
a=fmtp:18 annexb=yes
a=rtpmap:101 telephone-event/48000
a=rtpmap:99 telephone-event/16000
a=rtpmap:100 telephone-event/8000
a=rtcp:7077
a=candidate:1 1 UDP 2130706303 192.0.2.11 7076 typ host
a=candidate:1 2 UDP 2130706302 192.0.2.11 7077 typ host
a=rtcp-fb:* trr-int 5000
m=video 9076 RTP/AVPF 96 97
a=rtpmap:96 VP8/90000
a=rtpmap:97 H264/90000
a=rtcp-fb:* ccm fir
"""

BROWSER = (
    """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qx7r
a=ice-pwd:7uM0nBvCxZaSdFgHjKlPoIuY
a=ice-options:trickle
a=fingerprint:sha-256 """
    + ":".join(["C4"] * 32)
    + """
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:stream track
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:35 cname:kx
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=mid:1
a=rtcp-mux
a=bundle-only
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
"""
)

HANDSET = """v=0
o=rue 3251 3251 IN IP6 2001:db8::20
s=-
c=IN IP6 2001:db8::20
b=AS:41
b=RS:512
b=RR:1537
t=0 0
a=sendrecv
m=audio 50010 RTP/AVP 116 107 118 96 111 110
b=AS:41
a=rtpmap:116 EVS/16000/1
a=fmtp:116 br=5.9-24.4;bw=nb-swb
a=rtpmap:107 AMR-WB/16000/1
a=fmtp:107 mode-change-capability=2;max-red=0
a=rtpmap:118 AMR-WB/16000/1
a=fmtp:118 octet-align=1;mode-change-capability=2;max-red=0
a=rtpmap:96 AMR/8000/1
a=fmtp:96 mode-change-capability=2;max-red=0
a=rtpmap:111 telephone-event/16000
a=fmtp:111 0-15
a=rtpmap:110 telephone-event/8000
a=fmtp:110 0-15
a=curr:qos local none
a=curr:qos remote none
a=des:qos mandatory local sendrecv
a=des:qos none remote sendrecv
a=ptime:20
a=maxptime:240
"""


def negotiate(text: str) -> Negotiation:
    address = "2001:db8::1" if "IP6" in text else "198.51.100.1"
    negotiation = Negotiation(address, 1, local=LOCAL)
    negotiation.take_offer(text.replace("\n", "\r\n"))
    negotiation.port = 20_000
    return negotiation


@pytest.mark.parametrize(
    "text", [BARESIP, LINPHONE, BROWSER, HANDSET], ids=["baresip", "linphone", "browser", "handset"]
)
def test_nothing_of_an_offer_is_lost_by_reading_it(text: str) -> None:
    text = text.replace("\n", "\r\n")
    assert parse(text).serialise() == text


def test_a_phone_with_keys_and_every_codec() -> None:
    negotiation = negotiate(BARESIP)
    stream = negotiation.stream
    assert stream.send == Format(96, "opus", 48000, 2, "stereo=1")
    assert stream.send_events == Format(101, "telephone-event", parameters="0-15")
    assert stream.rtcp == ("192.0.2.10", 10_035)
    assert stream.security == Sdes("AES_CM_128_HMAC_SHA1_80", b"k" * 30, b"012345678901234567890123456789")
    audio = our_audio(negotiation.answer())
    assert audio.formats == ["96", "9", "0", "8", "97", "98", "101"]
    assert audio.attributes("crypto")[0].startswith("2 AES_CM_128_HMAC_SHA1_80 inline:")


def test_a_phone_with_feedback_and_video() -> None:
    negotiation = negotiate(LINPHONE)
    stream = negotiation.stream
    assert (stream.codec, stream.security) == ("opus", None)
    assert stream.send_events is not None
    assert (stream.send_events.payload, stream.send_events.clock_rate) == (101, 48_000)
    assert stream.ice == Ice("ourufrag", "p" * 24, "9a8b7c6d", "6c1b2d3e4f5061728394a5b6")
    answer = parse(negotiation.answer())
    assert [(media.kind, media.port, media.protocol) for media in answer.media] == [
        ("audio", 20_000, "RTP/AVPF"),
        ("video", 0, "RTP/AVPF"),
    ]
    # 48 and 8 kHz belong to Opus and PCMU; nothing that is served has a clock of 16 kHz
    assert answer.media[0].formats == ["96", "0", "8", "101", "100"]


@pytest.mark.rfc("9143-7.3")
def test_a_browser() -> None:
    negotiation = negotiate(BROWSER)
    stream = negotiation.stream
    assert (stream.host, stream.held, stream.sends, stream.mux, stream.rtcp) == (None, False, True, True, None)
    assert stream.security == Dtls("passive", ("sha-256 " + ":".join(["C4"] * 32),))
    assert stream.ice == Ice("ourufrag", "p" * 24, "Qx7r", "7uM0nBvCxZaSdFgHjKlPoIuY")
    answer = parse(negotiation.answer())
    audio, video = answer.media
    assert {("a", "group:BUNDLE 0"), ("a", "ice-lite")} <= set(answer.lines)
    assert {("a", "mid:0"), ("a", "rtcp-mux"), ("a", "setup:passive"), ("a", "sendrecv")} <= set(audio.lines)
    assert audio.attributes("candidate") == ["1 1 UDP 2130706431 198.51.100.1 20000 typ host"]
    assert audio.formats == ["111", "9", "0", "8", "13", "110", "126"]
    assert (video.port, video.attributes("mid")) == (0, ["1"])


@pytest.mark.rfc("4867-8.3.1")
def test_a_handset_that_speaks_amr_only_on_ipv6() -> None:
    negotiation = negotiate(HANDSET)
    assert negotiation.stream.host == "2001:db8::20"
    assert negotiation.stream.send == Format(107, "AMR-WB", 16_000)
    assert negotiation.stream.send_events == Format(111, "telephone-event", 16_000, 1, "0-15")
    audio = our_audio(negotiation.answer())
    assert audio.formats == ["107", "96", "111", "110"]
    assert audio.attributes("rtpmap")[0] == "107 AMR-WB/16000"
