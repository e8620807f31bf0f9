"""The call flows of RFC 3312 section 13: user agents that reserve resources first, and our proxies between them."""

from __future__ import annotations

from collections import defaultdict

import pytest

from ims_core.errors import PreconditionFailure
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.ua.description import SDP
from ims_core.ua.session_events import Answered, OfferRefused, Reanswered, Rejected, Reoffered, Ringing
from tests.kit.ladder import Lab

OPTION = "precondition"
REQUIRED = (("Require", OPTION),)
REACHED = ("INVITE: Alice > P1 > P2", "100: P1 > Alice", "INVITE: P2 > Bob", "100: P2 > P1")
DESCRIBED = (
    "183: Bob > P2 > P1 > Alice",
    "PRACK: Alice > P1 > P2 > Bob",
    "200: Bob > P2 > P1 > Alice",
)
CONFIRMED = ("UPDATE: Alice > P1 > P2 > Bob", "200: Bob > P2 > P1 > Alice")
TALK = (
    "180: Bob > P2 > P1 > Alice",
    "200: Bob > P2 > P1 > Alice",
    "ACK: Alice > P1 > P2 > Bob",
    "BYE: Bob > P2 > P1 > Alice",
    "200: Alice > P1 > P2 > Bob",
)


def status(here: str, there: str, *more: str) -> bytes:
    """A description with the segmented status of one stream, as its sender sees it."""
    return "".join(
        f"{line}\r\n"
        for line in (
            "v=0", "o=- 1 1 IN IP4 192.0.2.7", "s=-", "c=IN IP4 192.0.2.7", "t=0 0", "m=audio 20000 RTP/AVP 0",
            f"a=curr:qos local {here}", f"a=curr:qos remote {there}",
            "a=des:qos mandatory local sendrecv", "a=des:qos mandatory remote sendrecv", *more,
        )
    ).encode()  # fmt: skip


OFFER, ANSWER = status("none", "none"), status("none", "none", "a=conf:qos remote sendrecv")
ALICE_HAS, BOTH_HAVE = status("sendrecv", "none"), status("sendrecv", "sendrecv")


def lab(*, asks: bool = False) -> Lab:
    """Two proxies; Bob describes his session reliably and does not ring yet."""
    lab = Lab()
    lab.two_proxies(first_asks=asks)
    for phone in (lab.alice, lab.bob):
        phone.ua.support(OPTION)

    def describe(call: object) -> None:
        lab.called.required = OPTION
        lab.called.progress(183, ANSWER)

    lab.bob.on_call = describe
    return lab


def assert_nothing_changed(lab: Lab) -> None:
    """Every message left the proxies with the body it came with, and with every field that is not theirs."""
    routing = (
        "Via:",
        "Route:",
        "Record-Route:",
        "Max-Forwards:",
        "Max-Breadth:",
        "Proxy-Authorization:",
        "Content-Length:",
    )
    seen: dict[tuple[object, ...], set[tuple[tuple[str, ...], bytes]]] = defaultdict(set)
    passed: dict[tuple[object, ...], int] = defaultdict(int)
    for packet in lab.network.sent:
        message = parse_message(packet.data)
        start = message.method if isinstance(message, Request) else message.status
        fields = tuple(line for line in message.lines if not line.startswith(routing))
        key = (start, message.require("CSeq"))
        passed[key] += 1
        seen[key].add((fields, message.body))
    for what, kinds in seen.items():
        if passed[what] == 3:
            assert len(kinds) == 1, what
    assert {key[0] for key, hops in passed.items() if hops == 3} >= {"INVITE", 183, "PRACK", "UPDATE", 200}


@pytest.mark.rfc("3312-13.2", "3312-6", "3261-16.6", "TS24.229-5.4.3")
@pytest.mark.parametrize("asks", [False, True])
def test_both_reserve_their_segment_before_bob_is_alerted(asks: bool) -> None:
    flow = lab(asks=asks)
    call = flow.call(sdp=OFFER, headers=REQUIRED)
    assert flow.heard == [Ringing(183, ANSWER, reliable=True)]
    call.update(ALICE_HAS, REQUIRED)
    flow.network.run(0.01)
    assert flow.bob.told_by(flow.called)[-1] == Reoffered(ALICE_HAS)
    flow.network.run(0.1)  # until Bob has his resources, too
    flow.called.accept_offer(BOTH_HAVE)
    flow.network.run(0.1)
    assert flow.heard[-1] == Reanswered(BOTH_HAVE)
    flow.called.progress(180)
    flow.network.run(0.1)
    flow.called.answer(b"")
    flow.network.run(1)
    assert flow.heard[-2:] == [Ringing(180, b""), Answered(BOTH_HAVE)]
    flow.bob_hangs_up()
    assert_nothing_changed(flow)
    (invite,) = flow.network.packets("INVITE")[-1:]
    assert invite.message.values("Require") == [OPTION]
    challenged = ("INVITE: Alice > P1", "407: P1 > Alice", "ACK: Alice > P1") if asks else ()
    flow.assert_figure(*challenged, *REACHED, *DESCRIBED, *CONFIRMED, *TALK)


@pytest.mark.rfc("3312-8", "3312-13.2")
def test_bob_gets_no_resources() -> None:
    flow = lab()
    call = flow.call(sdp=OFFER, headers=REQUIRED)
    call.update(ALICE_HAS, REQUIRED)
    flow.network.run(0.01)
    failed = status("none", "sendrecv", "a=des:qos failure local sendrecv")
    flow.called.refuse_offer(PreconditionFailure(body=failed, content_type=SDP))
    flow.called.reject(580)
    flow.network.run(1)
    assert flow.heard[1:] == [OfferRefused(580, "Precondition Failure"), Rejected(580, "Precondition Failure")]
    (answer,) = [packet.message for packet in flow.network.packets("580 UPDATE")][-1:]
    assert isinstance(answer, Response)
    assert answer.body == failed
    flow.network.run()
    flow.alice.assert_idle()
    flow.bob.assert_idle()


@pytest.mark.rfc("3312-6", "3261-9.2")
def test_alice_gives_up_while_she_waits_for_resources() -> None:
    flow = lab()
    call = flow.call(sdp=OFFER, headers=REQUIRED)
    call.hang_up()
    flow.network.run(1)
    assert flow.network.packets("487 INVITE")
    flow.network.run()
    flow.alice.assert_idle()
    flow.bob.assert_idle()
