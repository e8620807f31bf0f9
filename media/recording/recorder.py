"""Stereo recordings: two RTP streams on one wall-clock timeline, written as a WAV file by a thread of its own."""

from __future__ import annotations

import os
import queue
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from media.codecs.g711 import SAMPLE_RATE, SILENCE, TRANSCODE, decode

if TYPE_CHECKING:
    from media.rtp.stream import Format

HOLD_BACK: Final = SAMPLE_RATE
"""Samples kept in memory for packets that come late: one second."""
_WINDOW: Final = 4 * SAMPLE_RATE
_MAX_EARLY: Final = SAMPLE_RATE // 4
_DRIFT_WINDOW: Final = 250
_MAX_DRIFT: Final = 160
_FRAME_OCTETS: Final = 4
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_LARGEST_SIZE: Final = 0xFFFFFFFF


def wav_header(data_octets: int) -> bytes:
    """Return the header of a stereo, 16-bit, 8 kHz WAV file with that much audio."""
    data = min(data_octets, _LARGEST_SIZE - _HEADER.size)
    rate = SAMPLE_RATE * _FRAME_OCTETS
    form = (b"fmt ", 16, 1, 2, SAMPLE_RATE, rate, _FRAME_OCTETS, 16)
    return _HEADER.pack(b"RIFF", data + _HEADER.size - 8, b"WAVE", *form, b"data", data)


class _Track:
    """One channel: places packets by RTP timestamp, anchored on the wall clock.

    A packet that comes later than its place by more than the hold-back, or a quarter of a second before it, shows
    that the sender's clock was restarted (hold, another source): the track is anchored anew. The smallest lateness
    of some seconds is the sender's clock drift, as jitter only ever adds to it.
    """

    __slots__ = ("_drift", "_drift_count", "_position", "_source", "_timestamp", "codec", "window")

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self.window = bytearray([SILENCE[codec]]) * _WINDOW
        self._source: object = None
        self._position = 0
        self._timestamp = 0
        self._drift = _WINDOW
        self._drift_count = 0

    def place(self, source: object, timestamp: int, length: int, wall: int) -> int:
        """Return the position of a packet's first sample; `wall` is where its arrival would put it."""
        step = (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        position = self._position + step
        late = wall - position
        if source is not self._source or not -_MAX_EARLY <= late <= HOLD_BACK:
            self._source = source
            position = wall
            late = 0
            self._drift, self._drift_count = _WINDOW, 0
        self._drift = min(self._drift, late)
        self._drift_count += 1
        if self._drift_count == _DRIFT_WINDOW:
            if abs(self._drift) > _MAX_DRIFT:
                position += self._drift
            self._drift, self._drift_count = _WINDOW, 0
        self._position, self._timestamp = position, timestamp
        return position

    def write(self, offset: int, samples: bytes) -> None:
        """Put samples at `offset` of the window, cut to what lies inside."""
        if offset < 0:
            samples = samples[-offset:]
            offset = 0
        samples = samples[: max(0, _WINDOW - offset)]
        self.window[offset : offset + len(samples)] = samples

    def take(self, count: int) -> bytes:
        """Remove the first samples of the window as 16-bit linear."""
        silence = SILENCE[self.codec]
        taken = bytes(self.window[:count]).ljust(count, bytes([silence]))
        del self.window[:count]
        self.window.extend(bytes([silence]) * (_WINDOW - len(self.window)))
        return decode(taken, self.codec)


class StereoTimeline:
    """Two channels from a common start; what was not received is silence, so that nothing shifts or shortens."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._base = 0
        self._tracks: list[_Track | None] = [None, None]

    def write(self, channel: int, source: object, timestamp: int, payload: bytes, *, codec: str, now: float) -> None:
        """Place a packet on channel 0 (left) or 1 (right); `source` changes when its timestamps start afresh."""
        track = self._tracks[channel]
        if track is None:
            track = self._tracks[channel] = _Track(codec)
        if codec != track.codec:
            payload = payload.translate(TRANSCODE[codec, track.codec])
        wall = round((now - self._started) * SAMPLE_RATE) - len(payload)
        track.write(track.place(source, timestamp, len(payload), wall) - self._base, payload)

    def drain(self, now: float, hold_back: int = HOLD_BACK) -> bytes:
        """Return the interleaved 16-bit audio from where the last drain ended to `hold_back` samples before now."""
        count = round((now - self._started) * SAMPLE_RATE) - hold_back - self._base
        if count <= 0:
            return b""
        stereo = np.zeros((count, 2), dtype="<i2")
        for channel, track in enumerate(self._tracks):
            if track is not None:
                stereo[:, channel] = np.frombuffer(track.take(count), dtype=np.int16)
        self._base += count
        return stereo.tobytes()


class RecordingWriter:
    """Writes recordings in a thread, so that a slow disk never delays audio.

    At most `limit` octets wait; what exceeds it is left out of the file as silence, without shortening it.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self.errors = 0
        self._limit = limit
        self._waiting = 0
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, recording: Recording, offset: int, data: bytes) -> None:
        """Write audio at that offset behind the header."""
        if self._waiting + len(data) > self._limit:
            self.errors += 1
            return
        self._waiting += len(data)

        def job() -> None:
            try:
                recording.write_file(offset, data)
            finally:
                self._waiting -= len(data)

        self.call(job)

    def call(self, job: Callable[[], None]) -> None:
        """Run `job` in the thread, after everything handed over before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def close(self, timeout: float = 5.0) -> None:
        """Finish what waits, within `timeout` seconds."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout)
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except OSError:
                self.errors += 1


