"""RFC 4475 sections 3.1.2 and 3.2: what is no legal message, and transactions that cannot be told apart."""

from __future__ import annotations

import pytest

from ims_core.messages.uri import parse_uri
from ims_core.transport.framing import StreamFramer
from tests.ims_core.torture.lab import (
    Case,
    Lab,
    Message,
    Verdict,
    answers,
    breaks_off_a_stream,
    case,
    hides,
    is_dropped,
    is_no_answer,
    parameters,
    reaches_bob,
    registers,
    sip,
)
from tests.kit import SERVICE_NUMBER

HEAD = {
    "Via": "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKinvalid",
    "Max-Forwards": "70",
    "From": "<sip:alice@ims.example>;tag=t1",
    "To": "<sip:bob@ims.example>",
    "Call-ID": "invalid@203.0.113.7",
}


def request(start: str, *more: str, body: bytes = b"", **other: str) -> bytes:
    """A request with that start line; ``other`` header values replace the usual ones."""
    fields = {
        **HEAD,
        "CSeq": f"1 {start.split(maxsplit=1)[0]}",
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    return sip(start, *(f"{name}: {value}" for name, value in fields.items()), *more, body=body)


INVITE = "INVITE sip:bob@ims.example SIP/2.0"
CALL_SERVICE = f"INVITE sip:{SERVICE_NUMBER}@ims.example SIP/2.0"
CONTACT = "Contact: <sip:alice@203.0.113.7>"
REGISTER = "REGISTER sip:ims.example SIP/2.0"


def waits_on_a_stream(_: Lab, data: bytes) -> None:
    """On a stream the rest of the body may still come."""
    framer = StreamFramer()
    assert list(framer.feed(data)) == []
    assert framer.pending


def grants_an_hour(lab: Lab, data: bytes) -> None:
    """20.10: "Malformed values SHOULD be treated as equivalent to 3600.": told so, and held for so long."""
    (response,) = lab.send(data)
    assert response.values("Contact")[-1] == "<sip:alice@203.0.113.7>;expires=3600"
    held = lab.site.location.bindings("sip:bob@ims.example")[-1]
    assert held.expires_at == pytest.approx(lab.network.now + 3600, abs=1)


def _contact(message: Message) -> object:
    return message.contact and message.contact.uri


CASES: list[Case] = [
    case(
        "4475-3.1.2.1",
        "separators in excess in Via",
        request(INVITE, CONTACT, Via="SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK1;;,;,,"),
        answers(400),
    ),
    case(
        "4475-3.1.2.1",
        "separators in excess in Contact",
        request(CALL_SERVICE, 'Contact: "Alice" <sip:alice@203.0.113.7>;;;;'),
        hides(_contact),
        answers(400),
    ),
    case(
        "4475-3.1.2.2",
        "Content-Length beyond the end",
        request(INVITE, CONTACT, "Content-Type: application/sdp", "Content-Length: 9999", body=b"v=0\r\n"),
        answers(400),
        waits_on_a_stream,
    ),
    case(
        "4475-3.1.2.3",
        "a negative Content-Length",
        request(INVITE, CONTACT, "Content-Type: application/sdp", "Content-Length: -999", body=b"v=0\r\n"),
        answers(400),
        breaks_off_a_stream,
    ),
    case(
        "4475-3.1.2.4",
        "a CSeq beyond its range in a request",
        request(
            REGISTER, f"{CONTACT};expires=280297596632815", CSeq="36893488147419103232 REGISTER", Max_Forwards="300"
        ),
        answers(400),
    ),
    case(
        "4475-3.1.2.4",
        "lifetimes beyond their range, which count as 3600",
        request(REGISTER, f"{CONTACT};expires=280297596632815", "Expires: 10000000000000000000000", Max_Forwards="255"),
        registers("sip:alice@203.0.113.7"),
        grants_an_hour,
    ),
    case(
        "4475-3.1.2.4",
        "a lifetime beyond its range for all contacts",
        request(REGISTER, CONTACT, "Expires: 10000000000000000000000"),
        grants_an_hour,
    ),
    case(
        "4475-3.1.2.5",
        "numbers beyond their range in a response",
        sip(
            "SIP/2.0 503 Service Unavailable",
            "CSeq: 9292394834772304023312 INVITE",
            "Retry-After: 949302838503028349304023988",
            'Warning: 1812 overture "In Progress"',
        ),
        is_no_answer,
    ),
    case(
        "4475-3.1.2.6",
        "a quoted string that does not end",
        request(INVITE, CONTACT, To='"Bob B. Roberts <sip:bob@ims.example>'),
        answers(400),
    ),
    case(
        "4475-3.1.2.7",
        "angle brackets around the Request-URI",
        request("INVITE <sip:bob@ims.example> SIP/2.0", CONTACT),
        answers(400),
    ),
    case(
        "4475-3.1.2.8",
        "white space within the Request-URI",
        request("INVITE sip:bob@ims.example; lr SIP/2.0", CONTACT),
        answers(400),
    ),
    case(
        "4475-3.1.2.9",
        "several spaces between parts of the request line",
        request(INVITE.replace(" ", "  "), CONTACT),
        answers(400),
    ),
    case("4475-3.1.2.10", "spaces at the end of the request line", request(f"{INVITE}  ", CONTACT), answers(400)),
    case(
        "4475-3.1.2.11",
        "header fields in the Request-URI",
        request("INVITE sip:bob@ims.example?Route=%3Csip:evil.example%3E SIP/2.0", CONTACT),
        hides(lambda message: getattr(message, "target")),  # noqa: B009 - of requests only
        answers(400),
    ),
    case(
        "4475-3.1.2.12",
        "a Date in another zone than GMT, which a proxy has no use for",
        request(INVITE, CONTACT, "Date: Fri, 01 Jan 2010 16:00:00 EST", "Content-Length: 0"),
        reaches_bob,
    ),
    case(
        "4475-3.1.2.13",
        "a question mark outside angle brackets",
        request(REGISTER, "Contact: sip:alice@203.0.113.7?Route=%3Csip:evil.example%3E"),
        hides(_contact),
        answers(400),
    ),
    case(
        "4475-3.1.2.14",
        "spaces within the angle brackets",
        request("OPTIONS sip:bob@ims.example SIP/2.0", To='"Roberts, Bob" < sip:bob@ims.example >'),
        answers(400),
    ),
    case(
        "4475-3.1.2.15",
        "a comma in a display name without quotes",
        request("OPTIONS sip:bob@ims.example SIP/2.0", From="Ice, Al <sip:alice@ims.example>;tag=t1"),
        hides(lambda message: message.from_),
        answers(400),
    ),
    case(
        "4475-3.1.2.16",
        "another version of the protocol",
        request("OPTIONS sip:bob@ims.example SIP/7.0", Via="SIP/7.0/UDP 203.0.113.7;branch=z9hG4bK1"),
        answers(505),
    ),
    case(
        "4475-3.1.2.17",
        "another method in CSeq",
        request("OPTIONS sip:bob@ims.example SIP/2.0", CSeq="8 INVITE"),
        answers(400),
    ),
    case(
        "4475-3.1.2.18",
        "an unknown method, and another in CSeq",
        request("NEWMETHOD sip:bob@ims.example SIP/2.0", CSeq="8 INVITE"),
        answers(400),
    ),
    case(
        "4475-3.1.2.19",
        "a status code that overflows",
        sip("SIP/2.0 4294967301 better not be 5"),
        is_no_answer,
        is_dropped,
    ),
]


@pytest.mark.parametrize(("data", "verdict"), parameters(CASES))
def test_an_illegal_message(data: bytes, verdict: Verdict) -> None:
    lab = Lab()
    verdict(lab, data)
    lab.finish()


NAMELESS = request("OPTIONS sip:ims.example SIP/2.0", Via="SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK")


@pytest.mark.rfc("4475-3.2.1")
def test_a_cookie_with_nothing_behind_it_names_no_transaction() -> None:
    lab = Lab()
    first = lab.send(NAMELESS)
    assert [response.status for response in first] == [200]
    other = lab.send(NAMELESS.replace(b"invalid@", b"another@"))
    assert [(response.status, response.call_id) for response in other] == [
        (200, "invalid@203.0.113.7"),
        (200, "another@203.0.113.7"),
    ]
    again = lab.send(NAMELESS)
    assert again[2].to_tag == first[0].to_tag, "the first was repeated"
    lab.finish()


@pytest.mark.rfc("4475-3.1.2.11")
def test_header_fields_are_read_where_they_are_legal() -> None:
    uri = parse_uri("sip:bob@ims.example;x=1?Replaces=a%40b%3Bto-tag%3D1&Subject=&Accept")
    assert uri.params == {"x": "1"}
    assert uri.header_fields == [("Replaces", "a@b;to-tag=1"), ("Subject", ""), ("Accept", "")]
