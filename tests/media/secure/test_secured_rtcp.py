"""RTCP of secured legs: SRTCP (RFC 3711 3.4), on a port of its own and on that of RTP."""

from __future__ import annotations

import time

import pytest

from media.rtp.rtcp import Bye, Description, ReceiverReport, SenderReport, pack, read
from media.worker import control
from tests.media.conftest import Bench, Phone, stream, until

from .conftest import SecurePhone, sdes

PEER = 77


def named(name: str) -> bytes:
    return pack([ReceiverReport(PEER), Description(PEER, name)])


def pair(bench: Bench) -> tuple[Phone, Phone]:
    return bench.phone(), bench.phone()


async def report_now(bench: Bench, leg: int) -> None:
    rtcp = bench.worker._sessions[leg]._rtcp
    rtcp.reporter.deadline = rtcp.reporter._reported_at = 0.0
    rtcp.look(time.monotonic())


@pytest.mark.rfc("3711-3.4")
async def test_reports_are_protected_on_a_port_of_their_own(secured: Bench) -> None:
    agreed = sdes()
    rtp, rtcp = pair(secured)
    leg, port = secured.open(stream(rtp.port, security=agreed, rtcp=("127.0.0.1", rtcp.port)))
    phone = SecurePhone(rtp, port)
    phone.use(agreed)
    assert phone.protector is not None
    assert phone.unprotector is not None
    phone.say()
    reporter = secured.worker._sessions[leg]._rtcp.reporter
    await until(lambda: reporter.reception.received)
    await report_now(secured, leg)
    await until(rtcp.read)
    report, description, _ = read(phone.unprotector.unprotect_rtcp(rtcp.received[0]))
    assert isinstance(report, ReceiverReport)
    assert report.blocks[0].ssrc == PEER
    assert isinstance(description, Description)
    assert (description.cname or "").encode() not in rtcp.received[0], "SRTCP is encrypted"
    rtcp.raw(port + 1, phone.protector.protect_rtcp(named("phone")))
    await until(lambda: reporter.peer_cname == "phone")


@pytest.mark.rfc("5761-4", "3711-3.4")
async def test_reports_are_protected_on_the_port_of_rtp(secured: Bench) -> None:
    agreed = sdes()
    rtp = secured.phone()
    leg, port = secured.open(stream(rtp.port, security=agreed, mux=True, rtcp=("127.0.0.1", rtp.port)))
    phone = SecurePhone(rtp, port)
    phone.use(agreed)
    assert phone.protector is not None
    assert phone.unprotector is not None
    phone.say()
    reporter = secured.worker._sessions[leg]._rtcp.reporter
    await until(lambda: reporter.reception.received)
    phone.raw(phone.protector.protect_rtcp(named("phone")))
    await until(lambda: reporter.peer_cname == "phone")
    secured.handle(control.Echo(leg))
    phone.say()
    await until(phone.phone.read)
    secured.handle(control.Close(leg))
    await until(lambda: len(phone.phone.read()) > 1)
    report, *_, bye = read(phone.unprotector.unprotect_rtcp(phone.phone.received[-1]))
    assert isinstance(report, SenderReport)
    assert isinstance(bye, Bye)


@pytest.mark.rfc("3711-3.4")
@pytest.mark.parametrize("mux", [False, True])
async def test_plain_and_wrongly_protected_reports_are_refused(secured: Bench, mux: bool) -> None:
    agreed = sdes()
    rtp, rtcp = pair(secured)
    leg, port = secured.open(stream(rtp.port, security=agreed, mux=mux, rtcp=("127.0.0.1", rtcp.port)))
    phone, stranger = SecurePhone(rtp, port), SecurePhone(secured.phone(), port)
    phone.use(agreed)
    stranger.use(sdes(5, 6))
    assert phone.protector is not None
    assert stranger.protector is not None
    phone.say()
    session = secured.worker._sessions[leg]
    await until(lambda: session.reception.received)
    sender, target = (rtp, port) if mux else (rtcp, port + 1)
    for data in (named("plain"), stranger.protector.protect_rtcp(named("stranger")), b"\x80\xc9", b""):
        sender.raw(target, data)
    sender.raw(target, phone.protector.protect_rtcp(named("phone")))
    await until(lambda: session._rtcp.received)
    assert session._rtcp.received == 1
    assert session._rtcp.reporter.peer_cname == "phone"
