"""Detection of keys in audio (DTMF, ITU-T Q.23), many channels at a time.

The limits are those of the AT&T column of ITU-T Q.24, table A-1:

    frequencies          accepted up to 1.5 % off, refused from 3.5 % on
    level                accepted from 0 to -25 dBm a frequency, refused at -55 dBm
    twist                accepted with the high frequency 4 dB above to 8 dB below the low one
    duration             accepted from 40 ms on, refused up to 23 ms
    pause                two presses when 40 ms lie between
    interruption         one press in spite of 10 ms
    echo                 accepted with one 10 dB down, delayed up to 20 ms

The audio is cut into steps of 5 ms. For each step the eight frequencies are correlated with it, which is what eight
Goertzel filters find, here by one matrix product for all channels. Four steps make a window: the phase's advance from
its first to its second half tells how far off a frequency is, and what two tones of that amplitude do not explain of
the window's energy speaks against a key: speech and music have much of that. A press begins when four windows in a row
agree, which is 35 ms after the tone began, and ends when four steps in succession have none of it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from media.dtmf.tones import COLUMNS, KEYS, ROWS, SAMPLE_RATE, mean_square

BLOCK: Final = 160
"""Samples of one channel in a block: 20 ms."""
STEP_MS: Final = 5
_STEP: Final = SAMPLE_RATE * STEP_MS // 1000
_STEPS: Final = BLOCK // _STEP
_WINDOW: Final = 4  # steps
_HALF: Final = _WINDOW // 2
_BEFORE: Final = _WINDOW - 1  # steps of the last block that windows of this one begin with

_TOLERANCE: Final = 0.025  # of the frequency: between the 1.5 % to accept and the 3.5 % to refuse
_LOWEST: Final = mean_square(-29.0)
_HIGH_OVER_LOW: Final = 10 ** ((4 + 2) / 10)
_LOW_OVER_HIGH: Final = 10 ** ((8 + 3) / 10)
_EXPLAINED: Final = 0.88  # of a window's energy, by two tones
_STEADY: Final = 0.5  # of a window's mean energy, in its weakest step
_WINDOWS: Final = 4  # in succession, for a press to begin
_ABSENT: Final = 4  # steps in succession, for a press to end
_STILL_THERE: Final = 0.2  # of the strength at its beginning, for a step to belong to a press
_STILL_PURE: Final = 0.4  # of the step's energy

_FREQUENCIES: Final = np.array(ROWS + COLUMNS)
_TURN: Final = np.exp(-2j * np.pi * np.outer(np.arange(_STEP), _FREQUENCIES) / SAMPLE_RATE)
_FILTERS: Final = np.hstack((_TURN.real, _TURN.imag)).astype(np.float32)
# The phase of a step counts from its own beginning; in a window it is to count from the window's.
_ADVANCE: Final = np.exp(
    -2j * np.pi * np.outer(np.arange(_WINDOW) * _STEP, _FREQUENCIES) / SAMPLE_RATE
).astype(np.complex64)  # fmt: skip
_HERTZ: Final = SAMPLE_RATE / (2 * np.pi * _HALF * _STEP)  # of a radian from half to half
_HALF_SECONDS: Final = _HALF * _STEP / SAMPLE_RATE
_NO_KEY: Final = -1

_Floats = npt.NDArray[np.float32]
_Complexes = npt.NDArray[np.complex64]
_Integers = npt.NDArray[np.int64]


class Heard(NamedTuple):
    """On a channel a press of `digit` began, or has ended if `held_ms` is not None."""

    channel: int
    digit: str
    held_ms: int | None


class Detector:
    """Hears keys on numbered channels; `feed` is given the next 20 ms of any of them, at 8 kHz.

    `suspects` tells of the latest block of each channel whether a press was heard in it or may have begun in it.
    """

    def __init__(self) -> None:
        self._free: list[int] = []
        self._size = 0
        self._grow(16)

    def add(self) -> int:
        """Return the number of a new channel."""
        if not self._free:
            self._grow(2 * self._size)
        channel = self._free.pop()
        self.reset(channel)
        return channel

    def remove(self, channel: int) -> None:
        """Give a channel's number back."""
        self._free.append(channel)

    def reset(self, channel: int) -> None:
        """Forget what was heard on a channel."""
        self._steps[channel] = 0
        self._energies[channel] = 0
        self._candidates[channel] = self._pressed[channel] = _NO_KEY
        self._agreeing[channel] = self._absent[channel] = self._held[channel] = 0
        self.suspects[channel] = False

    def held_ms(self, channel: int) -> int:
        """Return how long the press on a channel has lasted, 0 where there is none."""
        return int(self._held[channel] - self._absent[channel]) * STEP_MS if self._pressed[channel] != _NO_KEY else 0

    def feed(self, channels: npt.ArrayLike, blocks: npt.NDArray[np.int16]) -> list[Heard]:
        """Hear one block for each of the `channels` (each named once), `blocks` being their rows of 160 samples."""
        rows = np.asarray(channels, dtype=np.intp)
        steps, energies = self._correlate(rows, blocks)
        keys, strengths = _judge(steps, energies)
        self.suspects[rows] = (keys != _NO_KEY).any(axis=1) | (self._pressed[rows] != _NO_KEY)
        heard: list[Heard] = []
        if (keys != _NO_KEY).any() or (self._pressed[rows] != _NO_KEY).any():
            for number in range(_STEPS):
                place = _BEFORE + number
                heard += self._follow(rows, steps[:, place], energies[:, place], keys[:, number], strengths[:, number])
        else:
            self._candidates[rows] = _NO_KEY
        return heard

    def _grow(self, size: int) -> None:
        def grown(name: str, kind: npt.DTypeLike, *shape: int) -> Any:
            new: npt.NDArray[Any] = np.zeros((size, *shape), kind)
            if self._size:
                new[: self._size] = getattr(self, name)
            return new

        self._steps: _Complexes = grown("_steps", np.complex64, _BEFORE, len(_FREQUENCIES))
        self._energies: _Floats = grown("_energies", np.float32, _BEFORE)
        self._candidates: _Integers = grown("_candidates", np.int64)
        self._agreeing: _Integers = grown("_agreeing", np.int64)
        self._pressed: _Integers = grown("_pressed", np.int64)
        self._absent: _Integers = grown("_absent", np.int64)
        self._held: _Integers = grown("_held", np.int64)
        self._strength: _Floats = grown("_strength", np.float32)
        self.suspects: npt.NDArray[np.bool_] = grown("suspects", np.bool_)
        self._free += range(size - 1, self._size - 1, -1)
        self._size = size

    def _correlate(self, rows: npt.NDArray[np.intp], blocks: npt.NDArray[np.int16]) -> tuple[_Complexes, _Floats]:
        """Return correlations (channel, step, frequency) and energies (channel, step), the last block's end first."""
        count = len(rows)
        pieces = blocks.reshape(count * _STEPS, _STEP).astype(np.float32)
        products = (pieces @ _FILTERS).reshape(count, _STEPS, 2 * len(_FREQUENCIES))
        steps = np.empty((count, _BEFORE + _STEPS, len(_FREQUENCIES)), np.complex64)
        steps[:, :_BEFORE] = self._steps[rows]
        steps[:, _BEFORE:].real = products[:, :, : len(_FREQUENCIES)]
        steps[:, _BEFORE:].imag = products[:, :, len(_FREQUENCIES) :]
        energies = np.empty((count, _BEFORE + _STEPS), np.float32)
        energies[:, :_BEFORE] = self._energies[rows]
        energies[:, _BEFORE:] = np.einsum("ij,ij->i", pieces, pieces).reshape(count, _STEPS)
        self._steps[rows] = steps[:, -_BEFORE:]
        self._energies[rows] = energies[:, -_BEFORE:]
        return steps, energies

    def _follow(
        self, rows: npt.NDArray[np.intp], step: _Complexes, energy: _Floats, key: _Integers, strength: _Floats
    ) -> list[Heard]:
        """Go one step on: which presses end, which begin."""
        heard: list[Heard] = []
        pressed = self._pressed[rows]
        is_pressed = pressed != _NO_KEY
        if is_pressed.any():
            now = _strength_of(step, pressed)
            there = (now > _STILL_THERE * self._strength[rows]) & (now > _STILL_PURE * energy)
            absent = np.where(there, 0, self._absent[rows] + 1)
            self._absent[rows] = absent
            self._held[rows] += 1
            ending = is_pressed & (absent >= _ABSENT)
            heard += [self._release(rows[place]) for place in np.flatnonzero(ending)]
        same = (key == self._candidates[rows]) & (key != _NO_KEY)
        agreeing = np.where(same, self._agreeing[rows] + 1, 1)
        self._agreeing[rows] = agreeing
        self._candidates[rows] = key
        beginning = (agreeing >= _WINDOWS) & (key != _NO_KEY) & (key != self._pressed[rows])
        for place in np.flatnonzero(beginning):
            channel = rows[place]
            if self._pressed[channel] != _NO_KEY:
                heard.append(self._release(channel))
            self._pressed[channel], self._strength[channel] = key[place], strength[place]
            self._absent[channel], self._held[channel] = 0, _WINDOW + _WINDOWS - 1
            heard.append(Heard(int(channel), KEYS[key[place]], None))
        return heard

    def _release(self, channel: np.intp) -> Heard:
        key, held = self._pressed[channel], self._held[channel] - self._absent[channel]
        self._pressed[channel] = _NO_KEY
        return Heard(int(channel), KEYS[key], int(held) * STEP_MS)


