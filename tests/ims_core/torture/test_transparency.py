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
