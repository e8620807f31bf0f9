"""Codec libraries in C: where they are found, and how samples are handed to them.

They are called directly rather than through PyAV because calls need what FFmpeg's interface leaves out: forward error
correction and concealment of Opus, the mode of each AMR frame, its bad-frame indication; and because it halves the
cost of a packet. The libraries that PyAV's wheel brings serve where the system has none of its own.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

from media.codecs.interface import Samples


def load(name: str, soname: str) -> ctypes.CDLL | None:
    """Return the library: what PyAV brings before what the system has; None where there is neither."""
    for place in (*_brought_by_pyav(name), soname):
        try:
            return ctypes.CDLL(str(place))
        except OSError:
            continue
    return None


def _brought_by_pyav(name: str) -> list[Path]:
    spec = importlib.util.find_spec("av")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    folders = (package.parent / "av.libs", package / ".dylibs")
    return sorted(path for folder in folders for path in folder.glob(f"{name}[-.]*"))


def address(pcm: Samples) -> ctypes.c_void_p:
    """Return where contiguous samples lie; they must be kept for as long as it is used."""
    return ctypes.c_void_p(pcm.ctypes.data)
