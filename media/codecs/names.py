"""The encoding names of RTP payloads, spelled as they are registered."""

from __future__ import annotations

from typing import Final

PCMU: Final = "PCMU"
PCMA: Final = "PCMA"
G722: Final = "G722"
OPUS: Final = "opus"
AMR: Final = "AMR"
AMR_WB: Final = "AMR-WB"
CN: Final = "CN"
EVENTS: Final = "telephone-event"

CODECS: Final = (PCMU, PCMA, G722, OPUS, AMR_WB, AMR, CN)
"""What an operator may choose from: all but telephone-event, which is always served."""
DEFAULT_CODECS: Final = (PCMU, PCMA, G722, OPUS, AMR_WB, AMR)
DEFAULT_OFFERS: Final = (PCMU, PCMA)
