"""What we bring to offer and answer: keys, roles, credentials; and what comes of it at a second negotiation."""

from __future__ import annotations

from typing import Any

import pytest

from media.api import Capability, NotAcceptable, Protection
from media.builtin.credentials import Credentials
from media.builtin.supervisor import MediaSupervisor
from media.rtp.stream import Dtls, Sdes
from media.sdp.negotiation import Negotiation
from media.secure.srtp import SUITES
from media.settings import MediaSettings


def negotiation(protection: Protection = Protection.NONE, **settings: Any) -> Negotiation:
    credentials = Credentials(MediaSettings(**settings))
    side = Negotiation("192.0.2.1", 1, local=credentials.draw(protection))
    side.port = 20_000
    return side


def agreed(first: Negotiation, second: Negotiation) -> tuple[Negotiation, Negotiation]:
    second.take_offer(first.offer())
    first.take_answer(second.answer())
    return first, second


@pytest.mark.rfc("4568-5.1.2", "4568-5.1.3", "4568-7.1.1")
def test_two_of_us_agree_on_the_best_suite_with_keys_of_their_own() -> None:
    first, second = agreed(negotiation(Protection.SDES), negotiation())
    one, other = first.stream.security, second.stream.security
    assert isinstance(one, Sdes)
    assert isinstance(other, Sdes)
    assert one.suite == other.suite == next(iter(SUITES))
    assert (one.send_key, one.receive_key) == (other.receive_key, other.send_key)
    assert one.send_key != one.receive_key


@pytest.mark.rfc("8643-3.1", "8643-3.2")
def test_keys_in_a_plain_offer_may_be_passed_over() -> None:
    first, second = agreed(negotiation(Protection.OPPORTUNISTIC), negotiation())
    assert "RTP/AVP" in first.offer()
    assert isinstance(first.stream.security, Sdes)
    assert isinstance(second.stream.security, Sdes)
    first, second = agreed(negotiation(Protection.OPPORTUNISTIC), negotiation(srtp="off"))
    assert (first.stream.security, second.stream.security) == (None, None)


def test_a_plain_offer_has_no_keys() -> None:
    assert "a=crypto" not in negotiation().offer()
    assert "a=fingerprint" not in negotiation().offer()


@pytest.mark.rfc("5763-5", "8445-6.2", "8839-5.3")
def test_of_two_of_us_with_dtls_one_is_active_and_neither_makes_checks() -> None:
    first, second = agreed(negotiation(Protection.DTLS), negotiation())
    one, other = first.stream.security, second.stream.security
    assert isinstance(one, Dtls)
    assert isinstance(other, Dtls)
    assert {one.role, other.role} == {"active", "passive"}
    assert (first.stream.ice, second.stream.ice) == (None, None)
    assert "a=ice-ufrag" not in second.answer()


@pytest.mark.rfc("5763-5")
def test_an_offer_with_dtls_is_ready_for_the_handshake_before_its_answer() -> None:
    stream = negotiation(Protection.DTLS).stream
    assert stream.security == Dtls("passive", ())
    assert stream.ice is not None


@pytest.mark.rfc("4568-7.1.2", "3261-21.4.26")
def test_where_srtp_is_required_plain_streams_are_refused_and_nothing_plain_is_offered() -> None:
    with pytest.raises(NotAcceptable):
        negotiation(srtp="required").take_offer(negotiation(srtp="off").offer())
    assert "RTP/SAVP" in negotiation(srtp="required").offer()
    first = negotiation(srtp="required")
    first.offer()
    plain = negotiation(srtp="off")
    plain.take_offer(negotiation().offer())
    with pytest.raises(NotAcceptable):
        first.take_answer(plain.answer())


@pytest.mark.rfc("4568-7.1.2", "3261-21.4.26")
@pytest.mark.parametrize("protection", [Protection.SDES, Protection.DTLS])
def test_where_srtp_is_off_its_offers_are_refused(protection: Protection) -> None:
    with pytest.raises(NotAcceptable):
        negotiation(srtp="off").take_offer(negotiation(protection).offer())


