"""What plays to one peer, in place of everything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from media.api import MediaEvent, PlayFinished
from media.codecs import Resampler, Samples
from media.codecs.g711 import PCMA, SAMPLE_RATE, SILENCE, decode
from media.playing.prompts import FRAME_MS, FRAME_SAMPLES, Playlist
from media.worker.outgoing import Outgoing
from media.worker.speech import Speech, amplify
from media.worker.ticker import Ticker


class Player:
    """Sends the frames of one playlist at a time; `on_change` is called when it begins or ceases to play."""

    __slots__ = (
        "_listener",
        "_on_change",
        "_outgoing",
        "_playlist",
        "_rising",
        "_rising_to",
        "_speech",
        "_ticker",
    )

    def __init__(
        self,
        outgoing: Outgoing,
        speech: Speech,
        ticker: Ticker,
        listener: Callable[[MediaEvent], None],
        on_change: Callable[[], None],
    ) -> None:
        self._outgoing = outgoing
        self._speech = speech
        self._ticker = ticker
        self._listener = listener
        self._on_change = on_change
        self._playlist: Playlist | None = None
        self._rising: Resampler | None = None
        self._rising_to = SAMPLE_RATE

    @property
    def playing(self) -> bool:
        """Tell whether a playlist is running."""
        return self._playlist is not None

    def play(self, playlist: Playlist) -> None:
        """Play this in place of what plays now."""
        self.stop()
        self._playlist = playlist
        self._on_change()
        self._ticker.add(self)

    def stop(self) -> None:
        """End what plays, as an interruption."""
        if self._playlist is not None:
            self._finish(interrupted=True)

    def interrupt(self) -> None:
        """End what plays if a digit does that."""
        if self._playlist is not None and self._playlist.interruptible:
            self._finish(interrupted=True)

    def close(self) -> None:
        """End what plays without a word."""
        self._playlist = None
        self._ticker.discard(self)

    def tick(self, now: float) -> None:
        """Send the next frame."""
        playlist = self._playlist
        if playlist is None:
            return
        outgoing, speech = self._outgoing, self._speech
        send = outgoing.stream.send
        as_is = send.name in SILENCE and speech.packet_ms == FRAME_MS and speech.volume == 1
        frame = playlist.next_frame(send.name if as_is else PCMA)
        if frame is None:
            speech.finish(playlist, now)
            self._finish(interrupted=False)
        elif not outgoing.open:
            outgoing.break_off()
        elif as_is:
            outgoing.send(playlist, send.payload, frame, FRAME_SAMPLES, now)
        else:
            speech.say(playlist, amplify(self._raised(frame), speech.volume), now)

    def _raised(self, frame: bytes) -> Samples:
        pcm = np.frombuffer(decode(frame, PCMA), np.int16)
        rate = self._speech.sample_rate
        if rate == SAMPLE_RATE:
            return pcm
        if self._rising is None or self._rising_to != rate:
            self._rising, self._rising_to = Resampler(SAMPLE_RATE, rate), rate
        return self._rising.convert(pcm)

    def _finish(self, *, interrupted: bool) -> None:
        playlist, self._playlist = self._playlist, None
        self._ticker.discard(self)
        self._on_change()
        if playlist is not None:
            self._listener(PlayFinished(playlist.token, playlist.heard_ms, interrupted))
