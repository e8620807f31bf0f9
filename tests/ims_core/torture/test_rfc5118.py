"""RFC 5118: IPv6 in all places where an address may stand."""

from __future__ import annotations

import pytest

from ims_core.errors import BadRequest
from ims_core.messages.uri import parse_uri
from tests.ims_core.torture.lab import (
    STRANGER,
    Case,
    Lab,
    Message,
    Raw,
    Verdict,
    answers,
    case,
    hides,
    parameters,
    reaches_bob,
    reads,
    registers,
    shows,
    sip,
)
from tests.kit import NODE_ADDRESS

FROM, TO = "From: <sip:alice@ims.example>;tag=t1", "To: <sip:bob@ims.example>"
COMMON = (FROM, TO, "Max-Forwards: 70", "Call-ID: ipv6@[2001:db8::9:1]")
SDP6 = (
    b"v=0\r\no=alice 9717317 0 IN IP6 2001:db8::20\r\ns=Live video\r\nc=IN IP6 2001:db8::20\r\nt=0 0\r\n"
    b"m=audio 6000 RTP/AVP 2\r\nm=video 6024 RTP/AVP 107\r\n"
)
SDP_OF_BOTH = (
    b"v=0\r\no=alice 2 0 IN IP4 lab.ims.example\r\ns=-\r\nt=0 0\r\nm=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.9\r\n"
    b"m=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::9:9\r\n"
)


def _target(message: Message) -> tuple[str, int | None]:
    uri = parse_uri(message.start_line.split(" ")[1])
    return uri.host, uri.port


def _invite(*lines: str, body: bytes = b"") -> bytes:
    kind = ("Content-Type: application/sdp",) if body else ()
    start = ("INVITE sip:bob@ims.example SIP/2.0", *COMMON, "CSeq: 8 INVITE")
    return sip(*start, *lines, *kind, body=body, length=True)


def reaches_bob_and_its_port(lab: Lab, data: bytes) -> None:
    """It is passed on, and answered to the port of its Via at the address it came from (RFC 3261 section 18.2.2)."""
    port = Raw(lab.network, (STRANGER[0], 19823))
    port.received = lab.stranger.received
    reaches_bob(lab, data)
    assert {flow.remote for _, flow, _ in lab.network.sent} - {NODE_ADDRESS, lab.bob.address} == {port.address}


VIA6 = "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKipv6"
VIA4 = "Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKipv4"

