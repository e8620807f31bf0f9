"""Offer and answer between two sides that are both ours, and against any text (RFC 3264)."""

from hypothesis import given
from hypothesis import strategies as st

from media.api import MediaError
from media.codecs.names import CN, CODECS
from media.rtp.stream import Dtls, Sdes, Stream
from media.sdp.description import parse
from media.sdp.formats import is_voice
from media.sdp.local import PLAIN, SECURED, SECURED_BY_DTLS, Key, Local
from media.sdp.negotiation import Negotiation

from .test_peers_offers import BARESIP, BROWSER, HANDSET, LINPHONE

SUITES = {"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_256_GCM": 44}
PRINT = "sha-256 " + ":".join(["0F"] * 32)


def local(codecs: list[str], profile: str) -> Local:
    keys = tuple(Key(suite, suite.encode().ljust(length, b".")[:length]) for suite, length in SUITES.items())
    return Local(
        codecs=tuple(codecs),
        offers=tuple(codecs),
        profile=profile,
        keys=keys,
        fingerprint=PRINT,
        ufrag="ufrag",
        password="p" * 22,
    )


def side(settings: Local, number: int) -> Negotiation:
    negotiation = Negotiation(f"192.0.2.{number}", number, local=settings)
    negotiation.port = 4000 + 2 * number
    return negotiation


ORDERS = st.lists(st.sampled_from(CODECS), min_size=1, unique=True).filter(lambda codecs: codecs != [CN])
SIDES = st.builds(local, ORDERS, st.sampled_from([PLAIN, SECURED, SECURED_BY_DTLS]))


def agree(offerer: Negotiation, answerer: Negotiation) -> tuple[Stream, Stream] | None:
    """Have one offer to the other; returns both streams, or None when they have nothing in common."""
    try:
        theirs = answerer.take_offer(offerer.offer())
    except MediaError:
        return None
    return offerer.take_answer(answerer.answer()), theirs


def check(ours: Stream, theirs: Stream, common: set[str]) -> None:
    assert ours.send == theirs.send
    assert ours.codec in common
    assert ours.receive[theirs.send.payload].name == theirs.codec
    assert theirs.receive[ours.send.payload].name == ours.codec
    assert ours.send_events == theirs.send_events
    assert (ours.sends, ours.receives, ours.held) == (theirs.sends, theirs.receives, theirs.held) == (True, True, False)
    assert ours.mux == theirs.mux
    match ours.security, theirs.security:
        case Sdes() as mine, Sdes() as yours:
            assert (mine.suite, mine.send_key, mine.receive_key) == (yours.suite, yours.receive_key, yours.send_key)
        case Dtls() as mine, Dtls() as yours:
            assert {mine.role, yours.role} == {"active", "passive"}
        case mine, yours:
            assert mine is yours is None
    if ours.ice is not None:
        assert theirs.ice is not None
        assert (ours.ice.local_ufrag, ours.ice.local_pwd) == (theirs.ice.remote_ufrag, theirs.ice.remote_pwd)


@given(SIDES, SIDES)
def test_two_of_ours_agree_whenever_they_have_a_codec_in_common(first: Local, second: Local) -> None:
    offerer, answerer = side(first, 1), side(second, 2)
    common = {codec for codec in first.codecs if codec in second.codecs} - {CN}
    agreed = agree(offerer, answerer)
    assert (agreed is not None) == bool(common)
    if agreed is not None:
        check(*agreed, common)
        again = agree(answerer, offerer)
        assert again is not None
        check(*again, common)
        once_more = agree(offerer, answerer)
        assert once_more is not None
        assert once_more[0].send == agreed[0].send


@given(SIDES, SIDES, SIDES)
def test_what_two_legs_of_a_call_agree_on_can_be_relayed(caller: Local, ours: Local, agent: Local) -> None:
    """If both phones have a codec of ours in common, the leg to the agent gets one that the caller takes."""
    first, second = side(ours, 1), side(ours, 2)
    phone, desk = side(caller, 3), side(agent, 4)
    if agree(phone, first) is None:
        return
    second.prefer(first)
    if agree(second, desk) is None:
        return
    shared = {format_.name for format_ in first.agreed if is_voice(format_)} & set(agent.codecs)
    if first.stream.codec in agent.codecs:
        assert second.stream.codec == first.stream.codec
    elif shared:
        first.follow(second)
        assert second.stream.codec == first.stream.codec


LINES = st.sampled_from(
    [
        *(line for text in (BARESIP, LINPHONE, BROWSER, HANDSET) for line in text.splitlines()),
        *("a=rtcp:65535 IN IP6 ::1", "a=rtcp:", "a=rtcp:1 2 3", "m=audio 65535 RTP/AVP 0", "m=audio 0 RTP/AVP 0"),
        *("a=fmtp:97 mode-set=9", "a=fmtp:101 0-99999999999", "a=fmtp:", "a=crypto:1 2 3", "a=ptime:0", "a=group:"),
        *("a=setup:", "a=mid:", "a=ice-ufrag:a", "a=fingerprint:", "a=rtpmap:96 opus/48000/2", "c=IN IP4 0.0.0.0"),
        *("a=rtpmap:0 opus/48000/2", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=inactive", "a=sendonly"),
    ]
)
HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
MESSY = st.lists(LINES | st.text(max_size=20), max_size=30).map(lambda lines: HEAD + "\r\n".join(lines))
ANY_TEXT = st.text(max_size=300) | MESSY


@given(SIDES, st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_any_series_of_offers_and_answers_is_taken_or_refused_and_changes_nothing(
    settings: Local, texts: list[str]
) -> None:
    negotiation = side(settings, 1)
    for number, text in enumerate(texts):
        before = negotiation.stream, negotiation.formats, negotiation.agreed
        try:
            if number % 2:
                negotiation.take_answer(text)
            else:
                negotiation.take_offer(text)
        except MediaError:
            assert (negotiation.stream, negotiation.formats, negotiation.agreed) == before
        ours = parse(negotiation.answer() if number % 2 == 0 else negotiation.offer())
        assert sum(media.port != 0 for media in ours.media) <= 1
        assert negotiation.stream.send.payload < 128
