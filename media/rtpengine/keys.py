"""Which of the keys that are told of were pressed."""

from __future__ import annotations

from media.dtmf.merging import Merging


class Keys:
    """Each press of a peer once, though rtpengine and signalling may both tell of it, or rtpengine twice."""

    def __init__(self) -> None:
        self._merging = Merging()
        self._released: dict[str, float] = {}

    def is_release(self, digit: str, ms: int, now: float) -> bool:
        """Take that rtpengine told of a key let go after so long; False when it did so before.

        It may tell twice where copies of an event's last packet come at once: another press that lasted so long cannot
        have ended so soon.
        """
        before, self._released[digit] = self._released.get(digit), now
        return before is None or now - before >= ms / 2000

    def is_new(self, digit: str, source: str, now: float) -> bool:
        """Take that a press was told; False when it was told before in another way."""
        return self._merging.is_new(digit, source, now)
