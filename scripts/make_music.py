"""Make the music on hold, media/prompts/music/hold.wav, from nothing but sines.

    python scripts/make_music.py [--into DIRECTORY]

Six bars of plucked chords with a slow tune above them. Notes that still ring at the end sound on at the
start, so the loop has no seam.
"""

import argparse
from pathlib import Path

import numpy as np
from sound import RATE, Sound, set_level, write_wav

PROMPTS = Path(__file__).resolve().parents[1] / "media" / "prompts"
MUSIC_DBFS = -23.0
BEAT_SECONDS = 0.5
BEATS_PER_BAR = 8
RING_SECONDS = 3.0
HIGHEST_HZ = 3300.0

# A chord a bar as MIDI note numbers (60 is middle C), broken into quavers in this order; low notes are left
# out because a telephone would.
CHORDS = (
    (60, 64, 67, 71),  # Cmaj7
    (57, 64, 67, 72),  # Am7
    (62, 65, 69, 72),  # Dm7
    (59, 65, 67, 74),  # G7
    (64, 67, 71, 74),  # Em7
    (57, 65, 69, 72),  # F with its sixth below
)
PATTERN = (0, 1, 2, 3, 2, 1, 2, 3)
# The tune: (bar, beat, note).
TUNE = (
    (0, 0, 79), (0, 3, 76), (0, 6, 74), (1, 0, 76), (1, 4, 72),
    (2, 0, 77), (2, 3, 74), (2, 6, 72), (3, 0, 74), (3, 4, 71),
    (4, 0, 79), (4, 3, 78), (4, 6, 74), (5, 0, 77), (5, 4, 74), (5, 6, 72),
)  # fmt: skip


def pluck(note: int) -> Sound:
    """One plucked note: a few harmonics, the high ones dying first."""
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    time = np.arange(int(RING_SECONDS * RATE)) / RATE
    sound = np.zeros_like(time)
    for harmonic in range(1, 8):
        if hertz * harmonic > HIGHEST_HZ:
            break
        sound += np.sin(2 * np.pi * hertz * harmonic * time) * np.exp(-time * (0.9 + 0.7 * harmonic)) / harmonic**1.6
    attack = int(0.008 * RATE)
    release = int(0.2 * RATE)
    sound[:attack] *= np.linspace(0, 1, attack)
    sound[-release:] *= np.linspace(1, 0, release)
    return sound


def music() -> Sound:
    """The whole loop."""
    bar = int(BEATS_PER_BAR * BEAT_SECONDS * RATE)
    beat = bar // BEATS_PER_BAR
    loop = np.zeros(len(CHORDS) * bar)

    def add(sound: Sound, at: int, loudness: float) -> None:
        loop[np.arange(at, at + len(sound)) % len(loop)] += sound * loudness

    for number, chord in enumerate(CHORDS):
        for step, voice in enumerate(PATTERN):
            add(pluck(chord[voice]), number * bar + step * beat, 1.0 if step == 0 else 0.7)
    for number, step, note in TUNE:
        add(pluck(note), number * bar + step * beat, 0.9)
    return loop


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description="Make the music on hold.")
    parser.add_argument("--into", type=Path, default=PROMPTS, metavar="DIRECTORY")
    write_wav(parser.parse_args().into / "music" / "hold.wav", set_level(music(), MUSIC_DBFS))


if __name__ == "__main__":
    main()