CASES: list[Case] = [
    case(
        "5118-4.1",
        "an IPv6 reference in Request-URI, Via and Contact",
        sip(
            "REGISTER sip:[2001:db8::10] SIP/2.0",
            *(*COMMON, VIA6, "CSeq: 98176 REGISTER", 'Contact: "Al" <sip:alice@[2001:db8::1]>'),
            length=True,
        ),
        shows(_target, ("2001:db8::10", None)),
        shows(lambda m: (m.via.host, m.via.port), ("2001:db8::9:1", None)),
        shows(lambda m: m.contact and m.contact.uri.host, "2001:db8::1"),
        answers(404),  # not the domain here
    ),
    case(
        "5118-4.2",
        "an IPv6 address without brackets",
        sip("REGISTER sip:2001:db8::10 SIP/2.0", *COMMON, VIA6, "CSeq: 1 REGISTER", length=True),
        hides(_target),
        answers(400),
    ),
    case(
        "5118-4.3",
        "a port within the brackets, which is none",
        sip(
            "REGISTER sip:[2001:db8::10:5070] SIP/2.0",
            *(*COMMON, VIA6, "CSeq: 1 REGISTER", "Contact: <sip:alice@[2001:db8::1:5070]>"),
            length=True,
        ),
        shows(_target, ("2001:db8::10:5070", None)),
        shows(lambda m: m.contact and m.contact.uri.port, None),
        answers(404),
    ),
    case(
        "5118-4.4",
        "a port behind the brackets",
        sip(
            "REGISTER sip:[2001:db8::10]:5070 SIP/2.0",
            *(*COMMON, VIA6, "CSeq: 1 REGISTER", "Contact: <sip:alice@[2001:db8::1]:5071>"),
            length=True,
        ),
        shows(_target, ("2001:db8::10", 5070)),
        shows(lambda m: m.contact and m.contact.uri.address, ("2001:db8::1", 5071)),
        answers(404),
    ),
    case(
        "5118-4.5",
        "received with brackets",
        sip(
            "OPTIONS sip:bob@ims.example SIP/2.0",
            *(*COMMON, VIA4, "Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bK1"),
            "CSeq: 921 OPTIONS",
            length=True,
        ),
        shows(lambda m: len(m.values("Via")), 2),
        reaches_bob,
    ),
    case(
        "5118-4.5",
        "received without brackets, as the grammar has it",
        sip(
            "OPTIONS sip:bob@ims.example SIP/2.0",
            *(
                *COMMON,
                "Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bK1",
                "CSeq: 921 OPTIONS",
            ),
            length=True,
        ),
        shows(lambda m: (m.via.params["received"], m.via.branch), ("2001:db8::9:255", "z9hG4bK1")),
        reaches_bob,
    ),
    case(
        "5118-4.6",
        "IPv6 in the session description",
        _invite(VIA6, "Contact: <sip:alice@[2001:db8::20]>", body=SDP6),
        reads(body=SDP6),
        reaches_bob,
    ),
    case(
        "5118-4.7",
        "addresses of both versions in one header",
        _invite(
            "Via: SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKas3, SIP/2.0/TCP 192.0.2.8:6050;branch=z9hG4bKmw",
            "Via: SIP/2.0/TLS [2001:db8::9:255];branch=z9hG4bK3;received=192.0.2.200",
            "Contact: <sip:alice@[2001:db8::9:1]>",
            "Record-Route: <sip:[2001:db8::9:255];lr>, <sip:192.0.2.200;lr>",
        ),
        shows(lambda m: (m.via.host, m.via.port), ("2001:db8::9:1", 5060)),
        shows(lambda m: len(m.values("Via")), 3),
        reaches_bob,
    ),
    case(
        "5118-4.8",
        "addresses of both versions in one session description",
        _invite(VIA6, "Contact: <sip:alice@[2001:db8::9:1]>", body=SDP_OF_BOTH),
        reads(body=SDP_OF_BOTH),
        reaches_bob,
    ),
    case(
        "5118-4.9",
        "IPv4 addresses mapped into IPv6",
        _invite(
            "Via: SIP/2.0/UDP [::ffff:203.0.113.7]:19823;branch=z9hG4bKbh19",
            "Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111",
            'Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>',
        ),
        shows(lambda m: (m.via.host, m.via.port), ("::ffff:203.0.113.7", 19823)),
        shows(lambda m: m.contact and m.contact.uri.host, "::ffff:192.0.2.2"),
        reaches_bob_and_its_port,
    ),
    case(
        "5118-4.10",
        "three colons before an IPv4 address",
        sip(
            "REGISTER sip:ims.example SIP/2.0",
            *(*COMMON, VIA4, "CSeq: 98176 REGISTER", "Contact: <sip:alice@[2001:db8:::192.0.2.1]>"),
            length=True,
        ),
        shows(lambda m: m.contact and m.contact.uri.host, "2001:db8::c000:201"),
        registers("sip:alice@[2001:db8:::192.0.2.1]"),
    ),
    case(
        "5118-4.10",
        "two colons before an IPv4 address",
        sip("OPTIONS sip:bob@[2001:db8::192.0.2.1] SIP/2.0", *COMMON, VIA4, "CSeq: 98176 OPTIONS", length=True),
        shows(_target, ("2001:db8::c000:201", None)),
        answers(403),  # not the domain here
    ),
]


@pytest.mark.parametrize(("data", "verdict"), parameters(CASES))
def test_a_message_with_ipv6(data: bytes, verdict: Verdict) -> None:
    lab = Lab()
    verdict(lab, data)
    lab.finish()


@pytest.mark.rfc("5118-4.10")
@pytest.mark.parametrize(
    "host",
    [
        "[2001:db8:::1]",
        "[2001:db8::::192.0.2.1]",
        "[2001::db8:::192.0.2.1]",
        "[2001:db8:::192.0.2]",
        "2001:db8:::192.0.2.1",
        "[2001:db8::1%eth0]",
        "[2001:db8::1",
        "[2001:db8::1]]",
        "[2001:db8::1]5060",
        "[192.0.2.1.]",
        "[]",
    ],
)
def test_what_is_no_ipv6_reference(host: str) -> None:
    with pytest.raises(BadRequest):
        parse_uri(f"sip:bob@{host}")
