"""Facts as JSON text and back, also those that an older version wrote.

A fact's `VERSION` goes up when its fields change in a way that defaults do not cover. Then `UPGRADES` gets a step
from each version that was ever written to the next one; what is on disk is never rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from acd.facts import KINDS, Fact

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
UPGRADES: dict[tuple[str, int], Upgrade] = {}
"""By kind and version: takes the fields as that version wrote them, returns those of the next version."""

_ENCODER = msgspec.json.Encoder()


class UnreadableError(ValueError):
    """What was read is no fact that this version knows."""


class Codec:
    """Writes and reads facts of these kinds."""

    def __init__(self, kinds: Mapping[str, type[Fact]] = KINDS, upgrades: Mapping[tuple[str, int], Upgrade] = UPGRADES):
        self._kinds = kinds
        self._upgrades = upgrades
        self._decoders = {kind: msgspec.json.Decoder(fact) for kind, fact in kinds.items()}

    def encode(self, fact: Fact) -> str:
        """Return the fields that are not at their default. Raises UnicodeEncodeError for what no text can hold."""
        return _ENCODER.encode(fact).decode()

    def storable(self, fact: Fact) -> Fact:
        """Return the fact with what no text can hold, which a peer may send, in backslashes as in the log's lines."""
        return msgspec.convert(_storable(msgspec.to_builtins(fact)), type(fact))

    def decode(self, kind: str, version: int, data: str) -> Fact:
        """Return the fact that was written. Raises UnreadableError for a kind or fields that are not known."""
        known = self._kinds.get(kind)
        if known is None:
            raise UnreadableError(f"{kind} is not known")
        try:
            if version >= known.VERSION:
                return self._decoders[kind].decode(data)
            fields: dict[str, Any] = msgspec.json.decode(data)
            for step in range(version, known.VERSION):
                fields = self._upgrades[kind, step](fields)
            return msgspec.convert(fields, known)
        except KeyError:
            raise UnreadableError(f"{kind} of version {version}: there is no upgrade") from None
        except msgspec.MsgspecError as error:
            raise UnreadableError(f"{kind} of version {version}: {error}") from None


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value
