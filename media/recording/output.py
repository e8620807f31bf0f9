"""One file of a recording: samples are encoded, sealed if it is to be, and appended so that it can always be played."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from media.codecs import Samples
from media.recording.keys import RecordingKey
from media.recording.ogg import OggOpusEncoder
from media.recording.sealed import Sealer
from media.recording.wav import WavEncoder

FILE_MODE: Final = 0o600
_PIECE_SECONDS: Final = 5


class Encoder(Protocol):
    """Makes the octets of a file from samples; what it returned before never changes but for `patch`."""

    def begin(self) -> bytes:
        """Return what the file begins with."""

    def encode(self, samples: Samples) -> bytes:
        """Return what is added for these samples, in rows of one for each channel."""

    def end(self) -> bytes:
        """Return what completes the file."""

    def patch(self) -> bytes:
        """Return what the file should begin with now, if that changes with its length."""


def make_encoder(format_: str, channels: int, rate: int) -> Encoder:
    """Return an encoder of "wav" or "opus"."""
    if format_ == "opus":
        return OggOpusEncoder(channels, rate, int.from_bytes(os.urandom(4), "big"))
    return WavEncoder(channels, rate)


class OutputFile:
    """Appends to a new file at `path`, made when the first octets come.

    What cannot be written is tried again with what comes next. Until that succeeds audio is only counted, and then
    written as silence: a full disk costs sound and no length, and never memory. `octets` were written so far, and
    `lost` samples were replaced.
    """

    def __init__(self, path: str, encoder: Encoder, channels: int, rate: int, key: RecordingKey | None) -> None:
        self.path = path
        self.octets = 0
        self.lost = 0
        self.exists = False
        self._encoder = encoder
        self._silence = np.zeros((_PIECE_SECONDS * rate, channels), np.int16)
        self._sealer = Sealer(key, os.urandom(32)) if key is not None else None
        self._descriptor = -1
        self._is_taken = False
        self._unwritten = b"" if self._sealer is None else self._sealer.header
        self._unwritten += self._sealed(encoder.begin())
        self._owed = 0
        self._pending = 0  # samples of those unwritten that are not counted as lost

    def write(self, samples: Samples) -> None:
        """Append samples. Raises OSError, after which the file goes on as soon as it can; one that was there never."""
        if self._is_taken:
            self.lost += len(samples)
            return
        try:
            self._append(b"")
            while self._owed:
                piece = self._silence[: self._owed]
                self._owed -= len(piece)
                self._append(self._sealed(self._encoder.encode(piece)))
        except OSError:
            self._owed += len(samples)
            self.lost += len(samples)
            raise
        self._pending = len(samples)
        self._append(self._sealed(self._encoder.encode(samples)))

    def end(self) -> None:
        """Complete the file. Raises OSError; the file is closed anyhow."""
        try:
            if self.exists:
                self.write(self._silence[:0])
                end = self._encoder.end()
                self._append(end if self._sealer is None else self._sealer.seal(end, last=True))
        except OSError:
            self.lost += self._pending
            raise
        finally:
            if self._descriptor >= 0:
                descriptor, self._descriptor = self._descriptor, -1
                os.close(descriptor)

    def _sealed(self, data: bytes) -> bytes:
        return data if self._sealer is None or not data else self._sealer.seal(data)

    def _append(self, data: bytes) -> None:
        """Write behind what was written, audio first, then the header: the file is right at any moment."""
        self._unwritten += data
        if not self._unwritten:
            return
        if self._descriptor < 0:
            self._open()
        _write_all(self._descriptor, self._unwritten, self.octets)
        self.octets += len(self._unwritten)
        self._unwritten = b""
        self._pending = 0
        if self._sealer is None and (patch := self._encoder.patch()):
            _write_all(self._descriptor, patch, 0)

    def _open(self) -> None:
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            self._is_taken = True
            self._unwritten = b""
            raise
        self.exists = True


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
