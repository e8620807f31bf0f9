"""What parsing and serialising one INVITE costs, measured within this process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

from benchmarks.targets import sdp
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message

REPEATS = 5

_BODY = sdp(20000)
INVITE = (
    "INVITE sip:10001@ims.example SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK-bench-1;rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "Caller One" <sip:caller1@ims.example>;tag=bench1\r\n'
    "To: <sip:10001@ims.example>\r\n"
    "Call-ID: bench-1@127.0.0.1\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:caller1@127.0.0.1:5062>\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\n"
    "Supported: timer, outbound, path\r\n"
    "User-Agent: bench\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(_BODY)}\r\n"
    "\r\n"
    f"{_BODY}"
).encode()


def parse() -> Request:
    """Parse the INVITE and read what every server asks of it: Via, Call-ID, CSeq, From, To, Request-URI."""
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    _ = (request.via, request.call_id, request.cseq, request.from_, request.to, request.target)
    return request


def microseconds(work: Callable[[], object], seconds: float) -> float:
    """Return the CPU µs that `work` takes: the median of `REPEATS` runs of about `seconds` in total."""
    calls = 0
    end = time.process_time() + seconds / REPEATS / 4
    while time.process_time() < end:
        work()
        calls += 1
    calls *= 4
    found = []
    for _ in range(REPEATS):
        gc.collect()
        started = time.process_time()
        for _ in range(calls):
            work()
        found.append((time.process_time() - started) * 1e6 / calls)
    return statistics.median(found)


def costs(seconds: float) -> tuple[float, float, float]:
    """Return µs per INVITE: parsed only, parsed with its usual fields read, serialised."""
    request = parse()
    return (
        microseconds(lambda: parse_message(INVITE), seconds),
        microseconds(parse, seconds),
        microseconds(request.encode, seconds),
    )
