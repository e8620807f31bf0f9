"""Where packets go and how they are protected: RTCP, SRTP, ICE, bundles, families of addresses."""

import base64

import pytest

from media.api import NotAcceptable
from media.rtp.stream import Dtls, Ice, Sdes
from media.sdp.description import parse
from media.sdp.local import SECURED, SECURED_BY_DTLS, Key, Local
from media.sdp.negotiation import Negotiation

from .test_negotiation import USUAL, our_audio, sdp

PRINT = "sha-256 " + ":".join(["AB"] * 32)
OUR_PRINT = "sha-256 " + ":".join(["01"] * 32)
SUITE, LONG_SUITE = "AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"
KEYS = (Key(LONG_SUITE, b"L" * 46), Key(SUITE, b"S" * 30))
THEIRS = base64.b64encode(b"t" * 30).decode()
PASSWORD = "x" * 22
BROWSER = Local(keys=KEYS, fingerprint=OUR_PRINT, ufrag="ours", password="p" * 24)


def negotiate(local: Local = BROWSER, port: int = 20_000) -> Negotiation:
    negotiation = Negotiation("198.51.100.1", 1000, local=local)
    negotiation.port = port
    return negotiation


def secured(*lines: str, profile: str = "RTP/SAVP", port: int = 7078) -> str:
    return sdp(f"m=audio {port} {profile} 0", *lines)


@pytest.mark.rfc("3605-2.1")
@pytest.mark.parametrize(
    ("lines", "rtcp"),
    [
        ((), ("192.0.2.7", 7079)),
        (("a=rtcp:9000",), ("192.0.2.7", 9000)),
        (("a=rtcp:9000 IN IP4 192.0.2.50",), ("192.0.2.50", 9000)),
        (("a=rtcp:9000 IN IP4 224.0.0.1",), ("192.0.2.7", 9000)),
        (("a=rtcp:0",), ("192.0.2.7", 7079)),
        (("a=rtcp:x",), ("192.0.2.7", 7079)),
        (("a=rtcp:9000", "a=rtcp-mux"), ("192.0.2.7", 7078)),
    ],
)
def test_rtcp_goes_where_the_peer_wants_it(lines: tuple[str, ...], rtcp: tuple[str, int]) -> None:
    assert negotiate().take_offer(sdp(*USUAL, *lines)).rtcp == rtcp


@pytest.mark.rfc("3556-2")
def test_without_bandwidth_for_it_there_is_no_rtcp() -> None:
    assert negotiate().take_offer(sdp(*USUAL, "b=RS:0", "b=RR:0")).rtcp is None
    assert negotiate().take_offer(sdp(*USUAL, "b=RS:0", "b=RR:2000")).rtcp == ("192.0.2.7", 7079)


@pytest.mark.rfc("3556-2")
@pytest.mark.parametrize(
    ("lines", "reports"), [((), False), (("b=RR:2000",), True), (("b=AS:64",), False), (("b=RS:0", "b=RR:0"), False)]
)
def test_bandwidth_of_the_session_is_the_sections_unless_it_has_its_own(lines: tuple[str, ...], reports: bool) -> None:
    text = sdp(*USUAL, *lines).replace("t=0 0\r\n", "b=RS:0\r\nb=RR:0\r\nt=0 0\r\n")
    assert text.count("b=") == 2 + len(lines)
    assert (negotiate().take_offer(text).rtcp is not None) is reports


@pytest.mark.rfc("5761-4")
def test_a_number_that_would_be_taken_for_rtcp_is_not_agreed_to_on_its_port() -> None:
    offer = ("m=audio 7078 RTP/AVP 72 0", "a=rtpmap:72 PCMA/8000")
    assert negotiate().take_offer(sdp(*offer)).send.payload == 72
    assert set(negotiate().take_offer(sdp(*offer, "a=rtcp-mux")).receive) == {0}


@pytest.mark.rfc("5761-5.1.1")
def test_one_port_for_rtp_and_rtcp_is_agreed_to_when_offered() -> None:
    negotiation = negotiate()
    assert not negotiation.take_offer(sdp(*USUAL)).mux
    assert ("a", "rtcp-mux") not in our_audio(negotiation.answer()).lines
    assert negotiation.take_offer(sdp(*USUAL, "a=rtcp-mux")).mux
    assert ("a", "rtcp-mux") in our_audio(negotiation.answer()).lines
    assert ("a", "rtcp-mux") in our_audio(negotiation.offer()).lines
    assert not negotiation.take_answer(sdp(*USUAL)).mux


