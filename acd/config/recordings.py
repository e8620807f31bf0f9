"""What recordings are like: `[recording]`. Which queues are recorded is said at the queues."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from acd.config.mistakes import Mistakes
from acd.config.values import Digit, RouteUri, Secret, Text
from media.recording.keys import KeyringError, RecordingKey, read_keys
from media.recording.settings import RecordingSettings, suffix_of


class Recording(Struct, frozen=True, kw_only=True):
    """How files are written; with a key they are encrypted. The first key of the file is for new recordings.

    ``siprec`` is a recording server that hears each recorded talk as well (RFC 7866). By ``pause_key`` an agent pauses
    and resumes the recording of a talk.
    """

    format: Literal["wav", "opus"] = "wav"
    mixed: bool = False
    key: Secret | None = None
    key_file: Text | None = None
    siprec: RouteUri | None = None
    pause_key: Digit | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether there is a key."""
        return self.key is not None or self.key_file is not None

    @property
    def suffix(self) -> str:
        """What the names of recordings end with."""
        return suffix_of(self.format, is_sealed=self.is_encrypted)

    def keys(self) -> dict[str, RecordingKey]:
        """Return the keys by id, the one for new recordings first. Raises KeyringError."""
        if self.key_file is not None:
            return read_key_file(self.key_file)
        return dict(read_keys(self.key)) if self.key is not None else {}

    def settings(self) -> RecordingSettings:
        """Return what the media side is told. Raises KeyringError."""
        return RecordingSettings(format=self.format, mixed=self.mixed, key=next(iter(self.keys().values()), None))


def read_key_file(file: str) -> dict[str, RecordingKey]:
    """Return the keys in a file, in their order. Raises KeyringError."""
    try:
        return dict(read_keys(Path(file).read_text("ascii")))
    except UnicodeDecodeError:
        reason = "not a text of ASCII"
    except OSError as error:
        reason = error.strerror or repr(error)
    except KeyringError as error:
        reason = str(error)
    raise KeyringError(f"{file}: {reason}")


def check_recording(recording: Recording, mistakes: Mistakes) -> None:
    """Report keys that cannot be used."""
    if recording.key is not None and recording.key_file is not None:
        mistakes.report(("recording", "key_file"), "nothing, because recording.key is there", recording.key_file)
        return
    place = "key" if recording.key is not None else "key_file"
    try:
        recording.keys()
    except KeyringError as error:
        mistakes.report(("recording", place), f"<id>:<64 hexadecimal digits> on each line ({error})")
