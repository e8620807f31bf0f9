"""Make the tones: media/prompts/tones/call.wav, reminder.wav and silence.wav.

    python scripts/make_tones.py [--into DIRECTORY]

`call` says on a leg that is kept open that a caller follows: two short notes, the second one higher. `silence` is sent
between calls. `reminder` reminds of the length of a talk: the same note twice.
"""

import argparse
from pathlib import Path

import numpy as np
from sound import RATE, Sound, set_level, write_wav

PROMPTS = Path(__file__).resolve().parents[1] / "media" / "prompts"
TONE_DBFS = -23.0
NOTE_SECONDS = 0.14
EDGE_SECONDS = 0.01
NOTES_HZ = (660.0, 880.0)
REMINDER_HZ = 1000.0
PAUSE_SECONDS = 0.1


def note(hertz: float) -> Sound:
    """One note, without clicks at its ends."""
    time = np.arange(int(NOTE_SECONDS * RATE)) / RATE
    edge = np.minimum(1.0, np.minimum(time, time[::-1]) / EDGE_SECONDS)
    return np.asarray(np.sin(2 * np.pi * hertz * time) * edge)


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Make the tones.")
    parser.add_argument("--into", type=Path, default=PROMPTS, metavar="DIRECTORY")
    into = parser.parse_args().into / "tones"
    write_wav(into / "call.wav", set_level(np.concatenate([note(hertz) for hertz in NOTES_HZ]), TONE_DBFS))
    reminder = set_level(note(REMINDER_HZ), TONE_DBFS)
    write_wav(into / "reminder.wav", np.concatenate([reminder, np.zeros(int(PAUSE_SECONDS * RATE)), reminder]))
    write_wav(into / "silence.wav", np.zeros(RATE))


if __name__ == "__main__":
    main()