@pytest.mark.rfc("4568-5.1.2")
def test_the_first_key_with_a_suite_of_ours_is_answered_under_its_tag() -> None:
    negotiation = negotiate()
    stream = negotiation.take_offer(
        secured(f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{THEIRS}", f"a=crypto:2 {SUITE} inline:{THEIRS}|2^31 WSH=64")
    )
    assert stream.security == Sdes(SUITE, b"S" * 30, b"t" * 30)
    audio = our_audio(negotiation.answer())
    assert audio.protocol == "RTP/SAVP"
    assert audio.attributes("crypto") == [f"2 {SUITE} inline:{base64.b64encode(b'S' * 30).decode()}"]


@pytest.mark.rfc("4568-6.1")
def test_the_peers_key_may_have_a_name() -> None:
    stream = negotiate().take_offer(secured(f"a=crypto:1 {SUITE} inline:{THEIRS}|2^20|258:4"))
    assert stream.security == Sdes(SUITE, b"S" * 30, b"t" * 30, receive_mki=b"\0\0\1\2")


@pytest.mark.rfc("4568-9.1")
@pytest.mark.parametrize(
    "line",
    [
        "",
        "a=crypto:1",
        f"a=crypto:x {SUITE} inline:{THEIRS}",
        f"a=crypto:1 {SUITE} inline:{THEIRS[:-4]}",
        f"a=crypto:1 {SUITE} inline:****",
        f"a=crypto:1 {SUITE} {THEIRS}",
        f"a=crypto:1 {SUITE} inline:{THEIRS}|999:1",
        f"a=crypto:1 {SUITE} inline:{THEIRS}|1:x",
        f"a=crypto:1 {SUITE} inline:{THEIRS} UNENCRYPTED_SRTP",
    ],
)
def test_a_secured_stream_without_a_usable_key_is_not_acceptable(line: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate().take_offer(secured(*([line] if line else [])))


@pytest.mark.rfc("8643-3.1")
def test_keys_in_an_offer_of_a_plain_profile_are_taken() -> None:
    negotiation = negotiate()
    offer = secured(f"a=crypto:1 {SUITE} inline:{THEIRS}", profile="RTP/AVP")
    assert isinstance(negotiation.take_offer(offer).security, Sdes)
    assert len(our_audio(negotiation.answer()).attributes("crypto")) == 1
    assert len(our_audio(negotiation.offer()).attributes("crypto")) == 2
    assert negotiation.take_answer(sdp(*USUAL)).security is None
    assert negotiate(Local()).take_offer(offer).security is None


def test_a_leg_that_must_be_secured_takes_nothing_else() -> None:
    strict = Local(keys=KEYS, secure_only=True)
    with pytest.raises(NotAcceptable):
        negotiate(strict).take_offer(sdp(*USUAL))
    two = sdp(*USUAL, "m=audio 7080 RTP/SAVP 0", f"a=crypto:1 {SUITE} inline:{THEIRS}")
    negotiation = negotiate(strict)
    assert isinstance(negotiation.take_offer(two).security, Sdes)
    assert [media.port for media in parse(negotiation.answer()).media] == [0, 20_000]
    assert negotiate(Local(keys=KEYS)).take_offer(two).security is None


@pytest.mark.rfc("4568-5.1.1")
def test_our_offer_of_keys_and_the_answer_to_it() -> None:
    negotiation = negotiate(Local(profile=SECURED, keys=KEYS))
    audio = our_audio(negotiation.offer())
    assert audio.protocol == "RTP/SAVP"
    assert [value.split(" ")[:2] for value in audio.attributes("crypto")] == [["1", LONG_SUITE], ["2", SUITE]]
    with pytest.raises(NotAcceptable):
        negotiation.take_answer(sdp(*USUAL))
    with pytest.raises(NotAcceptable):
        negotiation.take_answer(secured())
    with pytest.raises(NotAcceptable):
        negotiation.take_answer(secured(f"a=crypto:1 {SUITE} inline:{THEIRS}"))
    stream = negotiation.take_answer(secured(f"a=crypto:2 {SUITE} inline:{THEIRS}"))
    assert stream.security == Sdes(SUITE, b"S" * 30, b"t" * 30)


@pytest.mark.rfc("5763-5")
@pytest.mark.parametrize(("theirs", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
def test_the_handshake_is_begun_by_the_peer_where_it_lets_us_wait(theirs: str, ours: str) -> None:
    negotiation = negotiate()
    stream = negotiation.take_offer(secured(f"a=fingerprint:{PRINT}", f"a=setup:{theirs}", profile="UDP/TLS/RTP/SAVPF"))
    assert stream.security == Dtls(ours, (PRINT,))
    audio = our_audio(negotiation.answer())
    assert audio.protocol == "UDP/TLS/RTP/SAVPF"
    assert (audio.attributes("fingerprint"), audio.attributes("setup")) == ([OUR_PRINT], [ours])


@pytest.mark.rfc("8842-5.2")
def test_an_association_that_goes_on_keeps_its_roles() -> None:
    negotiation = negotiate()
    offer = secured(f"a=fingerprint:{PRINT}", "a=setup:passive", profile="UDP/TLS/RTP/SAVP")
    negotiation.take_offer(offer)
    stream = negotiation.take_offer(offer.replace("a=setup:passive", "a=setup:actpass"))
    assert stream.security == Dtls("active", (PRINT,))
    other = offer.replace("a=setup:passive", "a=setup:actpass").replace("AB:AB", "AB:AC")
    assert negotiation.take_offer(other).security == Dtls("passive", (PRINT.replace("AB:AB", "AB:AC"),))


@pytest.mark.rfc("8122-5")
@pytest.mark.parametrize(
    "line",
    [
        "a=fingerprint:sha-1 " + ":".join(["AB"] * 20),
        "a=fingerprint:md5 " + ":".join(["AB"] * 16),
        "a=fingerprint:sha-256 AB",
        "a=fingerprint:sha-256 " + "-".join(["AB"] * 32),
        "a=setup:actpass",
    ],
)
def test_a_fingerprint_that_cannot_be_trusted_is_none(line: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate().take_offer(secured(line, profile="UDP/TLS/RTP/SAVP"))


@pytest.mark.rfc("4145-4")
@pytest.mark.parametrize("setup", ["holdconn", "both"])
def test_a_handshake_nobody_may_begin_is_not_acceptable(setup: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate().take_offer(secured(f"a=fingerprint:{PRINT}", f"a=setup:{setup}", profile="UDP/TLS/RTP/SAVP"))


@pytest.mark.rfc("5763-5")
def test_our_offer_to_a_browser_and_its_answer() -> None:
    negotiation = negotiate(Local(profile=SECURED_BY_DTLS, fingerprint=OUR_PRINT, ufrag="ours", password="p" * 24))
    text = negotiation.offer()
    audio = our_audio(text)
    assert negotiation.stream.ice == Ice("ours", "p" * 24, "", "")
    assert (audio.attributes("setup"), audio.attributes("mid")) == (["actpass"], ["0"])
    assert {("a", "ice-lite"), ("a", "group:BUNDLE 0")} <= set(parse(text).lines)
    stream = negotiation.take_answer(
        secured(
            *(f"a=fingerprint:{PRINT.lower()}", "a=setup:active", "a=mid:0", "a=rtcp-mux"),
            *("a=ice-ufrag:their", f"a=ice-pwd:{PASSWORD}"),
            profile="UDP/TLS/RTP/SAVPF",
        )
    )
    assert (stream.security, stream.mux) == (Dtls("passive", (PRINT,)), True)
    assert stream.ice == Ice("ours", "p" * 24, "their", PASSWORD)


@pytest.mark.rfc("8839-5.4")
@pytest.mark.parametrize("level", ["media", "session"])
def test_ice_is_answered_by_a_lite_agent_with_one_candidate(level: str) -> None:
    credentials = ("a=ice-ufrag:their", f"a=ice-pwd:{PASSWORD}")
    session = "".join(line + "\r\n" for line in credentials)
    offer = sdp(*USUAL, *credentials) if level == "media" else sdp(*USUAL, session=session)
    negotiation = negotiate()
    assert negotiation.take_offer(offer).ice == Ice("ours", "p" * 24, "their", PASSWORD)
    text = negotiation.answer()
    assert ("a", "ice-lite") in parse(text).lines
    assert our_audio(text).attributes("candidate") == [
        "1 1 UDP 2130706431 198.51.100.1 20000 typ host",
        "1 2 UDP 2130706430 198.51.100.1 20001 typ host",
    ]
    assert negotiate(Local()).take_offer(offer).ice is None


@pytest.mark.rfc("8839-4.4.1.1.1")
def test_a_restart_has_new_credentials_on_both_sides() -> None:
    negotiation = negotiate()
    offer = sdp(*USUAL, "a=ice-ufrag:their", f"a=ice-pwd:{PASSWORD}")
    first = negotiation.take_offer(offer).ice
    assert negotiation.take_offer(offer).ice == first
    again = negotiation.take_offer(offer.replace("their", "other")).ice
    assert first is not None
    assert again is not None
    assert again.local_ufrag != first.local_ufrag
    assert again.local_pwd != first.local_pwd


@pytest.mark.rfc("8839-4.2.5")
def test_candidates_that_do_not_have_the_address_end_ice() -> None:
    negotiation = negotiate()
    candidate = "a=candidate:1 1 UDP 2130706431 10.0.0.1 7078 typ host"
    stream = negotiation.take_offer(sdp(*USUAL, "a=ice-ufrag:their", f"a=ice-pwd:{PASSWORD}", candidate))
    assert stream.ice is None
    assert ("a", "ice-mismatch") in our_audio(negotiation.answer()).lines


@pytest.mark.rfc("8840-4.1.1")
def test_an_address_still_to_be_found_by_ice_is_no_hold() -> None:
    stream = negotiate().take_offer(sdp(*USUAL, "a=ice-ufrag:their", f"a=ice-pwd:{PASSWORD}", address="0.0.0.0"))
    assert (stream.host, stream.held, stream.sends) == (None, False, True)


@pytest.mark.rfc("9143-7.3.1")
def test_a_bundle_keeps_of_its_sections_only_the_one_that_is_served() -> None:
    negotiation = negotiate()
    negotiation.take_offer(
        sdp(*USUAL, "a=mid:a0", "m=video 7080 RTP/AVP 97", "a=mid:v1", session="a=group:BUNDLE a0 v1\r\n")
    )
    answer = parse(negotiation.answer())
    assert ("a", "group:BUNDLE a0") in answer.lines
    assert [(media.port, media.attributes("mid")) for media in answer.media] == [(20_000, ["a0"]), (0, ["v1"])]
    negotiation.take_offer(sdp(*USUAL, "a=mid:a0"))
    assert "group" not in negotiation.answer()


@pytest.mark.rfc("3264-8.2")
def test_a_stream_that_ends_within_the_session_is_answered_so_and_may_begin_again() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp(*USUAL, "m=video 9000 RTP/AVP 97"))
    negotiation.answer()
    stream = negotiation.take_offer(sdp("m=audio 0 RTP/AVP 0", "m=video 9000 RTP/AVP 97"))
    assert (stream.host, stream.port, stream.held, stream.sends, stream.receives) == (None, 0, True, False, False)
    assert [media.port for media in parse(negotiation.answer()).media] == [0, 0]
    assert [media.port for media in parse(negotiation.offer()).media] == [20_000, 0]
    stream = negotiation.take_offer(sdp(*USUAL, "m=video 0 RTP/AVP 97"))
    assert (stream.host, stream.held) == ("192.0.2.7", False)


@pytest.mark.rfc("3264-8")
def test_a_stream_keeps_its_place_though_another_comes_before_it() -> None:
    negotiation = negotiate()
    negotiation.take_offer(sdp("m=video 9000 RTP/AVP 97", *USUAL))
    negotiation.answer()
    stream = negotiation.take_offer(sdp("m=audio 9000 RTP/AVP 0", *USUAL, "m=audio 5000 RTP/AVP 0"))
    assert stream.port == 7078
    assert [media.port for media in parse(negotiation.answer()).media] == [0, 20_000, 0]


def test_a_leg_is_of_the_family_that_the_offer_asks_for_and_stays_so() -> None:
    six = sdp(*USUAL).replace("c=IN IP4 192.0.2.7", "c=IN IP6 2001:db8::7")
    negotiation = Negotiation("198.51.100.1", 1, other_address="2001:db8::1")
    assert negotiation.take_offer(six).host == "2001:db8::7"
    assert (negotiation.family, negotiation.address) == ("IP6", "2001:db8::1")
    negotiation.port = 20_000
    assert "c=IN IP6 2001:db8::1\r\n" in negotiation.answer()
    with pytest.raises(NotAcceptable):
        negotiation.take_offer(sdp(*USUAL))


@pytest.mark.rfc("4291-2.5.5.2")
def test_a_socket_for_both_families_names_addresses_of_ipv4_as_mapped_ones() -> None:
    negotiation = Negotiation("2001:db8::1", 1, other_address="198.51.100.1")
    stream = negotiation.take_offer(sdp(*USUAL, "a=rtcp:9000 IN IP4 192.0.2.50"))
    assert (stream.host, stream.rtcp) == ("::ffff:192.0.2.7", ("::ffff:192.0.2.50", 9000))
    assert "c=IN IP4 198.51.100.1\r\n" in negotiation.answer()
    assert negotiation.take_offer(sdp(*USUAL, address="0.0.0.0")).host is None


@pytest.mark.parametrize(("family", "address"), [("IP4", "198.51.100.1"), ("IP6", "2001:db8::1"), ("", "2001:db8::1")])
def test_our_offer_names_the_address_of_the_family_that_was_chosen(family: str, address: str) -> None:
    negotiation = Negotiation("2001:db8::1", 1, other_address="198.51.100.1")
    negotiation.choose_family(family)
    negotiation.port = 20_000
    assert f"c=IN IP{6 if ':' in address else 4} {address}\r\n" in negotiation.offer()
    single = Negotiation("198.51.100.1", 1)
    single.choose_family(family)
    assert single.family == "IP4"
