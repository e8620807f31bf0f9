"""The ladder of a call: which messages it shows, how it is drawn, what bounds it."""

from datetime import UTC, datetime, timedelta

from acd.trace import SipTrace
from ims_core.flow import Flow

START = datetime(2025, 3, 1, 12, tzinfo=UTC)
CALLER = Flow("UDP", ("127.0.0.1", 5060), ("127.0.0.1", 40001))
AGENT = Flow("TCP", ("127.0.0.1", 5060), ("127.0.0.1", 40002), 1)


class Times:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=250)
        return self.now


def sip(start: str, call_id: str, cseq: str = "1 INVITE") -> bytes:
    return f"{start}\r\nVia: SIP/2.0/UDP 127.0.0.1\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\r\n".encode()


def test_a_call_is_drawn_with_its_agent_in_80_columns() -> None:
    trace = SipTrace(calls=10, messages=10, utc=Times())
    trace.see("in", CALLER, sip("INVITE sip:10001@ims.example SIP/2.0", "a"))
    trace.follow("call", "a")
    trace.see("out", CALLER, sip("SIP/2.0 200 OK", "a"))
    trace.follow("call", "b")
    trace.see("out", AGENT, sip("INVITE sip:1001@127.0.0.1:40002;transport=tcp SIP/2.0", "b"))
    trace.see("in", AGENT, sip("BYE sip:127.0.0.1:5060 SIP/2.0", "b", "2 BYE"))
    trace.see("out", CALLER, sip("OPTIONS sip:127.0.0.1 SIP/2.0", "of another call"))
    assert trace.ladder("call") == (
        "        udp:127.0.0.1:40001             ims-acd             tcp:127.0.0.1:40002\n"
        "  0.000           |----- INVITE 10001 ----->|                         |\n"
        "  0.250           |<--- 200 OK (INVITE) ----|                         |\n"
        "  0.500           |                         |----- INVITE 1001 ------>|\n"
        "  0.750           |                         |<-- BYE 127.0.0.1:5060 --|\n"
    )


def test_the_newest_calls_are_kept_and_so_many_messages_of_each() -> None:
    trace = SipTrace(calls=2, messages=3, utc=Times())
    for call in ("1", "2", "3"):
        trace.follow(call, f"sip-{call}")
        for _ in range(5):
            trace.see("in", CALLER, sip("INFO sip:10001@ims.example SIP/2.0", f"sip-{call}", "2 INFO"))
    assert trace.ladder("1") is None
    newest = trace.ladder("3")
    assert newest is not None
    assert newest.count("INFO") == 3
