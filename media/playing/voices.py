"""How texts are spoken unless an operator says otherwise: by espeak-ng, which reads them on its standard input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ESPEAK: Final = ("espeak-ng", "-v", "{voice}", "-s", "150", "-b", "1", "--stdin", "-w", "{out}")
VOICES: Final[Mapping[str, str]] = {"en": "en-gb", "zh": "cmn"}
