"""Which legs of a worker are recorded, and by which recording each is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Final, Protocol

from media.codecs import sample_rate_of
from media.recording.client import RecordingClient
from media.recording.recorder import Channel, Recording
from media.recording.report import Recorded
from media.rtp.stream import Stream
from media.rtp.tap import Tap

FLUSH_SECONDS: Final = 1.0
# Each flushes its share: all recordings at once would keep packets waiting, and each by itself would wake the loop.
_TURNS: Final = 50
_NARROW, _WIDE = 8000, 16_000


class Tapped(Protocol):
    """A session, as far as recordings mind."""

    stream: Stream

    def add_tap(self, tap: Tap) -> None:
        """Hand what is received to the tap as well."""

    def remove_tap(self, tap: Tap) -> None:
        """Hand nothing more to the tap."""


class _Kept:
    """A recording, and what taps each leg that is heard in it."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.taps: dict[int, Channel] = {}


class Recordings:
    """A recording belongs to one leg, which is heard left; whom it is connected to is heard right.

    When they part the recording waits for the leg to be connected again: the same path goes on in the same file. It is
    completed when its leg is closed or recorded to another path.
    """

    def __init__(
        self,
        client: RecordingClient,
        sessions: Mapping[int, Tapped],
        *,
        call_later: Callable[..., object],
        now: Callable[[], float],
    ) -> None:
        self.client = client
        self._sessions = sessions
        self._call_later = call_later
        self._now = now
        self._numbers = count(1)
        self._kept: dict[int, _Kept] = {}
        self._heard_in: dict[int, set[int]] = {}  # the legs whose recordings a leg is heard in
        self._turns: list[list[Recording]] = [[] for _ in range(_TURNS)]
        self._turning = False

    def __len__(self) -> int:
        return sum(not kept.recording.apart for kept in self._kept.values())

    @property
    def paused(self) -> int:
        """How many have a gap now."""
        return sum(kept.recording.paused for kept in self._kept.values())

    def begin(self, leg: int, others: Iterable[int], path: str) -> None:
        """Record the leg and those it is connected to."""
        now = self._now()
        kept = self._kept.get(leg)
        if kept is not None and kept.recording.path != path:
            self._untap(leg, kept)
            kept.recording.finish(now, _ignore)
            kept = None
        others = tuple(others)
        if kept is None:
            rates = [sample_rate_of(self._sessions[number].stream.send) for number in (leg, *others)]
            rate = _NARROW if max(rates) == _NARROW else _WIDE
            recording = Recording(next(self._numbers), path, self.client, rate=rate)
            self.client.begin(recording)
            kept = self._kept[leg] = _Kept(recording)
            min(self._turns, key=len).append(recording)
            if not self._turning:
                self._turning = True
                self._call_later(FLUSH_SECONDS / _TURNS, self._flush, 0)
        self._untap(leg, kept)
        kept.recording.part(now)
        self._hear(leg, kept, frozenset(others))

    def follow(self, audible: Mapping[int, AbstractSet[int]]) -> None:
        """Legs were connected anew: each of these hears just those, which is what its recording has right."""
        for leg in set(audible).union(*(self._heard_in.get(number, ()) for number in audible)) & self._kept.keys():
            kept = self._kept[leg]
            heard = kept.taps.keys() - {leg}
            wanted = audible[leg] if leg in audible else heard - audible.keys()
            if wanted != heard:
                self._hear(leg, kept, wanted)

    def part(self, leg: int) -> None:
        """The leg is connected to nobody any more: neither its own recording hears it nor anybody else's."""
        for owner in self._heard_in.get(leg, set()) | ({leg} & self._kept.keys()):
            kept = self._kept[owner]
            self._hear(owner, kept, frozenset() if owner == leg else kept.taps.keys() - {owner, leg})

    def pause(self, leg: int) -> None:
        """Keep nothing that is said from here on."""
        if kept := self._kept.get(leg):
            kept.recording.pause(self._now())

    def resume(self, leg: int) -> None:
        """Go on recording."""
        if kept := self._kept.get(leg):
            kept.recording.resume(self._now())

    def finish(self, leg: int, done: Callable[[Recorded], None]) -> bool:
        """Complete the leg's recording; `done` is then told. False if it has none."""
        self.part(leg)
        kept = self._kept.pop(leg, None)
        if kept is not None:
            kept.recording.finish(self._now(), done)
        return kept is not None

    def close(self) -> None:
        """Complete all."""
        for leg in list(self._kept):
            self.finish(leg, _ignore)
        self.client.close()

    def _hear(self, leg: int, kept: _Kept, speakers: AbstractSet[int]) -> None:
        """Record the leg and these, or nobody."""
        if not speakers:
            self._untap(leg, kept)
            kept.recording.part(self._now())
            return
        kept.recording.meet(self._now())
        for number in kept.taps.keys() - speakers - {leg}:
            self._remove(leg, kept, number)
        for number in (speakers | {leg}) - kept.taps.keys():
            tap = kept.taps[number] = kept.recording.channel(0 if number == leg else 1)
            self._sessions[number].add_tap(tap)
            self._heard_in.setdefault(number, set()).add(leg)

    def _untap(self, leg: int, kept: _Kept) -> None:
        for number in list(kept.taps):
            self._remove(leg, kept, number)

    def _remove(self, leg: int, kept: _Kept, number: int) -> None:
        self._sessions[number].remove_tap(kept.taps.pop(number))
        owners = self._heard_in[number]
        owners.discard(leg)
        if not owners:
            del self._heard_in[number]

    def _flush(self, turn: int) -> None:
        """Write what is complete of the recordings whose turn it is."""
        unfinished = self._turns[turn] = [each for each in self._turns[turn] if not each.finished]
        now = self._now()
        for recording in unfinished:
            recording.flush(now)
        self._turning = any(self._turns)
        if self._turning:
            self._call_later(FLUSH_SECONDS / _TURNS, self._flush, (turn + 1) % _TURNS)


def _ignore(_: Recorded) -> None:
    """Nobody wants to know."""
