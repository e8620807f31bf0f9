"""What a proxy has no business with leaves as it came, whatever it is (RFC 3261 section 16.6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ims_core.torture.lab import Lab, reaches_bob

NAMES = (
    *("Subject", "s", "X-Unknown", "x-UNKNOWN", "Warning", "P-Asserted-Service", "Date", "In-Reply-To", "Server"),
    *("User-Agent", "Accept", "Allow", "Call-Info", "Error-Info", "Content-Language", "content-encoding", "e", "m"),
    *("Contact", "Supported", "k", "Require", "Event", "o", "Organization", "Priority", "Reply-To", "Timestamp"),
)
LINEAR_SPACE = st.sampled_from([b"", b" ", b"\t", b"  ", b"\r\n ", b" \r\n\t"])
VALUES = st.one_of(
    st.binary(max_size=30).filter(lambda value: b"\r" not in value and b"\n" not in value),
    st.sampled_from(
        [b'"a, \\" b"', b"a;b=c , <sip:d@e?f=g>;h", b"Fri, 01 Jan 2100 16:00:00 GMT", b"%41 (comment, one) ;;"]
    ),
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    name, space, more = draw(st.sampled_from(NAMES)), draw(LINEAR_SPACE), draw(LINEAR_SPACE)
    before = draw(st.sampled_from([b"", b" ", b"\t"]))
    return name.encode() + before + b":" + space + draw(VALUES) + more + draw(VALUES)


@pytest.mark.rfc("3261-16.6", "3261-7.3.1")
@settings(max_examples=150, deadline=None)
@given(
    st.lists(lines(), max_size=8),
    st.sampled_from(["MESSAGE", "INVITE", "OPTIONS", "REFER", "SUBSCRIBE", "PUBLISH", "NEW"]),
    st.sampled_from(["Content-Length", "l", "CONTENT-LENGTH "]),
    st.binary(max_size=200),
)
def test_any_header_line_and_any_body_reach_the_callee_byte_for_byte(
    others: list[bytes], method: str, length: str, body: bytes
) -> None:
    head = [
        f"{method} sip:bob@ims.example SIP/2.0".encode(),
        b"v:SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKthrough",
        b"mAx-forwards :70",
        b'f: "A \\"q\\" l" <sip:alice@ims.example> ;\r\n tag=t1 ; X-Unknown="1;2"',
        b"TO\t: <sip:bob@ims.example>",
        b"i:through@203.0.113.7",
        f"CSeq:\r\n 7\r\n {method}".encode(),
    ]
    data = b"\r\n".join([*head, *others, f"{length}: {len(body)}".encode(), b"", body])
    lab = Lab()
    reaches_bob(lab, data)
    lab.finish()


ASKED = (b"call-id", b"i", b"cseq", b"from", b"f")
METHODS = "INVITE", "MESSAGE", "OPTIONS", "NEW"
FINAL = b"200 OK", b"299 ", b"404  \xc3\xa4 , ; ", b"486 Busy  Here", b"603 No:no"
ANSWERS = [("INVITE", b"181 Because"), *((method, status) for method in METHODS for status in FINAL)]


@pytest.mark.rfc("3261-16.7", "3261-7.3.1")
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ANSWERS),
    st.lists(lines(), max_size=8),
    st.sampled_from([(b"Via: ", b"Content-Length"), (b"v:", b"l"), (b"VIA \t:\r\n ", b"CONTENT-LENGTH ")]),
    st.booleans(),
    st.binary(max_size=200),
)
def test_any_response_reaches_the_caller_byte_for_byte_but_for_the_topmost_via(
    answer: tuple[str, bytes], others: list[bytes], spelt: tuple[bytes, bytes], in_front: bool, body: bytes
) -> None:
    (method, status), (via, length) = answer, spelt
    lab = Lab()
    lab.send(request(method))
    (got,) = lab.bob.received
    head = got.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    top, *below = [via + line.partition(b":")[2].strip() for line in head if line.lower().startswith(b"via")]
    copied = [line for line in head if line.lower().startswith(ASKED)] + [b"TO\t: <sip:bob@ims.example> ;tag=b1"]
    named = [*others, *below, *copied] if in_front else [*below, *copied, *others]
    rest = b"\r\n".join([*named, b"%s: %d" % (length, len(body)), b"", body])
    lab.stranger.received.clear()
    lab.bob.send(b"SIP/2.0 %s\r\n%s\r\n%s" % (status, top, rest))
    lab.network.run(0.1)
    assert lab.stranger.received == [b"SIP/2.0 %s\r\n%s" % (status, rest)]
    if status.startswith(b"1"):
        lab.bob.send(b"SIP/2.0 200 OK\r\n%s\r\n%s" % (top, rest))
    lab.finish()


@pytest.mark.rfc("3261-16.7", "3261-7.3.1")
def test_of_vias_on_one_line_the_first_is_taken_off() -> None:
    lab = Lab()
    lab.send(request("MESSAGE"))
    (got,) = lab.bob.received
    head = got.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    vias = [line.partition(b":")[2].strip() for line in head if line.startswith(b"Via")]
    rest = b"\r\n".join([*(line for line in head if line.lower().startswith((*ASKED, b"to:"))), b"l: 0", b"", b""])
    lab.bob.send(b"SIP/2.0 200 OK\r\nv: " + b" , ".join(vias) + b"\r\n" + rest)
    lab.network.run(0.1)
    status, _, forwarded = lab.stranger.received[0].partition(b"\r\n")
    via, _, after = forwarded.partition(b"\r\n")
    assert (status, after) == (b"SIP/2.0 200 OK", rest)
    assert via.partition(b":")[2].strip() == vias[1]
    lab.finish()


def request(method: str) -> bytes:
    """One without anything odd."""
    head = [
        f"{method} sip:bob@ims.example SIP/2.0",
        "Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKback",
        "Max-Forwards: 70",
        "From: <sip:alice@ims.example>;tag=t1",
        "To: <sip:bob@ims.example>",
        "Call-ID: back@203.0.113.7",
        f"CSeq: 7 {method}",
        "Contact: <sip:alice@203.0.113.7>",
        "Content-Length: 0",
    ]
    return "\r\n".join([*head, "", ""]).encode()