def _judge(steps: _Complexes, energies: _Floats) -> tuple[_Integers, _Floats]:
    """Return for each window the key that it sounds like, or none, and how strong a step of it is."""
    count = len(steps)
    windows = np.stack([steps[:, n : n + _WINDOW] for n in range(_STEPS)], axis=1) * _ADVANCE
    first, second = windows[:, :, :_HALF].sum(axis=2), windows[:, :, _HALF:].sum(axis=2)
    powers = np.square(np.abs(first)) + np.square(np.abs(second))
    middle = len(ROWS)
    low, high = powers[..., :middle].argmax(axis=2), powers[..., middle:].argmax(axis=2)
    inside = np.lib.stride_tricks.sliding_window_view(energies, _WINDOW, axis=1)
    energy = inside.sum(axis=2)
    accepted = inside.min(axis=2) > _STEADY / _WINDOW * energy
    tones = []
    for place in (low, high + middle):
        index = place[..., np.newaxis]
        begin = np.take_along_axis(first, index, axis=2)[..., 0]
        end = np.take_along_axis(second, index, axis=2)[..., 0]
        off = np.angle(end * begin.conj()) * _HERTZ
        accepted &= np.abs(off) < _TOLERANCE * _FREQUENCIES[place]
        # A tone that is off its frequency correlates less, by how far it turns away within half a window.
        kept = np.square(np.sinc(off * _HALF_SECONDS))
        power = np.take_along_axis(powers, index, axis=2)[..., 0] * 2 / (_HALF * _STEP) / np.maximum(kept, 0.3)
        tones.append(power)
    quiet, loud = tones
    accepted &= quiet + loud > _EXPLAINED * energy
    accepted &= np.minimum(quiet, loud) > _LOWEST * _WINDOW * _STEP
    accepted &= (loud < _HIGH_OVER_LOW * quiet) & (quiet < _LOW_OVER_HIGH * loud)
    keys = np.where(accepted, low * len(COLUMNS) + high, _NO_KEY)
    return keys.reshape(count, _STEPS), ((quiet + loud) / _WINDOW).astype(np.float32)


def _strength_of(step: _Complexes, keys: _Integers) -> _Floats:
    """Return the energy that a key's two frequencies have in a step."""
    rows = np.arange(len(step))
    low, high = step[rows, keys // len(COLUMNS)], step[rows, keys % len(COLUMNS) + len(ROWS)]
    return (np.square(np.abs(low)) + np.square(np.abs(high))) * np.float32(2 / _STEP)
