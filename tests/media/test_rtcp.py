"""RTCP packets on the wire (RFC 3550 6, RFC 3611)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from media.rtp.xr import Delays, MalformedRtcp, ReferenceTime, VoipMetrics

BLOCK = ReportBlock(0x11223344, 64, -3, 0x00019C40, 17, 0xAABBCCDD, 65536)
WORD = st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 255)
BLOCKS = st.lists(
    st.builds(ReportBlock, WORD, SMALL, st.integers(-0x800000, 0x7FFFFF), WORD, WORD, WORD, WORD), max_size=3
).map(tuple)
METRICS = st.builds(
    VoipMetrics,
    ssrc=WORD,
    loss_rate=SMALL,
    discard_rate=SMALL,
    burst_density=SMALL,
    gap_density=SMALL,
    burst_ms=st.integers(0, 65535),
    gap_ms=st.integers(0, 65535),
    round_trip_ms=st.integers(0, 65535),
    end_system_ms=st.integers(0, 65535),
    r_factor=st.none() | st.integers(0, 100),
    mos_listening=st.none() | st.integers(10, 50).map(lambda tenths: tenths / 10),
    mos_conversational=st.none() | st.integers(10, 50).map(lambda tenths: tenths / 10),
    concealment=st.integers(0, 3),
    buffer_ms=st.integers(0, 65535),
    buffer_maximum_ms=st.integers(0, 65535),
    gmin=SMALL,
)
PACKETS: st.SearchStrategy[list[Packet]] = st.tuples(
    st.builds(SenderReport, WORD, st.integers(0, 2**64 - 1), WORD, WORD, WORD, BLOCKS)
    | st.builds(ReceiverReport, WORD, BLOCKS),
    st.lists(
        st.builds(Description, WORD, st.text(min_size=1, max_size=60))
        | st.builds(Bye, st.lists(WORD, min_size=1, max_size=4).map(tuple), st.text(max_size=40))
        | st.builds(
            ExtendedReport,
            WORD,
            st.lists(
                st.builds(ReferenceTime, st.integers(0, 2**64 - 1)) | st.builds(Delays, WORD, WORD, WORD) | METRICS,
                max_size=3,
            ).map(tuple),
        ),
        max_size=4,
    ),
).map(lambda parts: [parts[0], *parts[1]])


@given(PACKETS)
def test_what_is_written_is_read(packets: list[Packet]) -> None:
    data = pack(packets)
    assert len(data) % 4 == 0
    assert read(data) == packets


@pytest.mark.rfc("3550-6.4.1")
def test_a_sender_report_lies_as_the_figure_shows() -> None:
    data = pack([SenderReport(7, (5 << 32) | 9, 160, 3, 480, (BLOCK,))])
    assert struct.unpack(">BBHIIIIII", data[:28]) == (0x81, 200, 12, 7, 5, 9, 160, 3, 480)
    lost = (64 << 24) | 0xFFFFFD
    assert struct.unpack(">IIIIII", data[28:]) == (0x11223344, lost, 0x00019C40, 17, 0xAABBCCDD, 65536)


@pytest.mark.rfc("3550-6.4.1")
def test_more_loss_than_24_bits_hold_stays_at_the_limit() -> None:
    for lost, told in ((2**30, 0x7FFFFF), (-(2**30), -0x800000)):
        (report,) = read(pack([ReceiverReport(1, (ReportBlock(2, lost=lost),))]))
        assert isinstance(report, ReceiverReport)
        assert report.blocks[0].lost == told


@pytest.mark.rfc("3550-6.5")
@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd", "abcde"])
def test_a_description_ends_with_a_null_on_a_word(name: str) -> None:
    data = pack([ReceiverReport(1), Description(1, name)])[8:]
    assert data[:2] == b"\x81\xca"
    assert data[8:10] == bytes((1, len(name)))
    assert data[10:].startswith(name.encode() + b"\0")
    assert len(data) == 4 + 4 * int.from_bytes(data[2:4], "big")


@pytest.mark.rfc("3611-4.7")
def test_voip_metrics_lie_as_the_figure_shows() -> None:
    metrics = VoipMetrics(
        ssrc=7, loss_rate=1, discard_rate=2, burst_density=3, gap_density=4, burst_ms=5, gap_ms=6, round_trip_ms=7,
        end_system_ms=8, r_factor=93, mos_listening=4.4, concealment=3, buffer_ms=40, buffer_maximum_ms=70_000,
    )  # fmt: skip
    data = pack([ReceiverReport(1), ExtendedReport(1, (metrics,))])[8:]
    assert struct.unpack(">BBHIBBH", data[:12]) == (0x80, 207, 10, 1, 7, 0, 8)
    assert struct.unpack(">IBBBBHHHH", data[12:28]) == (7, 1, 2, 3, 4, 5, 6, 7, 8)
    assert data[28:40] == bytes((127, 127, 127, 16, 93, 127, 44, 127, 0xC0, 0, 0, 40))
    assert data[40:] == b"\xff\xff\xff\xff"


@pytest.mark.rfc("3611-4.7.5")
def test_values_outside_the_scales_are_unknown() -> None:
    data = bytearray(pack([ReceiverReport(1), ExtendedReport(1, (VoipMetrics(ssrc=7),))]))
    data[-12:-8] = bytes((101, 127, 9, 51))
    report = read(bytes(data))[1]
    assert isinstance(report, ExtendedReport)
    assert report.blocks == (VoipMetrics(ssrc=7),)


@pytest.mark.rfc("3611-3")
def test_unknown_blocks_and_packets_are_passed_over() -> None:
    block = b"\x63\x00\x00\x01abcd"
    known = ReferenceTime(1)
    data = pack([ReceiverReport(1), ExtendedReport(1, (known,))])
    data = data[:10] + struct.pack(">H", 6) + data[12:] + block
    application = struct.pack(">BBHI4s", 0x80, 204, 2, 1, b"test")
    assert read(data + application) == [ReceiverReport(1), ExtendedReport(1, (known,))]


@pytest.mark.rfc("3550-A.2")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x80\xc7" + pack([ReceiverReport(1)])[2:],
        b"\x40" + pack([ReceiverReport(1)])[1:],
        pack([ReceiverReport(1, (BLOCK,))])[:-4],
        b"\x82" + pack([ReceiverReport(1, (BLOCK,))])[1:],
        pack([ReceiverReport(1)]) + b"\x80",
        b"\xa0" + pack([ReceiverReport(1)])[1:],
        pack([ReceiverReport(1)]) + b"\xa0" + pack([Bye((1,), "abc")])[1:],
        b"\x80\xc9\x00\x00",
        pack([ReceiverReport(1)]) + struct.pack(">BBHIBB", 0x81, 202, 2, 1, 1, 200) + b"ab",
    ],
    ids=[
        *("empty", "short", "another type", "version 1", "cut", "too few blocks", "left over", "padded first"),
        *("padding of 'c'", "no source", "long item"),
    ],
)
def test_what_is_no_compound_packet_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRtcp):
        read(data)


def test_a_packet_may_come_alone() -> None:
    assert read(struct.pack(">BBHI4s4s", 0x80, 204, 3, 1, bytes(4), b"PING")) == []
    assert read(pack([Description(1, "x")])) == [Description(1, "x")]


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    try:
        read(data)
    except MalformedRtcp:
        return


@given(PACKETS, st.lists(st.tuples(st.integers(0, 2**16), SMALL), max_size=6), st.integers(0, 2**16))
def test_damaged_packets_are_read_or_refused(packets: list[Packet], damage: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(pack(packets))
    for at, octet in damage:
        data[at % len(data)] = octet
    try:
        read(bytes(data[: cut % len(data) + 1]))
    except MalformedRtcp:
        return
