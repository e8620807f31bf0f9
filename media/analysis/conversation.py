"""Who spoke, who spoke at a time, and when nobody did, from moments at which legs were loud.

Time is cut into slots. A leg that is loud in a slot speaks in it, and in the few before that since it was loud last: a
pause between words is speech. Each leg's slots are the bits of an integer, so that a second of conversation is reckoned
in a few operations.
"""

from __future__ import annotations

from typing import Final

from media.api import Talk

SLOTS: Final = 10
"""Slots in a second."""
PAUSE: Final = 4
"""So many quiet slots between loud ones are still speech."""
DEAD: Final = 20
"""So many slots in which nobody speaks are dead air."""
_CONTEXT: Final = 2 * PAUSE
_LAG: Final = PAUSE + 1


class Voice:
    """One leg in conversations, and what they came to for it; the counts are slots.

    `engaged`: it could speak and listen, and no prompt plays to it. `known`: it can be told whether it is loud.
    `loud_at` is when it was loud last, or began to be heard.
    """

    __slots__ = (
        "both",
        "connected",
        "dead",
        "engaged",
        "heard",
        "known",
        "longest",
        "loud_at",
        "mask",
        "slots",
        "spoken",
    )

    def __init__(self) -> None:
        self.slots: list[int] = []
        self.mask = 0
        self.loud_at = 0.0
        self.engaged = self.known = True
        self.reset()

    def reset(self) -> None:
        """Begin a new account."""
        self.connected = self.spoken = self.heard = self.both = self.dead = self.longest = 0

    def speak(self, now: float) -> None:
        """It is loud."""
        self.loud_at = now
        slot = int(now * SLOTS)
        if not self.slots or self.slots[-1] != slot:
            self.slots.append(slot)

    def talk(self) -> Talk | None:
        """Tell what the conversations came to, None if there was none that could be told."""
        if not self.connected:
            return None
        counts = (self.connected, self.spoken, self.heard, self.both, self.dead, self.longest)
        connected, spoken, heard, both, dead, longest = (round(count / SLOTS, 1) for count in counts)
        return Talk(connected=connected, spoken=spoken, heard=heard, both=both, dead=dead, longest_dead=longest)


class Conversation:
    """Legs that hear each other. `fold` is to be called about once a second."""

    __slots__ = ("_base", "_members", "_silent")

    def __init__(self) -> None:
        self._members: list[Voice] = []
        self._base = 0
        self._silent = 0  # slots since somebody spoke

    def join(self, voice: Voice, now: float) -> None:
        """A leg is heard from now on."""
        self._fold(int(now * SLOTS))
        voice.slots.clear()
        voice.mask = 0
        voice.loud_at = now
        self._members.append(voice)

    def leave(self, voice: Voice, now: float) -> None:
        """A leg is heard no more."""
        self._fold(int(now * SLOTS))
        self._end_silence()
        self._members.remove(voice)

    def fold(self, now: float) -> None:
        """Reckon all up to a little before now: what is a pause shows only when somebody goes on."""
        self._fold(int(now * SLOTS) - _LAG)

    def _fold(self, end: int) -> None:
        count = end - self._base
        if count <= 0 or not self._members:
            self._base = max(end, self._base)
            return
        full = (1 << count) - 1
        windows = []
        for voice in self._members:
            mask = voice.mask
            for slot in voice.slots:
                if slot >= self._base - _CONTEXT:
                    mask |= 1 << slot - self._base + _CONTEXT
            voice.slots.clear()
            windows.append(_closed(mask) >> _CONTEXT & full)
            voice.mask = mask >> count
        self._base = end
        members = self._members
        if len(members) > 1 and all(voice.engaged and voice.known for voice in members):
            self._account(windows, count)
        else:
            self._end_silence()

    def _account(self, windows: list[int], count: int) -> None:
        anybody = 0
        for window in windows:
            anybody |= window
        for index, (voice, window) in enumerate(zip(self._members, windows, strict=True)):
            others = 0
            for other in (*windows[:index], *windows[index + 1 :]):
                others |= other
            voice.connected += count
            voice.spoken += window.bit_count()
            voice.heard += others.bit_count()
            voice.both += (window & others).bit_count()
        if not anybody:
            self._silent += count
            return
        for slot in range(count):
            if anybody >> slot & 1:
                self._end_silence()
            else:
                self._silent += 1

    def _end_silence(self) -> None:
        silent, self._silent = self._silent, 0
        if silent >= DEAD:
            for voice in self._members:
                voice.dead += silent
                voice.longest = max(voice.longest, silent)


def _closed(mask: int) -> int:
    """Set the bits of pauses: those between set bits that are not further apart."""
    wide = mask
    for step in range(1, PAUSE + 1):
        wide |= mask << step
    closed = wide
    for step in range(1, PAUSE + 1):
        closed &= wide >> step
    return closed
