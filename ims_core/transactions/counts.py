"""Which messages came and went, counted."""

from __future__ import annotations

from typing import Final

from ims_core.messages.message import METHODS

OTHER: Final = "other"
KINDS: Final = ("request", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx")
_NAMES: Final = (OTHER, *sorted(METHODS))
_ROWS: Final[dict[str | int, int]] = {name: row * len(KINDS) for row, name in enumerate(_NAMES)}


class MessageCounts:
    """Counts messages by method, those unknown here together, and by the first digit of the status; 0 is a request."""

    def __init__(self) -> None:
        self._received = [0] * len(KINDS) * len(_NAMES)
        self._sent = self._received.copy()

    def received(self, method: str | int, hundreds: int = 0) -> None:
        """Count a message that came in."""
        self._received[_ROWS.get(method, 0) + hundreds] += 1

    def sent(self, method: str | int, hundreds: int = 0) -> None:
        """Count a message that went out."""
        self._sent[_ROWS.get(method, 0) + hundreds] += 1

    def told(self) -> dict[tuple[str, str, str], int]:
        """Return what was counted, by direction ("in" or "out"), method and kind ("request", "1xx" to "6xx")."""
        return {
            (direction, name, kind): counts[_ROWS[name] + position]
            for direction, counts in (("in", self._received), ("out", self._sent))
            for name in _NAMES
            for position, kind in enumerate(KINDS)
            if counts[_ROWS[name] + position]
        }
