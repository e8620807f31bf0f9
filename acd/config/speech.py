"""How texts are spoken: `[speech]`."""

from collections.abc import Mapping

from msgspec import Struct, field

from acd.config.values import Language, Megabytes, SomeSeconds, Text
from media.playing.voices import ESPEAK, VOICES


class Speech(Struct, frozen=True, kw_only=True):
    """The program that speaks a text, how long it may take, and how much of what it said is kept."""

    command: tuple[Text, ...] = ESPEAK
    voices: Mapping[Language, Text] = field(default_factory=lambda: dict(VOICES))
    timeout_seconds: SomeSeconds = 10.0
    keep_megabytes: Megabytes = 64

    @property
    def every_voice(self) -> dict[str, str]:
        """The voice of each language that has one."""
        return {**VOICES, **self.voices}