class Recording:
    """One stereo WAV file in the making: left is channel 0, right is channel 1."""

    def __init__(self, path: str, writer: RecordingWriter, now: float) -> None:
        self.path = path
        self.exists = False
        self.finished = False
        self._writer = writer
        self._timeline = StereoTimeline(now)
        self._handed_over = 0
        self._length = 0
        self._descriptor = -1
        self._failed = False

    def channel(self, number: int) -> Channel:
        """Return the tap of the leg that is heard left (0) or right (1)."""
        return Channel(self, number)

    def write(self, channel: int, source: object, timestamp: int, payload: bytes, *, codec: str, now: float) -> None:
        """Record a packet's payload."""
        self._timeline.write(channel, source, timestamp, payload, codec=codec, now=now)

    def flush(self, now: float) -> None:
        """Hand over what is complete to the writer; to be called about once a second."""
        self._hand_over(self._timeline.drain(now))

    def finish(self, now: float) -> None:
        """Hand over the rest and have the file closed."""
        if not self.finished:
            self.finished = True
            self._hand_over(self._timeline.drain(now, 0))
            self._writer.call(self._close_file)

    def _hand_over(self, data: bytes) -> None:
        if data:
            self._writer.write(self, self._handed_over, data)
            self._handed_over += len(data)

    def write_file(self, offset: int, data: bytes) -> None:
        """In the writer's thread: audio first, then the header, so that the file is playable at any moment."""
        if self._failed:
            return
        try:
            if self._descriptor < 0:
                path = Path(self.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            _write_all(self._descriptor, data, _HEADER.size + offset)
            self._length = offset + len(data)
            _write_all(self._descriptor, wav_header(self._length), 0)
            self.exists = True
        except OSError:
            self._failed = True
            raise

    def _close_file(self) -> None:
        if self._descriptor < 0:
            return
        try:
            if self._length < self._handed_over and not self._failed:
                os.ftruncate(self._descriptor, _HEADER.size + self._handed_over)
                _write_all(self._descriptor, wav_header(self._handed_over), 0)
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class Channel:
    """The tap of one leg of a recording."""

    __slots__ = ("_number", "_recording")

    def __init__(self, recording: Recording, number: int) -> None:
        self._recording = recording
        self._number = number

    def take(  # noqa: PLR0917 - once for every packet: keywords would cost as much as the call
        self, coding: Format, source: object, sequence: int, timestamp: int, payload: bytes, now: float, /
    ) -> None:
        """Record a packet of audio."""
        if payload and coding.name in SILENCE:
            self._recording.write(self._number, source, timestamp, payload, codec=coding.name, now=now)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
