"""RTCP of a worker's legs, on real sockets."""

import contextlib
import random
import socket
import time
from typing import Any

import pytest

from media.api import Trouble
from media.rtp.rtcp import (
    Bye,
    Description,
    ExtendedReport,
    Packet,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    pack,
    read,
)
from media.rtp.xr import ReferenceTime, VoipMetrics
from media.worker import control
from tests.media.conftest import Bench, Phone, stream, until

PEER = 77  # the SSRC of phones


class RtcpPhone:
    """A phone with its RTCP port above that of RTP, and a leg towards it."""

    def __init__(self, bench: Bench, **changes: Any) -> None:
        self.rtp, self.rtcp = _pair(bench)
        self.leg, self.port = bench.open(stream(self.rtp.port, rtcp=("127.0.0.1", self.rtcp.port), **changes))
        self.session = bench.worker._sessions[self.leg]
        self.bench = bench

    def reports(self, kind: type[Any]) -> list[Any]:
        """What came by RTCP of that kind."""
        return [packet for data in self.rtcp.read() for packet in read(data) if isinstance(packet, kind)]

    def tell(self, *packets: Packet) -> None:
        self.rtcp.raw(self.port + 1, pack(packets))

    async def talk(self, packets: int) -> None:
        for _ in range(packets):
            self.rtp.send(self.port)
        await until(lambda: self.session.reception.received >= packets, "RTP")

    def report_now(self) -> None:
        """Have the worker's report be due."""
        rtcp = self.session._rtcp
        rtcp.reporter.deadline = rtcp.reporter._reported_at = 0.0
        rtcp.look(time.monotonic())


def _pair(bench: Bench) -> tuple[Phone, Phone]:
    for _ in range(50):
        low = bench.phone()
        if low.port % 2 == 0:
            with contextlib.suppress(OSError):
                return low, bench.phone(low.port + 1)
    raise AssertionError("no pair of ports")


@pytest.mark.rfc("3550-11")
async def test_both_ports_of_a_leg_are_bound_or_none(bench: Bench) -> None:
    (port,) = bench.provide(1)
    for taken in (port, port + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="in use"):
            sock.bind(("127.0.0.1", taken))
    next_even = port + 2
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", next_even + 1))
        (other,) = bench.provide(1)
    assert other == next_even + 2


