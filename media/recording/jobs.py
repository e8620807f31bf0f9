"""What a worker and the process that writes its recordings say to each other, in the frames of `media.frames`.

Recordings are small integers chosen by the worker. `now` and the arrivals of packets are of the clock that all
processes of a machine have in common (CLOCK_MONOTONIC). Only `Finish` is answered.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from media.recording.gathering import Columns
from media.recording.report import Recorded
from media.recording.settings import RecordingSettings
from media.rtp.stream import Format

Change = Literal["pause", "resume", "part", "meet"]


class Start(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first message."""

    settings: RecordingSettings


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A new recording. Parts before this one were written by a process that has ended; `began` is unix time."""

    recording: int
    path: str
    rate: int
    now: float
    began: float
    part: int = 1


class Hear(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What somebody on a channel has said: packets of one coding and source."""

    recording: int
    speaker: int
    channel: int
    coding: Format
    source: int
    columns: Columns


class GoOn(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Write what is complete. So many packets of the recording were left out up to now."""

    recording: int
    now: float
    left_out: int


class Turn(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A gap begins or ends."""

    recording: int
    change: Change
    now: float


class Finish(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Write everything and close the files."""

    recording: int
    now: float
    left_out: int


class Counted(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Totals of this process."""

    errors: int
    octets: int


class Complained(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Something for the log."""

    path: str
    text: str


class Finished(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """A recording is complete."""

    recording: int
    recorded: Recorded


Job = Begin | Hear | GoOn | Turn | Finish
Report = Counted | Complained | Finished

job_decoder: Final[msgspec.msgpack.Decoder[Start | Job]] = msgspec.msgpack.Decoder(Start | Job)
report_decoder: Final[msgspec.msgpack.Decoder[Report]] = msgspec.msgpack.Decoder(Report)
