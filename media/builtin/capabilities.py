"""What of the optional things the built-in workers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from media.api import Capability, allowed

if TYPE_CHECKING:
    from media.settings import MediaSettings

# A member is added here with what it names.
CAPABILITIES: Final = frozenset(
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


def capabilities(settings: MediaSettings) -> frozenset[Capability]:
    """Return what workers with these settings do."""
    return allowed(CAPABILITIES, srtp=settings.srtp, dtls=settings.dtls, ice=settings.ice)
