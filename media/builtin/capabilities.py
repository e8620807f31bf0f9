"""What of the optional things the built-in workers do."""

from __future__ import annotations

from media.api import Capability

# A member is added here with what it names.
CAPABILITIES = frozenset(
    (
        Capability.ECHO,
        Capability.RECORDING,
        Capability.PAUSED_RECORDING,
        Capability.FORKING,
        Capability.TRANSCODING,
        Capability.MIXING,
        Capability.VOLUME,
        Capability.SENT_DIGITS,
        Capability.HIDDEN_DIGITS,
        Capability.INBAND_DIGITS,
        Capability.SDES,
        Capability.DTLS,
        Capability.ICE,
        Capability.RTCP,
        Capability.ANALYSIS,
    )
)
