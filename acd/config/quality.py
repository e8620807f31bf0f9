"""When the voice of a call is in trouble."""

from typing import Annotated

from msgspec import Meta, Struct

from acd.config.values import Count, Seconds

Percent = Annotated[float, Meta(ge=0, le=100, description="a number from 0 to 100, 0 for off")]
Milliseconds = Annotated[float, Meta(ge=0, le=10_000, description="a number of milliseconds, 0 for off")]


class VoiceQuality(Struct, frozen=True, kw_only=True):
    """From where on the voice of a leg is in trouble; 0 turns a threshold off."""

    no_rtp_seconds: Seconds = 5.0
    silence_seconds: Seconds = 60.0
    loss_percent: Percent = 3.0
    jitter_ms: Milliseconds = 50.0
    wrong_payloads: Count = 25
