"""What the engine needs of an event log, and the log in memory."""

from __future__ import annotations

from typing import Protocol

import msgspec

from acd.facts import Fact


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A fact in its place: `seq` counts up from 1, `at` is when it happened, in unix seconds.

    Entries come in the order in which they were told. That is the order of `at` as well, but for the ends of calls
    (told when all is released, see `CallEnded`) and for steps of the clock.
    """

    seq: int
    at: float
    fact: Fact


class Journal(Protocol):
    """Where facts go."""

    def append(self, fact: Fact, at: float) -> None:
        """Take a fact that happened at `at`, in unix seconds; never waits and never raises."""


class MemoryJournal:
    """A log in memory, for tests and simulations; it grows without bound."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, fact: Fact, at: float) -> None:
        """Keep the fact."""
        self.entries.append(Entry(len(self.entries) + 1, at, fact))


class Tee:
    """Several journals that are told the same."""

    def __init__(self, *journals: Journal) -> None:
        self._journals = journals

    def append(self, fact: Fact, at: float) -> None:
        """Tell each of them, in their order."""
        for journal in self._journals:
            journal.append(fact, at)
