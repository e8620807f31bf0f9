"""What wants a leg's packets besides those who hear it: recordings, detection of tones, analysis, forks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media.rtp.stream import Format


class Tap:
    """Is handed each valid packet that a leg receives, in the order of arrival: audio, comfort noise and events.

    A packet that is relayed as it is has been sent on before. It is a class, and not a Protocol, so that compiled code
    finds `take` without asking the interpreter.
    """

    __slots__ = ()

    def take(  # noqa: PLR0917 - once for every packet: keywords would cost as much as the call
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float
    ) -> None:
        """Take a packet's payload, which lasts; `now` is when it came, in seconds.

        `source` is another object whenever numbers and timestamps have started afresh. The payload may be empty.
        It runs between two packets of other calls: what takes longer than some microseconds belongs in a thread.
        """
