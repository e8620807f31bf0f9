"""Which packets are silence."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.codecs.interface import Samples

OVERLOAD: Final = 32767.0
"""0 dBov: the level of a square wave with the greatest samples (RFC 3389 3.1)."""
QUIETEST_DBOV: Final = -127.0

_MARGIN_DB: Final = 5.0
_LOUDEST_DBOV: Final = -35.0
_SILENT_ANYHOW_DBOV: Final = -60.0
_FLOOR_RISE_DB: Final = 0.05
_HANGOVER_PACKETS: Final = 10


def level_dbov(pcm: Samples) -> float:
    """Return the level of the samples in dBov, not below -127."""
    if not len(pcm):
        return QUIETEST_DBOV
    power = float(np.mean(np.square(pcm, dtype=np.float32)))
    return max(QUIETEST_DBOV, 10 * float(np.log10(max(power, 1e-9) / OVERLOAD**2)))


class SilenceDetector:
    """Judges a signal packet by packet.

    Silence is what has stayed near the lowest level for ten packets, so that no end of a word is cut off. A loud steady
    tone or music is none, which detectors of speech take for noise.
    """

    __slots__ = ("_floor", "_quiet", "level")

    def __init__(self) -> None:
        self.level = 0.0
        """The level of the packet judged last, in dBov."""
        self._floor = 0.0
        self._quiet = 0

    def is_silence(self, pcm: Samples) -> bool:
        """Judge the next packet."""
        self.level = level_dbov(pcm)
        self._floor = min(self.level, self._floor + _FLOOR_RISE_DB)
        quiet = self.level <= min(_LOUDEST_DBOV, max(_SILENT_ANYHOW_DBOV, self._floor + _MARGIN_DB))
        self._quiet = self._quiet + 1 if quiet else 0
        return self._quiet > _HANGOVER_PACKETS