@pytest.mark.rfc("3550-6.1")
async def test_a_leg_reports_what_it_receives(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(3)
    phone.rtp.sequence += 2
    phone.rtp.send(phone.port)
    await until(lambda: phone.session.reception.received == 4)
    phone.report_now()
    await until(phone.rtcp.read)
    report, description, extended = read(phone.rtcp.read()[0])
    assert isinstance(report, ReceiverReport)
    (block,) = report.blocks
    assert (block.ssrc, block.lost, block.highest) == (PEER, 2, 1005)
    assert isinstance(description, Description)
    assert len(description.cname or "") == 16
    assert isinstance(extended, ExtendedReport)
    assert isinstance(extended.blocks[0], ReferenceTime)
    metrics = extended.blocks[-1]
    assert isinstance(metrics, VoipMetrics)
    assert metrics.loss_rate == 2 * 256 // 6


@pytest.mark.rfc("3550-6.4.1")
async def test_who_hears_a_relayed_stream_is_told_its_own_timestamps(bench: Bench) -> None:
    one, other = RtcpPhone(bench), RtcpPhone(bench)
    bench.handle(control.Bridge(one.leg, other.leg, None))
    one.rtp.timestamp = 123_456
    await one.talk(5)
    await until(lambda: len(other.rtp.read()) == 5)
    other.report_now()
    await until(lambda: other.reports(SenderReport))
    (report,) = other.reports(SenderReport)
    last = other.rtp.headers()[-1]
    assert report.ssrc == last[4]
    assert report.packets == 5
    assert report.octets == 5 * 160
    assert 0 <= (report.timestamp - last[3]) & 0xFFFFFFFF < 8000


async def test_the_far_end_is_in_the_report_of_the_leg(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    bench.handle(control.Echo(phone.leg))
    await phone.talk(50)
    await until(lambda: len(phone.rtp.read()) == 50)
    first, *_, last = phone.rtp.headers()
    phone.report_now()
    await until(lambda: phone.reports(SenderReport))
    (report,) = phone.reports(SenderReport)
    block = ReportBlock(first[4], 0, 5, last[2], 160, report.ntp >> 16 & 0xFFFFFFFF, 0)
    metrics = VoipMetrics(ssrc=first[4], mos_conversational=3.5, buffer_ms=40, concealment=3)
    phone.tell(ReceiverReport(PEER, (block,)), Description(PEER, "phone"), ExtendedReport(PEER, (metrics,)))
    await until(lambda: phone.session.health.report().far_end)
    bench.handle(control.Close(phone.leg))
    (closed,) = bench.of(control.Closed)
    far = closed.report.far_end
    assert (far.lost, far.loss_percent, far.jitter_ms, far.told_mos) == (5, 10.0, 20.0, 3.5)
    assert far.scale == "narrowband"
    assert "with concealment" in far.basis
    assert 0 <= closed.report.round_trip_ms < 5000
    assert "round trip by RTCP" in closed.report.basis


@pytest.mark.rfc("3550-6.6")
async def test_the_end_of_a_leg_is_said(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    bench.handle(control.Echo(phone.leg))
    await phone.talk(1)
    await until(phone.rtp.read)
    bench.handle(control.Close(phone.leg))
    await until(lambda: phone.reports(Bye))
    assert phone.reports(Bye)[-1].ssrcs == (phone.rtp.headers()[0][4],)


@pytest.mark.rfc("3550-6.3.7")
async def test_who_never_sent_anything_says_no_goodbye(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    bench.handle(control.Close(phone.leg))
    later = RtcpPhone(bench)
    later.report_now()
    await until(later.rtcp.read)
    assert phone.rtcp.read() == []


@pytest.mark.rfc("5761-4")
async def test_rtcp_may_share_the_port(bench: Bench) -> None:
    phone, leg, port = bench.leg(mux=True, rtcp=("127.0.0.1", 9))
    session = bench.worker._sessions[leg]
    phone.send(port)
    await until(lambda: session.reception.received)
    phone.raw(port, pack([SenderReport(PEER, 1 << 40, 2, 3, 4), Description(PEER, "phone")]))
    await until(lambda: bench.counters().rtcp_received == 1)
    assert bench.counters().packets_invalid == 0
    assert session._rtcp.reporter.peer_cname == "phone"
    bench.handle(control.Echo(leg))
    phone.send(port)
    await until(phone.read)
    bench.handle(control.Close(leg))
    await until(lambda: len(phone.read()) > 1)
    assert isinstance(read(phone.read()[-1])[-1], Bye)


@pytest.mark.rfc("5761-4")
@pytest.mark.rfc("5761-5.1.1")
async def test_who_only_listens_reports_on_the_same_port(bench: Bench) -> None:
    phone, leg, port = bench.leg(mux=True, receives=False)
    stranger = bench.phone()
    stranger.raw(port, pack([ReceiverReport(PEER)]))
    phone.raw(port, pack([ReceiverReport(PEER)]))
    await until(lambda: bench.counters().rtcp_received == 1)
    assert bench.counters().packets_invalid == 1
    assert not bench.worker._sessions[leg]._socket.latched


async def test_without_mux_it_is_no_rtcp(bench: Bench) -> None:
    phone, leg, port = bench.leg()
    phone.send(port)
    phone.raw(port, pack([ReceiverReport(PEER)]) + bytes(8))
    await until(lambda: bench.counters().packets_invalid == 1)
    assert bench.counters().rtcp_received == 0
    assert leg


@pytest.mark.rfc("3556-2")
async def test_who_wants_no_reports_gets_none(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    bench.handle(control.Configure(phone.leg, stream(phone.rtp.port)))
    phone.report_now()
    bench.handle(control.Configure(phone.leg, stream(phone.rtp.port, rtcp=("127.0.0.1", phone.rtcp.port))))
    phone.report_now()
    await until(phone.rtcp.read)
    assert bench.counters().rtcp_sent == 1


async def test_reports_are_answered_where_they_come_from(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    elsewhere = bench.phone()
    elsewhere.raw(phone.port + 1, pack([ReceiverReport(PEER)]))
    await until(lambda: bench.counters().rtcp_received == 1)
    phone.report_now()
    await until(elsewhere.read)
    assert phone.rtcp.read() == []


async def test_reports_of_other_hosts_are_dropped(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        stranger.sendto(pack([SenderReport(666, 1, 1, 1, 1), Bye((PEER,))]), ("127.0.0.1", phone.port + 1))
        await until(lambda: bench.counters().rtcp_refused == 1)
    assert phone.session._rtcp.reporter.peer is None


async def test_any_octets_on_either_port_leave_the_leg_at_work(bench: Bench) -> None:
    phone = RtcpPhone(bench, mux=True)
    await phone.talk(1)
    chance = random.Random(7)
    begin = pack([ReceiverReport(PEER, (ReportBlock(1),)), ExtendedReport(PEER, (VoipMetrics(ssrc=1),))])
    for number in range(400):
        data = bytearray(begin if number % 2 else chance.randbytes(chance.randrange(1, 1400)))
        for _ in range(chance.randrange(8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (phone.rtcp if number % 3 else phone.rtp).raw(phone.port + (number % 3 > 0), bytes(data))
    phone.rtcp.raw(phone.port + 1, begin)
    sequence = phone.rtp.sequence
    phone.rtp.send(phone.port)
    await until(lambda: phone.session.reception.max_sequence == sequence)
    phone.report_now()
    await until(phone.rtp.read)


@pytest.mark.rfc("3550-8.2")
async def test_a_peer_that_takes_our_ssrc_makes_us_take_another(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    bench.handle(control.Echo(phone.leg))
    await phone.talk(1)
    await until(phone.rtp.read)
    ours = phone.rtp.headers()[0]
    phone.rtp.ssrc, phone.rtp.sequence = ours[4], (ours[2] + 20_000) & 0xFFFF
    await phone.talk(2)
    await until(lambda: len(phone.rtp.read()) >= 3)
    assert phone.rtp.headers()[-1][4] != ours[4]
    await until(lambda: phone.reports(Bye))
    assert phone.reports(Bye)[-1].ssrcs == (ours[4],)


async def test_our_own_stream_sent_back_is_no_collision(bench: Bench) -> None:
    phone = RtcpPhone(bench)
    bench.handle(control.Play(phone.leg, ("long",), True, False, 1))
    await until(phone.rtp.read)
    ours = phone.rtp.headers()[0][4]
    phone.rtp.raw(phone.port, phone.rtp.read()[0])
    await until(lambda: phone.session.reception.received)
    sent = len(phone.rtp.read())
    await until(lambda: len(phone.rtp.read()) > sent)
    assert {header[4] for header in phone.rtp.headers()} == {ours}


async def test_troubles_are_told_once_and_when_they_are_over(bench: Bench, clock: list[float]) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    for _ in range(3):
        clock[0] += 3
        bench.worker.heartbeat()
    (worse,) = bench.of(control.Worsened)
    assert (worse.leg, worse.trouble) == (phone.leg, Trouble.NO_RTP)
    assert worse.detail == "nothing received for 6 s"
    await phone.talk(2)
    bench.worker.heartbeat()
    (better,) = bench.of(control.Bettered)
    assert (better.trouble, better.seconds) == (Trouble.NO_RTP, 3.0)
    bench.handle(control.Close(phone.leg))
    (closed,) = bench.of(control.Closed)
    assert closed.report.troubles == (Trouble.NO_RTP,)


async def test_payload_types_that_were_not_agreed_are_told(bench: Bench, clock: list[float]) -> None:
    phone = RtcpPhone(bench)
    await phone.talk(1)
    bench.worker.heartbeat()
    for _ in range(30):
        phone.rtp.send(phone.port, payload_type=18)
    await until(lambda: bench.counters().packets_invalid == 30)
    clock[0] += 10.0
    await phone.talk(2)
    bench.worker.heartbeat()
    (worse,) = bench.of(control.Worsened)
    assert worse.detail == "30 packets of payload type 18, which was not agreed"