def test_without_dtls_its_offers_are_refused_and_keys_go_on() -> None:
    with pytest.raises(NotAcceptable):
        negotiation(dtls=False).take_offer(negotiation(Protection.DTLS).offer())
    assert "a=fingerprint" not in negotiation(Protection.DTLS, dtls=False).offer()


def test_without_ice_none_is_spoken_of() -> None:
    text = negotiation(Protection.DTLS, ice=False).offer()
    assert "a=ice" not in text
    assert "a=fingerprint" in text


@pytest.mark.rfc("4568-7.1.4")
def test_a_second_offer_keeps_our_keys_and_takes_the_peers_new_ones() -> None:
    first, second = agreed(negotiation(Protection.SDES), negotiation())
    before = second.stream.security
    agreed(first, second)
    assert second.stream.security == before
    another = negotiation(Protection.SDES)
    second.take_offer(another.offer())
    after = second.stream.security
    assert isinstance(before, Sdes)
    assert isinstance(after, Sdes)
    assert (after.suite, after.send_key) == (before.suite, before.send_key)
    assert after.receive_key != before.receive_key


OFFER = "v=0\r\no=- 1 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 4000 {} 0\r\n"
KEY = "A" * 40


@pytest.mark.rfc("4568-6.1", "4568-6.3", "4568-9.2")
@pytest.mark.parametrize(
    ("rest", "usable"),
    [
        ("", True),
        ("|2^20", True),
        ("|2^48|1:4", True),
        ("|1048576", True),
        ("|1:128", True),
        (" WSH=64", True),
        (" -UNHEARD_OF=1", True),
        ("|2^49", False),
        ("|0", False),
        ("|forever", False),
        ("|1:4|2^20", False),
        ("|1:0", False),
        ("|256:1", False),
        ("|1:129", False),
        (f";inline:{KEY}", False),
        (" UNENCRYPTED_SRTP", False),
        (" UNAUTHENTICATED_SRTP", False),
        (" KDR=4", False),
        (" UNHEARD_OF=1", False),
    ],
)
def test_lines_that_cannot_be_used_are_passed_over(rest: str, usable: bool) -> None:
    line = f"a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}\r\n"
    secured = OFFER.format("RTP/SAVP") + line
    if usable:
        assert isinstance(negotiation().take_offer(secured).security, Sdes)
    else:
        with pytest.raises(NotAcceptable):
            negotiation().take_offer(secured)
        assert negotiation().take_offer(OFFER.format("RTP/AVP") + line).security is None
        second = f"a=crypto:8 AES_CM_128_HMAC_SHA1_32 inline:{KEY}\r\n"
        side = negotiation()
        side.take_offer(secured + second)
        assert "a=crypto:8 AES_CM_128_HMAC_SHA1_32 inline:" in side.answer()


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, set()),
        ({"srtp": "off"}, {Capability.SDES, Capability.DTLS}),
        ({"dtls": False}, {Capability.DTLS}),
        ({"ice": False}, {Capability.ICE}),
    ],
)
def test_a_backend_declares_what_its_settings_leave(settings: dict[str, Any], missing: set[Capability]) -> None:
    secured = {Capability.SDES, Capability.DTLS, Capability.ICE}
    assert secured - MediaSupervisor(MediaSettings(**settings)).capabilities() == missing


def test_every_leg_has_secrets_of_its_own() -> None:
    credentials = Credentials(MediaSettings())
    drawn = [credentials.draw(Protection.NONE) for _ in range(50)]
    assert len({key.secret for local in drawn for key in local.keys}) == 50 * len(SUITES)
    assert len({local.password for local in drawn}) == len({local.ufrag for local in drawn}) == 50
    assert all(len(local.ufrag) >= 4 and len(local.password) >= 22 for local in drawn)
    assert {key.suite: len(key.secret) for key in drawn[0].keys} == {s.name: s.length for s in SUITES.values()}
