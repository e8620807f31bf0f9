"""What the hearer of a relayed stream gets when packets come late, or with numbers that make no sense."""

import struct
from typing import Any, cast

import pytest

from media.codecs.names import PCMU
from media.rtp.latching import Latching
from media.rtp.packet import Sender
from media.rtp.stream import Format, Stream
from media.secure.surroundings import Shared
from media.worker.outgoing import Outgoing
from media.worker.rtpsocket import Owner, RtpSocket
from tests.fuzz.rtp_lab import Board, Wire

FORMAT = Format(0, PCMU)
SIZE = 172


class Hearer:
    """Takes down sequence number and timestamp of each packet that is sent to it."""

    def __init__(self) -> None:
        stream = Stream("127.0.0.1", 4000, FORMAT, {0: FORMAT})
        self._wire = Wire(("127.0.0.1", 5000))
        nobody: Any = None
        sock = RtpSocket(
            cast("Any", self._wire),
            Board(),
            Owner(nobody, nobody, nobody, nobody, nobody, nobody),
            is_own=lambda *_: False,
            shared=Shared(None, nobody),
            latching=Latching(),
        )
        sock.configure(stream)
        self.outgoing = Outgoing(stream, Sender(9, 500, 0), sock)
        self.now = 100.0

    @property
    def heard(self) -> list[tuple[int, int]]:
        headers = [struct.unpack(">2xHI", data[:8]) for data, _ in self._wire.sent]
        return [(sequence, timestamp) for sequence, timestamp in headers]

    def hear(self, *numbers: int, source: object = "peer", offset: int = 0) -> None:
        """Have packets of these numbers relayed, 20 ms apart."""
        for number in numbers:
            self.now += 0.02
            timestamp = (160 * number + offset) & 0xFFFFFFFF
            self.outgoing.relay(source, 0, number & 0xFFFF, timestamp, SIZE, self.now)

    def steps(self) -> list[tuple[int, int]]:
        pairs = zip(self.heard, self.heard[1:], strict=False)
        return [((b[0] - a[0]) & 0xFFFF, (b[1] - a[1]) & 0xFFFFFFFF) for a, b in pairs]


@pytest.mark.parametrize("before", [10, 0x7FFF, 0x9000, 0xF000, 0x18000])
def test_a_late_packet_is_sent_on_however_long_the_stream_has_lasted(before: int) -> None:
    hearer = Hearer()
    hearer.hear(*range(before))
    hearer.hear(before + 1, before, before + 2, before + 2)
    newest = hearer.heard[-1][0]
    assert [(newest - sequence) & 0xFFFF for sequence, _ in hearer.heard[-5:]] == [3, 1, 2, 0, 0]


def test_a_late_packet_whose_number_was_given_away_is_left_out() -> None:
    hearer = Hearer()
    hearer.hear(1, 2, 4)
    hearer.outgoing.sender.insert()
    hearer.hear(3, 5)
    assert [sequence for sequence, _ in hearer.heard] == [501, 502, 504, 506]


@pytest.mark.rfc("3550-A.1")
@pytest.mark.parametrize("stray", [5000, 20_000, 40_000, 60_000])
def test_a_packet_of_an_absurd_number_moves_nothing(stray: int) -> None:
    hearer = Hearer()
    hearer.hear(*range(10))
    hearer.hear(stray, offset=5_000_000)
    hearer.hear(*range(10, 20))
    hearer.hear(0, 1, source="another")
    assert {sequence for sequence, _ in hearer.steps()} == {1}
    assert all(step in (160, 320) for _, step in hearer.steps())


@pytest.mark.rfc("3550-A.1")
def test_a_peer_that_numbers_anew_is_heard_without_a_break() -> None:
    hearer = Hearer()
    hearer.hear(*range(10))
    hearer.hear(20_000, offset=7)
    hearer.hear(20_001, 20_002, source="restarted", offset=7)
    assert hearer.steps() == [(1, 160)] * 9 + [(1, 320), (1, 160)]


def test_a_peer_is_heard_again_after_a_minute_of_which_nothing_was_sent_on() -> None:
    hearer = Hearer()
    hearer.hear(1, 2)
    hearer.hear(*range(4000, 4010))
    assert len(hearer.heard) == 2 + 9
