"""The account of a leg: what was received and sent, and how good that was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from media.api import LegReport
from media.rtp.quality import NOTHING_RECEIVED, rate
from media.worker.ticker import TICK_SECONDS

if TYPE_CHECKING:
    from media.rtp.packet import Reception, Sender


class Account:
    """Reports on a leg since it was settled last, or opened: on a leg that outlives calls each call has its own.

    Packets are counted by differences. Jitter goes on, because it is a mean that forgets within some dozens of packets.
    """

    __slots__ = ("_expected", "_received", "_sent")

    def __init__(self) -> None:
        self._expected = self._received = self._sent = 0

    def report(
        self, codec: str | None, reception: Reception, sender: Sender, recording: str | None = None
    ) -> LegReport:
        """Tell how the leg fared."""
        expected, received = reception.expected - self._expected, reception.received - self._received
        lost = max(0, expected - received)
        loss = 100 * lost / max(expected, received, 1)
        delay = TICK_SECONDS * 1000 + 2 * reception.jitter_ms
        rating = rate(codec, loss, delay) if received else NOTHING_RECEIVED
        return LegReport(
            codec=codec,
            packets_sent=sender.packets - self._sent,
            packets_received=received,
            lost=lost,
            jitter_ms=round(reception.jitter_ms, 2),
            loss_percent=round(loss, 3),
            r_factor=rating.r,
            mos=rating.mos,
            basis=rating.basis,
            recording=recording,
        )

    def settle(self, reception: Reception, sender: Sender) -> None:
        """Begin anew."""
        self._expected, self._received, self._sent = reception.expected, reception.received, sender.packets
