"""What an operator may set about rtpengines."""

from __future__ import annotations

from typing import Literal

import msgspec

from media.api import Capability
from media.codecs.names import DEFAULT_OFFERS, G722, PCMA, PCMU
from media.settings import PROMPT_DIRECTORY

CAPABILITIES = frozenset(
    (
        Capability.ECHO,
        Capability.TRANSCODING,
        Capability.HIDDEN_DIGITS,
        Capability.SDES,
        Capability.DTLS,
        Capability.ICE,
    )
)
"""What of the optional things rtpengine 10.5 does for us.

Its recorder writes packets, or needs a daemon and a kernel module of its own: there is no file of ours to name. What
is spoken by several goes to each apart: nothing is mixed. Volume, tones in the audio and digits of ours would have
every packet decoded.
"""


CODECS = (PCMU, PCMA, G722)
"""What is negotiated: what rtpengine converts from and to, with digits by the clock of the audio."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One rtpengine: where it listens for ng, and its share of the legs in proportion to the others' weights."""

    host: str
    port: int
    weight: int = 1

    @property
    def name(self) -> str:
        """How it is called in logs, metrics and the API."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RtpengineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the backend.

    `digits` is where we hear of digits: the address that each rtpengine was started with as `--dtmf-log-dest`. Prompts
    are files that rtpengine opens: `prompt_directories`, `speech_directory` with texts that were spoken, and `spool`,
    where what is played in one go is put together, must be readable for it by the same names. A leg that receives
    nothing for `rtp_timeout_seconds` is told so; 0 turns that off.
    """

    nodes: tuple[Node, ...]
    digits: tuple[str, int]
    spool: str
    prompt_directories: tuple[str, ...] = (PROMPT_DIRECTORY,)
    speech_directory: str = ""
    rtp_timeout_seconds: float = 30.0
    codecs: tuple[str, ...] = CODECS
    offers: tuple[str, ...] = DEFAULT_OFFERS
    srtp: Literal["off", "optional", "required"] = "optional"
    dtls: bool = True
    ice: bool = True
