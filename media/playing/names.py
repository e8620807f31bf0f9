"""What prompts are called, and where their files are.

A prompt is the name of a file without its suffix ("en/digits/7"), or a text to be spoken ("say:en:Good morning.").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

SUFFIXES: Final = (".wav", ".opus", ".ogg", ".flac", ".mp3")
LONGEST_TEXT: Final = 1000
_FILE: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
_TEXT: Final = re.compile(r"say:([a-z]{2,3}(?:-[a-z0-9]{1,8})*):(.+)", re.DOTALL)
_LONGEST_NAME: Final = 200


class Text(NamedTuple):
    """Words to be spoken in a language, named as in "en" or "zh"."""

    language: str
    words: str


def read_text(prompt: str) -> Text | None:
    """Return the text that the prompt is, None if it is the name of a file."""
    match = _TEXT.fullmatch(prompt)
    return Text(match[1], match[2].strip()) if match is not None and len(match[2]) <= LONGEST_TEXT else None


def is_prompt(name: str) -> bool:
    """Tell whether this can be a prompt at all."""
    return (len(name) <= _LONGEST_NAME and _FILE.fullmatch(name) is not None) or read_text(name) is not None


def spoken_file(prompt: str) -> str:
    """Return the name of the file with a text, spoken."""
    return f"{hashlib.sha256(prompt.encode(errors='surrogatepass')).hexdigest()[:32]}.wav"


def find_prompt(directories: Sequence[Path], speech: Path | None, prompt: str) -> Path | None:
    """Return the prompt's file, None if there is none: a text's in `speech`, else that of the first directory."""
    if read_text(prompt) is not None:
        path = speech / spoken_file(prompt) if speech is not None else None
        return path if path is not None and _is_file(path) else None
    for directory in directories:
        for suffix in SUFFIXES:
            path = directory / f"{prompt}{suffix}"
            if _is_file(path):
                return path
    return None


def _is_file(path: Path) -> bool:
    """Tell whether there is a file, as far as can be seen."""
    try:
        return path.is_file()
    except OSError:  # no way to it, or a disk that fails
        return False
