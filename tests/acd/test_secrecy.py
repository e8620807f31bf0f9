"""How the media of a leg are protected and addressed, by the way that its INVITE takes."""

from __future__ import annotations

import pytest

from acd.secrecy import family_towards, protection_towards
from acd.way import Way
from ims_core.flow import Flow
from ims_core.locate.courier import Hop, Peer, Several
from media.api import Protection


def flow(transport: str) -> Flow:
    return Flow(transport, ("192.0.2.1", 5060), ("192.0.2.2", 5060), 1)


@pytest.mark.rfc("8643-3.1", "5763-5")
@pytest.mark.parametrize(
    ("target", "hop", "protection"),
    [
        ("sip:7001@192.0.2.2", flow("UDP"), Protection.NONE),
        ("sip:7001@192.0.2.2;transport=tcp", flow("TCP"), Protection.NONE),
        ("sip:7001@192.0.2.2;transport=tls", flow("TLS"), Protection.OPPORTUNISTIC),
        ("sip:7001@x.invalid;transport=ws", flow("WS"), Protection.DTLS),
        ("sip:7001@x.invalid;transport=ws", flow("WSS"), Protection.DTLS),
        ("sip:7001@x.invalid;transport=ws", "sip:pcscf.example", Protection.DTLS),
        ("sip:7001@192.0.2.2", "sip:pcscf.example;transport=tls", Protection.OPPORTUNISTIC),
        ("sip:7001@192.0.2.2", "sips:pcscf.example", Protection.OPPORTUNISTIC),
        ("sip:7001@192.0.2.2", Several(("sip:a.example;transport=tls", "sip:b.example")), Protection.OPPORTUNISTIC),
        ("sip:7001@192.0.2.2", Peer("sip:a.example", flow("UDP")), Protection.NONE),
        ("tel:+862012345", "sip:a.example", Protection.NONE),
    ],
)
def test_the_way_says_how_an_offer_is_protected(target: str, hop: Hop, protection: Protection) -> None:
    assert protection_towards(Way(target, hop)) is protection


@pytest.mark.parametrize(
    ("hop", "family"),
    [
        (flow("UDP"), "IP4"),
        (Flow("UDP", ("::1", 5060), ("2001:db8::2", 5060)), "IP6"),
        ("sip:192.0.2.9;transport=tls", "IP4"),
        ("sip:[2001:db8::9]:5070", "IP6"),
        (Several(("sip:[2001:db8::9]", "sip:192.0.2.9")), "IP6"),
        (Peer("sip:a.example", flow("UDP")), ""),
        ("nonsense", ""),
    ],
)
def test_the_way_says_which_of_our_addresses_an_offer_names(hop: Hop, family: str) -> None:
    assert family_towards(Way("sip:7001@192.0.2.2", hop)) == family
