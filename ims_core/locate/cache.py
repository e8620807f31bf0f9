"""Answers of the DNS, kept for as long as they are good."""

from __future__ import annotations

from ims_core.locate.records import Answer, Question

LONGEST = 86_400.0  # seconds
FAILED_SECONDS = 5.0  # RFC 2308 section 7 allows five minutes at most
MOST = 4096


class Cache:
    """Remembers answers, also that there is none (RFC 2308); the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._held: dict[Question, tuple[float, Answer]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, question: Question, now: float) -> Answer | None:
        """Return what is known and still good."""
        held = self._held.get(question)
        if held is None:
            return None
        if held[0] <= now:
            del self._held[question]
            return None
        return held[1]

    def put(self, question: Question, answer: Answer, now: float) -> None:
        """Keep an answer for its time."""
        seconds = FAILED_SECONDS if answer.failed else min(answer.ttl, LONGEST)
        self._held.pop(question, None)
        if seconds > 0:
            if len(self._held) >= MOST:
                del self._held[next(iter(self._held))]
            self._held[question] = (now + seconds, answer)

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
