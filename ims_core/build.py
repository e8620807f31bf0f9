"""How the core that runs was built."""

from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

from ims_core.messages import parser

IS_COMPILED: Final = parser.__file__.endswith(tuple(EXTENSION_SUFFIXES))  # by scripts/compile, or as its wheel
