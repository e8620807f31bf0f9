"""No input costs more than in proportion to its length: counted in steps of the interpreter, not in time.

What regular expressions cost is no such step, see `test_expressions`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from ims_core.errors import SipError
from ims_core.messages.parser import parse_message
from ims_core.transport.framing import StreamFramer
from tests.fuzz.target import FIELDS, READERS
from tests.ims_core.torture.lab import Lab

SIZES = (100, 400)


def steps(work: Callable[[], object]) -> int:
    """How many bytecode instructions of this project ``work`` executes."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if "ims_core" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(SipError):
            work()
    finally:
        sys.settrace(before)
    return count


def assert_linear(work: Callable[[int], object]) -> None:
    """Four times the input may cost four times the steps, and a little."""
    few, many = (steps(lambda size=size: work(size)) for size in SIZES)  # type: ignore[misc]
    assert many <= few * (SIZES[1] // SIZES[0]) * 1.2 + 2000, (few, many)


# What tends to be expensive to read, again and again.
UNITS = [
    *(
        ",",
        ";",
        '"',
        "\\",
        '\\"',
        "<",
        ">",
        "<>",
        "a,",
        "a;",
        ";a=b",
        ' "',
        '",',
        '"a",',
        "<,",
        " ",
        "\t",
        "/",
        "@",
        ":",
    ),
    *("%", "%41", "=", "&", "?", "[", "]", ".", "a", "1", "0", "ä", "\x00", "(", "a ", "SIP/2.0/UDP a,", "<sip:a@b>,"),
    *("sip:", ";tag=1", ';x="', "\r\n ", "\r\n", "\r\n--b", "-", "Digest a=b,", 'a="b", ', "1.", "::"),
]
STARTS = ["", '"', "<", "sip:", "sip:a@b;", "sip:a@b?", "SIP/2.0/UDP a;", "1 ", "Digest ", 'multipart/x;boundary="b";']


@pytest.mark.parametrize("reader", range(len(READERS)))
def test_a_header_value_is_read_in_linear_time(reader: int) -> None:
    for start in STARTS:
        for unit in UNITS:
            assert_linear(lambda size, start=start, unit=unit: READERS[reader](start + unit * size))  # type: ignore[misc]


HEAD = (
    b"INVITE sip:bob@ims.example SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:alice@ims.example>;tag=1\r\n"
    b"To: <sip:bob@ims.example>\r\nCall-ID: linear\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@203.0.113.7>\r\n"
)
VIA = b"Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKlinear\r\n"
LINES: dict[str, Callable[[int], bytes]] = {
    "unknown lines": lambda size: VIA + b"X: y\r\n" * size,
    "folded lines": lambda size: VIA + b"Subject: x\r\n" + b" y\r\n" * size,
    "lines of a fold each": lambda size: VIA + b"X: y\r\n z\r\n" * size,
    "nameless lines": lambda size: VIA + b":\r\n" * size,
    "Via lines": lambda size: VIA * size,
    "Via values": lambda size: VIA[:-2] + b",SIP/2.0/UDP a" * size + b"\r\n",
    "Via parameters": lambda size: VIA[:-2] + b";a=b" * size + b"\r\n",
    "lines of one field": lambda size: VIA + b"CSeq: 1 INVITE\r\n" * size,
    "routes to here": lambda size: VIA + b"Route: <sip:192.0.2.1;lr>" + b",<sip:192.0.2.1;lr>" * size + b"\r\n",
    "route lines to here": lambda size: VIA + b"Route: <sip:192.0.2.1;lr>\r\n" * size,
    "Require": lambda size: VIA + b"Require: a" + b",a" * size + b"\r\n",
    "Record-Route lines": lambda size: VIA + b"Record-Route: <sip:192.0.2.1;lr>\r\n" * size,
    "Accept": lambda size: VIA + b"Accept: a/b" + b",a/b" * size + b"\r\n",
    "Contact": lambda size: VIA + b"Contact: <sip:a@b>" + b",<sip:a@b>" * size + b"\r\n",
    "credentials": lambda size: VIA + b'Proxy-Authorization: Digest a="b"\r\n' * size,
}


@pytest.mark.parametrize("name", LINES)
def test_a_message_is_parsed_in_linear_time(name: str) -> None:
    def read(size: int) -> None:
        message = parse_message(HEAD + LINES[name](size) + b"\r\n")
        for field in FIELDS:
            with suppress(SipError):
                field(message)
        for key in set(message.keys):
            message.values(key)
        message.encode()

    assert_linear(read)


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize(
    "start",
    [
        b"INVITE sip:bob@ims.example",
        b"REGISTER sip:ims.example",
        b"INVITE sip:10001@ims.example",
        b"OPTIONS sip:ims.example",
        b"SUBSCRIBE sip:bob@ims.example",
        b"ACK sip:bob@ims.example",
    ],
)
def test_a_node_receives_a_message_in_linear_time(name: str, start: bytes) -> None:
    def receive(size: int) -> None:
        lab = Lab()
        lab.site.on_call = lambda call: call.reject(486)
        method = start.partition(b" ")[0]
        data = HEAD.replace(b"INVITE sip:bob@ims.example", start).replace(b"1 INVITE", b"1 " + method)
        lab.stranger.send(data + LINES[name](size) + b"\r\n")
        lab.network.run(0.1)

    assert_linear(receive)


@pytest.mark.parametrize(
    "unit",
    [b"\r\n", b"\r", b"\r\n\r", b"\n", b"a", b"a\r\n", b"OPTIONS sip:a SIP/2.0\r\nl: 1\r\n\r\nx", b" \r\n", b"l:0\r\n"],
)
@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
def test_a_stream_is_cut_in_linear_time(unit: bytes, pieces: str) -> None:
    def feed(size: int) -> None:
        data, framer = unit * size, StreamFramer()
        for piece in [data] if pieces == "whole" else [data[i : i + 1] for i in range(len(data))]:
            for _ in framer.feed(piece):
                pass

    assert_linear(feed)
