"""What goes beside our session descriptions, and features of our Contact, in calls that we make."""

import pytest

from ims_core.messages.message import Request
from ims_core.messages.multipart import Enclosed, Part, split_multipart
from ims_core.messages.uri import parse_uri
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import ignore
from tests.kit import Pair


def parts(request: Request) -> list[Part]:
    return split_multipart(request.require("Content-Type"), request.body)


def metadata(state: bytes) -> tuple[Enclosed, ...]:
    return (Enclosed("application/rs-metadata+xml", state, "recording-session;handling=optional"),)


def calling(p: Pair, *enclosed: Enclosed) -> OutgoingCall:
    """Have alice call, with something beside her offer; bob answers whatever he is offered."""
    uri = parse_uri(p.bob.uri)
    leg = p.alice.ua.outgoing(p.alice.flow(uri.address, uri.transport), ignore)
    leg.enclosed, leg.features = enclosed, ";+sip.src"
    p.leg = leg

    def take(call: IncomingCall) -> None:
        p.mind(p.bob, call)
        call.answer(b"answer")

    p.bob.on_call = take
    leg.start(p.bob.uri, caller="<sip:alice@ims.example>", callee=f"<{p.bob.uri}>", sdp=b"offer")
    p.mind(p.alice, leg)
    p.network.run(0.1)
    return leg


def invites(p: Pair) -> list[Request]:
    found = [packet.message for packet in p.network.packets("INVITE")]
    return [message for message in found if isinstance(message, Request)]


@pytest.mark.rfc("5621-3")
@pytest.mark.rfc("7866-6.1.1")
@pytest.mark.rfc("7866-9.1")
def test_an_invite_and_its_changes_bear_what_is_enclosed_at_the_time() -> None:
    p = Pair("UDP", takes_offers=True)
    leg = calling(p, *metadata(b"<first/>"))
    assert p.peer.offer == b"offer"
    invite = invites(p)[0]
    assert invite.require("Content-Type").startswith("multipart/mixed;boundary=")
    disposition = "recording-session;handling=optional"
    assert parts(invite) == [
        Part({"content-type": "application/sdp"}, b"offer"),
        Part({"content-type": "application/rs-metadata+xml", "content-disposition": disposition}, b"<first/>"),
    ]
    assert invite.require("Contact").endswith(">;+sip.src")
    leg.enclosed = metadata(b"<second/>")
    leg.reinvite(b"paused", (("Require", "siprec"),))
    p.network.run(0.1)
    changed = invites(p)[-1]
    assert [part.body for part in parts(changed)] == [b"paused", b"<second/>"]
    assert changed.require("Contact").endswith(">;+sip.src")
    leg.hang_up()
    p.finish()


@pytest.mark.rfc("5621-3.1")
def test_who_does_not_understand_what_is_enclosed_refuses() -> None:
    p = Pair("UDP")
    calling(p, Enclosed("application/rs-metadata+xml", b"<first/>", "recording-session"))
    assert p.network.wire()[-2:] == ["415 INVITE", "ACK"]
    p.network.run()
