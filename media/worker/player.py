"""What plays to one peer, in place of everything else."""

from __future__ import annotations

from collections.abc import Callable

from media.api import MediaEvent, PlayFinished
from media.codecs.g711 import SILENCE
from media.playing.prompts import FRAME_MS, FRAME_SAMPLES, Playlist
from media.worker.outgoing import Outgoing
from media.worker.speech import Speech, amplify
from media.worker.ticker import Ticker


class Player:
    """Sends the frames of one playlist at a time; `on_change` is called when it begins or ceases to play.

    While it `waits` nothing is played, so that a peer that is about to be reachable hears all of it.
    """

    __slots__ = (
        "_listener",
        "_on_change",
        "_outgoing",
        "_playlist",
        "_speech",
        "_ticker",
        "waits",
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
        self.waits = False

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
        if playlist is None or self.waits or not playlist.ready:
            return
        outgoing, speech = self._outgoing, self._speech
        send = outgoing.stream.send
        if send.name in SILENCE and speech.packet_ms == FRAME_MS and speech.volume == 1:
            frame = playlist.next_frame(send.name)
            if frame is None:
                self._finish(interrupted=False)
            elif outgoing.open:
                outgoing.send(playlist, send.payload, frame, FRAME_SAMPLES, now)
            else:
                outgoing.break_off()
            return
        pcm = playlist.next_samples(speech.sample_rate)
        if pcm is None:
            speech.finish(playlist, now)
            self._finish(interrupted=False)
        elif outgoing.open:
            speech.say(playlist, amplify(pcm, speech.volume), now)
        else:
            outgoing.break_off()

    def _finish(self, *, interrupted: bool) -> None:
        playlist, self._playlist = self._playlist, None
        self._ticker.discard(self)
        self._on_change()
        if playlist is not None:
            self._listener(PlayFinished(playlist.token, playlist.heard_ms, interrupted))
